//! Files of received messages. The worker downloads them before the message's transaction; the text names each in a line.

use channel_adapters::{self as adapters, FileRef};
use features::runs::model::Attachment;
use kernel::{ChannelId, Timestamp};
use store::{Read, StoreError};

use crate::model::Access;
use crate::queries;

use super::limits::{self, ChatMember};
use super::receive::{LATE, is_named};

/// The files of a message.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub attached: Vec<Attachment>,
    /// One line per file, also for those that are missing.
    lines: Vec<String>,
}

impl Files {
    /// Adds a received file, or why it is missing.
    pub fn add(&mut self, file: &FileRef, received: Result<Attachment, String>) {
        let mut line = match file.voice_secs {
            Some(secs) => format!("voice message, {secs} s"),
            None => web::file::clean_name(&file.name),
        };
        match received {
            Ok(attachment) => self.attached.push(attachment),
            Err(fault) => line = format!("{line}, {fault}"),
        }
        self.lines.push(format!("({line})"));
    }

    /// The total length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.attached.iter().map(|file| file.len).sum()
    }

    /// The text with the lines after it.
    pub(super) fn after(&self, text: &str) -> String {
        with_lines(text, &self.lines.join("\n"))
    }
}

fn with_lines(text: &str, lines: &str) -> String {
    match (text.trim().is_empty(), lines.is_empty()) {
        (_, true) => text.to_owned(),
        (true, false) => lines.to_owned(),
        (false, false) => format!("{text}\n\n{lines}"),
    }
}

/// The new text of an edited message. The lines of its files stay.
pub(super) fn edited(old: &str, message: &adapters::Message) -> String {
    let lines: Vec<&str> = old.lines().collect();
    let from = lines.len().saturating_sub(message.files.len());
    with_lines(&message.text, &lines[from..].join("\n"))
}

/// Whether the files of a message are downloaded. Strangers, late messages, those that are not for the bot and
/// those over a daily limit cannot make HQ download anything.
pub fn takes_files(
    read: &dyn Read,
    channel: ChannelId,
    message: &adapters::Message,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (chat, sender) = (message.place.chat.as_str(), &message.sender);
    let is_late = message.sent_at < now - LATE;
    if message.files.is_empty()
        || sender.is_bot
        || is_late
        || queries::is_known(read, channel, chat, &message.id)?.is_some()
    {
        return Ok(false);
    }
    let person = queries::person(read, channel, &sender.id)?;
    if person.as_ref().is_some_and(|person| person.access == Access::Denied) {
        return Ok(false);
    }
    let is_member = match &person {
        Some(person) => queries::account_of(read, person)?.is_some(),
        None => false,
    };
    let who = ChatMember { channel, chat, sender: &sender.id };
    if message.is_direct {
        let is_guest = person.is_some_and(|person| person.access == Access::Guest);
        return Ok(is_member || (is_guest && !limits::is_guest_over(read, who, now)?));
    }
    let room = queries::room(read, channel, chat)?.filter(|room| room.is_allowed);
    let Some(room) = room else { return Ok(false) };
    let is_meant = message.mentions_bot || is_named(read, channel, message)?;
    let limit = (room.budget_micros, !is_member);
    Ok(is_meant && !limits::is_room_over(read, who, limit, now)?)
}
