//! What became of a task, step by step: a walk back through the feed from its row.

use super::model::{TASKS, Task};
use crate::kernel::{Actor, Assignee, Event, Priority, TaskField, TaskId, TaskStatus, Timestamp};
use crate::store::{KeyBuf, Read, ReadExt, Schema, StoreError, feed, record};

/// How many steps are walked.
const MAX_STEPS: usize = 200;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub kind: FactKind,
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// It was made.
    Created,
    /// It was given to somebody else, or to nobody.
    Assigned(Option<Assignee>, Option<Assignee>),
    /// It moved from one status to another.
    Status(TaskStatus, TaskStatus),
    /// The title changed; the former one, where it is still kept.
    Title(Option<String>),
    /// The priority changed.
    Priority(Option<Priority>, Priority),
    /// The due date changed.
    Due(Option<Option<Timestamp>>, Option<Timestamp>),
    /// It was put away, or brought back.
    Archived(bool),
    /// Another field changed.
    Field(TaskField),
}

/// The history of a task, oldest first.
///
/// # Errors
/// When the store fails.
pub fn history(read: &dyn Read, schema: &Schema, id: TaskId) -> Result<Vec<Fact>, StoreError> {
    let key = KeyBuf::of(&id).into_bytes();
    let Some((mut after, mut seq)) = read.get_rev::<Task>(id)? else { return Ok(Vec::new()) };
    let mut facts = Vec::new();
    for _ in 0..MAX_STEPS {
        let Some(entry) = feed::newest(read, schema, Some(seq + 1), 1)?.pop() else { break };
        let changes = entry.changes.iter();
        let mine = changes.enumerate().find(|(_, c)| c.table == TASKS.number && c.key == key);
        let Some((n, change)) = mine.filter(|_| entry.seq == seq) else { break };
        let image = feed::before_image(read, seq, u16::try_from(n).unwrap_or(u16::MAX - 1))?;
        let before = match image {
            Some(bytes) => Some(record::read::<Task>(&bytes)?.0),
            None => None,
        };
        let at = crate::kernel::time::from_ms(entry.at);
        let kinds = entry.events.iter().rev().flat_map(|event| kinds(event, id, &before, &after));
        facts.extend(kinds.map(|kind| Fact { at, actor: entry.actor, kind }));
        let Some(older) = before.filter(|_| 0 < change.before_rev) else { break };
        (after, seq) = (older, change.before_rev);
    }
    facts.reverse();
    Ok(joined(facts))
}

/// What an event says of this task, last first.
fn kinds(event: &Event, id: TaskId, before: &Option<Task>, after: &Task) -> Vec<FactKind> {
    match event {
        Event::TaskCreated { task, .. } if *task == id => vec![FactKind::Created],
        // Opened again by the same one: the status says so.
        Event::TaskAssigned { task, from, to, .. } if *task == id && from != to => {
            vec![FactKind::Assigned(*from, *to)]
        }
        Event::TaskStatusChanged { task, from, to, .. } if *task == id => {
            vec![FactKind::Status(*from, *to)]
        }
        Event::TaskChanged { task, fields } if *task == id => {
            fields.iter().rev().map(|field| field_kind(*field, before.as_ref(), after)).collect()
        }
        _ => Vec::new(),
    }
}

fn field_kind(field: TaskField, before: Option<&Task>, after: &Task) -> FactKind {
    match field {
        TaskField::Title => FactKind::Title(before.map(|task| task.title.clone())),
        TaskField::Priority => FactKind::Priority(before.map(|t| t.priority), after.priority),
        TaskField::Due => FactKind::Due(before.map(|task| task.due_at), after.due_at),
        TaskField::Archived => FactKind::Archived(after.archived_at.is_some()),
        other => FactKind::Field(other),
    }
}

/// Edits of the same field by the same one within ten minutes are one line.
fn joined(facts: Vec<Fact>) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::with_capacity(facts.len());
    for fact in facts {
        let same = out.last_mut().filter(|last| {
            let near = fact.at.as_millisecond() - last.at.as_millisecond() <= 600_000;
            near && last.actor == fact.actor && is_text(&last.kind) && alike(&last.kind, &fact.kind)
        });
        match same {
            Some(last) => last.at = fact.at,
            None => out.push(fact),
        }
    }
    out
}

fn is_text(kind: &FactKind) -> bool {
    matches!(kind, FactKind::Title(_) | FactKind::Field(_))
}

fn alike(a: &FactKind, b: &FactKind) -> bool {
    match (a, b) {
        (FactKind::Title(_), FactKind::Title(_)) => true,
        (FactKind::Field(a), FactKind::Field(b)) => a == b,
        _ => false,
    }
}
