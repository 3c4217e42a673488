//! Of each item the few values by which it is found, listed and counted, kept in memory: a list of some items reads
//! none of the others.

use store::columns::{self, Column};
use store::{Read, StoreError};

use crate::model::{self, FolderId, Item, ItemKind, KnowledgeId, Scope};
use kernel::AgentId;

/// An item by what it is found, listed and counted by.
pub(crate) struct Line {
    pub(crate) id: KnowledgeId,
    pub(crate) kind: ItemKind,
    pub(crate) scope: Scope,
    pub(crate) folder: Option<FolderId>,
    /// When it, or its words, last changed, in milliseconds since 1970.
    pub(crate) updated_ms: i64,
    pub(crate) is_archived: bool,
    /// Whether it is a file that stands in a page.
    pub(crate) is_inside: bool,
    agents: Box<[AgentId]>,
    /// Its tags in small letters.
    tags: Box<[Box<str>]>,
}

impl Column for Line {
    type Of = Item;
    type Shared = ();

    fn of(item: &Item, (): &mut ()) -> Self {
        Self {
            id: item.id,
            kind: item.kind,
            scope: item.scope,
            folder: item.folder,
            updated_ms: item.updated_at.as_millisecond(),
            is_archived: item.archived_at.is_some(),
            is_inside: item.page.is_some(),
            agents: item.agents.as_slice().into(),
            tags: item.tags.iter().map(|tag| tag.to_lowercase().into_boxed_str()).collect(),
        }
    }

    fn id(&self) -> KnowledgeId {
        self.id
    }
}

impl Line {
    /// Whether an agent may see it at all.
    pub(crate) fn is_for(&self, agent: AgentId) -> bool {
        model::is_for(self.scope, &self.agents, agent)
    }

    /// Whether it has a tag, which is said in small letters.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| **one == *tag)
    }
}

/// Gives the body the lines of all items, in the order of their ids.
pub(crate) fn with<T>(read: &dyn Read, body: impl FnOnce(&[Line]) -> T) -> Result<T, StoreError> {
    columns::with(read, body)
}
