//! Events of the agent's own tools during a response, for clients that request them.

use std::sync::Arc;

use tokio::sync::broadcast::{Receiver, error::RecvError};

use app::Ws;
use features::runs::model::{Body, Demand, EventKind, Run, SESSION_EVENTS};
use features::runs::queries::{self, words};
use kernel::key::KeyBuf;
use kernel::{RunId, SessionId};
use providers::model::Part;
use store::{Entry, ReadExt, StoreError};

/// A tool call that started or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToolSeen {
    pub call: String,
    /// Name of the tool.
    pub name: String,
    /// `started`, or the result status.
    pub status: &'static str,
}

/// Follows the tool calls of a run.
pub(super) struct Activity {
    ws: Ws,
    run: RunId,
    session: SessionId,
    /// The next event to read.
    next: u32,
    demand: Demand,
    entries: Receiver<Arc<Entry>>,
}

impl Activity {
    /// Follows a run from this event on. Subscribe `entries` before queueing the request.
    pub fn of(
        ws: &Ws,
        (run, next): (RunId, u32),
        demand: Demand,
        entries: Receiver<Arc<Entry>>,
    ) -> Result<Option<Self>, StoreError> {
        let found = ws.read(|snap| snap.get::<Run>(run))?;
        Ok(found.map(|found| {
            let next = next.max(found.first_event);
            Self { ws: ws.clone(), run, session: found.session, next, demand, entries }
        }))
    }

    /// Waits for a tool call that starts or ends.
    pub async fn more(&mut self) -> Result<Vec<ToolSeen>, StoreError> {
        let own = KeyBuf::of(&self.session);
        loop {
            let news = match self.entries.recv().await {
                Ok(entry) => entry.changes.iter().any(|change| {
                    change.table == SESSION_EVENTS.number && change.key.starts_with(own.bytes())
                }),
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => std::future::pending().await,
            };
            if news {
                let seen = self.read()?;
                if !seen.is_empty() {
                    return Ok(seen);
                }
            }
        }
    }

    /// The events since the last read.
    pub fn read(&mut self) -> Result<Vec<ToolSeen>, StoreError> {
        let (session, from) = (self.session, self.next);
        let events = self.ws.read(|snap| queries::events(snap, session, from, u32::MAX))?;
        let mut seen = Vec::new();
        for event in events {
            self.next = event.n + 1;
            if event.run == Some(self.run) {
                self.take(event.kind, &mut seen);
            }
        }
        Ok(seen)
    }

    fn take(&self, kind: EventKind, seen: &mut Vec<ToolSeen>) {
        match kind {
            EventKind::Assistant { parts: Body::Inline(parts), .. } => {
                // ok: parts that this version cannot parse contain no known calls
                let parts: Vec<Part> = serde_json::from_str(&parts).unwrap_or_default();
                for part in parts {
                    if let Part::ToolCall { id: call, name, .. } = part
                        && !self.demand.has(&name)
                    {
                        seen.push(ToolSeen { call, name, status: "started" });
                    }
                }
            }
            EventKind::ToolFinished { call_id: call, name, status, .. }
                if !self.demand.has(&name) =>
            {
                seen.push(ToolSeen { call, name, status: words::call(status) });
            }
            _ => {}
        }
    }
}

/// As [`Activity::more`]; pending forever if the client did not request events.
pub(super) async fn more(activity: &mut Option<Activity>) -> Result<Vec<ToolSeen>, StoreError> {
    match activity {
        Some(activity) => activity.more().await,
        None => std::future::pending().await,
    }
}
