//! Overdue and missed tasks, with buttons for rescheduling and reassigning.

use jiff::{SignedDuration, ToSpan as _};

use super::DashboardContext;
use super::away::Hidden;
use super::needs::{Act, Menu, Row, named};
use super::tally::{COUNTED, Found};
use crate::tasks::model::{BY_STATUS, Task};
use crate::tasks::queries::due::{self, Deadline};
use crate::tasks::queries::overdue::Passed;
use crate::tasks::queries::people::People;
use kernel::display;
use kernel::key::KeyBuf;
use kernel::{Assignee, Can, Priority, TaskId, TaskStatus, Timestamp};
use store::{Range, Read, ReadExt, StoreError};
use web::parts::Tone;

/// Days after the due date for which a missed task is reported.
const TOLD_DAYS: i64 = 7;

/// Open tasks that are past due.
pub(super) fn overdue(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let mut found = passed(tx, scene)?;
    found.sort_by_key(|task| task.due_at);
    let may = scene.who.access.may(Can::Write) && !found.is_empty();
    let people = may.then(|| People::read(tx)).transpose()?;
    let row = |task: Task| {
        let mut row = row_of(scene, &task, "Overdue");
        if let Some(people) = &people {
            row.acts.insert(0, somebody_else(scene, people, &task, &row.href));
            row.acts.insert(0, another_date(scene, &task, &row.href));
        }
        Ok(row)
    };
    Found::draw(hidden, found, |task| of(task, "overdue"), row)
}

/// Recently missed tasks, which stay missed unless somebody reopens them. Excludes tasks of a series, because the next
/// one follows.
pub(super) fn missed(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let since = scene.midnight() - SignedDuration::from_hours(24 * TOLD_DAYS);
    let mut found: Vec<Task> = Vec::new();
    for priority in Priority::ALL {
        let from = place(TaskStatus::Missed, *priority);
        let lately = Range::between(from.clone().with(&since), from.with(&scene.now));
        found.extend(tx.scan::<Task>(BY_STATUS, &lately.limit(COUNTED))?);
    }
    found.retain(|task| task.series.is_none());
    found.sort_by_key(|task| std::cmp::Reverse(task.due_at));
    let may = scene.who.access.may(Can::Write);
    let row = |task: Task| {
        let mut row = row_of(scene, &task, "Missed");
        if may {
            let lines = vec![day(scene, 1, "Tomorrow"), day(scene, 7, "In a week")];
            let id = format!("reopen-{}", task.number);
            let menu = Menu { id, name: "due", lines };
            row.acts.insert(0, Act::choose("Reopen", format!("{}/reopen", row.href), menu));
        }
        Ok(Row { is_told: true, ..row })
    };
    Found::draw(hidden, found, |task| of(task, "missed"), row)
}

/// Item id of a task. A new due date is a new state.
fn of(task: &Task, what: &str) -> (String, Option<TaskId>) {
    let due = task.due_at.map_or(0, Timestamp::as_millisecond);
    (format!("{what}-{}-{due}", task.number), Some(task.id))
}

fn row_of(scene: &DashboardContext<'_>, task: &Task, word: &'static str) -> Row {
    let agent = task.assignee.and_then(Assignee::agent).and_then(|agent| scene.agent(agent));
    let mine = task.assignee.and_then(Assignee::person) == Some(scene.who.account);
    let mut facts = named(scene, agent, Some(task));
    if mine {
        facts.insert(0, "yours".to_owned());
    }
    let due = Deadline::of(task).map_or_else(String::new, |due| {
        format!("was due {}", due.words(&scene.zone, display::day_of_year))
    });
    facts.extend((!due.is_empty()).then(|| due.clone()));
    let href = scene.ws.url(&format!("tasks/{}", scene.task_name(task.number)));
    Row {
        tone: Tone::Danger,
        icon: "missed",
        title: task.title.clone(),
        word,
        task: Some(task.id),
        also: due,
        face: agent.map(|agent| scene.called.face(agent)),
        facts,
        acts: vec![Act::go("Open", href.clone()).quiet()],
        href,
        ..Row::default()
    }
}

/// Index position of the tasks with a status and priority.
fn place(status: TaskStatus, priority: Priority) -> KeyBuf {
    let mut from = KeyBuf::new();
    from.u8(status as u8).u8(u8::MAX - priority as u8);
    from
}

fn passed(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Vec<Task>, StoreError> {
    let (midnight, passed) = (scene.midnight(), Passed::at(scene.now, &scene.zone));
    let mut found: Vec<Task> = Vec::new();
    for status in [TaskStatus::InProgress, TaskStatus::Todo, TaskStatus::Blocked] {
        for priority in Priority::ALL {
            let from = place(status, *priority);
            let today = from.clone().with(&midnight);
            let to = from.clone().with(&(scene.now + 1.milliseconds()));
            let before = Range::between(from, today.clone()).limit(COUNTED);
            found.extend(tx.scan::<Task>(BY_STATUS, &before)?);
            // Today: only tasks with a due time can be overdue.
            let since: Vec<Task> = tx.scan(BY_STATUS, &Range::between(today, to))?;
            found.extend(since.into_iter().filter(|task| passed.is_overdue(task)).take(COUNTED));
        }
    }
    Ok(found)
}

fn another_date(scene: &DashboardContext<'_>, task: &Task, href: &str) -> Act {
    let lines = [(0, "Today"), (1, "Tomorrow"), (7, "In a week")];
    let mut lines: Vec<_> = lines.map(|(days, label)| day(scene, days, label)).into();
    lines.push(("none".to_owned(), "No date".to_owned()));
    let id = format!("move-{}", task.number);
    Act::choose("Move to", format!("{href}/due"), Menu { id, name: "due", lines })
}

/// A day from today on, as a menu entry.
fn day(scene: &DashboardContext<'_>, days: i64, label: &str) -> (String, String) {
    let today = due::day(scene.now, &scene.zone);
    let day = today.checked_add(days.days()).unwrap_or(today);
    (day.to_string(), label.to_owned())
}

fn somebody_else(scene: &DashboardContext<'_>, people: &People, task: &Task, href: &str) -> Act {
    let others = people.choices(task.assignee, scene.who.account);
    let others = others.into_iter().filter(|one| !one.chosen);
    let lines = others.map(|one| match one.value.is_empty() {
        true => ("none".to_owned(), one.label),
        false => (one.value, one.label),
    });
    let id = format!("give-{}", task.number);
    let menu = Menu { id, name: "assignee", lines: lines.collect() };
    Act::choose("Give to", format!("{href}/assign"), menu)
}
