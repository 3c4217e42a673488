//! What routines can wait for: one line for each kind of event, with its words and its fields. A noun
//! that comes later adds its lines here and its reading in `scene.rs`.

use crate::kernel::{
    AgentId, AgentStatus, Assignee, CommentId, DeliverableId, Event, ItemId, RunId, TaskField,
    TaskId,
};

/// A field of an event that conditions and templates may name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its words for people.
    pub label: &'static str,
    /// Whether it is a number.
    pub number: bool,
    /// The words that it can be, if they are known.
    pub words: &'static [&'static str],
}

const fn text(name: &'static str, label: &'static str) -> Field {
    Field { name, label, number: false, words: &[] }
}

const fn number(name: &'static str, label: &'static str) -> Field {
    Field { name, label, number: true, words: &[] }
}

const fn words(name: &'static str, label: &'static str, words: &'static [&'static str]) -> Field {
    Field { name, label, number: false, words }
}

const STATUSES: &[&str] = &["todo", "in_progress", "blocked", "done", "cancelled", "missed"];
const PRIORITIES: &[&str] = &["low", "medium", "high", "urgent"];
const DAYS: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const KINDS: &[&str] = &["person", "agent", "system"];
const VERDICTS: &[&str] = &["approved", "changes_requested", "rejected"];

/// What every event has.
const COMMON: &[Field] = &[
    text("actor", "who did it"),
    words("actor_kind", "whether a person, an agent or the system did it", KINDS),
    words("weekday", "the day of the week", DAYS),
    text("time", "the time of day"),
    number("budget_left", "what is left of the agent’s budget, in dollars"),
    text("url", "the address"),
];
const TASK: &[Field] = &[
    text("task", "the task’s number"),
    text("title", "the task’s title"),
    text("description", "the task’s description"),
    words("status", "the task’s status", STATUSES),
    words("priority", "the task’s priority", PRIORITIES),
    text("assignee", "the task’s assignee"),
    number("due_in_days", "in how many days the task is due"),
    text("creator", "who made the task"),
    text("parent", "the task that it is a part of"),
    text("stream", "the task’s stream"),
    text("labels", "the task’s labels"),
];
const STATUS_CHANGE: &[Field] =
    &[words("old", "the old status", STATUSES), words("new", "the new status", STATUSES)];
const PRIORITY_CHANGE: &[Field] =
    &[words("old", "the old priority", PRIORITIES), words("new", "the new priority", PRIORITIES)];
const CHANGE: &[Field] = &[text("old", "the old value"), text("new", "the new value")];
const COMMENT: &[Field] = &[text("text", "the text"), text("mentions", "who is mentioned")];
const DELIVERED: &[Field] = &[text("deliverable", "the deliverable’s title")];
const DECIDED: &[Field] = &[
    text("deliverable", "the deliverable’s title"),
    words("verdict", "the verdict", VERDICTS),
    text("text", "the note"),
];
const AGENT: &[Field] = &[
    text("agent", "the agent"),
    text("reason", "what went wrong"),
    text("title", "what it worked on"),
    text("run", "the run"),
];

/// A kind of event.
#[derive(Debug)]
pub struct Kind {
    /// The word on the wire.
    pub word: &'static str,
    /// The words for people, after "when".
    pub label: &'static str,
    fields: &'static [&'static [Field]],
}

impl Kind {
    /// The fields that it has.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.fields.iter().flat_map(|part| part.iter())
    }
}

/// All kinds, in the order of forms.
pub const ALL: &[Kind] = &[
    Kind { word: "task.created", label: "a task is created", fields: &[TASK, COMMON] },
    Kind {
        word: "task.status",
        label: "a task’s status changes",
        fields: &[STATUS_CHANGE, TASK, COMMON],
    },
    Kind {
        word: "task.assignee",
        label: "a task is given to somebody",
        fields: &[CHANGE, TASK, COMMON],
    },
    Kind {
        word: "task.priority",
        label: "a task’s priority changes",
        fields: &[PRIORITY_CHANGE, TASK, COMMON],
    },
    Kind {
        word: "task.due", label: "a task’s due date changes", fields: &[CHANGE, TASK, COMMON]
    },
    Kind { word: "task.labels", label: "a task’s labels change", fields: &[TASK, COMMON] },
    Kind {
        word: "comment.added",
        label: "somebody comments on a task",
        fields: &[COMMENT, TASK, COMMON],
    },
    Kind {
        word: "mention.added",
        label: "somebody is mentioned",
        fields: &[COMMENT, TASK, COMMON],
    },
    Kind {
        word: "deliverable.submitted",
        label: "work is delivered",
        fields: &[DELIVERED, TASK, COMMON],
    },
    Kind {
        word: "deliverable.decided",
        label: "delivered work is decided on",
        fields: &[DECIDED, TASK, COMMON],
    },
    Kind { word: "agent.failed", label: "an agent’s run fails", fields: &[AGENT, COMMON] },
    Kind { word: "agent.stalled", label: "an agent is stalled", fields: &[AGENT, COMMON] },
];

/// The kind with this word.
#[must_use]
pub fn kind(word: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.word == word)
}

/// What a field is called; its name when nothing knows it any more.
#[must_use]
pub fn label(name: &str) -> &str {
    let mut all = ALL.iter().flat_map(Kind::fields);
    all.find(|field| field.name == name).map_or(name, |field| field.label)
}

/// The bit of a kind among those that are waited for.
#[must_use]
pub fn bit(word: &str) -> u64 {
    ALL.iter().position(|kind| kind.word == word).map_or(0, |at| 1 << at)
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A task.
    Task(TaskId),
    /// A comment on a task.
    Comment(CommentId, TaskId),
    /// Delivered work of a task.
    Deliverable(DeliverableId, TaskId),
    /// An agent, and the run in which it failed.
    Agent(AgentId, Option<RunId>),
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
    /// A field of the task.
    Field(TaskField),
    /// What went wrong, in a word.
    Reason(String),
    /// An inbox item that is over.
    Item(ItemId),
}

/// Something that happened, as routines see it.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The kind.
    pub kind: &'static Kind,
    /// What it is about.
    pub subject: Subject,
    /// What changed.
    pub change: Change,
}

/// What an event is to routines: nothing, one thing, or several.
#[must_use]
pub fn happenings(event: &Event) -> Vec<Happening> {
    let mut all = Vec::new();
    let mut add = |word: &str, subject: Subject, change: Change| {
        all.extend(kind(word).map(|kind| Happening { kind, subject, change }));
    };
    match event {
        Event::TaskCreated { task, .. } => add("task.created", Subject::Task(*task), Change::None),
        Event::TaskStatusChanged { task, from, to, .. } => {
            add("task.status", Subject::Task(*task), Change::Words(from.word(), to.word()));
        }
        Event::TaskAssigned { task, from, to, .. } if from != to => {
            add("task.assignee", Subject::Task(*task), Change::Whose(*from, *to));
        }
        Event::TaskChanged { task, fields } => {
            for (field, word) in [
                (TaskField::Priority, "task.priority"),
                (TaskField::Due, "task.due"),
                (TaskField::Labels, "task.labels"),
            ] {
                if fields.contains(&field) {
                    add(word, Subject::Task(*task), Change::Field(field));
                }
            }
        }
        Event::CommentAdded { comment, task, .. } => {
            add("comment.added", Subject::Comment(*comment, *task), Change::None);
            // Whether it mentions anybody says the comment.
            add("mention.added", Subject::Comment(*comment, *task), Change::None);
        }
        Event::DeliverableSubmitted { deliverable, task, .. } => {
            let subject = Subject::Deliverable(*deliverable, *task);
            add("deliverable.submitted", subject, Change::None);
        }
        Event::DeliverableReviewed { deliverable, task, verdict, .. } => {
            let subject = Subject::Deliverable(*deliverable, *task);
            add("deliverable.decided", subject, Change::Words("", verdict.word()));
        }
        Event::RunEnded { run, agent, outcome, .. } if is_failure(outcome) => {
            let subject = Subject::Agent(*agent, Some(*run));
            add("agent.failed", subject, Change::Reason(outcome.clone()));
        }
        Event::ItemEnded { item, agent, .. } => {
            // Whether it was given up says the item.
            add("agent.stalled", Subject::Agent(*agent, None), Change::Item(*item));
        }
        Event::AgentStatusChanged { agent, to, .. } if *to == AgentStatus::Error => {
            add("agent.stalled", Subject::Agent(*agent, None), Change::Reason(to.word().into()));
        }
        _ => {}
    }
    all
}

/// Whether a run ended in a way that nobody wanted.
fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "done" | "stopped" | "snoozed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Priority, TaskStatus, Verdict};

    #[test]
    fn the_words_of_fields_are_those_of_the_records() {
        let words = |all: &[&'static str]| all.to_vec();
        let statuses: Vec<_> = TaskStatus::ALL.iter().map(|one| one.word()).collect();
        let priorities: Vec<_> = Priority::ALL.iter().map(|one| one.word()).collect();
        let verdicts: Vec<_> = Verdict::ALL.iter().map(|one| one.word()).collect();
        assert_eq!(words(STATUSES), statuses);
        assert_eq!(words(PRIORITIES), priorities);
        assert_eq!(words(VERDICTS), verdicts);
    }

    #[test]
    fn each_kind_has_its_own_word_and_no_field_twice() {
        assert!(ALL.len() < 64, "one bit each");
        for kind in ALL {
            assert_eq!(ALL.iter().filter(|other| other.word == kind.word).count(), 1);
            let names: Vec<_> = kind.fields().map(|field| field.name).collect();
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{}", kind.word);
        }
    }
}
