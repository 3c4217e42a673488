//! Pages outside a session: sign in, sign out, reset a password by link. A person's own settings are in [`settings`].

pub mod appearance;
pub mod passkeys;
pub mod prove;
pub mod second_step;
pub mod security;
pub mod settings;
mod tries;

use askama::Template;
use axum::http::header::{HeaderMap, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use serde::Deserialize;
use std::time::Duration;
use zeroize::Zeroizing;

use app::App;
use app::limits::{Patience, Rate};
use crypto::password::{self, Verdict};
use crypto::token::{Token, TokenKind};
use kernel::{AccountId, Actor, Can, Cause, Part, Problem};
use store::{ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Form, Query};
use web::flash;
pub use web::form::sentence;
use web::html;
use web::routes::{Needs, Routes};
use web::session::{Peer, RequestId};
use web::shell::{Flash, Theme};

use super::session::{self, Caller, SignInCookies};
use features::users::model::{Account, Purpose};
use features::users::rules::{NewSignIn, UsersError};
use features::users::{queries, rules};
use tries::Tries;

/// Rate limit for sign-in attempts of one address.
const TRIES: Rate = Rate { amount: 10, per: Duration::from_secs(5 * 60), burst: 10 };
/// Limit on wrong passwords for one account.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(15 * 60),
    first: Duration::from_secs(60),
    longest: Duration::from_secs(60 * 60),
};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/login", sign_in_form.needs(Can::Open))
        .post("/login", sign_in.needs(Can::Open))
        .get("/login/code", second_step::form.needs(Can::Open))
        .post("/login/code", second_step::check.needs(Can::Open))
        .post("/login/passkey/begin", passkeys::begin_sign_in.needs(Can::Open))
        .post("/login/passkey", passkeys::sign_in.needs(Can::Open))
        .post("/logout", sign_out.needs(Can::Account))
        .get("/reset", reset_form.needs(Can::Open))
        .post("/reset", reset.needs(Can::Open))
}

#[derive(Template)]
#[template(path = "users/signin.html")]
struct SignInPage {
    theme: Theme,
    wrong: String,
    notice: String,
    email: String,
    next: String,
    /// Whether browsers support passkeys for this address.
    passkeys: bool,
}

/// Where to redirect after the sign-in.
#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

async fn sign_in_form(
    app: App,
    headers: HeaderMap,
    caller: Option<axum::Extension<Caller>>,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    if caller.is_some() {
        return Ok(Redirect::to(&local(&query.next)).into_response());
    }
    let notice = flash::read(&app, &headers).map(|flash| flash.text).unwrap_or_default();
    let passkeys = passkeys::site(&app, &headers).is_some();
    html::page(&SignInPage {
        theme: Theme::from_headers(&headers),
        wrong: String::new(),
        notice,
        email: String::new(),
        next: query.next,
        passkeys,
    })
}

#[derive(Deserialize)]
struct SignInForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

async fn sign_in(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, PageError> {
    match check(&app, (peer, &headers), &form.email, Zeroizing::new(form.password)).await {
        Ok(account) => second_step::enter(&app, &account, &form.next, (peer, id), &headers).await,
        Err(error @ (UsersError::NoMatch | UsersError::TooMany(_))) => {
            let mut status = StatusCode::from_u16(error.kind().status()).unwrap_or_default();
            if matches!(error, UsersError::NoMatch) {
                status = StatusCode::UNPROCESSABLE_ENTITY;
            }
            html::document(
                status,
                &SignInPage {
                    theme: Theme::from_headers(&headers),
                    wrong: sentence(&error.to_string()),
                    notice: String::new(),
                    email: form.email,
                    next: form.next,
                    passkeys: passkeys::site(&app, &headers).is_some(),
                },
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks email and password, with a growing delay for wrong ones. An unknown email address costs the same time and the
/// same number of attempts as a known one.
async fn check(
    app: &App,
    (peer, headers): (Peer, &HeaderMap),
    email: &str,
    password: Zeroizing<String>,
) -> Result<Account, UsersError> {
    let email = queries::normal_email(email);
    let known = app.system.read(|snap| queries::by_email(snap, &email))?;
    let tries = Tries::of(app, headers, peer, known.map(|known| known.id))?;
    tries.password(app, &email)?;
    let found = app.system.read(|snap| {
        let account = queries::by_email(snap, &email)?.filter(|a| a.disabled_at.is_none());
        let hash = match &account {
            Some(account) => queries::password_hash(snap, account.id)?,
            None => None,
        };
        Ok::<_, StoreError>((account, hash))
    })?;
    let (account, stored) = found;
    let verdict = app.hasher.verify(stored, password.clone()).await?;
    match (account, verdict) {
        (Some(account), Verdict::Right | Verdict::RightButOld) => {
            tries.right_password(app, &email);
            if verdict == Verdict::RightButOld {
                let (hash, id) = (app.hasher.hash(password).await?, account.id);
                let by = Actor::System(Part::Engine);
                let renewed =
                    app.system.write(by, Cause::Timer, move |tx| rules::renew_hash(tx, id, hash));
                renewed.await?;
            }
            Ok(account)
        }
        (known, _) => {
            // Do not log the typed address: people enter their password there by mistake.
            let account = known.map_or_else(|| "unknown".to_owned(), |known| known.id.to_string());
            tracing::warn!(from = tries.from(), account, "a sign-in failed");
            Err(UsersError::NoMatch)
        }
    }
}

/// Checks a signed-in person's own password again, with the same limits as the sign-in.
///
/// # Errors
/// Too many attempts.
pub async fn check_own(
    app: &App,
    caller: &Caller,
    password: Zeroizing<String>,
) -> Result<Verdict, UsersError> {
    let email = &caller.account.email;
    let wait = |wait: Duration| UsersError::TooMany(waiting(wait));
    app.limiter.strike("sign-in", email, WRONG, app.clock.now_ms()).map_err(wait)?;
    let id = caller.account.id;
    let stored = app.system.read(|snap| queries::password_hash(snap, id))?;
    let verdict = app.hasher.verify(stored, password).await?;
    match verdict {
        Verdict::Wrong => tracing::warn!(account = %id, "a signed-in person's password was wrong"),
        Verdict::Right | Verdict::RightButOld => app.limiter.forgive("sign-in", email),
    }
    Ok(verdict)
}

/// Signs a browser in and returns its cookies.
pub async fn issue(
    app: &App,
    account: &Account,
    peer: Peer,
    request: RequestId,
    headers: &HeaderMap,
) -> Result<SignInCookies, UsersError> {
    let cookies = SignInCookies::issue();
    let (id, new) = (account.id, new_sign_in(app, &cookies, peer, headers));
    let actor = Actor::System(Part::Engine);
    let cause = Cause::Request(request.0);
    app.system.write(actor, cause, move |tx| rules::sign_in(tx, id, new)).await?;
    Ok(cookies)
}

/// The stored description of the request's browser.
#[must_use]
pub fn new_sign_in(
    app: &App,
    cookies: &SignInCookies,
    peer: Peer,
    headers: &HeaderMap,
) -> NewSignIn {
    let (hash, device) = cookies.hashes(&app.config, headers);
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    NewSignIn { hash, address: peer.network(), agent: browser(agent), device: Some(device) }
}

/// "Firefox on Linux", from a user agent.
fn browser(agent: &str) -> String {
    let named = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |list: &[(&str, &'static str)]| {
        list.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&named), find(&systems)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "A browser".to_owned(),
    }
}

async fn sign_out(app: App, caller: Caller, id: RequestId) -> Result<Response, PageError> {
    if let Some(sign_in) = caller.sign_in() {
        let cause = Cause::Request(id.0);
        app.system.write(caller.actor(), cause, move |tx| rules::sign_out(tx, sign_in)).await?;
    }
    let clear = HeaderName::from_static("clear-site-data");
    let headers = [
        (SET_COOKIE, session::no_cookie(&app.config)),
        (clear, HeaderValue::from_static("\"storage\"")),
    ];
    Ok((headers, Redirect::to("/login")).into_response())
}

// ── Password reset by link ──

#[derive(Template)]
#[template(path = "users/reset.html")]
struct ResetPage {
    theme: Theme,
    email: String,
    token: String,
    wrong: String,
}

#[derive(Deserialize)]
struct ResetForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    password: String,
}

/// The account whose password a link resets.
fn link_owner(app: &App, text: &str) -> Result<(Token, Account), UsersError> {
    let token = Token::parse(TokenKind::Link, text).map_err(|_| UsersError::DeadLink)?;
    let now = app.clock.now();
    let account = app.system.read(|snap| {
        let link = queries::link(snap, &token, now)?;
        match link.map(|link| link.purpose) {
            Some(Purpose::Reset(id) | Purpose::ResetAll(id)) => snap.get::<Account>(id),
            _ => Ok(None),
        }
    })?;
    let open = account.filter(|account| account.disabled_at.is_none());
    open.map(|account| (token, account)).ok_or(UsersError::DeadLink)
}

async fn reset_form(
    app: App,
    headers: HeaderMap,
    Query(query): Query<LinkQuery>,
) -> Result<Response, PageError> {
    let (_, account) = link_owner(&app, &query.token)?;
    html::page(&ResetPage {
        theme: Theme::from_headers(&headers),
        email: account.email,
        token: query.token,
        wrong: String::new(),
    })
}

/// The token of a one-time link.
#[derive(Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    pub token: String,
}

async fn reset(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
    Form(form): Form<ResetForm>,
) -> Result<Response, PageError> {
    let (token, account) = link_owner(&app, &form.token)?;
    if let Err(error) = password::check(&form.password, &[&account.name, &account.email]) {
        return html::document(
            StatusCode::UNPROCESSABLE_ENTITY,
            &ResetPage {
                theme: Theme::from_headers(&headers),
                email: account.email,
                token: form.token,
                wrong: sentence(&error.to_string()),
            },
        );
    }
    let hash = app.hasher.hash(Zeroizing::new(form.password)).await.map_err(UsersError::from)?;
    let cause = Cause::Request(id.0);
    let by = Actor::System(Part::Engine);
    let owner: AccountId =
        app.system.write(by, cause, move |tx| rules::reset_password(tx, &token, hash)).await?;
    debug_assert_eq!(owner, account.id, "a link belongs to one account");
    app.limiter.forgive("sign-in", &account.email);
    // An account with a second factor still has to provide it, unless the link removed it.
    let answer = second_step::enter(&app, &account, "/", (peer, id), &headers).await?;
    let tokens = settings::open_tokens(&app, account.id)?;
    Ok(flash::say(&app, Flash::ok(settings::password_changed(0, &tokens)), answer))
}

/// Accepts only a local path; anything else becomes `/`.
#[must_use]
pub fn local(next: &str) -> String {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

/// Formats a waiting time.
#[must_use]
pub fn waiting(wait: Duration) -> String {
    let whole = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    match whole.as_secs() {
        0..60 => format!("{} seconds", whole.as_secs() + 1),
        60..120 => "2 minutes".to_owned(),
        seconds => format!("{} minutes", seconds / 60 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::{browser, local, waiting};
    use std::time::Duration;

    #[test]
    fn only_paths_of_this_server_are_followed() {
        assert_eq!(local("/w/acme/tasks?q=1"), "/w/acme/tasks?q=1");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil", "javascript:x", "/a b"]
        {
            assert_eq!(local(bad), "/", "{bad}");
        }
    }

    #[test]
    fn browsers_are_named_as_people_know_them() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser(firefox), "Firefox on Linux");
        let edge = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0";
        assert_eq!(browser(edge), "Edge on Windows");
        assert_eq!(browser(""), "A browser");
    }

    #[test]
    fn a_wait_is_told_in_round_words() {
        assert_eq!(waiting(Duration::from_secs(4)), "5 seconds");
        assert_eq!(waiting(Duration::from_secs(60)), "2 minutes");
        assert_eq!(waiting(Duration::from_secs(300)), "6 minutes");
    }
}
