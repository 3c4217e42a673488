//! Places that an agent's messages go to: its own conversation, paired people, and rooms in which it may answer.

use features::agents::model::Agent;
use features::routines::model::DeliverTo;
use features::runs::model::{Grant, Input, InputState};
use features::runs::queries::grants;
use features::trust::authorize::Reach;
use features::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{AccountId, AgentId, Error, ProblemKind, RecordId, RunId, Timestamp, TypedId as _};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::model::{Access, BY_CHAT, Channel, Message, Person, Room, Route};
use crate::queries;
use crate::rules::{self, Place};

/// Longest id of a chat.
const MAX_ID: usize = 100;
/// Most places that an error names.
const MAX_NAMED: usize = 10;

/// Who reads a message there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Those who wrote to the run, or a member alone.
    Own,
    /// A guest, or everybody in a room that people allowed.
    Others,
    /// Nobody let the agent write there.
    Unknown,
}

/// A place that messages can go to.
#[derive(Clone, Debug)]
pub struct Target {
    pub place: Place,
    /// Such as `Sales (Telegram, Ada)`.
    pub label: String,
    pub readers: Readers,
    /// The id of the person or room; `None` for the run's own conversation and unknown chats.
    pub id: Option<RecordId>,
    /// The member who reads it.
    account: Option<AccountId>,
    /// What people call it, in lower case. The id is the first.
    names: Vec<String>,
    used_at: Timestamp,
}

/// The places for results of routines: of an agent's channels, or of all.
pub fn for_results(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<DeliverTo>, StoreError> {
    let channels = match agent {
        Some(agent) => channels_of(read, agent)?,
        None => {
            let mut all = queries::all(read)?;
            all.retain(|one| one.is_enabled && one.agent.is_some());
            all
        }
    };
    Ok(on(read, &channels)?.iter().filter_map(deliver_to).collect())
}

/// The place for results with this name or id.
///
/// # Errors
/// If there is none on the agent's channels.
pub fn for_result(read: &dyn Read, agent: AgentId, text: &str) -> Result<DeliverTo, Error> {
    let found = find(read, agent, text)?;
    deliver_to(&found).ok_or_else(|| unknown(&[], text))
}

fn deliver_to(target: &Target) -> Option<DeliverTo> {
    let is_room = !target.place.is_direct;
    let (channel, label) = (target.place.channel, target.label.clone());
    target.id.map(|target| DeliverTo { channel, is_room, target, label })
}

/// The channels on which an agent answers.
fn channels_of(read: &dyn Read, agent: AgentId) -> Result<Vec<Channel>, StoreError> {
    let routes: Vec<Route> = read.list(&Range::all())?;
    let leads = |channel: &Channel| {
        let to_it = |route: &Route| {
            route.agent == Some(agent) && route.channel.is_none_or(|of| of == channel.id)
        };
        routes.iter().any(to_it)
    };
    let mut all = queries::all(read)?;
    all.retain(|one| {
        one.is_enabled && one.agent.is_some() && (one.agent == Some(agent) || leads(one))
    });
    all.sort_by_key(|channel| channel.agent != Some(agent));
    Ok(all)
}

/// Whether an agent answers on any channel.
pub fn has_channel(read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    Ok(!channels_of(read, agent)?.is_empty())
}

/// The paired people and the allowed rooms of an agent's channels.
fn all(read: &dyn Read, agent: AgentId) -> Result<Vec<Target>, StoreError> {
    on(read, &channels_of(read, agent)?)
}

fn on(read: &dyn Read, channels: &[Channel]) -> Result<Vec<Target>, StoreError> {
    let mut found = Vec::new();
    for channel in channels {
        for person in queries::people(read, channel.id)? {
            found.extend(person_at(read, channel, &person)?);
        }
        for room in rooms(read, channel)? {
            if room.is_allowed && room.is_present {
                found.push(room_at(channel, &room, Readers::Others));
            }
        }
    }
    Ok(found)
}

fn rooms(read: &dyn Read, channel: &Channel) -> Result<Vec<Room>, StoreError> {
    read.scan(BY_CHAT, &Range::prefix(KeyBuf::of(&channel.id)))
}

/// A paired person; `None` without access or chat.
pub fn person_at(
    read: &dyn Read,
    channel: &Channel,
    person: &Person,
) -> Result<Option<Target>, StoreError> {
    let member = match queries::account_of(read, person)? {
        Some(account) => workspace::member(read, account)?,
        None => None,
    };
    let is_paired = member.is_some() || person.access == Access::Guest;
    if person.chat.is_empty() || !is_paired {
        return Ok(None);
    }
    let readers = if member.is_some() { Readers::Own } else { Readers::Others };
    let name = member.as_ref().map_or(&person.name, |member| &member.name);
    let label = labelled(channel, name);
    let last = queries::recent(read, channel.id, &person.chat, 1)?;
    let used_at = last.first().map_or(person.updated_at, |message| message.received_at);
    let id = RecordId::from_uuid(person.id.uuid());
    let mut names = vec![id.to_string(), person.name.to_lowercase(), person.chat.to_lowercase()];
    names.extend([person.sender.to_lowercase(), person.handle.to_lowercase()]);
    names
        .extend(member.iter().flat_map(|one| [one.name.to_lowercase(), one.handle.to_lowercase()]));
    let place = Place::direct(channel.id, &person.chat);
    let account = member.map(|member| member.account);
    Ok(Some(Target { place, label, readers, id: Some(id), account, names, used_at }))
}

fn labelled(channel: &Channel, name: &str) -> String {
    format!("{name} ({}, {})", channel.kind.label(), channel.name)
}

/// A room.
pub fn room_at(channel: &Channel, room: &Room, readers: Readers) -> Target {
    let title = if room.title.is_empty() { &room.chat } else { &room.title };
    let id = RecordId::from_uuid(room.id.uuid());
    Target {
        place: in_room(channel, &room.chat),
        label: labelled(channel, title),
        readers,
        id: Some(id),
        account: None,
        names: vec![id.to_string(), title.to_lowercase(), room.chat.to_lowercase()],
        used_at: room.created_at,
    }
}

fn in_room(channel: &Channel, chat: &str) -> Place {
    Place { is_direct: false, ..Place::direct(channel.id, chat) }
}

/// The paired person or allowed room with this name or id.
///
/// # Errors
/// If there is none, or if several different ones have the name.
fn find(read: &dyn Read, agent: AgentId, text: &str) -> Result<Target, Error> {
    let known = all(read, agent)?;
    match named(&known, text)? {
        Some(found) => Ok(found),
        None => Err(unknown(&known, text)),
    }
}

fn spelled(text: &str) -> String {
    text.trim().trim_start_matches(['@', '#']).to_lowercase()
}

fn named(known: &[Target], text: &str) -> Result<Option<Target>, Error> {
    let text = spelled(text);
    let is_it = |one: &&Target| !text.is_empty() && one.names.contains(&text);
    let found: Vec<&Target> = known.iter().filter(is_it).collect();
    // A person on several channels is reached where they wrote last.
    let newest = found.iter().max_by_key(|one| one.used_at).copied().cloned();
    let is_one = |account| found.iter().all(|one| one.account == Some(account));
    if found.len() < 2 || found[0].account.is_some_and(is_one) {
        return Ok(newest);
    }
    let ids: Vec<String> =
        found.iter().map(|one| format!("{} is {}", one.names[0], one.label)).collect();
    let message = format!("several places have this name, use an id: {}", ids.join(", "));
    Err(Error::new(ProblemKind::Invalid, "place_ambiguous", message))
}

fn unknown(known: &[Target], text: &str) -> Error {
    let names: Vec<&str> = known.iter().take(MAX_NAMED).map(|one| one.label.as_str()).collect();
    let hint = match names.is_empty() {
        true => "no one is paired yet".to_owned(),
        false => format!("you can write to {}", names.join(", ")),
    };
    let message = format!("there is no paired person or allowed room \"{}\"; {hint}", text.trim());
    Error::new(ProblemKind::NotFound, "place_not_found", message)
}

/// Where a run's message goes: to `to`, or to the run's own conversation.
///
/// # Errors
/// If the place cannot be determined, or is that of a person without access.
pub fn target(read: &dyn Read, (agent, run): (AgentId, RunId), to: &str) -> Result<Target, Error> {
    if to.trim().is_empty() {
        return own(read, agent, run)?.ok_or_else(|| {
            let message = "no one wrote to this run over a channel; say to whom it goes in `to`";
            Error::new(ProblemKind::Invalid, "no_conversation", message)
        });
    }
    let known = all(read, agent)?;
    if let Some(found) = named(&known, to)? {
        return Ok(found);
    }
    let text = spelled(to);
    for channel in channels_of(read, agent)? {
        let is_person = |one: &Person| {
            [&one.chat, &one.sender, &one.handle, &one.name]
                .into_iter()
                .any(|name| !name.is_empty() && name.to_lowercase() == text)
        };
        if queries::people(read, channel.id)?.iter().any(is_person) {
            return Err(unknown(&known, to));
        }
        for room in rooms(read, &channel)? {
            let room = room_at(&channel, &room, Readers::Unknown);
            if room.names.contains(&text) {
                return Ok(room);
            }
        }
    }
    let is_id = to.trim().len() <= MAX_ID
        && !to.trim().contains(char::is_whitespace)
        && to.contains(|c: char| c.is_ascii_digit());
    match channels_of(read, agent)?.first().filter(|_| is_id) {
        Some(channel) => Ok(Target {
            place: in_room(channel, to.trim()),
            label: labelled(channel, to.trim()),
            readers: Readers::Unknown,
            id: None,
            account: None,
            names: Vec::new(),
            used_at: channel.created_at,
        }),
        None => Err(unknown(&known, to)),
    }
}

/// The chat whose message the run read last, or the direct chat of the person whom it serves.
fn own(read: &dyn Read, agent: AgentId, run: RunId) -> Result<Option<Target>, StoreError> {
    let mut last: Option<Message> = None;
    for message in queries::awaiting(read, Some(agent))? {
        let input = message.input.map_or(Ok(None), |input| read.get::<Input>(input))?;
        let is_read = input.is_some_and(|input| input.state == InputState::Consumed(run));
        if is_read && last.as_ref().is_none_or(|known| known.received_at < message.received_at) {
            last = Some(message);
        }
    }
    let place = match last {
        Some(message) => Some(Place {
            channel: message.channel,
            chat: message.chat,
            thread: message.thread,
            is_direct: message.is_direct,
            reply_to: None,
        }),
        None => match grants::of_run(read, run)?.and_then(Grant::direct) {
            Some(account) => rules::chat_of(read, account, Some(agent))?
                .map(|(channel, person)| Place::direct(channel, &person.chat)),
            None => None,
        },
    };
    let name = read.get::<Agent>(agent)?.map(|agent| agent.name).unwrap_or_default();
    Ok(place.map(|place| Target {
        place,
        label: format!("the conversation with {name}"),
        readers: Readers::Own,
        id: None,
        account: None,
        names: Vec::new(),
        used_at: Timestamp::UNIX_EPOCH,
    }))
}

/// How far a message goes, for its authorization. A call that will be refused needs no approval.
pub fn reach(read: &dyn Read, run: (AgentId, RunId), to: &str) -> Result<Reach, StoreError> {
    Ok(match target(read, run, to).map(|target| target.readers) {
        Ok(Readers::Others) => Reach::Place,
        Ok(Readers::Unknown) => Reach::Elsewhere,
        Ok(Readers::Own) | Err(_) => Reach::Inside,
    })
}
