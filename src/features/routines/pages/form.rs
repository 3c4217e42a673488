//! The form of a routine, new or changed, with a preview in words.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::agents::queries as agents;
use crate::features::routines::conditions::{Alternative, Op, Written};
use crate::features::routines::model::{Routine, Trigger};
use crate::features::routines::queries::{self, view};
use crate::features::routines::registry;
use crate::features::routines::rules::{self, RoutineError};
use crate::features::routines::wish::{EventWish, QuietWish, TaskWish, Wish};
use crate::features::workspace::model::Settings;
use crate::kernel::cadence::ScheduleFields;
use crate::kernel::vocab::CadenceKind;
use crate::kernel::{
    AgentId, CatchUp, FieldError, Overlap, Priority, Problem as _, RoutineId, Thinking,
};
use crate::store::{Read, ReadExt as _};
use crate::web::error::PageError;
use crate::web::extract::{Form, Path, Query};
use crate::web::form::Wrong;
use crate::web::hx::Hx;
use crate::web::parts::Choice;
use crate::web::session::Person;
use crate::web::shell::{Flash, Shell};
use crate::web::time::zones;
use crate::web::{flash, format, html};

/// How many conditions the form has, and how many of which one is enough.
const ROWS: usize = 4;
const ANY_ROWS: usize = 3;
/// How a schedule repeats, in the order of the form.
const CADENCES: [(CadenceKind, &str); 9] = [
    (CadenceKind::EveryNMinutes, "Every so many minutes"),
    (CadenceKind::EveryNHours, "Every so many hours"),
    (CadenceKind::Daily, "Daily"),
    (CadenceKind::Weekdays, "Weekdays"),
    (CadenceKind::Weekly, "Weekly"),
    (CadenceKind::Monthly, "Monthly"),
    (CadenceKind::EveryNDays, "Every so many days"),
    (CadenceKind::Cron, "Cron line"),
    (CadenceKind::Once, "Once"),
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What was typed, by field: a form has many, and what is not sent is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Typed(BTreeMap<String, String>);

impl Typed {
    fn at(&self, field: &str) -> &str {
        self.0.get(field).map_or("", |value| value.trim())
    }

    fn set(&mut self, field: &str, value: impl Into<String>) {
        self.0.insert(field.to_owned(), value.into());
    }

    fn given(&self, field: &str) -> Option<String> {
        Some(self.at(field).to_owned()).filter(|text| !text.is_empty())
    }

    /// A number, or what is wrong with it.
    fn number<T: std::str::FromStr>(&self, field: &str, wrong: &mut Vec<FieldError>) -> Option<T> {
        let text = self.at(field);
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            wrong.push(FieldError::new(field, "use a whole number"));
        }
        number
    }

    /// A word of a list; what is not one of them is left out.
    fn word<T: std::str::FromStr>(&self, field: &str) -> Option<T> {
        self.at(field).parse().ok()
    }

    /// What was typed as a wish; everything that is no number or amount is named.
    fn wish(&self) -> (Wish, Vec<FieldError>) {
        let mut wrong = Vec::new();
        let is_event = self.at("when") == "event";
        let schedule = ScheduleFields {
            cadence_type: self.word("cadence_type"),
            interval_n: self.number("interval_n", &mut wrong),
            days_of_week: self.days("day_"),
            day_of_month: self.number("day_of_month", &mut wrong),
            time_of_day: self.given("time_of_day"),
            timezone: self.given("timezone"),
            starts_on: self.given("starts_on"),
            cron: self.given("cron"),
            at: self.given("at"),
        };
        let budget_micros = match self.at("budget") {
            "" => None,
            text => {
                let micros = format::parse_dollars(text);
                if micros.is_none() {
                    let message = "write an amount in dollars, such as 0.50";
                    wrong.push(FieldError::new("budget_micros", message));
                }
                micros
            }
        };
        let task = (self.at("action") == "task").then(|| TaskWish {
            title: self.at("task_title").to_owned(),
            priority: self.word("task_priority"),
            unassigned: !self.at("task_unassigned").is_empty(),
            due_days: self.number("due_days", &mut wrong),
        });
        let quiet = !(self.at("quiet_from").is_empty() && self.at("quiet_until").is_empty());
        let wish = Wish {
            agent: self.given("agent"),
            name: self.at("name").to_owned(),
            instruction: self.0.get("instruction").cloned().unwrap_or_default(),
            schedule: (!is_event).then_some(schedule),
            event: is_event.then(|| EventWish {
                when: self.at("event").to_owned(),
                all: self.conditions(),
                own_changes: !self.at("own_changes").is_empty(),
            }),
            task,
            catch_up: self.word("catch_up"),
            catch_up_minutes: self.number("catch_up_minutes", &mut wrong),
            overlap: self.word("overlap"),
            model: self.given("model"),
            thinking: self.word("thinking"),
            budget_micros,
            quiet_hours: quiet.then(|| QuietWish {
                days: Vec::new(),
                from: self.at("quiet_from").to_owned(),
                until: self.at("quiet_until").to_owned(),
                timezone: self.given("timezone"),
            }),
        };
        (wish, wrong)
    }

    fn days(&self, prefix: &str) -> Vec<u8> {
        (1..=7).filter(|day| !self.at(&format!("{prefix}{day}")).is_empty()).collect()
    }

    fn conditions(&self) -> Vec<Written> {
        let parts = |row: &str| {
            let at = |part: &str| self.at(&format!("{row}_{part}")).to_owned();
            (at("field"), Op::named(&at("op")), at("value"))
        };
        let mut all = Vec::new();
        for n in 1..=ROWS {
            let (field, op, value) = parts(&format!("c{n}"));
            if !field.is_empty() {
                all.push(Written { field, op, value, any: Vec::new() });
            }
        }
        let mut any = Vec::new();
        for n in 1..=ANY_ROWS {
            let (field, op, value) = parts(&format!("a{n}"));
            if !field.is_empty() {
                any.push(Alternative { field, op, value });
            }
        }
        if !any.is_empty() {
            all.push(Written { any, ..Written::default() });
        }
        all
    }

    /// As a routine is.
    fn of(routine: &Routine, agent: &str) -> Self {
        let (wish, mut typed) = (Wish::from(routine), Self::default());
        typed.set("agent", agent);
        typed.set("name", wish.name);
        typed.set("instruction", wish.instruction);
        if let Some(fields) = wish.schedule {
            typed.set("when", "schedule");
            typed.schedule(&fields);
        }
        if let Some(event) = wish.event {
            typed.set("when", "event");
            typed.set("event", event.when);
            typed.set("own_changes", if event.own_changes { "on" } else { "" });
            typed.written(&event.all);
        }
        if let Some(task) = wish.task {
            typed.set("action", "task");
            typed.set("task_title", task.title);
            typed.set("task_priority", task.priority.map_or("", Priority::word));
            typed.set("task_unassigned", if task.unassigned { "on" } else { "" });
            typed.set("due_days", task.due_days.map_or_else(String::new, |days| days.to_string()));
        }
        typed.set("catch_up", wish.catch_up.map_or("", CatchUp::word));
        let minutes = wish.catch_up_minutes.map_or_else(String::new, |n| n.to_string());
        typed.set("catch_up_minutes", minutes);
        typed.set("overlap", wish.overlap.map_or("", Overlap::word));
        typed.set("model", wish.model.unwrap_or_default());
        typed.set("thinking", wish.thinking.map_or("", Thinking::word));
        let budget = wish.budget_micros.map_or_else(String::new, format::plain_dollars);
        typed.set("budget", budget);
        if let Some(quiet) = wish.quiet_hours {
            typed.set("quiet_from", quiet.from);
            typed.set("quiet_until", quiet.until);
        }
        typed
    }

    fn schedule(&mut self, fields: &ScheduleFields) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.set("cadence_type", fields.cadence_type.map_or("", CadenceKind::word));
        self.set("interval_n", fields.interval_n.map_or_else(String::new, |n| n.to_string()));
        for day in &fields.days_of_week {
            self.set(&format!("day_{day}"), "on");
        }
        self.set("day_of_month", fields.day_of_month.map_or_else(String::new, |n| n.to_string()));
        self.set("time_of_day", text(&fields.time_of_day));
        self.set("timezone", text(&fields.timezone));
        self.set("starts_on", text(&fields.starts_on));
        self.set("cron", text(&fields.cron));
        self.set("at", text(&fields.at));
    }

    fn written(&mut self, all: &[Written]) {
        let mut n = 0;
        for one in all {
            if one.any.is_empty() {
                n += 1;
                self.condition(&format!("c{n}"), (&one.field, one.op, &one.value));
            }
            for (m, other) in (1..).zip(&one.any) {
                self.condition(&format!("a{m}"), (&other.field, other.op, &other.value));
            }
        }
    }

    fn condition(&mut self, row: &str, (field, op, value): (&str, Option<Op>, &str)) {
        self.set(&format!("{row}_field"), field);
        self.set(&format!("{row}_op"), op.map_or("is", Op::word));
        self.set(&format!("{row}_value"), value);
    }
}

/// A line of the form in which a condition is chosen.
struct ConditionRow {
    row: String,
    label: String,
    fields: Vec<Choice>,
    ops: Vec<Choice>,
    value: String,
}

#[derive(Template)]
#[template(path = "routines/form.html")]
struct FormPage {
    shell: Shell,
    title: String,
    action: String,
    back: String,
    preview_url: String,
    button: &'static str,
    v: Typed,
    wrong: Wrong,
    /// What is wrong with a condition.
    wrong_condition: String,
    agents: Vec<Choice>,
    whens: Vec<Choice>,
    cadences: Vec<Choice>,
    days: Vec<Choice>,
    month_days: Vec<Choice>,
    zones: Vec<Choice>,
    events: Vec<Choice>,
    all: Vec<ConditionRow>,
    any: Vec<ConditionRow>,
    has_any: bool,
    actions: Vec<Choice>,
    priorities: Vec<Choice>,
    catch_ups: Vec<Choice>,
    overlaps: Vec<Choice>,
    thinkings: Vec<Choice>,
    fields: String,
}

fn choices<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: &str) -> Vec<Choice> {
    all.into_iter().map(|(word, label)| Choice::new(word, label, word == chosen)).collect()
}

fn condition_row(typed: &Typed, row: String, label: String) -> ConditionRow {
    let chosen = typed.at(&format!("{row}_field")).to_owned();
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for kind in registry::ALL {
        known.extend(kind.fields().map(|field| (field.name, field.label)));
    }
    let none = std::iter::once(("", "—"));
    let op = typed.at(&format!("{row}_op"));
    ConditionRow {
        fields: choices(none.chain(known), &chosen),
        ops: choices(Op::ALL.map(|op| (op.word(), op.label())), op),
        value: typed.at(&format!("{row}_value")).to_owned(),
        row,
        label,
    }
}

/// The page with what was typed.
fn page(
    ws: &Ws,
    read: &dyn Read,
    (shell, typed): (Shell, Typed),
    id: Option<RoutineId>,
) -> Result<FormPage, RoutineError> {
    let zone = zone(read)?;
    let base = ws.url("routines");
    let agents = agents::all(&read)?.into_iter().map(|agent| {
        let chosen = typed.at("agent") == agent.slug;
        Choice::new(agent.slug, agent.name, chosen)
    });
    let or = |field: &str, usual: &str| match typed.at(field) {
        "" => usual.to_owned(),
        chosen => chosen.to_owned(),
    };
    let days = (1..=7).zip(DAYS).map(|(n, label)| {
        let name = format!("day_{n}");
        let chosen = !typed.at(&name).is_empty();
        Choice::new(name, label, chosen)
    });
    let month_day = typed.at("day_of_month");
    let month_days = (1..=31).map(|day: i32| (day.to_string(), day.to_string()));
    let month_days = month_days.chain([("-1".to_owned(), "The last day".to_owned())]);
    let month_days = month_days.map(|(value, label)| {
        let chosen = value == month_day;
        Choice::new(value, label, chosen)
    });
    let catch_up = or("catch_up", CatchUp::One.word());
    let usual = if typed.at("when") == "event" { Overlap::Queue } else { Overlap::Skip };
    let overlap = or("overlap", usual.word());
    let thinking = std::iter::once(("", "The agent’s"));
    let thinking = thinking.chain(Thinking::ALL.iter().map(|one| (one.word(), one.label())));
    let priorities = Priority::ALL.iter().rev().map(|one| (one.word(), one.label()));
    let events = registry::ALL.iter().map(|kind| (kind.word, kind.label));
    let row = |prefix: &str, n: usize, label: &str| {
        condition_row(&typed, format!("{prefix}{n}"), format!("{label} {n}"))
    };
    let here = id.map_or_else(|| base.clone(), |id| format!("{base}/{id}"));
    Ok(FormPage {
        title: match id {
            Some(_) => "Edit routine".to_owned(),
            None => "New routine".to_owned(),
        },
        action: here.clone(),
        back: here,
        preview_url: format!("{base}/preview"),
        button: if id.is_some() { "Save changes" } else { "Create routine" },
        wrong: Wrong::none(),
        wrong_condition: String::new(),
        agents: agents.collect(),
        whens: choices(
            [("schedule", "At a time"), ("event", "When something happens")],
            &or("when", "schedule"),
        ),
        cadences: choices(
            CADENCES.map(|(kind, label)| (kind.word(), label)),
            &or("cadence_type", CadenceKind::Weekdays.word()),
        ),
        days: days.collect(),
        month_days: month_days.collect(),
        zones: zones(&or("timezone", &zone)),
        events: choices(events, &or("event", "task.status")),
        all: (1..=ROWS).map(|n| row("c", n, "Condition")).collect(),
        any: (1..=ANY_ROWS).map(|n| row("a", n, "Alternative")).collect(),
        has_any: (1..=ANY_ROWS).any(|n| !typed.at(&format!("a{n}_field")).is_empty()),
        actions: choices(
            [("wake", "Wake the agent"), ("task", "Create a task")],
            &or("action", "wake"),
        ),
        priorities: choices(priorities, &or("task_priority", Priority::Medium.word())),
        catch_ups: choices(CatchUp::ALL.iter().map(|one| (one.word(), one.label())), &catch_up),
        overlaps: choices(Overlap::ALL.iter().map(|one| (one.word(), one.label())), &overlap),
        thinkings: choices(thinking, typed.at("thinking")),
        fields: "What is to be done. After an event these stand for what happened: {title}, {status}, {old}, {new}, {actor}, {url}.".to_owned(),
        v: typed,
        shell,
    })
}

fn zone(read: &dyn Read) -> Result<String, RoutineError> {
    let settings = read.get::<Settings>(())?;
    Ok(settings.map_or_else(|| "UTC".to_owned(), |settings| settings.zone))
}

/// An empty form; fields may come along in the address.
pub(super) async fn new(
    ws: Ws,
    shell: Shell,
    Query(typed): Query<Typed>,
) -> Result<Response, PageError> {
    html::page(&ws.read(|snap| page(&ws, snap, (shell, typed), None))?)
}

/// The form of a routine that is there.
pub(super) async fn edit(
    ws: Ws,
    shell: Shell,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let routine = queries::get(snap, id)?;
        let agent = view::agent_of(snap, &routine)?.map_or_else(String::new, |agent| agent.slug);
        page(&ws, snap, (shell, Typed::of(&routine, &agent)), Some(id))
    })?;
    html::page(&page)
}

#[derive(Template)]
#[template(path = "routines/_preview.html")]
struct PreviewPart {
    words: String,
    next: Vec<String>,
}

/// What is being typed, in a sentence, with the next times.
pub(super) async fn preview(ws: Ws, Query(typed): Query<Typed>) -> Result<Response, PageError> {
    let now = ws.app.clock.now();
    let zone = ws.read(|snap| zone(snap))?;
    let (wish, _) = typed.wish();
    let part = match wish.trigger(&zone, now) {
        Ok(trigger) => {
            let zone = match &trigger {
                Trigger::Schedule(schedule) => schedule.zone(),
                Trigger::Event(_) => jiff::tz::TimeZone::UTC,
            };
            let next = view::next_instants(&trigger, now).into_iter();
            PreviewPart {
                words: view::sentence(&trigger),
                next: next.map(|at| view::moment(at, &zone)).collect(),
            }
        }
        // What is wrong is said when the form is sent.
        Err(_) => PreviewPart { words: String::new(), next: Vec::new() },
    };
    html::fragment(&part)
}

/// Makes a routine.
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    keep(app, (ws, who), (hx, shell), typed, None).await
}

/// Changes a routine.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<RoutineId>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    keep(app, (ws, who), (hx, shell), typed, Some(id)).await
}

async fn keep(
    app: App,
    (ws, who): (Ws, Person),
    (hx, shell): (Hx, Shell),
    typed: Typed,
    id: Option<RoutineId>,
) -> Result<Response, PageError> {
    let (wish, wrong) = typed.wish();
    let kept = match wrong.is_empty() {
        true => {
            ws.write(&who, move |tx| {
                let agent = agent(tx, wish.agent.as_deref().unwrap_or_default())?;
                rules::save(tx, id, agent, &wish)
            })
            .await
        }
        false => Err(RoutineError::Invalid(wrong)),
    };
    let error = match kept {
        Ok(routine) => {
            let words = format!("Saved: {}.", view::sentence(&routine.trigger));
            let to = ws.url(&format!("routines/{}", routine.id));
            return Ok(flash::say(&app, Flash::ok(words), hx.go_to(&to)));
        }
        Err(error) => error,
    };
    let condition = error.fields().into_iter().find(|one| one.field.starts_with("conditions"));
    let wrong = Wrong::of(&error)?;
    let mut page = ws.read(|snap| page(&ws, snap, (shell, typed), id))?;
    (page.wrong, page.wrong_condition) =
        (wrong, condition.map(|one| one.message).unwrap_or_default());
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn agent(read: &dyn Read, name: &str) -> Result<AgentId, RoutineError> {
    let found = agents::by_name(&read, name)?;
    found.map(|agent| agent.id).ok_or_else(|| RoutineError::NoAgent(name.to_owned()))
}
