//! `/api/v1/routines`.

use axum::http::StatusCode;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::queries as agents;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::time::local_text;
use kernel::{AgentId, Can, FiredBy, FiringId, RoutineId, RunId, Timestamp};
use store::{Read, ReadExt, WriteTx, cursor_key, key_cursor};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::routines::model::{Firing, Routine};
use features::routines::queries::view::{self, Trial};
use features::routines::rules::{self, RoutineError};
use features::routines::wish::RoutineRequest;
use features::routines::{queries, registry};

#[must_use]
pub fn routes() -> Routes {
    let one = "/routines/{routine}";
    let listed = || Doc::new("List routines").query::<RoutineListParams>().returns::<Listing>();
    let made =
        || Doc::new("Create a routine").body::<RoutineRequest>().returns::<View>().status(201);
    let changed = || {
        Doc::new("Change a routine; omitted fields get their default")
            .if_match()
            .body::<RoutineRequest>()
            .returns::<View>()
    };
    let approved = || Doc::new("Activate a routine created by an agent").returns::<View>();
    let run = || {
        Doc::new("Run it now, with a record as if its event had happened")
            .body::<RunBody>()
            .returns::<FiringView>()
    };
    let test = || {
        Doc::new("Test it: conditions, instruction, next runs; starts nothing and costs nothing")
            .no_key("it changes nothing")
            .body::<RunBody>()
            .returns::<Trial>()
    };
    Routes::new()
        .get("/routines", list.needs(Can::Read).doc(listed))
        .post("/routines", create.needs(Can::Agents).doc(made))
        .get(
            "/routines/events",
            events.needs(Can::Read).doc(|| {
                Doc::new("The events that routines can wait for, with their fields")
                    .returns::<Events>()
            }),
        )
        .get(
            "/routines/rules",
            get_rules
                .needs(Can::Read)
                .doc(|| Doc::new("Settings for all routines").returns::<Rules>()),
        )
        .patch(
            "/routines/rules",
            set_rules.needs(Can::Admin).doc(|| {
                Doc::new("Pause all routines, or set whether agents' routines need activation")
                    .body::<RulesBody>()
                    .returns::<Rules>()
            }),
        )
        .get(one, get.needs(Can::Read).doc(|| Doc::new("One routine").returns::<View>()))
        .put(one, change.needs(Can::Agents).doc(changed))
        .delete(
            one,
            delete.needs(Can::Agents).doc(|| {
                Doc::new("Delete a routine with its history; work it started continues").status(204)
            }),
        )
        .post(
            "/routines/{routine}/pause",
            pause.needs(Can::Agents).doc(|| Doc::new("Pause it").returns::<View>()),
        )
        .post(
            "/routines/{routine}/resume",
            resume.needs(Can::Agents).doc(|| Doc::new("Resume it from now").returns::<View>()),
        )
        .post("/routines/{routine}/approve", approve.needs(Can::Agents).doc(approved))
        .post("/routines/{routine}/run", run_now.needs(Can::Agents).doc(run))
        .post("/routines/{routine}/test", test_run.needs(Can::Agents).doc(test))
        .get(
            "/routines/{routine}/runs",
            runs.needs(Can::Read).doc(|| {
                Doc::new("Its runs and skipped events, newest first")
                    .query::<FiringListParams>()
                    .returns::<Firings>()
            }),
        )
}

/// Which routines.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RoutineListParams {
    /// Of this agent only.
    agent: Option<String>,
    /// Those that are put away, in place of the others.
    done: bool,
}

/// Which part of a history.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FiringListParams {
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 100.
    limit: Option<usize>,
}

/// A task whose title or description somebody is writing.
#[derive(Serialize, JsonSchema)]
struct WrittenView {
    task: String,
    /// When the routine fires, unless the text changes again.
    fires_at: String,
}

/// A routine and where it stands.
#[derive(Serialize, JsonSchema)]
struct View {
    id: RoutineId,
    agent: AgentId,
    /// `ready`, `paused`, `error` (HQ stopped it), `waiting` (a person has to let it begin) or `done`.
    state: &'static str,
    active: bool,
    /// Whether a person has yet to let it begin.
    asks: bool,
    /// Why HQ stopped it.
    stopped: Option<String>,
    /// When it fires, in words.
    sentence: String,
    /// As it was saved.
    routine: RoutineRequest,
    /// The name of the place to which the result is sent.
    delivers_to: Option<String>,
    /// The next instant of its schedule.
    next_at: Option<String>,
    /// The next five by the clock of whoever asks, such as `2026-11-20T09:00:00+01:00`; none while it stands still.
    next: Vec<String>,
    /// When it fires for that: within its delay.
    fires_at: Option<String>,
    /// Since when it is put away, as what it was for is done.
    done_at: Option<String>,
    /// The tasks whose words it waits for until they rest.
    writing: Vec<WrittenView>,
    last_at: Option<String>,
    /// How often it began something.
    runs: u32,
    /// How many failures came one after the other.
    failures: u8,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<View>,
}

/// What became of a time or an event.
#[derive(Serialize, JsonSchema)]
struct FiringView {
    id: FiringId,
    by: FiredBy,
    /// `queued`, `running`, `done`, `failed`, `cancelled`, `skipped_overlap`, `missed` or `chain_ended`.
    state: &'static str,
    /// Why it began nothing, or what went wrong.
    why: Option<String>,
    /// How many times or events it stands for.
    count: u32,
    /// What it was about.
    subject: Option<String>,
    /// The task that it was about.
    about: Option<String>,
    /// The task that was made.
    task: Option<String>,
    /// Its parts, where they came of a template.
    tasks: Vec<String>,
    /// The entry of the feed in which it began: `POST /undo` with it takes back all that it made.
    entry: Option<u64>,
    run: Option<RunId>,
    at: String,
    held_until: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Firings {
    items: Vec<FiringView>,
    /// Give this back as `after`; none at the end.
    next: Option<String>,
}

/// The record to act with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RunBody {
    /// A task such as `MC-142`, or an agent: for routines that wait for an event.
    record: String,
}

#[derive(Serialize, JsonSchema)]
struct Rules {
    /// Whether a person lets each routine begin that an agent made.
    ask: bool,
    /// Since when none fires.
    paused_at: Option<String>,
}

/// What is to hold; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RulesBody {
    /// Whether a person lets each routine begin that an agent made.
    ask: Option<bool>,
    /// Whether none fires.
    paused: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
struct FieldView {
    name: &'static str,
    about: &'static str,
    /// `text`, `list`, `word`, `number`, `yes_no`, `moment` or `time`: what it is compared with.
    r#type: &'static str,
    /// What it can be, if that is known.
    values: &'static [&'static str],
}

#[derive(Serialize, JsonSchema)]
struct EventView {
    event: &'static str,
    about: &'static str,
    /// What it belongs to.
    group: &'static str,
    fields: Vec<FieldView>,
}

#[derive(Serialize, JsonSchema)]
struct Events {
    items: Vec<EventView>,
}

/// The current time and the reader's time zone.
fn now_of(ws: &Ws, who: &Person) -> (Timestamp, TimeZone) {
    (ws.app.clock.now(), who.time_zone())
}

fn view(
    read: &dyn Read,
    (routine, all_paused): (&Routine, bool),
    (now, zone): (Timestamp, TimeZone),
) -> Result<View, RoutineError> {
    let clock = queries::clock(read, routine.id)?;
    let goes = routine.is_on() && !all_paused;
    let next = if goes { view::coming(routine, &clock, now) } else { Vec::new() };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let writing = view::written(read, &clock)?.into_iter();
    let writing =
        writing.map(|one| WrittenView { task: one.task, fires_at: one.due_at.to_string() });
    Ok(View {
        id: routine.id,
        agent: routine.agent,
        state: view::standing(routine, all_paused).0,
        active: routine.active,
        asks: routine.asks,
        stopped: routine.stopped.clone(),
        sentence: view::when(routine),
        routine: RoutineRequest::from(routine),
        delivers_to: routine.deliver_to.as_ref().map(|to| to.label.clone()),
        next_at: text(clock.next_at),
        next: next.into_iter().map(|at| local_text(at, &zone)).collect(),
        fires_at: text(clock.next_at.map(|at| clock.fires_at(at))),
        done_at: text(routine.done_at),
        writing: writing.collect(),
        last_at: text(clock.last_at),
        runs: clock.count,
        failures: clock.failures,
        created_at: routine.created_at.to_string(),
        updated_at: routine.updated_at.to_string(),
    })
}

fn with_etag(ws: &Ws, who: &Person, id: RoutineId) -> Result<Tagged<View>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let (routine, rev) = queries::get_rev(snap, id)?;
        let paused = queries::rules(snap)?.paused_at.is_some();
        Ok::<_, RoutineError>((rev, view(snap, (&routine, paused), now_of(ws, who))?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn list(
    ws: Ws,
    who: Person,
    Query(params): Query<RoutineListParams>,
) -> Result<Json<Listing>, ApiError> {
    let items = ws.read(|snap| {
        let of = match params.agent.as_deref() {
            Some(name) => Some(agent(snap, name)?),
            None => None,
        };
        let all = match of {
            _ if params.done => queries::done(snap, of)?,
            Some(agent) => queries::of_agent(snap, agent)?,
            None => queries::all(snap)?,
        };
        let paused = queries::rules(snap)?.paused_at.is_some();
        let now = now_of(&ws, &who);
        let views = all.iter().map(|routine| view(snap, (routine, paused), now.clone()));
        views.collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Json(Listing { items }))
}

/// The agent with this name.
fn agent(read: &dyn Read, name: &str) -> Result<AgentId, RoutineError> {
    let found = agents::by_name(&read, name)?;
    found.map(|agent| agent.id).ok_or_else(|| RoutineError::NoAgent(name.to_owned()))
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(wish): Json<RoutineRequest>,
) -> Result<Tagged<View>, ApiError> {
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let agent = agent(tx, wish.agent.as_deref().unwrap_or_default())?;
        rules::save(tx, None, agent, &wish).map(|routine| routine.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, &who, id)? })
}

async fn get(ws: Ws, who: Person, Path(id): Path<RoutineId>) -> Result<Tagged<View>, ApiError> {
    with_etag(&ws, &who, id)
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(id): Path<RoutineId>,
    Json(wish): Json<RoutineRequest>,
) -> Result<Tagged<View>, ApiError> {
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(tx, id, rev)?;
        let agent = match wish.agent.as_deref() {
            Some(name) => agent(tx, name)?,
            None => queries::get(tx, id)?.agent,
        };
        rules::save(tx, Some(id), agent, &wish).map(|_| ())
    });
    ws.write(&who, changed).await?;
    with_etag(&ws, &who, id)
}

async fn delete(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<RoutineId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, once.run(move |tx| rules::delete(tx, id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<RoutineId>,
) -> Result<Tagged<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::pause(tx, id).map(|_| ()))).await?;
    with_etag(&ws, &who, id)
}

async fn resume(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<RoutineId>,
) -> Result<Tagged<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::resume(tx, id).map(|_| ()))).await?;
    with_etag(&ws, &who, id)
}

async fn approve(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<RoutineId>,
) -> Result<Tagged<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::approve(tx, id).map(|_| ()))).await?;
    with_etag(&ws, &who, id)
}

async fn run_now(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<RoutineId>,
    Json(body): Json<RunBody>,
) -> Result<Json<FiringView>, ApiError> {
    let fired = once.run(move |tx: &mut WriteTx<'_>| {
        rules::run_now(tx, id, Some(&body.record)).map(|firing| firing.id)
    });
    let firing = ws.write(&who, fired).await?;
    let view = ws.read(|snap| {
        let found = snap.get::<Firing>(firing)?;
        let firing = found.ok_or_else(|| RoutineError::NotFound(id.to_string()))?;
        firing_view(snap, &queries::get(snap, id)?, firing)
    })?;
    Ok(Json(view))
}

async fn test_run(
    ws: Ws,
    who: Person,
    Path(id): Path<RoutineId>,
    Json(body): Json<RunBody>,
) -> Result<Json<Trial>, ApiError> {
    let by = app::Who::actor(&who);
    let now = ws.app.clock.now();
    let trial = ws.read(|snap| {
        let routine = queries::get(snap, id)?;
        view::trial(snap, &routine, body.record.trim(), (by, now))
    })?;
    Ok(Json(trial))
}

fn firing_view(
    read: &dyn Read,
    routine: &Routine,
    firing: Firing,
) -> Result<FiringView, RoutineError> {
    let led = view::led(read, routine, &firing)?;
    let entry = view::entry_of(read, &firing)?;
    let (state, _) = view::state(&firing, led.item.as_ref());
    let error = led.item.as_ref().and_then(|item| item.last_error.clone());
    Ok(FiringView {
        id: firing.id,
        by: firing.by,
        state,
        why: Some(firing.why).filter(|why| !why.is_empty()).or(error),
        count: firing.count,
        subject: Some(firing.subject).filter(|subject| !subject.is_empty()),
        about: led.about,
        task: led.made,
        tasks: led.parts,
        entry,
        run: led.run.map(|run| run.id),
        at: firing.at.to_string(),
        held_until: firing.held_until.map(|at| at.to_string()),
    })
}

async fn runs(
    ws: Ws,
    Path(id): Path<RoutineId>,
    Query(params): Query<FiringListParams>,
) -> Result<Json<Firings>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = match params.after.as_deref() {
        None => None,
        Some(text) => Some(
            cursor_key(text)
                .ok_or_else(|| ApiError::invalid("after", "use the `next` of the previous page"))?,
        ),
    };
    let page = ws.read(|snap| {
        let routine = queries::get(snap, id)?;
        let mut hits = queries::firings(snap, id, after.as_deref(), limit + 1)?;
        let more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits.last().filter(|_| more).map(|hit| key_cursor(&hit.key));
        let items = hits.into_iter().map(|hit| firing_view(snap, &routine, hit.record));
        Ok::<_, RoutineError>(Firings { items: items.collect::<Result<_, _>>()?, next })
    })?;
    Ok(Json(page))
}

async fn events() -> Result<Json<Events>, ApiError> {
    let field = |field: &registry::Field| FieldView {
        name: field.name,
        about: field.label,
        r#type: field.of.word(),
        values: field.of.words(),
    };
    let event = |kind: &registry::Kind| EventView {
        event: kind.word,
        about: kind.label,
        group: kind.group,
        fields: kind.fields().map(field).collect(),
    };
    Ok(Json(Events { items: registry::all().map(event).collect() }))
}

fn all_rules(ws: &Ws) -> Result<Json<Rules>, ApiError> {
    let rules = ws.read(|snap| queries::rules(snap))?;
    Ok(Json(Rules { ask: rules.ask, paused_at: rules.paused_at.map(|at| at.to_string()) }))
}

async fn get_rules(ws: Ws) -> Result<Json<Rules>, ApiError> {
    all_rules(&ws)
}

async fn set_rules(
    ws: Ws,
    who: Person,
    once: Once,
    Patch(body): Patch<RulesBody>,
) -> Result<Json<Rules>, ApiError> {
    let set = once.run(move |tx: &mut WriteTx<'_>| {
        if let Some(ask) = body.ask {
            rules::set_ask(tx, ask)?;
        }
        match body.paused {
            Some(paused) => rules::pause_all(tx, paused),
            None => Ok(()),
        }
    });
    ws.write(&who, set).await?;
    all_rules(&ws)
}
