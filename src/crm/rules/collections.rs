//! Collections: create, change, delete.

use kernel::text::{one_line, word_of_filters};
use kernel::{FieldError, RowAct};
use store::{Range, ReadExt as _, WriteTx};

use crate::cards::COLLECTION;
use crate::error::CrmError;
use crate::model::{BY_NAME, Collection, CollectionId};

/// Maximum number of collections per workspace.
const MOST: usize = 200;
/// Maximum characters of a name.
const MAX_NAME: usize = 60;

/// Changes of a collection; `None` keeps the present value.
#[derive(Clone, Debug, Default)]
pub struct CollectionPatch {
    pub name: Option<String>,
    /// One emoji, or empty.
    pub icon: Option<String>,
    pub description: Option<String>,
    pub archived: Option<bool>,
}

/// Creates a collection.
///
/// # Errors
/// When the input is invalid, the name is taken, or the limit is reached.
pub fn make_collection(
    tx: &mut WriteTx<'_>,
    patch: CollectionPatch,
) -> Result<Collection, CrmError> {
    if MOST <= tx.list::<Collection>(&Range::all())?.len() {
        return Err(CrmError::Refused(format!(
            "there are already {MOST} collections; delete one \
            first"
        )));
    }
    let now = tx.now();
    let made = Collection {
        id: tx.new_id(),
        name: String::new(),
        icon: String::new(),
        description: String::new(),
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let made = checked(tx, with(made, patch, now))?;
    tx.put(&made)?;
    tx.emit(COLLECTION.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Changes a collection.
///
/// # Errors
/// When it is deleted, the input is invalid or the name is taken.
pub fn change_collection(
    tx: &mut WriteTx<'_>,
    id: CollectionId,
    patch: CollectionPatch,
) -> Result<Collection, CrmError> {
    let old: Collection = tx.get(id)?.ok_or_else(|| CrmError::no("collection", &id.to_string()))?;
    let now = tx.now();
    let mut new = checked(tx, with(old.clone(), patch, now))?;
    if new == old {
        return Ok(old);
    }
    new.updated_at = now;
    tx.put(&new)?;
    tx.emit(COLLECTION.changed(&old, &new));
    Ok(new)
}

/// Deletes a collection with its fields and records. An undo restores all of it.
pub fn remove_collection(tx: &mut WriteTx<'_>, id: CollectionId) -> Result<Collection, CrmError> {
    let old: Collection = tx.get(id)?.ok_or_else(|| CrmError::no("collection", &id.to_string()))?;
    tx.delete::<Collection>(id)?;
    tx.emit(COLLECTION.event(&id, RowAct::Deleted));
    Ok(old)
}

fn with(old: Collection, patch: CollectionPatch, now: kernel::Timestamp) -> Collection {
    let archived_at = match patch.archived {
        Some(true) => old.archived_at.or(Some(now)),
        Some(false) => None,
        None => old.archived_at,
    };
    Collection {
        name: patch.name.map_or(old.name, |name| one_line(&name)),
        icon: patch.icon.map_or(old.icon, |icon| one_line(&icon)),
        description: patch.description.map_or(old.description, |text| one_line(&text)),
        archived_at,
        ..old
    }
}

fn checked(tx: &WriteTx<'_>, new: Collection) -> Result<Collection, CrmError> {
    let mut wrong = Vec::new();
    if new.name.is_empty() {
        wrong.push(FieldError::new("name", "Enter a name."));
    }
    wrong.extend(word_of_filters("name", &new.name));
    for (field, text, most) in [
        ("name", &new.name, MAX_NAME),
        ("description", &new.description, 300),
        ("icon", &new.icon, 12),
    ] {
        if most < text.chars().count() {
            wrong.push(FieldError::new(field, format!("Use at most {most} characters.")));
        }
    }
    let mut key = kernel::key::KeyBuf::new();
    key.text(&new.name.to_lowercase());
    let other: Option<Collection> = tx.find(BY_NAME, &key)?;
    if new.archived_at.is_none() && other.is_some_and(|other| other.id != new.id) {
        wrong.push(FieldError::new(
            "name",
            format!("There's already a collection \"{}\".", new.name),
        ));
    }
    if wrong.is_empty() { Ok(new) } else { Err(CrmError::Invalid(wrong)) }
}
