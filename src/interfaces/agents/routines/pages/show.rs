//! The page of a routine: schedule, action and firings, with run now, test and pause.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Who as _, Ws};
use features::agents::model::Agent;
use features::agents::queries::Called;
use features::history::queries as history;
use features::routines::conditions::Checked;
use features::routines::model::{Firing, Routine};
use features::routines::queries;
use features::routines::queries::view::{self, Trial};
use features::routines::rules::keep::KEPT_DONE;
use features::routines::rules::{self, RoutineError};
use features::usage::queries::purse::{self, Purse};
use kernel::cursor::DEFAULT_LIMIT;
use kernel::{Can, Fate, Payer, Problem as _, RoutineId, RoutineSession, Timestamp};
use store::{Range, Read, ReadExt as _, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::{Path, Query};
use web::form::sentence;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Dot, Face, Tone};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, format, html};

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoutinePageParams {
    after: String,
}

/// A firing as a row.
struct Line {
    by: &'static str,
    state: &'static str,
    label: &'static str,
    subject: String,
    note: String,
    run: String,
    run_href: String,
    task: String,
    task_href: String,
    /// Number of tasks created from the template.
    parts: String,
    /// Address of "undo" for everything that the firing created.
    undo_href: String,
    at: RelTime,
    took: String,
    instruction: String,
}

/// A task whose result the routine waits for.
struct Waits {
    task: String,
    title: String,
    href: String,
    at: String,
}

struct View {
    live: Live,
    name: String,
    sentence: String,
    action: String,
    dot: Dot,
    stopped: String,
    asks: bool,
    active: bool,
    by_event: bool,
    base: String,
    /// Address of "edit".
    edit: String,
    /// Address of "copy".
    copy: String,
    face: Face,
    agent_href: String,
    instruction: String,
    /// Since when the routine is archived, and until when it is kept.
    done: String,
    next: Vec<String>,
    waits: Vec<Waits>,
    facts: Vec<(&'static str, String)>,
    runs: String,
    failures: u8,
    lines: Vec<Line>,
    more: String,
    may_change: bool,
    history: String,
}

#[derive(Template)]
#[template(path = "routines/show.html")]
struct ShowPage {
    shell: Shell,
    view: View,
    purse: Purse,
}

web::region!(ShowPage, as_state, ShowState, "routines/show-state.html");

/// `GET /routines/{id}`: the routine, or its live region.
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<RoutineId>,
    Query(params): Query<RoutinePageParams>,
) -> Result<Response, PageError> {
    let (view, purse) = ws.read(|snap| {
        let view = view(&ws, &who, snap, id, &params)?;
        let purse = purse::of(&ws, snap, Payer::Routine(id), view.may_change)?;
        Ok::<_, RoutineError>((view, purse))
    })?;
    let page = ShowPage { shell, view, purse };
    match hx.wants("routine") {
        true => html::fragment(&page.as_state()),
        false => html::page(&page),
    }
}

fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    id: RoutineId,
    params: &RoutinePageParams,
) -> Result<View, RoutineError> {
    let routine = queries::get(read, id)?;
    let clock = queries::clock(read, id)?;
    let all_paused = queries::rules(read)?.paused_at.is_some();
    let zone = who.time_zone();
    let now = ws.app.clock.now();
    let base = ws.url(&format!("routines/{id}"));
    let after = cursor_key(&params.after);
    let mut hits = queries::firings(read, id, after.as_deref(), DEFAULT_LIMIT + 1)?;
    let is_more = hits.len() > DEFAULT_LIMIT;
    hits.truncate(DEFAULT_LIMIT);
    let more = match hits.last().filter(|_| is_more) {
        Some(hit) => format!("{base}?after={}", key_cursor(&hit.key)),
        None => String::new(),
    };
    let lines = hits.iter().map(|hit| line(ws, read, (&routine, &hit.record), (now, &zone)));
    let lines = lines.collect::<Result<Vec<_>, RoutineError>>()?;
    let agent = view::agent_of(read, &routine)?;
    let called = Called::among(&read.list::<Agent>(&Range::all())?);
    let face = agent.as_ref().map(|agent| called.face(agent));
    let (state, label) = view::standing(&routine, all_paused);
    let goes = routine.is_on() && !all_paused;
    let instants = if goes { view::coming(&routine, &clock, now) } else { Vec::new() };
    let waits = view::written(read, &clock)?.into_iter().map(|one| Waits {
        href: ws.url(&format!("tasks/{}", one.task)),
        task: one.task,
        title: one.title,
        at: view::moment(one.due_at, &zone),
    });
    Ok(View {
        live: Live::new(format!("{base}?after={}", format::query_value(&params.after)))
            .record("routines", id)
            .table("routine_clocks")
            .table("routine_runs")
            .table("routine_rules")
            .table("inbox")
            .table("runs")
            .table("agents")
            .table("usage")
            .table("budgets"),
        name: routine.name.clone(),
        sentence: view::describe(&routine.trigger, routine.jitter_secs, &who.zone),
        action: view::action_words(
            &routine.action,
            face.as_ref().map_or("an agent", |face| &face.name),
        ),
        dot: Dot::new(state, label),
        stopped: routine.stopped.as_ref().map(|why| format!("Stopped: {why}")).unwrap_or_default(),
        asks: routine.asks,
        active: routine.active,
        by_event: routine.watch().is_some(),
        face: face.unwrap_or_else(Face::nobody),
        agent_href: agent
            .map_or_else(String::new, |agent| ws.url(&format!("agents/{}", agent.slug))),
        instruction: routine.template().to_owned(),
        done: routine.done_at.map_or_else(String::new, |at| {
            let (since, until) = (view::moment(at, &zone), view::moment(at + KEPT_DONE, &zone));
            format!("Done and archived since {since}. Its history stays here until {until}.")
        }),
        next: instants.into_iter().map(|at| view::moment(at, &zone)).collect(),
        waits: waits.collect(),
        facts: facts(&routine),
        runs: format::count(clock.count.into(), "run", "runs"),
        failures: clock.failures,
        lines,
        more,
        may_change: who.access.may(Can::Agents),
        history: history::href::<Routine>(ws, id),
        edit: format!("{base}/edit"),
        copy: ws.url(&format!("routines/new?copy={id}")),
        base,
    })
}

/// Further settings, as far as they differ from the defaults.
fn facts(routine: &Routine) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if routine.schedule().is_some() {
        all.push(("Missed times", routine.catch_up.label().to_owned()));
    }
    all.push(("If the last one is still running", routine.overlap.label().to_owned()));
    if routine.session != RoutineSession::Isolated && routine.action.task().is_none() {
        all.push(("Conversation", routine.session.label().to_owned()));
    }
    if let Some(to) = &routine.deliver_to {
        all.push(("Result goes to", to.label.clone()));
    }
    if routine.delete_when_done {
        all.push(("When done", "Archived with its history".to_owned()));
    }
    if let Some(form) = routine.action.task() {
        all.push(("Priority", form.priority.label().to_owned()));
    }
    if let Some(model) = &routine.model {
        all.push(("Model", model.clone()));
    }
    if let Some(thinking) = routine.thinking {
        all.push(("Thinking", thinking.label().to_owned()));
    }
    if let Some(most) = routine.budget_micros {
        all.push(("Limit per run", format::money(most)));
    }
    if let Some(quiet) = &routine.quiet {
        let clock = |minute: u16| format!("{}:{:02}", minute / 60, minute % 60);
        let words = format!("{} to {}, {}", clock(quiet.from), clock(quiet.until), quiet.zone);
        all.push(("Quiet hours", words));
    }
    all
}

fn line(
    ws: &Ws,
    read: &dyn Read,
    (routine, firing): (&Routine, &Firing),
    (now, zone): (Timestamp, &TimeZone),
) -> Result<Line, RoutineError> {
    let led = view::led(read, routine, firing)?;
    let entry = view::entry_of(read, firing)?;
    let (state, label) = view::state(firing, led.item.as_ref());
    let error = led.item.as_ref().and_then(|item| item.last_error.clone()).unwrap_or_default();
    let count = u64::from(firing.count);
    let many = (1 < count).then(|| format::count(count, "time", "times"));
    let notes = [many.unwrap_or_default(), firing.why.clone(), error];
    let took = led.run.as_ref().and_then(|run| {
        let length = run.ended_at?.duration_since(run.started_at?);
        std::time::Duration::try_from(length).ok().map(format::duration)
    });
    let task = led.made.or(led.about).unwrap_or_default();
    Ok(Line {
        by: firing.by.label(),
        state,
        label,
        subject: firing.subject.clone(),
        note: notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join(" · "),
        run: led.run.as_ref().map_or_else(String::new, |run| run.name()),
        run_href: led
            .run
            .as_ref()
            .map_or_else(String::new, |run| ws.url(&format!("runs/{}", run.name()))),
        task_href: match task.as_str() {
            "" => String::new(),
            name => ws.url(&format!("tasks/{name}")),
        },
        task,
        parts: match led.parts.len() {
            0 => String::new(),
            count => format!("with {}", format::count(count as u64, "part", "parts")),
        },
        undo_href: entry.map_or_else(String::new, |seq| ws.url(&format!("history/entry/{seq}"))),
        at: RelTime::new(firing.at, now, zone),
        took: took.unwrap_or_default(),
        instruction: firing.instruction.clone(),
    })
}

/// The record to use for the action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct With {
    record: String,
}

#[derive(Template)]
#[template(path = "routines/_trial.html")]
struct TrialPart {
    trial: Option<Trial>,
    wrong: String,
}

#[derive(Template)]
#[template(path = "routines/test.html")]
struct TrialPage {
    shell: Shell,
    name: String,
    back: String,
    trial: Option<Trial>,
    wrong: String,
}

/// Formats the times of a trial in a time zone.
fn in_zone(trial: Trial, zone: &TimeZone) -> Trial {
    let format_time = |text: String| match text.parse::<Timestamp>() {
        Ok(at) => view::moment(at, zone),
        Err(_) => text,
    };
    let conditions = trial.conditions.into_iter();
    let conditions =
        conditions.map(|one| Checked { found: format_time(one.found), ..one }).collect();
    let next = trial.next.into_iter().map(format_time).collect();
    Trial { conditions, next, held_until: trial.held_until.map(format_time), ..trial }
}

/// Tests a routine without starting or spending anything.
pub(super) async fn test(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<RoutineId>,
    Query(with): Query<With>,
) -> Result<Response, PageError> {
    let moment = (who.actor(), ws.app.clock.now());
    let (name, tried) = ws.read(|snap| {
        let routine = queries::get(snap, id)?;
        let tried = view::trial(snap, &routine, with.record.trim(), moment);
        Ok::<_, RoutineError>((routine.name, tried))
    })?;
    let (trial, wrong) = match tried {
        Ok(trial) => (Some(trial), String::new()),
        Err(error) if !error.fields().is_empty() => (None, sentence(&error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let zone = who.time_zone();
    let trial = trial.map(|trial| in_zone(trial, &zone));
    if hx.is_partial() {
        return html::fragment(&TrialPart { trial, wrong });
    }
    let back = ws.url(&format!("routines/{id}"));
    html::page(&TrialPage { shell, name, back, trial, wrong })
}

/// Fires a routine now.
pub(super) async fn run(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<RoutineId>,
    FormOnce(with, once): FormOnce<With>,
) -> Result<Response, PageError> {
    let here = ws.url(&format!("routines/{id}"));
    let fire = once.run(move |tx| rules::run_now(tx, id, Some(&with.record)));
    let fired = ws.write(&who, fire).await;
    let flash = match fired {
        Ok(firing) if firing.fate == Fate::Started && !firing.title.is_empty() => {
            match firing.why.as_str() {
                "" => Flash::ok("Created."),
                why => Flash::new(Tone::Warn, format!("Created, but {why}.")),
            }
        }
        Ok(firing) if firing.fate == Fate::Started => Flash::ok("Routine queued."),
        Ok(firing) => Flash::danger(format!("Nothing was started: {}.", firing.why)),
        Err(error) if !error.fields().is_empty() => Flash::danger(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    Ok(flash::say(&app, flash, hx.go_to(&here)))
}

/// Pauses a routine.
pub(super) async fn pause(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| rules::pause(tx, id)).await?;
    Ok(hx.done("Paused. Work it started continues.", &ws.url(&format!("routines/{id}"))))
}

/// Resumes a routine.
pub(super) async fn resume(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| rules::resume(tx, id)).await?;
    Ok(hx.done("Resumed.", &ws.url(&format!("routines/{id}"))))
}

/// Activates a routine that an agent created.
pub(super) async fn approve(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| rules::approve(tx, id)).await?;
    Ok(hx.done("Activated.", &ws.url(&format!("routines/{id}"))))
}

/// Deletes a routine.
pub(super) async fn delete(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<RoutineId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| rules::delete(tx, id)).await?;
    let flash = Flash::ok("Deleted the routine. Work it started continues.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("routines"))))
}
