//! Free words in lists: which tasks have them in their number, title or description. The beginning of
//! each text is kept in memory as long as somebody looks for words; what may stand further behind is read
//! from the store.

use std::collections::HashSet;

use memchr::memmem::Finder;

use super::columns::Row;
use super::terms::Sign;
use crate::features::tasks::model::Task;
use crate::kernel::TaskId;
use crate::store::columns::{self, Column};
use crate::store::{Read, ReadExt, StoreError};

/// So many bytes of a title and its description are kept: nearly all of most.
const KEPT: usize = 512;

/// Words to look for in a text.
pub(super) struct Words {
    sign: Sign,
    /// Made ready once for all texts.
    finder: Finder<'static>,
    /// The task whose number the words are.
    number: Option<u32>,
}

impl Words {
    /// Of a text in lower case.
    pub(super) fn new(sign: Sign, text: &str, number: Option<u32>) -> Self {
        Self { sign, finder: Finder::new(text).into_owned(), number }
    }

    fn are_in(&self, number: u32, text: &str) -> bool {
        self.number == Some(number) || self.finder.find(text.as_bytes()).is_some()
    }
}

/// What words are looked for in.
struct Text {
    id: TaskId,
    number: u32,
    text: Box<str>,
    /// Whether nothing stands behind it.
    whole: bool,
}

impl Column for Text {
    type Of = Task;

    fn of(task: &Task) -> Self {
        let all = joined(task);
        let kept = all.floor_char_boundary(KEPT);
        Self {
            id: task.id,
            number: task.number,
            text: all[..kept].into(),
            whole: kept == all.len(),
        }
    }

    fn id(&self) -> TaskId {
        self.id
    }
}

/// Title and description in lower case; what is looked for never stands across the two.
fn joined(task: &Task) -> String {
    format!("{}\0{}", task.title.to_lowercase(), task.description.to_lowercase())
}

/// Whether a text has all words, and none that it must not have; nothing when that is told by what
/// stands behind it.
fn holds(words: &[Words], number: u32, text: &str, whole: bool) -> Option<bool> {
    let mut open = false;
    for one in words {
        let found = one.are_in(number, text);
        if !found && !whole {
            open = true;
        } else if found != (one.sign == Sign::Is) {
            return Some(false);
        }
    }
    (!open).then_some(true)
}

/// The tasks that have the words, in the order of their ids. Long texts are read only of those that fit
/// otherwise.
pub(super) fn holding(
    read: &dyn Read,
    words: &[Words],
    fits: impl Fn(&Row) -> bool,
) -> Result<Vec<TaskId>, StoreError> {
    let (mut open, mut found) = (HashSet::new(), Vec::new());
    columns::with(read, |texts: &[Text]| {
        for text in texts {
            match holds(words, text.number, &text.text, text.whole) {
                Some(true) => found.push(text.id),
                Some(false) => {}
                None => {
                    open.insert(text.id);
                }
            }
        }
    })?;
    if open.is_empty() {
        return Ok(found);
    }
    // Outside of the columns: nobody else should wait for them while the disk is read.
    let fitting = columns::with(read, |rows: &[Row]| -> Vec<TaskId> {
        rows.iter().filter(|row| open.contains(&row.id) && fits(row)).map(|row| row.id).collect()
    })?;
    for id in fitting {
        let Some(task) = read.get::<Task>(id)? else { continue };
        if holds(words, task.number, &joined(&task), true) == Some(true) {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Sign, Text, Words, holds};
    use crate::features::tasks::model::Task;
    use crate::store::Record as _;
    use crate::store::columns::Column as _;

    fn words(sign: Sign, text: &str) -> Words {
        Words::new(sign, text, None)
    }

    #[test]
    fn words_are_found_and_missed_and_told_by_what_stands_behind() {
        let is = |text| [words(Sign::Is, text)];
        assert_eq!(holds(&is("fer a"), 1, "offer a\0five bikes", true), Some(true));
        assert_eq!(holds(&is("offer b"), 1, "offer a\0five bikes", true), Some(false));
        assert_eq!(holds(&is("offer b"), 1, "offer a\0five", false), None);
        let number = [Words::new(Sign::Is, "mc-7", Some(7))];
        assert_eq!(holds(&number, 7, "", false), Some(true));
        let not = [words(Sign::Not, "bikes"), words(Sign::Is, "offer")];
        assert_eq!(holds(&not, 1, "offer\0bikes", false), Some(false));
        assert_eq!(holds(&not, 1, "offer\0", false), None);
        assert_eq!(holds(&not, 1, "offer\0", true), Some(true));
    }

    #[test]
    fn a_long_text_is_kept_up_to_a_sign_and_says_so() {
        let task =
            |description: String| Task { title: "Zoë".to_owned(), description, ..Task::sample() };
        let long = Text::of(&task("ü".repeat(KEPT)));
        assert!(!long.whole && long.text.len() <= KEPT && long.text.starts_with("zoë\0ü"));
        let short = Text::of(&task("A PLAN".to_owned()));
        assert!(short.whole && &*short.text == "zoë\0a plan");
    }
}
