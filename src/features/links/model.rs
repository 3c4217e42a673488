//! The record of a link. A released layout is frozen: add `…V1`, raise `VERSION`. Target kinds are only appended.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::deliverables::model::Deliverable;
use crate::files::model::TaskFile;
use crate::routines::model::Routine;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use kernel::key::KeyBuf;
use kernel::{
    Actor, AgentId, DeliverableId, FileId, LinkId, Part, RoutineId, StreamId, TaskId, Timestamp,
    TypedId,
};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const LINKS: Table = Table::new(275, "task_links");
/// Task, then target.
pub const BY_TASK: Index = Index::unique(276, "links_by_task");
pub const BY_TARGET: Index = Index::multi(277, "links_by_target");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// External URL.
    Url(String),
    Task(TaskId),
    Agent(AgentId),
    Stream(StreamId),
    Routine(RoutineId),
    Piece(DeliverableId),
    File(FileId),
    /// A record of a noun with a descriptor: table and key.
    Row(u16, Vec<u8>),
}

impl Target {
    /// Appends the target to an index key.
    pub fn encode(&self, key: &mut KeyBuf) {
        match self {
            Self::Url(url) => key.u8(0).text(url),
            Self::Task(id) => key.u8(1).part(*id),
            Self::Agent(id) => key.u8(2).part(*id),
            Self::Stream(id) => key.u8(3).part(*id),
            Self::Routine(id) => key.u8(4).part(*id),
            Self::Piece(id) => key.u8(5).part(*id),
            Self::File(id) => key.u8(6).part(*id),
            Self::Row(table, id) => key.u8(7).part(*table).raw(id),
        };
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub id: LinkId,
    pub task: TaskId,
    pub target: Target,
    /// Empty uses the name of the target.
    pub label: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Link {
    type Id = LinkId;
    const TABLE: Table = LINKS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_TASK, BY_TARGET];
    fn id(&self) -> LinkId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        let key = keys.entry(BY_TASK).part(self.task);
        self.target.encode(key);
        self.target.encode(keys.entry(BY_TARGET));
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
        match self.target {
            Target::Url(_) => {}
            Target::Task(id) => refs.to::<Task>(2, Some(id), OnDelete::Cascade),
            Target::Agent(id) => refs.to::<Agent>(3, Some(id), OnDelete::Cascade),
            Target::Stream(id) => refs.to::<Stream>(4, Some(id), OnDelete::Cascade),
            Target::Routine(id) => refs.to::<Routine>(5, Some(id), OnDelete::Cascade),
            Target::Piece(id) => refs.to::<Deliverable>(6, Some(id), OnDelete::Cascade),
            Target::File(id) => refs.to::<TaskFile>(7, Some(id), OnDelete::Cascade),
            Target::Row(table, ref key) => {
                refs.to_root(8, Root { table, key: key.clone() }, OnDelete::Cascade);
            }
        }
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            id: LinkId::from_bytes([26; 16]),
            task: TaskId::from_bytes([2; 16]),
            target: Target::Url("https://example.com/prices".into()),
            label: "Prices ü".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
