//! Word search in task lists, over number, title and description. The start of each text is cached in memory while
//! searches happen. Text beyond the cached part is read from the store.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::memmem::Finder;
use parking_lot::Mutex;

use super::columns::Row;
use super::taskset;
use super::terms::Sign;
use crate::tasks::model::Task;
use kernel::TaskId;
use store::columns::{self, Column};
use store::{Read, ReadExt, StoreError};

/// Cached bytes of title and description. Covers nearly all of most tasks.
const KEPT: usize = 512;

/// Number of queries whose results are cached.
const REMEMBERED: usize = 8;

/// Words to find in a text.
#[derive(Clone)]
pub(super) struct Words {
    sign: Sign,
    /// Prepared once for all texts.
    finder: Finder<'static>,
    /// Task number, if the words are one.
    number: Option<u32>,
}

impl Words {
    /// `text` is in lower case.
    pub(super) fn new(sign: Sign, text: &str, number: Option<u32>) -> Self {
        Self { sign, finder: Finder::new(text).into_owned(), number }
    }

    /// Returns `true` if both are the same query.
    fn are(&self, others: &Self) -> bool {
        (self.sign, self.number, self.finder.needle())
            == (others.sign, others.number, others.finder.needle())
    }

    fn are_in(&self, number: u32, text: &str) -> bool {
        self.number == Some(number) || self.finder.find(text.as_bytes()).is_some()
    }
}

/// Cached text of a task.
struct Text {
    id: TaskId,
    number: u32,
    /// Offset of the text in [`Bytes`], and its length.
    at: u32,
    len: u16,
    /// `true` if the whole text is cached.
    whole: bool,
}

/// Bytes of all cached texts in one buffer, so that a search over a hundred thousand tasks reads memory sequentially.
#[derive(Default)]
struct Bytes {
    all: String,
    /// Number of bytes that no text uses any more.
    lost: usize,
    /// Results of recent queries, newest first.
    answers: Mutex<VecDeque<Arc<Answer>>>,
}

/// Result of a query. When a task changes, only that task is tested again.
#[derive(Clone)]
struct Answer {
    words: Vec<Words>,
    /// Matching tasks, in id order.
    found: Vec<TaskId>,
    /// Tasks whose match depends on the text beyond the cached part.
    open: Vec<TaskId>,
}

impl Answer {
    /// Searches all texts.
    fn new(words: &[Words], texts: &[Text], bytes: &Bytes) -> Self {
        let mut answer = Self { words: words.to_vec(), found: Vec::new(), open: Vec::new() };
        for text in texts {
            match holds(words, text.number, bytes.of(text), text.whole) {
                Some(true) => answer.found.push(text.id),
                Some(false) => {}
                None => answer.open.push(text.id),
            }
        }
        answer
    }

    /// Adds a text.
    fn come(&mut self, text: &Text, kept: &str) {
        let list = match holds(&self.words, text.number, kept, text.whole) {
            Some(true) => &mut self.found,
            Some(false) => return,
            None => &mut self.open,
        };
        if let Err(at) = list.binary_search(&text.id) {
            list.insert(at, text.id);
        }
    }

    /// Removes a text.
    fn go(&mut self, id: TaskId) {
        for list in [&mut self.found, &mut self.open] {
            if let Ok(at) = list.binary_search(&id) {
                list.remove(at);
            }
        }
    }
}

impl Bytes {
    /// Minimum number of unused bytes before compaction. Compaction also requires that at least half of the buffer is
    /// unused.
    const SPARED: usize = 64 << 10;

    fn of(&self, text: &Text) -> &str {
        let at = text.at as usize;
        self.all.get(at..at + usize::from(text.len)).unwrap_or_default()
    }

    /// Cached result of a query, or the result of searching all texts.
    fn answer(&self, words: &[Words], texts: &[Text]) -> Arc<Answer> {
        let same = |answer: &Arc<Answer>| {
            let others = &answer.words;
            words.len() == others.len() && words.iter().zip(others).all(|(a, b)| a.are(b))
        };
        let known = {
            let mut answers = self.answers.lock();
            let at = answers.iter().position(same);
            at.and_then(|at| answers.remove(at)).inspect(|one| answers.push_front(Arc::clone(one)))
        };
        known.unwrap_or_else(|| {
            let answer = Arc::new(Answer::new(words, texts, self));
            let mut answers = self.answers.lock();
            answers.truncate(REMEMBERED - 1);
            answers.push_front(Arc::clone(&answer));
            answer
        })
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
            // The buffer is full, so this text is read from the store each time.
            Err(_) => {
                kept = 0;
                0
            }
        };
        bytes.all.push_str(&all[..kept]);
        let len = u16::try_from(kept).unwrap_or(u16::MAX);
        let text = Self { id: task.id, number: task.number, at, len, whole: kept == all.len() };
        for answer in bytes.answers.get_mut() {
            Arc::make_mut(answer).come(&text, &all[..kept]);
        }
        text
    }

    fn id(&self) -> TaskId {
        self.id
    }

    fn on_removed(&self, bytes: &mut Bytes) {
        bytes.lost += usize::from(self.len);
        for answer in bytes.answers.get_mut() {
            Arc::make_mut(answer).go(self.id);
        }
    }

    fn tidy(texts: &mut [Self], bytes: &mut Bytes) {
        let left = bytes.all.len() - bytes.lost;
        if bytes.lost < left.max(Bytes::SPARED) {
            // After a first scan, release the memory that was reserved in advance.
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
        (bytes.all, bytes.lost) = (all, 0);
    }
}

/// Title and description in lower case. The separator keeps a match from spanning both.
fn joined(task: &Task) -> String {
    format!("{}\0{}", task.title.to_lowercase(), task.description.to_lowercase())
}

/// Returns whether a text satisfies all word conditions, or `None` if that depends on the text beyond the cached part.
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

/// Tasks that satisfy the word conditions, in id order.
pub(super) struct Holding {
    answer: Arc<Answer>,
    /// The result including tasks that were read from the store, if any had to be.
    merged: Option<Vec<TaskId>>,
}

impl Holding {
    pub(super) fn ids(&self) -> &[TaskId] {
        self.merged.as_deref().unwrap_or(&self.answer.found)
    }
}

/// Finds the tasks that satisfy the word conditions. Reads long texts only of tasks that match all other conditions.
pub(super) fn holding(
    read: &dyn Read,
    words: &[Words],
    fits: impl Fn(&Row) -> bool,
) -> Result<Holding, StoreError> {
    let answer = columns::with_shared(read, |texts: &[Text], bytes| bytes.answer(words, texts))?;
    if answer.open.is_empty() {
        return Ok(Holding { answer, merged: None });
    }
    // Runs outside the column lock, so that the disk reads below block nobody.
    let fitting = columns::with(read, |rows: &[Row]| -> Vec<TaskId> {
        let open = taskset::named(rows, &answer.open).filter(|row| fits(row));
        open.map(|row| row.id).collect()
    })?;
    let mut found = answer.found.clone();
    for id in fitting {
        let Some(task) = read.get::<Task>(id)? else { continue };
        if holds(words, task.number, &joined(&task), true) == Some(true) {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok(Holding { answer, merged: Some(found) })
}

#[cfg(test)]
mod tests {
    use super::{Bytes, KEPT, Sign, Text, Words, holds};
    use crate::tasks::model::Task;
    use kernel::{TaskId, TypedId as _};
    use store::Record as _;
    use store::columns::Column as _;

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
                texts[n].on_removed(&mut bytes);
                let content = format!("round {round} {}", "y".repeat(n));
                model[n] = format!("zoë\0{content}");
                texts[n] = Text::of(&task(n as u128, content), &mut bytes);
            }
            Text::tidy(&mut texts, &mut bytes);
            most = most.max(bytes.all.len());
            for (text, content) in texts.iter().zip(&model) {
                assert_eq!(bytes.of(text), content);
            }
        }
        assert!(most < 600_000, "{most}");
    }

    #[test]
    fn what_is_remembered_of_a_question_is_what_all_texts_would_say() {
        let (mut bytes, mut texts): (Bytes, Vec<Text>) = (Bytes::default(), Vec::new());
        let questions: Vec<[Words; 1]> = ["tyre", "brake", "zoë"]
            .into_iter()
            .flat_map(|text| [Sign::Is, Sign::Not].map(|sign| [words(sign, text)]))
            .chain([[Words::new(Sign::Is, "mc-3", Some(3))]])
            .collect();
        let sentences = ["tyre", "brake", "a tyre and a brake", "nothing"];
        for step in 0..400usize {
            let (n, what) = (step * 7 % 40, step * 5 % 6);
            let id = TaskId::from_uuid(uuid::Uuid::from_u128(n as u128));
            let place = texts.binary_search_by(|text| text.id.cmp(&id));
            if let Ok(at) = place {
                texts.remove(at).on_removed(&mut bytes);
            }
            if let Some(words) = sentences.get(what) {
                let far = if step % 3 == 0 { "x".repeat(KEPT) } else { String::new() };
                let task = task(n as u128, format!("{far}{words}"));
                let task = Task { number: u32::try_from(n).unwrap(), ..task };
                let at = place.unwrap_or_else(|at| at);
                texts.insert(at, Text::of(&task, &mut bytes));
            }
            Text::tidy(&mut texts, &mut bytes);
            for words in &questions {
                let known = bytes.answer(words, &texts);
                let fresh = super::Answer::new(words, &texts, &bytes);
                assert_eq!((&known.found, &known.open), (&fresh.found, &fresh.open), "{step}");
            }
        }
        assert_eq!(bytes.answers.get_mut().len(), questions.len());
    }
}
