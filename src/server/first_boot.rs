//! First start: the set-up page creates the workspace's folder, then the owner's account. These are separate
//! transactions. If the process ends in between, the same link resumes and finds what exists.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::time::Duration;
use zeroize::Zeroizing;

use app::limits::Patience;
use app::{App, Ws};
use crypto::password;
use crypto::token::{Token, TokenKind};
use features::onboarding;
use features::users;
use features::users::model::Purpose;
use features::users::rules::{NewAccount, UsersError};
use features::workspace;
use features::workspace::rules::{Founding, WorkspaceError};
use interfaces_account::users::pages::{LinkQuery, new_sign_in};
use interfaces_account::users::session::SignInCookies;
use kernel::{AccountId, Actor, Can, Cause, Part, ProblemKind, TypedId, Via, text};
use store::WriteTx;
use web::error::{Failure, PageError};
use web::extract::{Form, Query};
use web::form::Wrong;
use web::html;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Peer;
use web::shell::Theme;
use web::time::zones;

use super::onboarding::{Steps, first_name};
use super::workspaces::{self, arrival};

/// Failed attempts with set-up links per address.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(10 * 60),
    first: Duration::from_secs(60 * 60),
    longest: Duration::from_secs(60 * 60),
};

/// Serialises set-up requests.
#[derive(Default)]
pub struct Turn(tokio::sync::Mutex<()>);

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/setup", form.needs(Can::Open)).post("/setup", found.needs(Can::Open))
}

/// The submitted form.
#[derive(Clone, Default, Deserialize)]
struct Values {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    workspace: String,
    #[serde(default)]
    zone: String,
    /// Whether agents may search without a key; a box that is not ticked is not sent.
    #[serde(default)]
    keyless: String,
}

#[derive(Template)]
#[template(path = "users/setup.html")]
struct Page {
    theme: Theme,
    token: String,
    values: Values,
    wrong: Wrong,
    whole: &'static str,
    zones: Vec<Choice>,
    steps: Steps,
    keyless_hint: String,
}

#[derive(Template)]
#[template(path = "users/closed.html")]
struct Closed {
    theme: Theme,
}

async fn form(
    app: App,
    peer: Peer,
    headers: HeaderMap,
    Query(query): Query<LinkQuery>,
) -> Result<Response, PageError> {
    let theme = Theme::from_headers(&headers);
    if is_owned(&app)? {
        return Ok(Redirect::to("/").into_response());
    }
    if query.token.is_empty() {
        return html::page(&Closed { theme });
    }
    match link(&app, peer, &query.token)? {
        Some(_) => {
            let keyless = "on".to_owned();
            let values = Values { zone: own_zone(), keyless, ..Values::default() };
            draw(StatusCode::OK, theme, query.token, values, Wrong::none())
        }
        None => html::document(StatusCode::GONE, &Closed { theme }),
    }
}

fn draw(
    status: StatusCode,
    theme: Theme,
    token: String,
    values: Values,
    wrong: Wrong,
) -> Result<Response, PageError> {
    let whole = match wrong.has_fields() {
        true => "Check the highlighted fields. Nothing has been created yet.",
        false => "",
    };
    let zones = zones(&values.zone);
    let steps = Steps::of_account();
    let makers = onboarding::queries::KEYLESS_MAKERS;
    let keyless_hint =
        format!("{makers} answer, and see what agents search for and this server’s address.");
    html::document(status, &Page { theme, token, values, wrong, whole, zones, steps, keyless_hint })
}

fn is_owned(app: &App) -> Result<bool, PageError> {
    Ok(app.system.read(|snap| users::queries::any_account(snap))?)
}

/// Validates the token of a set-up link. Failed attempts are limited.
fn link(app: &App, peer: Peer, text: &str) -> Result<Option<Token>, PageError> {
    let (from, now) = (peer.key(), app.clock.now());
    app.limiter.strike("set-up", &from, WRONG, now.as_millisecond()).map_err(|wait| {
        let text =
            format!("too many wrong links; try again in {} minutes", wait.as_secs() / 60 + 1);
        PageError(Failure::new(ProblemKind::Limited, "rate_limited", text))
    })?;
    let Ok(token) = Token::parse(TokenKind::Link, text) else { return Ok(None) };
    let link = app.system.read(|snap| users::queries::link(snap, &token, now))?;
    if !link.is_some_and(|link| link.purpose == Purpose::SetUp) {
        return Ok(None);
    }
    app.limiter.forgive("set-up", &from);
    Ok(Some(token))
}

async fn found(
    app: App,
    peer: Peer,
    headers: HeaderMap,
    Extension(turn): Extension<Arc<Turn>>,
    Form(mut values): Form<Values>,
) -> Result<Response, PageError> {
    let theme = Theme::from_headers(&headers);
    if values.zone.trim().is_empty() {
        // Keeps the form at four fields.
        values.zone = own_zone();
    }
    if values.workspace.trim().is_empty() {
        values.workspace = proposed(&values.name);
    }
    let _turn = turn.0.lock().await;
    if is_owned(&app)? {
        return Ok(Redirect::to("/login").into_response());
    }
    let Some(token) = link(&app, peer, &values.token)? else {
        return html::document(StatusCode::GONE, &Closed { theme });
    };
    let wrong = wrong_fields(&values);
    if wrong.has_fields() {
        let token = values.token.clone();
        return draw(StatusCode::UNPROCESSABLE_ENTITY, theme, token, values, wrong);
    }
    let hash = app.hasher.hash(Zeroizing::new(values.password)).await.map_err(UsersError::from)?;
    let ws = first_workspace(&app, &values.workspace).await?;
    let founding = Founding {
        id: ws.id,
        name: values.workspace,
        emoji: None,
        zone: values.zone,
        owner: AccountId::from_uuid(app.ids.next(app.clock.now_ms())),
        owner_name: values.name.trim().to_owned(),
        owner_email: users::queries::normal_email(&values.email),
    };
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let found = move |tx: &mut WriteTx<'_>| {
        let founded = workspace::rules::found(tx, founding)?;
        onboarding::rules::begin(tx, true)?;
        Ok::<_, WorkspaceError>(founded)
    };
    let (settings, owner) = ws.write(&by, found).await?;
    let listed = workspaces::row(&ws, &settings, app.clock.now());
    let account = NewAccount { id: owner.account, name: owner.name, email: owner.email, hash };
    let cookies = SignInCookies::issue();
    let browser = new_sign_in(&app, &cookies, peer, &headers);
    let made = app.system.write(by.0, by.1, move |tx| {
        let account = users::rules::set_up(tx, account, &listed, &token)?;
        users::rules::sign_in(tx, account.id, browser)
    });
    let sign_in = made.await?;
    let is_allowed = !values.keyless.is_empty();
    let by = Actor::Person { account: owner.account, via: Via::SignIn(sign_in.id) };
    let switch = move |tx: &mut WriteTx<'_>| reach::search::switch_keyless(tx, is_allowed);
    if let Err(error) = ws.write(&(by, Cause::Setup), switch).await {
        // The dashboard asks instead.
        tracing::warn!(%error, "the answer about search without a key was not stored");
    }
    // Existing workspace folders need an owner who can sign in.
    arrival::take_over_all(&app).await;
    Ok(cookies.on(&app.config, Redirect::to(&ws.url("")).into_response()))
}

/// Default name of the workspace, derived from the owner's name; empty if that is empty, too.
fn proposed(name: &str) -> String {
    match first_name(name) {
        "" => String::new(),
        first => format!("{first}’s HQ"),
    }
}

/// The time zone of this machine.
fn own_zone() -> String {
    TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

/// All errors of the form at once.
fn wrong_fields(values: &Values) -> Wrong {
    let mut wrong = Wrong::none();
    let about = [values.name.as_str(), values.email.as_str(), values.workspace.as_str()];
    wrong.note(users::queries::checked_name(&values.name));
    wrong.note(users::queries::checked_email(&values.email));
    wrong.note(password::check(&values.password, &about).map_err(UsersError::from));
    wrong.note(workspace::queries::checked_name(&values.workspace));
    wrong.note(workspace::queries::checked_zone(&values.zone));
    wrong
}

/// The workspace of an interrupted attempt, or a new one.
async fn first_workspace(app: &App, name: &str) -> Result<Ws, PageError> {
    if let Some(ws) = app.workspaces.read().first().cloned() {
        return Ok(ws);
    }
    let slug = text::slug(name, 40);
    let slug = if slug.is_empty() { "hq".to_owned() } else { slug };
    let folder = app.config.data.join("workspaces").join(slug);
    let opening = app.clone();
    let opened = tokio::task::spawn_blocking(move || {
        workspaces::open(&opening, folder, workspaces::cache_for(1))
    });
    let ws = opened
        .await
        .map_err(|error| PageError(Failure::internal(error)))?
        .map_err(|error| PageError(Failure::internal(error)))?;
    app.add_workspace(&ws);
    Ok(ws)
}
