//! `/api/v1/streams`.

use axum::http::StatusCode;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::streams::model::Stream;
use features::streams::queries::{self, StreamError};
use features::streams::rules::{self, NewStream, StreamPatch};
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::WhoView;
use features::tasks::queries::marks;
use kernel::{Assignee, Can, FieldError, Hue, StreamId, StreamKind, TaskStatus, Timestamp};
use store::{Read, StoreError, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/streams",
            list.needs(Can::Read)
                .doc(|| Doc::new("Streams, in their order").query::<Asked>().returns::<Streams>()),
        )
        .post(
            "/streams",
            create.needs(Can::Write).doc(|| {
                Doc::new("Make a stream: a group of tasks with one goal")
                    .body::<NewBody>()
                    .returns::<StreamView>()
                    .status(201)
            }),
        )
        .get(
            "/streams/{stream}",
            show.needs(Can::Read).doc(|| {
                Doc::new("A stream, by its name or id, with how far it is").returns::<StreamView>()
            }),
        )
        .patch(
            "/streams/{stream}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change a stream, archive it or bring it back")
                    .if_match()
                    .body::<ChangeBody>()
                    .returns::<StreamView>()
            }),
        )
}

/// Which streams.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// The archived ones in place of the others.
    archived: bool,
}

#[derive(Serialize, JsonSchema)]
struct Streams {
    items: Vec<StreamView>,
    next: Option<String>,
}

/// How many tasks of a stream stand where; archived ones are left out.
#[derive(Serialize, JsonSchema)]
struct Progress {
    todo: usize,
    in_progress: usize,
    blocked: usize,
    done: usize,
    cancelled: usize,
    missed: usize,
}

/// A stream.
#[derive(Serialize, JsonSchema)]
struct StreamView {
    id: StreamId,
    name: String,
    description: String,
    colour: Hue,
    icon: String,
    kind: StreamKind,
    /// Markdown.
    goal: String,
    lead: Option<WhoView>,
    #[schemars(with = "Option<String>")]
    target_date: Option<Date>,
    tasks: Progress,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
    #[schemars(with = "Option<String>")]
    archived_at: Option<Timestamp>,
}

fn view(read: &dyn Read, names: &Names, stream: Stream) -> Result<StreamView, StoreError> {
    let counts = marks::in_stream(read, stream.id)?;
    let count = |status: TaskStatus| counts.get(&status).copied().unwrap_or(0);
    Ok(StreamView {
        id: stream.id,
        name: stream.name,
        description: stream.description,
        colour: stream.colour,
        icon: stream.icon,
        kind: stream.kind,
        goal: stream.goal,
        lead: stream.lead.map(|who| WhoView::of(names, who)),
        target_date: stream.target_date,
        tasks: Progress {
            todo: count(TaskStatus::Todo),
            in_progress: count(TaskStatus::InProgress),
            blocked: count(TaskStatus::Blocked),
            done: count(TaskStatus::Done),
            cancelled: count(TaskStatus::Cancelled),
            missed: count(TaskStatus::Missed),
        },
        created_at: stream.created_at,
        updated_at: stream.updated_at,
        archived_at: stream.archived_at,
    })
}

async fn list(ws: Ws, Query(asked): Query<Asked>) -> Result<Json<Streams>, ApiError> {
    let items = ws.read(|snap| {
        let names = Names::read(snap)?;
        let all = queries::all(snap)?.into_iter();
        let shown = all.filter(|stream| stream.archived_at.is_some() == asked.archived);
        let views: Result<Vec<_>, StoreError> =
            shown.map(|stream| view(snap, &names, stream)).collect();
        Ok::<_, StreamError>(views?)
    })?;
    Ok(Json(Streams { items, next: None }))
}

/// A stream to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    #[serde(default)]
    description: String,
    /// One that follows from the name when there is none.
    colour: Option<Hue>,
    /// One emoji.
    #[serde(default)]
    icon: String,
    kind: Option<StreamKind>,
    /// Markdown, at most 2,000 characters.
    #[serde(default)]
    goal: String,
    /// `me`, an agent's slug, a person's handle, or an id.
    lead: Option<String>,
    /// A day (`2026-11-20`).
    target_date: Option<String>,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<StreamView>, ApiError> {
    let me = Assignee::Person(who.account);
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let new = NewStream {
            description: body.description,
            colour: body.colour,
            icon: body.icon,
            kind: body.kind.unwrap_or(StreamKind::Custom),
            goal: body.goal,
            lead: lead(tx, body.lead.as_deref().unwrap_or("none"), me)?,
            target_date: queries::day(body.target_date.as_deref().unwrap_or_default())?,
            ..NewStream::called(body.name)
        };
        rules::create(tx, new).map(|stream| stream.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..tagged(&ws, id)? })
}

fn lead(read: &dyn Read, text: &str, me: Assignee) -> Result<Option<Assignee>, StreamError> {
    match Names::read(read)?.people.find(text, me) {
        Ok(who) => Ok(who),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(error) => Err(StreamError::Invalid(vec![FieldError::new("lead", error.to_string())])),
    }
}

fn tagged(ws: &Ws, id: StreamId) -> Result<Tagged<StreamView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let (stream, rev) = queries::get_rev(snap, id)?;
        Ok::<_, StreamError>((rev, view(snap, &Names::read(snap)?, stream)?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(ws: Ws, Path(text): Path<String>) -> Result<Tagged<StreamView>, ApiError> {
    let stream = ws.read(|snap| queries::resolve(snap, &text))?;
    tagged(&ws, stream.id)
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    colour: Option<Hue>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    icon: Option<Option<String>>,
    kind: Option<StreamKind>,
    /// Markdown, at most 2,000 characters.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    goal: Option<Option<String>>,
    /// A slug, handle or id; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    lead: Option<Option<String>>,
    /// A day; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    target_date: Option<Option<String>>,
    /// Out of the way, or back.
    archived: Option<bool>,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Tagged<StreamView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let me = Assignee::Person(who.account);
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::expect_rev(tx, id, rev)?;
        apply(tx, id, body, me)
    });
    ws.write(&who, changed).await?;
    tagged(&ws, id)
}

/// All of it in one transaction: restored first, archived last.
fn apply(
    tx: &mut WriteTx<'_>,
    id: StreamId,
    body: ChangeBody,
    me: Assignee,
) -> Result<(), StreamError> {
    if body.archived == Some(false) {
        rules::restore(tx, id)?;
    }
    let lead = match body.lead {
        Some(text) => Some(lead(tx, text.as_deref().unwrap_or("none"), me)?),
        None => None,
    };
    let target_date = match body.target_date {
        Some(text) => Some(queries::day(text.as_deref().unwrap_or_default())?),
        None => None,
    };
    let patch = StreamPatch {
        name: body.name,
        description: body.description.map(Option::unwrap_or_default),
        colour: body.colour,
        icon: body.icon.map(Option::unwrap_or_default),
        kind: body.kind,
        goal: body.goal.map(Option::unwrap_or_default),
        lead,
        target_date,
    };
    if patch != StreamPatch::default() {
        rules::update(tx, id, patch)?;
    }
    if body.archived == Some(true) {
        rules::archive(tx, id)?;
    }
    Ok(())
}
