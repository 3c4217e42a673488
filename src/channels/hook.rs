//! Signed events that bridges send to a webhook channel. The format is in `docs/bridges.md`.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
pub use channel_adapters::webhook::Signed;
use channel_adapters::webhook::Signer;
use channel_adapters::{self as adapters, FileRef, Incoming, Place, Press};
use features::runs::model::{MAX_ATTACHED, MAX_ATTACHED_BYTES};
use kernel::{Error, FieldError, ProblemKind, Timestamp, TypedId as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use store::{Lane, WriteTx};
use web::extract;
use web::multipart::{FormError, Multipart};

use crate::model::{Channel, DeliveryId, ReceiptState};
use crate::rules::{Context, Files};
use crate::{queries, rules, worker};

/// Path of incoming messages, before the random part of the address.
pub const PATH: &str = "/hooks/channels/";
/// Most files of a form. What an agent gets is limited further.
const MAX_FILES: usize = 32;
/// Longest id in characters.
const MAX_ID: usize = 255;

/// Largest JSON text, and largest body with files, in bytes.
pub const MAX_EVENT: usize = 1024 * 1024;
pub const MAX_FORM: usize = MAX_EVENT + MAX_ATTACHED_BYTES as usize;

/// Verifies and stores an event. Returns `false` if it was received before.
///
/// # Errors
/// `bad_signature`, `channel_off`, or the invalid field.
pub async fn receive(
    cx: &Context,
    channel: &Channel,
    signed: Signed<'_>,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<bool, Error> {
    let ws = &cx.ws;
    let now = ws.app.clock.now();
    if !is_signed(cx, channel, signed, &body, now) {
        let message = "the signature is wrong or older than five minutes; sign id, time and body \
                       with the channel's secret";
        return Err(Error::new(ProblemKind::Unauthorized, "bad_signature", message));
    }
    let (text, mut given) = match is_form(headers) {
        true => form(headers, body).await?,
        false => (body, Vec::new()),
    };
    let mut event = match event(&text, now)? {
        Event::Incoming(event) => *event,
        Event::Receipt(key, state, detail) => {
            let id = channel.id;
            let body = move |tx: &mut WriteTx<'_>| rules::receipt(tx, id, (key, state, &detail));
            return ws.store.write_in(Lane::First, worker::BY.0, worker::BY.1, body).await;
        }
    };
    if let Incoming::Message(message) = &mut event {
        for (n, (file, _)) in given.iter_mut().enumerate() {
            // The length belongs to the first file, which is the voice note.
            file.voice_secs = message.files.first().and_then(|it| it.voice_secs).filter(|_| n == 0);
        }
        message.files = given.iter().map(|(file, _)| file.clone()).collect();
    }
    let (is_held, is_known, takes_files) = ws.read(|snap| {
        let (known, takes) = match &event {
            Incoming::Message(new) => (
                queries::is_known(snap, channel.id, &new.place.chat, &new.id)?.is_some(),
                rules::takes_files(snap, channel.id, new, now)?,
            ),
            _ => (false, false),
        };
        Ok::<_, Error>((worker::is_held(ws, snap)?, known, takes))
    })?;
    if is_known {
        return Ok(false);
    }
    if is_held || !worker::is_on(channel) {
        let message = "this channel is off or its workspace is paused; send it again later";
        return Err(Error::new(ProblemKind::Unavailable, "channel_off", message));
    }
    let intake = worker::Intake { cx: cx.clone(), channel: channel.id };
    let mut files = Files::default();
    for (file, bytes) in given {
        let received = match takes_files && files.attached.len() < MAX_ATTACHED {
            true => intake.put(&file, bytes).await,
            false => Err("was not received".to_owned()),
        };
        files.add(&file, received);
    }
    intake.store(event, files).await?;
    Ok(true)
}

/// Whether the body is a form with files.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("multipart/form-data")
}

/// The parts of a form: the text of the event, and the files.
async fn form(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, Vec<(FileRef, Vec<u8>)>), Error> {
    let broken = |error: FormError| {
        Error::invalid(vec![FieldError::new("body".to_owned(), error.to_string())])
    };
    let mut form = Multipart::new(headers, Body::from(body)).map_err(broken)?;
    let (mut event, mut files) = (None, Vec::new());
    while let Some(part) = form.part().await.map_err(broken)? {
        let mut bytes = Vec::new();
        while let Some(piece) = form.piece().await.map_err(broken)? {
            bytes.extend_from_slice(&piece);
        }
        match (part.name.as_str(), part.file) {
            ("event", _) if bytes.len() <= MAX_EVENT => event = Some(Bytes::from(bytes)),
            ("event", _) => return Err(Error::field("event", "Send at most 1 MiB of JSON.")),
            (_, name) if files.len() < MAX_FILES => {
                let name = name.unwrap_or(part.name);
                let len = Some(bytes.len() as u64);
                files.push((FileRef { name, len, ..FileRef::default() }, bytes));
            }
            _ => return Err(Error::field("file", "Send at most 32 files.")),
        }
    }
    let missing = || Error::field("event", "The form has no part “event” with the JSON.");
    Ok((event.ok_or_else(missing)?, files))
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
    Receipt,
}

/// What a bridge sent.
#[derive(Debug)]
enum Event {
    Incoming(Box<Incoming>),
    Receipt(DeliveryId, ReceiptState, String),
}

#[derive(Deserialize)]
struct Envelope<D> {
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
    /// Length of the first file, a voice note.
    voice_secs: Option<u32>,
}

/// An id of HQ, 32 hexadecimal digits.
struct Key(DeliveryId);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let bytes: Option<[u8; 16]> = hex::decode(&text).ok().and_then(|it| it.try_into().ok());
        let wrong = || serde::de::Error::custom("a key has 32 hexadecimal digits");
        Ok(Self(DeliveryId::from_bytes(bytes.ok_or_else(wrong)?)))
    }
}

#[derive(Deserialize)]
struct NewReceipt {
    key: Key,
    state: ReceiptState,
    #[serde(default)]
    detail: String,
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

fn object<D: DeserializeOwned>(body: &[u8]) -> Result<Envelope<D>, Error> {
    let refused = |wrong: extract::InputError| {
        Error::invalid(vec![FieldError::new(wrong.field, wrong.message)])
    };
    extract::object(body).map_err(refused)
}

fn event(body: &[u8], now: Timestamp) -> Result<Event, Error> {
    let Envelope { kind, data: IgnoredAny } = object(body)?;
    Ok(Event::Incoming(Box::new(match kind {
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
        Kind::Receipt => {
            let data: NewReceipt = object(body)?.data;
            return Ok(Event::Receipt(data.key.0, data.state, data.detail));
        }
    })))
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
        files: match data.voice_secs {
            Some(secs) => vec![FileRef { voice_secs: Some(secs), ..FileRef::default() }],
            None => Vec::new(),
        },
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

    use crate::model::ReceiptState;

    use super::{Event, event};

    fn read(body: &Value) -> Result<Incoming, String> {
        match event(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH) {
            Ok(Event::Incoming(incoming)) => Ok(*incoming),
            Ok(Event::Receipt(..)) => panic!("a receipt"),
            Err(error) => Err(error.fields().remove(0).field),
        }
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
            ("/type", json!("poke"), "type"),
            ("/type", json!("receipt"), "data.key"),
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
        let receipt =
            json!({ "type": "receipt", "data": { "key": "0f".repeat(16), "state": "read" } });
        let receipt = event(receipt.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
        assert!(matches!(receipt, Ok(Event::Receipt(_, ReceiptState::Read, _))), "{receipt:?}");
        assert!(event(b"[]", Timestamp::UNIX_EPOCH).is_err());
    }
}
