//! The one write of undo.

pub mod files;

use serde::{Deserialize, Serialize};

use crate::kernel::Event;
use crate::store::undo::{Basis, Plan};
use crate::store::{WriteTx, feed, history};

use crate::features::history::queries::error::HistoryError;
use crate::features::history::queries::guard::Undoer;
use crate::features::history::queries::names::{Names, noun};
use crate::features::history::queries::outlook::Outlook;
use crate::features::history::queries::scope::{Wanted, Work};
use crate::features::history::queries::versions::fields_of;

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
    by: &Undoer,
    basis: Option<Basis>,
) -> Result<Undone, HistoryError> {
    let outlook = Outlook::of(tx, tx.schema(), wanted, by)?;
    if let Some(basis) = basis.filter(|basis| basis.digest != outlook.basis.digest) {
        return Err(HistoryError::Differs(differences(tx, &outlook, basis)?));
    }
    if outlook.is_nothing() {
        return Err(HistoryError::Nothing);
    }
    let Outlook { scope, plan, work, .. } = outlook;
    tx.undo(&plan)?;
    let (back, kept) = (plan.rows.len(), plan.kept.len());
    let cancelled = work.items.len() + work.inputs.len();
    let count = scope.files.iter().map(|files| files.paths.len()).sum();
    let (of, run) = (scope.of, scope.run);
    files::queue(tx, scope)?;
    let Work { items, inputs, stops } = work;
    tx.emit(Event::UndoApplied { of, run, items, inputs, stops });
    Ok(Undone { seq: tx.seq()?, back, kept, cancelled, files: count })
}

/// What changed since a preview, by name.
fn differences(tx: &WriteTx<'_>, now: &Outlook, basis: Basis) -> Result<String, HistoryError> {
    let (schema, names) = (tx.schema(), Names::new(tx)?);
    let Plan { rows, kept, made, .. } = &now.plan;
    let tracked = rows.iter().map(|row| &row.record).chain(kept.iter().map(|k| &k.record));
    let records = tracked.chain(made);
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
