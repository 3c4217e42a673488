//! Received messages and deliveries.

use entity::{Area, Entity, Field, Fields, Meaning, Values, text_of};
use kernel::key::KeyBuf;
use kernel::{Can, Error};
use kit::{Acts, Extra, ExtraOf, Noun, Op, Reply, Row, Run, Tools};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError};
use tool::Effect;

use crate::model::{Delivery, DeliveryId, DeliveryState, Message, MessageState, PayloadKind};
use crate::rules;

use super::{OP, page, title_or};

pub static MESSAGE: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    // The text is left out: direct chats are private.
    fields: &[
        Field::text("channel", "channel"),
        Field::text("sender_name", "sender").called("title"),
        Field::text("state", "state"),
        Field::text("verdict", "decision"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::stamp("sent_at", "sent"),
        Field::stamp("received_at", "received"),
    ],
    title: |record| title_or(record, "sender_name", "Message"),
    path: |_| "settings/channel-messages".to_owned(),
    undo: None,
    missing: "channel_message_not_found",
    ..Entity::of::<Message>("channel-message", "received message", "received messages")
};

pub static MESSAGES: Noun = Noun {
    acts: Acts::NONE,
    write: Can::Admin,
    param: "message",
    select: Some(kit::Select { params: &[], keys: newest::<Message> }),
    ops: &[Op {
        name: "answer",
        about: "Answer a message that arrived too late",
        verb: "Answer now",
        done: "Passed on the message of",
        run: Run::Write(|cx, tx| Ok(Reply::record(&rules::answer_now(tx, cx.id()?)?.id))),
        ..OP
    }],
    page: page("Received", message_row, ""),
    ..Noun::of(&MESSAGE, "channel-messages", "The last 200 messages, and what happened to each")
};

fn message_row(record: &Fields) -> Row {
    let at = MessageState::WORDS.iter().position(|known| *known == text_of(record, "state"));
    let tone = match at.map(|at| MessageState::ALL[at]) {
        Some(MessageState::Passed) => "ok",
        Some(MessageState::Held) => "warn",
        _ => "",
    };
    Row {
        name: title_or(record, "sender_name", "Message"),
        about: kernel::text::capitalized(text_of(record, "verdict")),
        state: at.map(|at| (MessageState::LABELS[at], tone)),
        ..Row::default()
    }
}

/// The newest 200 records.
fn newest<R: store::Record>(read: &dyn Read, _: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let all: Vec<R> = read.list(&store::Range::all().reverse().limit(200))?;
    Ok(all.iter().map(|one| KeyBuf::of(&one.id()).into_bytes()).collect())
}

pub static DELIVERY: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("state", "state"),
        Field::text("detail", "reason"),
        Field::text("run", "run").hidden(),
        Field::text("part", "part"),
        Field::text("parts", "parts"),
        Field::text("attempts", "attempts"),
        Field::stamp("created_at", "created"),
        Field::stamp("sent_at", "sent").optional(),
    ],
    title: |_| "Message".to_owned(),
    path: |_| "settings/channel-deliveries".to_owned(),
    undo: None,
    missing: "delivery_not_found",
    ..Entity::of::<Delivery>("channel-delivery", "delivery", "deliveries")
};

pub static DELIVERIES: Noun = Noun {
    acts: Acts::NONE,
    write: Can::Admin,
    param: "delivery",
    select: Some(kit::Select { params: &[], keys: newest::<Delivery> }),
    extra: Some(Extra { schema: kind_schema, prepare: kinds, in_lists: false }),
    ops: &[
        Op {
            name: "resend",
            effect: Effect::External,
            about: "Send a message again that did not arrive",
            verb: "Send again",
            done: "Queued",
            run: Run::Write(|cx, tx| {
                rules::resend(tx, cx.id()?)?;
                Ok(Reply::Record(cx.key()?.to_vec()))
            }),
            ..OP
        },
        Op {
            name: "dismiss",
            about: "Give up a message that did not arrive",
            verb: "Dismiss",
            done: "Dismissed",
            run: Run::Write(|cx, tx| {
                rules::dismiss(tx, cx.id()?)?;
                Ok(Reply::Record(cx.key()?.to_vec()))
            }),
            ..OP
        },
    ],
    tools: Tools::NONE,
    page: page("Sent", delivery_row, ""),
    ..Noun::of(&DELIVERY, "channel-deliveries", "The last 200 messages of your agents")
};

fn kind_schema() -> Fields {
    let kind = json!({ "type": "string", "enum": PayloadKind::WORDS });
    Fields::from_iter([("kind".to_owned(), kind)])
}

/// What was sent. Its text is left out: direct chats are private.
fn kinds(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |delivery| {
        let Ok(id) = text_of(delivery, "id").parse::<DeliveryId>() else {
            return Ok(Fields::new());
        };
        let kind = read.get::<Delivery>(id)?.map(|one| one.payload.kind().word());
        Ok(Fields::from_iter([("kind".to_owned(), json!(kind.unwrap_or_default()))]))
    }))
}

fn delivery_row(record: &Fields) -> Row {
    let at = DeliveryState::WORDS.iter().position(|known| *known == text_of(record, "state"));
    let tone = match at.map(|at| DeliveryState::ALL[at]) {
        Some(DeliveryState::Sent) => "ok",
        Some(DeliveryState::Failed | DeliveryState::Expired) => "bad",
        Some(DeliveryState::Unknown) => "warn",
        _ => "",
    };
    let number = |key: &str| record.get(key).and_then(Value::as_i64).unwrap_or(1);
    let kind = PayloadKind::WORDS.iter().position(|known| *known == text_of(record, "kind"));
    let kind = kind.map_or("Message", |at| PayloadKind::LABELS[at]);
    let name = match number("parts") {
        1 => kind.to_owned(),
        parts => format!("{kind}, part {} of {parts}", number("part")),
    };
    let about = text_of(record, "detail").to_owned();
    Row { name, about, state: at.map(|at| (DeliveryState::LABELS[at], tone)), ..Row::default() }
}
