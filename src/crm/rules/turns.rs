//! Undo and redo of imports, entry by entry.

use kernel::ImportId;
use store::WriteTx;

use super::imports::{Stays, import_of, put};
use crate::error::CrmError;
use crate::model::back::{self, Turn};
use crate::model::{Import, ImportState, MAX_STAYED, Stayed};

/// Starts the undo or redo of an import. A running one of the same direction continues.
///
/// # Errors
/// When it still runs, goes in the other direction, or there is nothing to do.
pub fn turn_import(tx: &mut WriteTx<'_>, id: ImportId, turn: Turn) -> Result<Import, CrmError> {
    let mut import = import_of(tx, id)?;
    let is_there = !import.entries.is_empty();
    let goes = back::turn(&import.entries);
    match (&import.state, turn) {
        (ImportState::Running, _) => {
            return Err(CrmError::Refused(
                "this import is still running; stop it first".to_owned(),
            ));
        }
        (ImportState::Undoing | ImportState::Failed(_), _)
            if goes.is_some_and(|goes| goes != turn) =>
        {
            return Err(CrmError::Refused(turns_other(turn)));
        }
        (ImportState::Undoing, Turn::Back) => {}
        (ImportState::Undoing | ImportState::Failed(_), Turn::Forth) if goes.is_some() => {}
        (ImportState::Done | ImportState::Cancelled | ImportState::Failed(_), Turn::Back) => {}
        (ImportState::Undone, Turn::Forth) if is_there => {}
        (_, turn) => return Err(CrmError::Refused(nothing_to(turn))),
    }
    progress(&mut import).begin(turn);
    import.state = ImportState::Undoing;
    let over = back::took(&mut import.entries, None, None);
    after_turn(&mut import, over);
    put(tx, import)
}

/// The common state of imports and conversions during an undo.
pub(super) struct Progress<'r> {
    pub entries: &'r mut Vec<u64>,
    pub kept: &'r mut u32,
    pub kept_fields: &'r mut u32,
    pub stayed: &'r mut Vec<Stayed>,
}

impl Progress<'_> {
    /// Starts, unless it is running.
    pub(super) fn begin(self, turn: Turn) {
        if back::turn(self.entries).is_none() {
            (*self.kept, *self.kept_fields) = (0, 0);
            self.stayed.clear();
            back::begin(self.entries, turn);
        }
    }

    /// Records that an entry was undone, by which entry, and what stayed. Returns `None` if that was recorded before,
    /// and the direction after the last entry.
    pub(super) fn took(
        self,
        (entry, by, stays): (u64, Option<u64>, Stays),
    ) -> Option<Option<Turn>> {
        if !back::left(self.entries).contains(&entry) {
            return None;
        }
        *self.kept += u32::try_from(stays.records).unwrap_or(u32::MAX);
        *self.kept_fields += u32::try_from(stays.fields).unwrap_or(u32::MAX);
        let room = MAX_STAYED.saturating_sub(self.stayed.len());
        self.stayed.extend(stays.told.into_iter().take(room));
        Some(back::took(self.entries, Some(entry), by))
    }
}

fn progress(import: &mut Import) -> Progress<'_> {
    let Import { entries, kept, kept_fields, stayed, .. } = import;
    Progress { entries, kept, kept_fields, stayed }
}

/// Why the opposite direction must wait.
pub(super) fn turns_other(turn: Turn) -> String {
    match turn {
        Turn::Back => "it's being restored; wait until that's done".to_owned(),
        Turn::Forth => "it's being undone; wait until that's done".to_owned(),
    }
}

/// Why there is nothing to do.
pub(super) fn nothing_to(turn: Turn) -> String {
    match turn {
        Turn::Back => "there's nothing to undo".to_owned(),
        Turn::Forth => "there's nothing to restore".to_owned(),
    }
}

/// Sets the final state after the last entry.
fn after_turn(import: &mut Import, over: Option<Turn>) {
    let is_whole = import.rows <= import.next;
    match over {
        Some(Turn::Back) => import.state = ImportState::Undone,
        Some(Turn::Forth) if is_whole => import.state = ImportState::Done,
        Some(Turn::Forth) => import.state = ImportState::Cancelled,
        None => {}
    }
}

/// Records that an entry of an import was undone, by which entry, and what stayed; finishes after the last one.
pub fn taken_back(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    took: (u64, Option<u64>, Stays),
) -> Result<Import, CrmError> {
    let mut import = import_of(tx, id)?;
    let Some(over) = progress(&mut import).took(took) else { return Ok(import) };
    after_turn(&mut import, over);
    put(tx, import)
}
