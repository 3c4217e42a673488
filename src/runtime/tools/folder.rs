//! The agent's folder for file tools. Links are never followed, and paths outside are rejected. Blocking.

use std::path::Path;

use sha2::{Digest, Sha256};

use features::runs::model::{Place, Written};
use features::runs::queries::{self, taint};
use git::files::{AgentFiles, Scan};
use git::{File, GitError};
use kernel::SessionId;
use store::StoreError;
use tool::{FileChange, ToolCx, ToolError, ToolOutput, args, untrusted};

use super::heard;

/// File marks of a folder, for detecting what a program changed.
pub(crate) type Marks = Scan;

/// The largest file that tools read or write, in bytes.
pub(crate) const MAX_FILE: u64 = 10 * 1024 * 1024;

/// Runs a blocking function on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let early = |_| {
        let message = "a file task panicked".to_owned();
        ToolError::Failed { code: "internal", message }
    };
    app::blocking(body, early).await.flatten()
}

/// Marks a result as untrusted if it contains text of a file that a tainted run wrote and nobody has accepted since.
/// `has` receives a path and the text and says whether the text contains parts of that file.
pub(crate) fn marked(
    cx: &ToolCx,
    output: ToolOutput,
    has: impl Fn(&str, &str) -> bool,
) -> Result<ToolOutput, ToolError> {
    let written = cx.ws.read(|snap| match taint::of(snap, cx.session)? {
        // The conversation is already tainted.
        Some(_) => Ok((Vec::new(), false)),
        None => {
            let files = taint::files_of(snap, cx.agent)?;
            Ok::<_, StoreError>((files, heard::is_written_now(snap, cx)?))
        }
    })?;
    let (written, is_written_now) = written;
    let is_in = |one: &Written| match &one.place {
        Place::File { path, .. } => has(path, &output.text),
        Place::Task(_) | Place::Comment(_) | Place::Record(_) => false,
    };
    if is_written_now || written.iter().any(is_in) {
        return Ok(untrusted::around(cx, output));
    }
    Ok(output)
}

/// Marks a result as untrusted if it contains text of another conversation that is tainted.
pub(crate) fn of_sessions(
    cx: &ToolCx,
    output: ToolOutput,
    sessions: &[SessionId],
) -> Result<ToolOutput, ToolError> {
    let is_labelled = cx.ws.read(|snap| {
        for session in sessions.iter().filter(|session| **session != cx.session) {
            if taint::of(snap, *session)?.is_some() {
                return Ok(true);
            }
        }
        Ok::<_, StoreError>(false)
    })?;
    if is_labelled && !untrusted::is_in(&output.text) {
        return Ok(untrusted::around(cx, output));
    }
    Ok(output)
}

/// Marks a part of an earlier result as untrusted if its conversation is another one that is tainted.
pub(crate) fn of_result(
    cx: &ToolCx,
    output: ToolOutput,
    name: &str,
) -> Result<ToolOutput, ToolError> {
    let Some((number, _)) = name.split_once('.') else { return Ok(output) };
    let run = cx.ws.read(|snap| queries::by_name(snap, number.trim()))?;
    match run {
        Some(run) => of_sessions(cx, output, &[run.session]),
        None => Ok(output),
    }
}

/// Returns `true` if a list of hits (`file:…` per line) contains this file.
pub(crate) fn is_hit(path: &str, text: &str) -> bool {
    let of = |line: &str| line.strip_prefix(path).is_some_and(|rest| rest.starts_with(':'));
    text.lines().any(of)
}

pub(crate) fn open(root: &Path) -> Result<AgentFiles, ToolError> {
    Ok(AgentFiles::open(root)?)
}

/// The path below the folder for a path that a model wrote.
pub(crate) fn relative(files: &AgentFiles, written: &str) -> Result<String, ToolError> {
    files.relative(written).map_err(|error| match error {
        GitError::Path { .. } => ToolError::refused("denied", error.to_string()),
        error => error.into(),
    })
}

/// The present state of a file.
pub(crate) struct Current {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: [u8; 32],
    pub(crate) executable: bool,
}

/// The SHA-256 hash.
pub(crate) fn sum(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The first 6 bytes of a hash in hexadecimal.
pub(crate) fn short(hash: &[u8; 32]) -> String {
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole content of a file; `None` if it does not exist. A file that is too large is not read at all, because
/// programs can create files of any size.
pub(crate) fn current(files: &AgentFiles, path: &str) -> Result<Option<Current>, ToolError> {
    if path.is_empty() {
        return Err(ToolError::refused("invalid_args", "give a file path"));
    }
    match files.read_up_to(path, MAX_FILE)? {
        Some(part) if part.total > MAX_FILE => Err(ToolError::refused(
            "too_large",
            format!(
                "{path} has {} bytes, and the limit is {MAX_FILE} bytes; extract a part with a \
                 program",
                part.total
            ),
        )),
        Some(part) => Ok(Some(Current {
            hash: sum(&part.bytes),
            bytes: part.bytes,
            executable: part.executable,
        })),
        None => Ok(None),
    }
}

/// The error for a missing file, with similar names.
pub(crate) fn missing(files: &AgentFiles, path: &str) -> ToolError {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    // ok: a folder that cannot be read has no similar names.
    let items = files.list(folder).ok().flatten().unwrap_or_default();
    let near = args::nearest(name, items.iter().map(|item| item.name.as_str()), 3);
    let near = match near.as_slice() {
        [] => "use list to see the files".to_owned(),
        near => format!("similar: {}", near.join(", ")),
    };
    ToolError::refused("not_found", format!("there is no file {path}; {near}"))
}

/// The SHA-256 hash of a file; `None` if it does not exist. Refuses files above [`MAX_FILE`].
pub(crate) fn hash(files: &AgentFiles, path: &str) -> Result<Option<[u8; 32]>, ToolError> {
    Ok(current(files, path)?.map(|now| now.hash))
}

/// Makes all changes or none. Each file must have the content for which the change was computed. If a write fails,
/// earlier ones are reverted.
pub(crate) fn change(root: &Path, changes: &[FileChange]) -> Result<(), ToolError> {
    let files = open(root)?;
    let mut former = Vec::with_capacity(changes.len());
    for change in changes {
        let now = current(&files, &change.path)?;
        if now.as_ref().map(|now| now.hash) != change.before {
            return Err(ToolError::refused(
                "conflict",
                format!("{} has changed since; read it again", change.path),
            ));
        }
        former.push(now);
    }
    // Write before deleting: a crash in between loses nothing.
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by_key(|at| changes[*at].content.is_none());
    for (n, at) in order.iter().enumerate() {
        if let Err(error) = put(&files, &changes[*at]) {
            for done in &order[..n] {
                put_back(&files, &changes[*done].path, former[*done].take());
            }
            return Err(error);
        }
    }
    Ok(())
}

fn put(files: &AgentFiles, change: &FileChange) -> Result<(), ToolError> {
    match &change.content {
        Some(bytes) => {
            let (path, bytes) = (change.path.clone(), bytes.clone());
            files.write(&File { path, bytes, executable: change.executable })?;
        }
        None => {
            files.remove(&change.path)?;
        }
    }
    Ok(())
}

fn put_back(files: &AgentFiles, path: &str, former: Option<Current>) {
    let back = match former {
        Some(Current { bytes, executable, .. }) => {
            files.write(&File { path: path.to_owned(), bytes, executable })
        }
        None => files.remove(path).map(|_| ()),
    };
    if let Err(error) = back {
        tracing::warn!(%error, "a file of a change that failed could not be put back");
    }
}

/// The file marks of a folder; empty if it cannot be read.
pub(crate) fn marks(root: &Path) -> Marks {
    AgentFiles::open(root).and_then(|files| files.scan()).unwrap_or_default()
}

/// The files that changed since a job's folder was created. Blocking.
pub(crate) fn changed_with(root: &Path, job: &Path) -> Vec<String> {
    // ok: without a creation time of the folder the changes are unknown.
    let Ok(since) = job.metadata().and_then(|job| job.created()) else { return Vec::new() };
    marks(root).changed_since(since)
}

/// The paths that differ.
pub(crate) fn changed(before: &Marks, after: &Marks) -> Vec<String> {
    before.changes(after)
}

#[cfg(test)]
mod tests {
    use super::{change, sum};
    use tool::FileChange;

    fn to(path: &str, before: Option<&str>, content: Option<&str>) -> FileChange {
        FileChange {
            path: path.to_owned(),
            before: before.map(|text| sum(text.as_bytes())),
            content: content.map(|text| text.as_bytes().to_vec()),
            executable: false,
        }
    }

    #[test]
    fn all_files_are_changed_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).ok();
        std::fs::write(dir.path().join("a"), "old").unwrap();
        std::fs::write(dir.path().join("b"), "other").unwrap();
        let stale = [to("a", Some("old"), Some("new")), to("b", Some("what it was"), Some("new"))];
        assert!(change(dir.path(), &stale).is_err());
        assert_eq!(read("a").as_deref(), Some("old"));
        // A file cannot be below another file: the second write fails after the first.
        let broken = [to("a", Some("old"), Some("new")), to("b/c", None, Some("x"))];
        assert!(change(dir.path(), &broken).is_err());
        assert_eq!((read("a").as_deref(), read("b").as_deref()), (Some("old"), Some("other")));
        let fine = [to("a", Some("old"), None), to("c/d", None, Some("x"))];
        change(dir.path(), &fine).unwrap();
        assert_eq!((read("a"), read("c/d").as_deref()), (None, Some("x")));
    }
}
