//! Pages for whole workspaces: list, create, archive, delete, restore.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use app::{App, Who, Ws};
use features::backups::queries::damaged;
use features::workspace::queries;
use features::workspace::rules as workspace;
use interfaces_account::users::session::Caller;
use interfaces_account::workspace::pages::note;
use kernel::{Can, Cause, ProblemKind, Role};
use web::error::{Failure, PageError};
use web::extract::Form;
use web::flash;
use web::form::{Wrong, sentence};
use web::html;
use web::hx::Hx;
use web::idempotency::Once;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::{Person, RequestId};
use web::shell::{Flash, Theme};
use web::time::zones;

use super::life::{self, LifeError, NewWorkspace};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/workspaces", list.needs(Can::Account))
        .get("/workspaces/new", form.needs(Can::Account))
        .post("/workspaces/new", add.needs(Can::Account))
}

#[must_use]
pub fn routes_inside() -> Routes {
    Routes::new()
        .post("/settings/archive", archive.needs(Can::Own))
        .post("/settings/restore", restore.needs(Can::Own))
        .post("/settings/delete", delete.needs(Can::Own).proved())
}

struct Row {
    slug: String,
    name: String,
    emoji: String,
    role: &'static str,
    note: &'static str,
}

#[derive(Template)]
#[template(path = "workspace/list.html")]
struct List {
    theme: Theme,
    rows: Vec<Row>,
    /// Slugs of broken workspaces, with explanations.
    broken: Vec<(String, String)>,
    may_add: bool,
}

async fn list(app: App, caller: Caller, headers: HeaderMap) -> Result<Response, PageError> {
    let places = queries::places(&app, caller.account.id)?;
    let may_add = places.iter().any(|place| place.member.role == Role::Owner);
    let row = |place: queries::PlaceOf| Row {
        slug: place.ws.slug.clone(),
        name: place.settings.name,
        emoji: place.settings.emoji,
        role: place.member.role.label(),
        note: note(&place.ws),
    };
    let mut broken = Vec::new();
    for one in damaged::all(&app)? {
        // People who own no workspace here do not see other workspaces.
        if damaged::keeps(&app, caller.account.id)? {
            broken.push((one.slug.clone(), sentence(&one.words())));
        } else if damaged::may_know(&app, caller.account.id, &one.slug)? {
            broken.push((one.slug.clone(), sentence(&damaged::words_for_people(&one.slug))));
        } else if may_add {
            broken.push((one.slug, sentence(&one.reason)));
        }
    }
    let rows = places.into_iter().map(row).collect();
    html::page(&List { theme: Theme::from_headers(&headers), rows, broken, may_add })
}

/// Only an owner of a workspace may add another.
pub(super) fn may_add(app: &App, caller: &Caller) -> Result<(), PageError> {
    let places = queries::places(app, caller.account.id)?;
    if places.iter().any(|place| place.member.role == Role::Owner) {
        return Ok(());
    }
    let text = "Only workspace owners on this server can add another workspace.";
    Err(PageError(Failure::new(ProblemKind::Forbidden, "forbidden", text)))
}

#[derive(Clone, Default, Deserialize)]
struct Values {
    #[serde(default)]
    workspace: String,
    #[serde(default)]
    emoji: String,
    #[serde(default)]
    zone: String,
    /// Idempotency key of the form.
    #[serde(default)]
    once: String,
}

#[derive(Template)]
#[template(path = "workspace/new.html")]
struct New {
    theme: Theme,
    values: Values,
    wrong: Wrong,
    whole: String,
    zones: Vec<Choice>,
}

async fn form(app: App, caller: Caller, headers: HeaderMap) -> Result<Response, PageError> {
    may_add(&app, &caller)?;
    let places = queries::places(&app, caller.account.id)?;
    let zone = places.into_iter().next().map(|place| place.settings.zone).unwrap_or_default();
    let values = Values { emoji: "🏢".to_owned(), zone, ..Values::default() };
    let zones = zones(&values.zone);
    let (theme, wrong) = (Theme::from_headers(&headers), Wrong::none());
    html::page(&New { theme, values, wrong, whole: String::new(), zones })
}

async fn add(
    app: App,
    caller: Caller,
    id: RequestId,
    headers: HeaderMap,
    Form(values): Form<Values>,
) -> Result<Response, PageError> {
    may_add(&app, &caller)?;
    let new = NewWorkspace {
        name: values.workspace.clone(),
        emoji: Some(values.emoji.clone()),
        zone: values.zone.clone(),
        owner: caller.account.clone(),
        guided: true,
    };
    let mut wrong = Wrong::none();
    wrong.note(queries::checked_name(&values.workspace));
    wrong.note(workspace::checked_emoji(&values.emoji));
    wrong.note(queries::checked_zone(&values.zone));
    if !wrong.has_fields() {
        let fields = [values.workspace.as_str(), values.emoji.as_str(), values.zone.as_str()];
        let once = Once::of_account(caller.account.id, "workspaces", &values.once, &fields);
        match life::add_once(&app, (caller.actor(), Cause::Request(id.0)), new, once).await {
            Ok(ws) => {
                let done = Flash::ok("Your workspace is ready.");
                return Ok(flash::say(&app, done, Redirect::to(&ws.url("")).into_response()));
            }
            Err(error) => wrong = Wrong::of(&error)?,
        }
    }
    let whole = match wrong.has_fields() {
        true => "Check the highlighted fields. Nothing has been created yet.".to_owned(),
        false => wrong.whole().to_owned(),
    };
    let (theme, zones) = (Theme::from_headers(&headers), zones(&values.zone));
    let page = New { theme, values, wrong, whole, zones };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

async fn archive(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    life::archive(&app, (who.actor(), who.cause()), &ws).await?;
    let done = Flash::ok("Workspace archived. You can restore it at any time.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/general"))))
}

async fn restore(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    life::restore(&app, (who.actor(), who.cause()), &ws).await?;
    let done = Flash::ok("Workspace restored. Agents continue their work.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/general"))))
}

#[derive(Deserialize)]
struct WorkspaceForm {
    #[serde(default)]
    typed: String,
}

async fn delete(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<WorkspaceForm>,
) -> Result<Response, PageError> {
    let mut back = hx.go_to(&ws.url("settings/general"));
    let done = match life::delete(&app, (who.actor(), who.cause()), &ws, &form.typed).await {
        Ok(()) => {
            Flash::ok("The workspace will be deleted in seven days. Until then, you can cancel.")
        }
        Err(error @ LifeError::NotTyped(_)) => {
            // Back to the input at the end of a long page.
            back = hx.go_to(&ws.url("settings/general#whole"));
            Flash::danger(web::form::sentence(&format!("{error}. Nothing was changed")))
        }
        Err(error) => return Err(error.into()),
    };
    Ok(flash::say(&app, done, back))
}
