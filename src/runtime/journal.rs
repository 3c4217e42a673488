//! The run's own pen: every write of the engine goes through here, fenced, with the run as actor.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::app::Ws;
use crate::features::runs::model::{Body, EventKind};
use crate::features::runs::rules::Pen;
use crate::kernel::text::head_tail;
use crate::kernel::{Actor, AgentId, Cause, RunId, Timestamp};
use crate::store::WriteTx;
use crate::tool::MAX_OUTPUT;

use super::EngineError;
use super::history::History;

/// The most of an assistant message that is kept in its record, in bytes: well below the limit of
/// a record, far above what a model writes.
const MAX_INLINE_PARTS: usize = 160 * 1024;

/// Writes one run.
pub(super) struct Journal {
    pub ws: Ws,
    pub run: RunId,
    /// Its number in the workspace.
    pub number: u32,
    pub agent: AgentId,
    /// The epoch with which the run was begun.
    pub epoch: u64,
    /// The conversation, kept up to date with what is appended.
    pub history: History,
    /// Tool calls so far; the number of the last step.
    pub steps: u32,
    /// How long the run had worked when this task took it up, in milliseconds.
    pub worked_ms: i64,
    /// When this task took it up.
    pub since: Timestamp,
    /// Paths of the agent's files that changed since the last commit.
    pub paths: BTreeSet<String>,
    /// Whether a program was cut off: nobody knows what it changed.
    pub unsure: bool,
    /// Whether anything changed in the workspace or in files.
    pub effective: bool,
}

impl Journal {
    /// Runs a transaction with an open pen and takes what it appended into the history. The body
    /// must save, end or park the pen.
    pub(super) async fn write<T: Send + 'static>(
        &mut self,
        body: impl FnOnce(&mut WriteTx<'_>, Pen) -> Result<(T, Vec<EventKind>), EngineError>
        + Send
        + 'static,
    ) -> Result<T, EngineError> {
        let (run, epoch) = (self.run, self.epoch);
        let (value, appended) = self
            .ws
            .store
            .write(self.actor(), self.cause(), move |tx| body(tx, Pen::open(tx, run, epoch)?))
            .await?;
        self.take(&appended);
        Ok(value)
    }

    /// Appends events and nothing else.
    pub(super) async fn append(&mut self, kinds: Vec<EventKind>) -> Result<(), EngineError> {
        self.write(move |tx, mut pen| {
            for kind in kinds {
                pen.append(tx, kind)?;
            }
            save(tx, pen).map(|appended| ((), appended))
        })
        .await
    }

    /// Takes appended events into the conversation.
    pub(super) fn take(&mut self, appended: &[EventKind]) {
        for kind in appended {
            self.history.push(kind);
            if let EventKind::ToolFinished { paths, .. } = kind {
                self.steps += 1;
                self.paths.extend(paths.iter().cloned());
            }
        }
    }

    pub(super) fn actor(&self) -> Actor {
        Actor::Agent { agent: self.agent, run: self.run }
    }

    pub(super) fn cause(&self) -> Cause {
        Cause::Step(self.run, self.steps + 1)
    }

    /// A tool's text as it is kept: secrets taken out, inline up to 16 KiB, else the whole in a
    /// blob and its head and tail for the model.
    pub(super) async fn body(&self, step: u32, text: String) -> Result<Body, EngineError> {
        let text = match self.ws.app.redactor.text(&text) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => text,
        };
        if text.len() <= MAX_OUTPUT {
            return Ok(Body::Inline(text));
        }
        let len = text.len() as u64;
        let name = format!("result:{}.{step}", self.number);
        let marker =
            format!("\n[… {len} bytes in all; read or search the rest with path \"{name}\" …]\n");
        let head = head_tail(&text, MAX_OUTPUT - marker.len() - 8, &marker);
        let ws = self.ws.clone();
        let id = blocking(move || ws.blobs.put(text.as_bytes())).await??;
        Ok(Body::Blob { id, len, head })
    }

    /// An assistant message as it is kept.
    pub(super) fn parts(json: String) -> Result<Body, EngineError> {
        if json.len() > MAX_INLINE_PARTS {
            return Err(EngineError::Broken("the model's message is too long to keep"));
        }
        Ok(Body::Inline(json))
    }
}

/// Writes a pen back and gives what it appended.
pub(super) fn save(tx: &mut WriteTx<'_>, mut pen: Pen) -> Result<Vec<EventKind>, EngineError> {
    let appended = std::mem::take(&mut pen.appended);
    pen.save(tx)?;
    Ok(appended)
}

/// Runs something that blocks on a thread made for it.
pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(body)
        .await
        .map_err(|_| EngineError::Broken("a blocking task of a run panicked"))
}
