//! All writes to files on tasks and records. A file is never changed: another version is another file.

use super::model::{FILES_BY_TASK, TaskFile};
use super::queries::{FileError, MOST};
use crate::places::{Place, Spot};
use kernel::{Event, FileId};
use store::{BlobId, Range, ReadExt, WriteTx};

/// A file whose content lies in the blobs.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Its name, cleaned.
    pub name: String,
    /// Its content.
    pub blob: BlobId,
    pub size: u64,
    /// The media type that its bytes say.
    pub media: &'static str,
}

/// Puts a file on a task or a record.
///
/// # Errors
/// When that is archived or has too many.
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
    // Of a file on a record its row tells.
    if let Place::Task(task) = place {
        let name = file.name.clone();
        tx.emit(Event::FileAdded { file: file.id, task, name });
    }
    Ok(file)
}

/// Takes a file off what it is on. Its content stays as long as the history remembers it.
///
/// # Errors
/// When it is not there, or what it is on is archived.
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
