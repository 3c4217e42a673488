//! Reads of channels.

use channel_adapters::Place;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{Attachment, Input, InputState, Run};
use features::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{AccountId, Actor, AgentId, ChannelId, Part, RunId, RunState, Timestamp, Via};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::model::{
    AWAITING, Access, BY_CHAT, BY_PLACE, BY_PROVIDER_ID, BY_RUN, BY_SENDER, Channel,
    ChannelMessageId, ChannelState, Delivery, Kind, Message, OPEN_BY_CHANNEL, Payload, Person,
    RECENT, Room, Route, State,
};

/// Most earlier lines of a room that an agent reads.
pub const MAX_EARLIER: usize = 50;
/// Most open deliveries examined in one round.
const ROUND: usize = 2_000;

pub fn all(read: &dyn Read) -> Result<Vec<Channel>, StoreError> {
    read.list(&Range::all())
}

/// The channels whose own agent is this one, with their states.
pub fn of_agent(read: &dyn Read, agent: AgentId) -> Result<Vec<(Channel, State)>, StoreError> {
    let own = all(read)?.into_iter().filter(|channel| channel.agent == Some(agent));
    let with_state = |channel: Channel| {
        let state = match channel.is_enabled {
            true => state(read, channel.id, Timestamp::UNIX_EPOCH)?.state,
            false => State::Off,
        };
        Ok((channel, state))
    };
    own.map(with_state).collect()
}

/// The webhook channel with this random part of its address.
pub fn by_address(read: &dyn Read, address: &str) -> Result<Option<Channel>, StoreError> {
    let is_it = |one: &Channel| one.kind == Kind::Webhook && one.bot_id == address;
    Ok(all(read)?.into_iter().find(is_it))
}

pub fn state(
    read: &dyn Read,
    channel: ChannelId,
    now: Timestamp,
) -> Result<ChannelState, StoreError> {
    Ok(read.get(channel)?.unwrap_or_else(|| ChannelState::new(channel, now)))
}

pub fn person(
    read: &dyn Read,
    channel: ChannelId,
    sender: &str,
) -> Result<Option<Person>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(sender);
    read.find(BY_SENDER, &key)
}

pub fn people(read: &dyn Read, channel: ChannelId) -> Result<Vec<Person>, StoreError> {
    read.scan(BY_SENDER, &Range::prefix(KeyBuf::of(&channel)))
}

/// The member that a sender is, while that member is in the workspace.
pub fn account_of(read: &dyn Read, person: &Person) -> Result<Option<AccountId>, StoreError> {
    let Some(account) = person.account.filter(|_| person.access == Access::Member) else {
        return Ok(None);
    };
    Ok(workspace::member(read, account)?.map(|member| member.account))
}

/// The actor of what a sender writes.
pub fn actor(read: &dyn Read, channel: ChannelId, sender: &str) -> Result<Actor, StoreError> {
    let account = match person(read, channel, sender)? {
        Some(person) => account_of(read, &person)?,
        None => None,
    };
    Ok(match account {
        Some(account) => Actor::Person { account, via: Via::Channel(channel) },
        None => Actor::System(Part::Consumer),
    })
}

pub fn room(read: &dyn Read, channel: ChannelId, chat: &str) -> Result<Option<Room>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat);
    read.find(BY_CHAT, &key)
}

pub fn is_known(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    provider_id: &str,
) -> Result<Option<Message>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat).text(provider_id);
    read.find(BY_PROVIDER_ID, &key)
}

/// The files of a message that its agent got.
pub fn files(read: &dyn Read, id: ChannelMessageId) -> Result<Vec<Attachment>, StoreError> {
    let input = read.get::<Message>(id)?.and_then(|message| message.input);
    let input = input.map_or(Ok(None), |input| read.get::<Input>(input))?;
    Ok(input.map(|input| input.attached).unwrap_or_default())
}

/// The newest messages of a chat, newest first.
pub fn recent(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    most: usize,
) -> Result<Vec<Message>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat);
    read.scan(RECENT, &Range::prefix(key).reverse().limit(most))
}

/// The messages of a chat since `from`, oldest first.
pub fn since(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    from: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    let key = |at: Timestamp| {
        let mut key = KeyBuf::of(&channel);
        key.text(chat).part(at);
        key
    };
    read.scan(RECENT, &Range::between(key(from), key(Timestamp::MAX)))
}

/// The messages that wait for an answer, of one agent or of all.
pub fn awaiting(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Message>, StoreError> {
    let range = agent.map_or_else(Range::all, |agent| Range::prefix(KeyBuf::of(&agent)));
    read.scan(AWAITING, &range)
}

/// What is not sent yet, by chat and in order.
pub fn open(read: &dyn Read, channel: ChannelId) -> Result<Vec<Delivery>, StoreError> {
    read.scan(OPEN_BY_CHANNEL, &Range::prefix(KeyBuf::of(&channel)).limit(ROUND))
}

/// The deliveries of a run's answers, with their channels. Previews and answers without text are left out.
pub fn of_run(read: &dyn Read, run: RunId) -> Result<Vec<(Channel, Delivery)>, StoreError> {
    let all: Vec<Delivery> = read.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))?;
    let mut found = Vec::new();
    for one in all {
        let is_silent = matches!(&one.payload, Payload::Text(text) if text.is_empty());
        if one.payload.is_passing() || is_silent {
            continue;
        }
        if let Some(channel) = read.get::<Channel>(one.channel)? {
            found.push((channel, one));
        }
    }
    Ok(found)
}

/// The previews of a run that were not removed.
pub fn previews(read: &dyn Read, run: RunId) -> Result<Vec<Delivery>, StoreError> {
    let all: Vec<Delivery> = read.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))?;
    let removed = |id| all.iter().any(|one| one.payload == Payload::Removal(id));
    let is_preview = |one: &&Delivery| matches!(one.payload, Payload::Preview(_));
    Ok(all.iter().filter(is_preview).filter(|one| !removed(one.id)).cloned().collect())
}

/// The direct chats that a running run will answer.
pub fn answered(read: &dyn Read, channel: ChannelId) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    let awaiting: Vec<Message> = read.scan(AWAITING, &Range::all().limit(ROUND))?;
    for one in awaiting.into_iter().filter(|one| one.channel == channel && one.is_direct) {
        let input = one.input.map_or(Ok(None), |input| read.get::<Input>(input))?;
        let Some(InputState::Assigned(run) | InputState::Consumed(run)) =
            input.map(|input| input.state)
        else {
            continue;
        };
        let is_running = read.get::<Run>(run)?.is_some_and(|run| run.state == RunState::Running);
        let place = Place { chat: one.chat, thread: one.thread };
        if is_running && !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

/// The number of open deliveries in a chat, up to `most`.
pub fn open_in(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    most: usize,
) -> Result<usize, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat);
    read.len(OPEN_BY_CHANNEL, &Range::prefix(key).limit(most))
}

/// Where a message comes from, for routing.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub channel: ChannelId,
    /// The chat, if it is a room.
    pub room: Option<&'a str>,
    pub thread: Option<&'a str>,
    pub sender: &'a str,
}

/// The agent for a message and the rule that chose it. The most specific route wins: sender, then thread, then room, each
/// on this channel before any channel; then the channel's own agent. Archived agents answer nothing.
pub fn route(read: &dyn Read, from: Origin<'_>) -> Result<Option<(Agent, String)>, StoreError> {
    let (room, thread) = (from.room.unwrap_or_default(), from.thread.unwrap_or_default());
    let tried = [
        (room, thread, from.sender, "sender in this thread"),
        (room, "", from.sender, "sender"),
        ("", "", from.sender, "sender"),
        (room, thread, "", "thread"),
        (room, "", "", "room"),
        ("", "", "", "channel"),
    ];
    for (at, (room, thread, sender, rule)) in tried.iter().enumerate() {
        if tried[..at].iter().any(|(r, t, s, _)| (r, t, s) == (room, thread, sender)) {
            continue;
        }
        for channel in [Some(from.channel), None] {
            let mut key = KeyBuf::new();
            match channel {
                Some(channel) => key.u8(1).part(channel),
                None => key.u8(0),
            };
            key.text(room).text(thread).text(sender);
            let Some(Route { agent: Some(agent), .. }) = read.find(BY_PLACE, &key)? else {
                continue;
            };
            if let Some(agent) = live(read.get(agent)?) {
                return Ok(Some((agent, format!("route for this {rule}"))));
            }
        }
    }
    let own = read.get::<Channel>(from.channel)?.and_then(|channel| channel.agent);
    let agent = match own {
        Some(agent) => live(read.get(agent)?),
        None => None,
    };
    Ok(agent.map(|agent| (agent, "agent of the channel".to_owned())))
}

fn live(agent: Option<Agent>) -> Option<Agent> {
    agent.filter(|agent| agents::held(agent) != Some("agent_archived"))
}
