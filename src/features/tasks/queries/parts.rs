//! How many parts agents have made of a task.

use crate::comments::model::{BY_TASK, Comment};
use kernel::TaskId;
use store::{Read, ReadExt, StoreError};

/// How many parts agents make of a task before a person has to say something on it.
pub const MOST: usize = 10;
/// How many of the last comments are looked at.
const LOOKED_AT: usize = 200;

/// How many parts of a task agents have made since a person last said something on it; archived ones count.
///
/// # Errors
/// When the disk fails.
pub fn since_a_person(read: &dyn Read, whole: TaskId) -> Result<usize, StoreError> {
    let last: Vec<Comment> =
        read.scan(BY_TASK, &super::of_task(whole).reverse().limit(LOOKED_AT))?;
    let said = last.iter().find(|comment| comment.author.account().is_some());
    let since = said.map(|comment| comment.created_at);
    let mut count = 0;
    for part in super::child_ids(read, whole)? {
        let part = read.get::<crate::tasks::model::Task>(part)?;
        let counts = part.is_some_and(|part| {
            part.created_by.agent().is_some() && since.is_none_or(|since| since < part.created_at)
        });
        count += usize::from(counts);
    }
    Ok(count)
}
