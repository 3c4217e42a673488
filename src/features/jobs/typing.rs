//! What people and agents write to a program that runs.

use std::sync::Arc;

use app::Ws;
use kernel::TypedId as _;
use sandbox::input::Stdin;
use store::StoreError;
use web::idempotency::Once;
use web::session::Person;

use super::away;
use super::model::Job;
use super::rules::{self, JobError};

/// How much is written at once at most, in bytes.
pub const MAX_TYPED: usize = 64 * 1024;

kernel::ids! {
    /// A text for a program: by this the machine of the program knows it again, should it come twice.
    TextId,
}

/// What is written.
pub struct TerminalInput {
    /// The text, with the end of its line.
    pub text: String,
    /// Whether nothing more will come.
    pub end: bool,
}

/// Writes to a program; answers how many bytes that were.
///
/// # Errors
/// `Ended`, `Deaf`, `LongInput`; `FullInput` when it took a part only.
pub fn write(ws: &Ws, job: &Job, typed: &TerminalInput) -> Result<usize, JobError> {
    whole(put(ws, job, typed)?, typed)
}

/// The same for a text that may come again, since its answer was lost: it is written once, and answered as it was then.
///
/// # Errors
/// As [`write()`].
pub(super) fn write_once(
    ws: &Ws,
    job: &Job,
    typed: &TerminalInput,
    text: TextId,
) -> Result<usize, JobError> {
    whole(ws.inputs.once(text.uuid().into_bytes(), || put(ws, job, typed))?, typed)
}

fn whole(taken: usize, typed: &TerminalInput) -> Result<usize, JobError> {
    match typed.text.len() {
        of if taken < of => Err(JobError::FullInput { taken, of }),
        _ => Ok(taken),
    }
}

/// Gives a program as much of a text as it takes; once that is all of it, its input ends where that is wanted.
fn put(ws: &Ws, job: &Job, typed: &TerminalInput) -> Result<usize, JobError> {
    let input = open(ws, job, typed)?;
    let taken = match input.write(typed.text.as_bytes()) {
        Ok(taken) => taken,
        // Its end of the pipe is closed: nobody will ever read from it.
        Err(_) => {
            input.close();
            return Err(JobError::Deaf(job.number));
        }
    };
    if typed.end && taken == typed.text.len() {
        input.close();
    }
    Ok(taken)
}

/// What the program reads, if that can be written to it.
fn open(ws: &Ws, job: &Job, typed: &TerminalInput) -> Result<Arc<Stdin>, JobError> {
    check(job, typed)?;
    ws.inputs.open(job.id).ok_or(JobError::Deaf(job.number))
}

/// Whether this can be written to the program at all.
fn check(job: &Job, typed: &TerminalInput) -> Result<(), JobError> {
    match job.is_running() {
        _ if MAX_TYPED < typed.text.len() => Err(JobError::LongInput),
        true => Ok(()),
        false => Err(JobError::Ended(job.number)),
    }
}

/// Writes to a program for a person, wherever it runs: noted first, so that what somebody did is on record even if HQ ends
/// just then. Sent twice with one key, it is noted once and written once: the machine of the program knows whether it has
/// written it, so that what did not get there is written by the repeat.
///
/// # Errors
/// As [`write()`], `NoInput` when there is nothing to write, `Silent` and `Told` when its machine does not take it.
pub async fn send(
    ws: &Ws,
    who: &Person,
    job: &Job,
    typed: TerminalInput,
    once: Once,
) -> Result<usize, JobError> {
    if typed.text.is_empty() && !typed.end {
        return Err(JobError::NoInput);
    }
    let once = once.also("text");
    let (place, noted) = ws.read(|snap| {
        Ok::<_, StoreError>((away::place(ws, snap, job)?, once.answered::<TextId>(snap)?))
    })?;
    let text = match noted {
        Some(text) => text,
        None => {
            match &place {
                None => drop(open(ws, job, &typed)?),
                Some(place) => {
                    check(job, &typed)?;
                    if !place.is_linked {
                        return Err(JobError::Silent(place.label.clone()));
                    }
                }
            }
            let (id, bytes, end) = (job.id, typed.text.len(), typed.end);
            let note = once.run(move |tx| {
                rules::note_input(tx, id, bytes, end).map(|()| tx.new_id::<TextId>())
            });
            ws.write(who, note).await?
        }
    };
    match place {
        None => write_once(ws, job, &typed, text),
        Some(place) => away::write(ws, &place, job, typed, text).await,
    }
}
