//! Writing the text of an item.

use jiff::SignedDuration;
use kernel::{Actor, Event, RowAct};
use store::{ReadExt as _, StoreError, WriteTx};

use super::items::{may_write, reason, too_long};
use crate::cards::{BODY, ITEM, VERSION};
use crate::error::KnowledgeError;
use crate::links;
use crate::model::{Body, Item, KnowledgeId, LARGEST, Text, Version};
use crate::queries;

/// Changes by one author within this time are one version.
const STRETCH: SignedDuration = SignedDuration::from_mins(10);
/// Minimum size of a text, in bytes, for which a large deletion starts a new version.
const SHORT: usize = 400;

/// Replaces the text at this revision. The replaced text becomes a version, unless the same author wrote it a moment
/// ago. `names` are the linked names, as found by [`links::names`].
///
/// # Errors
/// [`KnowledgeError::Moved`] if the revision changed. Also an archived item, a text that is too long, or an agent that
/// may not write the item.
pub fn write(
    tx: &mut WriteTx<'_>,
    id: KnowledgeId,
    (text, rev): (Text, u64),
    (why, names): (&str, &[String]),
) -> Result<Body, KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    may_write(&item, tx.by())?;
    if item.archived_at.is_some() {
        return Err(KnowledgeError::Archived(item.title));
    }
    let Some((old, now_rev)) = tx.get_rev::<Body>(id)? else {
        return Err(queries::unwritten(&item));
    };
    if now_rev != rev {
        return Err(KnowledgeError::Moved);
    }
    if LARGEST < text.len() {
        return Err(too_long());
    }
    if text == old.text {
        return Ok(old);
    }
    let (by, now, why) = (tx.by(), tx.now(), reason(why)?);
    // A marked version must not change.
    let is_named = queries::marks(tx, id)?.name(old.n).is_some();
    let goes_on = is_same(old.by, by)
        && !is_named
        && !takes_most(&old.text, &text)
        && why == old.reason
        && now.duration_since(old.begun_at) < STRETCH
        && old.begun_at <= now;
    let links = links::resolved(tx, names, &old.links)?;
    let new = match goes_on {
        true => Body { text, links, written_at: now, ..old.clone() },
        false => {
            keep(tx, &item, &old)?;
            Body {
                item: id,
                text,
                n: old.n.saturating_add(1),
                by,
                cause: tx.cause(),
                reason: why,
                links,
                begun_at: now,
                written_at: now,
            }
        }
    };
    tx.put(&new)?;
    tx.put(&Item { updated_at: now, edited_by: by, ..item })?;
    tx.emit(BODY.changed(&old, &new));
    // Also emitted as a change of the item, because the text is part of it.
    let fields = vec!["text".to_owned()];
    let id = kernel::key::KeyBuf::of(&id).into_bytes();
    tx.emit(Event::Row { table: ITEM.table, id, act: RowAct::Changed, fields });
    Ok(new)
}

/// Stores the current text as a former version.
fn keep(tx: &mut WriteTx<'_>, item: &Item, old: &Body) -> Result<(), StoreError> {
    if queries::version(tx, item.id, old.n)?.is_some() {
        // An undo restored this text, so its version is already stored.
        return Ok(());
    }
    let version = Version {
        id: tx.new_id(),
        item: item.id,
        n: old.n,
        title: item.title.clone(),
        text: old.text.clone(),
        by: old.by,
        cause: old.cause,
        reason: old.reason.clone(),
        at: old.written_at,
    };
    tx.put(&version)?;
    tx.emit(VERSION.event(&version.id, RowAct::Created));
    Ok(())
}

/// Whether a save removes most of a text, so that the old text becomes a version of its own.
fn takes_most(old: &Text, new: &Text) -> bool {
    SHORT < old.len() && new.len() < old.len() / 2
}

/// Whether both actors are the same author: a person through any client, or an agent in the same run.
fn is_same(a: Actor, b: Actor) -> bool {
    match (a.account(), b.account()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
