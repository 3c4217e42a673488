//! Commands for the events of a run, except model calls.

use serde::{Deserialize, Serialize};

use features::runs::model::EventKind;
use features::runs::queries::{self as runs, OpenCall};
use features::runs::rules::{RunWriter, context, park};
use features::trust::rules as trust;
use kernel::ApprovalId;
use store::{Read, WriteTx};

use super::calls::not_halted;
use super::{CommandContext, Entry, EntryResult, Place, save};
use crate::EngineError;

/// Appends events and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Append {
    /// In order.
    pub events: Vec<EventKind>,
}

impl Entry for Append {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        for event in self.events {
            writer.append(tx, event)?;
        }
        save(tx, writer, ())
    }
}

/// Records the start of a tool call and what it is about to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepBegun {
    pub begun: EventKind,
    /// The approval on which the call is made.
    pub approved: Option<ApprovalId>,
}

impl Entry for StepBegun {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        context: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        if !context.is_late() {
            not_halted(tx, &writer)?;
        }
        spend(tx, self.approved)?;
        if let EventKind::ToolStarted { name, .. } | EventKind::FilesStarted { name, .. } =
            &self.begun
        {
            writer.run.activity.clone_from(name);
        }
        writer.append(tx, self.begun)?;
        save(tx, writer, ())
    }
}

/// A call that has begun goes on after the question of its server. The error of a call that does not wait is a bug.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallResumed {
    /// The number of the call.
    pub step: u32,
    /// The tool.
    pub activity: String,
}

impl Entry for CallResumed {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        not_halted(tx, &writer)?;
        park::take(tx, writer.run.id, self.step)?;
        writer.run.activity = self.activity;
        save(tx, writer, ())
    }
}

/// Marks an approval as used by a call.
pub(super) fn spend(tx: &mut WriteTx<'_>, approved: Option<ApprovalId>) -> Result<(), EngineError> {
    approved.map_or(Ok(()), |id| Ok(trust::spend(tx, id)?))
}

/// Records results of tool calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The results and their additions.
    pub events: Vec<EventKind>,
    /// Tools that the session has from now on.
    pub load: Vec<String>,
    /// The run has changed something.
    pub effective: bool,
}

impl Entry for Results {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        writer.run.effective |= self.effective;
        keep(&mut writer, self.load);
        for event in self.events {
            writer.append(tx, event)?;
        }
        save(tx, writer, ())
    }
}

/// Keeps tools for the rest of the session.
pub(super) fn keep(writer: &mut RunWriter, names: Vec<String>) {
    for name in names {
        if !writer.session.loaded_tools.contains(&name) {
            writer.session.loaded_tools.push(name);
        }
    }
}

/// The effect on what the model reads of its conversation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Shown {
    /// Unchanged.
    Same,
    /// The last appended event is a summary of everything before this one.
    From(u32),
    /// The same, counted by an offline host: the primary may have more events that do not belong to the run.
    Counted {
        /// The event number on the host.
        first: u32,
        /// Number of events on the host before.
        of: u32,
    },
    /// Unchanged, and the request to compact is closed.
    Whole,
}

/// Appends events of a compaction or a similar change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// In order.
    pub events: Vec<EventKind>,
    /// What the model reads from now on.
    pub shown: Shown,
}

impl Entry for Told {
    /// The number of events before.
    type Answer = u32;
    const PLACE: Place = Place::Journal;

    fn answered(&mut self, had: &u32) {
        if let Shown::From(first) = self.shown {
            self.shown = Shown::Counted { first, of: *had };
        }
    }

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<u32>, EngineError> {
        let had = writer.session.events;
        let first = match self.shown {
            Shown::Same | Shown::Whole => None,
            Shown::From(first) => Some(first),
            Shown::Counted { first, of } => Some(counted_here(tx, &writer, (first, of))?),
        };
        for mut event in self.events {
            if let (EventKind::Compacted { how, .. }, Some(first)) = (&mut event, first) {
                how.first_kept = first;
            }
            writer.append(tx, event)?;
        }
        let session = writer.session.id;
        match (self.shown, first) {
            (Shown::Whole, _) => context::not_compacted(tx, session)?,
            // The number of the last appended event.
            (_, Some(first)) => {
                context::compacted(tx, session, writer.session.events.saturating_sub(1), first)?;
            }
            (_, None) => {}
        }
        save(tx, writer, had)
    }
}

/// Converts an event number of an offline host to the local number. `of` is the number of events that the host had.
/// Events that were added here outside the run shift the numbers.
fn counted_here(
    tx: &dyn Read,
    writer: &RunWriter,
    (first, of): (u32, u32),
) -> Result<u32, EngineError> {
    let had = writer.session.events;
    let Some(more) = had.checked_sub(of).filter(|more| 0 < *more) else { return Ok(first) };
    let events = runs::events(tx, writer.session.id, writer.run.first_event, had)?;
    let beside = events.iter().filter(|event| event.run != Some(writer.run.id));
    let beside: Vec<u32> = beside.map(|event| event.n).collect();
    Ok(moved_by(&beside, more, first))
}

/// Shifts an event number by the newest `more` of these numbers that are at or before it.
fn moved_by(beside: &[u32], more: u32, first: u32) -> u32 {
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    let known = beside.len().saturating_sub(more);
    beside.iter().skip(known).fold(first, |at, n| if *n <= at { at.saturating_add(1) } else { at })
}

/// Resumes a run after an interruption. Returns the calls that were left open.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Settling {}

impl Entry for Settling {
    type Answer = Vec<OpenCall>;
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<Vec<OpenCall>>, EngineError> {
        let open = runs::open_calls(tx, &writer.run)?;
        save(tx, writer, open)
    }
}

#[cfg(test)]
mod tests {
    use super::moved_by;

    #[test]
    fn an_event_is_found_behind_those_that_a_machine_did_not_count() {
        // On the host: 0 1 2 3 4 5. Here two events were added: 0 1 2 L 3 L 4 5.
        let there: Vec<u32> = (0..6).map(|first| moved_by(&[3, 5], 2, first)).collect();
        assert_eq!(there, [0, 1, 2, 4, 6, 7]);
        // The host knew one of them and counted it.
        let there: Vec<u32> = (0..6).map(|first| moved_by(&[1, 4], 1, first)).collect();
        assert_eq!(there, [0, 1, 2, 3, 5, 6]);
        assert_eq!((moved_by(&[], 2, 7), moved_by(&[0], 5, 0)), (7, 1));
    }
}
