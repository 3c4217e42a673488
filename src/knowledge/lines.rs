//! In-memory columns of all items for searching, listing and counting, so that a list reads only the items it shows.

use store::columns::{self, Column};
use store::{Read, StoreError};

use crate::model::{self, FolderId, Item, ItemKind, KnowledgeId, Scope};
use kernel::AgentId;

/// The columns of an item.
pub(crate) struct Line {
    pub(crate) id: KnowledgeId,
    pub(crate) kind: ItemKind,
    pub(crate) scope: Scope,
    pub(crate) folder: Option<FolderId>,
    /// Time of the last change of the item or its text, in Unix milliseconds.
    pub(crate) updated_ms: i64,
    pub(crate) is_archived: bool,
    /// Whether it is a file attached to a page.
    pub(crate) is_inside: bool,
    agents: Box<[AgentId]>,
    /// Tags in lower case.
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
    /// Whether an agent may see it.
    pub(crate) fn is_for(&self, agent: AgentId) -> bool {
        model::is_for(self.scope, &self.agents, agent)
    }

    /// Whether it has a tag, given in lower case.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| **one == *tag)
    }
}

/// Passes the lines of all items, ordered by id, to `body`.
pub(crate) fn with<T>(read: &dyn Read, body: impl FnOnce(&[Line]) -> T) -> Result<T, StoreError> {
    columns::with(read, body)
}
