//! All writes to files on tasks. A file is never changed: another version is another file.

use super::model::{FILES_BY_TASK, TaskFile};
use super::queries::{FileError, MOST};
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use kernel::key::KeyBuf;
use kernel::{Event, FileId, TaskId};
use store::{BlobId, Range, ReadExt, WriteTx};

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
    let name = file.name.clone();
    tx.emit(Event::FileAdded { file: file.id, task: task.id, name });
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
    let name = file.name.clone();
    tx.emit(Event::FileRemoved { file: id, task: file.task, name });
    Ok(file)
}

fn usable(tx: &WriteTx<'_>, id: TaskId) -> Result<Task, FileError> {
    let task = tasks::get(tx, id)?;
    match task.archived_at {
        Some(_) => Err(FileError::Archived(tasks::name(tx, task.number)?)),
        None => Ok(task),
    }
}
