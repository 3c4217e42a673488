//! What people and agents write to a program that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use app::Ws;
use sandbox::input::Stdin;
use web::idempotency::Once;
use web::session::Person;

use super::away;
use super::model::Job;
use super::rules::{self, JobError};

/// How much is written at once at most, in bytes.
pub const MAX_TYPED: usize = 64 * 1024;

/// What is written.
pub struct Typed {
    /// The text, with the end of its line.
    pub text: String,
    /// Whether nothing more will come.
    pub end: bool,
}

/// Writes to a program; answers how many bytes that were.
///
/// # Errors
/// `Ended`, `Deaf`, `LongInput`; `FullInput` when it took a part only.
pub fn write(ws: &Ws, job: &Job, typed: &Typed) -> Result<usize, JobError> {
    let input = open(ws, job, typed)?;
    let taken = match input.write(typed.text.as_bytes()) {
        Ok(taken) => taken,
        // Its end of the pipe is closed: nobody will ever read from it.
        Err(_) => {
            input.close();
            return Err(JobError::Deaf(job.number));
        }
    };
    if taken < typed.text.len() {
        return Err(JobError::FullInput { taken, of: typed.text.len() });
    }
    if typed.end {
        input.close();
    }
    Ok(taken)
}

/// What the program reads, if that can be written to it.
fn open(ws: &Ws, job: &Job, typed: &Typed) -> Result<Arc<Stdin>, JobError> {
    check(job, typed)?;
    ws.inputs.open(job.id).ok_or(JobError::Deaf(job.number))
}

/// Whether this can be written to the program at all.
fn check(job: &Job, typed: &Typed) -> Result<(), JobError> {
    match job.is_running() {
        _ if MAX_TYPED < typed.text.len() => Err(JobError::LongInput),
        true => Ok(()),
        false => Err(JobError::Ended(job.number)),
    }
}

/// Writes to a program for a person, wherever it runs: noted first, so that what somebody did is on record even if HQ ends
/// just then. Sent twice with one key, it is written once.
///
/// # Errors
/// As [`write()`], `NoInput` when there is nothing to write, `Silent` and `Told` when its machine does not take it.
pub async fn send(
    ws: &Ws,
    who: &Person,
    job: &Job,
    typed: Typed,
    once: Once,
) -> Result<usize, JobError> {
    if typed.text.is_empty() && !typed.end {
        return Err(JobError::NoInput);
    }
    let place = ws.read(|snap| away::place(ws, snap, job))?;
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
    let is_first = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_first);
    let note = once.run(move |tx| {
        rules::note_input(tx, id, bytes, end).map(|()| told.store(true, Ordering::SeqCst))
    });
    ws.write(who, note).await?;
    match place {
        _ if !is_first.load(Ordering::SeqCst) => Ok(bytes),
        None => write(ws, job, &typed),
        Some(place) => away::write(ws, &place, job, typed).await,
    }
}
