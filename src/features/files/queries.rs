//! Reads of files on tasks.

use super::model::{FILES_BY_TASK, TaskFile};
use crate::features::tasks::queries::scene::Scene;
use crate::kernel::{FileId, TaskId};
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};
use crate::web::format;
use crate::web::parts::Face;
use crate::web::time::RelTime;

/// How many files a page shows.
const SHOWN: usize = 200;

/// The files of a task, oldest first.
///
/// # Errors
/// When the store fails.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<TaskFile>, StoreError> {
    read.scan(FILES_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(SHOWN))
}

/// A file.
///
/// # Errors
/// When the store fails.
pub fn get(read: &dyn Read, id: FileId) -> Result<Option<TaskFile>, StoreError> {
    read.get::<TaskFile>(id)
}

/// A file for a page.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its size in words.
    pub size: String,
    /// Icon.
    pub glyph: &'static str,
    /// Where it is looked at.
    pub href: String,
    /// Where its content is.
    pub content: String,
    /// Where it is removed.
    pub remove: String,
    /// Whether it is a raster image.
    pub is_image: bool,
    /// Whether it is a PDF.
    pub is_pdf: bool,
    /// Who sent it.
    pub by: Face,
    /// When.
    pub at: RelTime,
}

impl Line {
    /// The line of a file.
    #[must_use]
    pub fn new(scene: &Scene, file: &TaskFile) -> Self {
        let href = scene.ws.url(&format!("files/{}", file.id));
        let is_image = file.media.starts_with("image/");
        let is_pdf = file.media == "application/pdf";
        Self {
            size: format::size(file.size),
            glyph: if is_image {
                "eye"
            } else if is_pdf {
                "doc"
            } else {
                "file"
            },
            content: format!("{href}/content"),
            remove: format!("{href}/delete"),
            is_image,
            is_pdf,
            by: scene.people.actor(file.by),
            at: scene.time(file.created_at),
            name: file.name.clone(),
            href,
        }
    }
}
