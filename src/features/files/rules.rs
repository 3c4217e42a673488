//! All writes to files on tasks and records. Files are immutable: a new version is a new file.

use super::model::{FILES_BY_TASK, TaskFile};
use super::queries::{FileError, MOST};
use crate::places::{Place, Spot};
use kernel::{Event, FileId};
use store::{BlobId, Range, ReadExt, WriteTx};

/// A file whose content is already in the blob store.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Sanitised.
    pub name: String,
    pub blob: BlobId,
    pub size: u64,
    /// Media type detected from the content.
    pub media: &'static str,
}

/// Attaches a file to a task or record.
///
/// # Errors
/// If the subject is archived or has too many files.
pub fn attach(
    tx: &mut WriteTx<'_>,
    place: impl Into<Place>,
    new: NewFile,
) -> Result<TaskFile, FileError> {
    let place = place.into();
    usable(tx, place)?;
    let there = Range::prefix(place.key()).limit(MOST);
    if MOST <= tx.len(FILES_BY_TASK, &there)? {
        return Err(FileError::TooMany);
    }
    let file = TaskFile {
        id: tx.new_id(),
        on: place,
        name: new.name,
        blob: new.blob,
        size: new.size,
        media: new.media.to_owned(),
        by: tx.by(),
        created_at: tx.now(),
    };
    tx.put(&file)?;
    // Files on records are reported by their row.
    if let Place::Task(task) = place {
        let name = file.name.clone();
        tx.emit(Event::FileAdded { file: file.id, task, name });
    }
    Ok(file)
}

/// Removes a file. Its content is kept as long as history references it.
///
/// # Errors
/// If there is no such file, or the subject is archived.
pub fn remove(tx: &mut WriteTx<'_>, id: FileId) -> Result<TaskFile, FileError> {
    let file = tx.get::<TaskFile>(id)?.ok_or(FileError::NotFound)?;
    usable(tx, file.on)?;
    tx.delete::<TaskFile>(id)?;
    if let Place::Task(task) = file.on {
        let name = file.name.clone();
        tx.emit(Event::FileRemoved { file: id, task, name });
    }
    Ok(file)
}

fn usable(tx: &WriteTx<'_>, place: Place) -> Result<(), FileError> {
    let spot = Spot::here(tx, place)?;
    if spot.archived { Err(FileError::Archived(spot.name)) } else { Ok(()) }
}
