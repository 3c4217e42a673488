//! Sends the outbox when the link is back: the primary receives each offline write once and in order, before this host
//! reports what its mirror has. A crash of either side only restarts this, because the primary knows from the numbers
//! what it has applied.

use std::collections::BTreeSet;
use std::path::Path;

use app::upstream::{Aside, Refusal, Sent, Upstream as _, files_in};
use features::runs::model::{Run, Session};
use features::usage::rules::{UsageError, grants};
use gateways::rules::outbox::{self, Ahead};
use kernel::{Actor, Cause, Part, RunId};
use link::{LinkError, Sender};
use mirror::{At, MirrorError};
use serde_json::{Value, json};
use store::{BlobId, StoreError, WriteTx};

use crate::Replica;
use crate::error::ReplicaError;

/// Bytes of a blob per message.
const PIECE: usize = 192 * 1024;
/// After this many writes the received ones are deleted here.
const BATCH: usize = 32;

impl Replica {
    /// Sends the whole outbox.
    ///
    /// # Errors
    /// If the link is cut again or the disk fails; unsent writes wait for the next link.
    pub(crate) async fn drain(&self, line: &Sender) -> Result<(), ReplicaError> {
        let calls = &self.0.calls;
        calls.comes_back().await;
        let store = self.0.mirror.store().clone();
        let read = move || store.read(|snap| outbox::runs(snap));
        let runs = tokio::task::spawn_blocking(read).await.map_err(panicked)??;
        if runs.is_empty() {
            calls.is_drained();
            return Ok(());
        }
        // A write to one of these runs may have an unknown outcome.
        for run in runs.keys() {
            calls.wrote(*run);
        }
        let stay: BTreeSet<u64> = runs.values().flat_map(|ahead| ahead.last.clone()).collect();
        let (mut upto, mut heard) = (0, 0_usize);
        loop {
            let store = self.0.mirror.store().clone();
            let read = move || store.read(|snap| outbox::next(snap, upto));
            let next = tokio::task::spawn_blocking(read).await.map_err(panicked)??;
            let Some(waiting) = next else { break };
            match serde_json::from_slice::<Value>(&waiting.body) {
                Ok(words) => self.say_late(line, waiting.run, words).await?,
                Err(error) => tracing::error!(%error, "something that waits cannot be said"),
            }
            (upto, heard) = (waiting.number, heard + 1);
            if heard.is_multiple_of(BATCH) {
                let stay = stay.clone();
                self.write(move |tx| Ok(outbox::heard(tx, upto, &stay)?)).await?;
            }
        }
        tracing::info!("home has heard {heard} writes of {} runs", runs.len());
        self.let_go(runs.into_iter().collect()).await?;
        self.write(move |tx| Ok(outbox::heard(tx, upto, &BTreeSet::new())?)).await?;
        calls.is_drained();
        Ok(())
    }

    /// Removes the local rows of these runs; the primary has them and sends them again.
    async fn let_go(&self, runs: Vec<(RunId, Ahead)>) -> Result<(), ReplicaError> {
        self.0.calls.settles();
        for (run, of) in runs {
            self.0.mirror.let_go(At::of::<Run>(run)).await?;
            self.0.mirror.let_go(At::of::<Session>(of.session)).await?;
            self.write(move |tx| grants::forget(tx, run)).await?;
        }
        Ok(())
    }

    /// Sends a command, after the blobs that it names.
    async fn say_late(&self, line: &Sender, run: RunId, words: Value) -> Result<(), LinkError> {
        for id in files_in(&words) {
            let folder = self.0.folder.clone();
            let read = tokio::task::spawn_blocking(move || file(&folder, id)).await;
            // ok: a blob that is not here does not come from this host.
            if let Ok(Some(bytes)) = read {
                self.send_file(line, run, (id, &bytes)).await?;
            }
        }
        match self.0.calls.says_late(line, run, words).await {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => {
                tracing::warn!(run.id = %run, "home does not take what it hears late: {}", refusal.sentence);
                waits_for(&refusal)?;
            }
            // A retry would fail in the same way.
            Err(error @ LinkError::TooLarge { .. }) => {
                tracing::error!(run.id = %run, %error, "something that waits cannot be said");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn send_file(
        &self,
        line: &Sender,
        run: RunId,
        (id, bytes): (BlobId, &[u8]),
    ) -> Result<(), LinkError> {
        let total = bytes.len() as u64;
        let mut offset = 0;
        for piece in bytes.chunks(PIECE) {
            let sent = Sent { id, offset, total, data: piece.to_vec() };
            let what = Aside::Piece(sent).to_json();
            let answer = self.0.calls.says_late(line, run, json!({ "what": what })).await?;
            match answer {
                Ok(Value::Bool(true)) => return Ok(()),
                Ok(_) => {}
                Err(refusal) => waits_for(&refusal)?,
            }
            offset += piece.len() as u64;
        }
        Ok(())
    }

    async fn write(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), UsageError> + Send + 'static,
    ) -> Result<(), ReplicaError> {
        let wrote = self.0.mirror.store().write(Actor::System(Part::Consumer), Cause::Timer, body);
        wrote.await.map_err(|error| match error {
            UsageError::Store(error) => error.into(),
            other => StoreError::Failed(other.to_string()).into(),
        })
    }
}

/// Refusal codes of temporary conditions on the primary.
const PASSING: [&str; 8] = [
    "busy",
    "storage_full",
    "storage_failed",
    "storage_unknown",
    "closed",
    "panicked",
    "called_off",
    "stopping",
];

/// After a temporary refusal this write and all later ones wait for the next link.
fn waits_for(refusal: &Refusal) -> Result<(), LinkError> {
    match PASSING.contains(&refusal.code.as_str()) {
        true => Err(LinkError::Cut),
        false => Ok(()),
    }
}

fn panicked(error: tokio::task::JoinError) -> MirrorError {
    StoreError::Panicked(error.to_string()).into()
}

/// A blob in this host's blob folder.
fn file(folder: &Path, id: BlobId) -> Option<Vec<u8>> {
    let name = id.to_string();
    let (first, rest) = name.split_at(2);
    let bytes = std::fs::read(folder.join("blobs").join(first).join(rest)).ok()?;
    (BlobId::of(&bytes) == id).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{BlobId, file};

    #[test]
    fn a_file_is_found_where_the_engine_keeps_it_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = store::Blobs::open(folder.path().join("blobs")).unwrap();
        let id = blobs.put(b"a long result").unwrap();
        assert_eq!(file(folder.path(), id).as_deref(), Some(b"a long result".as_slice()));
        assert_eq!(file(folder.path(), BlobId::of(b"another")), None);
    }
}
