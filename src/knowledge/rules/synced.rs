//! Items maintained by sources: text and file come from the source, all other settings belong to people.

use kernel::text::one_line;
use kernel::{Event, RowAct};
use store::{ReadExt as _, StoreError, WriteTx};

use super::items::{MAX_TITLE, reason};
use crate::cards::{BODY, ITEM};
use crate::error::KnowledgeError;
use crate::model::{
    Body, FileBody, FolderId, Item, ItemKind, KnowledgeId, LARGEST, Reading, ReadingState, Text,
};
use crate::queries;

/// Data from a source.
#[derive(Clone, Debug)]
pub struct Synced {
    pub title: String,
    /// The text; `None` if it must be extracted from the file.
    pub text: Option<Text>,
    pub file: Option<FileBody>,
    /// Whether the text is only the beginning.
    pub cut: bool,
    /// Folder of a new item.
    pub folder: Option<FolderId>,
}

/// Updates an item or creates one. Restores an archived item.
pub fn keep_synced(
    tx: &mut WriteTx<'_>,
    id: Option<KnowledgeId>,
    new: Synced,
) -> Result<Item, StoreError> {
    let (by, now) = (tx.by(), tx.now());
    let old: Option<Item> = id.map(|id| tx.get(id)).transpose()?.flatten();
    let before = match &old {
        Some(old) => old.clone(),
        None => Item { folder: new.folder, ..Item::new((tx.new_id(), ItemKind::Source), by, now) },
    };
    let item = Item {
        title: kernel::text::ellipsis(one_line(&new.title).trim(), MAX_TITLE),
        file: new.file,
        edited_by: by,
        updated_at: now,
        archived_at: None,
        ..before
    };
    tx.put(&item)?;
    let read: Reading = tx.get(item.id)?.unwrap_or_else(|| Reading::new(item.id, now));
    tx.put(&match new.text {
        Some(text) => Reading {
            state: ReadingState::Done,
            text,
            pages: None,
            cut: new.cut,
            tries: 0,
            at: now,
            ..read
        },
        // The old text stays searchable until the new one is extracted.
        None => Reading { state: ReadingState::Waiting, tries: 0, at: now, ..read },
    })?;
    match old {
        None => tx.emit(ITEM.event(&item.id, RowAct::Created)),
        Some(_) => {
            let id = kernel::key::KeyBuf::of(&item.id).into_bytes();
            let fields = vec!["text".to_owned()];
            tx.emit(Event::Row { table: ITEM.table, id, act: RowAct::Changed, fields });
        }
    }
    Ok(item)
}

/// Detaches an item from its source. It becomes a page, or a file if it is one or its text exceeds the limit of a page.
///
/// # Errors
/// The item is gone, or belongs to no source.
pub fn own_synced(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<Item, KnowledgeError> {
    let old = queries::item_by_id(tx, id)?;
    if old.kind != ItemKind::Source {
        return Err(KnowledgeError::Refused("it isn't synced from a source".to_owned()));
    }
    let (by, now) = (tx.by(), tx.now());
    let read: Reading = tx.get(id)?.unwrap_or_else(|| Reading::new(id, now));
    let long = match &read.text {
        Text::Blob(blob, bytes) if LARGEST < read.text.len() => Some(FileBody {
            name: format!("{}.md", old.title.replace('/', "-")),
            blob: *blob,
            size: u64::from(*bytes),
            media: "text/markdown".to_owned(),
        }),
        _ => None,
    };
    let file = old.file.clone().or(long);
    let kind = if file.is_some() { ItemKind::File } else { ItemKind::Page };
    let item = Item { kind, file, updated_at: now, edited_by: by, ..old.clone() };
    tx.put(&item)?;
    if kind == ItemKind::Page {
        tx.put(&Body {
            item: id,
            text: read.text,
            n: 1,
            by,
            cause: tx.cause(),
            reason: reason("Synced from a source")?,
            links: Vec::new(),
            begun_at: now,
            written_at: now,
        })?;
        tx.emit(BODY.event(&id, RowAct::Created));
    }
    tx.emit(ITEM.changed(&old, &item));
    Ok(item)
}

/// Deletes an item of a source.
pub fn drop_synced(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), KnowledgeError> {
    queries::item_by_id(tx, id)?;
    tx.delete::<Item>(id)?;
    tx.emit(ITEM.event(&id, RowAct::Deleted));
    Ok(())
}
