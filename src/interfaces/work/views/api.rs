//! `/api/v1/views`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::views::model::Look;
use features::views::model::ViewId;
use features::views::queries::{self, ViewView};
use features::views::rules::{self, For, NewView, ViewPatch};
use kernel::Can;
use store::WriteTx;
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
            "/views",
            list.needs(Can::Read).doc(|| {
                Doc::new("Saved views: yours and everybody's").query::<Asked>().returns::<Views>()
            }),
        )
        .post(
            "/views",
            create.needs(Can::Write).doc(|| {
                Doc::new("Save a view").body::<NewBody>().returns::<ViewView>().status(201)
            }),
        )
        .get(
            "/views/{id}",
            show.needs(Can::Read).doc(|| Doc::new("A saved view").returns::<ViewView>()),
        )
        .patch(
            "/views/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Rename, share or change a view")
                    .if_match()
                    .body::<ChangeBody>()
                    .returns::<ViewView>()
            }),
        )
        .delete(
            "/views/{id}",
            remove.needs(Can::Write).doc(|| Doc::new("Delete a view").status(204)),
        )
}

/// Which views.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// The list, by its path or its name: `contacts`, `organizations`, `collections/<id>`; `tasks` unless said
    /// otherwise.
    noun: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Views {
    items: Vec<ViewView>,
    next: Option<String>,
}

async fn list(ws: Ws, who: Person, Query(asked): Query<Asked>) -> Result<Json<Views>, ApiError> {
    let noun = asked.noun.as_deref().unwrap_or("tasks");
    let all = ws.read(|snap| {
        let listing = queries::listing(snap, noun)?;
        let path = listing.as_ref().map_or(noun, |(listing, _)| listing.path.as_str());
        queries::of(snap, path, who.account)
    })?;
    Ok(Json(Views { items: all.into_iter().map(ViewView::from).collect(), next: None }))
}

/// A view to be saved.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// The list, by its path or its name: `contacts`, `organizations`, `collections/<id>`; `tasks` unless said
    /// otherwise.
    noun: Option<String>,
    name: String,
    /// One emoji.
    #[serde(default)]
    icon: String,
    /// Whether everybody has it.
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    look: Look,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<ViewView>, ApiError> {
    let me = who.account;
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let new = NewView {
            noun: body.noun.unwrap_or_else(|| "tasks".to_owned()),
            name: body.name,
            icon: body.icon,
            seen: seen(body.shared),
            look: body.look,
        };
        rules::create(tx, me, new).map(|view| view.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..tagged(&ws, &who, id)? })
}

fn seen(shared: bool) -> For {
    if shared { For::All } else { For::Me }
}

fn tagged(ws: &Ws, who: &Person, id: ViewId) -> Result<Tagged<ViewView>, ApiError> {
    let (view, rev) = ws.read(|snap| queries::get(snap, id, who.account))?;
    Ok(Tagged::ok(rev, ViewView::from(view)))
}

async fn show(ws: Ws, who: Person, Path(id): Path<ViewId>) -> Result<Tagged<ViewView>, ApiError> {
    tagged(&ws, &who, id)
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    icon: Option<Option<String>>,
    shared: Option<bool>,
    /// All of it at once.
    look: Option<Look>,
    position: Option<u32>,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(id): Path<ViewId>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Tagged<ViewView>, ApiError> {
    let me = who.account;
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::expect_rev(tx, me, id, rev)?;
        let patch = ViewPatch {
            name: body.name,
            icon: body.icon.map(Option::unwrap_or_default),
            seen: body.shared.map(seen),
            look: body.look,
            position: body.position,
        };
        rules::update(tx, me, id, patch).map(|_| ())
    });
    ws.write(&who, changed).await?;
    tagged(&ws, &who, id)
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ViewId>,
) -> Result<StatusCode, ApiError> {
    let me = who.account;
    let removed = once.run(move |tx: &mut WriteTx<'_>| rules::remove(tx, me, id).map(|_| ()));
    ws.write(&who, removed).await?;
    Ok(StatusCode::NO_CONTENT)
}
