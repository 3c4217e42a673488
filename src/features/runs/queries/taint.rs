//! Reads of what conversations have read from outside, and of what they wrote down after that.

use crate::agents::model::Agent;
use crate::runs::model::{Brought, Outside, Place, Run, Written};
use kernel::key::KeyBuf;
use kernel::{AgentId, RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use tool::{ToolCx, ToolOutput, untrusted};

/// The most files of an agent that are looked at.
pub const MOST: usize = 1_000;

/// The label of a conversation; none when it has read nothing from outside.
pub fn of(tx: &dyn Read, session: SessionId) -> Result<Option<Outside>, StoreError> {
    tx.get(session)
}

/// Whether what a program that is left running prints and writes counts as untrusted: its agent has the network, so that
/// it may hear anybody, or its conversation carries the label.
pub fn is_of_job(tx: &dyn Read, agent: AgentId, session: SessionId) -> Result<bool, StoreError> {
    let has_network = tx.get::<Agent>(agent)?.is_some_and(|agent| agent.network);
    Ok(has_network || of(tx, session)?.is_some())
}

/// What was read first, in a few words: `web_fetch in step 3 of R-12`.
pub fn first(tx: &dyn Read, outside: &Outside) -> Result<String, StoreError> {
    let Some(Brought { run, step, tool }) = outside.brought.first() else {
        return Ok(String::new());
    };
    let name = name_of(tx, *run)?;
    Ok(match tool.as_str() {
        "" => format!("what was said to {name}"),
        tool => format!("{tool} in step {step} of {name}"),
    })
}

fn name_of(tx: &dyn Read, run: RunId) -> Result<String, StoreError> {
    Ok(tx.get::<Run>(run)?.map_or_else(|| "an earlier run".to_owned(), |run| run.name()))
}

/// The name of the run that wrote there after it had read words from outside; nothing once somebody has accepted it.
pub fn writer(tx: &dyn Read, place: &Place) -> Result<Option<String>, StoreError> {
    tx.get::<Written>(place.key())?.map(|written| name_of(tx, written.by.run)).transpose()
}

/// Whether what stands there was written by a run that had read words from outside, and nobody has accepted it since.
pub fn is_written(tx: &dyn Read, place: &Place) -> Result<bool, StoreError> {
    Ok(tx.get::<Written>(place.key())?.is_some())
}

/// A result as an agent reads it: between marks when one of the places that it tells of was written like that. Words in
/// marks of their own already bring the label.
pub fn shown(
    tx: &dyn Read,
    cx: &ToolCx,
    places: impl IntoIterator<Item = Place>,
    output: ToolOutput,
) -> Result<ToolOutput, StoreError> {
    if untrusted::is_in(&output.text) {
        return Ok(output);
    }
    for place in places {
        if tx.get::<Written>(place.key())?.is_some() {
            return Ok(untrusted::around(cx, output));
        }
    }
    Ok(output)
}

/// Words that stand there as an agent reads them: between marks when they count as from outside, so that who reads them
/// carries the label.
pub fn marked(tx: &dyn Read, place: &Place, words: &str) -> Result<String, StoreError> {
    Ok(match tx.get::<Written>(place.key())? {
        Some(Written { by, .. }) if !words.trim().is_empty() => {
            let (id, path) = place.key();
            let seed = format!("{id}/{path}/{}/{}", by.run, by.step);
            untrusted::wrap(&untrusted::id_of(&seed), words)
        }
        _ => words.to_owned(),
    })
}

/// The files of an agent that hold such words, with since when.
pub fn files_of(tx: &dyn Read, agent: AgentId) -> Result<Vec<Written>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&agent)).limit(MOST))
}
