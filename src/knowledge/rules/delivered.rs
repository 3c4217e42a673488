//! Pages that were made to be delivered: they have a folder of their own, and a rejected one is archived.

use features::deliverables::model::{Content, Version};
use kernel::key::decode;
use kernel::{AgentId, Verdict, VersionId};
use store::{ReadExt as _, WriteTx};

use super::folders::{FolderPatch, make_folder};
use super::items::{Patch, change};
use crate::error::KnowledgeError;
use crate::model::{BY_PARENT, Folder, FolderId, ITEMS, Item, KnowledgeId, place_key};

const FOLDER_NAME: &str = "Deliverables";

/// The folder at the top for delivered pages; it is made with the first of them.
///
/// # Errors
/// When there are too many folders.
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

/// Archives the page of a rejected version. A page that was there before, or that a person has moved out of the folder,
/// stays.
///
/// # Errors
/// When the store fails.
pub(crate) fn note_verdict(
    tx: &mut WriteTx<'_>,
    version: VersionId,
    verdict: Verdict,
    submitter: Option<AgentId>,
) -> Result<(), KnowledgeError> {
    let (Verdict::Rejected, Some(agent)) = (verdict, submitter) else { return Ok(()) };
    let Some(Version { content: Content::Page { table, key, .. }, .. }) =
        tx.get::<Version>(version)?
    else {
        return Ok(());
    };
    let id = decode::<KnowledgeId>(&key).filter(|_| table == ITEMS.number);
    let item = id.map(|id| tx.get::<Item>(id)).transpose()?.flatten();
    let Some(item) = item.filter(|item| item.archived_at.is_none()) else { return Ok(()) };
    if item.folder.is_some()
        && item.folder == existing_folder(tx)?
        && item.by.agent() == Some(agent)
    {
        change(tx, item.id, Patch { archived: Some(true), ..Patch::default() })?;
    }
    Ok(())
}
