//! Reads of run limits.

use crate::agents::model::ReachOf;
use crate::runs::model::{Child, Run, RunBounds, RunLimits};
use kernel::AgentId;
use store::{Read, ReadExt, StoreError};
use web::form::rev_of;

/// Limits chosen at one level.
pub fn own(tx: &dyn Read, of: ReachOf) -> Result<RunLimits, StoreError> {
    Ok(tx.get::<RunLimits>(of)?.unwrap_or_else(|| RunLimits::none(of)))
}

/// Limits chosen for an agent, with those of the workspace for unset ones.
pub fn chosen(tx: &dyn Read, agent: AgentId) -> Result<RunLimits, StoreError> {
    Ok(own(tx, ReachOf::Agent(agent))?.or(&own(tx, ReachOf::Workspace)?))
}

/// Effective limits of a run. A sub-agent may have less time.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<RunBounds, StoreError> {
    let mut bounds = RunBounds::of(&chosen(tx, run.agent)?);
    if let Some(minutes) = tx.get::<Child>(run.id)?.and_then(|child| child.minutes) {
        bounds.working_minutes = bounds.working_minutes.min(minutes);
    }
    Ok(bounds)
}

/// Form fields as (chosen, inherited).
pub struct Fields {
    pub calls: (String, String),
    pub tool_calls: (String, String),
    pub working_minutes: (String, String),
    /// Revision of the limits.
    pub rev: String,
}

/// The fields for the workspace or for one agent.
pub fn fields(tx: &dyn Read, of: ReachOf) -> Result<Fields, StoreError> {
    let chosen = own(tx, of)?;
    let usual = match of {
        ReachOf::Workspace => RunBounds::default(),
        ReachOf::Agent(_) => RunBounds::of(&own(tx, ReachOf::Workspace)?),
    };
    let field = |chosen: Option<u32>, usual: u32| {
        (chosen.map_or_else(String::new, |n| n.to_string()), usual.to_string())
    };
    Ok(Fields {
        calls: field(chosen.calls, usual.calls),
        tool_calls: field(chosen.tool_calls, usual.tool_calls),
        working_minutes: field(chosen.working_minutes, usual.working_minutes),
        rev: rev_of::<RunLimits>(tx, of)?,
    })
}
