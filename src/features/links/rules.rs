//! All writes to links.

use super::model::{Link, Target};
use super::queries::{self, LinkError, MOST};
use crate::tasks::queries::checks;
use kernel::key::KeyBuf;
use kernel::{LinkId, TaskId};
use store::{Range, ReadExt as _, WriteTx};

/// Maximum label length in characters.
const MAX_LABEL: usize = 120;

/// Links a task to a target. An existing link gets the label, if one is given.
///
/// # Errors
/// If the task is archived, there is no such target, or the limit is reached.
pub fn add(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    target: Target,
    label: &str,
) -> Result<Link, LinkError> {
    checks::in_use(tx, task)?;
    let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
    if MAX_LABEL < label.chars().count() {
        return Err(LinkError::Invalid(
            "label",
            "Labels can have at most 120 \
            characters."
                .to_owned(),
        ));
    }
    if target == Target::Task(task) {
        return Err(LinkError::Invalid("target", "A task can’t link to itself.".to_owned()));
    }
    if queries::name(tx, &target)?.is_none() {
        return Err(LinkError::Invalid("target", "No matching record found.".to_owned()));
    }
    if let Some(there) = queries::find(tx, task, &target)? {
        if label.is_empty() || label == there.label {
            return Ok(there);
        }
        let link = Link { label, ..there };
        tx.put(&link)?;
        return Ok(link);
    }
    let range = Range::prefix(KeyBuf::of(&task));
    if MOST <= tx.len(super::model::BY_TASK, &range)? {
        return Err(LinkError::TooMany);
    }
    let (by, created_at) = (tx.by(), tx.now());
    let link = Link { id: tx.new_id(), task, target, label, by, created_at };
    tx.put(&link)?;
    Ok(link)
}

/// Removes a link.
///
/// # Errors
/// If there is no such link or its task is archived.
pub fn remove(tx: &mut WriteTx<'_>, id: LinkId) -> Result<Link, LinkError> {
    let link = tx.get::<Link>(id)?.ok_or(LinkError::NotFound)?;
    checks::in_use(tx, link.task)?;
    tx.delete::<Link>(id)?;
    Ok(link)
}
