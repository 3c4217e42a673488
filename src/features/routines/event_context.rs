//! Values of an event for conditions and templates, read from the records. Returns nothing if a record has been
//! deleted, unless the event is its deletion.

mod counts;
mod record;

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::conditions::{Datum, Values, value_of};
use super::registry::{Change, Happening, Kind, Subject};
use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::comments::model::{BY_TASK as COMMENTS_BY_TASK, Comment};
use crate::deliverables::model::{BY_TASK as DELIVERABLES_BY_TASK, Deliverable, Review};
use crate::inbox::model::Item;
use crate::routines::model::Routine;
use crate::runs::model::{Run, Session};
use crate::runs::queries::children;
use crate::streams::model::Stream;
use crate::tasks::model::label::{Label, TaskLabel};
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries as tasks;
use crate::tasks::queries::people::{People, assignee_of};
use crate::usage::queries::budgets;
use crate::usage::queries::payers;
use entity::Type;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{
    AccountId, Actor, AgentId, Assignee, ItemId, Payer, RunId, TaskField, TaskId, Timestamp,
};
use store::record::read as read_row;
use store::{Change as RowChange, Entry, Range, Read, ReadExt, StoreError, feed};

pub use counts::{add_counts, query as view_query};

/// Maximum length of a subject line, in characters.
const MAX_SUBJECT: usize = 120;
/// Maximum number of labels of a task.
const MAX_LABELS: usize = 50;

#[derive(Clone, Debug, Default)]
pub struct EventContext {
    pub values: Values,
    /// One line.
    pub subject: String,
    pub task: Option<TaskId>,
    /// Text fields of a task that changed and may still be edited. Empty for every other change.
    pub written: Vec<String>,
}

/// Builder of an [`EventContext`].
struct Stage {
    zone: TimeZone,
    people: People,
    context: EventContext,
}

/// Actor and time of an event, and its feed entry.
#[derive(Clone, Copy)]
pub struct Moment<'e> {
    pub actor: Actor,
    pub at: Timestamp,
    /// Feed entry. `None` in a dry run.
    pub entry: Option<&'e Entry>,
}

impl<'e> Moment<'e> {
    #[must_use]
    pub fn of(entry: &'e Entry) -> Self {
        let at = kernel::time::from_ms(entry.at);
        Self { actor: entry.actor, at, entry: Some(entry) }
    }
}

/// Context of a happening. `None` if its kind does not apply or its record was deleted.
pub fn of(
    read: &dyn Read,
    happening: &Happening,
    moment: &Moment<'_>,
) -> Result<Option<EventContext>, StoreError> {
    let mut scene =
        Stage { zone: zone(read)?, people: People::read(read)?, context: EventContext::default() };
    let there = match &happening.subject {
        Subject::Task(id) => scene.task(read, *id, moment)?,
        Subject::Comment(id, task) => {
            let Some(comment) = read.get::<Comment>(*id)? else { return Ok(None) };
            let mentioned = comment.mentions.iter().map(|id| Assignee::Agent(*id));
            let people_too = comment.people.iter().map(|id| Assignee::Person(*id));
            let named: Vec<String> =
                mentioned.chain(people_too).map(|who| scene.people.handle(who)).collect();
            if happening.kind.word == "mention.added" && named.is_empty() {
                return Ok(None);
            }
            scene.set("text", Datum::text(comment.body));
            scene.set("mentions", list(named));
            scene.task(read, *task, moment)?
        }
        Subject::Deliverable(id, task) => {
            let Some(work) = read.get::<Deliverable>(*id)? else { return Ok(None) };
            if let Some(review) = read.get::<Review>(work.version)? {
                scene.put("text", review.note);
                scene.put("verdict", review.verdict.word());
            }
            scene.put("deliverable", work.title);
            scene.task(read, *task, moment)?
        }
        Subject::Agent(id, _) => scene.agent(read, *id, happening)?,
        Subject::Member(account) => scene.member(*account),
        Subject::Row(table, key) => scene.record(read, happening, (*table, key), moment)?,
        Subject::Workspace => true,
    };
    if !there || !scene.changed(read, happening, moment)? {
        return Ok(None);
    }
    scene.common(moment);
    Ok(Some(scene.context))
}

/// Time zone of the workspace, for dates.
fn zone(read: &dyn Read) -> Result<TimeZone, StoreError> {
    let settings = read.get::<crate::workspace::model::Settings>(())?;
    Ok(settings.map_or(TimeZone::UTC, |one| tasks::due::zone(&one.zone)))
}

/// Adds the values that depend on the routine's agent.
pub fn add_budget(
    read: &dyn Read,
    values: &mut Values,
    agent: AgentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let standings = budgets::standings(&read, &[Payer::Workspace, Payer::Agent(agent)], now)?;
    let left = budgets::left(&standings).micros.map(|micros| {
        // Whole cents are precise enough for a comparison, and exact.
        f64::from(u32::try_from(micros / 10_000).unwrap_or(u32::MAX)) / 100.0
    });
    values.insert(Cow::Borrowed("budget_left"), left.map_or(Datum::Nothing, Datum::Number));
    Ok(())
}

/// Context of a kind of event as if it had just happened to a record, for a dry run. The record is found by its display
/// name. For a task, the newest comment or deliverable is used.
pub fn pretend(
    read: &dyn Read,
    kind: &'static Kind,
    name: &str,
) -> Result<Option<Happening>, StoreError> {
    let happening = |subject| Some(Happening { kind, subject, change: Change::None });
    if let Some(rows) = kind.rows().filter(|_| !kind.word.starts_with("task.")) {
        let mut key = rows.find(read, name)?;
        if key.is_none()
            && let Ok(task) = tasks::resolve(read, name)
        {
            key = rows.find(read, &task.id.to_string())?;
        }
        return Ok(key.and_then(|key| happening(Subject::Row(rows.table, key))));
    }
    match kind.word.split('.').next().unwrap_or_default() {
        "agent" | "run" | "subagent" | "item" | "input" | "session" | "job" => {
            let agent = agents::by_name(&read, name)?;
            return Ok(agent.and_then(|agent| happening(Subject::Agent(agent.id, None))));
        }
        "member" | "invite" => {
            let people = People::read(read)?;
            let member = people.member_called(name.trim().trim_start_matches('@'));
            return Ok(member.and_then(|member| happening(Subject::Member(member.account))));
        }
        "task" | "comment" | "mention" | "deliverable" | "file" => {}
        _ => return Ok(happening(Subject::Workspace)),
    }
    let Ok(task) = tasks::resolve(read, name) else { return Ok(None) };
    let newest = || Range::prefix(KeyBuf::of(&task.id)).reverse().limit(1);
    Ok(match kind.word.split('.').next() {
        Some("comment" | "mention") => {
            let last: Vec<Comment> = read.scan(COMMENTS_BY_TASK, &newest())?;
            last.first().and_then(|one| happening(Subject::Comment(one.id, task.id)))
        }
        Some("deliverable") => {
            let last: Vec<Deliverable> = read.scan(DELIVERABLES_BY_TASK, &newest())?;
            last.first().and_then(|one| happening(Subject::Deliverable(one.id, task.id)))
        }
        _ => happening(Subject::Task(task.id)),
    })
}

/// Joins words to one value. The value also equals each of the words.
fn list(words: Vec<String>) -> Datum {
    match words.is_empty() {
        true => Datum::Nothing,
        false => {
            let all = words.join(", ");
            Datum::Words(std::iter::once(all).chain(words).collect())
        }
    }
}

/// A person or agent by name, handle and kind.
fn somebody(people: &People, who: Option<Assignee>) -> Datum {
    let Some(who) = who else { return Datum::Nothing };
    Datum::Words(vec![people.name(who), people.handle(who), kind_of(who).to_owned()])
}

fn kind_of(who: Assignee) -> &'static str {
    match who {
        Assignee::Person(_) => "person",
        Assignee::Agent(_) => "agent",
        Assignee::System => "system",
    }
}

impl Stage {
    fn put(&mut self, name: &'static str, value: impl Into<String>) {
        self.set(name, Datum::text(value));
    }

    fn set(&mut self, name: &'static str, value: Datum) {
        self.context.values.insert(Cow::Borrowed(name), value);
    }

    fn moment(&self, at: Option<Timestamp>) -> Datum {
        at.map_or(Datum::Nothing, |at| Datum::Moment(at, tasks::due::day(at, &self.zone)))
    }

    fn task(
        &mut self,
        read: &dyn Read,
        id: TaskId,
        moment: &Moment<'_>,
    ) -> Result<bool, StoreError> {
        let Some(task) = read.get::<Task>(id)? else { return Ok(false) };
        let name = tasks::name(read, task.number)?;
        self.context.subject = ellipsis(&format!("{name} {}", task.title), MAX_SUBJECT);
        self.context.task = Some(id);
        let days = task.due_at.map_or(Datum::Nothing, |due| {
            let days = due.duration_since(moment.at).as_secs().div_euclid(86_400);
            Datum::Number(f64::from(i32::try_from(days).unwrap_or(i32::MAX)))
        });
        self.set("due_in_days", days);
        self.set("due", self.moment(task.due_at));
        self.set("start", self.moment(task.start_at));
        self.set("assignee", somebody(&self.people, task.assignee));
        self.set("creator", somebody(&self.people, Some(assignee_of(task.created_by))));
        if let Some(parent) = task.parent
            && let Some(parent) = read.get::<Task>(parent)?
        {
            let name = tasks::name(read, parent.number)?;
            self.set("parent", Datum::Words(vec![name, parent.title]));
        }
        if let Some(stream) = task.stream
            && let Some(stream) = read.get::<Stream>(stream)?
        {
            self.put("stream", stream.name);
        }
        let range = Range::prefix(KeyBuf::of(&id)).limit(MAX_LABELS);
        let mut labels = Vec::new();
        for mark in read.list::<TaskLabel>(&range)? {
            labels.extend(read.get::<Label>(mark.label)?.map(|label| label.name));
        }
        self.set("labels", list(labels));
        self.put("url", format!("tasks/{name}"));
        self.put("task", name);
        self.put("title", task.title);
        self.put("description", task.description);
        self.put("status", task.status.word());
        self.put("priority", task.priority.word());
        self.put("model", task.model.unwrap_or_default());
        self.put("thinking", task.thinking.map(|level| level.word()).unwrap_or_default());
        Ok(true)
    }

    fn agent(
        &mut self,
        read: &dyn Read,
        id: AgentId,
        happening: &Happening,
    ) -> Result<bool, StoreError> {
        let Some(agent) = read.get::<Agent>(id)? else { return Ok(false) };
        let run = match happening.subject {
            Subject::Agent(_, Some(run)) => read.get::<Run>(run)?,
            _ => None,
        };
        // Private conversations must not leak into routines.
        let visible_run = match &run {
            Some(run) if !is_private(read, run)? => Some(run),
            _ => None,
        };
        let reason = match &happening.change {
            Change::ItemFailed(item) => {
                let item = read.get::<Item>(*item)?;
                let Some(item) = item.filter(Item::has_failed) else {
                    return Ok(false);
                };
                item.last_error.unwrap_or_default()
            }
            Change::Reason(word) => match visible_run.filter(|run| !run.summary.is_empty()) {
                Some(run) => run.summary.clone(),
                None => agent.status_reason.clone().unwrap_or_else(|| word.clone()),
            },
            _ => match (visible_run, &run) {
                (Some(run), _) => run.summary.clone(),
                (None, Some(_)) => String::new(),
                (None, None) => agent.status_reason.clone().unwrap_or_default(),
            },
        };
        self.context.subject = ellipsis(&agent.name, MAX_SUBJECT);
        self.put("url", format!("agents/{}", agent.slug));
        if let Some(run) = run {
            self.run(read, run)?;
            let subject =
                format!("{} in {}", agent.name, value_of(&self.context.values, "run").shown());
            self.context.subject = ellipsis(&subject, MAX_SUBJECT);
        }
        self.put("reason", reason);
        self.set("agent", Datum::Words(vec![agent.name, agent.slug]));
        Ok(true)
    }

    /// Adds the run that the event is about.
    fn run(&mut self, read: &dyn Read, run: Run) -> Result<(), StoreError> {
        self.put("url", format!("runs/{}", run.name()));
        self.put("run", run.name());
        if let Some(task) = run.task
            && let Some(task) = read.get::<Task>(task)?
        {
            self.put("task", tasks::name(read, task.number)?);
        }
        if !is_private(read, &run)? {
            self.put("title", run.title);
        }
        Ok(())
    }

    fn member(&mut self, account: AccountId) -> bool {
        let who = Assignee::Person(account);
        self.context.subject = ellipsis(&self.people.name(who), MAX_SUBJECT);
        self.set("title", somebody(&self.people, Some(who)));
        self.put("url", "settings/members");
        true
    }

    /// Adds what changed. Returns whether the change matches the kind.
    fn changed(
        &mut self,
        read: &dyn Read,
        happening: &Happening,
        moment: &Moment<'_>,
    ) -> Result<bool, StoreError> {
        match &happening.change {
            Change::Words(_, to) if happening.kind.word.starts_with("deliverable.") => {
                self.put("verdict", *to);
            }
            Change::Words(from, to) => {
                self.put("old", *from);
                self.put("new", *to);
            }
            Change::Whose(from, to) => {
                self.set("old", somebody(&self.people, *from));
                self.set("new", somebody(&self.people, *to));
            }
            Change::Field(TaskField::Archived) => {
                let task = task_after(read, moment, &happening.subject)?;
                let archived = task.is_some_and(|task| task.archived_at.is_some());
                return Ok(archived == (happening.kind.word == "task.archived"));
            }
            Change::Field(field) => {
                let before = match moment.entry {
                    Some(entry) => task_before(read, entry, &happening.subject)?,
                    None => None,
                };
                let old = before.map_or(Datum::Nothing, |task| self.field_of(&task, *field));
                let new = task_after(read, moment, &happening.subject)?;
                let new = new.map(|task| self.field_of(&task, *field));
                self.set("old", old);
                self.set("new", new.unwrap_or_default());
            }
            // Dry run: the current value is the new value.
            Change::None => {
                let field = match happening.kind.word {
                    "task.status" => "status",
                    "task.assignee" => "assignee",
                    "task.priority" => "priority",
                    "task.due" => "due",
                    _ => return Ok(true),
                };
                let value = value_of(&self.context.values, field).clone();
                self.set("new", value);
            }
            Change::Item(item) => self.item(read, *item)?,
            Change::Facts(facts) => self.facts(read, happening.kind, facts)?,
            Change::Budget(payer, period) => {
                let whose = payers::whose(read, *payer)?;
                self.context.subject = ellipsis(&format!("Budget of {whose}"), MAX_SUBJECT);
                self.put("title", whose);
                self.put("period", period.word());
                self.put("url", "settings/usage");
            }
            Change::Reason(_) | Change::ItemFailed(_) | Change::Row(_) | Change::Written(..) => {}
        }
        Ok(true)
    }

    fn item(&mut self, read: &dyn Read, id: ItemId) -> Result<(), StoreError> {
        let Some(item) = read.get::<Item>(id)? else { return Ok(()) };
        self.put("kind", item.kind.word());
        self.put("state", item.state.word());
        self.put("priority", item.priority.word());
        self.put("reason", item.last_error.unwrap_or_default());
        if let Some(task) = item.task
            && let Some(task) = read.get::<Task>(task)?
        {
            self.put("task", tasks::name(read, task.number)?);
        }
        Ok(())
    }

    /// Adds the event's own fields, with names instead of ids.
    fn facts(
        &mut self,
        read: &dyn Read,
        kind: &Kind,
        facts: &[(&'static str, String)],
    ) -> Result<(), StoreError> {
        for (name, text) in facts {
            let name: &'static str = name;
            let number = kind.field(name).is_some_and(|field| field.of == Type::Number);
            let datum = match name {
                _ if number => text.parse().map_or(Datum::Nothing, Datum::Number),
                "agent" | "to" => {
                    let agent = text.parse().map(Assignee::Agent).ok();
                    let agent = agent.filter(|who| {
                        who.agent().is_some_and(|id| self.people.agent(id).is_some())
                    });
                    let person = text.parse().map(Assignee::Person).ok();
                    somebody(&self.people, agent.or(person))
                }
                "blocker" => match text.parse::<TaskId>().ok() {
                    Some(id) => match read.get::<Task>(id)? {
                        Some(task) => {
                            Datum::Words(vec![tasks::name(read, task.number)?, task.title])
                        }
                        None => Datum::Nothing,
                    },
                    None => Datum::Nothing,
                },
                "run" => {
                    let run = match text.parse::<RunId>().ok() {
                        Some(id) => read.get::<Run>(id)?,
                        None => None,
                    };
                    if let Some(run) = run {
                        let who = somebody(&self.people, Some(Assignee::Agent(run.agent)));
                        self.set("agent", who);
                        self.run(read, run)?;
                    }
                    continue;
                }
                "title" => match text.parse().ok() {
                    Some(id) => {
                        let routine = read.get::<Routine>(id)?;
                        Datum::text(routine.map_or_else(String::new, |routine| routine.name))
                    }
                    None => Datum::text(text),
                },
                _ => Datum::text(text),
            };
            if self.context.subject.is_empty() {
                self.context.subject = ellipsis(&datum.shown(), MAX_SUBJECT);
            }
            self.set(name, datum);
        }
        Ok(())
    }

    fn common(&mut self, moment: &Moment<'_>) {
        let who = assignee_of(moment.actor);
        self.set("actor", somebody(&self.people, Some(who)));
        self.put("actor_kind", kind_of(who));
        let wall = moment.at.to_zoned(self.zone.clone());
        self.put("weekday", wall.strftime("%A").to_string().to_lowercase());
        self.put("time", wall.strftime("%H:%M").to_string());
    }

    fn field_of(&self, task: &Task, field: TaskField) -> Datum {
        match field {
            TaskField::Priority => Datum::text(task.priority.word()),
            TaskField::Due => self.moment(task.due_at),
            _ => Datum::Nothing,
        }
    }
}

/// Returns `true` if the run, or a run that it is a sub-agent of, belongs to a private conversation.
fn is_private(read: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    for id in [run.id].into_iter().chain(children::above(&read, run.id)?) {
        let Some(run) = read.get::<Run>(id)? else { continue };
        let session = read.get::<Session>(run.session)?;
        if session.is_some_and(|session| session.owner.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The task after a feed entry.
fn task_after(
    read: &dyn Read,
    moment: &Moment<'_>,
    subject: &Subject,
) -> Result<Option<Task>, StoreError> {
    let (Subject::Task(id), Some(entry)) = (subject, moment.entry) else { return Ok(None) };
    let key = KeyBuf::of(id);
    match record::as_of(read, (TASKS.number, key.bytes()), entry.seq)? {
        Some(row) => Ok(Some(read_row::<Task>(&row)?.0)),
        None => Ok(None),
    }
}

/// The task before a feed entry, if that version still exists.
fn task_before(
    read: &dyn Read,
    entry: &Entry,
    subject: &Subject,
) -> Result<Option<Task>, StoreError> {
    let Subject::Task(id) = subject else { return Ok(None) };
    let key = KeyBuf::of(id);
    let own = |change: &RowChange| change.table == TASKS.number && change.key == key.bytes();
    let Some(n) = entry.changes.iter().position(own) else { return Ok(None) };
    let image = feed::before_image(read, entry.seq, u16::try_from(n).unwrap_or(u16::MAX))?;
    Ok(match image {
        Some(row) => Some(read_row::<Task>(&row)?.0),
        None => None,
    })
}
