//! Passkeys: added and removed in the settings, used on the sign-in page. `static/js/passkeys.js` is the browser part;
//! it fills in plain forms.

use axum::http::header::{HOST, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use app::{App, Who, Ws};
use crypto::passkey::{self, PasskeyError, Site};
use crypto::password::Verdict;
use crypto::token::{Token, TokenKind};
use kernel::{AccountId, Actor, Cause, Part, PasskeyId, ProblemKind, TypedId};
use store::{ReadExt, StoreError};
use web::error::{Failure, PageError};
use web::extract::{Form, Json, Path};
use web::flash;
use web::form::sentence;
use web::hx::Hx;
use web::session::{Peer, Person, RequestId};
use web::shell::Flash;

use super::super::session::Caller;
use super::{TRIES, issue, local, waiting};
use features::users::model::Account;
use features::users::queries;
use features::users::rules::{UsersError, passkeys as rules};

/// Time limit for the authenticator, in milliseconds.
const PATIENCE_MS: u32 = 120_000;

/// The relying party: the public address, or this machine. `None` where browsers refuse passkeys: plain HTTP on another
/// machine, and IP addresses.
#[must_use]
pub fn site(app: &App, headers: &HeaderMap) -> Option<Site> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let name = |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let origin = match app.config.public_url.as_deref() {
        Some(url) if !host.starts_with("localhost") => url.trim_end_matches('/').to_owned(),
        _ => format!("http://{host}"),
    };
    let (scheme, rest) = origin.split_once("://")?;
    let host = name(rest).to_ascii_lowercase();
    let is_name = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
    let fine = is_name && (scheme == "https" || host == "localhost");
    fine.then_some(Site { host, origin })
}

fn nowhere() -> PageError {
    let text = "Passkeys need https or localhost. Set HQ_PUBLIC_URL to the https address people \
                use.";
    PageError(Failure::new(ProblemKind::Conflict, "no_passkeys_here", text))
}

/// A random challenge of 256 bits, like our tokens.
fn fresh_challenge() -> String {
    URL_SAFE_NO_PAD.encode(Token::issue(TokenKind::Link).hash().as_bytes())
}

fn bytes(text: &str) -> Result<Vec<u8>, PasskeyError> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| PasskeyError::Malformed)
}

/// The challenge that a response claims to answer.
fn challenge_in(client_data: &[u8]) -> String {
    let data: Value = serde_json::from_slice(client_data).unwrap_or_default();
    data["challenge"].as_str().unwrap_or_default().to_owned()
}

/// `POST /settings/security/passkeys/begin`: the options for creating a passkey.
pub async fn begin(app: App, who: Person, headers: HeaderMap) -> Result<Json<Value>, PageError> {
    let site = site(&app, &headers).ok_or_else(nowhere)?;
    let known = app.system.read(|snap| queries::passkeys(snap, who.account))?;
    let known: Vec<Value> = known
        .iter()
        .map(|one| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&one.credential) }))
        .collect();
    let challenge = fresh_challenge();
    app.challenges.keep(&challenge, Some(who.account), app.clock.now_ms());
    let user = URL_SAFE_NO_PAD.encode(who.account.uuid().as_bytes());
    Ok(Json(json!({
        "challenge": challenge,
        "rp": { "id": site.host, "name": "HQ" },
        "user": { "id": user, "name": who.email, "displayName": who.name },
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -8 },
            { "type": "public-key", "alg": -257 },
        ],
        "timeout": PATIENCE_MS,
        "excludeCredentials": known,
        "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true,
            "userVerification": "required" },
        "attestation": "none",
    })))
}

/// The form that the script filled in.
#[derive(Deserialize)]
pub struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    client_data: String,
    #[serde(default)]
    attestation: String,
}

/// `POST /settings/security/passkeys`
pub async fn add(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    caller: Caller,
    headers: HeaderMap,
    Form(form): Form<NewForm>,
) -> Result<Response, PageError> {
    let back = hx.go_to(&ws.url("settings/security"));
    let refused = |text: &str| {
        Ok(flash::say(&app, Flash::danger(sentence(text)), hx.go_to(&ws.url("settings/security"))))
    };
    match super::check_own(&app, &caller, Zeroizing::new(form.password.clone())).await {
        Ok(Verdict::Wrong) => return refused("wrong password; no passkey was added"),
        Ok(_) => {}
        Err(error @ UsersError::TooMany(_)) => return refused(&error.to_string()),
        Err(error) => return Err(error.into()),
    }
    let site = site(&app, &headers).ok_or_else(nowhere)?;
    let made = (|| {
        let client = bytes(&form.client_data)?;
        let challenge = challenge_in(&client);
        if !app.challenges.take(&challenge, Some(who.account), app.clock.now_ms()) {
            return Err(PasskeyError::OtherPlace);
        }
        passkey::check_made(&site, &challenge, &client, &bytes(&form.attestation)?)
    })();
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(account = %who.account, %error, "a new passkey was refused");
            return refused(&format!("no passkey was added: {error}"));
        }
    };
    let new = rules::NewPasskey {
        account: who.account,
        credential: made.credential,
        key: made.key,
        host: site.host,
        name: form.name,
        count: made.count,
    };
    match app.system.write(who.actor(), who.cause(), move |tx| rules::add(tx, new)).await {
        Ok(passkey) => {
            let text = format!("Passkey \"{}\" added.", passkey.name);
            Ok(flash::say(&app, Flash::ok(text), back))
        }
        Err(error @ (UsersError::Field { .. } | UsersError::Many(_))) => {
            refused(&error.to_string())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/security/passkeys/{id}/remove`
pub async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<PasskeyId>,
) -> Result<Response, PageError> {
    let account = who.account;
    let write = move |tx: &mut store::WriteTx<'_>| rules::remove(tx, account, id);
    let gone = app.system.write(who.actor(), who.cause(), write).await?;
    let done = Flash::ok(format!("Passkey \"{}\" removed.", gone.name));
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/security"))))
}

#[derive(Deserialize)]
pub struct NameForm {
    #[serde(default)]
    name: String,
}

/// `POST /settings/security/passkeys/{id}/rename`
pub async fn rename(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<PasskeyId>,
    Form(form): Form<NameForm>,
) -> Result<Response, PageError> {
    let (account, back) = (who.account, hx.go_to(&ws.url("settings/security")));
    let write = move |tx: &mut store::WriteTx<'_>| rules::rename(tx, account, id, &form.name);
    match app.system.write(who.actor(), who.cause(), write).await {
        Ok(now) => {
            let text = format!("Passkey renamed to \"{}\".", now.name);
            Ok(flash::say(&app, Flash::ok(text), back))
        }
        Err(error @ UsersError::Field { .. }) => {
            Ok(flash::say(&app, Flash::danger(sentence(&error.to_string())), back))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /login/passkey/begin`: the options for using a passkey.
pub async fn begin_sign_in(
    app: App,
    peer: Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, PageError> {
    let now = app.clock.now_ms();
    let taken = app.limiter.take("passkey", &peer.key(), TRIES, now);
    taken.map_err(|wait| UsersError::TooMany(waiting(wait)))?;
    let site = site(&app, &headers).ok_or_else(nowhere)?;
    let challenge = fresh_challenge();
    app.challenges.keep(&challenge, None, now);
    Ok(Json(json!({
        "challenge": challenge,
        "rpId": site.host,
        "timeout": PATIENCE_MS,
        "userVerification": "required",
        "allowCredentials": [],
    })))
}

/// The authenticator's response, as filled in by the script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UseForm {
    /// Id of the passkey.
    pub credential: String,
    /// The browser's client data.
    pub client_data: String,
    /// The authenticator data.
    pub data: String,
    pub signature: String,
    /// Where to redirect afterwards.
    pub next: String,
}

/// `POST /login/passkey`: signs in. A passkey covers both factors, since the authenticator has verified its user.
pub async fn sign_in(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
    Form(form): Form<UseForm>,
) -> Result<Response, PageError> {
    let (from, now) = (peer.key(), app.clock.now_ms());
    let taken = app.limiter.take("sign-in", &from, TRIES, now);
    taken.map_err(|wait| UsersError::TooMany(waiting(wait)))?;
    let site = site(&app, &headers).ok_or_else(nowhere)?;
    match used(&app, &site, (&form, None), Cause::Request(id.0)).await {
        Ok(account) => {
            app.limiter.give_back("sign-in", &from, TRIES);
            let cookies = issue(&app, &account, peer, id, &headers).await?;
            Ok(cookies.on(&app.config, Redirect::to(&local(&form.next)).into_response()))
        }
        Err(UsersError::NoMatch) => {
            let text = "This passkey is unknown here, or the device refused. Try again, or sign \
                        in with your password.";
            let answer = Redirect::to("/login").into_response();
            Ok(flash::say(&app, Flash::danger(text), answer))
        }
        Err(error) => Err(error.into()),
    }
}

/// The options for re-authenticating a signed-in person with a passkey.
///
/// # Errors
/// Browsers do not support passkeys for this address.
pub fn ask_again(app: &App, who: &Person, headers: &HeaderMap) -> Result<Value, PageError> {
    let site = site(app, headers).ok_or_else(nowhere)?;
    let known = app.system.read(|snap| queries::passkeys(snap, who.account))?;
    let known = known.iter().filter(|one| one.host == site.host);
    let known: Vec<Value> = known
        .map(|one| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&one.credential) }))
        .collect();
    let challenge = fresh_challenge();
    app.challenges.keep(&challenge, Some(who.account), app.clock.now_ms());
    Ok(json!({
        "challenge": challenge,
        "rpId": site.host,
        "timeout": PATIENCE_MS,
        "userVerification": "required",
        "allowCredentials": known,
    }))
}

/// Checks a response to [`ask_again`] and records the use.
///
/// # Errors
/// The response is invalid or belongs to another account.
pub async fn check_again(
    app: &App,
    who: &Person,
    headers: &HeaderMap,
    form: &UseForm,
) -> Result<(), UsersError> {
    let site = site(app, headers).ok_or(UsersError::NoMatch)?;
    let used = used(app, &site, (form, Some(who.account)), who.cause()).await?;
    if used.id == who.account { Ok(()) } else { Err(UsersError::NoMatch) }
}

/// Verifies a passkey response and returns its account. The challenge was issued to the account `expected`, or to anyone
/// if `None`.
async fn used(
    app: &App,
    site: &Site,
    (form, expected): (&UseForm, Option<AccountId>),
    cause: Cause,
) -> Result<Account, UsersError> {
    let wrong = |error: PasskeyError| {
        tracing::warn!(%error, "a passkey was refused");
        UsersError::NoMatch
    };
    let (client, data) =
        (bytes(&form.client_data).map_err(wrong)?, bytes(&form.data).map_err(wrong)?);
    let signature = bytes(&form.signature).map_err(wrong)?;
    let credential = bytes(&form.credential).map_err(wrong)?;
    let challenge = challenge_in(&client);
    if !app.challenges.take(&challenge, expected, app.clock.now_ms()) {
        return Err(wrong(PasskeyError::OtherPlace));
    }
    let found = app.system.read(|snap| {
        let passkey = queries::passkey(snap, &credential)?;
        let account = match &passkey {
            Some(passkey) => snap.get::<Account>(passkey.account)?,
            None => None,
        };
        Ok::<_, StoreError>(passkey.zip(account))
    })?;
    let (passkey, account) = found.ok_or(UsersError::NoMatch)?;
    let other = expected.is_some_and(|expected| expected != account.id);
    if account.disabled_at.is_some() || passkey.host != site.host || other {
        return Err(UsersError::NoMatch);
    }
    let count = passkey::check_used(site, &challenge, &client, &data, &signature, &passkey.key)
        .map_err(wrong)?;
    let (by, id) = (Actor::System(Part::Engine), passkey.id);
    app.system.write(by, cause, move |tx| rules::note_use(tx, id, count)).await?;
    Ok(account)
}
