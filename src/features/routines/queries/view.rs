//! Routines and firings for display and for the API.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agents::model::Agent;
use crate::inbox::model::Item;
use crate::routines::conditions::{Checked, Values};
use crate::routines::event_context::{self, Moment};
use crate::routines::model::{Action, Clock, Firing, Routine, TaskForm, Trigger};
use crate::routines::queries::plan;
use crate::routines::registry;
use crate::routines::rules::RoutineError;
use crate::routines::rules::fire::quiet_until;
use crate::routines::{queries, render};
use crate::runs::model::Run;
use crate::tasks::model::Task;
use crate::tasks::model::template::{Template, TemplateItem};
use crate::tasks::queries as tasks;
use crate::tasks::queries::people::People;
use crate::tasks::queries::templates;
use kernel::display;
use kernel::{Actor, Fate, FiringId, ItemState, Priority, Timestamp, TypedId as _};
use store::{Read, ReadExt, StoreError};
use web::format;

/// Number of upcoming instants to show.
pub const AHEAD: usize = 5;

/// Trigger as a sentence, such as "Weekdays at 9:00, Europe/Berlin" or "When a task’s status changes, if the new status
/// is done".
#[must_use]
pub fn sentence(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Schedule(schedule) => schedule.words(),
        Trigger::Event(watch) => {
            let kind = registry::kind(&watch.event);
            let label = kind.map_or(watch.event.as_str(), |kind| kind.label);
            match watch.conditions.is_empty() {
                true => format!("When {label}"),
                false => format!("When {label}, if {}", watch.conditions.words(kind)),
            }
        }
    }
}

/// Trigger and jitter as a sentence.
#[must_use]
pub fn when(routine: &Routine) -> String {
    with_delay(sentence(&routine.trigger), routine.jitter_secs)
}

/// Trigger and jitter as a sentence for a page, for a reader in this zone.
#[must_use]
pub fn describe(trigger: &Trigger, jitter_secs: u32, zone: &str) -> String {
    let sentence = match trigger {
        Trigger::Schedule(schedule) => schedule.describe(zone),
        Trigger::Event(_) => sentence(trigger),
    };
    with_delay(sentence, jitter_secs)
}

/// Appends the jitter, such as "Daily at 9:00, Europe/Berlin, within 10 min after".
fn with_delay(sentence: String, jitter_secs: u32) -> String {
    match jitter_secs {
        0 => sentence,
        secs => format!("{sentence}, within {} after", length(secs)),
    }
}

fn length(secs: u32) -> String {
    format::duration(std::time::Duration::from_secs(u64::from(secs)))
}

/// Action as the end of a sentence, such as "Ada follows the instruction".
#[must_use]
pub fn action_words(action: &Action, agent: &str) -> String {
    let gets = |form: &TaskForm, more: &str| match form.assigned {
        true => format!("{agent} gets the task “{}”{more}", form.title),
        false => format!("the task “{}” is created{more}", form.title),
    };
    match action {
        Action::Wake => format!("{agent} runs these instructions"),
        Action::CreateTask(form) => gets(form, ""),
        Action::CreateTasks(form) => gets(&form.above, ", with tasks from a template"),
    }
}

/// State of a routine: word and label.
#[must_use]
pub fn standing(routine: &Routine, all_paused: bool) -> (&'static str, &'static str) {
    match routine {
        Routine { done_at: Some(_), .. } => ("done", "Done"),
        Routine { asks: true, .. } => ("waiting", "Waiting for approval"),
        Routine { active: false, stopped: Some(_), .. } => ("error", "Stopped"),
        Routine { active: false, .. } if routine.is_once() => ("done", "Done"),
        Routine { active: false, .. } => ("paused", "Paused"),
        _ if all_paused => ("paused", "All paused"),
        _ => ("ready", "Active"),
    }
}

/// Next instants of a trigger, without jitter.
#[must_use]
pub fn next_instants(trigger: &Trigger, now: Timestamp) -> Vec<Timestamp> {
    match trigger {
        Trigger::Schedule(schedule) => schedule.upcoming(now, AHEAD),
        Trigger::Event(_) => Vec::new(),
    }
}

/// Next instants of an active routine. Starts with the past instant whose jitter has not elapsed, if there is one.
#[must_use]
pub fn coming(routine: &Routine, clock: &Clock, now: Timestamp) -> Vec<Timestamp> {
    let late = clock.next_at.filter(|at| *at <= now && now < clock.fires_at(*at));
    let next = next_instants(&routine.trigger, now);
    late.into_iter().chain(next).take(AHEAD).collect()
}

/// A task whose text is still being edited.
pub struct Written {
    /// Display name.
    pub task: String,
    pub title: String,
    /// Time of firing unless the text is edited again.
    pub due_at: Timestamp,
}

/// Tasks whose edits a routine waits for, earliest due first.
pub fn written(read: &dyn Read, clock: &Clock) -> Result<Vec<Written>, StoreError> {
    let mut all = Vec::new();
    for one in &clock.writing {
        // Deleted tasks do not fire.
        if let Some(task) = read.get::<Task>(one.task)? {
            let name = tasks::name(read, task.number)?;
            all.push(Written { task: name, title: task.title, due_at: one.due_at });
        }
    }
    all.sort_by_key(|one| one.due_at);
    Ok(all)
}

/// State of a firing: its fate, or the progress of its work. Word and label.
#[must_use]
pub fn state(firing: &Firing, item: Option<&Item>) -> (&'static str, &'static str) {
    match (firing.fate, item.map(|item| item.state)) {
        (Fate::Started, Some(state)) => {
            let word = match state {
                ItemState::Pending => "queued",
                ItemState::Leased => "running",
                other => other.shown().word(),
            };
            (word, state.label())
        }
        (Fate::Started, None) => ("done", "Done"),
        (Fate::SkippedOverlap, _) => ("skipped_overlap", "Skipped"),
        (Fate::Missed, _) => ("missed", "Missed"),
        (Fate::ChainEnded, _) => ("chain_ended", "Skipped"),
        (Fate::Refused, _) => ("failed", "Could not start"),
    }
}

/// Results of a firing.
pub struct Led {
    pub item: Option<Item>,
    /// The run that handles or handled the item.
    pub run: Option<Run>,
    /// Display name of the created task.
    pub made: Option<String>,
    /// Display names of the subtasks from a template.
    pub parts: Vec<String>,
    /// Display name of the task that triggered it.
    pub about: Option<String>,
}

/// Loads the results of a firing.
pub fn led(read: &dyn Read, routine: &Routine, firing: &Firing) -> Result<Led, StoreError> {
    let mut parts = Vec::new();
    if let (Some(made), Some(_)) = (firing.made, routine.action.tasks()) {
        for part in tasks::children(read, made)? {
            parts.push(tasks::name(read, part.number)?);
        }
    }
    let item = queries::item_of(read, firing)?;
    let run = match item.as_ref().and_then(|item| item.run) {
        Some(run) => read.get::<Run>(run)?,
        None => None,
    };
    let name = |task| match task {
        Some(task) => match tasks::get(read, task) {
            Ok(task) => tasks::name(read, task.number).map(Some),
            Err(_) => Ok(None),
        },
        None => Ok::<_, StoreError>(None),
    };
    Ok(Led { item, run, parts, made: name(firing.made)?, about: name(firing.about)? })
}

/// Feed entry in which a firing created its task.
pub fn entry_of(read: &dyn Read, firing: &Firing) -> Result<Option<u64>, StoreError> {
    if firing.made.is_none() {
        return Ok(None);
    }
    // The row is written once. It changes only when its result is deleted.
    Ok(read.get_rev::<Firing>(firing.id)?.map(|(_, rev)| rev))
}

/// What a routine would do with a record: nothing is begun, nothing is kept, nothing is spent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Trial {
    /// Whether it would fire.
    pub fires: bool,
    /// Each of its conditions, with what the record has.
    pub conditions: Vec<Checked>,
    /// What the agent would read, or the description of the task.
    pub instruction: String,
    /// The title of the task that would be made.
    pub title: Option<String>,
    /// The tasks of its template, with their values: they would be its parts.
    pub tasks: Vec<TriedTask>,
    /// What could not be done as it is meant.
    pub warnings: Vec<String>,
    /// The next instants of its schedule.
    pub next: Vec<String>,
    /// Within how long after them it fires.
    pub within: Option<String>,
    /// Until when it would wait now.
    pub held_until: Option<String>,
}

/// A task that would be made of a template.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TriedTask {
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Who would get it; nobody when there is none.
    pub assignee: Option<String>,
    /// In which step it could begin, from 1 on.
    pub step: usize,
    /// The titles of what it would wait for.
    pub after: Vec<String>,
}

/// The tasks that a routine would create from its template, with warnings.
fn tried(
    read: &dyn Read,
    routine: &Routine,
    values: &Values,
) -> Result<(Vec<TriedTask>, Vec<String>), RoutineError> {
    let Some(form) = routine.action.tasks() else { return Ok((Vec::new(), Vec::new())) };
    let Some(template) = read.get::<Template>(form.template)? else {
        return Ok((Vec::new(), vec!["its template no longer exists".to_owned()]));
    };
    let (who, warnings) = plan::who(read, routine, form, &template)?;
    let known = plan::values_of(routine, &template.items, values);
    let items = plan::filled(&template.items, &known, FiringId::from_bytes([0; 16]));
    let (people, steps) = (People::read(read)?, templates::steps(&items).unwrap_or_default());
    let title = |key: &String| items.iter().find(|item| item.key == *key).map(|item| &item.title);
    let one = |(n, item): (usize, &TemplateItem)| TriedTask {
        title: item.title.clone(),
        description: item.description.clone(),
        priority: item.priority,
        assignee: who.get(&item.role).copied().flatten().map(|who| people.name(who)),
        step: steps.get(n).copied().unwrap_or_default() + 1,
        after: item.blocked_by.iter().filter_map(title).cloned().collect(),
    };
    Ok((items.iter().enumerate().map(one).collect(), warnings))
}

/// Dry run of a routine. An event trigger needs a record.
pub fn trial(
    read: &dyn Read,
    routine: &Routine,
    record: &str,
    (by, now): (Actor, Timestamp),
) -> Result<Trial, RoutineError> {
    let mut values = Values::new();
    let (mut fires, mut conditions) = (true, Vec::new());
    if let Some(watch) = routine.watch() {
        let kind = registry::kind(&watch.event);
        let happening = match kind {
            Some(kind) => event_context::pretend(read, kind, record)?,
            None => None,
        };
        let moment = Moment { actor: by, at: now, entry: None };
        let found = match &happening {
            Some(happening) => event_context::of(read, happening, &moment)?,
            None => None,
        };
        let what = if record.is_empty() { "record" } else { record };
        values = found.ok_or_else(|| RoutineError::NoRecord(what.to_owned()))?.values;
        event_context::add_budget(read, &mut values, routine.agent, now)?;
        event_context::add_counts(read, &mut values, &watch.conditions, (routine.agent, now))?;
        fires = watch.conditions.hold(&values);
        conditions = watch.conditions.check(kind, &values);
    }
    let title = routine.action.task().map(|form| render::title(&form.title, &values));
    let (tasks, warnings) = tried(read, routine, &values)?;
    let next = next_instants(&routine.trigger, now);
    let held = routine.quiet.as_ref().and_then(|quiet| quiet_until(quiet, now));
    Ok(Trial {
        fires,
        conditions,
        instruction: render::instruction(routine.template(), &values, "trial"),
        title,
        tasks,
        warnings,
        next: next.into_iter().map(|at| at.to_string()).collect(),
        within: (routine.jitter_secs != 0).then(|| length(routine.jitter_secs)),
        held_until: held.map(|at| at.to_string()),
    })
}

pub fn agent_of(read: &dyn Read, routine: &Routine) -> Result<Option<Agent>, StoreError> {
    read.get::<Agent>(routine.agent)
}

/// Local date and time, such as "Mon 23 Nov 2026, 9:00".
#[must_use]
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let at = zone.to_datetime(at);
    let (day, time) = (display::day(at.date()), display::short_time(at.time()));
    format!("{} {day}, {time}", at.strftime("%a"))
}
