//! `/api/v1/series`: recurring tasks.

use axum::http::StatusCode;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::model::series::{DueAfter, Series};
use features::tasks::queries;
use features::tasks::queries::brief::Names;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::TaskView;
use features::tasks::queries::series::{self, AHEAD, COUNTED, DueFields, SeriesView, SlotView};
use features::tasks::rules::series::{self as rules, NewSeries, SeriesPatch};
use kernel::time::local_text;
use kernel::{
    Assignee, Can, FieldError, MissedPolicy, Priority, Schedule, ScheduleFields, SeriesId,
    Thinking, Timestamp,
};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Path2, sent};
use web::idempotency::Once;
use web::path_words;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    Routes::new()
        .get(
            "/series",
            list.needs(Can::Read)
                .doc(|| Doc::new("Recurring tasks, the next one first").returns::<Listing>()),
        )
        .post(
            "/series",
            create.needs(Can::Write).doc(|| {
                Doc::new("Create a recurring task; each task is created when it is due")
                    .body::<NewBody>()
                    .returns::<SeriesView>()
                    .status(201)
            }),
        )
        .post(
            "/schedules/preview",
            preview.needs(Can::Read).doc(|| {
                Doc::new("Describe a schedule, with its next five occurrences")
                    .body::<ScheduleFields>()
                    .returns::<Preview>()
                    .no_key("it changes nothing")
            }),
        )
        .get(
            "/series/{id}",
            show.needs(Can::Read).doc(|| Doc::new("A recurring task").returns::<SeriesView>()),
        )
        .patch(
            "/series/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change future tasks or their schedule")
                    .if_match()
                    .body::<ChangeBody>()
                    .returns::<SeriesView>()
            }),
        )
        .delete(
            "/series/{id}",
            remove
                .needs(Can::Write)
                .doc(|| Doc::new("Delete a recurring task; its tasks are kept").status(204)),
        )
        .get(
            "/series/{id}/occurrences",
            history.needs(Can::Read).doc(|| {
                Doc::new("Tasks created by a recurring task, newest first").returns::<Slots>()
            }),
        )
        .post(
            "/series/{id}/spawn",
            spawn.needs(Can::Write).doc(|| {
                Doc::new("Create the next task now instead of at its time")
                    .returns::<TaskView>()
                    .status(201)
            }),
        )
        .post(
            "/series/{id}/{verb}",
            act.needs(Can::Write).doc(|| {
                Doc::new("`pause`, or `resume` (continues from now)").returns::<SeriesView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<SeriesView>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Slots {
    items: Vec<SlotView>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Preview {
    /// The schedule in words.
    words: String,
    #[schemars(with = "Vec<String>")]
    next: Vec<Timestamp>,
    /// The same by the clock of whoever asks.
    local: Vec<String>,
}

/// A recurring task to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    title: String,
    /// Markdown.
    #[serde(default)]
    description: String,
    priority: Option<Priority>,
    /// `me`, an agent's slug, a person's handle, an id, or `hq` for HQ itself.
    assignee: Option<String>,
    /// The name or id of a stream.
    stream: Option<String>,
    /// In place of the agent's.
    model: Option<String>,
    /// In place of the agent's.
    thinking: Option<Thinking>,
    /// Names; those that are missing are made with the first task.
    #[serde(default)]
    labels: Vec<String>,
    schedule: ScheduleFields,
    /// What becomes of the open one before; `auto_skip` unless said otherwise.
    missed_policy: Option<MissedPolicy>,
    /// The last day.
    ends_on: Option<String>,
    /// After how many tasks it ends.
    ends_after_count: Option<u32>,
    /// When each is due: on the day of its slot unless said otherwise, `null` for never.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<DueFields>")]
    due_after: Option<Option<DueFields>>,
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    title: Option<String>,
    /// Markdown.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    priority: Option<Priority>,
    /// A slug, handle or id; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    assignee: Option<Option<String>>,
    /// The name or id of a stream; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    stream: Option<Option<String>>,
    /// `null` for the agent's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    model: Option<Option<String>>,
    /// `null` for the agent's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Thinking>")]
    thinking: Option<Option<Thinking>>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Vec<String>>")]
    labels: Option<Option<Vec<String>>>,
    /// The whole schedule.
    schedule: Option<ScheduleFields>,
    missed_policy: Option<MissedPolicy>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    ends_on: Option<Option<String>>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<u32>")]
    ends_after_count: Option<Option<u32>>,
    /// When each is due; `null` for never.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<DueFields>")]
    due_after: Option<Option<DueFields>>,
}

async fn list(ws: Ws, who: Person) -> Result<Json<Listing>, ApiError> {
    let zone = due::zone(&who.zone);
    let items = ws.read(|snap| {
        let names = Names::read(snap)?;
        let all = series::all(snap)?.into_iter();
        all.map(|one| SeriesView::of(snap, &names, (one, &zone))).collect::<Result<_, StoreError>>()
    })?;
    Ok(Json(Listing { items, next: None }))
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<SeriesView>, ApiError> {
    let me = Assignee::Person(who.account);
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let names = Names::read(tx)?;
        let assignee = match body.assignee.as_deref() {
            Some(text) => names.people.find(text, me)?,
            None => None,
        };
        let new = NewSeries {
            title: body.title,
            description: body.description,
            priority: body.priority.unwrap_or(Priority::Medium),
            assignee,
            stream: queries::stream(tx, body.stream.as_deref().unwrap_or_default())?,
            model: body.model,
            thinking: body.thinking,
            labels: body.labels,
            schedule: schedule(&body.schedule, &names, tx.now())?,
            missed: body.missed_policy.unwrap_or(MissedPolicy::AutoSkip),
            ends_on: body.ends_on.as_deref().map(day).transpose()?,
            ends_after: body.ends_after_count,
            due: due(body.due_after)?.unwrap_or_else(|| Some(DueAfter::default())),
        };
        rules::create(tx, new).map(|series| series.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, &who, id)? })
}

/// Parses a schedule; error fields are paths in the request body.
fn schedule(fields: &ScheduleFields, names: &Names, now: Timestamp) -> Result<Schedule, TaskError> {
    let zone = names.zone.iana_name().unwrap_or("UTC");
    fields.read(zone, now).map_err(|faults| {
        let within = |fault: FieldError| FieldError {
            field: format!("schedule.{}", fault.field),
            message: fault.message,
        };
        TaskError::Invalid(faults.into_iter().map(within).collect())
    })
}

fn day(text: &str) -> Result<Date, TaskError> {
    let wrong = |_| TaskError::field("ends_on", "use a date such as 2026-12-31");
    text.trim().parse().map_err(wrong)
}

fn with_etag(ws: &Ws, who: &Person, id: SeriesId) -> Result<Tagged<SeriesView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let (series, rev) = series::get_rev(snap, id)?;
        Ok::<_, TaskError>((
            rev,
            SeriesView::of(snap, &Names::read(snap)?, (series, &due::zone(&who.zone)))?,
        ))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(
    ws: Ws,
    who: Person,
    Path(id): Path<SeriesId>,
) -> Result<Tagged<SeriesView>, ApiError> {
    with_etag(&ws, &who, id)
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(id): Path<SeriesId>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Tagged<SeriesView>, ApiError> {
    let me = Assignee::Person(who.account);
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(tx, id, rev)?;
        let patch = patch(tx, body, me)?;
        rules::update(tx, id, patch).map(|_| ())
    });
    ws.write(&who, changed).await?;
    with_etag(&ws, &who, id)
}

fn patch(tx: &WriteTx<'_>, body: ChangeBody, me: Assignee) -> Result<SeriesPatch, TaskError> {
    let names = Names::read(tx)?;
    let assignee = match body.assignee {
        Some(text) => Some(names.people.find(text.as_deref().unwrap_or("none"), me)?),
        None => None,
    };
    let stream = match body.stream {
        Some(text) => Some(queries::stream(tx, text.as_deref().unwrap_or_default())?),
        None => None,
    };
    let when = body.schedule.as_ref().map(|fields| schedule(fields, &names, tx.now()));
    let ends_on = match body.ends_on {
        Some(Some(text)) => Some(Some(day(&text)?)),
        Some(None) => Some(None),
        None => None,
    };
    Ok(SeriesPatch {
        title: body.title,
        description: body.description.map(Option::unwrap_or_default),
        priority: body.priority,
        assignee,
        stream,
        model: body.model,
        thinking: body.thinking,
        labels: body.labels.map(Option::unwrap_or_default),
        schedule: when.transpose()?,
        missed: body.missed_policy,
        ends_on,
        ends_after: body.ends_after_count,
        due: due(body.due_after)?,
    })
}

/// Parses the due date rule, if given.
fn due(given: Option<Option<DueFields>>) -> Result<Option<Option<DueAfter>>, TaskError> {
    match given {
        Some(Some(fields)) => Ok(Some(Some(fields.read()?))),
        Some(None) => Ok(Some(None)),
        None => Ok(None),
    }
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SeriesId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, once.run(move |tx| rules::remove(tx, id).map(|_| ()))).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn history(ws: Ws, Path(id): Path<SeriesId>) -> Result<Json<Slots>, ApiError> {
    let items = ws.read(|snap| {
        let (names, series) = (Names::read(snap)?, series::get(snap, id)?);
        let used = series::used(snap, series.id, COUNTED)?;
        let views = used.iter().map(|slot| SlotView::of(snap, &names, slot));
        views.collect::<Result<_, StoreError>>().map_err(TaskError::from)
    })?;
    Ok(Json(Slots { items, next: None }))
}

async fn spawn(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SeriesId>,
) -> Result<(StatusCode, Json<TaskView>), ApiError> {
    let made = once.run(move |tx| rules::spawn_now(tx, id).map(|task| task.id));
    let task = ws.write(&who, made).await?;
    let view = ws.read(|snap| {
        let task = queries::get(snap, task)?;
        TaskView::of(snap, &Names::read(snap)?, task)
    })?;
    Ok((StatusCode::CREATED, Json(view)))
}

path_words! {
    /// What can be done to a series with one press.
    Verb {
        Pause = "pause",
        Resume = "resume",
    }
}

async fn act(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(id, verb): Path2<SeriesId, Verb>,
) -> Result<Tagged<SeriesView>, ApiError> {
    let act = once.run(move |tx: &mut WriteTx<'_>| {
        let done: Result<Series, TaskError> = match verb {
            Verb::Pause => rules::pause(tx, id),
            Verb::Resume => rules::resume(tx, id),
        };
        done.map(|_| ())
    });
    ws.write(&who, act).await?;
    with_etag(&ws, &who, id)
}

async fn preview(
    ws: Ws,
    who: Person,
    Json(fields): Json<ScheduleFields>,
) -> Result<Json<Preview>, ApiError> {
    let now = ws.app.clock.now();
    let zone = ws.read(|snap| zone_name(snap))?;
    let schedule = fields.read(&zone, now).map_err(TaskError::Invalid)?;
    let next = schedule.upcoming(now, AHEAD);
    let local = next.iter().map(|at| local_text(*at, &due::zone(&who.zone))).collect();
    Ok(Json(Preview { words: schedule.words(), next, local }))
}

/// The name of the workspace's time zone.
fn zone_name(read: &dyn Read) -> Result<String, StoreError> {
    let settings = read.get::<features::workspace::model::Settings>(())?;
    Ok(settings.map_or_else(|| "UTC".to_owned(), |settings| settings.zone))
}
