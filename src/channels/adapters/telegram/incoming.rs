//! Updates of the Bot API as events. Updates of an unknown form are skipped.

use std::collections::BTreeMap;

use kernel::time;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{FileRef, Incoming, Message, Place, Press, Sender};

/// Maximum length of a name in characters.
const MAX_NAME: usize = 100;

/// The bot itself.
#[derive(Clone, Debug)]
pub(super) struct Me {
    pub id: i64,
    pub handle: String,
}

/// Updates as events.
pub(super) struct Updates {
    pub events: Vec<Incoming>,
    /// Offset after the last one; `None` without an update.
    pub next: Option<i64>,
}

/// Reads the result of `getUpdates`; `None` if it is not a list.
pub(super) fn updates(result: &str, me: &Me) -> Option<Updates> {
    let all: Vec<&RawValue> = serde_json::from_str(result).ok()?;
    let mut found = Updates { events: Vec::new(), next: None };
    for raw in all {
        // The number is read separately, so that a malformed update is skipped and not requested again.
        let parts: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(raw.get()).ok();
        let number = parts.and_then(|parts| parts.get("update_id")?.get().parse::<i64>().ok());
        let Some(number) = number else { continue };
        found.next = found.next.max(Some(number.saturating_add(1)));
        // ok: a malformed update is skipped.
        let update: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        found.events.extend(event(&update, me));
    }
    Some(found)
}

fn event(update: &Value, me: &Me) -> Option<Incoming> {
    if let Some(from) = update.get("message") {
        if let Some(to) = number(&from["migrate_to_chat_id"]) {
            return Some(Incoming::Moved { from: number(&from["chat"]["id"])?, to });
        }
        return message(from, me).map(Incoming::Message);
    }
    if let Some(from) = update.get("edited_message") {
        return message(from, me).map(Incoming::Edit);
    }
    if let Some(from) = update.get("callback_query") {
        return press(from).map(Incoming::Press);
    }
    membership(update.get("my_chat_member")?)
}

fn message(from: &Value, me: &Me) -> Option<Message> {
    let (text, entities) = match from["text"].as_str() {
        Some(text) => (text, &from["entities"]),
        None => (from["caption"].as_str().unwrap_or_default(), &from["caption_entities"]),
    };
    let files = files(from);
    if text.is_empty() && files.is_empty() {
        return None;
    }
    let is_direct = from["chat"]["type"] == "private";
    // In a topic, a message without an answered one refers to the topic's beginning.
    let answered = &from["reply_to_message"];
    let answered = if answered["forum_topic_created"].is_null() { answered } else { &Value::Null };
    let is_reply = answered["from"]["id"].as_i64() == Some(me.id);
    let title = if is_direct { String::new() } else { text_of(&from["chat"]["title"]) };
    Some(Message {
        id: number(&from["message_id"])?,
        place: place(from)?,
        title,
        is_direct,
        sender: sender(from)?,
        text: text.to_owned(),
        mentions_bot: is_reply || mentions(text, entities, me),
        reply_to: number(&answered["message_id"]),
        files,
        sent_at: time::from_ms(from["date"].as_i64()?.saturating_mul(1000)),
    })
}

fn press(from: &Value) -> Option<Press> {
    Some(Press {
        id: from["id"].as_str()?.to_owned(),
        place: place(&from["message"])?,
        message: number(&from["message"]["message_id"])?,
        sender: person(&from["from"])?,
        data: from["data"].as_str()?.to_owned(),
    })
}

fn membership(from: &Value) -> Option<Incoming> {
    let member = &from["new_chat_member"];
    let is_member = match member["status"].as_str()? {
        "member" | "administrator" | "creator" => true,
        "restricted" => member["is_member"].as_bool()?,
        "left" | "kicked" => false,
        _ => return None,
    };
    Some(Incoming::Membership { place: place(from)?, is_member })
}

fn place(from: &Value) -> Option<Place> {
    let is_topic = from["is_topic_message"] == true;
    let thread = if is_topic { number(&from["message_thread_id"]) } else { None };
    Some(Place { chat: number(&from["chat"]["id"])?, thread })
}

/// The sender. A message in the name of a chat does not show who wrote it.
fn sender(from: &Value) -> Option<Sender> {
    let Some(chat) = from.get("sender_chat") else { return person(&from["from"]) };
    Some(Sender {
        id: number(&chat["id"])?,
        name: shortened(chat["title"].as_str().unwrap_or_default()),
        handle: text_of(&chat["username"]),
        is_bot: true,
    })
}

fn person(from: &Value) -> Option<Sender> {
    let (first, last) = (text_of(&from["first_name"]), text_of(&from["last_name"]));
    Some(Sender {
        id: number(&from["id"])?,
        name: shortened(format!("{first} {last}").trim()),
        handle: text_of(&from["username"]),
        is_bot: from["is_bot"] == true,
    })
}

fn mentions(text: &str, entities: &Value, me: &Me) -> bool {
    let handle = format!("@{}", me.handle.to_lowercase());
    let part = |entity: &Value| {
        let skip = usize::try_from(entity["offset"].as_u64()?).ok()?;
        let take = usize::try_from(entity["length"].as_u64()?).ok()?;
        let units: Vec<u16> = text.encode_utf16().skip(skip).take(take).collect();
        Some(String::from_utf16_lossy(&units).to_lowercase())
    };
    let means = |entity: &Value| match entity["type"].as_str() {
        Some("mention") => part(entity).is_some_and(|part| part == handle),
        Some("bot_command") => part(entity).is_some_and(|part| part.ends_with(&handle)),
        Some("text_mention") => entity["user"]["id"].as_i64() == Some(me.id),
        _ => false,
    };
    entities.as_array().is_some_and(|entities| entities.iter().any(means))
}

/// Kinds of files, with the name and type of those that have none.
const FILES: [(&str, &str, &str); 6] = [
    ("document", "file", ""),
    ("voice", "voice.ogg", "audio/ogg"),
    ("audio", "audio.mp3", "audio/mpeg"),
    ("video", "video.mp4", "video/mp4"),
    ("video_note", "video.mp4", "video/mp4"),
    ("sticker", "sticker.webp", "image/webp"),
];

fn files(from: &Value) -> Vec<FileRef> {
    let photo = from["photo"].as_array().and_then(|sizes| {
        let largest = sizes.iter().max_by_key(|size| size["width"].as_u64())?;
        file(largest, "photo.jpg", "image/jpeg")
    });
    let others = FILES.iter().filter_map(|(kind, name, media_type)| {
        let of = from.get(kind)?;
        let (name, media_type) = match (&of["is_animated"], &of["is_video"]) {
            (Value::Bool(true), _) => ("sticker.tgs", "application/x-tgsticker"),
            (_, Value::Bool(true)) => ("sticker.webm", "video/webm"),
            _ => (*name, *media_type),
        };
        let mut found = file(of, name, media_type)?;
        if *kind == "voice" {
            found.voice_secs = of["duration"].as_u64().and_then(|secs| u32::try_from(secs).ok());
        }
        Some(found)
    });
    photo.into_iter().chain(others).collect()
}

fn file(of: &Value, name: &str, media_type: &str) -> Option<FileRef> {
    Some(FileRef {
        id: of["file_id"].as_str()?.to_owned(),
        name: of["file_name"].as_str().unwrap_or(name).to_owned(),
        media_type: of["mime_type"].as_str().unwrap_or(media_type).to_owned(),
        len: of["file_size"].as_u64(),
        voice_secs: None,
    })
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Option<String> {
    value.as_i64().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_update_is_passed_and_those_behind_it_are_read() {
        let me = Me { id: 7, handle: "ada_bot".to_owned() };
        let good = r#"{"update_id":3,"message":{"message_id":1,"chat":{"id":1},
            "from":{"id":1},"date":1,"text":"good"}}"#;
        let all = format!(
            r#"[{{"update_id":1,"message":{{"text":"\ud800"}}}},[],{{"update_id":"x"}},{good},
            {{"update_id":4,"message":{}{}}}]"#,
            "[".repeat(500),
            "]".repeat(500),
        );
        let found = updates(&all, &me).unwrap();
        assert_eq!((found.events.len(), found.next), (1, Some(5)));
        assert!(updates("{}", &me).is_none());
    }
}
