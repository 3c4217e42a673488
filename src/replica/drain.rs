//! A line is there again: home hears what was written here while it was cut, in order and each once, before this machine says
//! what it has of the mirror. A kill of either side at any step only makes it begin again: home knows by their numbers what it
//! has done.

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

/// So many bytes of a file go in one piece.
const PIECE: usize = 192 * 1024;
/// After so many writes those that were heard are forgotten here.
const BATCH: usize = 32;

impl Replica {
    /// Lets home hear all that waits here.
    ///
    /// # Errors
    /// When the line is cut again or the disk fails; what was not heard waits for the next line.
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
        // Of one of them it may not be known here that it was written.
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

    /// What was written here of these runs goes: home has all of it, and sends it anew.
    async fn let_go(&self, runs: Vec<(RunId, Ahead)>) -> Result<(), ReplicaError> {
        self.0.calls.settles();
        for (run, of) in runs {
            self.0.mirror.let_go(At::of::<Run>(run)).await?;
            self.0.mirror.let_go(At::of::<Session>(of.session)).await?;
            self.write(move |tx| grants::forget(tx, run)).await?;
        }
        Ok(())
    }

    /// Says something, behind the files that it names.
    async fn say_late(&self, line: &Sender, run: RunId, words: Value) -> Result<(), LinkError> {
        for id in files_in(&words) {
            let folder = self.0.folder.clone();
            let read = tokio::task::spawn_blocking(move || file(&folder, id)).await;
            // ok: what is not here was never a file of this host.
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
            // However often it is said, it does not go.
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
            let what = Aside::Piece(sent).said();
            let said = self.0.calls.says_late(line, run, json!({ "what": what })).await?;
            match said {
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

/// Codes of refusals that say nothing of what was said: home could not take it at that moment.
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

/// What home could not take at that moment is said anew over the next line, and all behind it.
fn waits_for(refusal: &Refusal) -> Result<(), LinkError> {
    match PASSING.contains(&refusal.code.as_str()) {
        true => Err(LinkError::Cut),
        false => Ok(()),
    }
}

fn panicked(error: tokio::task::JoinError) -> MirrorError {
    StoreError::Panicked(error.to_string()).into()
}

/// A file of this machine, as its engine keeps it.
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
