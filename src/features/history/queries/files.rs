//! Which files of agents go back with an undo, and what the engine does for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::model::{FILE_REVERTS, FileRevert, REVERTS_BY_RUN, RevertState};
use crate::runs::model::{EventKind, FileMark, Run};
use crate::runs::queries as runs;
use kernel::key::KeyBuf;
use kernel::{AgentId, JobId, RunId};
use store::{Op, Range, Read, ReadExt as _, StoreError, feed};

/// The most files of one order, and of their paths in bytes: with what became of each an order is far
/// below what a record may have.
const MAX_FILES: usize = 300;
const MAX_PATHS: usize = 32 * 1024;
/// The most commits of one order.
const MAX_COMMITS: usize = 1_000;

/// Files that are to go back, as one order or a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub run: RunId,
    pub agent: AgentId,
    /// The order whose work goes back; none for the work of the run.
    pub of: Option<JobId>,
    /// Whether that brings back what the run did.
    pub returns: bool,
    /// The commits, oldest first, as far as they are known now.
    pub commits: Vec<String>,
    /// Only these files, where the order that goes on was cut before.
    pub only: Option<Vec<String>>,
    /// What was noted of them, where it is not to be found out.
    pub marks: Vec<FileMark>,
    /// The files that are known to be among them.
    pub paths: Vec<String>,
}

impl Files {
    /// Commits in pieces that fit into an order each, in the order in which they are taken back.
    pub fn pieces(&self) -> impl Iterator<Item = &[String]> {
        let none = self.commits.is_empty().then_some(&[][..]);
        self.commits.rchunks(MAX_COMMITS).chain(none)
    }
}

/// What a run did to the files of its agent.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The commits that its events name, oldest first.
    pub commits: Vec<String>,
    /// The files that its tools changed.
    pub paths: BTreeSet<String>,
    /// From what each file was before the first change to what it is after the last, as far as known.
    pub marks: BTreeMap<String, FileMark>,
}

/// What a run did to the files of its agent, as its events tell.
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

/// The files that go back with a run, as far as they have not gone back already.
pub fn of_run(read: &dyn Read, run: &Run) -> Result<Vec<Files>, StoreError> {
    let Done { commits, paths, marks } = done_by(read, run)?;
    if commits.is_empty() && paths.is_empty() {
        return Ok(Vec::new());
    }
    let whole = whole(run, commits, paths.iter().cloned().collect());
    let gone = gone(read, run, &paths)?;
    if gone.is_empty() {
        let last = orders(read, run.id)?.into_iter().rfind(counts);
        // What a program changed by the way is known to none of the orders.
        let all = paths.is_empty() && last.is_some_and(|last| !last.returns);
        return Ok(if all { Vec::new() } else { vec![whole] });
    }
    let left = paths.difference(&gone).cloned().collect();
    Ok(some_of(&whole, left, &marks))
}

/// The files of these that a run changed from an event of its session on only, as far as they have not
/// gone back already.
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

/// Some of the files of a run, in pieces that fit into an order each.
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

/// Whether an order has taken files back, or will.
fn counts(order: &FileRevert) -> bool {
    matches!(order.state, RevertState::Queued | RevertState::Begun | RevertState::Done)
}

/// The files of a run that have gone back, or are on the way.
fn gone(
    read: &dyn Read,
    run: &Run,
    paths: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut gone = BTreeSet::new();
    for order in orders(read, run.id)?.into_iter().filter(counts) {
        // One that was not begun takes all of them.
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

/// The files that a run changed, parted at an event of its session.
#[derive(Clone, Debug, Default)]
pub struct Parted {
    /// Those that it changed from there on only: they can go back to what they were.
    pub after: BTreeSet<String>,
    /// Those that it had changed before as well.
    pub both: BTreeSet<String>,
}

/// Which files a run changed from an event of its session on, and which before that as well.
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

/// All orders for the files of a run, in the order of making.
pub fn orders(read: &dyn Read, run: RunId) -> Result<Vec<FileRevert>, StoreError> {
    read.scan(REVERTS_BY_RUN, &Range::prefix(KeyBuf::of(&run)))
}

/// What becomes of files when an undo is undone.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// Files that go the other way now.
    pub files: Vec<Files>,
    /// Orders that were not begun, or failed: nothing is left to do but to forget them.
    pub withdrawn: Vec<FileRevert>,
}

/// What undoing these entries means for orders that they made or withdrew, the last ones first.
pub fn undone_with(read: &dyn Read, entries: &BTreeSet<u64>) -> Result<Again, StoreError> {
    let mut again = Again::default();
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
                    again.take_back(read, order.id, order.run)?;
                }
                // Nothing happens to an order after it was withdrawn.
                (Op::Update, Some((order, rev))) if rev == *seq => again.go_on(order),
                _ => {}
            }
        }
    }
    Ok(again)
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

    /// An order that was withdrawn is given again.
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

/// Some files of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Their paths.
    pub paths: Vec<String>,
    /// What was noted of them.
    pub marks: Vec<FileMark>,
}

/// Files in slices that fit into an order each.
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
