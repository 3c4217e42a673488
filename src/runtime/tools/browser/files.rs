//! Files for upload: from the agent's folder, or from the task of the run.

use std::io;
use std::path::{Path, PathBuf};

use app::Ws;
use browser::act::Upload;
use features::files::model::TaskFile;
use features::files::queries as files;
use features::places::Place;
use features::trust::model::Witness;
use kernel::TaskId;
use tool::{ToolError, leaks};
use web::format;

use super::answer::missing;
use crate::tools::folder::{self, blocking};

/// Most files at once.
const AT_ONCE: usize = 10;
/// Most bytes of all files together.
const MOST: u64 = 50 << 20;
/// Prefix of a file name of the task.
const OF_TASK: &str = "task:";

/// A file to upload, with its present content.
pub(super) struct Given {
    /// Its path and content digest.
    pub(super) witness: Witness,
    /// Its size for people.
    pub(super) size: String,
    pub(super) upload: Upload,
}

/// The sources of files.
pub(super) struct Source {
    /// The agent's folder.
    pub(super) folder: PathBuf,
    /// The run's task.
    pub(super) task: Option<TaskId>,
}

enum Wanted {
    Own(String),
    OfTask(Box<TaskFile>),
}

/// Reads the files to upload.
pub(super) async fn take(
    ws: &Ws,
    from: Source,
    paths: Option<&[String]>,
) -> Result<Vec<Given>, ToolError> {
    let paths = paths.filter(|paths| !paths.is_empty());
    let paths = paths.ok_or_else(|| {
        missing(
            "options",
            "give file paths, such as \
        offers/march.pdf",
        )
    })?;
    if AT_ONCE < paths.len() {
        return Err(missing("options", "at most 10 files at once"));
    }
    let mut wanted = Vec::new();
    for path in paths {
        wanted.push(match path.trim().strip_prefix(OF_TASK) {
            Some(name) => Wanted::OfTask(Box::new(of_task(ws, from.task, name.trim())?)),
            None => Wanted::Own(path.clone()),
        });
    }
    let most = MOST.min(ws.app.config.limits.upload_bytes());
    let ws = ws.clone();
    blocking(move || {
        let mut room = most;
        let mut all = Vec::new();
        for one in wanted {
            let (path, bytes) = match one {
                Wanted::Own(path) => own(&from.folder, &path, (room, most))?,
                Wanted::OfTask(file) => {
                    if room < file.size {
                        return Err(too_large(&file.name, most));
                    }
                    let gone = |error: io::Error| {
                        let text = format!("the content of {} is missing: {error}", file.name);
                        ToolError::refused("file_missing", text)
                    };
                    let bytes = ws.blobs.get(file.blob, file.size).map_err(gone)?;
                    (format!("{OF_TASK}{}", file.name), bytes)
                }
            };
            room = room.saturating_sub(bytes.len() as u64);
            if let Some(leak) = leaks::in_file(&ws.app.redactor, &bytes) {
                let text = format!(
                    "nothing was uploaded: {path}, line {}: \
                    {}",
                    leak.line, leak.why
                );
                return Err(ToolError::refused("denied", text));
            }
            let name = path.rsplit(['/', ':']).next().unwrap_or_default().to_owned();
            all.push(Given {
                witness: Witness { hash: folder::sum(&bytes), path },
                size: format::size(bytes.len() as u64),
                upload: Upload { name, bytes },
            });
        }
        Ok(all)
    })
    .await
}

/// A file of the agent's folder.
fn own(
    root: &Path,
    written: &str,
    (room, most): (u64, u64),
) -> Result<(String, Vec<u8>), ToolError> {
    let files = folder::open(root)?;
    let path = folder::relative(&files, written)?;
    if path.is_empty() {
        return Err(missing("options", "give a file, not the folder"));
    }
    match files.read_up_to(&path, room)? {
        None => Err(folder::missing(&files, &path)),
        Some(part) if room < part.total => Err(too_large(&path, most)),
        Some(part) => Ok((path, part.bytes)),
    }
}

fn too_large(name: &str, most: u64) -> ToolError {
    let most = format::size(most);
    ToolError::refused("too_large", format!("{name}: uploads can have at most {most} in total"))
}

/// The newest file of this name on the run's task.
fn of_task(ws: &Ws, task: Option<TaskId>, name: &str) -> Result<TaskFile, ToolError> {
    let Some(task) = task else {
        return Err(ToolError::refused("file_not_found", "this run doesn't work on a task"));
    };
    let all = ws.read(|snap| files::of(snap, Place::Task(task)))?;
    let found = all.into_iter().rfind(|file| file.name == name);
    let none = || format!("the task has no file \"{name}\"; file_list shows its files");
    found.ok_or_else(|| ToolError::refused("file_not_found", none()))
}
