//! Subtasks that agents delegate. Rejects repeated requests and unlimited delegation.

use std::collections::BTreeSet;

use super::NewTask;
use crate::tasks::model::Task;
use crate::tasks::queries::{self, error::TaskError, parts};
use kernel::{Assignee, TaskId, TaskStatus};
use store::{Read, StoreError, WriteTx};

/// Words that do not change the request of a title.
const EMPTY: [&str; 8] = ["again", "a", "an", "the", "please", "now", "retry", "once"];

/// Creates a subtask and assigns it to another agent.
///
/// # Errors
/// As [`create`], or if an agent delegates to itself.
pub fn delegate(tx: &mut WriteTx<'_>, new: NewTask) -> Result<Task, TaskError> {
    let own = tx.by().agent().map(Assignee::Agent);
    if own.is_some() && own == new.assignee {
        return Err(TaskError::OwnDelegate);
    }
    create(tx, new)
}

/// Creates a task for an agent.
///
/// # Errors
/// As [`super::create`]. `GivenAlready` if the assignee already has an open or done subtask with the same words, or a
/// task delegated beside it. `EnoughParts` if agents have created [`parts::MOST`] subtasks since a person last
/// commented on the root task.
pub fn create(tx: &mut WriteTx<'_>, new: NewTask) -> Result<Task, TaskError> {
    let gives = new.assignee.and_then(Assignee::agent) != tx.by().agent();
    let run = tx.by().run();
    let whole = match (new.parent, run) {
        _ if !gives || new.assignee.is_none() => None,
        (None, Some(run)) => parts::origin(tx, run)?,
        (parent, _) => parent,
    };
    let Some(whole) = whole else { return super::create(tx, new) };
    if let Some(part) = alike(tx, whole, &new)? {
        return Err(TaskError::GivenAlready {
            part: queries::name(tx, part.number)?,
            title: part.title,
            status: part.status.label().to_lowercase(),
            hint: match part.status {
                TaskStatus::Done => "use its result, or ask for what's missing",
                _ => "wait for it, or comment on what's missing",
            },
        });
    }
    // Nested subtasks count towards the root. Otherwise the limit would start anew on each level.
    if let Some(top) = parts::top(tx, new.parent, run)?
        && parts::MOST <= parts::since_a_person(tx, top)?
    {
        let top = queries::get(tx, top)?;
        return Err(TaskError::EnoughParts(queries::name(tx, top.number)?));
    }
    super::create(tx, new)
}

/// An open or done subtask of the same agent with the same request.
fn alike(read: &dyn Read, whole: TaskId, new: &NewTask) -> Result<Option<Task>, StoreError> {
    let wanted = words(&new.title);
    let counts = |part: &Task| part.status.is_open() || part.status == TaskStatus::Done;
    let beside = parts::beside(read, whole)?;
    Ok(queries::children(read, whole)?
        .into_iter()
        .chain(beside)
        .find(|part| part.assignee == new.assignee && counts(part) && words(&part.title) == wanted))
}

/// Words of a title, ignoring order, case and punctuation.
fn words(title: &str) -> BTreeSet<String> {
    let title = title.to_lowercase();
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !EMPTY.contains(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn like_words_ask_for_the_same() {
        let same = |one: &str, other: &str| words(one) == words(other);
        assert!(same("Ask for prices", "ask for prices (again!)"));
        assert!(same("The prices: ask for them", "Ask for them, the prices"));
        assert!(!same("Write chapter 1", "Write chapter 2"));
        assert!(!same("Prices in Berlin", "Prices in Paris"));
        assert!(same("价格", "价格。"));
    }
}
