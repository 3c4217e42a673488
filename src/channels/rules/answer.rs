//! Answers: when a run ends, its final text goes to the chats whose messages it read, in the same transaction.

use features::runs::model::{Body, EventKind, Grant, Input, InputState, Run, Sender, SessionEvent};
use features::runs::queries::{grants, sessions, words};
use kernel::key::KeyBuf;
use kernel::{ChannelId, Error, Event, Outcome, RunId, WaitFor};
use store::{Range, ReactionError, Read, ReadExt as _, WriteTx};

use crate::model::{Access, DeliveryState, Message, Payload};
use crate::queries;

use super::outbox::{self, Place};
use super::results;
use super::{cards, notices};

/// Events of a run searched for its final text, from the end.
const NEWEST: usize = 200;
/// A model's way to say that there is nothing to say.
pub const NO_REPLY: &str = "NO_REPLY";
const ONLY_IN_HQ: &str = "This can be answered in HQ only. Messages here are for the agent.";

/// # Errors
/// If the store fails.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    let done = match event {
        Event::RunEnded { run, .. } => ended(tx, *run),
        Event::ItemEnded { item, .. } => results::ended(tx, *item),
        Event::RunAsks { run, waits_for: WaitFor::Question, .. } => asks(tx, *run),
        _ => return Ok(()),
    };
    done.map_err(|error| ReactionError::new("channels", &error))
}

/// The messages that a run read and that wait for an answer, and those that no run will read.
fn read_by(tx: &dyn Read, run: &Run) -> Result<(Vec<Message>, Vec<Message>), Error> {
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    for message in queries::awaiting(tx, Some(run.agent))? {
        let Some(input) = message.input else { continue };
        match tx.get::<Input>(input)?.map(|input| input.state) {
            Some(InputState::Consumed(by)) if by == run.id => read.push(message),
            Some(InputState::Cancelled | InputState::Dropped(_)) | None => lost.push(message),
            _ => {}
        }
    }
    Ok((read, lost))
}

/// Whether the sender still has the access with which they wrote.
fn is_still(tx: &dyn Read, message: &Message, grant: Option<Grant>) -> Result<bool, Error> {
    if !message.is_direct {
        return Ok(true);
    }
    let Some(person) = queries::person(tx, message.channel, &message.sender)? else {
        return Ok(false);
    };
    Ok(match grant.map(|grant| grant.sender) {
        Some(Sender::Person(account)) => queries::account_of(tx, &person)? == Some(account),
        Some(Sender::Guest) | None => matches!(person.access, Access::Guest | Access::Member),
    })
}

/// The messages whose senders still have their access.
fn heard(tx: &dyn Read, messages: &[Message], grant: Option<Grant>) -> Result<Vec<Message>, Error> {
    let mut heard = Vec::new();
    for message in messages {
        if is_still(tx, message, grant)? {
            heard.push(message.clone());
        }
    }
    Ok(heard)
}

/// Clears messages that no run will read, and says so in direct chats.
fn forget(tx: &mut WriteTx<'_>, lost: Vec<Message>) -> Result<(), Error> {
    for message in lost {
        if message.is_direct && is_still(tx, &message, None)? {
            let place = Place::direct(message.channel, &message.chat);
            outbox::queue(
                tx,
                &place,
                "I couldn’t read your last message. Please send it again.",
                None,
            )?;
        }
        tx.put(&Message { is_awaiting: false, ..message })?;
    }
    Ok(())
}

fn ended(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), Error> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let (read, lost) = read_by(tx, &run)?;
    forget(tx, lost)?;
    let grant = grants::of_run(tx, id)?;
    let mut places = places(&heard(tx, &read, grant)?);
    if read.is_empty() {
        // What a run of the chat had announced, such as the result of a sub-agent.
        let Some(account) = grant.and_then(Grant::direct) else {
            return outbox::remove_previews(tx, id);
        };
        let address = notices::chat_of(tx, account, Some(run.agent))?;
        places.extend(address.map(|(channel, person)| Place::direct(channel, &person.chat)));
    }
    let text = final_text(tx, &run)?;
    let bad_end = run.outcome.as_ref().and_then(words::reason);
    let is_private = grant.is_none_or(|grant| grant.direct().is_some());
    let is_stopped = matches!(run.outcome, Some(Outcome::Stopped { .. }));
    for place in places {
        let said = match (&bad_end, place.is_direct) {
            // Rooms never see what went wrong.
            (Some(why), true) => Some(format!("I couldn’t finish this. {why}")),
            (Some(_), false) => None,
            (None, _) if is_stopped => None,
            (None, _) => Some(text.clone()),
        };
        match said.as_deref().map(str::trim) {
            Some(text) if !text.is_empty() && !text.eq_ignore_ascii_case(NO_REPLY) => {
                outbox::queue(tx, &place, text, Some(id))?;
                // Guests and rooms never get files out of the agent's folder.
                if is_private && place.is_direct && bad_end.is_none() {
                    outbox::queue_files(tx, &place, text, id)?;
                }
            }
            _ => {
                let payload = Payload::Text(String::new());
                let silent = outbox::new(tx, &place, payload, DeliveryState::Suppressed);
                tx.put(&crate::model::Delivery { run: Some(id), ..silent })?;
            }
        }
    }
    outbox::remove_previews(tx, id)?;
    for message in read {
        tx.put(&Message { is_awaiting: false, ..message })?;
    }
    Ok(())
}

/// The places that will get a run's answer, for previews.
pub fn audience(read: &dyn Read, channel: ChannelId, id: RunId) -> Result<Vec<Place>, Error> {
    let Some(run) = read.get::<Run>(id)? else { return Ok(Vec::new()) };
    let grant = grants::of_run(read, id)?;
    let mut messages = read_by(read, &run)?.0;
    messages.retain(|message| message.channel == channel);
    Ok(places(&heard(read, &messages, grant)?))
}

/// Sends the question of a run to the direct chats that it serves. The next message there is the answer, unless an MCP
/// server asks.
fn asks(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), Error> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let Some(park) = features::runs::queries::park::question_of(tx, &run)? else { return Ok(()) };
    let grant = grants::of_run(tx, id)?;
    let read = read_by(tx, &run)?.0;
    let may = heard(tx, &read, grant)?;
    let member = grant.and_then(Grant::direct);
    for place in places(&may).into_iter().filter(|place| place.is_direct) {
        if let Some(account) = member
            && cards::ask(tx, (&place, account), &run, &park)?
        {
            continue;
        }
        if park.asked.is_some() {
            let text = format!("{}\n\n{ONLY_IN_HQ}", cards::asked_as_is(&park));
            outbox::queue(tx, &place, &text, Some(id))?;
            continue;
        }
        let mut text = park.question.clone();
        for option in &park.options {
            text.push_str("\n- ");
            text.push_str(option);
        }
        outbox::queue(tx, &place, &text, Some(id))?;
    }
    outbox::remove_previews(tx, id)
}

/// The places of messages, each once, as a reply to the last one there.
fn places(messages: &[Message]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for message in messages {
        let place = Place {
            channel: message.channel,
            chat: message.chat.clone(),
            thread: message.thread.clone(),
            is_direct: message.is_direct,
            reply_to: Some(message.provider_id.clone()).filter(|_| !message.is_direct),
        };
        let same = |one: &Place| {
            (one.channel, &one.chat, &one.thread) == (place.channel, &place.chat, &place.thread)
        };
        match places.iter_mut().find(|one| same(one)) {
            Some(known) => known.reply_to = place.reply_to,
            None => places.push(place),
        }
    }
    places
}

/// The reply of a run to those who wrote to it: its answers, else its last text, else its summary.
fn final_text(tx: &WriteTx<'_>, run: &Run) -> Result<String, Error> {
    let Texts { answers, last } = texts(tx, run)?;
    let all = [answers, last, run.summary.clone()];
    Ok(all.into_iter().find(|text| !text.is_empty()).unwrap_or_default())
}

/// The result of a run that did work: its answers, else its summary, else its last text.
pub(super) fn result(tx: &WriteTx<'_>, run: &Run) -> Result<String, Error> {
    let Texts { answers, last } = texts(tx, run)?;
    let all = [answers, run.summary.clone(), last];
    Ok(all.into_iter().find(|text| !text.is_empty()).unwrap_or_default())
}

/// The texts of a run.
struct Texts {
    /// Those without tool calls. There are several if messages arrived during a model call.
    answers: String,
    /// The last one, whether with calls or not.
    last: String,
}

fn texts(tx: &WriteTx<'_>, run: &Run) -> Result<Texts, Error> {
    let range = Range::prefix(KeyBuf::of(&run.session)).reverse().limit(NEWEST);
    let events: Vec<SessionEvent> = tx.list(&range)?;
    let parts = |event: &SessionEvent| match &event.kind {
        EventKind::Assistant { parts, .. } if event.run == Some(run.id) => Some(parts.clone()),
        _ => None,
    };
    let responses: Vec<Body> = events.iter().rev().filter_map(parts).collect();
    let text = |parts: &Body| sessions::said(parts).filter(|texts| !texts.is_empty());
    let answers = responses.iter().filter(|parts| !sessions::has_calls(parts)).filter_map(text);
    let answers: Vec<Vec<String>> = answers.collect();
    let last = responses.iter().rev().find_map(text).unwrap_or_default();
    Ok(Texts { answers: answers.concat().join("\n\n"), last: last.join("\n\n") })
}
