//! File records. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::places::Place;
use kernel::{Actor, FileId, Part, TaskId, Timestamp, TypedId};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

/// Files on tasks and records.
pub const TASK_FILES: Table = Table::new(87, "task_files");
/// Subject, then creation order.
pub const FILES_BY_TASK: Index = Index::multi(88, "task_files_by_task");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    pub id: FileId,
    pub on: Place,
    /// Sanitised for display and download.
    pub name: String,
    pub blob: BlobId,
    pub size: u64,
    /// Media type detected from the first bytes. `application/octet-stream` for types that are not displayed inline.
    pub media: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

/// The layout before files on records.
#[derive(Deserialize)]
struct TaskFileV1 {
    id: FileId,
    task: TaskId,
    name: String,
    blob: BlobId,
    size: u64,
    media: String,
    by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl From<TaskFileV1> for TaskFile {
    fn from(old: TaskFileV1) -> Self {
        Self {
            id: old.id,
            on: Place::Task(old.task),
            name: old.name,
            blob: old.blob,
            size: old.size,
            media: old.media,
            by: old.by,
            created_at: old.created_at,
        }
    }
}

impl Record for TaskFile {
    type Id = FileId;
    const TABLE: Table = TASK_FILES;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[FILES_BY_TASK];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|file, blobs| blobs.one(file.blob));
    fn id(&self) -> FileId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(FILES_BY_TASK).raw(self.on.key().bytes());
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to_root(1, self.on.root(), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        self.on.root()
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<TaskFileV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: TASK_FILES.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            id: FileId::from_bytes([13; 16]),
            on: Place::Task(TaskId::from_bytes([2; 16])),
            name: "offer ü.pdf".into(),
            blob: BlobId::of(b"%PDF-1.7"),
            size: 8,
            media: "application/pdf".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
