//! Through which run or routine something was done, and who may ask that.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::app::Ws;
use crate::features::history::queries::readable::{Eye, Looker};
use crate::features::routines::model::Routine;
use crate::features::routines::queries::{self as routines, origin};
use crate::features::runs::model::{RUNS, Run};
use crate::features::runs::queries as runs;
use crate::features::streams::model::Stream;
use crate::features::streams::queries as streams;
use crate::kernel::{Cause, Event, RoutineId, RunId};
use crate::store::{Entry, Read as _, ReadExt as _, StoreError};

use super::super::rules::AuditError;
use super::ask::{self, Asked, Wish, key_of};

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

/// What is meant by `stream:Launch` or `routine:Morning look`: table and key.
pub(super) fn named(ws: &Ws, noun: &str, name: &str) -> Result<Option<(u16, Vec<u8>)>, StoreError> {
    ws.read(|snap| {
        Ok(match noun {
            "stream" => streams::called(snap, name)?.map(|one| key_of::<Stream>(one.id)),
            "routine" => routines::called(snap, name)?.map(|one| key_of::<Routine>(one.id)),
            _ => None,
        })
    })
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

impl Wish {
    /// The same, if this person may ask for it: whose run a private one was, and what happened to a row
    /// that is not theirs to read, is not told by whether anything is found.
    ///
    /// # Errors
    /// As if the run or the record were not there.
    pub fn asked_by(self, ws: &Ws, who: Looker, asked: &Asked) -> Result<Self, AuditError> {
        let (run, record) = ws.read(|snap| {
            let eye = Eye::new(snap, who);
            let run = match self.run {
                Some(id) => match snap.get::<Run>(id)? {
                    Some(run) => eye.sees_run(&run)?,
                    None => false,
                },
                None => true,
            };
            let record = match &self.record {
                Some((table, key)) => match snap.raw_get(*table, key)? {
                    Some(row) => eye.sees(*table, &row)?,
                    // Whose a run was that is gone cannot be told.
                    None => eye.may_read_history(*table) && *table != RUNS.number,
                },
                None => true,
            };
            Ok::<_, StoreError>((run, record))
        })?;
        match (run, record) {
            (false, _) => Err(no_run(asked.run.as_deref().unwrap_or_default())),
            (_, false) => Err(ask::no_record(asked.record.as_deref().unwrap_or_default())),
            (true, true) => Ok(self),
        }
    }
}
