//! Merging edits of title and description. An edit has the text it was based on; concurrent changes by others are kept,
//! and conflicting edits are never overwritten silently.

use super::TaskPatch;
use crate::tasks::model::Task;
use crate::tasks::queries::error::{FieldClash, TaskError};
use crate::tasks::queries::{self, checks};
use kernel::{FieldError, TaskId};
use store::WriteTx;
use tool::merge::{self, Merged};
use web::checklist::{self, Tick};

/// An edit of one field.
#[derive(Clone, Debug, Default)]
pub struct Written {
    pub text: String,
    /// Text when editing began. `None` replaces the current text unconditionally.
    pub base: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Words {
    pub title: Option<Written>,
    pub description: Option<Written>,
}

/// Result of merging edits with the current texts.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Changes to write.
    pub patch: TaskPatch,
    /// Conflicting fields for the user to resolve. They are not in the patch.
    pub clashes: Vec<FieldClash>,
}

/// Merges edits with the current texts of a task.
///
/// # Errors
/// If a text is empty or too long.
pub fn settle(now: &Task, words: Words) -> Result<Settled, TaskError> {
    let (mut settled, mut wrong) = (Settled::default(), Vec::new());
    if let Some(words) = words.title {
        settled.patch.title =
            one("title", &now.title, words, super::title, (&mut wrong, &mut settled.clashes));
    }
    if let Some(words) = words.description {
        let tidy = super::description;
        settled.patch.description =
            one("description", &now.description, words, tidy, (&mut wrong, &mut settled.clashes));
    }
    if wrong.is_empty() { Ok(settled) } else { Err(TaskError::Invalid(wrong)) }
}

/// Merged text of a field. `None` on a conflict.
fn one(
    field: &'static str,
    now: &str,
    words: Written,
    tidy: fn(&str, &mut Vec<FieldError>) -> String,
    (wrong, clashes): (&mut Vec<FieldError>, &mut Vec<FieldClash>),
) -> Option<String> {
    let mine = tidy(&words.text, wrong);
    // The base was already validated when it was saved.
    let Some(base) = words.base.map(|base| tidy(&base, &mut Vec::new())) else { return Some(mine) };
    match merge::lines(&base, &mine, now) {
        Merged::Clean(text) => Some(text),
        Merged::Clash(clash) => {
            clashes.push(FieldClash { field, clash });
            None
        }
    }
}

/// Writes the merged edits and returns the conflicting fields.
///
/// # Errors
/// If the task is archived or the input is invalid.
pub fn write(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    words: Words,
) -> Result<(Task, Vec<FieldClash>), TaskError> {
    let now = checks::in_use(tx, id)?;
    let Settled { patch, clashes } = settle(&now, words)?;
    Ok((super::update(tx, id, patch)?, clashes))
}

/// Ticks or clears a checklist item of the description. The rest of the text stays unchanged.
///
/// # Errors
/// If the task is archived, or the item cannot be identified in the changed text.
pub fn tick(tx: &mut WriteTx<'_>, id: TaskId, tick: &Tick) -> Result<Task, TaskError> {
    let now = checks::in_use(tx, id)?;
    let text = checklist::ticked(&now.description, tick);
    let Some(text) = text else { return Err(lost(tx, &now)?) };
    super::update(tx, id, TaskPatch { description: Some(text), ..TaskPatch::default() })
}

/// Ticks or clears the item with this number, counted from 1. If `words` is given, the item is found by its text when
/// it has moved.
pub fn tick_number(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    (number, words): (usize, Option<&str>),
    done: bool,
) -> Result<Task, TaskError> {
    let now = checks::in_use(tx, id)?;
    let items = checklist::items(&now.description);
    let at = number.checked_sub(1).and_then(|at| items.get(at));
    let item = match words.map(str::trim) {
        None => at,
        Some(words) => at.filter(|item| item.words == words).or_else(|| {
            let mut alike = items.iter().filter(|item| item.words == words);
            let first = alike.next();
            if alike.next().is_some() { None } else { first }
        }),
    };
    let Some(item) = item else { return Err(lost(tx, &now)?) };
    let text = checklist::turned(&now.description, item, done);
    super::update(tx, id, TaskPatch { description: Some(text), ..TaskPatch::default() })
}

fn lost(tx: &WriteTx<'_>, task: &Task) -> Result<TaskError, TaskError> {
    Ok(TaskError::NoItem(queries::name(tx, task.number)?))
}

#[cfg(test)]
mod tests {
    use super::{Words, Written, settle};
    use crate::tasks::model::Task;
    use store::Record as _;

    fn task(title: &str, description: &str) -> Task {
        Task { title: title.into(), description: description.into(), ..Task::sample() }
    }

    fn words(base: &str, text: &str) -> Option<Written> {
        Some(Written { text: text.into(), base: Some(base.into()) })
    }

    #[test]
    fn each_field_is_settled_by_itself() {
        let now = task("Offer for Jana", "one\nTWO");
        let both = Words {
            title: words("Offer", "Offer for Tom"),
            description: words("one\r\ntwo", "one\r\nTwo  \n"),
        };
        let settled = settle(&now, both).expect("both can be read");
        assert_eq!((settled.patch.title, settled.patch.description), (None, None));
        let fields: Vec<_> = settled.clashes.iter().map(|one| one.field).collect();
        assert_eq!(fields, ["title", "description"]);

        let apart =
            Words { description: words("one\r\ntwo", "ONE\r\ntwo\n\n"), ..Words::default() };
        let settled = settle(&now, apart).expect("it can be read");
        assert_eq!(settled.patch.description.as_deref(), Some("ONE\nTWO"));
        assert!(settled.clashes.is_empty() && settled.patch.title.is_none());
    }

    #[test]
    fn what_is_wrong_is_said_and_what_was_read_is_not_judged() {
        let now = task("Offer", "");
        let empty = Words { title: words("Offer", "  "), ..Words::default() };
        assert!(settle(&now, empty).is_err());
        let unread = Written { text: "Mine".into(), base: None };
        let over = Words { title: Some(unread), ..Words::default() };
        assert_eq!(settle(&now, over).expect("fine").patch.title.as_deref(), Some("Mine"));
        let from_nothing = Words { title: words("", "Offer"), ..Words::default() };
        assert!(settle(&now, from_nothing).expect("fine").clashes.is_empty());
    }
}
