//! The long pieces of work of the audit: verification, retention, redaction.

use serde::Serialize;

use crate::app::jobs::UnderWay;
use crate::app::{Who, Ws};
use crate::kernel::{Actor, Part, Timestamp};
use crate::store::verify::{Depth, Verified, verify, verify_with};
use crate::store::{Store, StoreError, feed, keep};

use super::super::model::Keeping;
use super::super::rules::AuditError;
use super::ask::{Wish, store_of};
use super::lines::as_json;

/// The kind of the job.
pub const VERIFY: &str = "verify";
/// The same, with the content of every file read.
pub const VERIFY_BLOBS: &str = "verify_blobs";

/// What verification found in both stores that a workspace stands on.
#[derive(Debug, Serialize)]
struct Both {
    workspace: Verified,
    accounts: Verified,
}

/// Begins to verify a workspace, and the accounts.
///
/// # Errors
/// When that is under way already.
pub fn begin_verify(ws: &Ws, depth: Depth) -> Result<(), UnderWay> {
    let (store, system, own) = (ws.store.clone(), ws.app.system.clone(), ws.clone());
    let kind = match depth {
        Depth::There => VERIFY,
        Depth::Whole => VERIFY_BLOBS,
    };
    ws.app.begin_job(&ws.slug, kind, move |watch| {
        let blobs = Some((&own.blobs, depth));
        let workspace = verify_with(&store, blobs, &mut |progress| watch.tell(progress))?;
        let accounts = verify(&system, &mut |progress| watch.tell(progress))?;
        Ok(Both { workspace, accounts })
    })
}

/// The lines of an export after an entry, and the last entry that was looked at, if there was one.
///
/// # Errors
/// When the disk fails.
pub fn export_piece(
    ws: &Ws,
    wish: &Wish,
    after: u64,
    limit: usize,
) -> Result<(String, Option<u64>), StoreError> {
    let store = store_of(ws, wish.source);
    let entries = store.read(|snap| feed::entries(snap, store.schema(), after, limit))?;
    let mut text = String::new();
    for entry in entries.iter().filter(|entry| wish.covers(entry)) {
        text.push_str(&as_json(store.schema(), store.incarnation(), entry).to_string());
        text.push('\n');
    }
    Ok((text, entries.last().map(|entry| entry.seq)))
}

/// Drops former versions that are older than the workspace keeps them, or too many; says how many.
///
/// # Errors
/// When the store refuses.
pub async fn enforce(
    store: &Store,
    keeping: &Keeping,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let oldest = now - jiff::SignedDuration::from_hours(24 * i64::from(keeping.days));
    let mut until = keep::last_before(store, oldest.as_millisecond())?;
    if let Some(megabytes) = keeping.megabytes {
        until = until.max(keep::oldest_within(store, u64::from(megabytes) << 20)?);
    }
    keep::drop_until(store, Actor::System(Part::Retention), until).await
}

/// Removes all former versions of a record; says how many went.
///
/// # Errors
/// When there is no such table or record.
pub async fn redact(
    store: &Store,
    who: &impl Who,
    table: &str,
    id: &str,
) -> Result<usize, AuditError> {
    let info = store.schema().named(table).filter(|info| info.ops.is_some());
    let info = info.ok_or_else(|| {
        let tables = store.schema().tables().iter();
        let named = tables.filter(|info| info.class() == Some(crate::store::Class::Tracked));
        let names: Vec<_> = named.map(|info| info.name).collect();
        AuditError::field("table", format!("there is no table `{table}`: {}", names.join(", ")))
    })?;
    let key = info.key_of(id.trim());
    let key = key.ok_or_else(|| AuditError::field("id", format!("`{id}` is no id of {table}")))?;
    Ok(keep::redact(store, (who.actor(), who.cause()), info.number, key).await?)
}
