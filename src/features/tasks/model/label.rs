//! Labels, and the labels of tasks.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Task;
use kernel::{Colour, Hue, TaskId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

kernel::ids! {
    /// A label of tasks.
    LabelId,
}

pub const LABELS: Table = Table::new(203, "labels");
/// Name in lower case.
pub const BY_NAME: Index = Index::unique(204, "labels_by_name");
/// Labels of tasks. The key begins with the task.
pub const TASK_LABELS: Table = Table::new(205, "task_labels");
pub const BY_LABEL: Index = Index::multi(206, "task_labels_by_label");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub id: LabelId,
    pub name: String,
    pub colour: Colour,
    pub description: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for Label {
    type Id = LabelId;
    const TABLE: Table = LABELS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_NAME];
    fn id(&self) -> LabelId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_NAME).text(&self.name.to_lowercase());
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: LabelId::from_bytes([21; 16]),
            name: "Launch ü".into(),
            colour: Hue::C9.into(),
            description: "What must be ready in May".into(),
            created_at: at,
            updated_at: at,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLabel {
    pub task: TaskId,
    pub label: LabelId,
}

impl Record for TaskLabel {
    type Id = (TaskId, LabelId);
    const TABLE: Table = TASK_LABELS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_LABEL];
    fn id(&self) -> (TaskId, LabelId) {
        (self.task, self.label)
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_LABEL).part(self.label);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
        refs.to::<Label>(2, Some(self.label), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self { task: TaskId::from_bytes([2; 16]), label: LabelId::from_bytes([21; 16]) }
    }
}
