//! Reads of channels.

use std::collections::BTreeMap;

use channel_adapters::Place;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::claims::queries::sends::Sending;
use features::dashboard::queries::requests::AccessRequest;
use features::runs::model::{Attachment, Input, InputState, Run};
use features::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{AccountId, Actor, AgentId, ChannelId, Part, RunId, RunState, Timestamp, Via};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::model::{
    AWAITING, Access, Awaiting, BY_ACCOUNT, BY_CHAT, BY_PLACE, BY_PROVIDER_ID, BY_RUN, BY_SENDER,
    Card, Channel, ChannelMessageId, ChannelState, Delivery, DeliveryState, Kind, LIMITED, Matter,
    Message, OPEN_BY_CHANNEL, OPEN_BY_MATTER, OPEN_CARDS, Payload, Person, RECENT, Room, Route,
    State, counted_key, refused_key,
};

/// Maximum number of earlier messages of a room that an agent reads.
pub const MAX_EARLIER: usize = 50;
/// Maximum number of recent messages of a chat that are examined.
pub const MAX_LATELY: usize = 500;
/// Maximum number of open deliveries examined at once.
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

/// The senders on all channels that belong to a member.
pub fn people_of(read: &dyn Read, account: AccountId) -> Result<Vec<Person>, StoreError> {
    let mut people: Vec<Person> = read.scan(BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))?;
    people.retain(|person| person.access == Access::Member);
    Ok(people)
}

/// Open requests for access, for the dashboard.
pub fn access_requests(read: &dyn Read, now: Timestamp) -> Result<Vec<AccessRequest>, StoreError> {
    let mut found = Vec::new();
    for channel in all(read)? {
        let open = people(read, channel.id)?.into_iter().filter(|one| one.is_open_request(now));
        found.extend(open.map(|person| {
            let (name, kind) = (&person.name, channel.kind.label());
            let name = match person.handle.as_str() {
                "" => format!("{name} on {kind}"),
                handle => format!("{name} (@{handle}) on {kind}"),
            };
            let (id, since) = (person.id.to_string(), person.updated_at);
            AccessRequest { id, name, agent: channel.agent, since }
        }));
    }
    found.sort_by_key(|one| one.since);
    Ok(found)
}

pub fn people(read: &dyn Read, channel: ChannelId) -> Result<Vec<Person>, StoreError> {
    read.scan(BY_SENDER, &Range::prefix(KeyBuf::of(&channel)))
}

/// The account of a sender who is a member of the workspace.
pub fn account_of(read: &dyn Read, person: &Person) -> Result<Option<AccountId>, StoreError> {
    let Some(account) = person.account.filter(|_| person.access == Access::Member) else {
        return Ok(None);
    };
    Ok(workspace::member(read, account)?.map(|member| member.account))
}

/// The actor for a sender's messages.
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

/// The messages of a chat since `from`, newest first, at most [`MAX_LATELY`].
pub fn lately(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    from: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    let mut start = KeyBuf::of(&channel);
    start.text(chat);
    let range = Range::between(start.clone().with(&from), start.with(&Timestamp::MAX));
    read.scan(RECENT, &range.reverse().limit(MAX_LATELY))
}

/// The messages of a chat since `from` that count towards a daily limit, oldest first.
pub fn counted(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
    from: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    let key = |at: Timestamp| counted_key(channel, chat).with(&at);
    read.scan(LIMITED, &Range::between(key(from), key(Timestamp::MAX)))
}

/// Whether a message of this sender in this chat was refused for a daily limit since `from`.
pub fn was_refused(
    read: &dyn Read,
    (channel, chat, sender): (ChannelId, &str, &str),
    from: Timestamp,
) -> Result<bool, StoreError> {
    let key = |at: Timestamp| refused_key(channel, chat, sender).with(&at);
    Ok(0 < read.len(LIMITED, &Range::between(key(from), key(Timestamp::MAX)).limit(1))?)
}

/// The messages that wait for an answer of this agent; none without an agent.
pub fn awaiting(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Message>, StoreError> {
    let Some(agent) = agent else { return Ok(Vec::new()) };
    read.scan(AWAITING, &Range::prefix(Awaiting::Agent(agent).key()))
}

/// The messages of a sender that wait for an answer.
pub fn awaiting_from(
    read: &dyn Read,
    channel: ChannelId,
    sender: &str,
) -> Result<Vec<Message>, StoreError> {
    read.scan(AWAITING, &Range::prefix(Awaiting::Sender(channel, sender).key()))
}

/// The open cards in a direct chat.
pub fn open_cards(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
) -> Result<Vec<Card>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat);
    read.scan(OPEN_CARDS, &Range::prefix(key))
}

/// The open cards that changes of a record may decide.
pub fn open_cards_about(read: &dyn Read, matter: Matter) -> Result<Vec<Card>, StoreError> {
    read.scan(OPEN_BY_MATTER, &Range::prefix(matter.key()))
}

/// The open cards for pairing requests.
pub fn open_pairing_cards(read: &dyn Read) -> Result<Vec<Card>, StoreError> {
    read.scan(OPEN_BY_MATTER, &Range::prefix(Matter::all_pairings()))
}

/// Unsent deliveries, by chat and in order.
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

/// Unsent deliveries of a chat, in order.
pub fn open_of_chat(
    read: &dyn Read,
    channel: ChannelId,
    chat: &str,
) -> Result<Vec<Delivery>, StoreError> {
    let mut key = KeyBuf::of(&channel);
    key.text(chat);
    read.scan(OPEN_BY_CHANNEL, &Range::prefix(key))
}

/// The direct chats that a running run will answer.
pub fn answered(read: &dyn Read, channel: ChannelId) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    let range = Range::prefix(Awaiting::Channel(channel).key()).limit(ROUND);
    let awaiting: Vec<Message> = read.scan(AWAITING, &range)?;
    for one in awaiting.into_iter().filter(|one| one.is_direct) {
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
        (room, thread, from.sender),
        (room, "", from.sender),
        ("", "", from.sender),
        (room, thread, ""),
        (room, "", ""),
        ("", "", ""),
    ];
    for (at, place) in tried.iter().enumerate() {
        if tried[..at].contains(place) {
            continue;
        }
        let (room, thread, sender) = *place;
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
                let rule = match (sender.is_empty(), thread.is_empty(), room.is_empty()) {
                    (false, false, _) => "route for this sender in this thread",
                    (false, true, _) => "route for this sender",
                    (true, false, _) => "route for this thread",
                    (true, true, false) => "route for this room",
                    (true, true, true) if channel.is_some() => "route for this channel",
                    (true, true, true) => "route for all channels",
                };
                return Ok(Some((agent, rule.to_owned())));
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

/// The routes of a room of this channel.
pub fn routes_of(
    read: &dyn Read,
    channel: ChannelId,
    room: &str,
) -> Result<Vec<Route>, StoreError> {
    let mut key = KeyBuf::new();
    key.u8(1).part(channel).text(room);
    read.scan(BY_PLACE, &Range::prefix(key))
}

fn live(agent: Option<Agent>) -> Option<Agent> {
    agent.filter(|agent| agents::held(agent) != Some("agent_archived"))
}

/// State of the messages that a run sent with `channel_send`, by the time at which the call queued them.
pub fn sending(read: &dyn Read, run: RunId) -> Result<BTreeMap<Timestamp, Sending>, StoreError> {
    let all: Vec<Delivery> = read.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))?;
    let mut calls: BTreeMap<Timestamp, Vec<Delivery>> = BTreeMap::new();
    for one in all.into_iter().filter(|one| matches!(one.payload, Payload::Said(_))) {
        calls.entry(one.created_at).or_default().push(one);
    }
    Ok(calls.into_iter().map(|(at, parts)| (at, sending_of(&parts))).collect())
}

fn sending_of(parts: &[Delivery]) -> Sending {
    let ended = [DeliveryState::Failed, DeliveryState::Expired, DeliveryState::Suppressed];
    if let Some(lost) = parts.iter().find(|one| ended.contains(&one.state)) {
        return Sending::Lost(match lost.detail.as_str() {
            "" => "The message was not sent.".to_owned(),
            detail => detail.to_owned(),
        });
    }
    let is_queued = parts.iter().any(|one| one.state.is_open());
    let is_unclear = parts.iter().any(|one| one.state == DeliveryState::Unknown);
    match (is_queued, is_unclear) {
        (true, _) => Sending::Queued,
        (false, true) => Sending::Unclear,
        (false, false) => Sending::Accepted,
    }
}
