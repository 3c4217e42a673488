//! Agents' files in the index. They are no records, but the feed has each of their commits: as an event of a run, in
//! a revert order, or as an event of a person's change.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::agents::model::Agent;
use crate::global_search::model::Found;
use crate::global_search::queries::contents::{self, Contents};
use crate::global_search::queries::document::Reader;
use crate::history::model::{FILE_REVERTS, FileRevert};
use crate::runs::model::{EventKind, SESSION_EVENTS, Session, SessionEvent};
use app::Ws;
use git::GitError;
use kernel::key::decode;
use kernel::{AgentId, AgentStatus, Event, JobId, SessionId};
use store::{Entry, Op, Range, Read, ReadExt, StoreError};

use super::{FollowError, MOST_AT_ONCE, readable};

/// Files that entries changed, each with its entry.
pub(super) fn changed(
    ws: &Ws,
    read: &dyn Read,
    entries: &[Arc<Entry>],
) -> Result<Vec<(Found, u64)>, FollowError> {
    let mut found = Vec::new();
    for entry in entries {
        let mut files = |agent: AgentId, paths: Result<Vec<String>, GitError>| match paths {
            Ok(paths) => {
                let all = paths.iter().map(|path| (Found::agent_file(agent, path), entry.seq));
                found.extend(all);
            }
            // Files that are no longer on the branch are not found.
            Err(error) => tracing::debug!(agent.id = %agent, %error, "files are not looked at"),
        };
        for event in &entry.events {
            match event {
                Event::AgentFilesChanged { agent, commit, .. } => {
                    files(*agent, contents::changed(ws, commit));
                }
                Event::AgentStatusChanged { agent, from: AgentStatus::Provisioning, .. } => {
                    if let Some(one) = known(read.get::<Agent>(*agent))? {
                        files(*agent, contents::paths(ws, &one));
                    }
                }
                _ => {}
            }
        }
        for change in entry.changes.iter().filter(|change| change.op != Op::Delete) {
            if let Some((agent, commit)) = committed(read, change.table, &change.key)? {
                files(agent, contents::changed(ws, &commit));
            }
        }
    }
    Ok(found)
}

/// The commit that a row names, and the agent whose files it changed.
fn committed(
    read: &dyn Read,
    table: u16,
    key: &[u8],
) -> Result<Option<(AgentId, String)>, StoreError> {
    if table == FILE_REVERTS.number {
        let Some(id) = decode::<JobId>(key) else { return Ok(None) };
        let order = known(read.get::<FileRevert>(id))?;
        return Ok(order.and_then(|order| Some((order.agent, order.commit?))));
    }
    let id = match table == SESSION_EVENTS.number {
        true => decode::<(SessionId, u32)>(key),
        false => None,
    };
    let Some(id) = id else { return Ok(None) };
    let event = known(read.get::<SessionEvent>(id))?;
    let Some(EventKind::Committed { commit, .. }) = event.map(|event| event.kind) else {
        return Ok(None);
    };
    let session = known(read.get::<Session>(id.0))?;
    Ok(session.map(|session| (session.agent, commit)))
}

/// A record, or `None` if it cannot be decoded: the consumer that indexes it reports that.
fn known<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Decode(_)) => Ok(None),
        read => read,
    }
}

/// Indexes all files of all agents into a new index.
pub(super) fn all(ws: &Ws, halt: &CancellationToken, records: &mut u64) -> Result<(), FollowError> {
    let agents = ws.read(|snap| known(snap.list::<Agent>(&Range::all()).map(Some)))?;
    for agent in agents.unwrap_or_default() {
        let paths = contents::paths(ws, &agent).unwrap_or_else(|error| {
            tracing::warn!(agent.id = %agent.id, %error, "an agent's files cannot be searched");
            Vec::new()
        });
        let mut paths = paths.iter().peekable();
        while paths.peek().is_some() {
            if halt.is_cancelled() {
                return Err(FollowError::Stopped);
            }
            let documents = ws.read(|snap| {
                let mut reader = Reader::new(snap).with(Contents::all(ws));
                let (mut documents, mut weight) = (Vec::new(), 0);
                while weight < MOST_AT_ONCE
                    && let Some(path) = paths.next()
                {
                    let found = Found::agent_file(agent.id, path);
                    if let Ok(Some(document)) = readable(&mut reader, &found)? {
                        weight += document.weight();
                        documents.push(document);
                    }
                }
                Ok::<_, StoreError>(documents)
            })?;
            *records += documents.len() as u64;
            ws.finding.index.add(&documents)?;
            ws.finding.build(Some(*records));
        }
    }
    Ok(())
}
