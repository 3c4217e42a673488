//! Answers: when a run ends, its final text goes to the chats whose messages it read, in the same transaction.

use features::runs::model::{EventKind, Input, InputState, Run, SessionEvent};
use features::runs::queries::{grants, sessions, words};
use kernel::key::KeyBuf;
use kernel::{Error, Event, Outcome, RunId, WaitFor};
use store::{Range, ReactionError, ReadExt as _, WriteTx};

use crate::model::{AWAITING, DeliveryState, Message, Payload};

use super::outbox::{self, Place};

/// Events of a run searched for its final text, from the end.
const NEWEST: usize = 200;
/// A model's way to say that there is nothing to say.
const NO_REPLY: &str = "NO_REPLY";

/// # Errors
/// If the store fails.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    let done = match event {
        Event::RunEnded { run, .. } => ended(tx, *run),
        Event::RunAsks { run, waits_for: WaitFor::Question, .. } => asks(tx, *run),
        _ => return Ok(()),
    };
    done.map_err(|error| ReactionError::new("channels", &error))
}

/// The messages that a run read and that wait for an answer: the last one of each place.
fn read_by(tx: &WriteTx<'_>, run: &Run) -> Result<Vec<Message>, Error> {
    let all: Vec<Message> = tx.scan(AWAITING, &Range::prefix(KeyBuf::of(&run.agent)).limit(500))?;
    let mut read = Vec::new();
    for message in all {
        let Some(input) = message.input else { continue };
        let state = tx.get::<Input>(input)?.map(|input| input.state);
        match state {
            Some(InputState::Consumed(by)) if by == run.id => read.push(message),
            _ => {}
        }
    }
    Ok(read)
}

fn ended(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), Error> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let read = read_by(tx, &run)?;
    if read.is_empty() {
        return Ok(());
    }
    let text = final_text(tx, &run)?;
    let bad_end = run.outcome.as_ref().and_then(words::reason);
    let is_private = grants::of_run(tx, id)?.is_none_or(|grant| grant.direct().is_some());
    let is_stopped = matches!(run.outcome, Some(Outcome::Stopped { .. }));
    for place in places(&read) {
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
    for message in read {
        tx.put(&Message { is_awaiting: false, ..message })?;
    }
    Ok(())
}

/// Sends the question of a run to the direct chats that it serves. The next message there is the answer.
fn asks(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), Error> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let Some(park) = features::runs::queries::park::question_of(tx, &run)? else { return Ok(()) };
    let read = read_by(tx, &run)?;
    for place in places(&read).into_iter().filter(|place| place.is_direct) {
        let mut text = park.question.clone();
        for option in &park.options {
            text.push_str("\n- ");
            text.push_str(option);
        }
        outbox::queue(tx, &place, &text, Some(id))?;
    }
    Ok(())
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

/// The last text that the model wrote in a run.
fn final_text(tx: &WriteTx<'_>, run: &Run) -> Result<String, Error> {
    let range = Range::prefix(KeyBuf::of(&run.session)).reverse().limit(NEWEST);
    let events: Vec<SessionEvent> = tx.list(&range)?;
    let said = |event: &SessionEvent| match &event.kind {
        EventKind::Assistant { parts, .. } => sessions::said(parts),
        _ => None,
    };
    let own = events.iter().filter(|event| event.run == Some(run.id));
    let texts = own.filter_map(said).find(|texts| !texts.is_empty());
    Ok(texts.map_or_else(|| run.summary.clone(), |texts| texts.join("\n\n")))
}
