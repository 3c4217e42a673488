//! Registry of event kinds. Pages, API, agent tool, validation and the feed consumer all use this table. Events are
//! in `events`, changes of records in `rows`, and their fields for conditions and templates in `fields`. A new noun
//! adds its lines there and, if it has events, its context in `event_context`.

mod events;
mod fields;
mod rows;

use kernel::{AccountId, AgentId, Assignee, CommentId, DeliverableId, ItemId, Payer, Period};
use kernel::{RunId, TaskField, TaskId};
use store::{Change as RowChange, Op};

pub use events::happenings;
pub use fields::Field;
pub use rows::{RowKinds, rows_of};

/// Prefix of fields for the task count of a saved view.
pub const VIEW: &str = "view:";
/// Prefix of custom fields, followed by the field key.
pub const OWN: &str = "own:";
/// Prefix of fields with the former value.
pub const OLD: &str = "old_";
/// Kind for a change of any task field.
pub const TASK_CHANGED: &str = "task.changed";
/// Task fields that are autosaved while being edited.
pub const WRITTEN: [&str; 2] = ["title", "description"];
/// Maximum number of kinds, which is the size of the bit set of awaited kinds.
pub const MOST_KINDS: usize = 256;

#[derive(Debug)]
pub struct Kind {
    /// API word.
    pub word: &'static str,
    /// Label that follows "when".
    pub label: &'static str,
    /// Group in forms.
    pub group: &'static str,
    fields: &'static [&'static [Field]],
    /// Table and operations, for record kinds.
    row: Option<(u16, &'static [Op])>,
}

impl Kind {
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.fields.iter().flat_map(|part| part.iter())
    }

    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }

    /// Label of a field, or its name if the field is unknown.
    #[must_use]
    pub fn label_of<'n>(&self, name: &'n str) -> &'n str {
        self.field(name).map_or(name, |field| field.label)
    }

    /// Record kinds of the table, if this is a record kind.
    #[must_use]
    pub fn rows(&self) -> Option<&'static RowKinds> {
        rows_of(self.row?.0)
    }

    /// Returns `true` if the records have custom fields, named by [`OWN`] and their key.
    #[must_use]
    pub fn has_own_fields(&self) -> bool {
        self.rows().is_some_and(RowKinds::has_own_fields)
    }

    /// Returns `true` if the kind reports changed fields and `field` can be among them.
    #[must_use]
    pub fn tells_change_of(&self, field: &str) -> bool {
        let former = format!("{OLD}{field}");
        self.field("changed").is_some() && (field.starts_with(OWN) || self.field(&former).is_some())
    }

    /// Returns `true` if the kind includes updates, not only creation or deletion.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.row.is_some_and(|(_, ops)| ops.contains(&Op::Update))
    }
}

/// All kinds, in form order.
pub fn all() -> impl Iterator<Item = &'static Kind> + Clone {
    events::ALL.iter().chain(rows::all().flat_map(|rows| rows.kinds.iter()))
}

/// Finds a kind by API word.
#[must_use]
pub fn kind(word: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.word == word)
}

/// Kinds by group, in form order.
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

/// Index of a kind in the bit set of awaited kinds. `None` for an unknown word.
#[must_use]
pub fn place(word: &str) -> Option<usize> {
    all().position(|kind| kind.word == word)
}

/// Returns `true` if the field describes a task.
#[must_use]
pub fn is_of_task(name: &str) -> bool {
    fields::TASK.iter().any(|field| field.name == name)
}

/// Happening for a row change, if a kind matches. `n` is the index of the change in its feed entry.
#[must_use]
pub fn of_row(n: usize, change: &RowChange) -> Option<Happening> {
    let rows = rows_of(change.table)?;
    let fits = |kind: &&Kind| kind.row.is_some_and(|(_, ops)| ops.contains(&change.op));
    let kind = rows.kinds.iter().find(fits)?;
    let subject = Subject::Row(change.table, change.key.clone());
    Some(Happening { kind, subject, change: Change::Row(n) })
}

/// Subject of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Comment(CommentId, TaskId),
    Deliverable(DeliverableId, TaskId),
    /// An agent, and the run if the event is about one.
    Agent(AgentId, Option<RunId>),
    Member(AccountId),
    /// A record: table and key.
    Row(u16, Vec<u8>),
    Workspace,
}

/// Change data that the event carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// No change, or the change is in the rows.
    None,
    /// Former and new word.
    Words(&'static str, &'static str),
    /// Former and new assignee.
    Whose(Option<Assignee>, Option<Assignee>),
    Field(TaskField),
    /// Reason of a failure, as a word.
    Reason(String),
    /// Inbox item whose work failed.
    ItemFailed(ItemId),
    Item(ItemId),
    /// Field values of the event.
    Facts(Vec<(&'static str, String)>),
    Budget(Payer, Period),
    /// Index of a row change in the feed entry.
    Row(usize),
    /// Fields edited since the row change at this feed position.
    Written((u64, u16), Vec<String>),
}

/// An event or record change that routines can react to.
#[derive(Clone, Debug)]
pub struct Happening {
    pub kind: &'static Kind,
    pub subject: Subject,
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
