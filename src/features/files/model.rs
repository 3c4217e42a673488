//! File records.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::tasks::model::Task;
use kernel::{Actor, FileId, Part, TaskId, Timestamp, TypedId};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

/// Files on tasks.
pub const TASK_FILES: Table = Table::new(87, "task_files");
/// Task, then the order of sending.
pub const FILES_BY_TASK: Index = Index::multi(88, "task_files_by_task");

/// A file on a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Its id.
    pub id: FileId,
    /// The task.
    pub task: TaskId,
    /// Its name, as it may be shown and saved.
    pub name: String,
    /// Its content.
    pub blob: BlobId,
    /// Its length in bytes.
    pub size: u64,
    /// The media type that its first bytes say; `application/octet-stream` when they say none that
    /// is shown in place.
    pub media: String,
    /// Who sent it.
    pub by: Actor,
    /// When.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for TaskFile {
    type Id = FileId;
    const TABLE: Table = TASK_FILES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[FILES_BY_TASK];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|file, blobs| blobs.one(file.blob));
    fn id(&self) -> FileId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(FILES_BY_TASK).part(self.task);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            id: FileId::from_bytes([13; 16]),
            task: TaskId::from_bytes([2; 16]),
            name: "offer ü.pdf".into(),
            blob: BlobId::of(b"%PDF-1.7"),
            size: 8,
            media: "application/pdf".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
