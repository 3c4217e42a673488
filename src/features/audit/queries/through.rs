//! Through which run or routine something was done, and who may ask that.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::history::queries::readable::{Eye, Looker};
use crate::routines::model::Routine;
use crate::routines::queries::{self as routines, origin};
use crate::runs::model::Run;
use crate::runs::queries as runs;
use crate::streams::model::Stream;
use crate::streams::queries as streams;
use app::Ws;
use kernel::{Cause, Event, RoutineId, RunId};
use store::{Entry, Read, ReadExt as _, Root, StoreError, audit};

use super::super::rules::AuditError;
use super::ask::{self, AuditParams, AuditQuery};

/// So much of what belongs to a record is looked at: the youngest.
const MOST_PARTS: usize = 500;

/// The run that did what an entry tells, if one did.
pub(super) fn run_of(entry: &Entry) -> Option<RunId> {
    match entry.cause {
        Cause::Step(run, _) => Some(run),
        _ => entry.actor.run(),
    }
}

/// The routine that fired in an entry, if one did.
#[must_use]
pub fn fired_in(entry: &Entry) -> Option<RoutineId> {
    let fired = |event: &Event| match event {
        Event::RoutineFired { routine, .. } => Some(*routine),
        _ => None,
    };
    match entry.cause {
        Cause::Routine(id, _) => Some(id),
        _ => entry.events.iter().find_map(fired),
    }
}

/// The run with a name.
pub(super) fn run(ws: &Ws, text: &str) -> Result<RunId, AuditError> {
    let found = ws.read(|snap| runs::by_name(snap, text))?;
    found.map(|run| run.id).ok_or_else(|| no_run(text))
}

fn no_run(text: &str) -> AuditError {
    AuditError::field("run", format!("`{text}` is not known; write a run as R-7"))
}

/// The routine with a name or an id.
pub(super) fn routine(ws: &Ws, text: &str) -> Result<RoutineId, AuditError> {
    let found = ws.read(|snap| match text.parse::<RoutineId>() {
        Ok(id) => snap.get::<Routine>(id),
        Err(_) => routines::called(snap, text),
    })?;
    found.map(|one| one.id).ok_or_else(|| {
        let why = "is the name of no routine, or of several; give its id";
        AuditError::field("routine", format!("`{text}` {why}"))
    })
}

/// What is meant by `stream:Launch` or `routine:Morning look`.
pub(super) fn named(ws: &Ws, noun: &str, name: &str) -> Result<Option<Root>, StoreError> {
    ws.read(|snap| {
        Ok(match noun {
            "stream" => streams::called(snap, name)?.map(|one| Root::of::<Stream>(one.id)),
            "routine" => routines::called(snap, name)?.map(|one| Root::of::<Routine>(one.id)),
            _ => None,
        })
    })
}

/// What belongs to a record and may be read with it.
fn parts(read: &dyn Read, ws: &Ws, eye: &Eye<'_>, of: &Root) -> Result<Vec<Root>, StoreError> {
    let mut seen = Vec::new();
    for part in audit::parts(read, ws.store.schema(), of, MOST_PARTS)? {
        let row = read.raw_get(part.table, &part.key)?;
        if row.map_or(Ok(false), |row| eye.sees(part.table, &row))? {
            seen.push(part);
        }
    }
    Ok(seen)
}

/// Which runs a routine began: looked up once each.
pub struct Begun<'w> {
    ws: &'w Ws,
    routine: Option<RoutineId>,
    known: RefCell<HashMap<RunId, bool>>,
    failed: Cell<Option<StoreError>>,
}

impl<'w> Begun<'w> {
    pub(super) fn new(ws: &'w Ws, routine: Option<RoutineId>) -> Self {
        Self { ws, routine, known: RefCell::default(), failed: Cell::default() }
    }

    /// Whether the routine did it, or a run that the routine began; anything where none is asked for.
    #[must_use]
    pub fn covers(&self, entry: &Entry) -> bool {
        let Some(wanted) = self.routine else { return true };
        let is_fired = |event: &Event| matches!(event, Event::RoutineFired { routine, .. } if *routine == wanted);
        if fired_in(entry) == Some(wanted) || entry.events.iter().any(is_fired) {
            return true;
        }
        let Some(run) = run_of(entry) else { return false };
        if let Some(known) = self.known.borrow().get(&run) {
            return *known;
        }
        let firing = self.ws.read(|snap| origin::of_run(snap, run)).unwrap_or_else(|error| {
            self.failed.set(Some(error));
            None
        });
        let is = firing.is_some_and(|firing| firing.routine == wanted);
        self.known.borrow_mut().insert(run, is);
        is
    }

    /// That every look was possible.
    ///
    /// # Errors
    /// What the disk said to one that was not.
    pub fn worked(self) -> Result<(), StoreError> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }
}

impl AuditQuery {
    /// The same, if this person may ask for it: whose run a private one was, and what happened to a row
    /// that is not theirs to read, is not told by whether anything is found. What belongs to the record that
    /// is asked for, as comments belong to a task, counts as itself from then on.
    ///
    /// # Errors
    /// As if the run or the record were not there.
    pub fn asked_by(
        mut self,
        ws: &Ws,
        who: Looker,
        asked: &AuditParams,
    ) -> Result<Self, AuditError> {
        let (run, record, parts) = ws.read(|snap| {
            let eye = Eye::new(snap, who);
            let run = match self.run {
                Some(id) => match snap.get::<Run>(id)? {
                    Some(run) => eye.sees_run(&run)?,
                    None => false,
                },
                None => true,
            };
            let record = match &self.record {
                Some(record) => match snap.raw_get(record.table, &record.key)? {
                    Some(row) => eye.sees(record.table, &row)?,
                    None => eye.sees_record(ws.store.schema(), record)?,
                },
                None => true,
            };
            let parts = match self.record.as_ref().filter(|_| record) {
                Some(of) => Some(parts(snap, ws, &eye, of)?),
                None => None,
            };
            Ok::<_, StoreError>((run, record, parts))
        })?;
        self.parts = parts;
        match (run, record) {
            (false, _) => Err(no_run(asked.run.as_deref().unwrap_or_default())),
            (_, false) => Err(ask::no_record(asked.record.as_deref().unwrap_or_default())),
            (true, true) => Ok(self),
        }
    }
}
