//! Reads of files on tasks and records.

use super::model::{FILES_BY_TASK, TaskFile};
use crate::places::Place;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::view_context::ViewContext;
use kernel::{FileId, Problem, ProblemKind};
use store::{Range, Read, ReadExt, StoreError};
use web::format;
use web::parts::Face;
use web::time::RelTime;

/// How many files a task or a record may have.
pub const MOST: usize = 200;

/// Why a file was not taken or removed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No such file.
    #[error("there is no such file, or it was removed")]
    NotFound,
    /// What it is on is out of the way.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error("there are {MOST} files here, the most there can be; remove some that are not needed")]
    TooMany,
    #[error(transparent)]
    Task(#[from] TaskError),
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

/// The files on something, oldest first.
pub fn of(read: &dyn Read, place: Place) -> Result<Vec<TaskFile>, StoreError> {
    read.scan(FILES_BY_TASK, &Range::prefix(place.key()).limit(MOST))
}

/// A file.
pub fn get(read: &dyn Read, id: FileId) -> Result<Option<TaskFile>, StoreError> {
    read.get::<TaskFile>(id)
}

/// A file for a page.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    /// Its size in words.
    pub size: String,
    /// Icon.
    pub glyph: &'static str,
    /// Where it is looked at.
    pub href: String,
    pub content: String,
    /// Where it is removed.
    pub remove: String,
    /// Whether it is a raster image.
    pub is_image: bool,
    /// Whether it is a PDF.
    pub is_pdf: bool,
    /// Who sent it.
    pub by: Face,
    pub at: RelTime,
}

impl Line {
    /// The line of a file.
    #[must_use]
    pub fn new(scene: &ViewContext, file: &TaskFile) -> Self {
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
