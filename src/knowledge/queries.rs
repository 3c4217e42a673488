//! Queries on knowledge.

use std::collections::HashMap;

use kernel::key::KeyBuf;
use kernel::{AgentId, TypedId as _};
use store::{Blobs, Range, Read, ReadExt as _, StoreError};

use crate::error::KnowledgeError;
use crate::model::{
    BY_AGENT, BY_FOLDER, BY_PARENT, BY_TITLE, Body, EVERY_AGENT, Folder, FolderId, Had, Item,
    ItemKind, KnowledgeId, KnowledgeSuggestionId, Marks, READING_WAITS, Reading,
    SUGGESTIONS_BY_ITEM, Suggestion, Text, Uses, VERSIONS_BY_ITEM, Version, title_key,
};

pub fn item_by_id(read: &dyn Read, id: KnowledgeId) -> Result<Item, KnowledgeError> {
    read.get(id)?.ok_or_else(|| KnowledgeError::no("item", &id.to_string()))
}

/// The revision of an item: the later one of its settings and its text.
pub fn rev(read: &dyn Read, id: KnowledgeId) -> Result<u64, KnowledgeError> {
    let none = || KnowledgeError::no("item", &id.to_string());
    let (_, set) = read.get_rev::<Item>(id)?.ok_or_else(none)?;
    let words = read.get_rev::<Body>(id)?.map_or(0, |(_, rev)| rev);
    Ok(set.max(words))
}

/// Checks that an item is unchanged since it was read.
///
/// # Errors
/// `Stale`, or no such item.
pub fn check_rev(
    read: &dyn Read,
    id: KnowledgeId,
    seen: Option<u64>,
) -> Result<(), KnowledgeError> {
    match seen {
        Some(seen) if rev(read, id)? != seen => Err(StoreError::Stale.into()),
        _ => Ok(()),
    }
}

/// The error for editing an item whose text cannot be edited.
#[must_use]
pub fn unwritten(item: &Item) -> KnowledgeError {
    KnowledgeError::Refused(match item.kind {
        ItemKind::Source => "it's synced from a source and can't be changed here".to_owned(),
        _ => "a file has no text to edit".to_owned(),
    })
}

/// An item by id or title. With `agent`, only items that the agent may see.
///
/// # Errors
/// No item matches, or several have the title.
pub fn item(read: &dyn Read, name: &str, agent: Option<AgentId>) -> Result<Item, KnowledgeError> {
    let sees = |item: &Item| agent.is_none_or(|agent| item.is_for(agent));
    if let Ok(id) = name.trim().parse::<KnowledgeId>() {
        let found: Option<Item> = read.get(id)?;
        return found.filter(sees).ok_or_else(|| KnowledgeError::no("item", name));
    }
    let mut named: Vec<Item> = titled(read, name)?;
    named.retain(|item| sees(item) && item.archived_at.is_none());
    if 1 < named.len() {
        return Err(KnowledgeError::Refused(format!(
            "several items are called \"{}\"; use the ID",
            kernel::text::ellipsis(name.trim(), 60)
        )));
    }
    named.pop().ok_or_else(|| KnowledgeError::no("item", name))
}

/// Items with this title, ignoring case; at most 50.
pub fn titled(read: &dyn Read, title: &str) -> Result<Vec<Item>, StoreError> {
    let wanted = title.trim().to_lowercase();
    let mut named: Vec<Item> = read.scan(BY_TITLE, &Range::prefix(title_key(title)).limit(50))?;
    // Index keys are cut, so a key may match longer titles.
    named.retain(|item| item.title.to_lowercase() == wanted);
    Ok(named)
}

/// The files attached to a page.
pub fn files_in(read: &dyn Read, page: KnowledgeId) -> Result<Vec<Item>, StoreError> {
    read.scan(BY_FOLDER, &Range::prefix(KeyBuf::of(&page)))
}

/// All active or all archived items, last changed first, without files attached to pages.
pub fn items(read: &dyn Read, archived: bool) -> Result<Vec<Item>, StoreError> {
    let mut all: Vec<Item> = read.list(&Range::all())?;
    all.retain(|item| item.archived_at.is_some() == archived && item.page.is_none());
    all.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| b.id.cmp(&a.id)));
    Ok(all)
}

/// The text of an item: written, or extracted from its file.
pub fn text(read: &dyn Read, blobs: &Blobs, id: KnowledgeId) -> Result<String, KnowledgeError> {
    match words(read, id)? {
        Some((text, _)) => text.read(blobs).map_err(|error| KnowledgeError::disk(&error)),
        None => Ok(String::new()),
    }
}

/// The stored text of an item and its revision: written, or extracted from its file.
pub fn words(read: &dyn Read, id: KnowledgeId) -> Result<Option<(Text, u64)>, StoreError> {
    if let Some((body, rev)) = read.get_rev::<Body>(id)? {
        return Ok(Some((body.text, rev)));
    }
    let reading = read.get_rev::<Reading>(id)?;
    Ok(reading.map(|(reading, rev)| (reading.text, rev)))
}

/// Resolves an optional folder; see [`folder`].
///
/// # Errors
/// No folder matches, or several have the name.
pub fn folder_given(
    read: &dyn Read,
    name: Option<&str>,
) -> Result<Option<FolderId>, KnowledgeError> {
    let name = name.filter(|name| !name.is_empty());
    name.map(|name| folder(read, name).map(|folder| folder.id)).transpose()
}

/// A former version.
pub fn version(read: &dyn Read, item: KnowledgeId, n: u32) -> Result<Option<Version>, StoreError> {
    let mut key = KeyBuf::new();
    key.part(item).part(n);
    read.find(VERSIONS_BY_ITEM, &key)
}

/// Former versions of an item, newest first, at most `most`.
pub fn versions(
    read: &dyn Read,
    item: KnowledgeId,
    most: usize,
) -> Result<Vec<Version>, StoreError> {
    read.scan(VERSIONS_BY_ITEM, &Range::prefix(KeyBuf::of(&item)).reverse().limit(most))
}

/// The marks on an item's versions.
pub fn marks(read: &dyn Read, item: KnowledgeId) -> Result<Marks, StoreError> {
    let marks: Option<Marks> = read.get(item)?;
    Ok(marks.unwrap_or_else(|| Marks { item, marks: Vec::new() }))
}

/// Marked former versions of an item, newest first.
pub fn marked(read: &dyn Read, item: KnowledgeId) -> Result<Vec<Version>, StoreError> {
    let mut found = Vec::new();
    for mark in marks(read, item)?.marks {
        found.extend(version(read, item, mark.n)?);
    }
    Ok(found)
}

/// The text of a version of an item, including the current one.
///
/// # Errors
/// The version does not exist, or the disk fails.
pub fn said_in(
    read: &dyn Read,
    blobs: &Blobs,
    (item, n): (KnowledgeId, u32),
) -> Result<String, KnowledgeError> {
    let now: Option<Body> = read.get(item)?;
    let text = match now {
        Some(body) if body.n == n => Some(body.text),
        _ => version(read, item, n)?.map(|one| one.text),
    };
    let text = text.ok_or_else(|| KnowledgeError::no("version", &n.to_string()))?;
    text.read(blobs).map_err(|error| KnowledgeError::disk(&error))
}

/// A suggestion and its revision.
pub fn suggestion(
    read: &dyn Read,
    id: KnowledgeSuggestionId,
) -> Result<(Suggestion, u64), KnowledgeError> {
    let gone = || {
        KnowledgeError::Refused(
            "someone has already decided on this \
        suggestion"
                .to_owned(),
        )
    };
    read.get_rev(id)?.ok_or_else(gone)
}

/// Suggestions for an item.
pub fn suggestions(read: &dyn Read, item: KnowledgeId) -> Result<Vec<Suggestion>, StoreError> {
    read.scan(SUGGESTIONS_BY_ITEM, &Range::prefix(KeyBuf::of(&item)))
}

/// The items in an agent's context at its start; with `None`, those for every agent.
pub fn in_front(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Item>, StoreError> {
    let mut items: Vec<Item> = Vec::new();
    for reader in [Some(AgentId::from_bytes(EVERY_AGENT)), agent].into_iter().flatten() {
        items.extend(read.scan::<Item>(BY_AGENT, &Range::prefix(KeyBuf::of(&reader)))?);
    }
    items.retain(|item| item.archived_at.is_none());
    Ok(items)
}

/// Fingerprint of an agent's context, as its last start stores it; a different value means a change.
pub fn had(read: &dyn Read, agent: AgentId) -> Result<Vec<Had>, StoreError> {
    let mut had = Vec::new();
    for item in in_front(read, Some(agent))? {
        let rev = words(read, item.id)?.map_or(0, |(_, rev)| rev);
        had.push((item.id, item.updated_at.as_millisecond(), rev));
    }
    Ok(had)
}

/// Use of an item by agents.
pub fn uses(read: &dyn Read, item: KnowledgeId) -> Result<Vec<Uses>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&item)))
}

/// Number of files that are not read yet; with `agent`, of those that it may see.
pub fn unread(read: &dyn Read, agent: Option<AgentId>) -> Result<usize, StoreError> {
    let Some(agent) = agent else { return read.len(READING_WAITS, &Range::all()) };
    let mut count = 0;
    for id in read.ids::<Reading>(READING_WAITS, &Range::all())? {
        count += usize::from(read.get::<Item>(id)?.is_some_and(|item| item.is_for(agent)));
    }
    Ok(count)
}

pub fn folder_by_id(read: &dyn Read, id: FolderId) -> Result<Folder, KnowledgeError> {
    read.get(id)?.ok_or_else(|| KnowledgeError::no("folder", &id.to_string()))
}

/// A folder by id, name, or path such as `Contracts/Leases`.
///
/// # Errors
/// No folder matches, or several have the name.
pub fn folder(read: &dyn Read, name: &str) -> Result<Folder, KnowledgeError> {
    if let Ok(id) = name.trim().parse::<FolderId>() {
        return folder_by_id(read, id);
    }
    let tree = Tree::read(read)?;
    let wanted = name.trim().trim_matches('/').to_lowercase();
    let fits = |folder: &&Folder| {
        folder.name.to_lowercase() == wanted
            || tree.path(Some(folder.id)).join("/").to_lowercase() == wanted
    };
    let mut found = tree.all.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(_), Some(_)) => Err(KnowledgeError::Refused(format!(
            "several folders are called \"{}\"; use the path or ID",
            kernel::text::ellipsis(name.trim(), 60)
        ))),
        _ => Err(KnowledgeError::no("folder", name)),
    }
}

/// A folder and its ancestors, itself first.
pub fn trail(read: &dyn Read, id: FolderId) -> Result<Vec<Folder>, KnowledgeError> {
    let mut all = vec![folder_by_id(read, id)?];
    while let Some(parent) = all.last().and_then(|folder| folder.parent) {
        // The rules prevent cycles; a cycle in the data must still terminate.
        if all.iter().any(|folder| folder.id == parent) {
            break;
        }
        all.push(folder_by_id(read, parent)?);
    }
    Ok(all)
}

/// All folders.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Sorted by parent and name.
    pub all: Vec<Folder>,
}

impl Tree {
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        Ok(Self { all: read.scan(BY_PARENT, &Range::all())? })
    }

    fn get(&self, id: FolderId) -> Option<&Folder> {
        self.all.iter().find(|folder| folder.id == id)
    }

    /// The names of a folder and its ancestors, outermost first.
    #[must_use]
    pub fn path(&self, folder: Option<FolderId>) -> Vec<String> {
        let (mut names, mut at) = (Vec::new(), folder);
        while let Some(folder) = at.and_then(|id| self.get(id)) {
            names.push(folder.name.clone());
            at = folder.parent.filter(|_| names.len() < 64);
        }
        names.reverse();
        names
    }

    /// A folder and all its descendants.
    #[must_use]
    pub fn with_below(&self, id: FolderId) -> Vec<FolderId> {
        let mut found = vec![id];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            let below = self.all.iter().filter(|folder| folder.parent == Some(parent));
            let new: Vec<FolderId> =
                below.map(|folder| folder.id).filter(|id| !found.contains(id)).collect();
            found.extend(new);
            at += 1;
        }
        found
    }

    /// The folders in tree order, each with its depth.
    #[must_use]
    pub fn in_order(&self) -> Vec<(&Folder, usize)> {
        let mut children: HashMap<Option<FolderId>, Vec<&Folder>> = HashMap::new();
        for folder in &self.all {
            children.entry(folder.parent).or_default().push(folder);
        }
        let mut ordered = Vec::with_capacity(self.all.len());
        let mut open: Vec<(&Folder, usize)> = Vec::new();
        let push = |parent, depth, open: &mut Vec<_>| {
            let below = children.get(&parent).into_iter().flatten();
            open.extend(below.rev().map(|folder| (*folder, depth)));
        };
        push(None, 0, &mut open);
        while let Some((folder, depth)) = open.pop() {
            ordered.push((folder, depth));
            push(Some(folder.id), depth + 1, &mut open);
        }
        ordered
    }
}
