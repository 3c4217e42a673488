//! Signed events that bridges send to a webhook channel. The format is in `docs/bridges.md`.

pub use channel_adapters::webhook::Signed;
use channel_adapters::webhook::Signer;
use channel_adapters::{self as adapters, Incoming, Place, Press};
use kernel::{Error, FieldError, ProblemKind, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use web::extract;

use crate::model::Channel;
use crate::rules::{Context, Files};
use crate::{queries, worker};

/// Path of incoming messages, before the random part of the address.
pub const PATH: &str = "/hooks/channels/";
/// Longest id in characters.
const MAX_ID: usize = 255;

/// Verifies and stores an event. Returns `false` if the message was received before.
///
/// # Errors
/// `bad_signature`, `channel_off`, or the invalid field.
pub async fn receive(
    cx: &Context,
    channel: &Channel,
    signed: Signed<'_>,
    body: &[u8],
) -> Result<bool, Error> {
    let ws = &cx.ws;
    let now = ws.app.clock.now();
    if !is_signed(cx, channel, signed, body, now) {
        let message = "the signature is wrong or older than five minutes; sign id, time and body \
                       with the channel's secret";
        return Err(Error::new(ProblemKind::Unauthorized, "bad_signature", message));
    }
    let event = event(body, now)?;
    let (is_held, is_known) = ws.read(|snap| {
        let known = match &event {
            Incoming::Message(new) => {
                queries::is_known(snap, channel.id, &new.place.chat, &new.id)?.is_some()
            }
            _ => false,
        };
        Ok::<_, Error>((worker::is_held(ws, snap)?, known))
    })?;
    if is_known {
        return Ok(false);
    }
    if is_held || !worker::is_on(channel) {
        let message = "this channel is off or its workspace is paused; send it again later";
        return Err(Error::new(ProblemKind::Unavailable, "channel_off", message));
    }
    let intake = worker::Intake { cx: cx.clone(), channel: channel.id };
    intake.store(event, Files::default()).await?;
    Ok(true)
}

/// A channel without a secret accepts nothing.
fn is_signed(
    cx: &Context,
    channel: &Channel,
    signed: Signed<'_>,
    body: &[u8],
    now: Timestamp,
) -> bool {
    let tokens = worker::tokens(&cx.ws, channel).unwrap_or_default();
    let secret = tokens.first().and_then(|token| token.expose_text().ok());
    let signer = secret.and_then(Signer::of);
    signer.is_some_and(|signer| signer.verify(signed, body, now.as_second()))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Message,
    Edit,
    Press,
}

#[derive(Deserialize)]
struct Event<D> {
    #[serde(rename = "type")]
    kind: Kind,
    data: D,
}

/// An id of the other messenger.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let len = text.chars().count();
        if !(1..=MAX_ID).contains(&len) || text.chars().any(char::is_control) {
            let message = "an id has 1 to 255 characters without control characters";
            return Err(serde::de::Error::custom(message));
        }
        Ok(Self(text))
    }
}

#[derive(Deserialize)]
struct Sender {
    id: Id,
    name: String,
    #[serde(default)]
    handle: String,
    #[serde(default)]
    is_bot: bool,
}

#[derive(Deserialize)]
struct NewMessage {
    chat: Id,
    thread: Option<Id>,
    #[serde(default)]
    title: String,
    is_direct: bool,
    sender: Sender,
    id: Id,
    text: String,
    #[serde(default)]
    mentions_bot: bool,
    reply_to: Option<Id>,
    sent_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct NewPress {
    id: Id,
    chat: Id,
    thread: Option<Id>,
    message: Id,
    sender: Sender,
    data: String,
}

fn object<D: DeserializeOwned>(body: &[u8]) -> Result<Event<D>, Error> {
    let refused = |wrong: extract::InputError| {
        Error::invalid(vec![FieldError::new(wrong.field, wrong.message)])
    };
    extract::object(body).map_err(refused)
}

fn event(body: &[u8], now: Timestamp) -> Result<Incoming, Error> {
    let Event { kind, data: IgnoredAny } = object(body)?;
    Ok(match kind {
        Kind::Message => Incoming::Message(message(object(body)?.data, now)),
        Kind::Edit => Incoming::Edit(message(object(body)?.data, now)),
        Kind::Press => {
            let data: NewPress = object(body)?.data;
            Incoming::Press(Press {
                id: data.id.0,
                place: place(data.chat, data.thread),
                message: data.message.0,
                sender: sender(data.sender),
                data: data.data,
            })
        }
    })
}

fn message(data: NewMessage, now: Timestamp) -> adapters::Message {
    adapters::Message {
        id: data.id.0,
        place: place(data.chat, data.thread),
        title: data.title,
        is_direct: data.is_direct,
        sender: sender(data.sender),
        text: data.text,
        mentions_bot: data.mentions_bot,
        reply_to: data.reply_to.map(|id| id.0),
        files: Vec::new(),
        sent_at: data.sent_at.unwrap_or(now),
    }
}

fn place(chat: Id, thread: Option<Id>) -> Place {
    Place { chat: chat.0, thread: thread.map(|id| id.0) }
}

fn sender(data: Sender) -> adapters::Sender {
    let Sender { id, name, handle, is_bot } = data;
    adapters::Sender { id: id.0, name, handle, is_bot }
}

#[cfg(test)]
mod tests {
    use channel_adapters::Incoming;
    use kernel::{Problem as _, Timestamp};
    use serde_json::{Value, json};

    use super::event;

    fn read(body: &Value) -> Result<Incoming, String> {
        let read = event(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
        read.map_err(|error| error.fields().remove(0).field)
    }

    #[test]
    fn events_are_read_and_the_wrong_field_is_named() {
        let full = json!({ "type": "message", "data": {
            "chat": "!a", "thread": "t", "title": "Sales", "is_direct": false, "id": "$1",
            "sender": { "id": "@bob", "name": "Bob", "handle": "bob", "is_bot": true },
            "text": "Hi", "mentions_bot": true, "reply_to": "$0", "sent_at": "2026-11-30T07:00:00Z",
        }});
        let Ok(Incoming::Message(message)) = read(&full) else { panic!() };
        assert_eq!(
            (message.place.chat.as_str(), message.place.thread.as_deref()),
            ("!a", Some("t"))
        );
        assert_eq!((message.id.as_str(), message.reply_to.as_deref()), ("$1", Some("$0")));
        assert!(message.sender.is_bot && message.mentions_bot && !message.is_direct);
        assert_eq!(message.sent_at.as_second(), 1_796_022_000);

        let small = json!({
            "chat": "c", "is_direct": true, "id": "1", "text": "", "sender": { "id": "b", "name": "" },
        });
        let edit = read(&json!({ "type": "edit", "data": small }));
        assert!(matches!(edit, Ok(Incoming::Edit(one)) if one.sent_at == Timestamp::UNIX_EPOCH));
        let press = json!({ "type": "press", "data": {
            "id": "p", "chat": "c", "message": "m", "data": "d", "sender": { "id": "b", "name": "" },
        }});
        assert!(matches!(read(&press), Ok(Incoming::Press(one)) if one.data == "d"));

        for (path, value, field) in [
            ("/type", json!("receipt"), "type"),
            ("/data/chat", json!(7), "data.chat"),
            ("/data/chat", json!(""), "data.chat"),
            ("/data/id", json!("x".repeat(256)), "data.id"),
            ("/data/sender/id", json!("a\u{0}"), "data.sender.id"),
            ("/data/sender", json!({ "name": "Bob" }), "data.sender.id"),
            ("/data/sent_at", json!("yesterday"), "data.sent_at"),
        ] {
            let mut wrong = full.clone();
            *wrong.pointer_mut(path).unwrap() = value;
            assert_eq!(read(&wrong), Err(field.to_owned()), "{wrong}");
        }
        assert!(event(b"[]", Timestamp::UNIX_EPOCH).is_err());
    }
}
