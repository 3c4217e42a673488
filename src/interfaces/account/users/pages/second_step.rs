//! The second step of a sign-in, after a correct password. No session exists before the second factor; a signed cookie
//! with a lifetime of minutes holds the state.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use app::App;
use crypto::token::Signer;
use features::users::model::Account;
use kernel::{AccountId, Actor, Cause, Part, Problem, ProblemKind};
use store::ReadExt;
use web::error::PageError;
use web::extract::Form;
use web::form::sentence;
use web::html;
use web::session::{Peer, RequestId};
use web::shell::Theme;

use super::super::{factors, session};
use super::tries::Tries;
use super::{issue, local};
use features::users::queries;
use features::users::rules::UsersError;

const NAME: &str = "hq_step";
const PURPOSE: &str = "second-step";
const LIFE_MS: i64 = 10 * 60 * 1000;

#[derive(Template)]
#[template(path = "users/second_step.html")]
struct Page {
    theme: Theme,
    email: String,
    wrong: String,
}

/// Signs in after a correct password, or asks for the second factor.
pub async fn enter(
    app: &App,
    account: &Account,
    next: &str,
    (peer, id): (Peer, RequestId),
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let owner = account.id;
    if app.system.read(|snap| queries::has_totp(snap, owner))? {
        let cookie = remember(app, owner, next);
        return Ok(([(SET_COOKIE, cookie)], Redirect::to("/login/code")).into_response());
    }
    let cookies = issue(app, account, peer, id, headers).await?;
    Ok(cookies.on(&app.config, Redirect::to(&local(next)).into_response()))
}

/// The cookie with the account whose password was correct, and the redirect target.
fn remember(app: &App, account: AccountId, next: &str) -> HeaderValue {
    let value = format!("{account}\n{next}");
    let until = app.clock.now_ms() + LIFE_MS;
    let signed = Signer::new(&app.keyring).sign(PURPOSE, value.as_bytes(), until);
    set_cookie(app, &signed, LIFE_MS / 1_000)
}

fn set_cookie(app: &App, value: &str, seconds: i64) -> HeaderValue {
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let line =
        format!("{NAME}={value}; Path=/login; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut header = HeaderValue::try_from(line).expect("invariant: signed values are plain ASCII");
    header.set_sensitive(true);
    header
}

/// The account whose password was correct, and the redirect target.
fn remembered(app: &App, headers: &HeaderMap) -> Result<Option<(Account, String)>, PageError> {
    let Some(signed) = session::named(headers, NAME) else { return Ok(None) };
    let value = Signer::new(&app.keyring).verify(PURPOSE, signed, app.clock.now_ms());
    let value = value.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, next)) = value.as_deref().and_then(|value| value.split_once('\n')) else {
        return Ok(None);
    };
    let Ok(id) = id.parse::<AccountId>() else { return Ok(None) };
    let account = app.system.read(|snap| snap.get::<Account>(id))?;
    let open = account.filter(|account| account.disabled_at.is_none());
    Ok(open.map(|account| (account, next.to_owned())))
}

/// `GET /login/code`
pub async fn form(app: App, headers: HeaderMap) -> Result<Response, PageError> {
    match remembered(&app, &headers)? {
        Some((account, _)) => html::page(&Page {
            theme: Theme::from_headers(&headers),
            email: account.email,
            wrong: String::new(),
        }),
        None => Ok(Redirect::to("/login").into_response()),
    }
}

/// The code form.
#[derive(Deserialize)]
pub struct CodeForm {
    #[serde(default)]
    code: String,
}

/// `POST /login/code`
pub async fn check(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, PageError> {
    let Some((account, next)) = remembered(&app, &headers)? else {
        return Ok(Redirect::to("/login").into_response());
    };
    let tries = Tries::of(&app, &headers, peer, Some(account.id))?;
    let by = (Actor::System(Part::Engine), Cause::Request(id.0));
    let checked = match tries.code(&app) {
        Ok(()) => {
            let counted = tries.factor(account.id);
            factors::check_counted(&app, (account.id, &counted), &form.code, by).await
        }
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => {
            tries.right_code(&app);
            let cookies = issue(&app, &account, peer, id, &headers).await?;
            let to = Redirect::to(&local(&next)).into_response();
            let mut answer = cookies.on(&app.config, to);
            answer.headers_mut().append(SET_COOKIE, set_cookie(&app, "", 0));
            Ok(answer)
        }
        Err(error @ (UsersError::NoCode | UsersError::TooMany(_))) => {
            let status = match error.kind() {
                ProblemKind::Limited => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let (theme, wrong) = (Theme::from_headers(&headers), sentence(&error.to_string()));
            html::document(status, &Page { theme, email: account.email, wrong })
        }
        Err(error) => Err(error.into()),
    }
}
