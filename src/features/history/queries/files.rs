//! Agents' files in an undo: which files are reverted, split into revert orders for the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::model::{FILE_REVERTS, FileRevert, REVERTS_BY_RUN, RevertState};
use crate::runs::model::{EventKind, FileMark, Run};
use crate::runs::queries as runs;
use kernel::key::KeyBuf;
use kernel::{AgentId, JobId, RunId};
use store::{Op, Range, Read, ReadExt as _, StoreError, feed};

/// Maximum number of files and of path bytes per order. Keeps an order with its results far below the record size
/// limit.
const MAX_FILES: usize = 300;
const MAX_PATHS: usize = 32 * 1024;
/// Maximum number of commits per order.
const MAX_COMMITS: usize = 1_000;

/// Files to revert, in one or more orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub run: RunId,
    pub agent: AgentId,
    /// The order to be undone. `None` reverts the work of the run.
    pub of: Option<JobId>,
    /// `true` restores the run's work.
    pub returns: bool,
    /// Known commits, oldest first.
    pub commits: Vec<String>,
    /// Limits the order to these files, if the earlier order was limited.
    pub only: Option<Vec<String>>,
    /// File states recorded by the run, where they cannot be derived from commits.
    pub marks: Vec<FileMark>,
    /// Files known to be affected.
    pub paths: Vec<String>,
}

impl Files {
    /// Commits split by the limit per order, in the order of reverting.
    pub fn pieces(&self) -> impl Iterator<Item = &[String]> {
        let none = self.commits.is_empty().then_some(&[][..]);
        self.commits.rchunks(MAX_COMMITS).chain(none)
    }
}

/// A run's changes to the files of its agent.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Commits in its events, oldest first.
    pub commits: Vec<String>,
    /// Files changed by its tools.
    pub paths: BTreeSet<String>,
    /// State of each file before the first and after the last change, as far as known.
    pub marks: BTreeMap<String, FileMark>,
}

/// A run's changes to the files of its agent, from its events.
pub fn done_by(read: &dyn Read, run: &Run) -> Result<Done, StoreError> {
    let mut done = Done::default();
    for event in runs::events_of_run(&read, run, usize::MAX)? {
        match event.kind {
            EventKind::ToolStarted { file: Some(mark), .. } => done.note(mark),
            EventKind::FilesStarted { files, .. } => {
                files.into_iter().for_each(|mark| done.note(mark));
            }
            EventKind::ToolFinished { paths, .. } | EventKind::Late { paths, .. } => {
                done.paths.extend(paths);
            }
            EventKind::Committed { commit, .. } => done.commits.push(commit),
            _ => {}
        }
    }
    done.marks.retain(|path, _| done.paths.contains(path));
    Ok(done)
}

impl Done {
    fn note(&mut self, mark: FileMark) {
        let known = self.marks.entry(mark.path.clone()).or_insert_with(|| mark.clone());
        known.after = mark.after;
    }
}

/// Files to revert with a run, without those already reverted.
pub fn of_run(read: &dyn Read, run: &Run) -> Result<Vec<Files>, StoreError> {
    let Done { commits, paths, marks } = done_by(read, run)?;
    if commits.is_empty() && paths.is_empty() {
        return Ok(Vec::new());
    }
    let whole = whole(run, commits, paths.iter().cloned().collect());
    let gone = gone(read, run, &paths)?;
    if gone.is_empty() {
        let last = orders(read, run.id)?.into_iter().rfind(counts);
        // Files changed by subprocesses are not listed in any order, so an unlimited order covers them.
        let all = paths.is_empty() && last.is_some_and(|last| !last.returns);
        return Ok(if all { Vec::new() } else { vec![whole] });
    }
    let left = paths.difference(&gone).cloned().collect();
    Ok(some_of(&whole, left, &marks))
}

/// Among these files, those that a run changed only from this event on, without those already reverted.
pub fn of_run_since(read: &dyn Read, run: &Run, event: u32) -> Result<Vec<Files>, StoreError> {
    let Done { commits, paths, marks } = done_by(read, run)?;
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    let gone = gone(read, run, &paths)?;
    let left = parted(read, run, event)?.after.difference(&gone).cloned().collect();
    Ok(some_of(&whole(run, commits, Vec::new()), left, &marks))
}

fn whole(run: &Run, commits: Vec<String>, paths: Vec<String>) -> Files {
    let (run, agent) = (run.id, run.agent);
    let (of, only, marks) = (None, None, Vec::new());
    Files { run, agent, of, returns: false, commits, only, marks, paths }
}

/// Some files of a run, split by the limits per order.
fn some_of(whole: &Files, paths: Vec<String>, marks: &BTreeMap<String, FileMark>) -> Vec<Files> {
    let pieces = slices(paths, marks).into_iter();
    pieces
        .map(|Slice { paths, marks }| Files {
            only: Some(paths.clone()),
            paths,
            marks,
            ..whole.clone()
        })
        .collect()
}

/// Returns `true` if an order has reverted files or will.
fn counts(order: &FileRevert) -> bool {
    matches!(order.state, RevertState::Queued | RevertState::Begun | RevertState::Done)
}

/// Files of a run that are reverted or queued.
fn gone(
    read: &dyn Read,
    run: &Run,
    paths: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut gone = BTreeSet::new();
    for order in orders(read, run.id)?.into_iter().filter(counts) {
        // An order that has not begun covers all its files.
        let of: Vec<&String> = match &order.paths {
            Some(some) => some.iter().collect(),
            None => paths.iter().collect(),
        };
        for path in of {
            match order.returns {
                true => gone.remove(path),
                false => gone.insert(path.clone()),
            };
        }
    }
    Ok(gone)
}

/// Files that a run changed, split at an event of its session.
#[derive(Clone, Debug, Default)]
pub struct Parted {
    /// Changed only from the event on. They can be reverted.
    pub after: BTreeSet<String>,
    /// Changed before the event as well.
    pub both: BTreeSet<String>,
}

/// Splits a run's changed files at an event of its session.
pub fn parted(read: &dyn Read, run: &Run, event: u32) -> Result<Parted, StoreError> {
    let (mut before, mut parted) = (BTreeSet::new(), Parted::default());
    for one in runs::events_of_run(&read, run, usize::MAX)? {
        if let EventKind::ToolFinished { paths, .. } = one.kind {
            match one.n < event {
                true => before.extend(paths),
                false => parted.after.extend(paths),
            }
        }
    }
    parted.both = parted.after.intersection(&before).cloned().collect();
    parted.after.retain(|path| !before.contains(path));
    Ok(parted)
}

/// All orders of a run, in creation order.
pub fn orders(read: &dyn Read, run: RunId) -> Result<Vec<FileRevert>, StoreError> {
    read.scan(REVERTS_BY_RUN, &Range::prefix(KeyBuf::of(&run)))
}

/// Effect on orders when an undo is undone.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// Files to revert in the opposite direction.
    pub files: Vec<Files>,
    /// Orders that were not begun or failed: cancelled without further effect.
    pub withdrawn: Vec<FileRevert>,
}

/// Effect of undoing these entries on the orders that they created or cancelled, latest first.
pub fn undone_with(read: &dyn Read, entries: &BTreeSet<u64>) -> Result<Again, StoreError> {
    let mut undone = Again::default();
    for seq in entries.iter().rev() {
        let Some(entry) = feed::entry(read, *seq)? else { continue };
        for change in entry.changes.into_iter().rev() {
            if change.table != FILE_REVERTS.number {
                continue;
            }
            let id = kernel::key::decode::<JobId>(&change.key);
            let order = id.map(|id| read.get_rev::<FileRevert>(id)).transpose()?.flatten();
            match (change.op, order) {
                (Op::Insert, Some((order, _))) if order.part_of.is_none() => {
                    undone.take_back(read, order.id, order.run)?;
                }
                // A cancelled order never changes again.
                (Op::Update, Some((order, rev))) if rev == *seq => undone.go_on(order),
                _ => {}
            }
        }
    }
    Ok(undone)
}

impl Again {
    fn take_back(&mut self, read: &dyn Read, whole: JobId, run: RunId) -> Result<(), StoreError> {
        let mut slices = orders(read, run)?;
        slices.retain(|order| order.whole() == whole);
        for order in slices.into_iter().rev() {
            match order.state {
                RevertState::Queued | RevertState::Failed(_) => self.withdrawn.push(order),
                RevertState::Begun | RevertState::Done => self.files.push(Files {
                    run: order.run,
                    agent: order.agent,
                    of: Some(order.id),
                    returns: !order.returns,
                    commits: Vec::new(),
                    only: None,
                    marks: Vec::new(),
                    paths: match order.state {
                        RevertState::Done => order.restored,
                        _ => order.paths.unwrap_or_default(),
                    },
                }),
                RevertState::Cancelled => {}
            }
        }
        Ok(())
    }

    /// Reissues a cancelled order.
    fn go_on(&mut self, order: FileRevert) {
        if order.state != RevertState::Cancelled {
            return;
        }
        let FileRevert { run, agent, of, returns, commits, marks, paths: only, .. } = order;
        let paths = match &only {
            Some(paths) => paths.clone(),
            None => marks.iter().map(|mark| mark.path.clone()).collect(),
        };
        self.files.push(Files { run, agent, of, returns, commits, only, marks, paths });
    }
}

/// Part of the files of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub paths: Vec<String>,
    /// Recorded states of these files.
    pub marks: Vec<FileMark>,
}

/// Splits files by the limits per order.
#[must_use]
pub fn slices(paths: Vec<String>, marks: &BTreeMap<String, FileMark>) -> Vec<Slice> {
    let (mut slices, mut bytes) = (Vec::<Slice>::new(), 0);
    for path in paths {
        bytes += path.len();
        let fits =
            bytes <= MAX_PATHS && slices.last().is_some_and(|slice| slice.paths.len() < MAX_FILES);
        if !fits {
            bytes = path.len();
            slices.push(Slice::default());
        }
        if let Some(slice) = slices.last_mut() {
            slice.marks.extend(marks.get(&path).cloned());
            slice.paths.push(path);
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{MAX_FILES, MAX_PATHS, slices};
    use crate::runs::model::FileMark;

    #[test]
    fn slices_hold_each_file_once_and_fit_into_a_record() {
        let paths: Vec<String> =
            (0..1_000).map(|n| format!("{n:04}{}", "x".repeat(n % 300))).collect();
        let mark = |path: &String| FileMark { path: path.clone(), before: None, after: None };
        let marks: BTreeMap<_, _> = paths.iter().map(|path| (path.clone(), mark(path))).collect();
        let found = slices(paths.clone(), &marks);
        for slice in &found {
            assert!(slice.paths.len() <= MAX_FILES && slice.marks.len() == slice.paths.len());
            assert!(slice.paths.iter().map(String::len).sum::<usize>() <= MAX_PATHS);
        }
        assert_eq!(found.into_iter().flat_map(|slice| slice.paths).collect::<Vec<_>>(), paths);
        let long = vec!["y".repeat(MAX_PATHS + 1), "z".to_owned()];
        assert_eq!(slices(long, &marks).len(), 2);
        assert!(slices(Vec::new(), &marks).is_empty());
    }
}
