//! What routines can wait for: the one table from which the pages, the API, the agents' tool, the check
//! of what is saved and the consumer of the feed draw. Things that happen have a line in `events`,
//! records that come, change and go one in `rows`; what they have for conditions and templates stands in
//! `fields`. A noun that comes later adds its lines there and, if it has an event, its reading in `scene`.

mod events;
mod fields;
mod rows;

use kernel::{AccountId, AgentId, Assignee, CommentId, DeliverableId, ItemId, Payer, Period};
use kernel::{RunId, TaskField, TaskId};
use store::{Change as RowChange, Op};

pub use events::happenings;
pub use fields::Field;
pub use rows::{RowKinds, rows_of};

/// What the name of a field begins with that is the number of tasks in a saved view.
pub const VIEW: &str = "view:";
/// What the name of a field begins with that people have given a kind of record themselves; its key follows.
pub const OWN: &str = "own:";
/// What the names of fields begin with that say what was there before.
pub const OLD: &str = "old_";
/// The kind of a change of any field of a task.
pub const TASK_CHANGED: &str = "task.changed";
/// The fields of a task that are stored while somebody still writes them.
pub const WRITTEN: [&str; 2] = ["title", "description"];
/// How many kinds there may be: each has a bit in the set of those that are waited for.
pub const MOST_KINDS: usize = 256;

/// A kind of event.
#[derive(Debug)]
pub struct Kind {
    /// The word on the wire.
    pub word: &'static str,
    /// The words for people, after "when".
    pub label: &'static str,
    /// What it belongs to, as forms group it.
    pub group: &'static str,
    fields: &'static [&'static [Field]],
    /// The table whose rows it is about and what happens to them, when it is about any record.
    row: Option<(u16, &'static [Op])>,
}

impl Kind {
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.fields.iter().flat_map(|part| part.iter())
    }

    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }

    /// What a field is called; its name when nothing knows it any more.
    #[must_use]
    pub fn label_of<'n>(&self, name: &'n str) -> &'n str {
        self.field(name).map_or(name, |field| field.label)
    }

    /// The records that it is about, when it is about any record of a table.
    #[must_use]
    pub fn rows(&self) -> Option<&'static RowKinds> {
        rows_of(self.row?.0)
    }

    /// Whether its records have fields of people's own, which are named by their keys behind [`OWN`].
    #[must_use]
    pub fn has_own_fields(&self) -> bool {
        self.rows().is_some_and(RowKinds::has_own_fields)
    }

    /// Whether it says which of its fields changed, and this is one of which it can.
    #[must_use]
    pub fn tells_change_of(&self, field: &str) -> bool {
        let former = format!("{OLD}{field}");
        self.field("changed").is_some() && (field.starts_with(OWN) || self.field(&former).is_some())
    }

    /// Whether it waits for a change of records, and not for their coming or going.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.row.is_some_and(|(_, ops)| ops.contains(&Op::Update))
    }
}

/// All kinds, in the order of forms.
pub fn all() -> impl Iterator<Item = &'static Kind> + Clone {
    events::ALL.iter().chain(rows::all().flat_map(|rows| rows.kinds.iter()))
}

/// The kind with this word.
#[must_use]
pub fn kind(word: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.word == word)
}

/// The kinds by what they belong to, in the order of forms.
#[must_use]
pub fn groups() -> Vec<(&'static str, Vec<&'static Kind>)> {
    let mut groups: Vec<(&str, Vec<&Kind>)> = Vec::new();
    for kind in all() {
        match groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, kinds)) => kinds.push(kind),
            None => groups.push((kind.group, vec![kind])),
        }
    }
    groups
}

/// The place of a kind among those that are waited for; none for a word that no kind has.
#[must_use]
pub fn place(word: &str) -> Option<usize> {
    all().position(|kind| kind.word == word)
}

/// Whether a field says something of a task.
#[must_use]
pub fn is_of_task(name: &str) -> bool {
    fields::TASK.iter().any(|field| field.name == name)
}

/// What a change of a row is to routines: nothing, or one thing. `n` is its place in the entry.
#[must_use]
pub fn of_row(n: usize, change: &RowChange) -> Option<Happening> {
    let rows = rows_of(change.table)?;
    let fits = |kind: &&Kind| kind.row.is_some_and(|(_, ops)| ops.contains(&change.op));
    let kind = rows.kinds.iter().find(fits)?;
    let subject = Subject::Row(change.table, change.key.clone());
    Some(Happening { kind, subject, change: Change::Row(n) })
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Comment(CommentId, TaskId),
    /// Delivered work of a task.
    Deliverable(DeliverableId, TaskId),
    /// An agent, and the run that it is about.
    Agent(AgentId, Option<RunId>),
    Member(AccountId),
    /// A record: its table and its key.
    Row(u16, Vec<u8>),
    /// The workspace as a whole.
    Workspace,
}

/// What changed, as far as the event says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing, or what the rows say.
    None,
    /// From one word to another.
    Words(&'static str, &'static str),
    /// From somebody to somebody.
    Whose(Option<Assignee>, Option<Assignee>),
    Field(TaskField),
    /// What went wrong, in a word.
    Reason(String),
    /// An inbox item, where its work failed.
    ItemFailed(ItemId),
    /// An inbox item.
    Item(ItemId),
    /// What the event says, by field.
    Facts(Vec<(&'static str, String)>),
    Budget(Payer, Period),
    /// The change of a row at this place of its entry.
    Row(usize),
    /// What has been written in these fields of a row since its change at this place of this entry.
    Written((u64, u16), Vec<String>),
}

/// Something that happened, as routines see it.
#[derive(Clone, Debug)]
pub struct Happening {
    pub kind: &'static Kind,
    /// What it is about.
    pub subject: Subject,
    /// What changed.
    pub change: Change,
}

#[cfg(test)]
mod tests {
    use super::fields::{PRIORITIES, STATUSES, VERDICTS};
    use super::*;
    use kernel::{Priority, TaskStatus, Verdict};

    #[test]
    fn the_words_of_fields_are_those_of_the_records() {
        let statuses: Vec<_> = TaskStatus::ALL.iter().map(|one| one.word()).collect();
        let priorities: Vec<_> = Priority::ALL.iter().map(|one| one.word()).collect();
        let verdicts: Vec<_> = Verdict::ALL.iter().map(|one| one.word()).collect();
        assert_eq!(STATUSES, statuses);
        assert_eq!(PRIORITIES, priorities);
        assert_eq!(VERDICTS, verdicts);
    }

    #[test]
    fn each_kind_has_its_own_word_and_no_field_twice() {
        assert!(all().count() <= MOST_KINDS, "one bit each");
        for kind in all() {
            assert_eq!(all().filter(|other| other.word == kind.word).count(), 1, "{}", kind.word);
            let names: Vec<_> = kind.fields().map(|field| field.name).collect();
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{}", kind.word);
            assert!(!kind.label.is_empty() && !kind.group.is_empty(), "{}", kind.word);
        }
    }

    #[test]
    fn what_a_change_compares_stands_in_the_record_itself() {
        for rows in rows::all() {
            let sample = (rows.sample)();
            let map = (rows.json)(&sample).expect(rows.one);
            for kind in rows.kinds.iter().filter(|kind| kind.is_change()) {
                for field in kind.fields().filter(|field| field.name.starts_with(OLD)) {
                    let name = &field.name[OLD.len()..];
                    let known = rows.key_of(&map, name).is_some();
                    assert!(known, "{}: nothing in the record is {name}", kind.word);
                }
            }
        }
    }
}
