//! Parts that agents give away: never the same one twice, and not without end.

use std::collections::BTreeSet;

use super::NewTask;
use crate::tasks::model::Task;
use crate::tasks::queries::{self, error::TaskError, parts};
use kernel::{Assignee, TaskId, TaskStatus};
use store::{Read, StoreError, WriteTx};

/// Words that change nothing of what is asked for.
const EMPTY: [&str; 8] = ["again", "a", "an", "the", "please", "now", "retry", "once"];

/// Makes a part of a task and gives it to another agent.
///
/// # Errors
/// As [`create`]; an agent cannot delegate to itself.
pub fn delegate(tx: &mut WriteTx<'_>, new: NewTask) -> Result<Task, TaskError> {
    let own = tx.by().agent().map(Assignee::Agent);
    if own.is_some() && own == new.assignee {
        return Err(TaskError::OwnDelegate);
    }
    create(tx, new)
}

/// Makes a task as an agent asks for it.
///
/// # Errors
/// As [`super::create`]; `GivenAlready` when another agent has been given a part under like words, or a task beside it,
/// which is open or done; `EnoughParts` when agents have made [`parts::MOST`] since a person last said something on
/// the task at the top.
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
                TaskStatus::Done => "use its result, or say in other words what is missing",
                _ => "wait for it, or say what is missing in a comment on it",
            },
        });
    }
    // Parts of parts count with those of the whole: else each level would begin anew.
    if let Some(top) = parts::top(tx, new.parent, run)?
        && parts::MOST <= parts::since_a_person(tx, top)?
    {
        let top = queries::get(tx, top)?;
        return Err(TaskError::EnoughParts(queries::name(tx, top.number)?));
    }
    super::create(tx, new)
}

/// A part of the task that the same agent has, open or done, and that asks for the same.
fn alike(read: &dyn Read, whole: TaskId, new: &NewTask) -> Result<Option<Task>, StoreError> {
    let asked = words(&new.title);
    let counts = |part: &Task| part.status.is_open() || part.status == TaskStatus::Done;
    let beside = parts::beside(read, whole)?;
    Ok(queries::children(read, whole)?
        .into_iter()
        .chain(beside)
        .find(|part| part.assignee == new.assignee && counts(part) && words(&part.title) == asked))
}

/// What a title asks for, whatever its order, its case and its marks.
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
