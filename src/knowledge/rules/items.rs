//! Rules of items: create, change, delete. Only a person may put an item into every agent's context; an agent writes
//! only its own items.

use features::agents::model::Agent;
use kernel::text::one_line;
use kernel::{Actor, AgentId, FieldError, RowAct};
use store::{ReadExt as _, WriteTx};

use tool::merge::{self, Merged};

use super::read::await_reading;
use crate::cards::{BODY, ITEM};
use crate::error::KnowledgeError;
use crate::links;
use crate::model::{
    Body, FileBody, FolderId, Item, ItemKind, KnowledgeId, LARGEST, Reading, Scope, Text,
};
use crate::queries;

/// Maximum length of a title, in characters.
pub(super) const MAX_TITLE: usize = 500;
/// Maximum length of an emoji, in characters; some consist of many.
pub(super) const MAX_ICON: usize = 12;
/// Maximum length of a tag in characters, and maximum number of tags.
const MAX_TAG: usize = 64;
const MAX_TAGS: usize = 50;
/// Maximum number of agents that an item is for.
const MAX_AGENTS: usize = 50;
/// Maximum number of items per bulk change.
pub const MOST_AT_ONCE: usize = 1_000;
/// Maximum length of a reason, in characters.
pub(super) const MAX_REASON: usize = 200;

/// An item to create.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub kind: ItemKind,
    /// "Untitled" if empty.
    pub title: String,
    /// The text of a page or skill.
    pub text: Text,
    /// Names that the text links to, as found by [`links::names`].
    pub links: Vec<String>,
    /// Reason of the creation, in one line.
    pub reason: String,
    /// The file; for files only.
    pub file: Option<FileBody>,
    /// All other settings.
    pub patch: Patch,
}

/// A change of an item; `None` fields stay unchanged.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub title: Option<String>,
    /// One emoji, or empty.
    pub icon: Option<String>,
    /// The inner `None` means no folder.
    pub folder: Option<Option<FolderId>>,
    /// The readers.
    pub scope: Option<Scope>,
    /// The selected agents.
    pub agents: Option<Vec<AgentId>>,
    /// Whether the full text is in the context; the inner `None` lets HQ decide.
    pub full: Option<Option<bool>>,
    pub tags: Option<Vec<String>>,
    /// Archives or restores the item.
    pub archived: Option<bool>,
    /// Label of the file's encoding; the inner `None` detects it.
    pub encoding: Option<Option<String>>,
}

/// Creates an item.
///
/// # Errors
/// The input is invalid, or an agent exceeds its rights.
pub fn create(tx: &mut WriteTx<'_>, new: NewItem) -> Result<Item, KnowledgeError> {
    let (by, now) = (tx.by(), tx.now());
    if LARGEST < new.text.len() {
        return Err(too_long());
    }
    if new.kind == ItemKind::Source {
        let words = "Synced items come from a source and can't be created here.";
        return Err(KnowledgeError::field("kind", words));
    }
    if new.kind.is_written() == new.file.is_some() {
        return Err(KnowledgeError::field("kind", "Upload a file as a file and a page as text."));
    }
    let mut patch = new.patch;
    patch.title = Some(new.title);
    // Without named agents, an agent's own item is for itself.
    if let (Some(agent), Some(Scope::Agent), None) = (by.agent(), patch.scope, &patch.agents) {
        patch.agents = Some(vec![agent]);
    }
    let made = Item { file: new.file, ..Item::new((tx.new_id(), new.kind), by, now) };
    let made = checked(tx, &made, patch)?;
    tx.put(&made)?;
    if made.kind.is_written() {
        tx.put(&Body {
            item: made.id,
            text: new.text,
            n: 1,
            by,
            cause: tx.cause(),
            reason: reason(&new.reason)?,
            links: links::resolved(tx, &new.links, &[])?,
            begun_at: now,
            written_at: now,
        })?;
        tx.emit(BODY.event(&made.id, RowAct::Created));
    } else {
        tx.put(&Reading::new(made.id, now))?;
    }
    tx.emit(ITEM.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Attaches a file to a page. The file has the page's readers and is deleted with the page.
///
/// # Errors
/// The page is gone, archived or not writable, or an agent exceeds its rights.
pub fn attach(
    tx: &mut WriteTx<'_>,
    page: KnowledgeId,
    file: FileBody,
) -> Result<Item, KnowledgeError> {
    let page = queries::item_by_id(tx, page)?;
    may_write(&page, tx.by())?;
    if page.archived_at.is_some() {
        return Err(KnowledgeError::Archived(page.title));
    }
    if !page.kind.is_written() {
        return Err(KnowledgeError::Refused("only pages and skills can have files".to_owned()));
    }
    let (by, now) = (tx.by(), tx.now());
    let made = Item {
        title: kernel::text::ellipsis(one_line(&file.name).trim(), MAX_TITLE),
        scope: page.scope,
        agents: page.agents,
        file: Some(file),
        page: Some(page.id),
        ..Item::new((tx.new_id(), ItemKind::File), by, now)
    };
    tx.put(&made)?;
    tx.put(&Reading::new(made.id, now))?;
    tx.emit(ITEM.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Changes an item.
///
/// # Errors
/// The item is gone, the input is invalid, or an agent exceeds its rights.
pub fn change(tx: &mut WriteTx<'_>, id: KnowledgeId, patch: Patch) -> Result<Item, KnowledgeError> {
    let old = queries::item_by_id(tx, id)?;
    may_write(&old, tx.by())?;
    if old.archived_at.is_some() && patch.archived != Some(false) {
        return Err(KnowledgeError::Archived(old.title));
    }
    let mut new = checked(tx, &old, patch)?;
    if old.kind == ItemKind::Source && new.title != old.title {
        return Err(KnowledgeError::Refused("its title is synced from its source".to_owned()));
    }
    if new == old {
        return Ok(old);
    }
    if old.page.is_some() && !has_readers_of(&new, &old) {
        return Err(KnowledgeError::Refused("its page decides its readers".to_owned()));
    }
    if old.page.is_some() && new.folder.is_some() {
        return Err(KnowledgeError::Refused("it belongs to its page".to_owned()));
    }
    (new.updated_at, new.edited_by) = (tx.now(), tx.by());
    tx.put(&new)?;
    tx.emit(ITEM.changed(&old, &new));
    if new.encoding != old.encoding {
        await_reading(tx, id)?;
    }
    if !has_readers_of(&new, &old) {
        for file in queries::files_in(tx, id)? {
            let own = Item { scope: new.scope, agents: new.agents.clone(), ..file.clone() };
            tx.put(&own)?;
            tx.emit(ITEM.changed(&file, &own));
        }
    }
    Ok(new)
}

/// Applies the same change to several items and adds the tag to each. Returns the number of changed items.
///
/// # Errors
/// See [`change`]; the failed write then changes no item.
pub fn change_all(
    tx: &mut WriteTx<'_>,
    ids: Vec<KnowledgeId>,
    (patch, tag): (&Patch, Option<&str>),
) -> Result<usize, KnowledgeError> {
    let mut changed = 0;
    for id in ids {
        let old = queries::item_by_id(tx, id)?;
        let mut patch = patch.clone();
        if let Some(tag) = tag {
            patch.tags.get_or_insert_with(|| old.tags.clone()).push(tag.to_owned());
        }
        changed += usize::from(change(tx, id, patch)? != old);
    }
    Ok(changed)
}

fn has_readers_of(one: &Item, other: &Item) -> bool {
    one.scope == other.scope && one.agents == other.agents
}

/// Merges a typed title, based on `base`, with the current one. Returns `None` if the title stays.
///
/// # Errors
/// [`KnowledgeError::Clash`] if the title was changed concurrently.
pub fn title_over(
    tx: &WriteTx<'_>,
    id: KnowledgeId,
    mine: Option<String>,
    base: Option<String>,
) -> Result<Option<String>, KnowledgeError> {
    let (Some(mine), Some(base)) = (&mine, base) else { return Ok(mine) };
    let now = queries::item_by_id(tx, id)?.title;
    if *mine == base {
        return Ok(None);
    }
    match merge::lines(&base, mine, &now) {
        Merged::Clean(title) => Ok(Some(title)),
        Merged::Clash(clash) => Err(KnowledgeError::Clash(Box::new(clash))),
    }
}

/// Deletes an item with its text and versions. An undo restores everything.
///
/// # Errors
/// The item is gone, or the caller is an agent.
pub fn remove(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<Item, KnowledgeError> {
    let old = queries::item_by_id(tx, id)?;
    if tx.by().agent().is_some() {
        return Err(KnowledgeError::NotYours("only a person can delete an item".to_owned()));
    }
    if old.kind == ItemKind::Source {
        return Err(KnowledgeError::Refused(
            "it's synced from a source and would return; archive it or remove the source"
                .to_owned(),
        ));
    }
    // The page's files are deleted with it.
    for file in queries::files_in(tx, id)? {
        tx.emit(ITEM.event(&file.id, RowAct::Deleted));
    }
    tx.delete::<Item>(id)?;
    if old.kind.is_written() {
        tx.emit(BODY.event(&id, RowAct::Deleted));
    }
    tx.emit(ITEM.event(&id, RowAct::Deleted));
    Ok(old)
}

/// Whether the actor may write an item. A person may write every item; an agent may write items for itself alone and
/// library items it created. For items that others read, an agent can only make suggestions.
///
/// # Errors
/// An agent may not write it.
pub fn may_write(item: &Item, by: Actor) -> Result<(), KnowledgeError> {
    let Some(agent) = by.agent() else { return Ok(()) };
    let own = match item.scope {
        Scope::Agent => item.agents == [agent],
        Scope::Library => item.by.agent() == Some(agent),
        Scope::Workspace => false,
    };
    if own {
        return Ok(());
    }
    let why = match item.scope {
        Scope::Workspace => "every agent starts with it, so only a person can change it",
        Scope::Library => "someone else wrote it",
        Scope::Agent if item.agents.contains(&agent) => "other agents read it too",
        Scope::Agent => "it is for other agents",
    };
    Err(KnowledgeError::NotYours(format!(
        "you can't change \"{}\": {why}. Suggest a change with page_update",
        item.title
    )))
}

/// Normalises a reason.
pub(super) fn reason(text: &str) -> Result<String, KnowledgeError> {
    let text = one_line(text).trim().to_owned();
    if MAX_REASON < text.chars().count() {
        let words = format!("Use at most {MAX_REASON} characters.");
        return Err(KnowledgeError::field("reason", words));
    }
    Ok(text)
}

pub(crate) fn too_long() -> KnowledgeError {
    KnowledgeError::field("text", "Use at most 256 KB of text, or split it into several items.")
}

pub(super) fn checked(tx: &WriteTx<'_>, old: &Item, patch: Patch) -> Result<Item, KnowledgeError> {
    let mut wrong = Vec::new();
    let mut new = old.clone();
    if let Some(title) = patch.title {
        let title = one_line(&title).trim().to_owned();
        new.title = if title.is_empty() { "Untitled".to_owned() } else { title };
        if MAX_TITLE < new.title.chars().count() {
            let words = format!("Use at most {MAX_TITLE} characters.");
            wrong.push(FieldError::new("title", words));
        }
    }
    if let Some(icon) = patch.icon {
        new.icon = one_line(&icon).trim().to_owned();
        if MAX_ICON < new.icon.chars().count() {
            wrong.push(FieldError::new("icon", "Enter a single emoji."));
        }
    }
    if let Some(folder) = patch.folder {
        new.folder = folder;
        if let Some(folder) = folder {
            queries::folder_by_id(tx, folder)?;
        }
    }
    if let Some(tags) = patch.tags {
        new.tags = tidy(tags);
        if MAX_TAGS < new.tags.len() || new.tags.iter().any(|tag| MAX_TAG < tag.chars().count()) {
            let words = format!("Use at most {MAX_TAGS} tags of {MAX_TAG} characters each.");
            wrong.push(FieldError::new("tags", words));
        }
    }
    if let Some(archived) = patch.archived {
        new.archived_at = match archived {
            true => old.archived_at.or(Some(tx.now())),
            false => None,
        };
    }
    if let Some(full) = patch.full {
        new.full = full;
    }
    if let Some(encoding) = patch.encoding {
        let reading = tx.get::<Reading>(old.id)?;
        if old.file.is_none() || reading.is_some_and(|reading| !reading.may_be_text()) {
            let words = "Only text files have an encoding.";
            wrong.push(FieldError::new("encoding", words));
        }
        new.encoding = encoding;
    }
    readers(tx, (old, &mut new), (patch.scope, patch.agents), &mut wrong)?;
    if wrong.is_empty() { Ok(new) } else { Err(KnowledgeError::Invalid(wrong)) }
}

/// Applies a change of the readers.
fn readers(
    tx: &WriteTx<'_>,
    (old, new): (&Item, &mut Item),
    (scope, agents): (Option<Scope>, Option<Vec<AgentId>>),
    wrong: &mut Vec<FieldError>,
) -> Result<(), KnowledgeError> {
    let is_given = scope.is_some() || agents.is_some();
    let chosen = agents.as_ref().is_some_and(|agents| !agents.is_empty());
    new.scope = match scope {
        Some(scope) => scope,
        // Naming agents implies this scope.
        None if chosen => Scope::Agent,
        None => old.scope,
    };
    if chosen && new.scope != Scope::Agent {
        let words = "Choose agents only with the readers \"agent\".";
        wrong.push(FieldError::new("agents", words));
    }
    new.agents = agents.unwrap_or_else(|| old.agents.clone());
    new.agents.sort();
    new.agents.dedup();
    if new.scope != Scope::Agent {
        new.agents.clear();
    }
    if let Some(by) = tx.by().agent() {
        if new.scope == Scope::Workspace && old.scope != Scope::Workspace {
            return Err(KnowledgeError::NotYours(
                "only a person can let every agent read an item; use \"library\" or \"agent\""
                    .to_owned(),
            ));
        }
        if new.full != old.full {
            let words = "only a person can choose what agents start with in full";
            return Err(KnowledgeError::NotYours(words.to_owned()));
        }
        if new.scope == Scope::Agent && new.agents != old.agents && new.agents != [by] {
            let words = "you can create an item for yourself or the library, not for others";
            return Err(KnowledgeError::NotYours(words.to_owned()));
        }
    }
    if is_given && new.scope == Scope::Agent && new.agents.is_empty() {
        wrong.push(FieldError::new("agents", "Choose at least one agent."));
    }
    if MAX_AGENTS < new.agents.len() {
        let words = format!("Choose at most {MAX_AGENTS} agents, or every agent.");
        wrong.push(FieldError::new("agents", words));
    }
    for agent in new.agents.iter().filter(|agent| !old.agents.contains(agent)) {
        let there = tx.get::<Agent>(*agent)?;
        if there.is_none_or(|agent| agent.archived_at.is_some()) {
            wrong.push(FieldError::new("agents", "One of these agents no longer exists."));
        }
    }
    Ok(())
}

/// Normalises tags: one line each, without duplicates.
fn tidy(tags: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for tag in tags {
        let tag = one_line(&tag).trim().trim_start_matches('#').to_owned();
        let known = all.iter().any(|one| one.to_lowercase() == tag.to_lowercase());
        if !tag.is_empty() && !known {
            all.push(tag);
        }
    }
    all
}
