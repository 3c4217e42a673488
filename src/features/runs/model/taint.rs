//! What a conversation has read from outside: words that nobody of the workspace wrote; and what it wrote down after
//! that.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::agents::model::Agent;
use crate::comments::model::Comment;
use crate::tasks::model::Task;
use kernel::{AgentId, CommentId, RecordId, RunId, SessionId, TaskId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

/// Conversations that have read words from outside.
pub const OUTSIDE: Table = Table::new(376, "outside_labels");
/// What they have written down after that.
pub const WRITTEN: Table = Table::new(378, "outside_writings");

/// Stands for the scratch folder of an agent among the paths of its files; no path below its folder is absolute.
pub const SCRATCH: &str = "/scratch";

/// One piece of words from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The run that read them.
    pub run: RunId,
    /// The number of the call that brought them; 0 when they were said to the run.
    pub step: u32,
    /// The tool that brought them; empty when they were said to the run.
    pub tool: String,
}

/// The label of a conversation: it has read words from outside, and nobody has lifted that since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The conversation.
    pub session: SessionId,
    /// What it read first, in order.
    pub brought: Vec<Brought>,
    /// When it read the first of it.
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

/// Where something is written down. Stored by position: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In a file of an agent.
    File {
        agent: AgentId,
        /// Its path in the agent's folder.
        path: String,
    },
    /// In the words of a task.
    Task(TaskId),
    Comment(CommentId),
    /// In the words of another record: a message in an inbox, delivered work, a file on a task, a stream, a routine, a page.
    Record(RecordId),
}

impl Place {
    /// In the words of a record of another kind than those that have a place of their own.
    #[must_use]
    pub fn of(id: impl TypedId) -> Self {
        Self::Record(RecordId::from_uuid(id.uuid()))
    }

    /// The record that it is a part of, and the path in it.
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

/// What a run wrote down after its conversation had read words from outside: whoever reads it reads those too, until a
/// person has changed or accepted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub place: Place,
    /// The call that wrote it.
    pub by: Brought,
    /// When it wrote there first.
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
