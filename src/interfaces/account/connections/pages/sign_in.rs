//! Signing in to a connection: instructions, progress and result.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Ws};
use features::connections::logins::{self, LoginError};
use features::connections::model::{Connection, Flow, Grant, LoginState};
use features::connections::queries::eligible;
use features::connections::rules::ConnectionError;
use features::connections::rules::sign_in::{self as rules, NewAccount};
use kernel::ConnectionId;
use providers::oauth::{Client, Endpoints, Vendor};
use store::ReadExt;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Dot, colour_of};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{HERE, MENU};

/// A sign-in flow.
struct WayView {
    flow: &'static str,
    label: String,
    glyph: &'static str,
}

/// The account that is signed in.
struct AccountView {
    label: String,
    since: RelTime,
    renewed: RelTime,
    until: Option<RelTime>,
    dot: Dot,
}

#[derive(Template)]
#[template(path = "connections/login.html")]
struct LoginPart {
    name: String,
    maker: &'static str,
    initial: String,
    colour: u8,
    live: Live,
    lost: String,
    put_off: String,
    account: Option<AccountView>,
    waits: bool,
    url: String,
    code: String,
    redirect: String,
    said: String,
    until: String,
    ended: String,
    begin_label: &'static str,
    ways: Vec<WayView>,
    has_grant: bool,
    wrong: Wrong,
    begin_href: String,
    answer_href: String,
    cancel_href: String,
    out_href: String,
}

#[derive(Template)]
#[template(path = "connections/sign_in.html")]
struct SignInPage {
    shell: Shell,
    here: &'static str,
    name: String,
    about: String,
    edit_href: String,
    region: String,
}

fn part(ws: &Ws, who: &Person, id: ConnectionId, wrong: Wrong) -> Result<LoginPart, PageError> {
    let (connection, grant, reason) = ws.read(|snap| {
        let connection = snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        let reason = eligible::of_account(snap, &connection)?;
        Ok::<_, ConnectionError>((connection, snap.get::<Grant>(id)?, reason))
    })?;
    let client = connection.sign_in.as_ref().ok_or(ConnectionError::NoSignIn)?;
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let maker = client.vendor.about().name;
    // After a change of the master key nothing can be decrypted, so the sign-in starts anew.
    let login = logins::shown(ws, id).unwrap_or_default();
    let waiting = login.as_ref().filter(|login| login.state == LoginState::Waiting);
    let counts = grant.as_ref().filter(|_| reason.is_none());
    let rel = |at| RelTime::new(at, now, &zone);
    let href = |tail: &str| ws.url(&format!("{HERE}/{id}{tail}"));
    let way = |flow| match flow {
        Flow::Browser => {
            WayView { flow: "browser", label: format!("Sign in with {maker}"), glyph: "out" }
        }
        Flow::Device => WayView {
            flow: "device",
            label: format!("Sign in to {maker} with a code"),
            glyph: "key",
        },
    };
    Ok(LoginPart {
        maker,
        initial: connection.name.chars().next().map_or_else(String::new, |c| c.to_string()),
        colour: colour_of(&connection.name),
        live: Live::new(href("/sign-in"))
            .record("connection_logins", id)
            .record("connection_grants", id)
            .record("connections", id),
        lost: match (&grant, reason) {
            (Some(grant), Some(_)) if grant.lost_at.is_some() => {
                format!("Sign in again: {}.", grant.said.trim_end_matches('.'))
            }
            (Some(_), Some(reason)) => reason.says().to_owned(),
            _ => String::new(),
        },
        put_off: counts.filter(|grant| grant.failures > 0).map_or_else(String::new, |grant| {
            format!(
                "{maker} can’t renew the sign-in right now: {}. HQ will try again.",
                grant.said.trim_end_matches('.')
            )
        }),
        account: counts.map(|grant| AccountView {
            label: grant.label.clone().unwrap_or_else(|| format!("{maker} account")),
            since: rel(grant.signed_in_at),
            renewed: rel(grant.renewed_at),
            until: grant.expires_at.map(rel),
            dot: match grant.failures {
                0 => Dot::new("healthy", "Signed in"),
                _ => Dot::new("waiting", "Not renewed"),
            },
        }),
        waits: waiting.is_some(),
        url: waiting.map_or_else(String::new, |login| login.url.clone()),
        code: waiting.map_or_else(String::new, |login| login.code.clone()),
        redirect: client.endpoints.redirect.clone(),
        said: waiting
            .map_or_else(String::new, |login| login.message.trim_end_matches('.').to_owned()),
        until: waiting.map_or_else(String::new, |login| rel(login.expires_at).exact),
        ended: login
            .as_ref()
            .map_or_else(String::new, |login| ended(login.state, &login.message, maker)),
        begin_label: if grant.is_some() { "Sign in again" } else { "Sign in" },
        ways: logins::flows_of(client).into_iter().map(way).collect(),
        has_grant: grant.is_some(),
        wrong,
        begin_href: href("/sign-in"),
        answer_href: href("/sign-in/answer"),
        cancel_href: href("/sign-in/cancel"),
        out_href: href("/sign-out"),
        name: connection.name,
    })
}

/// Text for a failed sign-in.
fn ended(state: LoginState, message: &str, maker: &str) -> String {
    let message = message.trim_end_matches('.');
    match state {
        LoginState::Waiting | LoginState::Done | LoginState::Cancelled => String::new(),
        LoginState::Denied => format!(
            "You declined at {maker}. Start again if that was a \
            mistake."
        ),
        LoginState::Expired => "The sign-in timed out. Start again.".to_owned(),
        LoginState::Failed => format!("{maker} refused the sign-in: {message}. Start again."),
    }
}

fn whole(
    shell: Shell,
    ws: &Ws,
    id: ConnectionId,
    part: &LoginPart,
    status: StatusCode,
) -> Result<Response, PageError> {
    let page = SignInPage {
        shell,
        here: MENU,
        name: part.name.clone(),
        about: format!("Sign in at {} once. HQ renews it automatically.", part.maker),
        edit_href: ws.url(&format!("{HERE}/{id}")),
        region: html::render(part)?,
    };
    html::document(status, &page)
}

pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    let part = part(&ws, &who, id, Wrong::none())?;
    if hx.wants("login") {
        return html::fragment(&part);
    }
    whole(shell, &ws, id, &part, StatusCode::OK)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BeginForm {
    flow: String,
}

pub(super) async fn begin(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(id): Path<ConnectionId>,
    Form(form): Form<BeginForm>,
) -> Result<Response, PageError> {
    let flow = match form.flow.as_str() {
        "device" => Flow::Device,
        _ => Flow::Browser,
    };
    match logins::begin(&ws, &who, id, flow).await {
        Ok(_) => Ok(hx.go_to(&ws.url(&format!("{HERE}/{id}/sign-in")))),
        Err(error) => redisplay(&ws, &who, shell, id, &error),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AnswerForm {
    answer: String,
}

pub(super) async fn answer(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(id): Path<ConnectionId>,
    Form(form): Form<AnswerForm>,
) -> Result<Response, PageError> {
    match logins::answer(&ws, &who, id, &form.answer).await {
        Ok(()) => {
            let next = hx.go_to(&ws.url(&format!("{HERE}/{id}/sign-in")));
            Ok(flash::say(&app, Flash::ok("You’re signed in. HQ is testing the connection."), next))
        }
        Err(error) => redisplay(&ws, &who, shell, id, &error),
    }
}

/// The page with an error; the pasted value is not shown again.
fn redisplay(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    id: ConnectionId,
    error: &LoginError,
) -> Result<Response, PageError> {
    let wrong = match error {
        LoginError::Maker(message) => Wrong::message(message.clone()),
        error => Wrong::of(error)?,
    };
    let part = part(ws, who, id, wrong)?;
    whole(shell, ws, id, &part, StatusCode::UNPROCESSABLE_ENTITY)
}

pub(super) async fn cancel(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    logins::cancel(&ws, &who, id).await?;
    let next = hx.go_to(&ws.url(&format!("{HERE}/{id}/sign-in")));
    Ok(flash::say(&app, Flash::ok("Sign-in cancelled"), next))
}

pub(super) async fn sign_out(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    logins::sign_out(&ws, &who, id).await?;
    let next = hx.go_to(&ws.url(&format!("{HERE}/{id}/sign-in")));
    Ok(flash::say(&app, Flash::ok("Signed out. The tokens are deleted."), next))
}

/// The form of an OAuth client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProviderSignInForm {
    pub kind: String,
    pub name: String,
    pub client_id: String,
    pub integration: String,
    pub base_url: String,
    pub authorize_url: String,
    pub token_url: String,
    pub device_url: String,
    pub exchange_url: String,
    pub redirect_url: String,
    pub default_model: String,
}

impl ProviderSignInForm {
    /// Converts the form to a client record.
    pub(super) fn client(&self, vendor: Vendor) -> Client {
        Client {
            vendor,
            id: self.client_id.clone(),
            integration: Some(self.integration.clone()),
            endpoints: Endpoints {
                authorize: self.authorize_url.clone(),
                token: self.token_url.clone(),
                device: self.device_url.clone(),
                exchange: self.exchange_url.clone(),
                redirect: self.redirect_url.clone(),
            },
        }
    }
}

/// An endpoint that may differ from the vendor's default.
pub(super) struct PlaceView {
    pub field: &'static str,
    pub label: &'static str,
    pub value: String,
    pub usual: &'static str,
}

/// The OAuth client fields of the form.
pub(super) struct ClientFields {
    pub asks_integration: bool,
    pub base: &'static str,
    pub open: bool,
    pub places: Vec<PlaceView>,
}

impl ClientFields {
    /// The fields for a vendor; expanded if an endpoint is invalid or not the default.
    pub(super) fn of(vendor: Vendor, v: &ProviderSignInForm, wrong: &Wrong) -> Self {
        let about = vendor.about();
        let all = [
            ("authorize_url", "Sign-in page", &v.authorize_url, about.authorize),
            ("device_url", "Device code endpoint", &v.device_url, about.device),
            ("token_url", "Token endpoint", &v.token_url, about.token),
            ("exchange_url", "Token exchange endpoint", &v.exchange_url, about.exchange),
            ("redirect_url", "Redirect address", &v.redirect_url, about.redirect),
        ];
        let places: Vec<PlaceView> = all
            .into_iter()
            .filter(|(.., usual)| !usual.is_empty())
            .map(|(field, label, value, usual)| PlaceView {
                field,
                label,
                value: if value == usual { String::new() } else { value.clone() },
                usual,
            })
            .collect();
        let touched =
            |place: &PlaceView| !place.value.is_empty() || !wrong.at(place.field).is_empty();
        let moved = !v.base_url.is_empty() && v.base_url != about.base;
        Self {
            asks_integration: vendor == Vendor::Copilot,
            base: about.base,
            open: moved || !wrong.at("base_url").is_empty() || places.iter().any(touched),
            places,
        }
    }
}

#[derive(Template)]
#[template(path = "connections/new_account.html")]
struct NewPage {
    shell: Shell,
    here: &'static str,
    slug: &'static str,
    name: &'static str,
    v: ProviderSignInForm,
    client: ClientFields,
    wrong: Wrong,
}

/// The form of a new account.
pub(super) fn form(
    shell: Shell,
    vendor: Vendor,
    v: ProviderSignInForm,
) -> Result<Response, PageError> {
    fields(shell, vendor, v, Wrong::none(), StatusCode::OK)
}

fn fields(
    shell: Shell,
    vendor: Vendor,
    v: ProviderSignInForm,
    wrong: Wrong,
    status: StatusCode,
) -> Result<Response, PageError> {
    let about = vendor.about();
    let client = ClientFields::of(vendor, &v, &wrong);
    let (slug, name) = (about.word, about.name);
    html::document(status, &NewPage { shell, here: MENU, slug, name, v, client, wrong })
}

/// Creates an account that is not signed in yet and redirects to its sign-in.
pub(super) async fn create(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    FormOnce(form, once): FormOnce<ProviderSignInForm>,
) -> Result<Response, PageError> {
    let Some(vendor) = Vendor::of(&form.kind) else {
        return Err(PageError::not_found("This provider"));
    };
    let new = NewAccount {
        name: form.name.clone(),
        client: form.client(vendor),
        base_url: form.base_url.clone(),
        default_model: Some(form.default_model.clone()),
    };
    match ws.write(&who, once.run(move |tx| rules::create(tx, new))).await {
        Ok(id) => Ok(hx.go_to(&ws.url(&format!("{HERE}/{id}/sign-in")))),
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            fields(shell, vendor, form, wrong, StatusCode::UNPROCESSABLE_ENTITY)
        }
    }
}
