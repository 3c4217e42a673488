//! Reads of taint labels of conversations and of the content they wrote.

use std::collections::BTreeSet;

use crate::agents::model::Agent;
use crate::runs::model::{Brought, Outside, Place, Run, Written};
use kernel::key::KeyBuf;
use kernel::{AgentId, RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use tool::{ToolCx, ToolOutput, untrusted};

/// Maximum number of an agent's files that are read.
pub const MOST: usize = 1_000;

/// The taint label of a conversation; `None` if it has read no untrusted content.
pub fn of(tx: &dyn Read, session: SessionId) -> Result<Option<Outside>, StoreError> {
    tx.get(session)
}

/// Whether output and files of a background job are untrusted: its agent has network access, or its conversation is
/// tainted.
pub fn is_of_job(tx: &dyn Read, agent: AgentId, session: SessionId) -> Result<bool, StoreError> {
    let has_network = tx.get::<Agent>(agent)?.is_some_and(|agent| agent.network);
    Ok(has_network || of(tx, session)?.is_some())
}

/// The first source in a few words: `web_fetch in step 3 of R-12`.
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

/// Name of the tainted run that wrote the content; `None` if the content is not labelled.
pub fn writer(tx: &dyn Read, place: &Place) -> Result<Option<String>, StoreError> {
    tx.get::<Written>(place.key())?.map(|written| name_of(tx, written.by.run)).transpose()
}

/// Whether the content was written by a tainted run and not accepted since.
pub fn is_written(tx: &dyn Read, place: &Place) -> Result<bool, StoreError> {
    Ok(tx.get::<Written>(place.key())?.is_some())
}

/// Wraps a tool result in untrusted marks if one of its places is labelled. Content that is already marked taints by
/// itself.
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

/// Wraps content in untrusted marks if its place is labelled, so that reading it taints the reader.
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

/// The labelled files of an agent.
pub fn files_of(tx: &dyn Read, agent: AgentId) -> Result<Vec<Written>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&agent)).limit(MOST))
}

/// Names of the skills in an agent's folder with a labelled file. They are in no prompt until a person accepts them.
pub fn skills_of(tx: &dyn Read, agent: AgentId) -> Result<BTreeSet<String>, StoreError> {
    let all: Vec<Written> = tx.list(&Range::prefix(KeyBuf::of(&agent)))?;
    let name = |one: Written| match one.place {
        Place::File { path, .. } => {
            let (name, _) = path.strip_prefix("skills/")?.split_once('/')?;
            Some(name.to_owned())
        }
        Place::Task(_) | Place::Comment(_) | Place::Record(_) => None,
    };
    Ok(all.into_iter().filter_map(name).collect())
}
