//! Links below `/api/v1`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::links::model::Link;
use features::links::queries::{self, LinkError};
use features::links::rules;
use features::tasks::queries as tasks;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{Can, LinkId, Timestamp};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::etag::Tagged;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/tasks/{task}/links",
            list.needs(Can::Read).doc(|| Doc::new("Links of a task").returns::<Links>()),
        )
        .post(
            "/tasks/{task}/links",
            create.needs(Can::Write).doc(|| {
                Doc::new("Link a task to a URL or another record")
                    .body::<NewBody>()
                    .returns::<LinkView>()
                    .status(201)
            }),
        )
        .delete(
            "/links/{link}",
            remove.needs(Can::Write).doc(|| Doc::new("Remove a link").returns::<LinkView>()),
        )
}

#[derive(Serialize, JsonSchema)]
struct LinkView {
    id: LinkId,
    /// The key of its task.
    task: String,
    /// `link`, `task`, `agent`, `stream`, `routine`, `delivered work` or `file`.
    kind: String,
    /// What it leads to is called so.
    name: String,
    /// An address, or the page below the workspace.
    path: String,
    /// What it is called here; empty for the name.
    label: String,
    by: WhoView,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Links {
    items: Vec<LinkView>,
    next: Option<String>,
}

fn view(read: &dyn Read, names: &Names, link: Link) -> Result<LinkView, LinkError> {
    let (name, path) = queries::name(read, &link.target)?.unwrap_or_default();
    Ok(LinkView {
        id: link.id,
        task: names.of(&tasks::get(read, link.task)?),
        kind: queries::kind(&link.target).0.to_lowercase(),
        name,
        path,
        label: link.label,
        by: WhoView::actor(names, link.by),
        created_at: link.created_at,
    })
}

async fn list(ws: Ws, Path(text): Path<String>) -> Result<Json<Links>, ApiError> {
    let items = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        let names = Names::read(snap)?;
        let all = queries::of_task(snap, task.id)?.into_iter();
        all.map(|link| view(snap, &names, link)).collect::<Result<Vec<_>, LinkError>>()
    })?;
    Ok(Json(Links { items, next: None }))
}

/// A link to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// An address, a task (`MC-12`), `@agent`, `stream:Name`, `routine:Name`, `knowledge:Title`,
    /// `deliverable:id` or `file:id`.
    target: String,
    /// What it is called; the name of what it leads to when left out.
    #[serde(default)]
    label: String,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<NewBody>,
) -> Result<Tagged<LinkView>, ApiError> {
    let (task, target) = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?.id;
        Ok::<_, LinkError>((task, queries::meant(snap, &body.target, None)?))
    })?;
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        rules::add(tx, task, target, &body.label).map(|link| link.id)
    });
    let id = ws.write(&who, made).await?;
    let (rev, view) = ws.read(|snap| {
        let (link, rev) = snap.get_rev::<Link>(id)?.ok_or(LinkError::NotFound)?;
        Ok::<_, LinkError>((rev, view(snap, &Names::read(snap)?, link)?))
    })?;
    Ok(Tagged { status: StatusCode::CREATED, ..Tagged::ok(rev, view) })
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<LinkId>,
) -> Result<Json<LinkView>, ApiError> {
    let gone = once.run(move |tx: &mut WriteTx<'_>| rules::remove(tx, id));
    let gone = ws.write(&who, gone).await?;
    let shown = ws.read(|snap| view(snap, &Names::read(snap)?, gone))?;
    Ok(Json(shown))
}
