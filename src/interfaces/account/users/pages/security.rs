//! Settings, Two-step sign-in: authenticator codes, recovery codes, passkeys.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use zeroize::Zeroizing;

use app::{App, Who, Ws};
use crypto::password::Verdict;
use features::workspace::queries as workspace;
use kernel::{Can, PasskeyId, Role};
use store::StoreError;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::sentence;
use web::html;
use web::hx::Hx;
use web::qr::{self, Picture};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::super::factors;
use super::super::session::Caller;
use super::passkeys;
use super::settings::When;
use features::users::model::factors::{Passkey, PasskeyUse};
use features::users::queries;
use features::users::rules::{UsersError, factors as rules};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/security", show.needs(Can::Account))
        .post("/settings/security/app", begin.needs(Can::Account))
        .get("/settings/security/app", app_form.needs(Can::Account))
        .post("/settings/security/app/confirm", confirm.needs(Can::Account))
        .post("/settings/security/app/off", turn_off.needs(Can::Account))
        .post("/settings/security/codes", renew.needs(Can::Account))
        .post("/settings/security/passkeys", passkeys::add.needs(Can::Account))
        .post("/settings/security/passkeys/begin", passkeys::begin.needs(Can::Account))
        .post("/settings/security/passkeys/{id}/rename", passkeys::rename.needs(Can::Account))
        .post(
            "/settings/security/passkeys/{id}/remove",
            passkeys::remove.needs(Can::Account).proved(),
        )
}

#[derive(Template)]
#[template(path = "users/security.html")]
struct Security {
    shell: Shell,
    /// Since when codes are required.
    since: Option<RelTime>,
    codes_left: usize,
    /// Advice if no second factor is set up.
    advice: &'static str,
    off_error: String,
    codes_error: String,
    keys: Vec<KeyRow>,
    /// Whether browsers support passkeys for this address.
    passkeys: bool,
}

struct KeyRow {
    id: PasskeyId,
    name: String,
    host: String,
    since: RelTime,
    used: Option<RelTime>,
    regressed: bool,
    href: String,
}

/// A person's passkeys with their use.
fn keys(app: &App, ws: &Ws, who: &Person) -> Result<Vec<KeyRow>, PageError> {
    let when = When::of(app, who);
    let found = app.system.read(|snap| {
        let all = queries::passkeys(snap, who.account)?;
        let used = |one: Passkey| Ok::<_, StoreError>((queries::passkey_use(snap, one.id)?, one));
        all.into_iter().map(used).collect::<Result<Vec<_>, _>>()
    })?;
    let row = |(used, one): (Option<PasskeyUse>, Passkey)| KeyRow {
        regressed: used.as_ref().is_some_and(|used| used.regressed),
        used: used.filter(|used| one.created_at < used.at).map(|used| when.at(used.at)),
        since: when.at(one.created_at),
        id: one.id,
        href: ws.url(&format!("settings/security/passkeys/{}", one.id)),
        name: one.name,
        host: one.host,
    };
    Ok(found.into_iter().map(row).collect())
}

impl Security {
    fn of(
        app: &App,
        ws: &Ws,
        who: &Person,
        shell: Shell,
        headers: &HeaderMap,
    ) -> Result<Self, PageError> {
        let (totp, left, any) = app.system.read(|snap| {
            let totp = queries::totp(snap, who.account)?;
            let left = queries::recovery_left(snap, who.account)?;
            Ok::<_, StoreError>((totp, left, queries::has_factor(snap, who.account)?))
        })?;
        let when = When::of(app, who);
        let must = ws.read(|snap| workspace::people(snap))?.factor_for_admins;
        let admin = matches!(who.role, Role::Owner | Role::Admin);
        let advice = match (any, admin, must) {
            (false, true, true) => {
                "This workspace requires two-step sign-in for owners and admins. Set it up to \
                 continue."
            }
            (false, true, false) => {
                "You can change everything here. Two-step sign-in protects the workspace if \
                 someone gets your password."
            }
            _ => "",
        };
        let since = totp.and_then(|kept| kept.confirmed_at).map(|at| when.at(at));
        let (off_error, codes_error) = (String::new(), String::new());
        let (keys, passkeys) = (keys(app, ws, who)?, passkeys::site(app, headers).is_some());
        Ok(Self { shell, since, codes_left: left, advice, off_error, codes_error, keys, passkeys })
    }
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    headers: HeaderMap,
    shell: Shell,
) -> Result<Response, PageError> {
    html::page(&Security::of(&app, &ws, &who, shell, &headers)?)
}

async fn begin(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let (account, sealed) = (who.account, factors::fresh(&app, who.account));
    let write = move |tx: &mut store::WriteTx<'_>| rules::begin_totp(tx, account, sealed);
    app.system.write(who.actor(), who.cause(), write).await?;
    Ok(hx.go_to(&ws.url("settings/security/app")))
}

#[derive(Template)]
#[template(path = "users/app.html")]
struct AppForm {
    shell: Shell,
    picture: Option<Picture>,
    secret: String,
    wrong: String,
}

impl AppForm {
    /// The secret that is not confirmed by a code yet; `None` if there is none.
    fn of(app: &App, who: &Person, shell: Shell, wrong: String) -> Result<Option<Self>, PageError> {
        let kept = app.system.read(|snap| queries::totp(snap, who.account))?;
        let Some(kept) = kept.filter(|kept| kept.confirmed_at.is_none()) else { return Ok(None) };
        let secret = factors::open(app, &kept)?;
        let address = secret.address("HQ", &who.email);
        let picture = qr::svg(&address, "QR code for your authenticator app");
        Ok(Some(Self { shell, picture, secret: secret.text().to_string(), wrong }))
    }
}

async fn app_form(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
) -> Result<Response, PageError> {
    match AppForm::of(&app, &who, shell, String::new())? {
        Some(page) => html::page(&page),
        None => Ok(hx.go_to(&ws.url("settings/security"))),
    }
}

#[derive(Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
}

#[derive(Template)]
#[template(path = "users/codes.html")]
struct Codes {
    shell: Shell,
    codes: Vec<String>,
    /// All codes, for copying.
    all: String,
}

impl Codes {
    fn of(shell: Shell, codes: &[Zeroizing<String>]) -> Self {
        let codes: Vec<String> = codes.iter().map(|code| code.to_string()).collect();
        Self { shell, all: codes.join("\n"), codes }
    }
}

async fn confirm(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    caller: Caller,
    shell: Shell,
    Form(form): Form<CodeForm>,
) -> Result<Response, PageError> {
    let codes = match factors::confirm(&app, &who, caller.sign_in(), &form.code).await {
        Ok(codes) => codes,
        Err(UsersError::NotFound(_)) => return Ok(hx.go_to(&ws.url("settings/security"))),
        Err(error @ UsersError::Field { .. }) => {
            let page = AppForm::of(&app, &who, shell, error.to_string())?;
            let page = page.ok_or_else(|| PageError::not_found("The set-up"))?;
            return html::document(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
        Err(error) => return Err(error.into()),
    };
    html::page(&Codes::of(shell, &codes))
}

#[derive(Deserialize)]
struct SureForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
}

/// Checks the password that was typed again; returns the error if it is wrong.
async fn wrong_password(
    app: &App,
    caller: &Caller,
    password: String,
) -> Result<Option<String>, PageError> {
    match super::check_own(app, caller, Zeroizing::new(password)).await {
        Ok(Verdict::Wrong) => Ok(Some("Wrong password.".to_owned())),
        Ok(_) => Ok(None),
        Err(error @ UsersError::TooMany(_)) => Ok(Some(sentence(&error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

async fn turn_off(
    app: App,
    ws: Ws,
    who: Person,
    caller: Caller,
    headers: HeaderMap,
    shell: Shell,
    Form(form): Form<SureForm>,
) -> Result<Response, PageError> {
    let mut wrong = wrong_password(&app, &caller, form.password).await?;
    if wrong.is_none() {
        match factors::check(&app, who.account, &form.code, (who.actor(), who.cause())).await {
            Ok(()) => {}
            Err(error @ (UsersError::NoCode | UsersError::TooMany(_))) => {
                wrong = Some(sentence(&error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(wrong) = wrong {
        let mut page = Security::of(&app, &ws, &who, shell, &headers)?;
        page.off_error = wrong;
        return html::document(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let (account, keep) = (who.account, caller.sign_in());
    let write = move |tx: &mut store::WriteTx<'_>| rules::drop_totp(tx, account, keep);
    app.system.write(who.actor(), who.cause(), write).await?;
    let done = Flash::ok("App codes are off. Other browsers were signed out.");
    Ok(flash::say(&app, done, Hx::from_headers(&headers).go_to(&ws.url("settings/security"))))
}

async fn renew(
    app: App,
    ws: Ws,
    who: Person,
    caller: Caller,
    headers: HeaderMap,
    shell: Shell,
    Form(form): Form<SureForm>,
) -> Result<Response, PageError> {
    if let Some(wrong) = wrong_password(&app, &caller, form.password).await? {
        let mut page = Security::of(&app, &ws, &who, shell, &headers)?;
        page.codes_error = wrong;
        return html::document(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let account = who.account;
    let (codes, hashes) = factors::recovery_codes();
    let write = move |tx: &mut store::WriteTx<'_>| rules::renew_recovery(tx, account, hashes);
    app.system.write(who.actor(), who.cause(), write).await?;
    html::page(&Codes::of(shell, &codes))
}
