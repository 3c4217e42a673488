//! Orders to take files of agents back. Each is queued with the undo, begun and ended by the engine, in the
//! order of making. One that is begun cannot be withdrawn: whoever undoes the undo meanwhile orders the
//! way back, which waits for it.

use crate::history::model::{FileRevert, KeptFile, RevertState};
use crate::history::queries::error::HistoryError;
use crate::history::queries::files::{self, Slice};
use crate::history::queries::scope::Scope;
use kernel::{JobId, RunId};
use store::{ReadExt as _, WriteTx};

/// How much of what became of files an order keeps, in bytes.
const MAX_KEPT: usize = 64 * 1024;

/// Queues what goes back with an undo, and withdraws what was not begun.
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

/// Begins an order, before any file is touched: from here on it is not withdrawn. Slices after the first
/// become orders of their own. None when it was withdrawn, or is done.
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

/// What came of files that were to go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesDone {
    pub commit: Option<String>,
    /// The files that went back.
    pub restored: Vec<String>,
    /// The files that stayed.
    pub kept: Vec<KeptFile>,
}

/// Notes what came of an order that was begun.
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

/// Keeps as much of a list as an order has room for: one that was made before orders were cut may hold more.
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

/// Puts an order that failed back into the queue; says which run it is about.
///
/// # Errors
/// When its undo was undone meanwhile, or the store refuses.
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
