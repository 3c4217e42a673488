//! What is known when something happens: the fields that conditions and templates name, read from the
//! records. A record that is gone since makes no scene.

use jiff::tz::TimeZone;

use super::conditions::{Datum, Values, value_of};
use super::registry::{Change, Happening, Kind, Subject};
use crate::features::agents::model::Agent;
use crate::features::agents::queries as agents;
use crate::features::comments::model::{BY_TASK as COMMENTS_BY_TASK, Comment};
use crate::features::deliverables::model::{BY_TASK as DELIVERABLES_BY_TASK, Deliverable, Review};
use crate::features::inbox::model::Item;
use crate::features::runs::model::Run;
use crate::features::streams::model::Stream;
use crate::features::tasks::model::label::{Label, TaskLabel};
use crate::features::tasks::model::{TASKS, Task};
use crate::features::tasks::queries as tasks;
use crate::features::tasks::queries::people::{People, assignee_of};
use crate::features::usage::queries::budgets;
use crate::kernel::text::ellipsis;
use crate::kernel::{Actor, AgentId, Assignee, ItemState, Payer, TaskField, TaskId, Timestamp};
use crate::store::{
    Change as RowChange, Entry, KeyBuf, Range, Read, ReadExt, StoreError, feed, record,
};

/// The longest line that says what it was about, in characters.
const MAX_SUBJECT: usize = 120;
/// How many labels of a task are known.
const MAX_LABELS: usize = 50;

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// By field.
    pub values: Values,
    /// What it is about, in one line.
    pub subject: String,
    /// The task that it is about.
    pub task: Option<TaskId>,
}

/// Who did it, when, and where what was before lies.
#[derive(Clone, Copy)]
pub struct Moment<'e> {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// The entry that it stands in; none when it is only tried out.
    pub entry: Option<&'e Entry>,
}

impl<'e> Moment<'e> {
    /// That of an entry.
    #[must_use]
    pub fn of(entry: &'e Entry) -> Self {
        let at = crate::kernel::time::from_ms(entry.at);
        Self { actor: entry.actor, at, entry: Some(entry) }
    }
}

/// What is known of something that happened; nothing when it was not what its kind says, or is gone.
///
/// # Errors
/// When the disk fails.
pub fn of(
    read: &dyn Read,
    happening: &Happening,
    moment: &Moment<'_>,
) -> Result<Option<Scene>, StoreError> {
    let (mut scene, people) = (Scene::default(), People::read(read)?);
    let there = match happening.subject {
        Subject::Task(id) => scene.task(read, &people, id, moment)?,
        Subject::Comment(id, task) => {
            let Some(comment) = read.get::<Comment>(id)? else { return Ok(None) };
            let mentioned = comment.mentions.iter().map(|id| Assignee::Agent(*id));
            let people_too = comment.people.iter().map(|id| Assignee::Person(*id));
            let named: Vec<String> =
                mentioned.chain(people_too).map(|who| people.handle(who)).collect();
            if happening.kind.word == "mention.added" && named.is_empty() {
                return Ok(None);
            }
            scene.values.insert("text", Datum::text(comment.body));
            scene.values.insert("mentions", list(named));
            scene.task(read, &people, task, moment)?
        }
        Subject::Deliverable(id, task) => {
            let Some(work) = read.get::<Deliverable>(id)? else { return Ok(None) };
            if let Some(review) = read.get::<Review>(work.version)? {
                scene.values.insert("text", Datum::text(review.note));
                scene.values.insert("verdict", Datum::text(review.verdict.word()));
            }
            scene.values.insert("deliverable", Datum::text(work.title));
            scene.task(read, &people, task, moment)?
        }
        Subject::Agent(id, _) => scene.agent(read, id, happening)?,
    };
    if !there {
        return Ok(None);
    }
    scene.changed(read, &people, happening, moment)?;
    scene.common(read, &people, moment)?;
    Ok(Some(scene))
}

/// Adds what depends on whose the routine is.
///
/// # Errors
/// When the disk fails.
pub fn add_budget(
    read: &dyn Read,
    values: &mut Values,
    agent: AgentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let standings = budgets::standings(&read, &[Payer::Workspace, Payer::Agent(agent)], now)?;
    let left = budgets::left(&standings).micros.map(|micros| {
        // Whole cents are enough for a comparison, and exact.
        f64::from(u32::try_from(micros / 10_000).unwrap_or(u32::MAX)) / 100.0
    });
    values.insert("budget_left", left.map_or(Datum::Nothing, Datum::Number));
    Ok(())
}

/// A record that a kind of event is about, as if it had just happened: for trying out. The record is
/// named as people name it; the newest comment or deliverable of a task counts.
///
/// # Errors
/// When the disk fails.
pub fn pretend(
    read: &dyn Read,
    kind: &'static Kind,
    name: &str,
) -> Result<Option<Happening>, StoreError> {
    let happening = |subject| Some(Happening { kind, subject, change: Change::None });
    if kind.word.starts_with("agent.") {
        let agent = agents::by_name(&read, name)?;
        return Ok(agent.and_then(|agent| happening(Subject::Agent(agent.id, None))));
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

/// Several words as one value; each of them is it, too.
fn list(words: Vec<String>) -> Datum {
    match words.is_empty() {
        true => Datum::Nothing,
        false => {
            let all = words.join(", ");
            Datum::Words(std::iter::once(all).chain(words).collect())
        }
    }
}

/// Somebody by name, handle and kind.
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

impl Scene {
    fn put(&mut self, name: &'static str, value: impl Into<String>) {
        self.values.insert(name, Datum::text(value));
    }

    fn task(
        &mut self,
        read: &dyn Read,
        people: &People,
        id: TaskId,
        moment: &Moment<'_>,
    ) -> Result<bool, StoreError> {
        let Some(task) = read.get::<Task>(id)? else { return Ok(false) };
        let name = tasks::name(read, task.number)?;
        self.subject = ellipsis(&format!("{name} {}", task.title), MAX_SUBJECT);
        self.task = Some(id);
        let due = task.due_at.map_or(Datum::Nothing, |due| {
            let days = due.duration_since(moment.at).as_secs().div_euclid(86_400);
            Datum::Number(f64::from(i32::try_from(days).unwrap_or(i32::MAX)))
        });
        self.values.insert("due_in_days", due);
        self.values.insert("assignee", somebody(people, task.assignee));
        self.values.insert("creator", somebody(people, Some(assignee_of(task.created_by))));
        if let Some(parent) = task.parent
            && let Some(parent) = read.get::<Task>(parent)?
        {
            let name = tasks::name(read, parent.number)?;
            self.values.insert("parent", Datum::Words(vec![name, parent.title]));
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
        self.values.insert("labels", list(labels));
        self.put("url", format!("tasks/{name}"));
        self.put("task", name);
        self.put("title", task.title);
        self.put("description", task.description);
        self.put("status", task.status.word());
        self.put("priority", task.priority.word());
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
        let reason = match &happening.change {
            Change::Item(item) => {
                let item = read.get::<Item>(*item)?;
                let Some(item) = item.filter(|item| item.state == ItemState::DeadLetter) else {
                    return Ok(false);
                };
                item.last_error.unwrap_or_default()
            }
            Change::Reason(word) => match run.as_ref().filter(|run| !run.summary.is_empty()) {
                Some(run) => run.summary.clone(),
                None => agent.status_reason.clone().unwrap_or_else(|| word.clone()),
            },
            _ => agent.status_reason.clone().unwrap_or_default(),
        };
        self.subject = ellipsis(&agent.name, MAX_SUBJECT);
        self.put("url", format!("agents/{}", agent.slug));
        if let Some(run) = run {
            self.subject = ellipsis(&format!("{} in {}", agent.name, run.name()), MAX_SUBJECT);
            self.put("url", format!("runs/{}", run.name()));
            self.put("run", run.name());
            self.put("title", run.title);
        }
        self.put("reason", reason);
        self.values.insert("agent", Datum::Words(vec![agent.name, agent.slug]));
        Ok(true)
    }

    fn changed(
        &mut self,
        read: &dyn Read,
        people: &People,
        happening: &Happening,
        moment: &Moment<'_>,
    ) -> Result<(), StoreError> {
        match &happening.change {
            Change::Words(_, to) if happening.kind.word == "deliverable.decided" => {
                self.put("verdict", *to);
            }
            Change::Words(from, to) => {
                self.put("old", *from);
                self.put("new", *to);
            }
            Change::Whose(from, to) => {
                self.values.insert("old", somebody(people, *from));
                self.values.insert("new", somebody(people, *to));
            }
            Change::Field(field) => {
                let before = match moment.entry {
                    Some(entry) => task_before(read, entry, happening.subject)?,
                    None => None,
                };
                let old = before.map_or(Datum::Nothing, |task| field_of(&task, *field));
                let new = match happening.subject {
                    Subject::Task(id) => read.get::<Task>(id)?.map(|task| field_of(&task, *field)),
                    _ => None,
                };
                self.values.insert("old", old);
                self.values.insert("new", new.unwrap_or_default());
            }
            // Tried out: what is now is what it became.
            Change::None => {
                let field = match happening.kind.word {
                    "task.status" => "status",
                    "task.assignee" => "assignee",
                    "task.priority" => "priority",
                    "task.due" => "due_in_days",
                    _ => return Ok(()),
                };
                let value = value_of(&self.values, field).clone();
                self.values.insert("new", value);
            }
            Change::Reason(_) | Change::Item(_) => {}
        }
        Ok(())
    }

    fn common(
        &mut self,
        read: &dyn Read,
        people: &People,
        moment: &Moment<'_>,
    ) -> Result<(), StoreError> {
        let who = assignee_of(moment.actor);
        self.values.insert("actor", somebody(people, Some(who)));
        self.put("actor_kind", kind_of(who));
        let settings = read.get::<crate::features::workspace::model::Settings>(())?;
        let zone = settings.map_or(TimeZone::UTC, |one| tasks::due::zone(&one.zone));
        let wall = moment.at.to_zoned(zone);
        self.put("weekday", wall.strftime("%A").to_string().to_lowercase());
        self.put("time", wall.strftime("%H:%M").to_string());
        Ok(())
    }
}

fn field_of(task: &Task, field: TaskField) -> Datum {
    match field {
        TaskField::Priority => Datum::text(task.priority.word()),
        TaskField::Due => task.due_at.map_or(Datum::Nothing, |due| Datum::text(due.to_string())),
        _ => Datum::Nothing,
    }
}

/// A task as it was before an entry, if that is still kept.
fn task_before(
    read: &dyn Read,
    entry: &Entry,
    subject: Subject,
) -> Result<Option<Task>, StoreError> {
    let Subject::Task(id) = subject else { return Ok(None) };
    let key = KeyBuf::of(&id);
    let own = |change: &RowChange| change.table == TASKS.number && change.key == key.bytes();
    let Some(n) = entry.changes.iter().position(own) else { return Ok(None) };
    let image = feed::before_image(read, entry.seq, u16::try_from(n).unwrap_or(u16::MAX))?;
    Ok(match image {
        Some(row) => Some(record::read::<Task>(&row)?.0),
        None => None,
    })
}
