//! Marks on versions.

use kernel::RowAct;
use kernel::text::one_line;
use store::{ReadExt as _, WriteTx};

use super::items::may_write;
use crate::cards::MARK;
use crate::error::KnowledgeError;
use crate::model::{Body, KnowledgeId, LONGEST_MARK, MOST_MARKS, Mark, Marks};
use crate::queries;

/// Sets the mark of a version.
///
/// # Errors
/// The version does not exist, the name is empty, too long or taken, or an agent may not write the item.
pub fn mark(
    tx: &mut WriteTx<'_>,
    id: KnowledgeId,
    (n, name): (u32, &str),
) -> Result<Marks, KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    may_write(&item, tx.by())?;
    let name = one_line(name);
    if name.is_empty() || LONGEST_MARK < name.chars().count() {
        let text = format!("Enter a name of 1 to {LONGEST_MARK} characters.");
        return Err(KnowledgeError::field("name", text));
    }
    let now: Option<Body> = tx.get(id)?;
    let stands = now.is_some_and(|body| body.n == n);
    if !stands && queries::version(tx, id, n)?.is_none() {
        return Err(KnowledgeError::no("version", &n.to_string()));
    }
    let old = queries::marks(tx, id)?;
    if old.name(n) == Some(name.as_str()) {
        return Ok(old);
    }
    let is_same = |mark: &&Mark| mark.name.to_lowercase() == name.to_lowercase() && mark.n != n;
    if let Some(other) = old.marks.iter().find(is_same) {
        let text = format!("Version {} already has this name. Choose another.", other.n);
        return Err(KnowledgeError::field("name", text));
    }
    let mut marks: Vec<Mark> = old.marks.iter().filter(|mark| mark.n != n).cloned().collect();
    if MOST_MARKS <= marks.len() {
        let text = format!(
            "an item can have at most {MOST_MARKS} marked versions; remove a mark \
            first"
        );
        return Err(KnowledgeError::Refused(text));
    }
    marks.push(Mark { n, name, by: tx.by(), at: tx.now() });
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.n));
    let new = Marks { item: id, marks };
    tx.put(&new)?;
    tx.emit(match old.marks.is_empty() {
        true => MARK.event(&id, RowAct::Created),
        false => MARK.changed(&old, &new),
    });
    Ok(new)
}

/// Removes the mark of a version, if it has one.
///
/// # Errors
/// The item does not exist, or an agent may not write it.
pub fn unmark(tx: &mut WriteTx<'_>, id: KnowledgeId, n: u32) -> Result<(), KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    may_write(&item, tx.by())?;
    let old = queries::marks(tx, id)?;
    if old.name(n).is_none() {
        return Ok(());
    }
    let marks: Vec<Mark> = old.marks.iter().filter(|mark| mark.n != n).cloned().collect();
    if marks.is_empty() {
        tx.delete::<Marks>(id)?;
        tx.emit(MARK.event(&id, RowAct::Deleted));
        return Ok(());
    }
    let new = Marks { item: id, marks };
    tx.put(&new)?;
    tx.emit(MARK.changed(&old, &new));
    Ok(())
}
