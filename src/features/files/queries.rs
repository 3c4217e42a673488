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

/// Maximum number of files per task or record.
pub const MOST: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("there is no such file, or it was removed")]
    NotFound,
    /// The subject is archived.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error("there are already {MOST} files here, the maximum; remove some first")]
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

/// Files on a subject, oldest first.
pub fn of(read: &dyn Read, place: Place) -> Result<Vec<TaskFile>, StoreError> {
    read.scan(FILES_BY_TASK, &Range::prefix(place.key()).limit(MOST))
}

pub fn get(read: &dyn Read, id: FileId) -> Result<Option<TaskFile>, StoreError> {
    read.get::<TaskFile>(id)
}

/// A file for display.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub size: String,
    pub glyph: &'static str,
    pub href: String,
    pub content: String,
    /// Delete URL.
    pub remove: String,
    /// `true` for a raster image.
    pub is_image: bool,
    pub is_pdf: bool,
    /// Face of the uploader.
    pub by: Face,
    pub at: RelTime,
}

impl Line {
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
