//! Edits of messages, and changes of rooms.

use channel_adapters as adapters;
use features::runs::model::{Input, InputState};
use features::runs::rules::RunError;
use kernel::{ChannelId, Error};
use store::{ReadExt as _, WriteTx};

use crate::model::{Message, Room, Route};
use crate::queries;

use super::files;
use super::receive::{MAX_TEXT, known_room};

/// Replaces the text of a message that no run has read yet.
pub fn edited(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    message: &adapters::Message,
) -> Result<(), Error> {
    let known = queries::is_known(tx, channel, &message.place.chat, &message.id)?;
    let Some(one) = known.filter(|one| !one.text.is_empty()) else { return Ok(()) };
    let text: String = files::edited(&one.text, message).chars().take(MAX_TEXT).collect();
    if one.text == text {
        return Ok(());
    }
    if let Some(input) = one.input {
        let unread =
            |input: &Input| matches!(input.state, InputState::Accepted | InputState::Assigned(_));
        let Some(input) = tx.get::<Input>(input)?.filter(unread) else { return Ok(()) };
        // The message is at the end; what is before it may contain the same words.
        let Some(at) = input.text.rfind(&one.text) else { return Ok(()) };
        let mut replaced = input.text.clone();
        replaced.replace_range(at..at + one.text.len(), &text);
        match features::runs::rules::reword(tx, input.id, &replaced) {
            Ok(()) => {}
            Err(RunError::Store(error)) => return Err(error.into()),
            // A run has already read it.
            Err(_) => return Ok(()),
        }
    }
    tx.put(&Message { text, ..one })?;
    Ok(())
}

/// A chat has a new id.
pub fn moved(tx: &mut WriteTx<'_>, channel: ChannelId, from: &str, to: &str) -> Result<(), Error> {
    let (old, new) = (queries::room(tx, channel, from)?, queries::room(tx, channel, to)?);
    match (old, new) {
        (Some(old), None) => {
            tx.put(&Room { chat: to.to_owned(), ..old })?;
        }
        (Some(Room { is_allowed, budget_micros, .. }), Some(new)) if !new.is_allowed => {
            tx.put(&Room { is_allowed, budget_micros, ..new })?;
        }
        _ => {}
    }
    for route in queries::routes_of(tx, channel, from)? {
        tx.put(&Route { room: to.to_owned(), ..route })?;
    }
    for open in queries::open_of_chat(tx, channel, from)? {
        tx.put(&crate::model::Delivery { chat: to.to_owned(), ..open })?;
    }
    Ok(())
}

/// The bot was added to a room or removed from it.
pub fn presence(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    chat: &str,
    is_present: bool,
) -> Result<(), Error> {
    match queries::room(tx, channel, chat)? {
        Some(room) if room.is_present != is_present => {
            tx.put(&Room { is_present, ..room })?;
        }
        None if is_present => drop(known_room(tx, channel, chat, "")?),
        _ => {}
    }
    Ok(())
}
