//! What became of a task, step by step: a walk back through the feed from its row.

use super::due::Deadline;
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
    Due(Option<Option<Deadline>>, Option<Deadline>),
    /// It was put away, or brought back.
    Archived(bool),
    /// Another field changed.
    Field(TaskField),
    /// A change was undone: what it is again. Empty where that is not kept, or is nothing of these.
    Undone(Vec<Back>),
}

/// What a task has again after an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// A title.
    Title(String),
    /// A status.
    Status(TaskStatus),
    /// A priority.
    Priority(Priority),
    /// Somebody who has it, or nobody.
    Assignee(Option<Assignee>),
    /// A due date, or none.
    Due(Option<Deadline>),
    /// It is put away, or not.
    Archived(bool),
    /// A description.
    Description,
}

/// The history of a task, oldest first.
///
/// # Errors
/// When the store fails.
pub fn history(read: &dyn Read, schema: &Schema, id: TaskId) -> Result<Vec<Fact>, StoreError> {
    let key = KeyBuf::of(&id).into_bytes();
    let Some((now, mut seq)) = read.get_rev::<Task>(id)? else { return Ok(Vec::new()) };
    // Where former versions are gone, what was done is still told, without what it was done to.
    let mut after = Some(now);
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
        let kinds = entry
            .events
            .iter()
            .rev()
            .flat_map(|event| kinds(event, id, before.as_ref(), after.as_ref()));
        facts.extend(kinds.map(|kind| Fact { at, actor: entry.actor, kind }));
        if change.before_rev == 0 {
            break;
        }
        (after, seq) = (before, change.before_rev);
    }
    facts.reverse();
    Ok(joined(facts))
}

/// What an event says of this task, last first.
fn kinds(event: &Event, id: TaskId, before: Option<&Task>, after: Option<&Task>) -> Vec<FactKind> {
    match event {
        Event::UndoApplied { .. } => {
            let both = before.zip(after);
            vec![FactKind::Undone(
                both.map(|(before, after)| back(before, after)).unwrap_or_default(),
            )]
        }
        Event::TaskCreated { task, .. } if *task == id => vec![FactKind::Created],
        // Opened again by the same one: the status says so.
        Event::TaskAssigned { task, from, to, .. } if *task == id && from != to => {
            vec![FactKind::Assigned(*from, *to)]
        }
        Event::TaskStatusChanged { task, from, to, .. } if *task == id => {
            vec![FactKind::Status(*from, *to)]
        }
        Event::TaskChanged { task, fields } if *task == id => {
            fields.iter().rev().map(|field| field_kind(*field, before, after)).collect()
        }
        _ => Vec::new(),
    }
}

/// What an undo has brought back.
fn back(before: &Task, after: &Task) -> Vec<Back> {
    let archived = |task: &Task| task.archived_at.is_some();
    let due = Deadline::of;
    let all = [
        (before.title != after.title).then(|| Back::Title(after.title.clone())),
        (before.status != after.status).then_some(Back::Status(after.status)),
        (before.priority != after.priority).then_some(Back::Priority(after.priority)),
        (before.assignee != after.assignee).then_some(Back::Assignee(after.assignee)),
        (due(before) != due(after)).then_some(Back::Due(due(after))),
        (archived(before) != archived(after)).then_some(Back::Archived(archived(after))),
        (before.description != after.description).then_some(Back::Description),
    ];
    all.into_iter().flatten().collect()
}

fn field_kind(field: TaskField, before: Option<&Task>, after: Option<&Task>) -> FactKind {
    let Some(after) = after else { return FactKind::Field(field) };
    match field {
        TaskField::Title => FactKind::Title(before.map(|task| task.title.clone())),
        TaskField::Priority => FactKind::Priority(before.map(|t| t.priority), after.priority),
        TaskField::Due => FactKind::Due(before.map(Deadline::of), Deadline::of(after)),
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

#[cfg(test)]
mod tests {
    use super::{Back, FactKind, back, field_kind, kinds};
    use crate::features::tasks::model::Task;
    use crate::kernel::{Event, Priority, TaskField};
    use crate::store::Record as _;

    #[test]
    fn an_undo_says_what_is_back_and_a_lost_version_nothing_wrong() {
        let before = Task::sample();
        let after = Task {
            title: "First".to_owned(),
            priority: match before.priority {
                Priority::Urgent => Priority::Low,
                _ => Priority::Urgent,
            },
            ..before.clone()
        };
        let all = vec![Back::Title("First".to_owned()), Back::Priority(after.priority)];
        assert_eq!(back(&before, &after), all);
        let undone = Event::UndoApplied {
            of: 14,
            run: None,
            items: Vec::new(),
            inputs: Vec::new(),
            stops: Vec::new(),
        };
        let told = |before| kinds(&undone, after.id, before, Some(&after));
        assert_eq!(told(Some(&before)), [FactKind::Undone(all)]);
        assert_eq!(told(None), [FactKind::Undone(Vec::new())]);
        let lost = field_kind(TaskField::Priority, None, None);
        assert_eq!(lost, FactKind::Field(TaskField::Priority));
    }
}
