//! All writes to files on tasks. A file is never changed: another version is another file.

use super::model::{FILES_BY_TASK, TaskFile};
use crate::features::tasks::model::Task;
use crate::features::tasks::queries as tasks;
use crate::features::tasks::queries::error::TaskError;
use crate::kernel::{FileId, Problem, ProblemKind, TaskId};
use crate::store::{BlobId, KeyBuf, Range, ReadExt, StoreError, WriteTx};

/// How many files a task may have.
pub const MOST: usize = 200;

/// Why a file was not taken or removed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No such file.
    #[error("there is no such file, or it was removed")]
    NotFound,
    /// The task is out of the way.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// Too many.
    #[error("a task has at most {MOST} files; remove some that are not needed")]
    TooMany,
    /// The task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for FileError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "file_not_found",
            Self::Archived(_) => "task_archived",
            Self::TooMany => "too_many_files",
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound => ProblemKind::NotFound,
            Self::Archived(_) | Self::TooMany => ProblemKind::Conflict,
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}

/// A file whose content lies in the blobs.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Its name, cleaned.
    pub name: String,
    /// Its content.
    pub blob: BlobId,
    /// Its length in bytes.
    pub size: u64,
    /// The media type that its bytes say.
    pub media: &'static str,
}

/// Puts a file on a task.
///
/// # Errors
/// When the task is archived or has too many.
pub fn attach(tx: &mut WriteTx<'_>, task: TaskId, new: NewFile) -> Result<TaskFile, FileError> {
    let task = usable(tx, task)?;
    let there = Range::prefix(KeyBuf::of(&task.id)).limit(MOST);
    if MOST <= tx.len(FILES_BY_TASK, &there)? {
        return Err(FileError::TooMany);
    }
    let file = TaskFile {
        id: tx.new_id(),
        task: task.id,
        name: new.name,
        blob: new.blob,
        size: new.size,
        media: new.media.to_owned(),
        by: tx.by(),
        created_at: tx.now(),
    };
    tx.put(&file)?;
    Ok(file)
}

/// Takes a file off its task. Its content stays as long as the history remembers it.
///
/// # Errors
/// When it is not there or the task is archived.
pub fn remove(tx: &mut WriteTx<'_>, id: FileId) -> Result<TaskFile, FileError> {
    let file = tx.get::<TaskFile>(id)?.ok_or(FileError::NotFound)?;
    usable(tx, file.task)?;
    tx.delete::<TaskFile>(id)?;
    Ok(file)
}

fn usable(tx: &WriteTx<'_>, id: TaskId) -> Result<Task, FileError> {
    let task = tasks::get(tx, id)?;
    match task.archived_at {
        Some(_) => Err(FileError::Archived(tasks::name(tx, task.number)?)),
        None => Ok(task),
    }
}
