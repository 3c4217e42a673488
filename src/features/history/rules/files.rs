//! Revert orders for agents' files. An order is queued with the undo; the engine begins and ends it in creation order.
//! An order that has begun cannot be cancelled. Undoing its undo then queues the opposite order, which waits for it.

use crate::history::model::{FileRevert, KeptFile, RevertState};
use crate::history::queries::error::HistoryError;
use crate::history::queries::files::{self, Slice};
use crate::history::queries::scope::Scope;
use kernel::{JobId, RunId};
use store::{ReadExt as _, WriteTx};

/// Maximum size of the file results stored in an order, in bytes.
const MAX_KEPT: usize = 64 * 1024;

/// Queues the orders of an undo and cancels orders that have not begun.
pub(super) fn queue(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<(), HistoryError> {
    for order in &scope.withdrawn {
        let mut order = order.clone();
        (order.state, order.ended_at) = (RevertState::Cancelled, Some(tx.now()));
        tx.put(&order)?;
    }
    for files in &scope.files {
        for commits in files.pieces() {
            let order = FileRevert {
                id: tx.new_id(),
                run: files.run,
                of: files.of,
                returns: files.returns,
                part_of: None,
                paths: files.only.clone(),
                agent: files.agent,
                by: tx.by(),
                commits: commits.to_vec(),
                marks: files.marks.clone(),
                state: RevertState::Queued,
                commit: None,
                restored: Vec::new(),
                kept: Vec::new(),
                created_at: tx.now(),
                ended_at: None,
            };
            tx.put(&order)?;
        }
    }
    Ok(())
}

/// Begins an order before any file is changed. It can no longer be cancelled. Slices after the first become separate
/// orders. `None` if it was cancelled or is done.
pub fn begin(
    tx: &mut WriteTx<'_>,
    id: JobId,
    commits: Vec<String>,
    slices: Vec<Slice>,
) -> Result<Option<FileRevert>, HistoryError> {
    let Some(mut order) = tx.get::<FileRevert>(id)?.filter(FileRevert::is_open) else {
        return Ok(None);
    };
    if order.state == RevertState::Begun {
        return Ok(Some(order));
    }
    order.state = RevertState::Begun;
    order.commits = commits;
    let mut slices = slices.into_iter();
    if let Some(Slice { paths, marks }) = slices.next() {
        (order.paths, order.marks) = (Some(paths), marks);
    }
    tx.put(&order)?;
    for Slice { paths, marks } in slices {
        let slice = FileRevert {
            id: tx.new_id(),
            part_of: Some(order.whole()),
            paths: Some(paths),
            marks,
            state: RevertState::Queued,
            ..order.clone()
        };
        tx.put(&slice)?;
    }
    Ok(Some(order))
}

/// Result of a revert order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesDone {
    pub commit: Option<String>,
    pub restored: Vec<String>,
    pub kept: Vec<KeptFile>,
}

/// Records the result of an order.
pub fn end(
    tx: &mut WriteTx<'_>,
    id: JobId,
    done: Result<FilesDone, String>,
) -> Result<(), HistoryError> {
    let Some(mut order) = tx.get::<FileRevert>(id)?.filter(FileRevert::is_open) else {
        return Ok(());
    };
    match done {
        Ok(FilesDone { commit, mut restored, mut kept }) => {
            order.state = RevertState::Done;
            cut(&mut restored, String::len);
            cut(&mut kept, |file| file.path.len() + file.why.len());
            (order.commit, order.restored, order.kept) = (commit, restored, kept);
        }
        Err(why) => order.state = RevertState::Failed(why),
    }
    order.ended_at = Some(tx.now());
    tx.put(&order)?;
    Ok(())
}

/// Truncates a list to the size limit. Orders from before slicing may exceed it.
fn cut<T>(list: &mut Vec<T>, size: impl Fn(&T) -> usize) {
    let mut left = MAX_KEPT;
    let fits = list.iter().take_while(|one| {
        let size = size(one) + 8;
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let fits = fits.count();
    list.truncate(fits);
}

/// Requeues a failed order. Returns its run.
///
/// # Errors
/// `FilesUndone` if its undo was undone since.
pub fn try_again(tx: &mut WriteTx<'_>, id: JobId) -> Result<RunId, HistoryError> {
    let found = tx.get::<FileRevert>(id)?;
    let mut order = found.ok_or_else(|| HistoryError::NotFound(id.to_string()))?;
    let newer = files::orders(tx, order.run)?;
    if newer.iter().any(|other| other.of == Some(id)) {
        return Err(HistoryError::FilesUndone);
    }
    if matches!(order.state, RevertState::Failed(_)) {
        (order.state, order.ended_at) = (RevertState::Queued, None);
        tx.put(&order)?;
    }
    Ok(order.run)
}
