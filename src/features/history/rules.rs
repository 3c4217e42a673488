//! The one write of undo, and what becomes of files that are to go back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::{Event, JobId};
use crate::store::undo::{self, Basis, Plan};
use crate::store::{ReadExt as _, WriteTx, feed, history};

use super::model::{FileRevert, KeptFile, RevertState};
use super::queries::error::HistoryError;
use super::queries::names::{Names, noun};
use super::queries::scope::{self, Files, Scope, Wanted};
use super::queries::versions::fields_of;

/// What was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The new entry.
    pub seq: u64,
    /// How many records went back.
    pub back: usize,
    /// How many stayed although they were to go back.
    pub kept: usize,
    /// How many open pieces of work were cancelled.
    pub cancelled: usize,
    /// How many files are on their way back.
    pub files: usize,
}

/// Undoes what is wanted. With a basis, only if it would do what the preview with that basis said.
///
/// # Errors
/// When nothing is left to undo, something changed since the preview, or it is too much at once.
pub fn undo(
    tx: &mut WriteTx<'_>,
    wanted: &Wanted,
    tables: &BTreeSet<u16>,
    basis: Option<Basis>,
) -> Result<Undone, HistoryError> {
    let schema = tx.schema();
    let scope = scope::scope(tx, schema, wanted)?;
    let may = |table: u16| tables.contains(&table);
    let plan = undo::plan(tx, schema, &scope.ask(&may))?;
    if let Some(basis) = basis.filter(|basis| basis.digest != plan.basis.digest) {
        return Err(HistoryError::Differs(differences(tx, &plan, basis)?));
    }
    let work = scope::work(tx, &plan)?;
    let files = !scope.files.is_empty() || !scope.withdrawn.is_empty();
    if plan.rows.is_empty() && work.is_empty() && !files {
        return Err(HistoryError::Nothing);
    }
    tx.undo(&plan)?;
    let (back, kept) = (plan.rows.len(), plan.kept.len());
    let cancelled = work.items.len() + work.inputs.len();
    let count = scope.files.iter().map(|files| files.paths.len()).sum();
    let (of, run) = (scope.of, scope.run);
    queue_files(tx, scope)?;
    let scope::Work { items, inputs, stops } = work;
    tx.emit(Event::UndoApplied { of, run, items, inputs, stops });
    Ok(Undone { seq: tx.seq()?, back, kept, cancelled, files: count })
}

/// What changed since a preview, by name.
fn differences(tx: &WriteTx<'_>, plan: &Plan, basis: Basis) -> Result<String, HistoryError> {
    let (schema, names) = (tx.schema(), Names::new(tx)?);
    let records =
        plan.rows.iter().map(|row| &row.record).chain(plan.kept.iter().map(|k| &k.record));
    let mut found = Vec::new();
    for record in records {
        let newest = history::of(tx, schema, record, None, 1)?.unwrap_or_default().versions.pop();
        let Some(version) = newest.filter(|version| basis.seq < version.seq) else { continue };
        let bytes = version.after.bytes().or(version.before.bytes());
        let title = match fields_of(schema, record.table, bytes) {
            Some(fields) => names.title(record.table, &fields)?.text,
            None => {
                schema.table(record.table).map_or("a record", |i| noun(i.number, i.name).0).into()
            }
        };
        let who = names.people.actor(version.actor).name;
        found.push(format!("{title} (by {who})"));
        if 5 <= found.len() {
            break;
        }
    }
    if found.is_empty() {
        // A record that others refer to now, for example.
        let newer = feed::entries(tx, schema, basis.seq, 1)?;
        let who = newer.first().map(|entry| names.people.actor(entry.actor).name);
        return Ok(format!("something that hangs on it (by {})", who.unwrap_or_default()));
    }
    Ok(found.join(", "))
}

fn queue_files(tx: &mut WriteTx<'_>, scope: Scope) -> Result<(), HistoryError> {
    for mut order in scope.withdrawn {
        (order.state, order.ended_at) = (RevertState::Cancelled, Some(tx.now()));
        tx.put(&order)?;
    }
    for Files { run, agent, commits, marks, .. } in scope.files {
        let order = FileRevert {
            id: tx.new_id(),
            run,
            agent,
            by: tx.by(),
            commits,
            marks,
            state: RevertState::Queued,
            commit: None,
            restored: Vec::new(),
            kept: Vec::new(),
            created_at: tx.now(),
            ended_at: None,
        };
        tx.put(&order)?;
    }
    Ok(())
}

/// What came of files that were to go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesDone {
    /// The commit.
    pub commit: Option<String>,
    /// The files that went back.
    pub restored: Vec<String>,
    /// The files that stayed.
    pub kept: Vec<KeptFile>,
}

/// Notes what came of an order to take files back; one that was withdrawn meanwhile stays so.
///
/// # Errors
/// When the store refuses.
pub fn files_done(
    tx: &mut WriteTx<'_>,
    id: JobId,
    done: Result<FilesDone, String>,
) -> Result<(), HistoryError> {
    let Some(mut order) = tx.get::<FileRevert>(id)? else { return Ok(()) };
    match done {
        Ok(FilesDone { commit, restored, kept }) => {
            order.state = RevertState::Done;
            (order.commit, order.restored, order.kept) = (commit, restored, kept);
        }
        Err(why) => order.state = RevertState::Failed(why),
    }
    order.ended_at = Some(tx.now());
    tx.put(&order)?;
    Ok(())
}

/// Puts an order that failed back into the queue.
///
/// # Errors
/// When the store refuses.
pub fn try_files_again(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), HistoryError> {
    let found = tx.get::<FileRevert>(id)?;
    let mut order = found.ok_or_else(|| HistoryError::NotFound(id.to_string()))?;
    if matches!(order.state, RevertState::Failed(_)) {
        (order.state, order.ended_at) = (RevertState::Queued, None);
        tx.put(&order)?;
    }
    Ok(())
}
