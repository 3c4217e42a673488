//! Knowledge pages and records as deliverables. The knowledge package is above this one and provides reading and
//! writing of pages.

use std::sync::OnceLock;

use app::Ws;
use kernel::{Actor, AgentId};
use store::{Read, StoreError, WriteTx};
use tool::ToolError;

use super::model::Content;
use crate::cards;
use crate::places::{Place, Spot};
use crate::tasks::queries::error::TaskError;

/// A page as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged {
    pub table: u16,
    pub key: Vec<u8>,
    pub text: String,
}

impl Paged {
    /// The page, if the content is one.
    #[must_use]
    pub fn of(content: Content) -> Option<Self> {
        match content {
            Content::Page { table, key, text } => Some(Self { table, key, text }),
            _ => None,
        }
    }

    #[must_use]
    pub fn content(self) -> Content {
        Content::Page { table: self.table, key: self.key, text: self.text }
    }
}

/// A page to be written.
#[derive(Clone, Debug)]
pub struct PageDraft {
    pub by: Actor,
    pub text: String,
    /// The page as delivered in the previous version. Changes by others since then are kept.
    pub before: Option<Paged>,
}

/// Writes a page in the transaction of its delivery. A new page gets this title.
pub type Write = Box<dyn FnOnce(&mut WriteTx<'_>, &str) -> Result<Paged, ToolError> + Send>;

/// Finds a page by id or title, if the agent may see it, and reads its text.
pub type Named = fn(&Ws, &str, Option<AgentId>) -> Result<Option<Paged>, StoreError>;

/// Page functions of the knowledge package.
pub struct Pages {
    pub named: Named,
    /// Prepares a write. Blocking: writes blobs.
    pub ready: fn(&Ws, PageDraft) -> Result<Write, ToolError>,
}

static PAGES: OnceLock<Pages> = OnceLock::new();

/// Installs the page functions, before the first delivery. Only the first call has an effect.
pub fn install(pages: Pages) {
    // ok: a second call comes from a second server in the same process, with the same functions.
    let _ = PAGES.set(pages);
}

/// Resolves `contact:Name` or `contact:0192…` to the current record, if it can be delivered. A record that the agent
/// may not see does not exist for it.
pub fn record(
    read: &dyn Read,
    name: &str,
    agent: Option<AgentId>,
) -> Result<Option<Paged>, StoreError> {
    let found = match agent {
        Some(agent) => Spot::resolve_for(read, name, agent),
        None => Spot::resolve(read, name),
    };
    let place = match found {
        Ok(spot) => spot.place,
        Err(TaskError::Store(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let Place::Row(row) = place else { return Ok(None) };
    let Some(spoken) = cards::of_table(row.table).and_then(|noun| noun.spoken) else {
        return Ok(None);
    };
    let key = place.key().into_bytes();
    let Some(stored) = read.raw_get(row.table, &key)? else { return Ok(None) };
    Ok(Some(Paged { table: row.table, key, text: spoken(read, &stored)? }))
}

/// Finds a page by id or title.
pub fn named(ws: &Ws, name: &str, agent: Option<AgentId>) -> Result<Option<Paged>, StoreError> {
    PAGES.get().map_or(Ok(None), |pages| (pages.named)(ws, name, agent))
}

/// Prepares the write of a page.
///
/// # Errors
/// If the page cannot be written.
pub fn ready(ws: &Ws, wish: PageDraft) -> Result<Write, ToolError> {
    match PAGES.get() {
        Some(pages) => (pages.ready)(ws, wish),
        None => Err(ToolError::refused("no_pages", "pages aren't available here; deliver text")),
    }
}
