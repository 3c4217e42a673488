//! History of a task, read backwards from its row through the feed.

use super::due::Deadline;
use super::labels::{self, Moved};
use super::model::{TASKS, Task};
use kernel::key::KeyBuf;
use kernel::{Actor, Assignee, Event, Priority, TaskField, TaskId, TaskStatus, Timestamp};
use store::{Read, ReadExt, StoreError, feed, record};

/// Approximate number of facts per batch. Autosaves of the description are not facts.
const MAX_FACTS: usize = 200;
/// Maximum number of row versions per batch.
const MAX_VERSIONS: usize = 1_000;

/// History of a task.
#[derive(Debug, Default)]
pub struct History {
    /// Oldest first.
    pub facts: Vec<Fact>,
    /// `true` if there are earlier facts.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub at: Timestamp,
    pub actor: Actor,
    pub kind: FactKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactKind {
    Created,
    /// Former and new assignee.
    Assigned(Option<Assignee>, Option<Assignee>),
    /// Former and new status.
    Status(TaskStatus, TaskStatus),
    /// Former title, if that version still exists.
    Title(Option<String>),
    /// Former priority, if that version still exists, and new priority.
    Priority(Option<Priority>, Priority),
    /// Former due date, if that version still exists, and new due date.
    Due(Option<Option<Deadline>>, Option<Deadline>),
    /// `true` for archived, `false` for restored.
    Archived(bool),
    Labels(Moved),
    /// Another field changed.
    Field(TaskField),
    /// A change was undone. Lists the restored values. Empty if that version is gone or no listed field changed.
    Undone(Vec<Back>),
}

/// A value that an undo restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    Title(String),
    Status(TaskStatus),
    Priority(Priority),
    Assignee(Option<Assignee>),
    Due(Option<Deadline>),
    Archived(bool),
    Description,
    Labels(Moved),
}

/// History of a task, limited to the newest `looks` batches.
pub fn history(read: &dyn Read, id: TaskId, looks: usize) -> Result<History, StoreError> {
    let key = KeyBuf::of(&id).into_bytes();
    let (mut facts, mut more) = (Vec::new(), false);
    let Some((now, mut seq)) = read.get_rev::<Task>(id)? else { return Ok(History::default()) };
    // `after` is the row after the current change; `unread` is its position while it is not loaded. If former versions
    // are gone, changes are still listed, without the former values.
    let (mut after, mut unread) = (Some(now), None);
    let (mut versions, mut facts_found) = (0, 0);
    while let Some(entry) = feed::entry(read, seq)? {
        if MAX_VERSIONS * looks <= versions || MAX_FACTS * looks <= facts_found {
            more = true;
            break;
        }
        let mut changes = entry.changes.iter().enumerate();
        let mine = changes.find(|(_, c)| c.table == TASKS.number && c.key == key);
        let Some((n, change)) = mine else { break };
        let place = (seq, u16::try_from(n).unwrap_or(u16::MAX - 1));
        // Autosaves leave hundreds of versions. They are skipped without being read.
        let writing = entry.events.iter().all(|event| is_writing(event, id));
        let mut before = None;
        if !writing {
            if let Some(place) = unread.take() {
                after = image(read, place)?;
            }
            before = image(read, place)?;
        }
        let moved = labels::moved(read, &entry, id)?;
        let at = kernel::time::from_ms(entry.at);
        for event in entry.events.iter().rev() {
            for kind in kinds(event, id, (before.as_ref(), after.as_ref()), &moved) {
                facts_found +=
                    usize::from(!matches!(kind, FactKind::Title(_) | FactKind::Field(_)));
                facts.push(Fact { at, actor: entry.actor, kind });
            }
        }
        if change.before_rev == 0 {
            break;
        }
        (after, unread) = if writing { (None, Some(place)) } else { (before, None) };
        seq = change.before_rev;
        versions += 1;
    }
    facts.reverse();
    Ok(History { facts: joined(facts), more })
}

/// The row before a change, if that version still exists.
fn image(read: &dyn Read, (seq, n): (u64, u16)) -> Result<Option<Task>, StoreError> {
    match feed::before_image(read, seq, n)? {
        Some(bytes) => Ok(Some(record::read::<Task>(&bytes)?.0)),
        None => Ok(None),
    }
}

/// Returns `true` if the event only records a saved description of this task.
fn is_writing(event: &Event, id: TaskId) -> bool {
    match event {
        Event::TaskChanged { task, fields } => {
            *task == id && fields.iter().all(|field| *field == TaskField::Description)
        }
        _ => false,
    }
}

/// Facts that an event implies for this task, last first.
fn kinds(
    event: &Event,
    id: TaskId,
    (before, after): (Option<&Task>, Option<&Task>),
    moved: &Moved,
) -> Vec<FactKind> {
    match event {
        Event::UndoApplied { .. } => {
            let both = before.zip(after);
            let mut all = both.map(|(before, after)| back(before, after)).unwrap_or_default();
            all.extend((!moved.is_empty()).then(|| Back::Labels(moved.clone())));
            vec![FactKind::Undone(all)]
        }
        Event::TaskCreated { task, .. } if *task == id => vec![FactKind::Created],
        // Reopening assigns to the same assignee; the status fact covers it.
        Event::TaskAssigned { task, from, to, .. } if *task == id && from != to => {
            vec![FactKind::Assigned(*from, *to)]
        }
        Event::TaskStatusChanged { task, from, to, .. } if *task == id => {
            vec![FactKind::Status(*from, *to)]
        }
        Event::TaskChanged { task, fields } if *task == id => {
            let kind = |field: &TaskField| match field {
                TaskField::Labels if !moved.is_empty() => FactKind::Labels(moved.clone()),
                field => field_kind(*field, before, after),
            };
            fields.iter().rev().map(kind).collect()
        }
        _ => Vec::new(),
    }
}

/// Values that an undo restored.
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

/// Merges edits of the same field by the same actor within ten minutes.
fn joined(facts: Vec<Fact>) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::with_capacity(facts.len());
    for fact in facts {
        let same = out.last_mut().filter(|last| {
            let near = fact.at.as_millisecond() - last.at.as_millisecond() <= 600_000;
            near && last.actor == fact.actor && alike(&last.kind, &fact.kind)
        });
        match same {
            Some(last) => {
                last.at = fact.at;
                if let (FactKind::Labels(moved), FactKind::Labels(later)) =
                    (&mut last.kind, fact.kind)
                {
                    moved.then(later);
                }
            }
            None => out.push(fact),
        }
    }
    out.retain(|fact| !matches!(&fact.kind, FactKind::Labels(moved) if moved.is_empty()));
    out
}

fn alike(a: &FactKind, b: &FactKind) -> bool {
    match (a, b) {
        (FactKind::Title(_), FactKind::Title(_)) | (FactKind::Labels(_), FactKind::Labels(_)) => {
            true
        }
        (FactKind::Field(a), FactKind::Field(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Back, FactKind, Moved, back, field_kind, kinds};
    use crate::tasks::model::Task;
    use kernel::{Event, Priority, TaskField};
    use store::Record as _;

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
        let none = Moved::default();
        let facts = |before, moved| kinds(&undone, after.id, (before, Some(&after)), moved);
        assert_eq!(facts(Some(&before), &none), [FactKind::Undone(all)]);
        assert_eq!(facts(None, &none), [FactKind::Undone(Vec::new())]);
        let moved = Moved { added: vec!["bug".to_owned()], removed: Vec::new() };
        assert_eq!(facts(None, &moved), [FactKind::Undone(vec![Back::Labels(moved.clone())])]);
        let lost = field_kind(TaskField::Priority, None, None);
        assert_eq!(lost, FactKind::Field(TaskField::Priority));
    }
}
