//! What programs leave behind when HQ itself ends hard: each job's folder names the session of its
//! processes, and the next start ends what is still alive of it.

use std::fs;
use std::io;
use std::path::Path;

use super::kill::{self, SessionMark};

/// The file in a job's folder that names its session.
const MARK: &str = "session.json";

/// Notes the session of a job that has begun.
pub fn note(job: &Path, mark: &SessionMark) -> io::Result<()> {
    fs::write(job.join(MARK), serde_json::to_vec(mark)?)
}

/// Forgets the session of a job that is over.
pub fn forget(job: &Path) {
    // ok: a mark that stays names a session that is gone.
    let _ = fs::remove_file(job.join(MARK));
}

/// Ends what the jobs below these agents' folders (`<agent>/scratch/jobs/<job>`) left behind.
/// Answers how many processes were ended. Blocking.
#[must_use]
pub fn end_all(agents: &Path) -> usize {
    let mut marks = Vec::new();
    let mut files = Vec::new();
    // ok: folders that are not there hold no jobs.
    for agent in fs::read_dir(agents).into_iter().flatten().flatten() {
        let jobs = agent.path().join("scratch").join("jobs");
        for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
            let path = job.path().join(MARK);
            let Ok(bytes) = fs::read(&path) else { continue };
            marks.extend(serde_json::from_slice::<SessionMark>(&bytes));
            files.push(path);
        }
    }
    let ended = if marks.is_empty() { 0 } else { kill::clean_up(&marks).ended };
    for file in files {
        if let Err(error) = fs::remove_file(&file) {
            tracing::warn!(%error, "a job's mark could not be removed");
        }
    }
    ended
}
