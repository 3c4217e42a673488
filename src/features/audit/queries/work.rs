//! Long-running audit jobs: verification, export, retention, redaction.

use serde::Serialize;

use crate::backups::queries as backups;
use crate::tasks::model::TASKS;
use crate::tasks::queries as tasks;
use app::jobs::{JobState, UnderWay};
use app::{App, Who, Ws};
use kernel::{AccountId, Actor, Cause, Part, Timestamp};
use store::verify::{Depth, Verified, verify, verify_with};
use store::{Class, Store, StoreError, feed, keep};

use super::super::model::Keeping;
use super::super::rules::{AuditError, tell_faults};
use super::ask::{AuditQuery, store_of};
use super::lines::as_json;

/// Job kind of a verification.
pub const VERIFY: &str = "verify";
/// Job kind of a verification that also reads the content of every blob.
pub const VERIFY_BLOBS: &str = "verify_blobs";

/// Approximate size of an export piece in bytes.
const PIECE: usize = 2 << 20;

/// Which stores a person may work on. The system store is shared, so it requires administering the whole HQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the workspace's store.
    Workspace,
    /// The workspace's store and the system store.
    Both,
}

impl Reach {
    pub fn of(app: &App, account: AccountId) -> Result<Self, StoreError> {
        Ok(if backups::may_manage(app, account)? { Self::Both } else { Self::Workspace })
    }

    /// Removes results about the system store unless it is in reach.
    #[must_use]
    pub fn sees(self, state: JobState) -> JobState {
        match self {
            Self::Both => state,
            Self::Workspace => state.without("accounts"),
        }
    }
}

/// Results of a verification.
#[derive(Debug, Serialize)]
struct Both {
    workspace: Verified,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Verified>,
}

/// Starts a verification of the workspace and, if in reach, of the system store.
///
/// # Errors
/// If one is already running.
pub fn begin_verify(ws: &Ws, depth: Depth, reach: Reach) -> Result<(), UnderWay> {
    let (store, system, own) = (ws.store.clone(), ws.app.system.clone(), ws.clone());
    let kind = match depth {
        Depth::There => VERIFY,
        Depth::Whole => VERIFY_BLOBS,
    };
    ws.app.begin_job(&ws.slug, kind, move |watch| {
        let blobs = Some((&own.blobs, depth));
        let workspace = verify_with(&store, blobs, &mut |progress| watch.tell(progress))?;
        let accounts = match reach {
            Reach::Both => Some(verify(&system, &mut |progress| watch.tell(progress))?),
            Reach::Workspace => None,
        };
        let found = Both { workspace, accounts };
        tell(&own, &found);
        Ok(found)
    })
}

/// Notifies of faults. A failure to notify does not affect the result.
fn tell(ws: &Ws, found: &Both) {
    let accounts = found.accounts.as_ref().map_or(0, |accounts| accounts.faults_count);
    let faults = found.workspace.faults_count + accounts;
    if faults == 0 || !ws.is_active() {
        return;
    }
    let written = ws.store.write_blocking(Actor::System(Part::Timer), Cause::Timer, move |tx| {
        tell_faults(tx, faults);
        Ok::<_, StoreError>(())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "{faults} faults of {} could not be told", ws.slug);
    }
}

/// Export lines after an entry, and the last entry examined, if any.
pub fn export_piece(
    ws: &Ws,
    wish: &AuditQuery,
    after: u64,
    limit: usize,
) -> Result<(String, Option<u64>), StoreError> {
    let store = store_of(ws, wish.source);
    let (mut text, mut last, begun) = (String::new(), after, wish.begun(ws));
    store.read(|snap| {
        for _ in 0..limit {
            let Some(mut entry) = feed::entry(snap, last + 1)? else { break };
            last = entry.seq;
            if wish.covers(&entry) && begun.covers(&entry) {
                wish.trim(&mut entry);
                text.push_str(&as_json(store.schema(), store.incarnation(), &entry).to_string());
                text.push('\n');
            }
            if PIECE <= text.len() {
                break;
            }
        }
        Ok::<_, StoreError>(())
    })?;
    begun.worked()?;
    Ok((text, (after < last).then_some(last)))
}

/// Deletes former versions above the retention limits. Returns the number.
pub async fn enforce(
    store: &Store,
    keeping: &Keeping,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let oldest = now - jiff::SignedDuration::from_hours(24 * i64::from(keeping.days));
    let (of, megabytes) = (store.clone(), keeping.megabytes);
    let until = tokio::task::spawn_blocking(move || {
        let until = keep::last_before(&of, oldest.as_millisecond())?;
        Ok::<_, StoreError>(match megabytes {
            Some(megabytes) => until.max(keep::oldest_within(&of, u64::from(megabytes) << 20)?),
            None => until,
        })
    });
    let until = until.await.map_err(|error| StoreError::Failed(error.to_string()))??;
    keep::drop_until(store, Actor::System(Part::Retention), until).await
}

/// Tables whose records have former versions.
#[must_use]
pub fn with_a_past(store: &Store) -> Vec<&str> {
    let all = store.schema().tables().iter();
    all.filter(|info| info.class() == Some(Class::Tracked)).map(|info| info.name).collect()
}

/// Returns `true` if the table is in the system store.
#[must_use]
pub fn is_of_accounts(app: &App, table: &str) -> bool {
    with_a_past(&app.system).contains(&table)
}

/// The store of a table. Without reach to the system store, its tables do not exist.
#[must_use]
pub fn store_with<'w>(ws: &'w Ws, reach: Reach, table: &str) -> &'w Store {
    match reach == Reach::Both && is_of_accounts(&ws.app, table) {
        true => &ws.app.system,
        false => &ws.store,
    }
}

/// Record given by id, or a task by display name.
fn meant(store: &Store, table: &str, id: &str) -> Result<(u16, Vec<u8>), AuditError> {
    let info = store.schema().named(table).filter(|info| info.ops.is_some());
    let info = info.ok_or_else(|| {
        let names = with_a_past(store).join(", ");
        AuditError::field("table", format!("there is no table `{table}`; choose from {names}"))
    })?;
    if let Some(key) = info.key_of(id.trim()) {
        return Ok((info.number, key));
    }
    let (task, hint) = match info.number == TASKS.number {
        true => {
            let found = store.read(|snap| tasks::resolve(snap, id));
            (found.ok(), "; enter a task key such as AW-1, or its ID")
        }
        false => (None, "; see IDs in Settings, Audit or `hq audit export`"),
    };
    let key = task.and_then(|task| info.key_of(&task.id.to_string()));
    let key =
        key.ok_or_else(|| AuditError::field("id", format!("`{id}` isn't an ID in {table}{hint}")))?;
    Ok((info.number, key))
}

/// Id of a record to redact, as recorded in the audit. Removes nothing.
///
/// # Errors
/// If there is no such table or the id is invalid.
pub fn to_redact(store: &Store, table: &str, id: &str) -> Result<String, AuditError> {
    let (number, key) = meant(store, table, id)?;
    let ops = store.schema().table(number).and_then(|info| info.ops.as_ref());
    Ok(ops.and_then(|ops| (ops.key_text)(&key)).unwrap_or_else(|| id.to_owned()))
}

/// Removes all former versions of a record. Returns the number.
///
/// # Errors
/// If there is no such table or record.
pub async fn redact(
    store: &Store,
    who: &impl Who,
    table: &str,
    id: &str,
) -> Result<usize, AuditError> {
    let (number, key) = meant(store, table, id)?;
    Ok(keep::redact(store, (who.actor(), who.cause()), number, key).await?)
}
