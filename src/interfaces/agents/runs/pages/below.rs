//! Sub-agents on a run's page: those that it created, and its parent.

use features::agents::model::Agent;
use features::runs::model::{CHILDREN, Child, RUNS, Run};
use features::runs::queries::{children, words};
use features::usage::queries as usage;
use store::{Read, ReadExt, StoreError};
use web::format;
use web::live::Live;
use web::parts::Dot;

use super::display::Look;

/// The sub-agents of a run.
pub(super) struct Below {
    /// Their total cost.
    pub cost: String,
    pub rows: Vec<Row>,
}

pub(super) struct Row {
    pub href: String,
    pub name: String,
    pub state: Dot,
    pub cost: String,
}

/// The sub-agents of a run. Subscribes the region to each of them.
pub(super) fn of(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    live: Live,
) -> Result<(Option<Below>, Live), StoreError> {
    // The table reports new sub-agents; their runs report progress.
    let mut live = live.table(CHILDREN.name);
    let (mut rows, mut micros) = (Vec::new(), 0_i64);
    for child in children::of_parent(tx, run.id)? {
        let Some(below) = tx.get::<Run>(child.run)? else { continue };
        let cost = usage::run_cost(tx, below.id)?;
        micros = micros.saturating_add(cost);
        let state = words::seen(look.ws, tx, &below)?;
        live = live.record(RUNS.name, below.id);
        let other = match below.agent == run.agent {
            true => None,
            false => tx.get::<Agent>(below.agent)?.map(|agent| agent.name),
        };
        let by = other.map_or_else(String::new, |name| format!(" ({name})"));
        rows.push(Row {
            href: look.ws.url(&format!("runs/{}", below.name())),
            name: format!("{} {}{by}", below.name(), below.title),
            state: state.into(),
            cost: format::money(cost),
        });
    }
    let below = (!rows.is_empty()).then(|| Below { cost: format::money(micros), rows });
    Ok((below, live))
}

/// Name and address of the parent run.
pub(super) fn parent_of(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(child) = tx.get::<Child>(run.id)? else { return Ok(None) };
    let parent = tx.get::<Run>(child.parent)?;
    Ok(parent.map(|run| {
        let with = if child.forked { " with its conversation" } else { "" };
        (format!("{}{with}", run.name()), look.ws.url(&format!("runs/{}", run.name())))
    }))
}
