//! The form of a new or existing routine, with a preview in words.

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use features::agents::queries::{self as agents, Called};
use features::history::queries::meanwhile;
use features::inbox::queries::pace;
use features::routines::conditions::{MOST, Op};
use features::routines::model::{Action, Routine, Trigger};
use features::routines::queries::{self, view};
use features::routines::registry::{self, Kind, VIEW};
use features::routines::rules::{self, RoutineError};
use features::runs::queries as runs;
use features::tasks::model::template::Template as TaskTemplate;
use features::tasks::queries::people::People;
use features::tasks::queries::{looks, templates};
use features::usage::queries as usage;
use features::workspace::model::Settings;
use jiff::{SignedDuration, Timestamp};
use kernel::vocab::CadenceKind;
use kernel::{
    AccountId, AgentId, Assignee, CatchUp, Overlap, Priority, Problem as _, RoutineId,
    RoutineSession, Thinking,
};
use store::{Read, ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::form::{EditConflict, Wrong};
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::zones;
use web::{flash, format, html};

use super::record_choices;
use super::typed::{ANY_ROWS, ROWS, RoutineForm};

/// Kinds of repetition, in the order of the form.
const CADENCES: [(CadenceKind, &str); 9] = [
    (CadenceKind::EveryNMinutes, "Every few minutes"),
    (CadenceKind::EveryNHours, "Every few hours"),
    (CadenceKind::Daily, "Daily"),
    (CadenceKind::Weekdays, "Weekdays"),
    (CadenceKind::Weekly, "Weekly"),
    (CadenceKind::Monthly, "Monthly"),
    (CadenceKind::EveryNDays, "Every few days"),
    (CadenceKind::Cron, "Cron expression"),
    (CadenceKind::Once, "Once"),
];
/// The event preselected in a new routine.
const USUAL_EVENT: &str = "task.status";
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A condition row of the form.
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
    v: RoutineForm,
    wrong: Wrong,
    since: EditConflict,
    wrong_condition: String,
    agents: Vec<Choice>,
    whens: Vec<Choice>,
    cadences: Vec<Choice>,
    days: Vec<Choice>,
    quiet_days: Vec<Choice>,
    month_days: Vec<Choice>,
    zones: Vec<Choice>,
    events: Vec<EventGroup>,
    /// Address that returns the fields of another event or the roles of another template.
    fields_url: String,
    /// Address that shows a new routine with other fields again, without script.
    again_url: String,
    roles_url: String,
    events_url: String,
    known: Vec<KnownField>,
    templates: Vec<Choice>,
    roles: Vec<Role>,
    all: Vec<ConditionRow>,
    any: Vec<ConditionRow>,
    has_any: bool,
    actions: Vec<Choice>,
    priorities: Vec<Choice>,
    catch_ups: Vec<Choice>,
    overlaps: Vec<Choice>,
    thinkings: Vec<Choice>,
    sessions: Vec<Choice>,
    /// Where the result can be sent; empty without channels.
    places: Vec<Choice>,
}

web::region!(FormPage, as_conditions, FormConditions, "routines/form-conditions.html");
web::region!(FormPage, as_roles, FormRoles, "routines/form-roles.html");

/// Events grouped in the choice.
struct EventGroup {
    label: &'static str,
    choices: Vec<Choice>,
}

/// A field of the event, listed as help for conditions and instructions.
struct KnownField {
    name: String,
    label: String,
    /// The type or the allowed values.
    of: String,
}

/// A role of the selected template.
struct Role {
    n: usize,
    name: String,
    choices: Vec<Choice>,
}

fn choices<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: &str) -> Vec<Choice> {
    all.into_iter().map(|(word, label)| Choice::new(word, label, word == chosen)).collect()
}

fn condition_row(
    form: &RoutineForm,
    (kind, more): (Option<&'static Kind>, &[(String, String)]),
    (row, label): (String, String),
) -> ConditionRow {
    let chosen = form.at(&format!("{row}_field")).to_owned();
    let mut known: Vec<(&str, &str)> = vec![("", "—")];
    known.extend(kind.iter().flat_map(|kind| kind.fields()).map(|one| (one.name, one.label)));
    known.extend(more.iter().map(|(field, label)| (field.as_str(), label.as_str())));
    // A field of another event stays listed, so that no input is lost.
    if !known.iter().any(|(name, _)| *name == chosen) {
        known.push((&chosen, &chosen));
    }
    let op = form.at(&format!("{row}_op"));
    ConditionRow {
        fields: choices(known, &chosen),
        ops: choices(Op::ALL.map(|op| (op.word(), op.label())), op),
        value: form.at(&format!("{row}_value")).to_owned(),
        row,
        label,
    }
}

/// Pseudo-fields that count the tasks of shared saved views, with labels.
fn views(read: &dyn Read, me: AccountId) -> Result<Vec<(String, String)>, RoutineError> {
    let all = looks::all(read, me)?.into_iter().filter(|view| view.shared);
    let one = |view: looks::View| {
        (format!("{VIEW}{}", view.slug), format!("the number of tasks in {}", view.name))
    };
    Ok(all.map(one).collect())
}

/// The custom fields of the event's records, with labels.
fn own_fields(
    read: &dyn Read,
    kind: Option<&'static Kind>,
) -> Result<Vec<(String, String)>, StoreError> {
    kind.and_then(Kind::rows).map_or_else(|| Ok(Vec::new()), |rows| rows.own_fields(read))
}

/// Describes an event's fields and its records' custom fields.
fn known_fields(kind: Option<&'static Kind>, own: &[(String, String)]) -> Vec<KnownField> {
    let one = |field: &'static registry::Field| KnownField {
        name: field.name.to_owned(),
        label: field.label.to_owned(),
        of: match field.of.words() {
            [] => field.of.word().replace('_', " "),
            words => words.join(", "),
        },
    };
    let own = own.iter().map(|(name, label)| KnownField {
        name: name.clone(),
        label: label.clone(),
        of: "text".to_owned(),
    });
    kind.iter().flat_map(|kind| kind.fields()).map(one).chain(own).collect()
}

/// The roles of the selected template, with the candidates for each.
fn roles(
    read: &dyn Read,
    all: &[TaskTemplate],
    form: &RoutineForm,
) -> Result<Vec<Role>, RoutineError> {
    let wanted = form.at("template");
    let is = |template: &&TaskTemplate| {
        template.id.to_string() == wanted || template.name.eq_ignore_ascii_case(wanted)
    };
    let Some(template) = all.iter().find(is) else { return Ok(Vec::new()) };
    let people = People::read(read)?;
    let chosen: Vec<(String, String)> = form.roles().collect();
    let one = |(n, name): (usize, String)| {
        let who = chosen.iter().find(|(role, _)| *role == name).map_or("", |(_, who)| who.as_str());
        let found = if who.is_empty() { None } else { people.find(who, Assignee::System).ok() };
        let usual = match people.agent_called(&name) {
            Some(agent) => people.name(Assignee::Agent(agent.id)),
            None => "Unassigned (no such agent)".to_owned(),
        };
        let mut choices = vec![
            Choice::new("", usual, who.is_empty()),
            Choice::new("none", "Unassigned", found == Some(None)),
        ];
        let named = people.names().into_iter().map(|(handle, label)| {
            let own = people.find(&handle, Assignee::System).ok().flatten();
            let is = own.is_some() && found == Some(own);
            Choice::new(handle, label, is)
        });
        choices.extend(named);
        Role { n, name, choices }
    };
    Ok(templates::roles(&template.items).into_iter().enumerate().map(one).collect())
}

/// The form page with the current input.
fn page(
    ws: &Ws,
    read: &dyn Read,
    (shell, form, me): (Shell, RoutineForm, AccountId),
    id: Option<RoutineId>,
) -> Result<FormPage, RoutineError> {
    let all_templates = templates::all(read)?;
    let event = match form.at("event") {
        "" => USUAL_EVENT,
        word => word,
    };
    let kind = registry::kind(event);
    let own = own_fields(read, kind)?;
    let more = [own.clone(), views(read, me)?].concat();
    let base = ws.url("routines");
    let agents = agents::all(&read)?;
    let called = Called::among(&agents);
    let agents = agents.iter().map(|agent| {
        let chosen = form.at("agent") == agent.slug;
        Choice::new(&agent.slug, called.name(agent), chosen)
    });
    let or = |field: &str, usual: &str| match form.at(field) {
        "" => usual.to_owned(),
        chosen => chosen.to_owned(),
    };
    let week = |prefix: &str| -> Vec<Choice> {
        let day = |(n, label): (i32, &'static str)| {
            let name = format!("{prefix}{n}");
            let chosen = !form.at(&name).is_empty();
            Choice::new(name, label, chosen)
        };
        (1..=7).zip(DAYS).map(day).collect()
    };
    let month_day = form.at("day_of_month");
    let month_days = (1..=31).map(|day: i32| (day.to_string(), day.to_string()));
    let month_days = month_days.chain([("-1".to_owned(), "Last day".to_owned())]);
    let month_days = month_days.map(|(value, label)| {
        let chosen = value == month_day;
        Choice::new(value, label, chosen)
    });
    let catch_up = or("catch_up", CatchUp::One.word());
    let usual = if form.at("when") == "event" { Overlap::Queue } else { Overlap::Skip };
    let overlap = or("overlap", usual.word());
    let thinking = std::iter::once(("", "Agent default"));
    let thinking = thinking.chain(Thinking::ALL.iter().map(|one| (one.word(), one.label())));
    let priorities = Priority::ALL.iter().rev().map(|one| (one.word(), one.label()));
    let group = |(label, kinds): (&'static str, Vec<&'static Kind>)| EventGroup {
        label,
        choices: choices(kinds.into_iter().map(|kind| (kind.word, kind.label)), event),
    };
    let row = |prefix: &str, n: usize, label: &str| {
        let row = (format!("{prefix}{n}"), format!("{label} {n}"));
        condition_row(&form, (kind, &more), row)
    };
    let here = id.map_or_else(|| base.clone(), |id| format!("{base}/{id}"));
    Ok(FormPage {
        title: if id.is_some() { "Edit routine" } else { "New routine" }.to_owned(),
        action: here.clone(),
        back: here,
        preview_url: format!("{base}/preview"),
        button: if id.is_some() { "Save changes" } else { "Create routine" },
        wrong: Wrong::none(),
        since: EditConflict::default(),
        wrong_condition: String::new(),
        agents: agents.collect(),
        whens: choices(
            [("schedule", "On a schedule"), ("event", "After an event")],
            &or("when", "schedule"),
        ),
        cadences: choices(
            CADENCES.map(|(kind, label)| (kind.word(), label)),
            &or("cadence_type", CadenceKind::Weekdays.word()),
        ),
        days: week("day_"),
        quiet_days: week("quiet_day_"),
        month_days: month_days.collect(),
        zones: zones(&or("timezone", &zone(read)?)),
        events: registry::groups().into_iter().map(group).collect(),
        fields_url: format!("{base}/fields"),
        again_url: if id.is_none() { format!("{base}/new") } else { String::new() },
        roles_url: format!("{base}/roles"),
        events_url: format!("{base}/events"),
        known: known_fields(kind, &own),
        templates: record_choices::templates(&all_templates, form.at("template")),
        roles: roles(read, &all_templates, &form)?,
        all: (1..=form.rows("c", ROWS)).map(|n| row("c", n, "Condition")).collect(),
        any: (1..=form.rows("a", ANY_ROWS)).map(|n| row("a", n, "Alternative")).collect(),
        has_any: (1..=MOST).any(|n| !form.at(&format!("a{n}_field")).is_empty()),
        actions: choices(
            [("wake", "Run the agent"), ("task", "Create a task")],
            &or("action", "wake"),
        ),
        priorities: choices(priorities, &or("task_priority", Priority::Medium.word())),
        catch_ups: choices(CatchUp::ALL.iter().map(|one| (one.word(), one.label())), &catch_up),
        overlaps: choices(Overlap::ALL.iter().map(|one| (one.word(), one.label())), &overlap),
        thinkings: choices(thinking, form.at("thinking")),
        sessions: choices(
            RoutineSession::ALL.iter().map(|one| (one.word(), one.label())),
            form.at("session"),
        ),
        places: record_choices::places(read, &form)?,
        v: form,
        shell,
    })
}

fn zone(read: &dyn Read) -> Result<String, RoutineError> {
    Ok(read.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |settings| settings.zone))
}

/// An empty form, prefilled from the address or from a routine to copy.
pub(super) async fn new(
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(form): Query<RoutineForm>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let form = match form.at("copy").parse::<RoutineId>() {
            Ok(id) => {
                let routine = queries::get(snap, id)?;
                let agent = view::agent_of(snap, &routine)?.map(|agent| agent.slug);
                let mut copy = RoutineForm::of(&routine, &agent.unwrap_or_default());
                copy.set("name", format!("Copy of {}", routine.name));
                copy
            }
            Err(_) => form,
        };
        page(&ws, snap, (shell, form, who.account), None)
    })?;
    html::page(&page)
}

/// The form with the current input.
fn of_typed(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    form: RoutineForm,
) -> Result<FormPage, RoutineError> {
    ws.read(|snap| page(ws, snap, (shell, form, who.account), None))
}

/// The conditions part for the selected event.
pub(super) async fn fields(
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(form): Query<RoutineForm>,
) -> Result<Response, PageError> {
    html::fragment(&of_typed(&ws, &who, shell, form)?.as_conditions())
}

/// The roles part for the selected template.
pub(super) async fn roles_of(
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(form): Query<RoutineForm>,
) -> Result<Response, PageError> {
    html::fragment(&of_typed(&ws, &who, shell, form)?.as_roles())
}

/// The form of an existing routine.
pub(super) async fn edit(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let (routine, rev) = queries::get_rev(snap, id)?;
        let agent = view::agent_of(snap, &routine)?.map(|agent| agent.slug);
        let mut form = RoutineForm::of(&routine, &agent.unwrap_or_default());
        form.set("rev", rev.to_string());
        page(&ws, snap, (shell, form, who.account), Some(id))
    })?;
    html::page(&page)
}

#[derive(Template, Default)]
#[template(path = "routines/_preview.html")]
struct PreviewPart {
    words: String,
    /// What the routine starts.
    does: String,
    next: Vec<String>,
    /// The task titles of the template, as written there.
    tasks: Vec<String>,
    /// Frequency and cost of a frequent schedule; otherwise empty.
    often: String,
}

/// From this many firings a day, the preview states the cost.
const OFTEN: usize = 48;
/// How many of the agent's last runs the cost estimate uses.
const LAST_RUNS: usize = 20;

/// Estimates how often a schedule fires in a day, how many of those runs its agent starts, and what its last runs cost.
fn often(
    tx: &dyn Read,
    trigger: &Trigger,
    agent: &str,
    now: Timestamp,
) -> Result<String, StoreError> {
    let Trigger::Schedule(schedule) = trigger else { return Ok(String::new()) };
    let day = now + SignedDuration::from_hours(24);
    let times = schedule.upcoming(now, 1_440).into_iter().filter(|at| *at <= day).count();
    if times < OFTEN {
        return Ok(String::new());
    }
    let mut text = format!("{} times a day", format::grouped(times as u64));
    let Some(agent) = agents::by_name(tx, agent)? else { return Ok(text) };
    let most = pace::of(tx, agent.id)?.per_hour.unwrap_or(pace::PER_HOUR);
    if usize::from(most) * 24 < times {
        text.push_str(&format!(
            "; {} starts at most {} per hour",
            agent.name,
            format::count(u64::from(most), "item", "items")
        ));
    }
    let (mut sum, mut count) = (0, 0);
    for hit in runs::of_agent(tx, agent.id, None, LAST_RUNS)? {
        if hit.record.ended_at.is_some() {
            sum += usage::run_cost(tx, hit.record.id)?;
            count += 1;
        }
    }
    if 0 < sum {
        let one = sum / count;
        let day = one * i64::try_from(times.min(usize::from(most) * 24)).unwrap_or(i64::MAX);
        let (one, day) = (format::money(one), format::money(day));
        text.push_str(&format!("; about {day} a day at {one} per run"));
    }
    Ok(text)
}

/// The current input as a sentence, with the next firing times.
pub(super) async fn preview(
    ws: Ws,
    who: Person,
    Query(form): Query<RoutineForm>,
) -> Result<Response, PageError> {
    let now = ws.app.clock.now();
    let (zone, wish, template) = ws.read(|snap| {
        let zone = zone(snap)?;
        let (wish, _) = form.wish(&zone, now);
        let name = wish.task.as_ref().and_then(|task| task.template());
        let template = name.and_then(|name| templates::resolve(snap, name).ok());
        Ok::<_, RoutineError>((zone, wish, template))
    })?;
    let items = template.into_iter().flat_map(|template| template.items);
    let tasks: Vec<String> = items.map(|item| item.title).collect();
    let part = match wish.trigger(&zone, now) {
        Ok(trigger) => {
            let zone = who.time_zone();
            let next = view::next_instants(&trigger, now).into_iter();
            let agent = wish.agent.as_deref().unwrap_or_default();
            let (agent, often) = ws.read(|snap| {
                let often = often(snap, &trigger, agent, now)?;
                Ok::<_, StoreError>((agents::by_name(snap, agent)?, often))
            })?;
            let name = agent.map_or_else(|| "an agent".to_owned(), |agent| agent.name);
            PreviewPart {
                words: view::describe(&trigger, wish.jitter_secs.unwrap_or_default(), &who.zone),
                does: match &wish.task {
                    Some(task) if task.unassigned => "a task is created".to_owned(),
                    Some(_) => format!("{name} gets a task"),
                    None => view::action_words(&Action::Wake, &name),
                },
                next: next.map(|at| view::moment(at, &zone)).collect(),
                tasks,
                often,
            }
        }
        // Errors are reported when the form is submitted.
        Err(_) => PreviewPart { tasks, ..PreviewPart::default() },
    };
    html::fragment(&part)
}

/// Creates a routine.
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<RoutineForm>,
) -> Result<Response, PageError> {
    keep(app, (ws, who), (hx, shell), (form, once), None).await
}

/// Saves a routine.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<RoutineId>,
    Form(form): Form<RoutineForm>,
) -> Result<Response, PageError> {
    keep(app, (ws, who), (hx, shell), (form, Once::without_key()), Some(id)).await
}

async fn keep(
    app: App,
    (ws, who): (Ws, Person),
    (hx, shell): (Hx, Shell),
    (mut form, once): (RoutineForm, Once),
    id: Option<RoutineId>,
) -> Result<Response, PageError> {
    let zone = ws.read(|snap| zone(snap))?;
    let (wish, wrong) = form.wish(&zone, ws.app.clock.now());
    let rev = form.at("rev").parse().ok();
    let kept = match wrong.is_empty() {
        true => {
            let save = move |tx: &mut WriteTx<'_>| {
                if let Some(id) = id {
                    rules::check_rev(tx, id, rev)?;
                }
                let agent = agent(tx, wish.agent.as_deref().unwrap_or_default())?;
                rules::save(tx, id, agent, &wish)
            };
            ws.write(&who, once.run(save)).await
        }
        false => Err(RoutineError::Invalid(wrong)),
    };
    let error = match kept {
        Ok(routine) => {
            let when = view::describe(&routine.trigger, routine.jitter_secs, &who.zone);
            let words = format!("Saved: {when}.");
            let to = ws.url(&format!("routines/{}", routine.id));
            return Ok(flash::say(&app, Flash::ok(words), hx.go_to(&to)));
        }
        Err(error) => error,
    };
    let condition = error.fields().into_iter().find(|one| one.field.starts_with("conditions"));
    let since = match id {
        Some(id) => ws.read(|snap| {
            meanwhile::after::<Routine>(&ws, &who, snap, (id, form.at("rev")), &error)
        })?,
        None => EditConflict::default(),
    };
    let wrong = if since.is_told() { Wrong::none() } else { Wrong::of(&error)? };
    if since.is_told() {
        form.set("rev", since.rev.as_str());
    }
    let mut page = ws.read(|snap| page(&ws, snap, (shell, form, who.account), id))?;
    (page.wrong, page.wrong_condition) =
        (wrong, condition.map(|one| one.message).unwrap_or_default());
    page.since = since;
    html::document(page.since.status(), &page)
}

fn agent(read: &dyn Read, name: &str) -> Result<AgentId, RoutineError> {
    let found = agents::by_name(&read, name)?;
    found.map(|agent| agent.id).ok_or_else(|| RoutineError::NoAgent(name.to_owned()))
}
