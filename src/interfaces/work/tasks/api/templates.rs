//! `/api/v1/task-templates`: groups of tasks that are created together.

use std::collections::HashMap;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::streams::queries as streams;
use features::tasks::model::template::TemplateItem;
use features::tasks::queries;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::TaskView;
use features::tasks::queries::templates::{self, ItemView, TemplateView};
use features::tasks::rules::templates::{self as rules, NewTemplate, Spawn};
use kernel::{Assignee, Can, TaskId, TemplateId};
use store::WriteTx;
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    Routes::new()
        .get(
            "/task-templates",
            list.needs(Can::Read).doc(|| Doc::new("Task templates by name").returns::<Listing>()),
        )
        .post(
            "/task-templates",
            create.needs(Can::Write).doc(|| {
                Doc::new("Create a task template")
                    .body::<NewBody>()
                    .returns::<TemplateView>()
                    .status(201)
            }),
        )
        .get(
            "/task-templates/{template}",
            show.needs(Can::Read)
                .doc(|| Doc::new("A task template, by id or name").returns::<TemplateView>()),
        )
        .patch(
            "/task-templates/{template}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change a task template; a list of items replaces all")
                    .if_match()
                    .body::<ChangeBody>()
                    .returns::<TemplateView>()
            }),
        )
        .delete(
            "/task-templates/{template}",
            remove
                .needs(Can::Write)
                .doc(|| Doc::new("Delete a task template; its tasks are kept").status(204)),
        )
        .post(
            "/task-templates/{template}/spawn",
            spawn.needs(Can::Write).doc(|| {
                Doc::new("Create all tasks of a template")
                    .body::<SpawnBody>()
                    .returns::<SpawnedView>()
                    .status(201)
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<TemplateView>,
    next: Option<String>,
}

/// A template to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    #[serde(default)]
    description: String,
    items: Vec<ItemView>,
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    items: Option<Vec<ItemView>>,
}

/// Where the tasks go, and who has which role.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SpawnBody {
    /// The name or id of a stream.
    stream: Option<String>,
    /// The key or id of the task that all are a part of.
    parent: Option<String>,
    /// By role: `me`, an agent's slug, a person's handle, an id, or `none`. A role that is not here is the
    /// agent with this slug.
    assignees: HashMap<String, String>,
}

#[derive(Serialize, JsonSchema)]
struct SpawnedView {
    tasks: Vec<TaskView>,
    /// What could not be done as it was meant.
    warnings: Vec<String>,
}

async fn list(ws: Ws) -> Result<Json<Listing>, ApiError> {
    let all = ws.read(|snap| templates::all(snap))?;
    Ok(Json(Listing { items: all.iter().map(TemplateView::from).collect(), next: None }))
}

fn items(views: Vec<ItemView>) -> Vec<TemplateItem> {
    views.into_iter().map(TemplateItem::from).collect()
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<TemplateView>, ApiError> {
    let new =
        NewTemplate { name: body.name, description: body.description, items: items(body.items) };
    let made =
        once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|template| template.id));
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

fn with_etag(ws: &Ws, id: TemplateId) -> Result<Tagged<TemplateView>, ApiError> {
    let (template, rev) = ws.read(|snap| templates::get_rev(snap, id))?;
    Ok(Tagged::ok(rev, TemplateView::from(&template)))
}

fn id_of(ws: &Ws, text: &str) -> Result<TemplateId, ApiError> {
    Ok(ws.read(|snap| templates::resolve(snap, text))?.id)
}

async fn show(ws: Ws, Path(text): Path<String>) -> Result<Tagged<TemplateView>, ApiError> {
    with_etag(&ws, id_of(&ws, &text)?)
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Tagged<TemplateView>, ApiError> {
    let id = id_of(&ws, &text)?;
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(tx, id, rev)?;
        let old = templates::get_rev(tx, id)?.0;
        let new = NewTemplate {
            name: body.name.unwrap_or(old.name),
            description: body.description.map_or(old.description, Option::unwrap_or_default),
            items: body.items.map_or(old.items, items),
        };
        rules::update(tx, id, new).map(|_| ())
    });
    ws.write(&who, changed).await?;
    with_etag(&ws, id)
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = id_of(&ws, &text)?;
    ws.write(&who, once.run(move |tx| rules::delete(tx, id).map(|_| ()))).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn spawn(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<SpawnBody>,
) -> Result<(StatusCode, Json<SpawnedView>), ApiError> {
    let id = id_of(&ws, &text)?;
    let me = Assignee::Person(who.account);
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let names = Names::read(tx)?;
        let mut how = Spawn::default();
        if let Some(text) = body.stream.as_deref() {
            let wrong = |e: streams::StreamError| TaskError::field("stream", e.to_string());
            how.stream = Some(streams::resolve(tx, text).map_err(wrong)?.id);
        }
        if let Some(text) = body.parent.as_deref() {
            how.parent = Some(super::parent(tx, text)?);
        }
        for (role, text) in &body.assignees {
            how.roles.insert(role.clone(), names.people.find(text, me)?);
        }
        let spawned = rules::spawn(tx, id, &how)?;
        Ok::<_, TaskError>((spawned.tasks, spawned.warnings))
    });
    let (tasks, warnings): (Vec<TaskId>, Vec<String>) = ws.write(&who, made).await?;
    let tasks = ws.read(|snap| {
        let names = Names::read(snap)?;
        let views = tasks.into_iter().map(|task| {
            let task = queries::get(snap, task)?;
            TaskView::of(snap, &names, task)
        });
        views.collect::<Result<Vec<_>, TaskError>>()
    })?;
    Ok((StatusCode::CREATED, Json(SpawnedView { tasks, warnings })))
}
