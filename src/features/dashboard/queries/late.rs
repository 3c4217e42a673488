//! Tasks whose due date has passed, with what can be done about it on the spot: another date, somebody else.

use jiff::ToSpan as _;

use super::Scene;
use super::needs::{Act, Menu, Row, named};
use super::tally::{COUNTED, Found};
use crate::tasks::model::{BY_STATUS, Task};
use crate::tasks::queries::due::{self, Deadline};
use crate::tasks::queries::overdue::Passed;
use crate::tasks::queries::people::People;
use kernel::key::KeyBuf;
use kernel::{Assignee, Can, Priority, TaskStatus};
use store::{Range, ReadExt, StoreError};
use web::parts::Tone;

/// Open tasks whose due date has passed.
pub(super) fn overdue(tx: &impl ReadExt, scene: &Scene<'_>) -> Result<Found, StoreError> {
    let mut found = passed(tx, scene)?;
    found.sort_by_key(|task| task.due_at);
    let may = scene.who.access.may(Can::Write) && !found.is_empty();
    let people = may.then(|| People::read(tx)).transpose()?;
    let row = |task: Task| {
        let agent = task.assignee.and_then(Assignee::agent).and_then(|agent| scene.agent(agent));
        let mine = task.assignee.and_then(Assignee::person) == Some(scene.who.account);
        let mut facts = named(scene, agent, Some(&task));
        if mine {
            facts.insert(0, "yours".to_owned());
        }
        let due = Deadline::of(&task).map_or_else(String::new, |due| {
            format!("was due {}", due.words(&scene.zone, "%-d %b"))
        });
        facts.extend((!due.is_empty()).then(|| due.clone()));
        let href = scene.ws.url(&format!("tasks/{}", scene.task_name(task.number)));
        let mut acts = Vec::new();
        if let Some(people) = &people {
            acts.push(another_date(scene, &task, &href));
            acts.push(somebody_else(scene, people, &task, &href));
        }
        acts.push(Act::go("Open", href.clone()).quiet());
        Ok(Row {
            tone: Tone::Danger,
            icon: "missed",
            title: task.title.clone(),
            word: "Overdue",
            task: Some(task.id),
            also: due,
            face: agent.map(|agent| scene.called.face(agent)),
            facts,
            acts,
            href,
        })
    };
    Found::draw(found, |task| Some(task.id), row)
}

fn passed(tx: &impl ReadExt, scene: &Scene<'_>) -> Result<Vec<Task>, StoreError> {
    let (midnight, passed) = (scene.midnight(), Passed::at(scene.now, &scene.zone));
    let mut found: Vec<Task> = Vec::new();
    for status in [TaskStatus::InProgress, TaskStatus::Todo, TaskStatus::Blocked] {
        for priority in Priority::ALL {
            let mut from = KeyBuf::new();
            from.u8(status as u8).u8(u8::MAX - *priority as u8);
            let today = from.clone().with(&midnight);
            let to = from.clone().with(&(scene.now + 1.milliseconds()));
            let before = Range::between(from, today.clone()).limit(COUNTED);
            found.extend(tx.scan::<Task>(BY_STATUS, &before)?);
            // Of today what is due at a time of day has passed, and no day.
            let since: Vec<Task> = tx.scan(BY_STATUS, &Range::between(today, to))?;
            found.extend(since.into_iter().filter(|task| passed.is_overdue(task)).take(COUNTED));
        }
    }
    Ok(found)
}

fn another_date(scene: &Scene<'_>, task: &Task, href: &str) -> Act {
    let today = due::day(scene.now, &scene.zone);
    let day = |days: i64, label: &str| {
        let day = today.checked_add(days.days()).unwrap_or(today);
        (day.to_string(), label.to_owned())
    };
    let mut lines = vec![day(0, "Today"), day(1, "Tomorrow"), day(7, "In a week")];
    lines.push(("none".to_owned(), "No date".to_owned()));
    let id = format!("move-{}", task.number);
    Act::choose("Move to", format!("{href}/due"), Menu { id, name: "due", lines })
}

fn somebody_else(scene: &Scene<'_>, people: &People, task: &Task, href: &str) -> Act {
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
