//! Reads of jobs.

pub mod now;
pub mod upkeep;

use app::Ws;
use crypto::redact::Spot;
use kernel::key::KeyBuf;
use kernel::{AgentId, JobId};
use sandbox::output;
use store::{Hit, Range, Read, ReadExt, StoreError};

use super::model::{JOB_BY_AGENT, JOB_BY_NUMBER, JOBS_RUNNING, Job, OUTPUT};

/// Maximum number of bytes per read of an output.
pub const MAX_READ: usize = 256 * 1024;
/// Maximum length of a stored output, in bytes.
const MAX_KEPT: u64 = 64 * 1024 * 1024;

/// Jobs with running processes, optionally of one agent.
pub fn running(tx: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Job>, StoreError> {
    let range = agent.map_or_else(Range::all, |agent| Range::prefix(KeyBuf::of(&agent)));
    tx.scan(JOBS_RUNNING, &range)
}

/// Jobs of an agent, newest first.
pub fn of_agent(tx: &dyn Read, agent: AgentId, limit: usize) -> Result<Vec<Job>, StoreError> {
    tx.scan(JOB_BY_AGENT, &Range::prefix(KeyBuf::of(&agent)).reverse().limit(limit))
}

/// A page of jobs, newest first.
pub fn all(tx: &dyn Read, after: Option<&[u8]>, limit: usize) -> Result<Vec<Hit<Job>>, StoreError> {
    let mut range = Range::all().reverse().limit(limit);
    if let Some(after) = after {
        range = range.after(after);
    }
    tx.hits(JOB_BY_NUMBER, &range)
}

/// Finds a job by number or id.
pub fn by_name(tx: &dyn Read, name: &str) -> Result<Option<Job>, StoreError> {
    match (name.parse::<u32>(), name.parse::<JobId>()) {
        (Ok(number), _) => tx.find(JOB_BY_NUMBER, &KeyBuf::of(&number)),
        (_, Ok(id)) => tx.get(id),
        _ => Ok(None),
    }
}

/// Part of a job's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Text with secrets masked.
    pub text: String,
    /// Offset of the first byte.
    pub from: u64,
    /// Offset after the last byte.
    pub next: u64,
}

/// Output from this byte on, at most [`MAX_READ`] bytes, or the end of it. Read from the file while the job runs, then
/// from the blob. Blocking.
#[must_use]
pub fn written(ws: &Ws, job: &Job, from: Option<u64>, most: usize) -> Written {
    read(ws, job, from, most.min(MAX_READ))
}

/// The whole output. Blocking.
#[must_use]
pub fn whole(ws: &Ws, job: &Job) -> String {
    read(ws, job, Some(0), MAX_KEPT as usize).text
}

fn read(ws: &Ws, job: &Job, from: Option<u64>, most: usize) -> Written {
    let read = match &job.output {
        Some(kept) => ws.blobs.get(kept.id, MAX_KEPT).ok().map(|bytes| part(&bytes, from, most)),
        None if job.is_running() => {
            let path = ws.jobs_folder().join(job.folder()).join(OUTPUT);
            // ok: without a file nothing was written.
            let len = output::len(&path).unwrap_or(0);
            let start = from.unwrap_or_else(|| len.saturating_sub(most as u64));
            // ok: as above.
            output::from(&path, start, most).ok().map(|(text, next)| Written {
                text,
                from: start,
                next,
            })
        }
        None => None,
    };
    let mut read = read.unwrap_or_default();
    read.text = ws.app.redactor.masked(Spot::Tools, &read.text).into_owned();
    read
}

fn part(bytes: &[u8], from: Option<u64>, most: usize) -> Written {
    let start = match from {
        Some(from) => usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len()),
        None => bytes.len().saturating_sub(most),
    };
    let end = (start + most).min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
    Written { text, from: start as u64, next: end as u64 }
}
