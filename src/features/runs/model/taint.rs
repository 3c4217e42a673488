//! Taint records: untrusted content that a conversation has read, and the content that it wrote afterwards.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::agents::model::Agent;
use crate::comments::model::Comment;
use crate::tasks::model::Task;
use kernel::{AgentId, CommentId, RecordId, RunId, SessionId, TaskId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

/// Tainted conversations.
pub const OUTSIDE: Table = Table::new(376, "outside_labels");
/// Content written by tainted conversations.
pub const WRITTEN: Table = Table::new(378, "outside_writings");

/// Pseudo-path of an agent's scratch folder. Paths in the agent's own folder are never absolute.
pub const SCRATCH: &str = "/scratch";

/// Source of a piece of untrusted content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The run that read it.
    pub run: RunId,
    /// Number of the call that returned it; 0 if it came in a message.
    pub step: u32,
    /// Tool that returned it; empty if it came in a message.
    pub tool: String,
}

/// Taint label of a conversation, until a person lifts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    pub session: SessionId,
    /// The first sources, in order.
    pub brought: Vec<Brought>,
    /// Time of the first read.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
}

impl Record for Outside {
    type Id = SessionId;
    const TABLE: Table = OUTSIDE;
    const CLASS: Class = Class::Work;
    fn id(&self) -> SessionId {
        self.session
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Session>(self.session)
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([9; 16]),
            brought: vec![Brought {
                run: RunId::from_bytes([8; 16]),
                step: 3,
                tool: "web_fetch".into(),
            }],
            since: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// Location of written content. Stored by position: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    File {
        agent: AgentId,
        /// Path in the agent's folder.
        path: String,
    },
    /// Text of a task.
    Task(TaskId),
    Comment(CommentId),
    /// Text of another record: inbox message, deliverable, file of a task, stream, routine, page.
    Record(RecordId),
}

impl Place {
    /// For a record without its own variant.
    #[must_use]
    pub fn of(id: impl TypedId) -> Self {
        Self::Record(RecordId::from_uuid(id.uuid()))
    }

    /// The owning record, and the path within it.
    #[must_use]
    pub fn key(&self) -> (RecordId, String) {
        match self {
            Self::File { agent, path } => (RecordId::from_uuid(agent.uuid()), path.clone()),
            Self::Task(id) => (RecordId::from_uuid(id.uuid()), String::new()),
            Self::Comment(id) => (RecordId::from_uuid(id.uuid()), String::new()),
            Self::Record(id) => (*id, String::new()),
        }
    }
}

/// Content that a run wrote after its conversation was tainted. Reading it taints the reader, until a person changes
/// or accepts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub place: Place,
    /// The call that wrote it.
    pub by: Brought,
    /// Time of the first write.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
}

impl Record for Written {
    type Id = (RecordId, String);
    const TABLE: Table = WRITTEN;
    const CLASS: Class = Class::Work;
    fn id(&self) -> (RecordId, String) {
        self.place.key()
    }
    fn refs(&self, refs: &mut Refs) {
        let (mut agent, mut task, mut comment) = (None, None, None);
        match &self.place {
            Place::File { agent: id, .. } => agent = Some(*id),
            Place::Task(id) => task = Some(*id),
            Place::Comment(id) => comment = Some(*id),
            Place::Record(_) => {}
        }
        refs.to::<Agent>(1, agent, OnDelete::Cascade);
        refs.to::<Task>(2, task, OnDelete::Cascade);
        refs.to::<Comment>(3, comment, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            place: Place::File { agent: AgentId::from_bytes([5; 16]), path: "MEMORY.md".into() },
            by: Brought { run: RunId::from_bytes([8; 16]), step: 3, tool: "memory_append".into() },
            since: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
