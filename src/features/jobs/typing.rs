//! Input for running jobs, from people and agents.

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

/// Maximum length of one input, in bytes.
pub const MAX_TYPED: usize = 64 * 1024;

kernel::ids! {
    /// A text for a program: by this the machine of the program knows it again, should it come twice.
    TextId,
}

pub struct TerminalInput {
    /// Text, including the line break.
    pub text: String,
    /// `true` closes the input.
    pub end: bool,
}

/// Writes to a job. Returns the number of bytes.
///
/// # Errors
/// `Ended`, `Deaf`, `LongInput`; `FullInput` if only part was accepted.
pub fn write(ws: &Ws, job: &Job, input: &TerminalInput) -> Result<usize, JobError> {
    whole(put(ws, job, input)?, input)
}

/// Like [`write()`], for a text that may be repeated because its response was lost: written once, and answered with the
/// first response.
///
/// # Errors
/// As [`write()`].
pub(super) fn write_once(
    ws: &Ws,
    job: &Job,
    input: &TerminalInput,
    text: TextId,
) -> Result<usize, JobError> {
    whole(ws.inputs.once(text.uuid().into_bytes(), || put(ws, job, input))?, input)
}

fn whole(taken: usize, input: &TerminalInput) -> Result<usize, JobError> {
    match input.text.len() {
        of if taken < of => Err(JobError::FullInput { taken, of }),
        _ => Ok(taken),
    }
}

/// Writes as much as the job accepts. Once everything is written, closes the input if requested.
fn put(ws: &Ws, job: &Job, sent: &TerminalInput) -> Result<usize, JobError> {
    let input = open(ws, job, sent)?;
    let taken = match input.write(sent.text.as_bytes()) {
        Ok(taken) => taken,
        // The job closed its end of the pipe.
        Err(_) => {
            input.close();
            return Err(JobError::Deaf(job.number));
        }
    };
    if sent.end && taken == sent.text.len() {
        input.close();
    }
    Ok(taken)
}

/// The job's input, if it is open.
fn open(ws: &Ws, job: &Job, input: &TerminalInput) -> Result<Arc<Stdin>, JobError> {
    check(job, input)?;
    ws.inputs.open(job.id).ok_or(JobError::Deaf(job.number))
}

/// Checks that the job accepts this input.
fn check(job: &Job, input: &TerminalInput) -> Result<(), JobError> {
    match job.is_running() {
        _ if MAX_TYPED < input.text.len() => Err(JobError::LongInput),
        true => Ok(()),
        false => Err(JobError::Ended(job.number)),
    }
}

/// Writes to a job for a person, local or remote. The input is recorded first, so that it is on record even if HQ
/// crashes then. A repeat with the same key is recorded and written once: the job's host knows whether it has written
/// the text, and a repeat delivers it if not.
///
/// # Errors
/// As [`write()`], `NoInput` for empty input, `Silent` and `Told` if the host does not accept it.
pub async fn send(
    ws: &Ws,
    who: &Person,
    job: &Job,
    input: TerminalInput,
    once: Once,
) -> Result<usize, JobError> {
    if input.text.is_empty() && !input.end {
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
                None => drop(open(ws, job, &input)?),
                Some(place) => {
                    check(job, &input)?;
                    if !place.is_linked {
                        return Err(JobError::Silent(place.label.clone()));
                    }
                }
            }
            let (id, bytes, end) = (job.id, input.text.len(), input.end);
            let note = once.run(move |tx| {
                rules::note_input(tx, id, bytes, end).map(|()| tx.new_id::<TextId>())
            });
            ws.write(who, note).await?
        }
    };
    match place {
        None => write_once(ws, job, &input, text),
        Some(place) => away::write(ws, &place, job, input, text).await,
    }
}
