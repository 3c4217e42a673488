//! First boot: the set-up page makes the workspace's folder first and the owner's account second. Each
//! half is its own transaction; when the program ends in between, the same link finishes the work and
//! finds what is there.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::time::Duration;
use zeroize::Zeroizing;

use crate::app::limits::Patience;
use crate::app::{App, Ws};
use crate::crypto::password;
use crate::crypto::token::{Token, TokenKind};
use crate::features::users::model::{Purpose, Workspace};
use crate::features::users::pages::{LinkQuery, new_sign_in, sentence};
use crate::features::users::rules::{NewAccount, UsersError};
use crate::features::users::{self, session};
use crate::features::workspace;
use crate::features::workspace::rules::Founding;
use crate::kernel::{
    AccountId, Actor, Can, Cause, FieldError, Part, Problem, ProblemKind, TypedId, text,
};
use crate::web::error::{Failure, PageError};
use crate::web::extract::{Form, Query};
use crate::web::html;
use crate::web::parts::Choice;
use crate::web::routes::{Needs, Routes};
use crate::web::session::Peer;
use crate::web::shell::Theme;
use crate::web::time::zones;

use super::workspaces;

/// Wrong set-up links of one address.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(10 * 60),
    first: Duration::from_secs(60 * 60),
    longest: Duration::from_secs(60 * 60),
};

/// One set-up at a time.
#[derive(Default)]
pub struct Turn(tokio::sync::Mutex<()>);

/// Routes outside of a workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/setup", form.needs(Can::Open)).post("/setup", found.needs(Can::Open))
}

/// What was typed.
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
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn of(&self, field: &str) -> &str {
        let found = self.0.iter().find(|error| error.field == field);
        found.map_or("", |error| error.message.as_str())
    }

    fn add(&mut self, error: &dyn Problem) {
        self.0.extend(error.fields().into_iter().map(|mut field| {
            field.message = sentence(&field.message);
            field
        }));
    }
}

#[derive(Template)]
#[template(path = "users/setup.html")]
struct Page {
    theme: Theme,
    token: String,
    values: Values,
    errors: Errors,
    wrong: String,
    zones: Vec<Choice>,
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
            let zone = TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
            let values = Values { zone, ..Values::default() };
            draw(StatusCode::OK, theme, query.token, values, Errors::default())
        }
        None => html::document(StatusCode::GONE, &Closed { theme }),
    }
}

fn draw(
    status: StatusCode,
    theme: Theme,
    token: String,
    values: Values,
    errors: Errors,
) -> Result<Response, PageError> {
    let wrong = match errors.0.is_empty() {
        true => String::new(),
        false => "Please look at the marked fields; nothing was made yet.".to_owned(),
    };
    let zones = zones(&values.zone);
    html::document(status, &Page { theme, token, values, errors, wrong, zones })
}

fn is_owned(app: &App) -> Result<bool, PageError> {
    Ok(app.system.read(|snap| users::queries::any_account(snap))?)
}

/// The token of a set-up link that works. Guessing is slowed down.
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
    Form(values): Form<Values>,
) -> Result<Response, PageError> {
    let theme = Theme::from_headers(&headers);
    let _turn = turn.0.lock().await;
    if is_owned(&app)? {
        return Ok(Redirect::to("/login").into_response());
    }
    let Some(token) = link(&app, peer, &values.token)? else {
        return html::document(StatusCode::GONE, &Closed { theme });
    };
    let errors = wrong_fields(&values);
    if !errors.0.is_empty() {
        let token = values.token.clone();
        return draw(StatusCode::UNPROCESSABLE_ENTITY, theme, token, values, errors);
    }
    let hash = app.hasher.hash(Zeroizing::new(values.password)).await.map_err(UsersError::from)?;
    let ws = first_workspace(&app, &values.workspace).await?;
    let founding = Founding {
        id: ws.id,
        name: values.workspace,
        zone: values.zone,
        owner: AccountId::from_uuid(app.ids.next(app.clock.now_ms())),
        owner_name: values.name.trim().to_owned(),
        owner_email: users::queries::normal_email(&values.email),
    };
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let (_, owner) = ws.write(&by, move |tx| workspace::rules::found(tx, founding)).await?;
    let listed = Workspace { id: ws.id, slug: ws.slug.clone(), created_at: app.clock.now() };
    let account = NewAccount { id: owner.account, name: owner.name, email: owner.email, hash };
    let cookie = Token::issue(TokenKind::SignIn);
    let browser = new_sign_in(&cookie, peer, &headers);
    let made = app.system.write(by.0, by.1, move |tx| {
        let account = users::rules::set_up(tx, account, &listed, &token)?;
        users::rules::sign_in(tx, account.id, browser)
    });
    made.await?;
    let cookie = session::cookie(&app.config, &cookie);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&ws.url(""))).into_response())
}

/// Everything that is wrong with the form, at once.
fn wrong_fields(values: &Values) -> Errors {
    let mut errors = Errors::default();
    if let Err(error) = users::queries::checked_name(&values.name) {
        errors.add(&error);
    }
    if let Err(error) = users::queries::checked_email(&values.email) {
        errors.add(&error);
    }
    let about = [values.name.as_str(), values.email.as_str(), values.workspace.as_str()];
    if let Err(error) = password::check(&values.password, &about) {
        errors.add(&UsersError::from(error));
    }
    for checked in [
        workspace::queries::checked_name(&values.workspace).map(drop),
        workspace::queries::checked_zone(&values.zone).map(drop),
    ] {
        if let Err(error) = checked {
            errors.add(&error);
        }
    }
    errors
}

/// The workspace of an attempt that was cut off, or a new folder.
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
