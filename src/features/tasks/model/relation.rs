//! Relations between tasks. Subtasks are not stored here but in [`Task::parent`].

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Task;
use kernel::{Actor, Part, RelationId, RelationKind, TaskId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const RELATIONS: Table = Table::new(208, "task_relations");
/// The task, the kind, the other task.
pub const BY_TASK: Index = Index::unique(209, "task_relations_by_task");
/// The other task, then the kind.
pub const BY_OTHER: Index = Index::multi(210, "task_relations_by_other");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    pub id: RelationId,
    /// For `RelatesTo`, the older of the two tasks.
    pub task: TaskId,
    pub kind: RelationKind,
    pub other: TaskId,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Relation {
    type Id = RelationId;
    const TABLE: Table = RELATIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_TASK, BY_OTHER];
    fn id(&self) -> RelationId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_TASK).part(self.task).u8(self.kind as u8).part(self.other);
        keys.entry(BY_OTHER).part(self.other).u8(self.kind as u8);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
        refs.to::<Task>(2, Some(self.other), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            id: RelationId::from_bytes([22; 16]),
            task: TaskId::from_bytes([2; 16]),
            kind: RelationKind::BlockedBy,
            other: TaskId::from_bytes([3; 16]),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
