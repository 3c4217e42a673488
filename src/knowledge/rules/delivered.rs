//! Pages created as deliverables: they have a folder of their own, and a rejected one is archived.

use features::deliverables::model::{Content, Deliverable, Version};
use features::deliverables::queries::{self as deliverables, ReviewedVersion};
use kernel::key::decode;
use kernel::{DeliverableId, Verdict};
use store::{ReadExt as _, WriteTx};

use super::folders::{FolderPatch, make_folder};
use super::items::{Patch, change};
use crate::error::KnowledgeError;
use crate::model::{BY_PARENT, Folder, FolderId, ITEMS, Item, KnowledgeId, place_key};

const FOLDER_NAME: &str = "Deliverables";

/// The top-level folder for submitted pages; created with the first of them.
pub(crate) fn deliverables_folder(tx: &mut WriteTx<'_>) -> Result<FolderId, KnowledgeError> {
    if let Some(folder) = existing_folder(tx)? {
        return Ok(folder);
    }
    let patch = FolderPatch { name: Some(FOLDER_NAME.to_owned()), ..FolderPatch::default() };
    Ok(make_folder(tx, patch)?.id)
}

fn existing_folder(tx: &WriteTx<'_>) -> Result<Option<FolderId>, KnowledgeError> {
    let place = place_key(None, Some(FOLDER_NAME));
    let found: Vec<Folder> = tx.scan(BY_PARENT, &store::Range::prefix(place))?;
    let same = |folder: &&Folder| folder.name.eq_ignore_ascii_case(FOLDER_NAME);
    Ok(found.iter().find(same).map(|folder| folder.id))
}

/// Archives the page of a rejected version that its deliverable created. The page stays if it existed before, if any
/// version with it was approved, or if a person moved it out of the folder.
pub(crate) fn note_verdict(
    tx: &mut WriteTx<'_>,
    deliverable: DeliverableId,
    verdict: Verdict,
) -> Result<(), KnowledgeError> {
    let Some(piece) = tx.get::<Deliverable>(deliverable)? else { return Ok(()) };
    if verdict != Verdict::Rejected {
        return Ok(());
    }
    let versions = deliverables::with_versions(tx, piece)?.versions;
    let approved = |one: &ReviewedVersion| {
        one.review.as_ref().is_some_and(|review| review.verdict == Verdict::Approved)
    };
    let Some(id) = versions.last().and_then(|last| page_of(&last.version)) else { return Ok(()) };
    let Some(item) = tx.get::<Item>(id)?.filter(|item| item.archived_at.is_none()) else {
        return Ok(());
    };
    let mut with_page = versions.iter().filter(|one| page_of(&one.version) == Some(id));
    // A page created by a version has the same timestamp.
    let is_own = |first: &ReviewedVersion| item.created_at == first.version.created_at;
    let is_new = with_page.next().is_some_and(|first| is_own(first) && !approved(first));
    if is_new && is_in_folder(tx, &item)? && !with_page.any(approved) {
        change(tx, id, Patch { archived: Some(true), ..Patch::default() })?;
    }
    Ok(())
}

/// Restores a page that [`note_verdict`] archived, because its deliverable is submitted again.
pub(crate) fn restore_delivered(
    tx: &mut WriteTx<'_>,
    id: KnowledgeId,
) -> Result<(), KnowledgeError> {
    let Some(item) = tx.get::<Item>(id)?.filter(|item| item.archived_at.is_some()) else {
        return Ok(());
    };
    if item.by.agent().is_some() && is_in_folder(tx, &item)? {
        change(tx, id, Patch { archived: Some(false), ..Patch::default() })?;
    }
    Ok(())
}

fn is_in_folder(tx: &WriteTx<'_>, item: &Item) -> Result<bool, KnowledgeError> {
    Ok(item.folder.is_some() && item.folder == existing_folder(tx)?)
}

fn page_of(version: &Version) -> Option<KnowledgeId> {
    match &version.content {
        Content::Page { table, key, .. } if *table == ITEMS.number => decode(key),
        _ => None,
    }
}
