//! The one write of undo, and its rehearsal.

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

/// Undoes what is wanted. What was made ready is carried out if nobody has written anything since that
/// it rests on. With a basis, only if it would do what the preview with that basis said.
///
/// # Errors
/// `Moved` when what was made ready is out of date, `Differs` without words when the preview is; when
/// nothing is left to undo, or it is too much at once.
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

/// Does what an outlook says.
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

/// What undoing this would do, to be shown: refused when it, or what goes along with it, is more than
/// one transaction may do.
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

/// What changed since a preview, by name.
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
        // A record that others refer to now, for example.
        let newer = feed::entries(read, schema, basis.seq, 1)?;
        let who = newer.first().map(|entry| names.people.actor(entry.actor).name);
        return Ok(format!("something that hangs on it (by {})", who.unwrap_or_default()));
    }
    Ok(found.join(", "))
}
