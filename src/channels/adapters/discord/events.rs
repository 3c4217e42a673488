//! Discord's events as [`Incoming`].

use kernel::Timestamp;
use serde_json::Value;

use super::super::api::{list, moment, some, text};
use super::super::{FileRef, Incoming, Message, Place, Press, Sender};
use super::Room;

/// Kinds of channels with messages.
const TEXT_CHANNELS: [u64; 2] = [0, 5];
/// Default, reply, slash command, context menu command.
const MESSAGES: [u64; 4] = [0, 19, 20, 23];
const THREADS: [u64; 3] = [10, 11, 12];
/// First millisecond of Discord's ids.
const EPOCH_MS: i64 = 1_420_070_400_000;

pub(super) fn room(channel: &Value, guild: &str, server: &str) -> Room {
    let kind = number(channel, "/type");
    let title = match (text(channel, "/name"), server) {
        ("", _) => String::new(),
        (name, "") => format!("#{name}"),
        (name, server) => format!("#{name} · {server}"),
    };
    Room {
        title,
        guild: guild.to_owned(),
        parent: some(channel, "/parent_id").filter(|_| THREADS.contains(&kind)),
        is_direct: kind == 1,
    }
}

/// Whether this channel of a server has messages.
pub(super) fn is_text(channel: &Value) -> bool {
    TEXT_CHANNELS.contains(&number(channel, "/type"))
}

/// Id of a message that people or bots wrote; `None` for joins, pins and the like.
pub(super) fn written(message: &Value) -> Option<u64> {
    let is_written = MESSAGES.contains(&number(message, "/type"));
    text(message, "/id")
        .parse()
        .ok()
        .filter(|_| is_written && !text(message, "/author/id").is_empty())
}

pub(super) fn message(value: &Value, room: &Room, me: &str) -> Message {
    let is_me = |user: &Value| text(user, "/id") == me;
    let mentions = list(value, "/mentions");
    let answers_me = value.pointer("/referenced_message/author").is_some_and(is_me);
    let mut sender =
        sender(value.get("author").unwrap_or(&Value::Null), text(value, "/member/nick"));
    sender.is_bot |= some(value, "/webhook_id").is_some();
    Message {
        id: text(value, "/id").to_owned(),
        place: place(text(value, "/channel_id"), room),
        title: room.title.clone(),
        is_direct: room.is_direct,
        sender,
        text: named(text(value, "/content"), mentions),
        mentions_bot: answers_me || mentions.iter().any(is_me),
        reply_to: some(value, "/message_reference/message_id")
            .filter(|_| number(value, "/message_reference/type") == 0),
        files: list(value, "/attachments").iter().map(file).collect(),
        sent_at: text(value, "/timestamp").parse().unwrap_or_else(|_| sent_at(value)),
    }
}

/// A press of a button.
pub(super) fn press(interaction: &Value, room: &Room) -> Incoming {
    Incoming::Press(Press {
        id: text(interaction, "/id").to_owned(),
        place: place(text(interaction, "/channel_id"), room),
        message: text(interaction, "/message/id").to_owned(),
        sender: actor(interaction),
        data: text(interaction, "/data/custom_id").to_owned(),
    })
}

/// A slash command, as if it was written.
pub(super) fn command(interaction: &Value, room: &Room) -> Incoming {
    let words = list(interaction, "/data/options").iter().map(|option| text(option, "/value"));
    let name = text(interaction, "/data/name");
    let command = words.fold(format!("/{name}"), |all, word| format!("{all} {word}"));
    Incoming::Message(Message {
        id: text(interaction, "/id").to_owned(),
        place: place(text(interaction, "/channel_id"), room),
        title: room.title.clone(),
        is_direct: room.is_direct,
        sender: actor(interaction),
        text: command.trim_end().to_owned(),
        mentions_bot: true,
        reply_to: None,
        files: Vec::new(),
        sent_at: sent_at(interaction),
    })
}

/// A thread has the place of its channel.
pub(super) fn place(channel: &str, room: &Room) -> Place {
    match &room.parent {
        Some(parent) => Place { chat: parent.clone(), thread: Some(channel.to_owned()) },
        None => Place { chat: channel.to_owned(), thread: None },
    }
}

/// Who caused an interaction: a member of a server, or a user in a direct chat.
fn actor(interaction: &Value) -> Sender {
    let user = interaction.pointer("/member/user").or(interaction.get("user"));
    sender(user.unwrap_or(&Value::Null), text(interaction, "/member/nick"))
}

fn sender(user: &Value, nick: &str) -> Sender {
    let handle = text(user, "/username");
    let name = [nick, text(user, "/global_name"), handle].into_iter().find(|name| !name.is_empty());
    Sender {
        id: text(user, "/id").to_owned(),
        name: name.unwrap_or_default().to_owned(),
        handle: handle.to_owned(),
        is_bot: user.get("bot").and_then(Value::as_bool).unwrap_or_default(),
    }
}

/// Replaces ids in mentions with user names.
fn named(content: &str, mentions: &[Value]) -> String {
    mentions.iter().fold(content.to_owned(), |content, user| {
        let (id, name) = (text(user, "/id"), format!("@{}", text(user, "/username")));
        content.replace(&format!("<@{id}>"), &name).replace(&format!("<@!{id}>"), &name)
    })
}

fn file(attachment: &Value) -> FileRef {
    FileRef {
        id: text(attachment, "/url").to_owned(),
        name: text(attachment, "/filename").to_owned(),
        media_type: text(attachment, "/content_type").to_owned(),
        len: attachment.get("size").and_then(Value::as_u64),
        // Only voice messages have a waveform.
        voice_secs: some(attachment, "/waveform")
            .and(attachment.get("duration_secs").and_then(Value::as_f64))
            .map(|secs| secs.clamp(0.0, 86_400.0).ceil() as u32),
    }
}

/// The smallest id of that moment.
pub(super) fn id_at(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond() - EPOCH_MS).unwrap_or_default() << 22
}

fn sent_at(value: &Value) -> Timestamp {
    let id: i64 = text(value, "/id").parse().unwrap_or_default();
    moment((id >> 22) + EPOCH_MS)
}

pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}
