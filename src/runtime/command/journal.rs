//! What happens in a run beside its model calls, as it is written down.

use serde::{Deserialize, Serialize};

use features::runs::model::EventKind;
use features::runs::queries::{self as runs, OpenCall};
use features::runs::rules::{Pen, context};
use features::trust::rules as trust;
use kernel::ApprovalId;
use store::WriteTx;

use super::calls::not_halted;
use super::{Done, Entry, Place, Within, save};
use crate::EngineError;

/// Events and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Append {
    /// The events, in order.
    pub events: Vec<EventKind>,
}

impl Entry for Append {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(self, tx: &mut WriteTx<'_>, mut pen: Pen, _: Within) -> Result<Done<()>, EngineError> {
        for event in self.events {
            pen.append(tx, event)?;
        }
        save(tx, pen, ())
    }
}

/// A call of a tool is begun, with what it is about to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepBegun {
    /// The event.
    pub begun: EventKind,
    /// The yes on which it is made.
    pub approved: Option<ApprovalId>,
}

impl Entry for StepBegun {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut pen: Pen,
        within: Within,
    ) -> Result<Done<()>, EngineError> {
        if !within.is_late() {
            not_halted(tx, &pen)?;
        }
        spend(tx, self.approved)?;
        if let EventKind::ToolStarted { name, .. } | EventKind::FilesStarted { name, .. } =
            &self.begun
        {
            pen.run.activity.clone_from(name);
        }
        pen.append(tx, self.begun)?;
        save(tx, pen, ())
    }
}

/// Notes that a call is made on a person's yes.
pub(super) fn spend(tx: &mut WriteTx<'_>, approved: Option<ApprovalId>) -> Result<(), EngineError> {
    approved.map_or(Ok(()), |id| Ok(trust::spend(tx, id)?))
}

/// Calls of tools have results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The results, with what comes with them.
    pub events: Vec<EventKind>,
    /// Tools that the session has from now on.
    pub load: Vec<String>,
    /// Whether the run has changed anything.
    pub effective: bool,
}

impl Entry for Results {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(self, tx: &mut WriteTx<'_>, mut pen: Pen, _: Within) -> Result<Done<()>, EngineError> {
        pen.run.effective |= self.effective;
        keep(&mut pen, self.load);
        for event in self.events {
            pen.append(tx, event)?;
        }
        save(tx, pen, ())
    }
}

/// Keeps tools for the rest of the session.
pub(super) fn keep(pen: &mut Pen, names: Vec<String>) {
    for name in names {
        if !pen.session.loaded_tools.contains(&name) {
            pen.session.loaded_tools.push(name);
        }
    }
}

/// What becomes of what a model is shown of its conversation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Shown {
    /// It stays.
    Same,
    /// The last of the events is a summary of all before this one.
    From(u32),
    /// It stays, and nobody wants it shorter any more.
    Whole,
}

/// What was done to make a conversation shorter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The events, in order.
    pub events: Vec<EventKind>,
    /// What the model is shown from here on.
    pub shown: Shown,
}

impl Entry for Told {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(self, tx: &mut WriteTx<'_>, mut pen: Pen, _: Within) -> Result<Done<()>, EngineError> {
        for event in self.events {
            pen.append(tx, event)?;
        }
        let session = pen.session.id;
        match self.shown {
            Shown::Same => {}
            // The event that was appended last.
            Shown::From(first) => {
                context::compacted(tx, session, pen.session.events.saturating_sub(1), first)?;
            }
            Shown::Whole => context::not_compacted(tx, session)?,
        }
        save(tx, pen, ())
    }
}

/// A run goes on after a break. Answers the calls that it has left open.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Settling {}

impl Entry for Settling {
    type Answer = Vec<OpenCall>;
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        pen: Pen,
        _: Within,
    ) -> Result<Done<Vec<OpenCall>>, EngineError> {
        let open = runs::open_calls(tx, &pen.run)?;
        save(tx, pen, open)
    }
}
