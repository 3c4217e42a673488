//! Re-authentication of a signed-in person: password, authenticator code or passkey. Valid for a limited time. Issues a
//! new cookie, so that a copy of the previous one does not benefit.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use app::{App, Who};
use crypto::password::Verdict;
use crypto::token::{Token, TokenKind};
use kernel::{Can, Problem, ProblemKind};
use web::error::PageError;
use web::extract::{Form, Json, Query};
use web::flash;
use web::form::sentence;
use web::html;
use web::hx::Hx;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::super::factors;
use super::super::session::{self, Caller};
use super::passkeys::{self, UseForm};
use super::{Next, check_own, local};
use features::users::queries;
use features::users::rules::{self, UsersError};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/prove", show.needs(Can::Account))
        .get("/settings/prove/state", state.needs(Can::Account))
        .post("/settings/prove", prove.needs(Can::Account))
        .post("/settings/prove/passkey", begin.needs(Can::Account))
}

/// The submitted proof.
pub enum Given {
    Password(Zeroizing<String>),
    /// An authenticator or recovery code.
    Code(String),
    /// The response of an authenticator.
    Passkey(UseForm),
}

/// The available proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ways {
    pub password: bool,
    pub code: bool,
    /// A passkey for this address.
    pub passkey: bool,
}

/// The proofs available to this person at this address.
pub fn ways(app: &App, who: &Person, headers: &HeaderMap) -> Result<Ways, UsersError> {
    let host = passkeys::site(app, headers).map(|site| site.host);
    app.system.read(|snap| {
        let keys = queries::passkeys(snap, who.account)?;
        Ok(Ways {
            password: queries::password_hash(snap, who.account)?.is_some(),
            code: queries::has_totp(snap, who.account)?,
            passkey: keys.iter().any(|key| Some(&key.host) == host.as_ref()),
        })
    })
}

/// Checks a proof, records it and returns the browser's new cookie.
///
/// # Errors
/// The proof is wrong, there were too many attempts, or the caller is not a signed-in browser.
pub async fn give(
    app: &App,
    caller: &Caller,
    who: &Person,
    headers: &HeaderMap,
    given: Given,
) -> Result<HeaderValue, UsersError> {
    let none = || UsersError::NoProof("only a signed-in browser proves anything".to_owned());
    let sign_in = caller.sign_in().ok_or_else(none)?;
    match given {
        Given::Password(password) => {
            if check_own(app, caller, password).await? == Verdict::Wrong {
                return Err(UsersError::NoProof("wrong password".to_owned()));
            }
        }
        Given::Code(code) => {
            factors::check(app, who.account, &code, (who.actor(), who.cause())).await?;
        }
        Given::Passkey(form) => {
            let checked = passkeys::check_again(app, who, headers, &form).await;
            checked.map_err(|error| match error {
                UsersError::NoMatch => {
                    let text = "this passkey is unknown here, or the device refused; try again";
                    UsersError::NoProof(text.to_owned())
                }
                other => other,
            })?;
        }
    }
    let token = Token::issue(TokenKind::SignIn);
    let hash = token.hash();
    let write = move |tx: &mut store::WriteTx<'_>| rules::renew_sign_in(tx, sign_in, hash);
    app.system.write(who.actor(), who.cause(), write).await?;
    app.proofs.note(sign_in, app.clock.now());
    Ok(session::cookie(&app.config, &token))
}

#[derive(Template)]
#[template(path = "users/prove.html")]
struct Page {
    shell: Shell,
    here: &'static str,
    ways: Ways,
    next: String,
    wrong: String,
}

async fn show(
    app: App,
    who: Person,
    headers: HeaderMap,
    shell: Shell,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    let ways = ways(&app, &who, &headers)?;
    html::page(&Page { shell, here: "security", ways, next: query.next, wrong: String::new() })
}

/// Read by the script before it submits a form that requires a proof.
#[derive(Serialize)]
struct State {
    fresh: bool,
    #[serde(flatten)]
    ways: Ways,
}

async fn state(
    app: App,
    who: Person,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<State>, PageError> {
    let fresh = caller.proved_until(&app).is_some();
    Ok(Json(State { fresh, ways: ways(&app, &who, &headers)? }))
}

async fn begin(app: App, who: Person, headers: HeaderMap) -> Result<Json<Value>, PageError> {
    Ok(Json(passkeys::ask_again(&app, &who, &headers)?))
}

#[derive(Deserialize)]
struct ProofForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    #[serde(flatten)]
    passkey: UseForm,
    #[serde(default)]
    next: String,
}

impl ProofForm {
    fn given(&self) -> Given {
        if !self.passkey.credential.is_empty() {
            Given::Passkey(self.passkey.clone())
        } else if self.code.trim().is_empty() {
            Given::Password(Zeroizing::new(self.password.clone()))
        } else {
            Given::Code(self.code.clone())
        }
    }
}

/// The script gets the error as one line; without script, the page shows it.
async fn prove(
    app: App,
    who: Person,
    hx: Hx,
    caller: Caller,
    headers: HeaderMap,
    shell: Shell,
    Form(form): Form<ProofForm>,
) -> Result<Response, PageError> {
    match give(&app, &caller, &who, &headers, form.given()).await {
        Ok(cookie) if hx.is_partial() => {
            Ok(([(SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response())
        }
        Ok(cookie) => {
            let next = match form.next.starts_with(&shell.url("")) {
                true => local(&form.next),
                false => shell.url("settings"),
            };
            let mut answer = hx.go_to(&next);
            answer.headers_mut().append(SET_COOKIE, cookie);
            let done = Flash::ok("Confirmed. Nothing has changed yet, so repeat the action.");
            Ok(flash::say(&app, done, answer))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Limited) => {
            let wrong = sentence(&error.to_string());
            let status = match error.kind() {
                ProblemKind::Limited => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            if hx.is_partial() {
                return Ok((status, wrong).into_response());
            }
            let ways = ways(&app, &who, &headers)?;
            html::document(status, &Page { shell, here: "security", ways, next: form.next, wrong })
        }
        Err(error) => Err(error.into()),
    }
}
