//! All writes to the switches of browsers.

use super::model::AgentBrowser;
use super::queries;
use crate::agents::model::Agent;
use kernel::{AgentId, Event, Problem, ProblemKind, WheelAct};
use store::{ReadExt, StoreError, WriteTx};

/// Why a switch stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// No such agent.
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for SwitchError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A switch, and how it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The agent may use its browser.
    On,
    /// It may not.
    Off,
}

/// Switches the browser of an agent. Counts from its next request on.
///
/// # Errors
/// When there is no such agent.
pub fn set(tx: &mut WriteTx<'_>, agent: AgentId, to: Switch) -> Result<(), SwitchError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(SwitchError::NotFound(agent));
    }
    match (to, queries::is_switched_on(tx, agent)?) {
        (Switch::On, false) => {
            tx.put(&AgentBrowser { agent })?;
        }
        (Switch::Off, true) => {
            tx.delete::<AgentBrowser>(agent)?;
        }
        (Switch::On, true) | (Switch::Off, false) => {}
    }
    Ok(())
}

/// Takes note of who acts in the browser of an agent.
///
/// # Errors
/// When the disk fails.
pub fn note_wheel(tx: &mut WriteTx<'_>, agent: AgentId, act: WheelAct) -> Result<(), StoreError> {
    tx.emit(Event::WheelTurned(agent, act));
    Ok(())
}
