//! Rules of folders: create, change, delete.

use kernel::RowAct;
use kernel::key::KeyBuf;
use kernel::text::one_line;
use store::{Range, ReadExt as _, WriteTx};

use super::items::MAX_ICON;
use crate::cards::{FOLDER, ITEM};
use crate::error::KnowledgeError;
use crate::model::{BY_FOLDER, BY_PARENT, Folder, FolderId, Item, place_key};
use crate::queries;

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 80;
/// Maximum number of folders per workspace.
const MOST: usize = 2_000;

/// A change of a folder; `None` fields stay unchanged.
#[derive(Clone, Debug, Default)]
pub struct FolderPatch {
    pub name: Option<String>,
    /// One emoji, or empty.
    pub icon: Option<String>,
    /// The parent; the inner `None` means the top level.
    pub parent: Option<Option<FolderId>>,
}

/// Creates a folder.
///
/// # Errors
/// The name is taken there, the parent is gone, or the limit is reached.
pub fn make_folder(tx: &mut WriteTx<'_>, patch: FolderPatch) -> Result<Folder, KnowledgeError> {
    if MOST <= tx.len(BY_PARENT, &Range::all())? {
        return Err(KnowledgeError::Refused(format!(
            "there are already {MOST} folders; delete one \
            first"
        )));
    }
    let now = tx.now();
    let made = Folder {
        id: tx.new_id(),
        parent: None,
        name: String::new(),
        icon: String::new(),
        created_at: now,
        updated_at: now,
    };
    let made = checked(tx, made, patch)?;
    tx.put(&made)?;
    tx.emit(FOLDER.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Changes a folder.
///
/// # Errors
/// The folder is gone, the name is taken there, or the folder would contain itself.
pub fn change_folder(
    tx: &mut WriteTx<'_>,
    id: FolderId,
    patch: FolderPatch,
) -> Result<Folder, KnowledgeError> {
    let old = queries::folder_by_id(tx, id)?;
    let mut new = checked(tx, old.clone(), patch)?;
    if new == old {
        return Ok(old);
    }
    new.updated_at = tx.now();
    tx.put(&new)?;
    tx.emit(FOLDER.changed(&old, &new));
    Ok(new)
}

/// Deletes a folder. Its items and folders move up one level; a folder whose name is taken there gets a number. Returns
/// the folder and the number of items moved.
pub fn remove_folder(
    tx: &mut WriteTx<'_>,
    id: FolderId,
) -> Result<(Folder, usize), KnowledgeError> {
    let old = queries::folder_by_id(tx, id)?;
    let below: Vec<Folder> = tx.scan(BY_PARENT, &Range::prefix(place_key(Some(id), None)))?;
    let items: Vec<Item> = tx.scan(BY_FOLDER, &Range::prefix(KeyBuf::of(&id)))?;
    for folder in below {
        if folder.name.to_lowercase() == old.name.to_lowercase() {
            // It takes the place of the deleted folder.
            continue;
        }
        let name = free_name(tx, old.parent, &folder.name)?;
        let patch = FolderPatch { name: Some(name), parent: Some(old.parent), icon: None };
        change_folder(tx, folder.id, patch)?;
    }
    let moved = items.len();
    for item in items {
        let new = Item { folder: old.parent, ..item.clone() };
        tx.put(&new)?;
        tx.emit(ITEM.changed(&item, &new));
    }
    let namesake: Vec<Folder> = tx.scan(BY_PARENT, &Range::prefix(place_key(Some(id), None)))?;
    for folder in namesake {
        // The name becomes free only after the old folder is renamed.
        let away = Folder { name: format!("{} (old)", old.name), ..old.clone() };
        tx.put(&away)?;
        tx.put(&Folder { parent: old.parent, updated_at: tx.now(), ..folder })?;
    }
    tx.delete::<Folder>(id)?;
    tx.emit(FOLDER.event(&id, RowAct::Deleted));
    Ok((old, moved))
}

/// The name, with a number if it is taken there.
fn free_name(
    tx: &WriteTx<'_>,
    parent: Option<FolderId>,
    name: &str,
) -> Result<String, KnowledgeError> {
    let mut free = name.to_owned();
    for n in 2_u32.. {
        if tx.find::<Folder>(BY_PARENT, &place_key(parent, Some(&free)))?.is_none() {
            break;
        }
        let number = format!(" ({n})");
        let head: String = name.chars().take(MAX_NAME - number.len()).collect();
        free = format!("{}{number}", head.trim_end());
    }
    Ok(free)
}

fn checked(tx: &WriteTx<'_>, old: Folder, patch: FolderPatch) -> Result<Folder, KnowledgeError> {
    let name = patch.name.map_or(old.name.clone(), |name| one_line(&name).trim().to_owned());
    let new = Folder {
        name,
        icon: patch.icon.map_or(old.icon.clone(), |icon| one_line(&icon).trim().to_owned()),
        parent: patch.parent.unwrap_or(old.parent),
        ..old
    };
    if new.name.is_empty() {
        return Err(KnowledgeError::field("name", "Enter a name."));
    }
    if MAX_NAME < new.name.chars().count() {
        let words = format!("Use at most {MAX_NAME} characters.");
        return Err(KnowledgeError::field("name", words));
    }
    if new.name.contains('/') && new.name != old.name {
        let words = "Folder names can't contain a slash. Create a subfolder instead.";
        return Err(KnowledgeError::field("name", words));
    }
    if MAX_ICON < new.icon.chars().count() {
        return Err(KnowledgeError::field("icon", "Enter a single emoji."));
    }
    if let Some(parent) = new.parent {
        let above = queries::trail(tx, parent)?;
        if above.iter().any(|folder| folder.id == new.id) {
            return Err(KnowledgeError::field("parent", "A folder can't be in itself."));
        }
    }
    let key = place_key(new.parent, Some(&new.name));
    let taken = tx.find::<Folder>(BY_PARENT, &key)?.is_some_and(|there| there.id != new.id);
    if taken {
        let words = format!("There's already a folder \"{}\" here.", new.name);
        return Err(KnowledgeError::field("name", words));
    }
    Ok(new)
}
