//! The run card: the first message of a run that serves an item, with everything needed to start.

use jiff::tz::TimeZone;

use features::agents::model::Agent;
use features::comments::model::{BY_TASK, Comment};
use features::deliverables::model as deliverables;
use features::deliverables::model::{Deliverable, Review, Version};
use features::deliverables::queries::describe;
use features::inbox::model::{Item, Reason};
use features::routines::queries as routines;
use features::runs::model::Place;
use features::runs::queries::taint;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::model::label::Label;
use features::tasks::queries::{self as tasks, labels, relations};
use features::workspace::model::{Member, Settings};
use kernel::key::KeyBuf;
use kernel::text::{cut, head_tail};
use kernel::{Actor, ItemKind, Timestamp};
use store::{Range, Read, ReadExt, StoreError};

/// Most comments on a card.
const COMMENTS: usize = 10;
/// Most blocking tasks on a card.
const BLOCKERS: usize = 10;
/// Most bytes of a description or delivered text on a card.
const LONG: usize = 6_000;

/// The text of an item's card.
pub fn write(tx: &dyn Read, item: &Item) -> Result<String, StoreError> {
    let settings = tx.get::<Settings>(())?;
    let mut out = format!("# Run card\nKind: {}\n", item.kind);
    let task = match item.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    if let Some(task) = &task {
        let key = settings.as_ref().map_or("HQ", |s| s.task_key.as_str());
        let zone = settings.as_ref().map_or("UTC", |s| s.zone.as_str());
        let title = taint::marked(tx, &Place::Task(task.id), &task.title)?;
        out.push_str(&format!("Task: {key}-{}\nTitle: {title}\n", task.number));
        out.push_str(&format!("Status: {}\nPriority: {}\n", task.status, task.priority));
        if let Some(due) = task.due_at {
            let due = local(due, zone);
            let due = if task.due_has_time {
                due.as_str()
            } else {
                due.split(' ').next().unwrap_or(&due)
            };
            out.push_str(&format!("Due: {due}\n"));
        }
        place(tx, task, key, &mut out)?;
    }
    out.push_str("\n## Why you were woken\n");
    let firing = routines::firing_of(tx, item)?;
    let place = match item.task {
        Some(task) if !taint::is_written(tx, &Place::of(item.id))? => Place::Task(task),
        _ => Place::of(item.id),
    };
    for reason in &item.reasons {
        out.push_str(&why(tx, reason, firing.is_none(), &place)?);
    }
    if let Some(firing) = &firing {
        let text = taint::marked(tx, &Place::of(firing.routine), &firing.instruction)?;
        out.push_str(&format!("\n## Instruction\n{text}\n"));
    }
    if let Some(task) = &task {
        if !task.description.trim().is_empty() {
            let text = head_tail(task.description.trim(), LONG, "\n[…]\n");
            let text = taint::marked(tx, &Place::Task(task.id), &text)?;
            out.push_str(&format!("\n## Description\n{text}\n"));
        }
        delivered(tx, task, &mut out)?;
        comments(tx, task, &mut out)?;
    }
    out.push_str(&format!("\n## Asked for\n{}\n", request_for(item.kind, task.is_some())));
    Ok(out)
}

/// Adds the parent tasks, labels and blockers of a task, and its stream with the goal.
fn place(tx: &dyn Read, task: &Task, key: &str, out: &mut String) -> Result<(), StoreError> {
    let line = |task: &Task| {
        let title = taint::marked(tx, &Place::Task(task.id), &task.title)?;
        Ok::<_, StoreError>(format!("{key}-{} \"{title}\"", task.number))
    };
    let above = tasks::ancestors(tx, task)?;
    let above: Vec<String> = above.iter().map(line).collect::<Result<_, _>>()?;
    if !above.is_empty() {
        out.push_str(&format!("Part of: {}\n", above.join(" > ")));
    }
    let labels = labels::of(tx, task.id)?;
    let name = |label: &Label| taint::marked(tx, &Place::of(label.id), &label.name);
    let labels: Vec<String> = labels.iter().map(name).collect::<Result<_, _>>()?;
    if !labels.is_empty() {
        out.push_str(&format!("Labels: {}\n", labels.join(", ")));
    }
    let blockers: Vec<String> = relations::open_blockers(tx, task.id)?
        .iter()
        .take(BLOCKERS)
        .map(|task| Ok::<_, StoreError>(format!("{} ({})", line(task)?, task.status)))
        .collect::<Result<_, _>>()?;
    if !blockers.is_empty() {
        out.push_str(&format!("Waits for: {}\n", blockers.join(", ")));
    }
    let stream = match task.stream {
        Some(stream) => tx.get::<Stream>(stream)?,
        None => None,
    };
    if let Some(stream) = stream {
        let place = Place::of(stream.id);
        out.push_str(&format!("Stream: {}\n", taint::marked(tx, &place, &stream.name)?));
        if !stream.goal.is_empty() {
            let goal = taint::marked(tx, &place, &stream.goal)?;
            out.push_str(&format!("Its goal:\n{}\n", quote(&goal)));
        }
    }
    Ok(())
}

fn local(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

fn request_for(kind: ItemKind, on_task: bool) -> &'static str {
    match kind {
        ItemKind::TaskCommentMention if !on_task => {
            "Answer once with comment_add on what you were mentioned on (task: what is in \
             brackets); do what was asked if it asks for something."
        }
        ItemKind::TaskAssignment | ItemKind::TaskReassignment => {
            "Do the task. Submit what it asks for as a deliverable, or finish it if there is nothing to review."
        }
        ItemKind::TaskCommentMention | ItemKind::TaskComment => {
            "Answer once with a comment on the task; do what was asked if it asks for something."
        }
        ItemKind::DeliverableReview => {
            "Read the note. When changes were asked for, submit a new version of the same deliverable (revises), or say why not; when it was approved, do what is left of the task."
        }
        ItemKind::AgentMessage => "Answer or do what the message asks, if it makes sense.",
        ItemKind::DelegationResult => "Use the result and decide the next step.",
        ItemKind::BlockerResolved => {
            "This task is no longer blocked: continue it until it is done."
        }
        ItemKind::StartNow => {
            "A person wants you to start now. Do what can be done before its blockers are done, \
             and say what is left."
        }
        ItemKind::RoutineSchedule | ItemKind::RoutineEvent => {
            "Do what the instruction says. No one waits for an answer: end with work_done and a \
             short summary."
        }
        ItemKind::TaskOverdue => {
            "Finish the task now. If you can't, say why and by when in a comment, and mention \
             whoever decides."
        }
        ItemKind::TaskEscalation => {
            "The task stays with its assignee; you decide how it continues. Answer in a comment \
             that mentions them, change or reassign the task, or pass it on to your own manager \
             with task_escalate."
        }
    }
}

/// A reason of an item. `place` is where its text comes from; `with_text` is `false` if the card shows that text
/// elsewhere.
fn why(
    tx: &dyn Read,
    reason: &Reason,
    with_text: bool,
    place: &Place,
) -> Result<String, StoreError> {
    let from = match (reason.person, reason.agent) {
        (Some(person), _) => tx.get::<Member>(person)?.map(|m| m.name),
        (None, Some(agent)) => tx.get::<Agent>(agent)?.map(|a| a.name),
        (None, None) => None,
    };
    let mut line = format!("- {}", taint::marked(tx, place, &reason.summary)?);
    if let Some(from) = from {
        line.push_str(&format!(" (from {from})"));
    }
    if with_text && !reason.text.is_empty() {
        line.push_str(&format!("\n{}", quote(&taint::marked(tx, place, &reason.text)?)));
    }
    line.push('\n');
    Ok(line)
}

fn quote(text: &str) -> String {
    text.lines().map(|line| format!("  > {line}")).collect::<Vec<_>>().join("\n")
}

fn delivered(tx: &dyn Read, task: &Task, out: &mut String) -> Result<(), StoreError> {
    let range = Range::prefix(KeyBuf::of(&task.id)).limit(20);
    let all: Vec<Deliverable> = tx.scan(deliverables::BY_TASK, &range)?;
    if all.is_empty() {
        return Ok(());
    }
    out.push_str("\n## Delivered so far\n");
    for work in all {
        out.push_str(&format!(
            "- \"{}\" version {} is {} (id {})\n",
            taint::marked(tx, &Place::of(work.id), &work.title)?,
            work.versions,
            work.state,
            work.id
        ));
        let note =
            tx.get::<Review>(work.version)?.map(|review| describe(&review)).unwrap_or_default();
        if !note.is_empty() {
            out.push_str(&format!("  Note of the review:\n{}\n", quote(&note)));
        }
        let version: Option<Version> = tx.get(work.version)?;
        if let Some(text) = version.as_ref().and_then(|version| version.content.text()) {
            let text = head_tail(text, LONG, "\n[…]\n");
            let text = taint::marked(tx, &Place::of(work.id), &text)?;
            out.push_str(&format!("  Present text:\n{}\n", quote(&text)));
        }
    }
    Ok(())
}

fn comments(tx: &dyn Read, task: &Task, out: &mut String) -> Result<(), StoreError> {
    let range = Range::prefix(KeyBuf::of(&task.id)).reverse().limit(COMMENTS);
    let last: Vec<Comment> = tx.scan(BY_TASK, &range)?;
    if last.is_empty() {
        return Ok(());
    }
    out.push_str("\n## Last comments\n");
    for comment in last.into_iter().rev() {
        let name = match comment.author {
            Actor::Person { account, .. } => tx.get::<Member>(account)?.map(|m| m.name),
            Actor::Agent { agent, .. } => tx.get::<Agent>(agent)?.map(|a| a.name),
            _ => None,
        };
        let name = name.unwrap_or_else(|| "HQ".to_owned());
        let text = taint::marked(tx, &Place::Comment(comment.id), cut(&comment.body, 2_000))?;
        out.push_str(&format!("- {name}:\n{}\n", quote(&text)));
    }
    Ok(())
}
