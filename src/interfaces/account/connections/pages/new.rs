//! Adding a connection: choose a kind, enter a key or an address, see the test.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::connections::presets::{self, KeyNeed, Preset};
use features::connections::provider::{seal_key, watch_key};
use features::connections::queries;
use features::connections::rules::{self, ConnectionError, NewConnection};
use kernel::ConnectionId;
use providers::base::BaseError;
use store::WriteTx;
use web::error::PageError;
use web::extract::Query;
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::providers::ProviderList;
use super::{HERE, MENU, sign_in};

#[derive(Template)]
#[template(path = "connections/kinds.html")]
struct KindsPage {
    shell: Shell,
    here: &'static str,
    providers: String,
}

struct KindView {
    slug: &'static str,
    name: &'static str,
    about: &'static str,
    asks_address: bool,
    address: &'static str,
    address_hint: &'static str,
    needs_key: bool,
    key_label: &'static str,
    key_shape: &'static str,
    key_hint: &'static str,
    key_page: &'static str,
    key_site: &'static str,
}

impl From<&Preset> for KindView {
    fn from(preset: &Preset) -> Self {
        let needs_key = preset.key == KeyNeed::Needed;
        Self {
            slug: preset.slug,
            name: preset.name,
            about: "The key is encrypted on this machine. HQ tests the connection with one short \
                question.",
            asks_address: preset.asks_address,
            address: if preset.address.is_empty() {
                "https://api.example.com/v1"
            } else {
                preset.address
            },
            address_hint: "HQ completes the address if a part is missing.",
            needs_key,
            key_label: if needs_key { "API key" } else { "API key (if required)" },
            key_shape: preset.key_shape,
            key_hint: preset.key_hint,
            key_page: preset.key_page,
            key_site: preset.key_site(),
        }
    }
}

/// The form of a connection.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewConnectionForm {
    /// Name of the preset.
    pub kind: String,
    pub name: String,
    /// Base address, for presets that need one.
    pub base_url: String,
    pub key: String,
    /// The model; empty for one of the server's list.
    pub default_model: String,
    /// Non-empty if agents stay with the practice provider although this connection works.
    pub stays: String,
}

#[derive(Template)]
#[template(path = "connections/new.html")]
struct NewPage {
    shell: Shell,
    here: &'static str,
    preset: KindView,
    v: NewConnectionForm,
    wrong: Wrong,
    /// Whether agents without a model of their own use the practice provider.
    on_practice: bool,
}

pub(super) async fn form(
    ws: Ws,
    shell: Shell,
    Query(form): Query<NewConnectionForm>,
) -> Result<Response, PageError> {
    let Some(preset) = presets::find(&form.kind) else { return kinds(&ws, shell) };
    let taken = ws.read(|snap| queries::by_name(snap, preset.name))?.is_some();
    let name = if taken { String::new() } else { preset.name.to_owned() };
    if let Some(vendor) = preset.sign_in {
        return sign_in::form(
            shell,
            vendor,
            sign_in::ProviderSignInForm { name, ..Default::default() },
        );
    }
    let v = NewConnectionForm { name, base_url: preset.address.to_owned(), ..form };
    let on_practice = ws.read(|snap| queries::on_practice(snap))?;
    let (preset, wrong) = (preset.into(), Wrong::none());
    html::page(&NewPage { shell, here: MENU, preset, v, wrong, on_practice })
}

fn kinds(ws: &Ws, shell: Shell) -> Result<Response, PageError> {
    let href = |preset: &Preset| ws.url(&format!("{HERE}/new?kind={}", preset.slug));
    let providers = html::render(&ProviderList::new("", href))?;
    html::page(&KindsPage { shell, here: MENU, providers })
}

pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    FormOnce(form, once): FormOnce<NewConnectionForm>,
) -> Result<Response, PageError> {
    let Some(preset) = presets::find(&form.kind) else { return kinds(&ws, shell) };
    let Connected { id, flash, works } =
        match connect(&app, &ws, &who, (preset, &form), once).await? {
            Ok(connected) => connected,
            Err(error) => return redisplay(&ws, shell, preset, form, &error),
        };
    let next = if works { HERE.to_owned() } else { format!("{HERE}/{id}") };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&next))))
}

/// A new connection.
#[derive(Debug)]
pub struct Connected {
    pub id: ConnectionId,
    /// Result of the test for the user.
    pub flash: Flash,
    /// Whether the test succeeded.
    pub works: bool,
}

/// Creates the connection and tests it. The inner error is a form error; then nothing was created.
///
/// # Errors
/// The connection was deleted before its test.
pub async fn connect(
    app: &App,
    ws: &Ws,
    who: &Person,
    (preset, form): (&Preset, &NewConnectionForm),
    once: Once,
) -> Result<Result<Connected, ConnectionError>, PageError> {
    let new = match new_connection(app, preset, form) {
        Ok(new) => new,
        Err(error) => return Ok(Err(error)),
    };
    let stays = !form.stays.is_empty();
    let make = move |tx: &mut WriteTx<'_>| {
        let id = rules::create(tx, new)?;
        match stays {
            true => rules::stay_on_practice(tx, id)?,
            false => rules::leave_practice(tx)?,
        }
        Ok::<_, ConnectionError>(id)
    };
    let id = match ws.write(who, once.run(make)).await {
        Ok(id) => id,
        Err(error) => return Ok(Err(error)),
    };
    if !form.key.trim().is_empty() {
        watch_key(app, id, &form.key);
    }
    let (flash, works) = super::try_out(ws, who, id).await?;
    Ok(Ok(Connected { id, flash, works }))
}

fn new_connection(
    app: &App,
    preset: &Preset,
    form: &NewConnectionForm,
) -> Result<NewConnection, ConnectionError> {
    let key = seal_key(app, &form.key);
    if preset.key == KeyNeed::Needed && key.is_none() {
        return Err(ConnectionError::KeyMissing);
    }
    if let Some(owner) = preset.owner_of_key(&form.key) {
        return Err(ConnectionError::KeyOfAnother(owner.name, preset.name));
    }
    if preset.asks_address && form.base_url.trim().is_empty() {
        return Err(BaseError::Empty.into());
    }
    let base_url = if preset.asks_address { &form.base_url } else { preset.address };
    Ok(NewConnection {
        name: form.name.clone(),
        wire: preset.wire,
        base_url: base_url.to_owned(),
        key,
        default_model: Some(form.default_model.clone()),
    })
}

/// The form with its input and errors; the key must be entered again.
fn redisplay(
    ws: &Ws,
    shell: Shell,
    preset: &Preset,
    form: NewConnectionForm,
    error: &ConnectionError,
) -> Result<Response, PageError> {
    let wrong = Wrong::of(error)?;
    let v = NewConnectionForm { key: String::new(), ..form };
    let on_practice = ws.read(|snap| queries::on_practice(snap))?;
    let page = NewPage { shell, here: MENU, preset: preset.into(), v, wrong, on_practice };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}
