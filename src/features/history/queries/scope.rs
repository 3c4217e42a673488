//! Scope of an undo: the entries of a change, a transaction or runs, with their work and files.

use std::collections::BTreeSet;

use crate::cards;
use crate::history::model::{FILE_REVERTS, FileRevert};
use crate::inbox::model::{INBOX, Item};
use crate::runs::model::{
    EventKind, INPUT_GRANTS, INPUTS, Input, InputState, READ_MARKS, RUNS, Run, SENDER_GRANTS,
    SessionEvent,
};
use crate::runs::queries::{self as runs, children};
use kernel::{InputId, ItemId, RunId};
use store::undo::{Ask, Guard, Plan};
use store::{Entry, Op, Read, ReadExt as _, Root, Schema, StoreError, feed, history};

use super::error::HistoryError;
use super::files::{self, Files};
use super::guard::Undoer;
use super::key_of;

/// What to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The change of one record in an entry.
    Change(u64, Root),
    /// All changes of an entry.
    Entry(u64),
    /// All changes of these runs. The first run is the one requested.
    Runs(Vec<RunId>),
    /// The changes of a run from this session event on.
    Since(RunId, u32),
}

#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub entries: BTreeSet<u64>,
    /// Limits the undo to this record.
    pub only: Option<Root>,
    /// Entry recorded as the cause.
    pub of: u64,
    /// The requested run.
    pub run: Option<RunId>,
    /// Files to revert.
    pub files: Vec<Files>,
    /// Unfinished file revert orders to cancel.
    pub withdrawn: Vec<FileRevert>,
    /// Files that are excluded because the undoer may not change them.
    pub held_files: BTreeSet<String>,
    /// Records that were private to others before the entries.
    pub private: BTreeSet<Root>,
}

impl Scope {
    /// The request to the store's undo.
    #[must_use]
    pub fn ask<'a>(&'a self, guard: &'a dyn Guard) -> Ask<'a> {
        Ask { entries: &self.entries, only: self.only.as_ref(), guard }
    }

    /// Paths of the files to revert.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        self.files.iter().flat_map(|files| files.paths.iter().cloned()).collect()
    }
}

/// Determines the scope of an undo.
///
/// # Errors
/// If the target is unknown or invisible to this person, or a run has not ended.
pub fn scope(
    read: &dyn Read,
    schema: &Schema,
    wanted: &Wanted,
    by: &Undoer,
) -> Result<Scope, HistoryError> {
    let mut scope = match wanted {
        Wanted::Change(seq, record) => {
            let before = history::before(read, schema, record, *seq)?;
            let before = before.ok_or(HistoryError::NotThere(*seq))?;
            // The record's history hides versions that were private to others, so undo must not reveal them.
            if let Some(row) = before.bytes()
                && cards::may_be_own(record.table)
                && !by.eye(read).sees(record.table, row)?
            {
                return Err(HistoryError::NotThere(*seq));
            }
            Scope { only: Some(record.clone()), of: *seq, ..Scope::default() }
        }
        Wanted::Entry(seq) => {
            let entry = feed::entry(read, *seq)?.ok_or(HistoryError::NoEntry(*seq))?;
            let run = entry.actor.run().map(|id| read.get::<Run>(id)).transpose()?.flatten();
            if let Some(run) = run
                && !by.may_see(read, &run)?
            {
                return Err(HistoryError::NoEntry(*seq));
            }
            Scope { of: *seq, private: private_in(read, &entry, by)?, ..Scope::default() }
        }
        Wanted::Runs(wanted) => of_runs(read, schema, wanted, by)?,
        Wanted::Since(run, event) => since(read, schema, (*run, *event), by)?,
    };
    if scope.run.is_none() {
        scope.entries.insert(scope.of);
    }
    if scope.run.is_none() && scope.only.is_none() {
        let undone = files::undone_with(read, &scope.entries)?;
        (scope.files, scope.withdrawn) = (undone.files, undone.withdrawn);
    }
    if !by.may_files() {
        scope.held_files = scope.paths();
        (scope.files, scope.withdrawn) = (Vec::new(), Vec::new());
    }
    Ok(scope)
}

/// Records in an entry that were private to others before it. Runs change no private records.
fn private_in(read: &dyn Read, entry: &Entry, by: &Undoer) -> Result<BTreeSet<Root>, StoreError> {
    let (eye, mut found) = (by.eye(read), BTreeSet::new());
    for (n, change) in (0..=u16::MAX).zip(&entry.changes) {
        if cards::may_be_own(change.table)
            && let Some(row) = feed::before_image(read, entry.seq, n)?
            && !eye.sees(change.table, &row)?
        {
            found.insert(Root { table: change.table, key: change.key.clone() });
        }
    }
    Ok(found)
}

fn of_runs(
    read: &dyn Read,
    schema: &Schema,
    wanted: &[RunId],
    by: &Undoer,
) -> Result<Scope, HistoryError> {
    let mut scope = Scope { run: wanted.first().copied(), ..Scope::default() };
    for id in wanted {
        let run = ended_run(read, *id, by)?;
        let entries = entries_of(read, schema, &run)?;
        if Some(*id) == scope.run {
            scope.of = entries.last().copied().unwrap_or_default();
        }
        scope.entries.extend(entries);
        scope.files.extend(files::of_run(read, &run)?);
    }
    Ok(scope)
}

fn ended_run(read: &dyn Read, id: RunId, by: &Undoer) -> Result<Run, HistoryError> {
    let nothing = || HistoryError::NoRun(id.to_string());
    let run = read.get::<Run>(id)?.ok_or_else(nothing)?;
    if !by.may_see(read, &run)? {
        return Err(nothing());
    }
    match run.is_live() {
        true => Err(HistoryError::RunLive(run.name())),
        false => Ok(run),
    }
}

/// Part of a run. Only files that the run had not changed before the event are reverted: intermediate states are not
/// kept.
fn since(
    read: &dyn Read,
    schema: &Schema,
    (id, event): (RunId, u32),
    by: &Undoer,
) -> Result<Scope, HistoryError> {
    let run = ended_run(read, id, by)?;
    let mut scope = Scope { run: Some(id), ..Scope::default() };
    // The model call was written to the feed before any of its effects.
    let from = read.get_rev::<SessionEvent>((run.session, event))?.map(|(_, seq)| seq);
    scope.entries = entries_of(read, schema, &run)?;
    scope.entries.retain(|seq| from.is_some_and(|from| from < *seq));
    scope.of = scope.entries.last().copied().unwrap_or_default();
    scope.files = files::of_run_since(read, &run, event)?;
    Ok(scope)
}

/// Entries written by a run, found by walking back from its row, which each step touches. Includes the notes of its
/// steps.
pub fn entries_of(
    read: &dyn Read,
    schema: &Schema,
    run: &Run,
) -> Result<BTreeSet<u64>, StoreError> {
    let mut found = BTreeSet::new();
    let record = Root::of::<Run>(run.id);
    let walked = history::of(read, schema, &record, None, usize::MAX)?.unwrap_or_default();
    let own = walked.versions.into_iter().filter(|version| version.actor.run() == Some(run.id));
    found.extend(own.map(|version| version.seq));
    for event in runs::events_of_run(&read, run, usize::MAX)? {
        if let EventKind::ToolFinished { seq: Some(seq), .. } = event.kind {
            found.insert(seq);
        }
    }
    Ok(found)
}

/// Rows of a table that these entries created.
fn made_in(read: &dyn Read, entries: &BTreeSet<u64>, table: u16) -> Result<Vec<Root>, StoreError> {
    let mut found = Vec::new();
    for seq in entries {
        let Some(entry) = feed::entry(read, *seq)? else { continue };
        let made = entry.changes.into_iter().filter(|c| c.table == table && c.op == Op::Insert);
        found.extend(made.map(|change| Root { table, key: change.key }));
    }
    Ok(found)
}

/// Runs that these runs caused: sub-agents, runs of items that they created, and so on. Without duplicates, oldest
/// first.
pub fn caused(read: &dyn Read, schema: &Schema, of: &[RunId]) -> Result<Vec<Run>, StoreError> {
    let (mut found, mut queue): (Vec<Run>, Vec<RunId>) = (Vec::new(), of.to_vec());
    while let Some(id) = queue.pop() {
        let Some(run) = read.get::<Run>(id)? else { continue };
        let children = children::of_parent(&read, id)?;
        let mut below: Vec<RunId> = children.into_iter().map(|child| child.run).collect();
        let entries = entries_of(read, schema, &run)?;
        for record in made_in(read, &entries, INBOX.number)? {
            let item = key_of(&record).map(|id| read.get::<Item>(id)).transpose()?.flatten();
            below.extend(item.and_then(|item| item.run));
        }
        for next in below {
            let known = of.contains(&next) || found.iter().any(|run| run.id == next);
            if let Some(run) = read.get::<Run>(next)?.filter(|_| !known) {
                queue.push(run.id);
                found.push(run);
            }
        }
    }
    found.sort_by_key(|run| run.number);
    Ok(found)
}

/// Work that an undo cancels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub items: Vec<ItemId>,
    /// Messages not yet taken by a run.
    pub inputs: Vec<InputId>,
    /// Active runs that serve the items.
    pub stops: Vec<RunId>,
}

impl Work {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.inputs.is_empty() && self.stops.is_empty()
    }
}

/// Open work that a plan's entries created.
pub fn work(read: &dyn Read, plan: &Plan) -> Result<Work, StoreError> {
    let mut work = Work::default();
    for record in &plan.made {
        if record.table == INBOX.number
            && let Some(id) = key_of::<ItemId>(record)
            && let Some(item) = read.get::<Item>(id)?
            && item.is_open()
        {
            work.items.push(id);
            if let Some(run) = item.run
                && read.get::<Run>(run)?.is_some_and(|run| run.is_live())
            {
                work.stops.push(run);
            }
        }
        if record.table == INPUTS.number
            && let Some(id) = key_of::<InputId>(record)
            && let Some(input) = read.get::<Input>(id)?
            && input.state == InputState::Accepted
        {
            work.inputs.push(id);
        }
    }
    Ok(work)
}

/// Returns `false` for tables whose kept rows are not reported: bookkeeping of runs, senders and read marks.
#[must_use]
pub fn is_told(table: u16) -> bool {
    let untold = [RUNS, FILE_REVERTS, READ_MARKS, INPUT_GRANTS, SENDER_GRANTS];
    untold.iter().all(|one| one.number != table)
}
