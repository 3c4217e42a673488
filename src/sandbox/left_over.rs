//! Cleans up after a hard end of HQ: each job's folder records the session of its processes, and the next start ends
//! those still alive.
//!
//! The folders are not writable for programs, which could otherwise name another session.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use super::kill::{self, SessionMark};
use super::output;

/// File in a job's folder that records its session.
const MARK: &str = "session.json";
/// File in a job's folder that records its end.
const END: &str = "ended.json";
/// Maximum size of a recorded file, in bytes.
const MAX_MARK: u64 = 4096;

/// Creates a job's folder, replacing an existing one.
pub fn make(job: &Path) -> io::Result<()> {
    clear(job);
    fs::create_dir_all(job)
}

/// Removes the folder of a job whose result is stored elsewhere.
pub fn clear(job: &Path) {
    match fs::remove_dir_all(job) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the folder of a job could not be removed");
        }
        _ => {}
    }
}

/// Removes the folders of all jobs for which `is_kept` returns `false`.
pub fn sweep(jobs: &Path, is_kept: impl Fn(&str) -> bool) {
    // ok: a missing folder has no jobs.
    for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
        if !is_kept(&job.file_name().to_string_lossy()) {
            clear(&job.path());
        }
    }
}

/// Records the session of a started job in a new file.
pub fn note(job: &Path, mark: &SessionMark) -> io::Result<()> {
    let bytes = serde_json::to_vec(mark)?;
    OpenOptions::new().write(true).create_new(true).open(job.join(MARK))?.write_all(&bytes)
}

/// Deletes the session record of an ended job.
pub fn forget(job: &Path) {
    // ok: a remaining mark names a session that is gone.
    let _ = fs::remove_file(job.join(MARK));
}

/// Records the end of a job, in the caller's format.
pub fn note_end(job: &Path, words: &[u8]) -> io::Result<()> {
    fs::write(job.join(END), words)
}

/// The recorded end of a job.
#[must_use]
pub fn noted_end(job: &Path) -> Option<Vec<u8>> {
    let mut words = Vec::new();
    // ok: without the file, nothing observed the job's end.
    output::open(&job.join(END)).ok()?.take(MAX_MARK).read_to_end(&mut words).ok()?;
    Some(words)
}

/// Ends what the jobs in a folder (`<jobs>/<job>`) left behind. Returns the number of ended processes. Blocking.
#[must_use]
pub fn end_all(jobs: &Path) -> usize {
    end_all_but(jobs, &[])
}

/// The same, except for sessions that this run has started. Blocking.
#[must_use]
pub fn end_all_but(jobs: &Path, begun: &[SessionMark]) -> usize {
    let mut marks = Vec::new();
    // ok: a missing folder has no jobs.
    for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
        let path = job.path().join(MARK);
        let Ok(file) = output::open(&path) else { continue };
        let mut bytes = Vec::new();
        if file.take(MAX_MARK).read_to_end(&mut bytes).is_ok()
            && let Ok(mark) = serde_json::from_slice::<SessionMark>(&bytes)
        {
            if begun.contains(&mark) {
                continue;
            }
            marks.push(mark);
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, "a job's mark could not be removed");
        }
    }
    if marks.is_empty() { 0 } else { kill::clean_up(&marks).ended }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_mark_of_somebody_elses_session_ends_nobody() {
        let jobs = tempfile::tempdir().unwrap();
        let job = jobs.path().join("job");
        fs::create_dir(&job).unwrap();
        let mut foreign =
            Command::new("setsid").args(["sleep", "60"]).stdout(Stdio::null()).spawn().unwrap();
        note(&job, &SessionMark::of(foreign.id().cast_signed()).unwrap()).unwrap();

        assert_eq!(end_all(jobs.path()), 0);

        assert!(foreign.try_wait().unwrap().is_none(), "it was ended");
        assert!(!job.join(MARK).exists());
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }

    #[test]
    fn how_a_job_ended_is_kept_until_its_folder_goes() {
        let dir = tempfile::tempdir().unwrap();
        let job = dir.path().join("job");
        assert!(note_end(&job, b"0").is_err(), "there is no folder");
        make(&job).unwrap();
        assert_eq!(noted_end(&job), None);
        note_end(&job, b"7").unwrap();
        assert_eq!(noted_end(&job).as_deref(), Some(b"7".as_slice()));
        make(&job).unwrap();
        assert_eq!(noted_end(&job), None, "another one is at work there");
    }

    #[test]
    fn a_mark_is_neither_written_nor_read_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (job, other) = (dir.path().join("jobs/job"), dir.path().join("other"));
        fs::create_dir_all(&job).unwrap();
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, job.join(MARK)).unwrap();
        let mark = SessionMark { session: 50, started: 1, boot: "b".into() };
        assert!(note(&job, &mark).is_err());
        assert_eq!(end_all(&dir.path().join("jobs")), 0);
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    }
}
