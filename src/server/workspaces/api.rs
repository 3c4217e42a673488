//! `/api/v1/workspaces`, and an owner's operations on the current workspace.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Who, Ws};
use features::workspace::model::Settings;
use features::workspace::queries;
use interfaces_account::users::session::Caller;
use kernel::{Can, Cause, Problem, Role, Timestamp, WorkspaceId, WorkspaceState};
use web::error::{ApiError, Failure};
use web::extract::Json;
use web::routes::{Doc, Needs, Routes};
use web::session::{Person, RequestId};

use super::life::{self, LifeError, NewWorkspace};
use super::pages::may_add;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/workspaces",
            list.needs(Can::Account).doc(|| Doc::new("Your workspaces").returns::<Workspaces>()),
        )
        .post(
            "/workspaces",
            add.needs(Can::Account).doc(|| {
                Doc::new("Add a workspace; its address comes from its name")
                    .no_key("a repeat is refused, since the address is taken")
                    .body::<NewBody>()
                    .returns::<WorkspaceView>()
                    .status(201)
            }),
        )
        .post(
            "/workspace/archive",
            archive.needs(Can::Own).doc(|| {
                Doc::new("Archive this workspace").no_key(AGAIN).returns::<WorkspaceView>()
            }),
        )
        .post(
            "/workspace/restore",
            restore.needs(Can::Own).doc(|| {
                Doc::new("Restore this workspace").no_key(AGAIN).returns::<WorkspaceView>()
            }),
        )
        .post(
            "/workspace/delete",
            delete.needs(Can::Own).proved().doc(|| {
                Doc::new("Delete this workspace after seven days")
                    .no_key(AGAIN)
                    .body::<DeleteBody>()
                    .returns::<WorkspaceView>()
            }),
        )
}

const AGAIN: &str = "a repeat finds the workspace as it is and changes nothing";

#[derive(Serialize, JsonSchema)]
struct WorkspaceView {
    id: WorkspaceId,
    /// Its name in addresses, which never changes.
    slug: String,
    name: String,
    emoji: String,
    /// What you are there.
    role: Role,
    state: WorkspaceState,
    /// When it goes, if it is to be deleted.
    #[schemars(with = "Option<String>")]
    delete_after: Option<Timestamp>,
}

impl WorkspaceView {
    fn of(ws: &Ws, settings: Settings, role: Role) -> Self {
        let standing = ws.standing();
        Self {
            id: ws.id,
            slug: ws.slug.clone(),
            name: settings.name,
            emoji: settings.emoji,
            role,
            state: standing.state,
            delete_after: standing.delete_after,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Workspaces {
    items: Vec<WorkspaceView>,
    next: Option<String>,
}

async fn list(app: App, caller: Caller) -> Result<Json<Workspaces>, ApiError> {
    let mine = queries::places(&app, caller.account.id)?;
    let view =
        |place: queries::PlaceOf| WorkspaceView::of(&place.ws, place.settings, place.member.role);
    Ok(Json(Workspaces { items: mine.into_iter().map(view).collect(), next: None }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    /// One emoji.
    emoji: Option<String>,
    /// IANA time zone; UTC unless said otherwise.
    zone: Option<String>,
}

/// Renames the form's error field "workspace" to `name`, as the API calls it.
fn by_name(error: &LifeError) -> ApiError {
    let mut failure = Failure::of(error);
    let own = failure.fields.iter_mut().filter(|field| field.field == "workspace");
    own.for_each(|field| "name".clone_into(&mut field.field));
    ApiError(failure)
}

async fn add(
    app: App,
    caller: Caller,
    id: RequestId,
    Json(body): Json<NewBody>,
) -> Result<Response, ApiError> {
    may_add(&app, &caller)?;
    let new = NewWorkspace {
        name: body.name,
        emoji: body.emoji,
        zone: body.zone.unwrap_or_else(|| "UTC".to_owned()),
        owner: caller.account.clone(),
        guided: false,
    };
    let made = life::add(&app, (caller.actor(), Cause::Request(id.0)), new).await;
    let ws = made.map_err(|error| by_name(&error))?;
    Ok((StatusCode::CREATED, Json(view(&ws, Role::Owner)?)).into_response())
}

fn view(ws: &Ws, role: Role) -> Result<WorkspaceView, ApiError> {
    let settings = ws.read(|snap| queries::settings(snap))?;
    let settings = settings.ok_or_else(|| ApiError::not_found("This workspace"))?;
    Ok(WorkspaceView::of(ws, settings, role))
}

async fn archive(app: App, ws: Ws, who: Person) -> Result<Json<WorkspaceView>, ApiError> {
    life::archive(&app, (who.actor(), who.cause()), &ws).await?;
    Ok(Json(view(&ws, who.role)?))
}

async fn restore(app: App, ws: Ws, who: Person) -> Result<Json<WorkspaceView>, ApiError> {
    life::restore(&app, (who.actor(), who.cause()), &ws).await?;
    Ok(Json(view(&ws, who.role)?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    /// The name of the workspace, typed again.
    name: String,
}

async fn delete(
    app: App,
    ws: Ws,
    who: Person,
    Json(body): Json<DeleteBody>,
) -> Result<Json<WorkspaceView>, ApiError> {
    let done = life::delete(&app, (who.actor(), who.cause()), &ws, &body.name).await;
    done.map_err(|error| {
        let mut failure = Failure::of(&error as &dyn Problem);
        failure.fields.iter_mut().for_each(|field| "name".clone_into(&mut field.field));
        ApiError(failure)
    })?;
    Ok(Json(view(&ws, who.role)?))
}
