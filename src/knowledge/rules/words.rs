//! Writing the words of an item.

use jiff::SignedDuration;
use kernel::{Actor, Event, RowAct};
use store::{ReadExt as _, StoreError, WriteTx};

use super::items::{may_write, reason, too_long};
use crate::cards::{BODY, ITEM, VERSION};
use crate::error::KnowledgeError;
use crate::links;
use crate::model::{Body, Item, KnowledgeId, LARGEST, Text, Version};
use crate::queries;

/// What one writes within this time is one version.
const STRETCH: SignedDuration = SignedDuration::from_mins(10);
/// Most of a text of so many bytes may go within one version.
const SHORT: usize = 400;

/// Puts words in the place of those that stand at this rev. What stood there becomes a version, unless the same one
/// wrote it a moment ago. `said` are the names that the words lead to, as [`links::names`] finds them.
///
/// # Errors
/// [`KnowledgeError::Moved`] when something else stands there now; when the item is archived, the text too long, or an
/// agent may not write it.
pub fn write(
    tx: &mut WriteTx<'_>,
    id: KnowledgeId,
    (text, rev): (Text, u64),
    (why, said): (&str, &[String]),
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
    // What a person has named stays as it was named.
    let is_named = queries::marks(tx, id)?.name(old.n).is_some();
    let goes_on = is_same(old.by, by)
        && !is_named
        && !takes_most(&old.text, &text)
        && why == old.reason
        && now.duration_since(old.begun_at) < STRETCH
        && old.begun_at <= now;
    let links = links::resolved(tx, said, &old.links)?;
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
    // Told as a change of the item, too: its words are part of it.
    let fields = vec!["text".to_owned()];
    let id = kernel::key::KeyBuf::of(&id).into_bytes();
    tx.emit(Event::Row { table: ITEM.table, id, act: RowAct::Changed, fields });
    Ok(new)
}

/// What stands now becomes a former version.
fn keep(tx: &mut WriteTx<'_>, item: &Item, old: &Body) -> Result<(), StoreError> {
    if queries::version(tx, item.id, old.n)?.is_some() {
        // An undo has brought it back: it is kept already.
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

/// Whether a save takes most of a text away, so that what stood there is kept as a version of its own.
fn takes_most(old: &Text, new: &Text) -> bool {
    SHORT < old.len() && new.len() < old.len() / 2
}

/// Whether the same one writes on: a person through whatever, an agent in the same run.
fn is_same(a: Actor, b: Actor) -> bool {
    match (a.account(), b.account()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
