//! A person's own settings: profile, password, sign-ins, API tokens.

use std::collections::BTreeSet;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use zeroize::Zeroizing;

use app::{App, Who, Ws};
use crypto::password::{self, Verdict};
use crypto::token::{Token, TokenKind};
use features::workspace::queries as workspace;
use kernel::text::listed;
use kernel::{AccountId, Can, Problem, Role, Scope, SignInId, Timestamp, TokenId};
use store::StoreError;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::{RelTime, zones};

use super::super::session::{Caller, Rights};
use super::super::tokens;
use super::{appearance, sentence};
use features::users::model::ApiToken;
use features::users::rules::{NewToken, UsersError};
use features::users::{queries, rules};

/// Lifetimes of a new token in days; the first is the default.
const DAYS: [(i64, &str); 3] = [(90, "90 days"), (30, "30 days"), (365, "One year")];

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings", overview.needs(Can::Account))
        .get("/settings/profile", profile.needs(Can::Account))
        .post("/settings/profile", save_zone.needs(Can::Account))
        .get("/settings/appearance", appearance::show.needs(Can::Account))
        .post("/settings/appearance", appearance::save.needs(Can::Account))
        .post("/settings/password", change_password.needs(Can::Account))
        .get("/settings/sign-ins", sign_ins.needs(Can::Account))
        .post("/settings/sign-ins/revoke-others", revoke_others.needs(Can::Account))
        .post("/settings/sign-ins/{id}/revoke", revoke_sign_in.needs(Can::Account))
        .get("/settings/tokens", list_tokens.needs(Can::Account))
        .post("/settings/tokens", create_token.needs(Can::Account).proved())
        .post("/settings/tokens/{id}/revoke", revoke_token.needs(Can::Account))
        .post("/settings/tokens/{id}/withdraw", withdraw_token.needs(Can::Admin).proved())
}

/// The search in the overview.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SearchParams {
    q: String,
}

#[derive(Template)]
#[template(path = "settings/index.html")]
struct Overview {
    shell: Shell,
    query: String,
}

/// `GET /settings`: all settings pages.
async fn overview(shell: Shell, Query(params): Query<SearchParams>) -> Result<Response, PageError> {
    html::page(&Overview { shell, query: params.q.trim().to_owned() })
}

// ── Profile and password ──

#[derive(Template)]
#[template(path = "users/profile.html")]
struct Profile {
    shell: Shell,
    called: String,
    name_error: String,
    zones: Vec<Choice>,
    zone_error: String,
    current_error: String,
    password_error: String,
    /// Names of the API tokens that stay valid after a password change, separated by commas; may be empty.
    tokens: String,
}

/// The names of a person's valid API tokens in all workspaces.
pub(super) fn open_tokens(app: &App, account: AccountId) -> Result<Vec<String>, StoreError> {
    let now = app.clock.now();
    let all = app.system.read(|snap| queries::tokens(snap, account))?;
    let open = all.into_iter().filter(|token| token.is_open() && now < token.expires_at);
    Ok(open.map(|token| token.name).collect())
}

/// The confirmation of a password change, with the tokens that stay valid.
pub(super) fn password_changed(revoked: u64, tokens: &[String]) -> String {
    let done = "Password changed. Other browsers were signed out.";
    match tokens {
        [] if 0 < revoked => {
            let was = if revoked == 1 { "was" } else { "were" };
            format!("{done} {} {was} revoked.", format::count(revoked, "API token", "API tokens"))
        }
        [] => done.to_owned(),
        [one] => format!("{done} The API token {one} stays valid; revoke it under API tokens."),
        all => {
            let names = listed(all);
            format!("{done} The API tokens {names} stay valid; revoke them under API tokens.")
        }
    }
}

impl Profile {
    fn of(shell: Shell, who: &Person, zone: Option<&str>) -> Self {
        let mut choices = vec![Choice::new("", "Workspace default", zone.is_none())];
        choices.extend(zones(zone.unwrap_or_default()));
        Self {
            shell,
            called: who.name.clone(),
            name_error: String::new(),
            zones: choices,
            zone_error: String::new(),
            current_error: String::new(),
            password_error: String::new(),
            tokens: String::new(),
        }
    }

    fn with_tokens(self, app: &App, who: &Person) -> Result<Self, StoreError> {
        Ok(Self { tokens: listed(&open_tokens(app, who.account)?), ..self })
    }
}

#[derive(Deserialize)]
struct AccountForm {
    /// A rejected name.
    name: Option<String>,
}

async fn profile(
    app: App,
    caller: Caller,
    who: Person,
    shell: Shell,
    Query(form): Query<AccountForm>,
) -> Result<Response, PageError> {
    let page = Profile::of(shell, &who, caller.account.zone.as_deref());
    let mut page = page.with_tokens(&app, &who)?;
    let Some(name) = form.name else { return html::page(&page) };
    if let Err(error) = workspace::checked_member_name(&name) {
        (page.called, page.name_error) = (name, error.to_string());
    }
    html::page(&page)
}

#[derive(Deserialize)]
struct ZoneForm {
    #[serde(default)]
    zone: String,
}

async fn save_zone(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<ZoneForm>,
) -> Result<Response, PageError> {
    let zone = Some(form.zone.clone()).filter(|zone| !zone.is_empty());
    let account = who.account;
    let saved = app
        .system
        .write(who.actor(), who.cause(), move |tx| rules::set_zone(tx, account, zone))
        .await;
    match saved {
        Ok(_) => {
            let back = hx.go_to(&ws.url("settings/profile"));
            Ok(flash::say(&app, Flash::ok("Time zone saved."), back))
        }
        Err(error @ UsersError::Field { .. }) => {
            let page = Profile::of(shell, &who, Some(&form.zone));
            let mut page = page.with_tokens(&app, &who)?;
            page.zone_error = sentence(&error.to_string());
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct PasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
    /// `on` to revoke all API tokens as well.
    #[serde(default)]
    revoke_tokens: String,
}

async fn change_password(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    caller: Caller,
    shell: Shell,
    Form(form): Form<PasswordForm>,
) -> Result<Response, PageError> {
    let page = Profile::of(shell, &who, caller.account.zone.as_deref());
    let mut page = page.with_tokens(&app, &who)?;
    if let Err(error) = password::check(&form.password, &[&who.name, &who.email]) {
        page.password_error = sentence(&error.to_string());
        return html::document(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let (account, keep) = (who.account, caller.sign_in());
    let checked = super::check_own(&app, &caller, Zeroizing::new(form.current)).await;
    match checked {
        Ok(Verdict::Wrong) => {
            page.current_error = "Wrong password.".to_owned();
            return html::document(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
        Ok(_) => {}
        Err(error @ UsersError::TooMany(_)) => {
            page.current_error = sentence(&error.to_string());
            return html::document(StatusCode::TOO_MANY_REQUESTS, &page);
        }
        Err(error) => return Err(error.into()),
    }
    let hash = app.hasher.hash(Zeroizing::new(form.password)).await.map_err(UsersError::from)?;
    let revokes = !form.revoke_tokens.is_empty();
    let change = move |tx: &mut store::WriteTx<'_>| {
        rules::set_password(tx, account, hash, keep)?;
        match revokes {
            true => rules::workspaces::withdraw_tokens(tx, |token| token.account == account),
            false => Ok(0),
        }
    };
    let revoked = app.system.write(who.actor(), who.cause(), change).await?;
    let done = Flash::ok(password_changed(revoked as u64, &open_tokens(&app, account)?));
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/profile"))))
}

// ── Sign-ins ──

struct SignInRow {
    agent: String,
    address: String,
    since: RelTime,
    seen: RelTime,
    current: bool,
    revoke: String,
}

#[derive(Template)]
#[template(path = "users/sign_ins.html")]
struct SignIns {
    shell: Shell,
    rows: Vec<SignInRow>,
    /// Whether other browsers are signed in or remembered.
    has_others: bool,
}

async fn sign_ins(
    app: App,
    ws: Ws,
    who: Person,
    caller: Caller,
    shell: Shell,
) -> Result<Response, PageError> {
    let found = app.system.read(|snap| {
        let all = queries::sign_ins(snap, who.account)?;
        let seen = |one| Ok::<_, StoreError>((queries::seen(snap, &one)?, one));
        all.into_iter().map(seen).collect::<Result<Vec<_>, _>>()
    })?;
    let own = caller.sign_in();
    let known = app.system.read(|snap| queries::other_devices(snap, who.account, own))?;
    let has_others = 1 < found.len() || 0 < known;
    let when = When::of(&app, &who);
    let mut rows: Vec<_> = found
        .into_iter()
        .map(|(seen, one)| SignInRow {
            revoke: ws.url(&format!("settings/sign-ins/{}/revoke", one.id)),
            current: caller.sign_in() == Some(one.id),
            since: when.at(one.created_at),
            seen: when.at(seen),
            agent: one.agent,
            address: one.address,
        })
        .collect();
    rows.reverse();
    html::page(&SignIns { shell, rows, has_others })
}

async fn revoke_sign_in(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<SignInId>,
) -> Result<Response, PageError> {
    let account = who.account;
    app.system
        .write(who.actor(), who.cause(), move |tx| rules::revoke_sign_in(tx, account, id))
        .await?;
    let done = Flash::ok("Browser signed out.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/sign-ins"))))
}

async fn revoke_others(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    caller: Caller,
) -> Result<Response, PageError> {
    let (account, keep) = (who.account, caller.sign_in());
    app.system
        .write(who.actor(), who.cause(), move |tx| rules::revoke_others(tx, account, keep))
        .await?;
    let done = Flash::ok("All other browsers were signed out.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/sign-ins"))))
}

// ── Tokens ──

struct TokenRow {
    /// The owner, if another person's token.
    owner: String,
    name: String,
    mark: String,
    scopes: String,
    created: RelTime,
    expires: RelTime,
    used: Option<RelTime>,
    open: bool,
    ended: &'static str,
    revoke: String,
}

#[derive(Template)]
#[template(path = "users/tokens.html")]
struct Tokens {
    shell: Shell,
    fresh: String,
    /// Whether this form already created its token; the secret is not shown again.
    again: bool,
    called: String,
    name_error: String,
    scopes: Vec<Choice>,
    scopes_error: String,
    days: Vec<Choice>,
    rows: Vec<TokenRow>,
    /// Other people's valid tokens, for those who may revoke them.
    others: Vec<TokenRow>,
}

impl Tokens {
    fn of(app: &App, ws: &Ws, who: &Person, shell: Shell) -> Result<Self, PageError> {
        let found = app.system.read(|snap| {
            let all = queries::tokens(snap, who.account)?;
            let used =
                |one: ApiToken| Ok::<_, StoreError>((queries::last_used(snap, one.id)?, one));
            all.into_iter().map(used).collect::<Result<Vec<_>, _>>()
        })?;
        let (when, now) = (When::of(app, who), app.clock.now());
        let here = found.into_iter().filter(|(_, token)| token.workspace == ws.id);
        let mut rows: Vec<_> =
            here.map(|(used, token)| token_row(ws, token, used, &when, now)).collect();
        rows.reverse();
        let others = if who.access.may(Can::Admin) { others(app, ws, who)? } else { Vec::new() };
        Ok(Self {
            others,
            shell,
            fresh: String::new(),
            again: false,
            called: String::new(),
            name_error: String::new(),
            scopes: scopes(&[Scope::Read]),
            scopes_error: String::new(),
            days: DAYS.iter().map(|(n, label)| Choice::new(n.to_string(), *label, false)).collect(),
            rows,
        })
    }
}

/// Valid tokens of other members of the workspace.
fn others(app: &App, ws: &Ws, who: &Person) -> Result<Vec<TokenRow>, PageError> {
    let (when, now) = (When::of(app, who), app.clock.now());
    let found = app.system.read(|snap| {
        let all = queries::tokens_of(snap, ws.id, now)?;
        let used = |one: ApiToken| Ok::<_, StoreError>((queries::last_used(snap, one.id)?, one));
        all.into_iter().map(used).collect::<Result<Vec<_>, _>>()
    })?;
    let people = ws.read(|snap| workspace::members(snap))?;
    let mut rows = Vec::new();
    for (used, token) in found {
        let owner = people.iter().find(|one| one.account == token.account);
        let Some(owner) = owner.filter(|one| one.account != who.account) else { continue };
        let withdraw = ws.url(&format!("settings/tokens/{}/withdraw", token.id));
        let row = token_row(ws, token, used, &when, now);
        // An admin sees owners' tokens but cannot revoke them.
        let touch = who.role == Role::Owner || owner.role != Role::Owner;
        let revoke = if touch { withdraw } else { String::new() };
        rows.push(TokenRow { owner: owner.name.clone(), revoke, ..row });
    }
    Ok(rows)
}

/// Revokes another member's token, if that member has no more rights than the caller.
async fn withdraw_token(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<TokenId>,
) -> Result<Response, PageError> {
    let gone = tokens::withdraw(&app, &ws, &who, id).await?;
    let done = Flash::ok(format!("Token \"{}\" revoked.", gone.name));
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/tokens"))))
}

fn token_row(
    ws: &Ws,
    token: ApiToken,
    used: Option<Timestamp>,
    when: &When,
    now: Timestamp,
) -> TokenRow {
    let labels: Vec<_> = token.scopes.iter().map(|scope| scope.label()).collect();
    TokenRow {
        owner: String::new(),
        mark: format!("{}{}…", TokenKind::Personal.prefix(), token.public),
        scopes: labels.join(", "),
        created: when.at(token.created_at),
        expires: when.at(token.expires_at),
        used: used.map(|at| when.at(at)),
        open: token.is_open() && now < token.expires_at,
        ended: if token.is_open() { "Expired" } else { "Revoked" },
        revoke: ws.url(&format!("settings/tokens/{}/revoke", token.id)),
        name: token.name,
    }
}

/// The token scopes as checkboxes.
fn scopes(chosen: &[Scope]) -> Vec<Choice> {
    let hint = |scope: Scope| match scope {
        Scope::Read => "View everything you can see",
        Scope::Write => "Change tasks, comments and other shared records",
        Scope::Chat => "Also the OpenAI-compatible API at /v1",
        Scope::Review => "Approve, ask for changes, reject",
        Scope::Approvals => "Approve or deny agent requests",
        Scope::Agents => "Create, change, pause and archive agents",
        Scope::Browser => "Open, read, click and type in agent browsers, with the agents’ sign-ins",
        Scope::Admin => "Change connections and workspace settings",
    };
    let all = Scope::ALL.iter().copied();
    all.map(|one| Choice::new(one.word(), one.label(), chosen.contains(&one)).hint(hint(one)))
        .collect()
}

async fn list_tokens(app: App, ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&Tokens::of(&app, &ws, &who, shell)?)
}

/// Parses the form: name, scopes and lifetime in days.
fn token_form(pairs: Vec<(String, String)>) -> (String, BTreeSet<Scope>, i64) {
    let (mut name, mut scopes, mut days) = (String::new(), BTreeSet::new(), DAYS[0].0);
    for (field, value) in pairs {
        match field.as_str() {
            "name" => name = value,
            "scopes" => scopes.extend(value.parse::<Scope>().ok()),
            "days" => days = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    (name, scopes, days)
}

async fn create_token(
    app: App,
    ws: Ws,
    who: Person,
    rights: Rights,
    shell: Shell,
    FormOnce(pairs, once): FormOnce<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let (name, wanted, days) = token_form(pairs);
    let wanted: Vec<Scope> = wanted.into_iter().collect();
    let token = Token::issue(TokenKind::Personal);
    let new = NewToken {
        account: who.account,
        workspace: ws.id,
        name: name.clone(),
        scopes: wanted.clone(),
        days,
        public: token.id().to_owned(),
        hash: token.hash(),
    };
    match tokens::create(&app, &who, rights, new, once).await {
        Ok(made) => {
            let mut page = Tokens::of(&app, &ws, &who, shell)?;
            match made.public == token.id() {
                true => token.reveal().clone_into(&mut page.fresh),
                false => page.again = true,
            }
            html::page(&page)
        }
        Err(error) if !error.fields().is_empty() => {
            let mut page = Tokens::of(&app, &ws, &who, shell)?;
            (page.called, page.scopes) = (name, scopes(&wanted));
            for wrong in error.fields() {
                match wrong.field.as_str() {
                    "name" => page.name_error = sentence(&wrong.message),
                    _ => page.scopes_error = sentence(&wrong.message),
                }
            }
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

async fn revoke_token(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<TokenId>,
) -> Result<Response, PageError> {
    let account = who.account;
    let gone = app
        .system
        .write(who.actor(), who.cause(), move |tx| rules::revoke_token(tx, account, id))
        .await?;
    let done = Flash::ok(format!("Token \"{}\" revoked.", gone.name));
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/tokens"))).into_response())
}

/// Formats times for this person.
pub(super) struct When {
    now: Timestamp,
    zone: TimeZone,
}

impl When {
    pub(super) fn of(app: &App, who: &Person) -> Self {
        let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
        Self { now: app.clock.now(), zone }
    }

    pub(super) fn at(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }
}
