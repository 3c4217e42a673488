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
    /// Where its bytes begin among those of all, and how many there are.
    at: u32,
    len: u16,
    /// Whether nothing stands behind them.
    whole: bool,
}

/// The bytes of all texts, one behind the other: who looks through a hundred thousand of them reads memory from
/// one end to the other.
#[derive(Default)]
struct Bytes {
    all: String,
    /// How many of them no text has any more.
    lost: usize,
}

impl Bytes {
    /// So many may be lost before they are taken out, if that is as many as are left.
    const SPARED: usize = 64 << 10;

    fn of(&self, text: &Text) -> &str {
        let at = text.at as usize;
        self.all.get(at..at + usize::from(text.len)).unwrap_or_default()
    }
}

impl Column for Text {
    type Of = Task;
    type Shared = Bytes;

    fn of(task: &Task, bytes: &mut Bytes) -> Self {
        let all = joined(task);
        let mut kept = all.floor_char_boundary(KEPT);
        let at = match u32::try_from(bytes.all.len()) {
            Ok(at) => at,
            // There is no room for more: it is read from the store each time.
            Err(_) => {
                kept = 0;
                0
            }
        };
        bytes.all.push_str(&all[..kept]);
        let len = u16::try_from(kept).unwrap_or(u16::MAX);
        Self { id: task.id, number: task.number, at, len, whole: kept == all.len() }
    }

    fn id(&self) -> TaskId {
        self.id
    }

    fn leave(&self, bytes: &mut Bytes) {
        bytes.lost += usize::from(self.len);
    }

    fn tidy(texts: &mut [Self], bytes: &mut Bytes) {
        let left = bytes.all.len() - bytes.lost;
        if bytes.lost < left.max(Bytes::SPARED) {
            // Behind a first scan, what was taken in advance.
            if bytes.lost == 0 && bytes.all.len() + Bytes::SPARED < bytes.all.capacity() / 2 {
                bytes.all.shrink_to_fit();
            }
            return;
        }
        let mut all = String::with_capacity(left);
        for text in texts {
            let own = bytes.of(text);
            text.at = u32::try_from(all.len()).unwrap_or(u32::MAX);
            all.push_str(own);
        }
        *bytes = Bytes { all, lost: 0 };
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
    columns::with_shared(read, |texts: &[Text], bytes| {
        for text in texts {
            match holds(words, text.number, bytes.of(text), text.whole) {
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
    use super::{Bytes, KEPT, Sign, Text, Words, holds};
    use crate::features::tasks::model::Task;
    use crate::kernel::{TaskId, TypedId as _};
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

    fn task(n: u128, description: String) -> Task {
        let id = TaskId::from_uuid(uuid::Uuid::from_u128(n));
        Task { id, title: "Zoë".to_owned(), description, ..Task::sample() }
    }

    #[test]
    fn a_long_text_is_kept_up_to_a_sign_and_says_so() {
        let mut bytes = Bytes::default();
        let long = Text::of(&task(1, "ü".repeat(KEPT)), &mut bytes);
        let short = Text::of(&task(2, "A PLAN".to_owned()), &mut bytes);
        let kept = bytes.of(&long);
        assert!(!long.whole && kept.len() <= KEPT && kept.starts_with("zoë\0ü"));
        assert!(short.whole && bytes.of(&short) == "zoë\0a plan");
    }

    #[test]
    fn bytes_that_no_text_has_any_more_are_taken_out_and_each_text_stays_what_it_is() {
        let (mut bytes, mut model) = (Bytes::default(), Vec::new());
        let mut texts: Vec<Text> = (0..300)
            .map(|n| {
                model.push(format!("zoë\0text {n} {}", "x".repeat(400)));
                Text::of(&task(n, format!("text {n} {}", "x".repeat(400))), &mut bytes)
            })
            .collect();
        let mut most = 0;
        for round in 0..40u128 {
            for n in (0..300usize).filter(|n| !(*n).is_multiple_of(7)) {
                texts[n].leave(&mut bytes);
                let said = format!("round {round} {}", "y".repeat(n));
                model[n] = format!("zoë\0{said}");
                texts[n] = Text::of(&task(n as u128, said), &mut bytes);
            }
            Text::tidy(&mut texts, &mut bytes);
            most = most.max(bytes.all.len());
            for (text, said) in texts.iter().zip(&model) {
                assert_eq!(bytes.of(text), said);
            }
        }
        assert!(most < 600_000, "{most}");
    }
}
