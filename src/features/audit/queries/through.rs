//! Audit filters by run, routine and record, with their permission checks.

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

/// Maximum number of records that belong to a record, newest first.
const MOST_PARTS: usize = 500;

/// The run that wrote an entry, if any.
pub(super) fn run_of(entry: &Entry) -> Option<RunId> {
    match entry.cause {
        Cause::Step(run, _) => Some(run),
        _ => entry.actor.run(),
    }
}

/// The routine that fired in an entry, if any.
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

pub(super) fn run(ws: &Ws, text: &str) -> Result<RunId, AuditError> {
    let found = ws.read(|snap| runs::by_name(snap, text))?;
    found.map(|run| run.id).ok_or_else(|| no_run(text))
}

fn no_run(text: &str) -> AuditError {
    AuditError::field("run", format!("`{text}` is unknown; enter a run like R-7"))
}

/// Finds a routine by name or id.
pub(super) fn routine(ws: &Ws, text: &str) -> Result<RoutineId, AuditError> {
    let found = ws.read(|snap| match text.parse::<RoutineId>() {
        Ok(id) => snap.get::<Routine>(id),
        Err(_) => routines::called(snap, text),
    })?;
    found.map(|one| one.id).ok_or_else(|| {
        let why = "doesn't match exactly one routine; use its ID";
        AuditError::field("routine", format!("`{text}` {why}"))
    })
}

/// Resolves `stream:Launch` or `routine:Morning look`.
pub(super) fn named(ws: &Ws, noun: &str, name: &str) -> Result<Option<Root>, StoreError> {
    ws.read(|snap| {
        Ok(match noun {
            "stream" => streams::called(snap, name)?.map(|one| Root::of::<Stream>(one.id)),
            "routine" => routines::called(snap, name)?.map(|one| Root::of::<Routine>(one.id)),
            _ => None,
        })
    })
}

/// Records that belong to a record and are readable too.
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

/// Tests whether runs were started by a routine. Caches the result per run.
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

    /// Returns `true` if the routine, or a run that it started, wrote the entry. Without a routine, always `true`.
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

    /// Returns the first read error, if any.
    ///
    /// # Errors
    /// The first error of a lookup.
    pub fn worked(self) -> Result<(), StoreError> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }
}

impl AuditQuery {
    /// Checks that this person may use the filters, so that the existence of results reveals nothing about private runs
    /// or unreadable rows. Also extends a record filter to records that belong to the record, such as comments of a
    /// task.
    ///
    /// # Errors
    /// As if the run or record did not exist.
    pub fn asked_by(
        mut self,
        ws: &Ws,
        who: Looker,
        params: &AuditParams,
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
            (false, _) => Err(no_run(params.run.as_deref().unwrap_or_default())),
            (_, false) => Err(ask::no_record(params.record.as_deref().unwrap_or_default())),
            (true, true) => Ok(self),
        }
    }
}
