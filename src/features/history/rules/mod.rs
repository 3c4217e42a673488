//! Writes of undo, and its preview.

pub mod files;

use serde::{Deserialize, Serialize};

use kernel::{Cause, Event};
use store::undo::{Basis, Plan};
use store::{Ahead, Read, Schema, Snap, Store, WriteTx, feed, history};

use crate::history::queries::error::HistoryError;
use crate::history::queries::guard::Undoer;
use crate::history::queries::names::{Names, noun};
use crate::history::queries::outlook::Outlook;
use crate::history::queries::scope::{Wanted, Work};
use crate::history::queries::versions::fields_of;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Sequence number of the undo's entry.
    pub seq: u64,
    /// Number of reverted records.
    pub back: usize,
    /// Number of records that were kept although requested.
    pub kept: usize,
    /// Number of cancelled work items.
    pub cancelled: usize,
    /// Number of files queued for reverting.
    pub files: usize,
}

/// Undoes a change. A prepared outlook is used if its inputs have not changed since. With a basis, proceeds only if the
/// result equals the preview with that basis.
///
/// # Errors
/// `Moved` if the prepared outlook is out of date, `Differs` without text if the preview is. Also if nothing can be
/// undone or it exceeds the limit of one transaction.
pub fn undo(
    tx: &mut WriteTx<'_>,
    wanted: &Wanted,
    by: &Undoer,
    basis: Option<Basis>,
    ready: Option<Ahead<Outlook>>,
) -> Result<Undone, HistoryError> {
    let outlook = match ready {
        Some(ready) => tx.still(ready).ok_or(HistoryError::Moved)?,
        None => Outlook::of(tx, tx.schema(), wanted, by)?,
    };
    if basis.is_some_and(|basis| basis.digest != outlook.basis.digest) {
        return Err(HistoryError::Differs(String::new()));
    }
    if outlook.is_nothing() {
        return Err(HistoryError::Nothing);
    }
    carry_out(tx, &outlook)
}

/// Carries out an outlook.
fn carry_out(tx: &mut WriteTx<'_>, outlook: &Outlook) -> Result<Undone, HistoryError> {
    let Outlook { scope, plan, work, .. } = outlook;
    tx.undo(plan)?;
    let count = scope.files.iter().map(|files| files.paths.len()).sum();
    files::queue(tx, scope)?;
    let Work { items, inputs, stops } = work.clone();
    let cancelled = items.len() + inputs.len();
    tx.emit(Event::UndoApplied { of: scope.of, run: scope.run, items, inputs, stops });
    let (back, kept) = (plan.rows.len(), plan.kept.len());
    Ok(Undone { seq: tx.seq()?, back, kept, cancelled, files: count })
}

/// Outlook for display. Fails if the undo with all its consequences exceeds the limit of one transaction.
///
/// # Errors
/// As [`Outlook::of`]; `TooMany` with the number.
pub fn preview(
    store: &Store,
    snap: &Snap<'_>,
    wanted: &Wanted,
    by: &Undoer,
) -> Result<Outlook, HistoryError> {
    let outlook = Outlook::of(snap, store.schema(), wanted, by)?;
    if !outlook.is_nothing() {
        let who = (by.by, Cause::Undo(outlook.scope.of));
        store.rehearse(snap, who, |tx| carry_out(tx, &outlook).map(drop))?.check()?;
    }
    Ok(outlook)
}

/// Changes since a preview, in words.
pub fn differences(
    read: &dyn Read,
    schema: &Schema,
    now: &Outlook,
    basis: Basis,
) -> Result<String, HistoryError> {
    let names = Names::new(read)?;
    let Plan { rows, kept, made, .. } = &now.plan;
    let tracked = rows.iter().map(|row| &row.record).chain(kept.iter().map(|k| &k.record));
    let records = tracked.chain(made);
    let mut found = Vec::new();
    for record in records {
        if history::last_touch(read, record)? <= basis.seq {
            continue;
        }
        let newest = history::of(read, schema, record, None, 1)?.unwrap_or_default().versions.pop();
        let Some(version) = newest else { continue };
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
        // For example a record that other records reference now.
        let newer = feed::entries(read, schema, basis.seq, 1)?;
        let who = newer.first().map(|entry| names.people.actor(entry.actor).name);
        return Ok(format!("a related record (by {})", who.unwrap_or_default()));
    }
    Ok(found.join(", "))
}
