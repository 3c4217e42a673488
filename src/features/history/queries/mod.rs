//! Reads of history and undo previews.

pub mod access;
pub mod error;
pub mod fields;
pub mod files;
pub mod guard;
pub mod meanwhile;
pub mod names;
pub mod outlook;
pub mod preview;
pub mod readable;
pub mod scope;
pub mod shown;
pub mod versions;

use uuid::Uuid;

use crate::agents::model::AGENTS;
use crate::agents::queries as agents;
use crate::runs::model::RUNS;
use crate::runs::queries as runs;
use crate::tasks::model::TASKS;
use crate::tasks::queries as tasks;
use app::Ws;
use kernel::TypedId as _;
use kernel::key::KeyBuf;
use store::{Cursor, Read, ReadExt, Record, Root, Schema, Store, StoreError};
use web::session::Person;

use error::HistoryError;
use readable::{Eye, Looker};

/// Placeholder for the key of a singleton record, such as the settings.
const ONLY_ONE: &str = "-";

/// Record in a URL, if this person may read its history. Tasks, agents and runs may also be given by name.
///
/// # Errors
/// `NoHistory` if there is no such table for this person, `NotFound` if the id is invalid.
pub fn record(
    read: &dyn Read,
    schema: &Schema,
    who: &Person,
    (table, id): (&str, &str),
) -> Result<Root, HistoryError> {
    let info = schema.named(table).filter(|info| access::may_read(who.access, info.number));
    let info = info.ok_or_else(|| HistoryError::NoHistory(table.chars().take(40).collect()))?;
    let nothing = || HistoryError::NotFound(id.chars().take(60).collect());
    let key = match (Uuid::try_parse(id), info.number) {
        (Ok(id), _) => id.into_bytes().to_vec(),
        (Err(_), number) if number == TASKS.number => {
            let task = tasks::resolve(read, id).map_err(|_| nothing())?;
            task.id.uuid().into_bytes().to_vec()
        }
        (Err(_), number) if number == AGENTS.number => {
            let agent = agents::by_slug(&read, id)?.ok_or_else(nothing)?;
            agent.id.uuid().into_bytes().to_vec()
        }
        (Err(_), number) if number == RUNS.number => {
            let run = runs::by_name(&read, id)?.ok_or_else(nothing)?;
            run.id.uuid().into_bytes().to_vec()
        }
        (Err(_), _) if id == ONLY_ONE => KeyBuf::of(&()).into_bytes(),
        (Err(_), _) => hex::decode(id).map_err(|_| nothing())?,
    };
    let text = info.ops.as_ref().and_then(|ops| (ops.key_text)(&key));
    if text.is_none() {
        return Err(nothing());
    }
    let record = Root { table: info.number, key };
    match Eye::new(read, Looker::of(who)).sees_record(schema, &record)? {
        true => Ok(record),
        false => Err(nothing()),
    }
}

/// Parses a history cursor from `next`.
///
/// # Errors
/// `BadCursor` if it is invalid, `OtherLife` if it is from before a restore, after which the numbers denote other
/// entries.
pub fn place(store: &Store, text: Option<&str>) -> Result<Option<u64>, HistoryError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let cursor: Cursor = text.parse().map_err(|_| HistoryError::BadCursor)?;
    match cursor.incarnation == store.incarnation() {
        true => Ok(Some(cursor.seq)),
        false => Err(HistoryError::OtherLife),
    }
}

/// Formats a history cursor.
#[must_use]
pub fn next_place(store: &Store, seq: u64) -> String {
    Cursor { incarnation: store.incarnation(), seq }.to_string()
}

#[must_use]
pub fn key_of<K: kernel::key::Key>(record: &Root) -> Option<K> {
    kernel::key::decode(&record.key)
}

/// Returns `true` for a singleton record, such as the settings.
#[must_use]
pub fn is_only_one(record: &Root) -> bool {
    record.key == KeyBuf::of(&()).bytes()
}

/// Record id as used in URLs.
#[must_use]
pub fn id_text(schema: &Schema, record: &Root) -> String {
    let ops = schema.table(record.table).and_then(|info| info.ops.as_ref());
    if is_only_one(record) {
        return ONLY_ONE.to_owned();
    }
    ops.and_then(|ops| (ops.key_text)(&record.key)).unwrap_or_default()
}

/// Path of a record's history below the workspace.
#[must_use]
pub fn path(schema: &Schema, record: &Root) -> String {
    let table = schema.table(record.table).map_or("", |info| info.name);
    format!("history/{table}/{}", id_text(schema, record))
}

/// URL of a record's history.
#[must_use]
pub fn href<R: Record>(ws: &Ws, id: R::Id) -> String {
    ws.url(&path(ws.store.schema(), &Root::of::<R>(id)))
}

/// Like [`href`], or empty if the record does not exist.
pub fn href_if_any<R: Record<Id: Clone>>(
    ws: &Ws,
    read: &dyn Read,
    id: R::Id,
) -> Result<String, StoreError> {
    let there = read.get::<R>(id.clone())?.is_some();
    Ok(if there { href::<R>(ws, id) } else { String::new() })
}
