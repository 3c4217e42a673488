//! Received messages and deliveries.

use entity::{Area, Entity, Field, Fields, Meaning, Values, text_of};
use features::files::rules::NewFile;
use features::tasks::queries as tasks;
use kernel::key::KeyBuf;
use kernel::{Can, Error, ProblemKind};
use kit::{Acts, Extra, ExtraOf, Noun, Op, OpCx, Prepared, Reply, Row, Run, Tools};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::Effect;

use crate::model::{
    ChannelMessageId, Delivery, DeliveryId, DeliveryState, Message, MessageState, PayloadKind,
    ReceiptState,
};
use crate::{queries, rules};

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
    select: Some(kit::Select { params: &[], keys: newest }),
    extra: Some(Extra { schema: files_schema, prepare: files, in_lists: false }),
    ops: &[
        Op {
            name: "answer",
            about: "Answer a message that arrived too late",
            verb: "Answer now",
            done: "Passed on the message of",
            offered: |message| text_of(message, "state") == MessageState::Held.word(),
            run: Run::Write(|cx, tx| Ok(Reply::record(&rules::answer_now(tx, cx.id()?)?.id))),
            ..OP
        },
        Op {
            name: "attach",
            about: "Attach the files of a message to a task",
            verb: "Attach to task",
            done: "Attached the files of",
            input: &[Field::line("task", "task")
                .required()
                .max(200)
                .about("its number, such as MC-1")],
            offered: |message| message.get("files").is_some_and(|files| *files != json!([])),
            run: Run::Prepared(files_of, attach),
            ..OP
        },
    ],
    page: page("Received", message_row, ""),
    ..Noun::of(&MESSAGE, "channel-messages", "The last 200 messages, and what happened to each")
};

fn files_schema() -> Fields {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    Fields::from_iter([("files".to_owned(), names)])
}

/// The names of a message's files. Files that were not accepted are missing.
fn files(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |message| {
        let Ok(id) = text_of(message, "id").parse::<ChannelMessageId>() else {
            return Ok(Fields::new());
        };
        let files = queries::files(read, id)?;
        let names: Vec<String> = files.into_iter().map(|file| file.name).collect();
        Ok(Fields::from_iter([("files".to_owned(), json!(names))]))
    }))
}

/// Reads the content of a message's files to detect their types.
fn files_of(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let id: ChannelMessageId = cx.id()?;
    let files = ws.read(|snap| queries::files(snap, id))?;
    if files.is_empty() {
        let message = "this message has no files";
        return Err(Error::new(ProblemKind::Conflict, "no_files", message));
    }
    let mut new = Vec::new();
    for file in files {
        let gone = |error: std::io::Error| {
            let message = format!("the file {} can’t be read: {error}", file.name);
            Error::new(ProblemKind::Unavailable, "file_unreadable", message)
        };
        let bytes = ws.blobs.get(file.blob, file.len).map_err(gone)?;
        let media = web::file::Kind::of(&bytes).media();
        let (name, blob, size) = (web::file::clean_name(&file.name), file.blob, file.len);
        new.push(NewFile { name, blob, size, media });
    }
    Ok(Box::new(new))
}

fn attach(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, files: Prepared) -> Result<Reply, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the files were lost");
    let files = *files.downcast::<Vec<NewFile>>().map_err(lost)?;
    let task = tasks::resolve(tx, cx.text("task"));
    let task =
        task.map_err(|error| Error::field("task", web::form::sentence(&error.to_string())))?;
    let known = features::files::queries::of(tx, task.id.into())?;
    let is_there =
        |new: &NewFile| known.iter().any(|one| one.blob == new.blob && one.name == new.name);
    for file in files.into_iter().filter(|new| !is_there(new)) {
        features::files::rules::attach(tx, task.id, file).map_err(Error::of)?;
    }
    Ok(Reply::Record(cx.key()?.to_vec()))
}

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

/// The newest 200 messages.
fn newest(read: &dyn Read, _: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let all: Vec<Message> = read.list(&store::Range::all().reverse().limit(200))?;
    Ok(all.iter().map(|one| KeyBuf::of(&one.id).into_bytes()).collect())
}

/// The newest 200 deliveries that people see as messages.
fn newest_deliveries(read: &dyn Read, _: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let all: Vec<Delivery> = read.list(&store::Range::all().reverse().limit(400))?;
    let shown = all.iter().filter(|one| !one.payload.is_passing()).take(200);
    Ok(shown.map(|one| KeyBuf::of(&one.id).into_bytes()).collect())
}

pub static DELIVERY: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("state", "state"),
        Field::text("detail", "reason"),
        Field::text("receipt", "receipt").optional(),
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
    select: Some(kit::Select { params: &[], keys: newest_deliveries }),
    extra: Some(Extra { schema: kind_schema, prepare: kinds, in_lists: false }),
    ops: &[
        Op {
            name: "resend",
            effect: Effect::External,
            about: "Send a message again that did not arrive",
            verb: "Send again",
            done: "Queued",
            offered: |one| {
                is_state(
                    one,
                    &[DeliveryState::Failed, DeliveryState::Expired, DeliveryState::Unknown],
                )
            },
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
            offered: |one| {
                !is_state(
                    one,
                    &[DeliveryState::Sending, DeliveryState::Sent, DeliveryState::Suppressed],
                )
            },
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

fn is_state(delivery: &Fields, states: &[DeliveryState]) -> bool {
    states.iter().any(|state| state.word() == text_of(delivery, "state"))
}

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
    let reported = ReceiptState::WORDS.iter().position(|it| *it == text_of(record, "receipt"));
    let about = match (text_of(record, "detail"), reported) {
        ("", Some(at)) => ReceiptState::LABELS[at].to_owned(),
        (detail, _) => detail.to_owned(),
    };
    Row { name, about, state: at.map(|at| (DeliveryState::LABELS[at], tone)), ..Row::default() }
}
