//! A requested routine: the body of the API, the arguments of the tool and the data of the form. Everything is
//! validated here before it is stored.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{Conditions, Written};
use super::model::{Action, Quiet, Routine, TaskForm, Trigger, Watch};
use super::registry::{self, Kind};
use super::render;
use kernel::cadence::{Cadence, Hours, Schedule, ScheduleFields};
use kernel::text::nearest;
use kernel::vocab::CadenceKind;
use kernel::{Assignee, CatchUp, FieldError, Overlap, Priority, RoutineSession, Thinking};

/// Maximum name length in characters.
const MAX_NAME: usize = 120;
/// Maximum instruction length in bytes.
const MAX_INSTRUCTION: usize = 8 * 1024;
/// Where to find the list of events.
const LIST_OF_EVENTS: &str =
    "GET /api/v1/routines/events, the page of a routine and routine_list with `events` list them";
/// Number of instants of a cron schedule to check for the smallest interval.
const LOOKED_AT: usize = 50;
/// Upper limit of `catch_up_minutes`: a month.
const MAX_AGE: u32 = 31 * 24 * 60;
/// Upper limit of `jitter_secs`.
const MAX_JITTER: u32 = 3_600;
/// Upper limit of the budget of one run, in micro-dollars.
const MAX_BUDGET: i64 = 1_000_000_000;

/// A routine as somebody wants it. It has a schedule or an event, and wakes its agent unless it has a
/// task to make.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoutineRequest {
    /// Whose it is: an agent's slug or id. Your own if you are an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it is called.
    pub name: String,
    /// What the agent is to do; `{title}`, `{old}`, `{new}` and other fields of an event may stand in it.
    pub instruction: String,
    /// When it fires.
    pub schedule: Option<ScheduleFields>,
    /// Or after what.
    pub event: Option<EventRequest>,
    /// Makes a task in place of waking the agent.
    pub task: Option<TaskRequest>,
    /// What becomes of times that passed while HQ was off; `one` if left out.
    pub catch_up: Option<CatchUp>,
    /// How old such a time may be, in minutes.
    pub catch_up_minutes: Option<u32>,
    /// What becomes of a firing while the work of the one before is not over; `skip` if left out.
    pub overlap: Option<Overlap>,
    /// A model in place of the agent's; no other answers for it.
    pub model: Option<String>,
    /// In place of the agent's.
    pub thinking: Option<Thinking>,
    /// The most that one run may spend, in millionths of a dollar.
    pub budget_micros: Option<i64>,
    /// Hours in which its work waits.
    pub quiet_hours: Option<QuietRequest>,
    /// A schedule fires within so many seconds after its time, each time at a moment of its own, so that not
    /// all routines of 9:00 begin at once; at most an hour, and less than its firings are apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_secs: Option<u32>,
    /// A schedule of one moment is put away when the work it led to is done: out of the lists, with its
    /// history, which goes after half a year.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delete_when_done: bool,
    /// The conversation in which the agent is woken; `isolated` if left out: a new one each time, which
    /// knows nothing of those before. `main` is that of all its work without a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<RoutineSession>,
    /// Where the result is sent when the work is done: the name or id of a paired person or an allowed room
    /// on one of the agent's channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_to: Option<String>,
}

/// An event that a routine waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventRequest {
    /// Such as `task.status`.
    pub when: String,
    /// All must be true; one of them may be `{"any": […]}`.
    pub all: Vec<Written>,
    /// Whether changes by its own agent count.
    pub own_changes: bool,
}

/// A task to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskRequest {
    /// May have fields as the instruction, which becomes the description. With a template the name of the
    /// routine if left out.
    pub title: String,
    /// `medium` if left out.
    pub priority: Option<Priority>,
    /// Leaves it to nobody in place of the agent.
    pub unassigned: bool,
    /// In how many days it is due.
    pub due_days: Option<u16>,
    /// The name or id of a task template: all its tasks become parts of this task. In their titles and
    /// descriptions fields of the event may stand, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Who has which role of the template: an agent's slug, a person's handle, an id, or `none`. A role that
    /// is not here is the agent with this slug.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, String>,
}

/// Quiet hours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuietRequest {
    /// ISO numbers, 1 is Monday; every day if left out.
    pub days: Vec<u8>,
    /// Such as `22:00`.
    pub from: String,
    /// Such as `07:00`; before `from` it is that of the next day.
    pub until: String,
    /// A name such as `Europe/Berlin`; that of the workspace if left out.
    pub timezone: Option<String>,
}

/// A validated request.
#[derive(Clone, Debug)]
pub struct Checked {
    pub name: String,
    pub instruction: String,
    pub trigger: Trigger,
    pub action: Action,
    pub quiet: Option<Quiet>,
}

impl RoutineRequest {
    /// Validates the request and reports all errors. `zone` is the default time zone.
    ///
    /// # Errors
    /// All errors, by field.
    pub fn read(&self, zone: &str, now: Timestamp) -> Result<Checked, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let name = self.name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            wrong.push(FieldError::new("name", "Enter a name, such as Daily inbox check."));
        }
        if MAX_NAME < name.chars().count() {
            wrong.push(FieldError::new("name", format!("Use at most {MAX_NAME} characters.")));
        }
        let instruction = self.instruction.replace("\r\n", "\n").trim_end().to_owned();
        if MAX_INSTRUCTION < instruction.len() {
            wrong.push(FieldError::new("instruction", "At most 8 KB of text."));
        }
        let trigger = self.trigger(zone, now).map_err(|more| wrong.extend(more)).ok();
        wrong.extend(trigger.as_ref().and_then(|trigger| self.delay(trigger, now)));
        let kind = self.event.as_ref().and_then(|event| registry::kind(event.when.trim()));
        let is_event = self.event.is_some();
        // An unknown kind of event is reported only once.
        if !is_event || kind.is_some() {
            let checked = render::check(kind, "instruction", &instruction);
            wrong.extend(checked.err());
        }
        let action = self.action(kind, is_event).map_err(|more| wrong.extend(more)).ok();
        let quiet = self.quiet(zone).map_err(|more| wrong.push(more)).ok();
        if self.catch_up_minutes.is_some_and(|most| !(1..=MAX_AGE).contains(&most)) {
            let message = format!("Use 1 to {MAX_AGE} minutes.");
            wrong.push(FieldError::new("catch_up_minutes", message));
        }
        wrong.extend(self.when_done());
        if self.place().is_some() && self.task.is_some() {
            let message = "Only the result of a run can be sent. A task has its own page.";
            wrong.push(FieldError::new("deliver_to", message));
        }
        if self.budget_micros.is_some_and(|most| !(1..=MAX_BUDGET).contains(&most)) {
            wrong.push(FieldError::new("budget_micros", "Use an amount above 0, up to $1,000."));
        }
        if self.model.as_deref().is_some_and(|model| 200 < model.len()) {
            wrong.push(FieldError::new("model", "This model name is too long."));
        }
        match (trigger, action, quiet) {
            (Some(trigger), Some(action), Some(quiet)) if wrong.is_empty() => {
                Ok(Checked { name, instruction, trigger, action, quiet })
            }
            _ => Err(wrong),
        }
    }

    /// Parses the trigger.
    ///
    /// # Errors
    /// If the schedule or event is invalid.
    pub fn trigger(&self, zone: &str, now: Timestamp) -> Result<Trigger, Vec<FieldError>> {
        match (&self.schedule, &self.event) {
            (Some(fields), None) => schedule(fields, zone, now).map(Trigger::Schedule),
            (None, Some(event)) => event.read().map(Trigger::Event),
            (None, None) => {
                let message = "Choose when it runs: a schedule or an event.";
                Err(vec![FieldError::new("trigger", message)])
            }
            (Some(_), Some(_)) => {
                let message = "Choose either a schedule or an event, not both.";
                Err(vec![FieldError::new("trigger", message)])
            }
        }
    }

    /// Validates the jitter. It must be less than the interval, so that firings never change their order.
    fn delay(&self, trigger: &Trigger, now: Timestamp) -> Option<FieldError> {
        let secs = self.jitter_secs.filter(|secs| *secs != 0)?;
        let message = match trigger {
            Trigger::Event(_) => {
                "A delay only works with a schedule. Events run immediately.".to_owned()
            }
            Trigger::Schedule(_) if MAX_JITTER < secs => format!("Use 0 to {MAX_JITTER} seconds."),
            Trigger::Schedule(schedule) => {
                let apart = least_apart(&schedule.upcoming(now, LOOKED_AT))?.as_secs();
                if i64::from(secs) < apart {
                    return None;
                }
                format!("Its runs are {apart} seconds apart. Use a shorter delay.")
            }
        };
        Some(FieldError::new("jitter_secs", message))
    }

    /// Name or id of the place for the result.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.deliver_to.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    fn when_done(&self) -> Option<FieldError> {
        let kind = self.schedule.as_ref().and_then(ScheduleFields::kind);
        let fits = !self.delete_when_done || kind == Some(CadenceKind::Once);
        let message = "Only one-time routines can be archived when done. Pause or delete others.";
        (!fits).then(|| FieldError::new("delete_when_done", message))
    }

    fn action(&self, kind: Option<&Kind>, is_event: bool) -> Result<Action, Vec<FieldError>> {
        let Some(task) = &self.task else { return Ok(Action::Wake) };
        let mut wrong = Vec::new();
        let mut title = task.title.split_whitespace().collect::<Vec<_>>().join(" ");
        if title.is_empty() && task.template().is_some() {
            title = self.name.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        if title.is_empty() || 200 < title.chars().count() {
            let message = "Give the task a title of at most 200 characters.";
            wrong.push(FieldError::new("task.title", message));
        }
        if !is_event || kind.is_some() {
            wrong.extend(render::check(kind, "task.title", &title).err());
        }
        if task.due_days.is_some_and(|days| 366 < days) {
            wrong.push(FieldError::new("task.due_days", "Use at most 366 days."));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Action::CreateTask(TaskForm {
            title,
            priority: task.priority.unwrap_or(Priority::Medium),
            assigned: !task.unassigned,
            due_days: task.due_days,
        }))
    }

    fn quiet(&self, zone: &str) -> Result<Option<Quiet>, FieldError> {
        let Some(wish) = &self.quiet_hours else { return Ok(None) };
        let hours = Hours::read(&wish.days, &wish.from, &wish.until)?;
        let own = wish.timezone.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let zone = own.unwrap_or(zone).to_owned();
        if jiff::tz::TimeZone::get(&zone).is_err() {
            let message = "Enter a time zone such as Europe/Berlin.";
            return Err(FieldError::new("quiet_hours.timezone", message));
        }
        Ok(Some(Quiet { days: hours.days, from: hours.from, until: hours.until, zone }))
    }
}

fn schedule(
    fields: &ScheduleFields,
    zone: &str,
    now: Timestamp,
) -> Result<Schedule, Vec<FieldError>> {
    let schedule = fields.read(zone, now)?;
    let next = schedule.upcoming(now, LOOKED_AT);
    if let (Cadence::Once(_), true) = (schedule.cadence(), next.is_empty()) {
        return Err(vec![FieldError::new("at", "This time has passed.")]);
    }
    Ok(schedule)
}

/// Smallest distance between consecutive instants.
fn least_apart(instants: &[Timestamp]) -> Option<SignedDuration> {
    instants.windows(2).map(|pair| pair[1].duration_since(pair[0])).min()
}

impl TaskRequest {
    /// Name or id of the requested template.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.template.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }
}

impl EventRequest {
    fn read(&self) -> Result<Watch, Vec<FieldError>> {
        let word = self.when.trim();
        let Some(kind) = registry::kind(word) else {
            let near = nearest(word, registry::all().map(|kind| kind.word));
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => LIST_OF_EVENTS.to_owned(),
            };
            let message = format!("there is no event \"{word}\"; {hint}");
            return Err(vec![FieldError::new("event.when", message)]);
        };
        let conditions = Conditions::read(kind, &self.all)?;
        Ok(Watch { event: kind.word.to_owned(), conditions, own_changes: self.own_changes })
    }
}

impl From<&Routine> for RoutineRequest {
    fn from(routine: &Routine) -> Self {
        let (schedule, event) = match &routine.trigger {
            Trigger::Schedule(schedule) => (Some(ScheduleFields::from(schedule)), None),
            Trigger::Event(watch) => {
                let event = EventRequest {
                    when: watch.event.clone(),
                    all: watch.conditions.written(),
                    own_changes: watch.own_changes,
                };
                (None, Some(event))
            }
        };
        let name = |who: &Option<Assignee>| match who {
            Some(Assignee::Agent(id)) => id.to_string(),
            Some(Assignee::Person(id)) => id.to_string(),
            Some(Assignee::System) => "hq".to_owned(),
            None => "none".to_owned(),
        };
        let tasks = routine.action.tasks();
        let roles = tasks.iter().flat_map(|form| &form.roles);
        let task = routine.action.task().map(|form| TaskRequest {
            title: form.title.clone(),
            priority: Some(form.priority),
            unassigned: !form.assigned,
            due_days: form.due_days,
            template: tasks.map(|form| form.template.to_string()),
            roles: roles.map(|(role, who)| (role.clone(), name(who))).collect(),
        });
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self {
            agent: Some(routine.agent.to_string()),
            name: routine.name.clone(),
            instruction: routine.instruction.clone(),
            schedule,
            event,
            task,
            catch_up: Some(routine.catch_up),
            catch_up_minutes: routine.catch_up_minutes,
            overlap: Some(routine.overlap),
            model: routine.model.clone(),
            thinking: routine.thinking,
            budget_micros: routine.budget_micros,
            quiet_hours: routine.quiet.as_ref().map(|quiet| QuietRequest {
                days: quiet.days.numbers(),
                from: clock(quiet.from),
                until: clock(quiet.until),
                timezone: Some(quiet.zone.clone()),
            }),
            jitter_secs: Some(routine.jitter_secs).filter(|secs| *secs != 0),
            delete_when_done: routine.delete_when_done,
            session: Some(routine.session),
            deliver_to: routine.deliver_to.as_ref().map(|to| to.target.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;

    const NOW: i64 = 1_795_000_000_000;

    fn daily() -> RoutineRequest {
        let schedule =
            ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
        RoutineRequest {
            name: "Look".into(),
            schedule: Some(schedule),
            ..RoutineRequest::default()
        }
    }

    fn wrong_fields(wish: &RoutineRequest) -> Vec<String> {
        let wrong = wish.read("UTC", from_ms(NOW)).unwrap_err();
        wrong.into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let wish = RoutineRequest {
            name: " ".into(),
            instruction: "x".repeat(9_000),
            event: Some(EventRequest { when: "task.stratus".into(), ..EventRequest::default() }),
            budget_micros: Some(0),
            ..RoutineRequest::default()
        };
        assert_eq!(wrong_fields(&wish), ["name", "instruction", "event.when", "budget_micros"]);
        assert_eq!(wrong_fields(&RoutineRequest { schedule: None, ..daily() }), ["trigger"]);
        assert_eq!(
            wrong_fields(&RoutineRequest { instruction: "{title}".into(), ..daily() }),
            ["instruction"]
        );
    }

    #[test]
    fn a_delay_is_shorter_than_what_lies_between_two_firings() {
        let of = |kind, interval_n, jitter_secs| {
            let schedule = ScheduleFields {
                cadence_type: Some(kind),
                interval_n: Some(interval_n),
                ..ScheduleFields::default()
            };
            RoutineRequest { schedule: Some(schedule), jitter_secs: Some(jitter_secs), ..daily() }
        };
        let minutes = |secs| of(CadenceKind::EveryNMinutes, 10, secs);
        assert!(minutes(599).read("UTC", from_ms(NOW)).is_ok());
        assert_eq!(wrong_fields(&minutes(600)), ["jitter_secs"]);
        assert!(of(CadenceKind::Daily, 1, 3_600).read("UTC", from_ms(NOW)).is_ok());
        assert_eq!(wrong_fields(&of(CadenceKind::Daily, 1, 3_601)), ["jitter_secs"]);
        let event = Some(EventRequest { when: "task.status".into(), ..EventRequest::default() });
        let after = RoutineRequest { schedule: None, event, jitter_secs: Some(1), ..daily() };
        assert_eq!(wrong_fields(&after), ["jitter_secs"]);
    }

    #[test]
    fn only_what_fires_once_can_be_put_away_when_it_is_done() {
        let schedule = ScheduleFields {
            cadence_type: Some(CadenceKind::Once),
            at: Some("2030-01-01T09:00:00Z".into()),
            ..ScheduleFields::default()
        };
        let once = RoutineRequest { schedule: Some(schedule), delete_when_done: true, ..daily() };
        assert!(once.read("UTC", from_ms(NOW)).is_ok());
        assert_eq!(
            wrong_fields(&RoutineRequest { delete_when_done: true, ..daily() }),
            ["delete_when_done"]
        );
    }

    #[test]
    fn quiet_hours_are_checked() {
        let quiet = |from: &str, until: &str| {
            let quiet_hours =
                QuietRequest { from: from.into(), until: until.into(), ..QuietRequest::default() };
            RoutineRequest { quiet_hours: Some(quiet_hours), ..daily() }
        };
        assert!(quiet("22:00", "07:00").read("Europe/Berlin", from_ms(NOW)).is_ok());
        assert_eq!(wrong_fields(&quiet("late", "07:00")), ["quiet_hours.from"]);
        assert_eq!(wrong_fields(&quiet("07:00", "07:00")), ["quiet_hours.until"]);
    }
}
