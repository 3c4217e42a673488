//! Continues a run on a host while the link is down: its journal is written to the host's own store, in one transaction
//! with the command that the primary receives later. The command has the same effect there, because ids created while
//! it is applied are included in it.

use std::time::Duration;

use serde_json::{Value, json};

use app::Ws;
use app::upstream::{Alone, Aside, KEYS_GONE, Upstream};
use features::runs::model::Run;
use features::usage::rules::{UsageError, grants};
use gateways::rules::outbox;
use kernel::{Actor, Cause};
use store::{ReadExt as _, WriteTx};

use super::{AGAIN, RemoteRequest, keep_blobs, own_files, pieces, read, value};
use crate::command::{self, Applied, Command, CommandHeader, Entry, JournalCommand};
use crate::{EngineError, OfHome as _};

/// An entry that this host may write.
pub(super) struct Write<'w> {
    pub(super) at: (&'w Ws, &'w dyn Upstream),
    /// Actor and cause.
    pub(super) by: (Actor, Cause),
    /// The header of the entry.
    pub(super) hand: CommandHeader,
    /// The entry starts a model call.
    pub(super) begins: bool,
    /// The entry may need secrets that the primary sends and that are only in memory.
    pub(super) needs_keys: bool,
    pub(super) entry: Value,
    /// The request to the primary.
    pub(super) request: Value,
}

/// The result of an attempt to write locally.
enum Here<T> {
    /// It is written.
    Wrote(T),
    /// The link is up after all.
    Linked,
    /// This host may not decide the entry; it waits for the primary.
    Waits,
}

/// Returns `true` if an entry starts a model call.
pub(super) fn begins_call(line: &JournalCommand) -> bool {
    matches!(
        line,
        JournalCommand::CallBegun(_)
            | JournalCommand::QuestionBegun(_)
            | JournalCommand::ReviewBegun(_)
    )
}

/// Returns `true` if the step started by an entry may need a key: a model call or a tool.
pub(super) fn needs_keys(line: &JournalCommand) -> bool {
    begins_call(line) || matches!(line, JournalCommand::StepBegun(_))
}

/// The error for entries that only the primary can decide.
fn of_home() -> EngineError {
    UsageError::Ungranted.into()
}

/// Returns `true` if the error only concerns this host's disk, not the entry.
fn is_held_up(error: &EngineError) -> bool {
    ["busy", "storage_full", "storage_failed", "storage_unknown"].contains(&error.word())
}

impl Write<'_> {
    /// Writes the entry on the primary while the link is up, else here. An entry that this host may not decide waits
    /// for the link.
    pub(super) async fn noted<E: Entry>(&self) -> Result<Option<Applied<E::Answer>>, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        let words = up.words(self.request.clone());
        // The provider client was created with the dropped keys, so the run is reloaded.
        if self.needs_keys && self.has_waited_for_keys().await && self.begins {
            return Err(EngineError::Halted);
        }
        loop {
            if self.sends_files().await?
                && let Some(answer) = up.tries(run, words.clone()).await
            {
                return answer.and_then(read).map_err(EngineError::from_refusal);
            }
            match self.here::<E>(&words).await? {
                Here::Wrote(noted) => return Ok(Some(noted)),
                // The next link must first replay what the primary has received; nothing is written here until then.
                Here::Linked if !up.is_linked() => tokio::time::sleep(AGAIN).await,
                Here::Linked => {}
                Here::Waits => {
                    keep_blobs((ws, up), run, &self.request).await?;
                    return up
                        .says(run, words)
                        .await
                        .and_then(read)
                        .map_err(EngineError::from_refusal);
                }
            }
        }
    }

    /// Waits until dropped secrets have been sent again. Returns whether they had been dropped.
    async fn has_waited_for_keys(&self) -> bool {
        let ((_, up), run) = (self.at, self.hand.run);
        let mut moves = up.moves();
        let is_gone = up.lacks_keys();
        if is_gone {
            tracing::warn!(run.id = %run, "a run waits for the line: {KEYS_GONE}");
        }
        // ok: an error means that nothing can send them any more.
        while up.lacks_keys() && moves.changed().await.is_ok() {}
        is_gone
    }

    /// Sends the blobs that the entry names. Returns `false` if the link is down.
    async fn sends_files(&self) -> Result<bool, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        for (id, bytes) in own_files(ws, &self.request).await? {
            for sent in pieces(id, &bytes) {
                let Some(has) = up.tries(run, up.words(Aside::Piece(sent).to_json())).await else {
                    return Ok(false);
                };
                if has.and_then(read::<bool>).map_err(EngineError::from_refusal)? {
                    break;
                }
            }
        }
        Ok(true)
    }

    async fn here<E: Entry>(&self, words: &Value) -> Result<Here<Applied<E::Answer>>, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        let Some(Alone { cut_for, gate }) = up.alone(run).await else { return Ok(Here::Linked) };
        let (by, why) = self.by;
        let kept = OfflineWrite {
            by: (by, why),
            hand: self.hand.clone(),
            cut_for: self.begins.then_some(cut_for),
            entry: self.entry.clone(),
            nonce: words["nonce"].clone(),
        };
        let written = ws.store.write(by, why, move |tx| kept.write::<E>(tx)).await;
        let waits = written.as_ref().is_err_and(is_held_up);
        // A write that was held up may still have reached the disk.
        if written.is_ok() || waits {
            up.wrote(run);
        }
        drop(gate);
        match written {
            Ok(noted) => Ok(Here::Wrote(noted)),
            Err(EngineError::Usage(UsageError::Ungranted)) => Ok(Here::Waits),
            Err(error) if waits => {
                tracing::warn!(run.id = %run, %error, "what happens in a run waits for home");
                Ok(Here::Waits)
            }
            Err(error) => Err(error),
        }
    }
}

/// The input of one transaction on the host.
struct OfflineWrite {
    by: (Actor, Cause),
    hand: CommandHeader,
    /// How long the link has been down, if the entry starts a model call.
    cut_for: Option<Duration>,
    entry: Value,
    nonce: Value,
}

impl OfflineWrite {
    /// Writes the entry together with the command for the primary.
    fn write<E: Entry>(self, tx: &mut WriteTx<'_>) -> Result<Applied<E::Answer>, EngineError> {
        let Self { by: (by, why), hand, cut_for, entry, nonce } = self;
        let run = tx.get::<Run>(hand.run)?.ok_or_else(of_home)?;
        if let Some(cut_for) = cut_for
            && !grants::holds(tx, run.id, cut_for)?
        {
            return Err(of_home());
        }
        let mut later: E = read(entry.clone()).map_err(EngineError::Home)?;
        let now: E = read(entry).map_err(EngineError::Home)?;
        let cut = Some(tx.now().as_millisecond());
        let late = CommandHeader { cut, ..hand.clone() };
        // Only the primary can answer an entry that it has already applied.
        let noted = command::write(tx, hand, || Some(now), None)?.ok_or_else(of_home)?;
        later.answered(&noted.answer);
        let command = Box::new(Command::Entry { hand: late, line: later.into() });
        let what = value(&RemoteRequest::Write { by, why, command }).map_err(EngineError::Home)?;
        let body = json!({ "nonce": nonce, "what": what }).to_string();
        outbox::keep(tx, (run.id, run.session), body.as_bytes())?;
        Ok(noted)
    }
}
