//! Pages of knowledge and records as delivered work. Knowledge stands above this package and says how they are read and written.

use std::sync::OnceLock;

use app::Ws;
use kernel::{Actor, AgentId};
use store::{Read, StoreError, WriteTx};
use tool::ToolError;

use super::model::Content;
use crate::cards;
use crate::places::{Place, Spot};
use crate::tasks::queries::error::TaskError;

/// A page as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged {
    /// The table of its record.
    pub table: u16,
    pub key: Vec<u8>,
    /// What it said.
    pub text: String,
}

impl Paged {
    /// The page that was delivered, if it was one.
    #[must_use]
    pub fn of(content: Content) -> Option<Self> {
        match content {
            Content::Page { table, key, text } => Some(Self { table, key, text }),
            _ => None,
        }
    }

    /// As what is delivered.
    #[must_use]
    pub fn content(self) -> Content {
        Content::Page { table: self.table, key: self.key, text: self.text }
    }
}

/// A page that is to be written.
#[derive(Clone, Debug)]
pub struct PageDraft {
    /// Who delivers it.
    pub by: Actor,
    /// What it should say.
    pub text: String,
    /// The page of the version before, as it was delivered then: what others changed in it since stays.
    pub before: Option<Paged>,
}

/// Writes a page in the transaction in which it is delivered; a new one gets this title.
pub type Write = Box<dyn FnOnce(&mut WriteTx<'_>, &str) -> Result<Paged, ToolError> + Send>;

/// The page that an id or a title means, as far as an agent may see it. Reads its words.
pub type Named = fn(&Ws, &str, Option<AgentId>) -> Result<Option<Paged>, StoreError>;

/// What knowledge does for delivered pages.
pub struct Pages {
    /// Finds a page.
    pub named: Named,
    /// Makes ready what is to be written. Writes blobs, so it belongs on a thread that may block.
    pub ready: fn(&Ws, PageDraft) -> Result<Write, ToolError>,
}

static PAGES: OnceLock<Pages> = OnceLock::new();

/// Says how pages are read and written, before the first delivery; only the first call counts.
pub fn install(pages: Pages) {
    // ok: a second call comes from a second server in the same process, with the same functions.
    let _ = PAGES.set(pages);
}

/// The record that `contact:Name` or `contact:0192…` means, as it is now, if it can be delivered.
pub fn record(read: &dyn Read, said: &str) -> Result<Option<Paged>, StoreError> {
    let place = match Spot::resolve(read, said) {
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

/// The page that an id or a title means, if there is one.
pub fn named(ws: &Ws, said: &str, agent: Option<AgentId>) -> Result<Option<Paged>, StoreError> {
    PAGES.get().map_or(Ok(None), |pages| (pages.named)(ws, said, agent))
}

/// Makes ready a page that is to be written.
///
/// # Errors
/// When it cannot be written as things stand.
pub fn ready(ws: &Ws, wish: PageDraft) -> Result<Write, ToolError> {
    match PAGES.get() {
        Some(pages) => (pages.ready)(ws, wish),
        None => Err(ToolError::refused("no_pages", "there are no pages here; deliver a text")),
    }
}
