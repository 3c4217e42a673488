//! Records of the benchmarks: a task and the inbox item of its assignment, with as many indexes as the real ones.

use kernel::id::{IdSource, SystemIds};
use kernel::{AgentId, Assignee, Event, ItemId, TaskId, Timestamp, TypedId};
use serde::{Deserialize, Serialize};
use store::{
    Class, Count, Counts, Index, Keys, OnDelete, ReadExt, Record, Refs, Root, StoreError, Table,
    WriteTx,
};

/// A record with two indexes, for the cost of a single update.
#[derive(Clone, Serialize, Deserialize)]
pub struct Note {
    pub id: TaskId,
    pub label: u32,
    pub text: String,
    pub updated: Timestamp,
}

impl Note {
    const BY_LABEL: Index = Index::multi(41, "note_by_label");
    const BY_UPDATED: Index = Index::multi(42, "note_by_updated");
}

impl Record for Note {
    type Id = TaskId;
    const TABLE: Table = Table::new(40, "note");
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[Self::BY_LABEL, Self::BY_UPDATED];

    fn id(&self) -> TaskId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_LABEL).part(self.label);
        keys.entry(Self::BY_UPDATED).part(self.updated);
    }
    fn sample() -> Self {
        Self {
            id: SystemIds::default_id(),
            label: 7,
            text: "A line that changes. ".repeat(10),
            updated: Timestamp::UNIX_EPOCH,
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub title: String,
    pub body: String,
    pub status: u8,
    pub priority: u8,
    pub assignee: Option<AgentId>,
    pub assignments: u32,
    pub due: Option<Timestamp>,
    pub updated: Timestamp,
}

impl Task {
    /// Status, priority, due.
    pub const BY_STATUS: Index = Index::multi(21, "task_by_status");
    const BY_ASSIGNEE: Index = Index::multi(22, "task_by_assignee");
    const BY_UPDATED: Index = Index::multi(23, "task_by_updated");
}

impl Record for Task {
    type Id = TaskId;
    const TABLE: Table = Table::new(20, "task");
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[Self::BY_STATUS, Self::BY_ASSIGNEE, Self::BY_UPDATED];

    fn id(&self) -> TaskId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_STATUS).u8(self.status).u8(self.priority).time_or_max(self.due);
        if let Some(agent) = self.assignee {
            keys.entry(Self::BY_ASSIGNEE).part(agent).u8(self.status);
        }
        keys.entry(Self::BY_UPDATED).part(self.updated);
    }
    fn sample() -> Self {
        Self {
            id: SystemIds::default_id(),
            title: "Write the report".to_owned(),
            body: "A paragraph of what is to be done. ".repeat(10),
            status: 0,
            priority: 0,
            assignee: None,
            assignments: 0,
            due: None,
            updated: Timestamp::UNIX_EPOCH,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct Item {
    id: ItemId,
    agent: AgentId,
    task: TaskId,
    key: String,
    due: Timestamp,
    open: bool,
}

impl Item {
    const BY_KEY: Index = Index::unique(31, "item_by_key");
    const DUE: Index = Index::multi(32, "item_due");
    const BY_AGENT: Index = Index::multi(33, "item_by_agent");
    const OPEN: Count = Count::new(34, "open_items");
}

impl Record for Item {
    type Id = ItemId;
    const TABLE: Table = Table::new(30, "item");
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[Self::BY_KEY, Self::DUE, Self::BY_AGENT];
    const COUNTS: &'static [Count] = &[Self::OPEN];

    fn id(&self) -> ItemId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_KEY).part(self.agent).text(&self.key);
        if self.open {
            keys.entry(Self::DUE).part(self.due);
        }
        keys.entry(Self::BY_AGENT).part(self.agent).part(self.due);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn counts(&self, counts: &mut Counts) {
        if self.open {
            counts.one(Self::OPEN).part(self.agent);
        }
    }
    fn sample() -> Self {
        Self {
            id: SystemIds::default_id(),
            agent: SystemIds::default_id(),
            task: SystemIds::default_id(),
            key: "task:1".to_owned(),
            due: Timestamp::UNIX_EPOCH,
            open: true,
        }
    }
}

/// A random id.
trait DefaultId {
    fn default_id<T: TypedId>() -> T;
}

impl DefaultId for SystemIds {
    fn default_id<T: TypedId>() -> T {
        T::from_uuid(Self::default().next(0))
    }
}

/// Reaction to an assignment: an inbox item for the agent.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), StoreError> {
    let Event::TaskAssigned { task, to: Some(Assignee::Agent(agent)), assignment, .. } = event
    else {
        return Ok(());
    };
    let key = format!("task:{task}:{assignment}");
    let item = Item { id: tx.new_id(), agent: *agent, task: *task, key, due: tx.now(), open: true };
    tx.put(&item)
}

/// The rule: read, check, change, emit.
pub fn assign(tx: &mut WriteTx<'_>, task: TaskId, to: AgentId) -> Result<u64, StoreError> {
    let (mut task, rev) = tx.get_rev::<Task>(task)?.ok_or(StoreError::Stale)?;
    let from = task.assignee.map(Assignee::Agent);
    task.assignee = Some(to);
    task.assignments += 1;
    task.updated = tx.now();
    tx.put_if(&task, rev)?;
    tx.emit(Event::TaskAssigned {
        task: task.id,
        from,
        to: Some(Assignee::Agent(to)),
        assignment: task.assignments,
    });
    tx.seq()
}

pub fn agent() -> AgentId {
    SystemIds::default_id()
}
