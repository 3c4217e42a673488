//! A run on a host goes on while the line is cut: what happens in it is written into the host's own store, in one transaction
//! with the command that home hears later. The same command comes to the same there: what is made while it is applied, and
//! named later, goes with it.

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
use crate::command::{self, Command, Entry, Hand, Line, Noted};
use crate::{EngineError, OfHome as _};

/// An entry that may be written on this host.
pub(super) struct Write<'w> {
    pub(super) at: (&'w Ws, &'w dyn Upstream),
    /// By whom, and why.
    pub(super) by: (Actor, Cause),
    /// With which pen.
    pub(super) hand: Hand,
    /// Whether a model is asked then.
    pub(super) begins: bool,
    /// Whether it may need what home has sent to be kept in memory alone.
    pub(super) needs_keys: bool,
    pub(super) entry: Value,
    /// What home is told.
    pub(super) said: Value,
}

/// What came of a try to write something here.
enum Here<T> {
    /// It is written.
    Wrote(T),
    /// There is a line after all.
    Linked,
    /// Nothing here may decide it: it waits for home.
    Waits,
}

/// Whether an entry lets a model be asked.
pub(super) fn begins_call(line: &Line) -> bool {
    matches!(line, Line::CallBegun(_) | Line::QuestionBegun(_) | Line::ReviewBegun(_))
}

/// Whether what an entry begins may need a key: a model is asked, or a tool does something.
pub(super) fn needs_keys(line: &Line) -> bool {
    begins_call(line) || matches!(line, Line::StepBegun(_))
}

/// That home alone can say what comes of it.
fn of_home() -> EngineError {
    UsageError::Ungranted.into()
}

/// Whether the disk of this machine takes nothing now: that says nothing of what was to be written.
fn is_held_up(error: &EngineError) -> bool {
    ["busy", "storage_full", "storage_failed", "storage_unknown"].contains(&error.word())
}

impl Write<'_> {
    /// Writes it at home while there is a line, else here; what this host may not decide waits for the line.
    pub(super) async fn noted<E: Entry>(&self) -> Result<Option<Noted<E::Answer>>, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        let words = up.words(self.said.clone());
        // Whoever would ask a model has connected to it with what was dropped: the run is taken up anew.
        if self.needs_keys && self.has_waited_for_keys().await && self.begins {
            return Err(EngineError::Halted);
        }
        loop {
            if self.sends_files().await?
                && let Some(answer) = up.tries(run, words.clone()).await
            {
                return answer.and_then(read).map_err(EngineError::told);
            }
            match self.here::<E>(&words).await? {
                Here::Wrote(noted) => return Ok(Some(noted)),
                // What home has heard comes anew first, over the next line: nothing is written here until then.
                Here::Linked if !up.is_linked() => tokio::time::sleep(AGAIN).await,
                Here::Linked => {}
                Here::Waits => {
                    keep_blobs((ws, up), run, &self.said).await?;
                    return up.says(run, words).await.and_then(read).map_err(EngineError::told);
                }
            }
        }
    }

    /// Waits until what home had sent has come anew, where it was dropped. Answers whether it was.
    async fn has_waited_for_keys(&self) -> bool {
        let ((_, up), run) = (self.at, self.hand.run);
        let mut moves = up.moves();
        let is_gone = up.lacks_keys();
        if is_gone {
            tracing::warn!(run.id = %run, "a run waits for the line: {KEYS_GONE}");
        }
        // ok: an error means that nobody is left who could send them.
        while up.lacks_keys() && moves.changed().await.is_ok() {}
        is_gone
    }

    /// Sends the files that it names, while there is a line. Answers whether there was.
    async fn sends_files(&self) -> Result<bool, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        for (id, bytes) in own_files(ws, &self.said).await? {
            for sent in pieces(id, &bytes) {
                let Some(has) = up.tries(run, up.words(Aside::Piece(sent).said())).await else {
                    return Ok(false);
                };
                if has.and_then(read::<bool>).map_err(EngineError::told)? {
                    break;
                }
            }
        }
        Ok(true)
    }

    async fn here<E: Entry>(&self, words: &Value) -> Result<Here<Noted<E::Answer>>, EngineError> {
        let ((ws, up), run) = (self.at, self.hand.run);
        let Some(Alone { cut_for, gate }) = up.alone(run).await else { return Ok(Here::Linked) };
        let (by, why) = self.by;
        let kept = Kept {
            by: (by, why),
            hand: self.hand.clone(),
            cut_for: self.begins.then_some(cut_for),
            entry: self.entry.clone(),
            nonce: words["nonce"].clone(),
        };
        let written = ws.store.write(by, why, move |tx| kept.write::<E>(tx)).await;
        let waits = written.as_ref().is_err_and(is_held_up);
        // Of one that was held up it may not be known that it is written.
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

/// What one transaction on the host works with.
struct Kept {
    by: (Actor, Cause),
    hand: Hand,
    /// For how long the line is cut, where a model is to be asked.
    cut_for: Option<Duration>,
    entry: Value,
    nonce: Value,
}

impl Kept {
    /// Writes the entry, and beside it what home is to hear of that.
    fn write<E: Entry>(self, tx: &mut WriteTx<'_>) -> Result<Noted<E::Answer>, EngineError> {
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
        let late = Hand { cut, ..hand.clone() };
        // What has come from home already home alone can answer.
        let noted = command::write(tx, hand, || Some(now), None)?.ok_or_else(of_home)?;
        later.answered(&noted.answer);
        let command = Box::new(Command::Entry { hand: late, line: later.into() });
        let what = value(&RemoteRequest::Write { by, why, command }).map_err(EngineError::Home)?;
        let body = json!({ "nonce": nonce, "what": what }).to_string();
        outbox::keep(tx, (run.id, run.session), body.as_bytes())?;
        Ok(noted)
    }
}
