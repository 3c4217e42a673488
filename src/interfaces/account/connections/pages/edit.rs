//! Changing a connection.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::connections::model::{Connection, SpareKeys, Window, Wire};
use features::connections::presets::{self, Preset};
use features::connections::provider::{forget_key, seal_key, watch_key};
use features::connections::queries;
use features::connections::queries::uses::{Use, UseKind};
use features::connections::rules::{self, Changes, ConnectionError, KeyChange};
use kernel::ConnectionId;
use store::{ReadExt, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::sign_in::{self, ClientFields};
use super::{HERE, MENU};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConnectionForm {
    rev: String,
    name: String,
    base_url: String,
    key: String,
    remove_key: String,
    default_model: String,
    other_model: String,
    /// Non-empty if agents stay with the practice provider although this connection works.
    stays: String,
    price_input: String,
    price_output: String,
    window: String,
    client_id: String,
    integration: String,
    authorize_url: String,
    token_url: String,
    device_url: String,
    exchange_url: String,
    redirect_url: String,
}

impl ConnectionForm {
    /// The OAuth client fields of the form.
    fn account(&self) -> sign_in::ProviderSignInForm {
        let form = self.clone();
        sign_in::ProviderSignInForm {
            client_id: form.client_id,
            integration: form.integration,
            base_url: form.base_url,
            authorize_url: form.authorize_url,
            token_url: form.token_url,
            device_url: form.device_url,
            exchange_url: form.exchange_url,
            redirect_url: form.redirect_url,
            ..sign_in::ProviderSignInForm::default()
        }
    }
}

/// A further key.
struct KeyView {
    label: String,
    remove_href: String,
}

#[derive(Template)]
#[template(path = "connections/edit.html")]
struct EditPage {
    shell: Shell,
    here: &'static str,
    name: String,
    about: String,
    failed: String,
    rev: String,
    v: ConnectionForm,
    wrong: Wrong,
    has_key: bool,
    key_hint: String,
    /// Where the provider creates keys; empty if unknown.
    key_page: &'static str,
    key_site: &'static str,
    models: Vec<Choice>,
    /// The OAuth client, which replaces address and keys.
    account: Option<ClientFields>,
    sign_in_href: String,
    /// Whether the server needs to be told the size of its context window.
    has_window: bool,
    more_keys: Vec<KeyView>,
    keys_href: String,
    removal: String,
    /// Uses of the connection, up to [`MOST_USES`].
    uses: Vec<Use>,
    more_uses: String,
    replacements: Vec<Choice>,
    /// Whether agents without a model of their own use the practice provider.
    on_practice: bool,
    href: String,
    test_href: String,
    delete_href: String,
    history: String,
}

pub(super) async fn form(
    ws: Ws,
    shell: Shell,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    let (connection, rev) = stored(&ws, id)?;
    let client = connection.sign_in.clone();
    let ends = client.as_ref().map(|client| client.endpoints.clone()).unwrap_or_default();
    let v = ConnectionForm {
        integration: client.as_ref().and_then(|c| c.integration.clone()).unwrap_or_default(),
        client_id: client.map_or_else(String::new, |client| client.id),
        authorize_url: ends.authorize,
        token_url: ends.token,
        device_url: ends.device,
        exchange_url: ends.exchange,
        redirect_url: ends.redirect,
        rev: rev.to_string(),
        name: connection.name.clone(),
        base_url: connection.base_url.clone(),
        default_model: connection.default_model.clone().unwrap_or_default(),
        price_input: connection
            .price
            .map_or_else(String::new, |(input, _)| format::plain_dollars(input)),
        price_output: connection
            .price
            .map_or_else(String::new, |(_, output)| format::plain_dollars(output)),
        window: ws
            .read(|snap| snap.get::<Window>(id))?
            .map_or_else(String::new, |window| window.tokens.to_string()),
        stays: match ws.read(|snap| queries::chose_practice(snap))? {
            true => "on".to_owned(),
            false => String::new(),
        },
        ..ConnectionForm::default()
    };
    html::page(&page(&ws, shell, &connection, v, Wrong::none())?)
}

fn stored(ws: &Ws, id: ConnectionId) -> Result<(Connection, u64), ConnectionError> {
    ws.read(|snap| snap.get_rev::<Connection>(id)?.ok_or(ConnectionError::NotFound(id)))
}

fn page(
    ws: &Ws,
    shell: Shell,
    connection: &Connection,
    v: ConnectionForm,
    wrong: Wrong,
) -> Result<EditPage, PageError> {
    let id = connection.id;
    let (mut uses, others, on_practice, spare) = ws.read(|snap| {
        let spare = snap.get::<SpareKeys>(id)?.map_or_else(Vec::new, |spare| spare.keys);
        let mut others = queries::all(snap)?;
        others.retain(|one| one.id != id && queries::first_model(one).is_some());
        let uses = queries::uses::of(snap, id)?;
        Ok::<_, ConnectionError>((uses, others, queries::on_practice(snap)?, spare))
    })?;
    let removal = removal(&uses);
    let more = uses.len().saturating_sub(MOST_USES);
    uses.truncate(MOST_USES);
    let mut replacements = Vec::new();
    if !uses.is_empty() && !others.is_empty() {
        replacements.push(Choice::new("", "None", true));
        let choice = |one: &Connection| Choice::new(one.id.to_string(), &one.name, false);
        replacements.extend(others.iter().map(choice));
    }
    let mut models = vec![Choice::new("", "Auto (balanced)", v.default_model.is_empty())];
    let listed = connection.models.iter();
    models.extend(listed.map(|m| Choice::new(&m.id, &m.id, m.id == v.default_model)));
    if !models.iter().any(|choice| choice.chosen) {
        models.push(Choice::new(&v.default_model, &v.default_model, true));
    }
    let href = |tail: &str| ws.url(&format!("{HERE}/{id}{tail}"));
    let failed = connection.tested.as_ref().filter(|tested| !tested.ok);
    let preset = presets::at(connection.wire, &connection.base_url);
    Ok(EditPage {
        shell,
        here: MENU,
        name: connection.name.clone(),
        about: match connection.models.len() {
            0 => "No models found yet.".to_owned(),
            n => format!("Offers {}.", format::count(n as u64, "model", "models")),
        },
        failed: failed.map_or_else(String::new, |tested| tested.message.clone()),
        rev: v.rev.clone(),
        has_key: connection.key_hint.is_some(),
        key_hint: match &connection.key_hint {
            Some(hint) => format!("The saved key ends in {hint}. Leave empty to keep it."),
            None => "No key saved.".to_owned(),
        },
        key_page: preset.map_or("", |preset| preset.key_page),
        key_site: preset.map_or("", Preset::key_site),
        models,
        account: connection
            .sign_in
            .as_ref()
            .map(|client| ClientFields::of(client.vendor, &v.account(), &wrong)),
        sign_in_href: href("/sign-in"),
        has_window: connection.wire == Wire::Ollama,
        more_keys: spare
            .iter()
            .map(|key| KeyView {
                label: format!("Key {}, ending in {}", key.slot + 1, key.hint),
                remove_href: href(&format!("/keys/{}/delete", key.slot)),
            })
            .collect(),
        keys_href: href("/keys"),
        removal,
        uses: uses.into_iter().map(|one| Use { path: ws.url(&one.path), ..one }).collect(),
        more_uses: match more {
            0 => String::new(),
            n => format!("And {n} more."),
        },
        replacements,
        on_practice,
        href: href(""),
        test_href: href("/test"),
        delete_href: href("/delete"),
        history: ws.url(&format!("history/connections/{}", connection.id)),
        v,
        wrong,
    })
}

/// Maximum number of uses listed.
const MOST_USES: usize = 50;

/// Effects of removing the connection on its users.
fn removal(uses: &[Use]) -> String {
    let mut text = "This deletes its key.".to_owned();
    if uses.is_empty() {
        return format!("{text} Nothing uses this connection.");
    }
    text = format!(
        "{text} Without a replacement, everything listed here uses the workspace\u{2019}s model."
    );
    if uses.iter().any(|one| one.kind == UseKind::Default) {
        text = format!("{text} The workspace itself goes back to practice mode.");
    }
    text
}

pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(id): Path<ConnectionId>,
    Form(form): Form<ConnectionForm>,
) -> Result<Response, PageError> {
    let (connection, _) = stored(&ws, id)?;
    let price = match price(&form) {
        Ok(price) => price,
        Err(wrong) => return redisplay(&ws, shell, &connection, form, wrong),
    };
    if let Some(error) = key_of_another(&connection, &form) {
        return redisplay(&ws, shell, &connection, form, Wrong::of(&error)?);
    }
    let model = if form.other_model.trim().is_empty() {
        form.default_model.clone()
    } else {
        form.other_model.clone()
    };
    let key = match (seal_key(&app, &form.key), form.remove_key.is_empty()) {
        (Some(key), _) => KeyChange::Replace(key),
        (None, true) => KeyChange::Keep,
        (None, false) => KeyChange::Remove,
    };
    let removes = matches!(key, KeyChange::Remove);
    let changes = Changes {
        name: Some(form.name.clone()),
        base_url: Some(form.base_url.clone()),
        key,
        default_model: Some(Some(model)),
        price: Some(price),
        client: connection.sign_in.as_ref().map(|client| form.account().client(client.vendor)),
    };
    let window = match form.window.trim() {
        "" => None,
        text => match text.parse() {
            Ok(tokens) => Some(tokens),
            Err(_) => {
                let wrong = Wrong::field(
                    "window",
                    "enter a whole number of tokens, or leave it \
                    empty",
                );
                return redisplay(&ws, shell, &connection, form, wrong);
            }
        },
    };
    let rev = form.rev.parse().ok();
    let stays = !form.stays.is_empty();
    let write = move |tx: &mut WriteTx<'_>| {
        let changed = rules::update(tx, id, rev, changes)?;
        rules::turns::set_window(tx, id, window)?;
        let stayed = queries::chose_practice(tx)?;
        match stays {
            true => rules::stay_on_practice(tx, id)?,
            false => rules::leave_practice(tx)?,
        }
        Ok::<_, ConnectionError>((changed, stayed && !stays))
    };
    let (changed, leaves) = match ws.write(&who, write).await {
        Ok(changed) => changed,
        Err(error) => return redisplay(&ws, shell, &connection, form, Wrong::of(&error)?),
    };
    if removes {
        forget_key(&app, id);
    } else if !form.key.trim().is_empty() {
        watch_key(&app, id, &form.key);
    }
    // A new key or address is tested at once, and so is a connection that agents use from now on. An account is tested
    // after its sign-in.
    if leaves || (changed.tested.is_none() && changed.sign_in.is_none()) {
        let (flash, works) = super::try_out(&ws, &who, id).await?;
        let next = if works { HERE.to_owned() } else { format!("{HERE}/{id}") };
        return Ok(flash::say(&app, flash, hx.go_to(&ws.url(&next))));
    }
    let text = format!("Saved {}.", form.name.trim());
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url(HERE))))
}

/// Why the new key cannot be one of the provider's.
fn key_of_another(connection: &Connection, form: &ConnectionForm) -> Option<ConnectionError> {
    let is_here = form.base_url.trim() == connection.base_url;
    let preset = presets::at(connection.wire, &connection.base_url).filter(|_| is_here)?;
    let owner = preset.owner_of_key(&form.key)?;
    Some(ConnectionError::KeyOfAnother(owner.name, preset.name))
}

fn redisplay(
    ws: &Ws,
    shell: Shell,
    connection: &Connection,
    form: ConnectionForm,
    wrong: Wrong,
) -> Result<Response, PageError> {
    let v = ConnectionForm { key: String::new(), ..form };
    let page = page(ws, shell, connection, v, wrong)?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn price(form: &ConnectionForm) -> Result<Option<(i64, i64)>, Wrong> {
    let bad = || {
        let example = format::plain_dollars(12_500_000);
        Wrong::field(
            "price",
            format!("enter both prices in dollars, such as {example}, or neither"),
        )
    };
    match (form.price_input.trim(), form.price_output.trim()) {
        ("", "") => Ok(None),
        (input, output) => {
            let input = format::parse_dollars(input).ok_or_else(bad)?;
            let output = format::parse_dollars(output).ok_or_else(bad)?;
            Ok(Some((input, output)))
        }
    }
}
