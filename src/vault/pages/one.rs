//! Pages of a single secret: create, details, replace the value, remove.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::history::queries as history;
use features::runs::model::Run;
use features::tasks::queries::view_context::ViewContext;
use kernel::{Assignee, Problem as _};
use store::{Read, ReadExt as _, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::Once;
use web::live::Live;
use web::parts::{Choice, Dot, Face};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::typed::{self, SecretForm};
use super::{HERE, MENU, TABLES, done, list, who};
use crate::error::VaultError;
use crate::given;
use crate::model::{Category, Secret, SecretId, Use};
use crate::queries;
use crate::rules::{self, NewSecret, Patch};
use crate::sync::{self, Machines};
use crate::values;

/// Uses shown on the page.
const USES: usize = 50;

struct Fields {
    v: SecretForm,
    wrong: Wrong,
    agents: Vec<Choice>,
    gateways: Vec<Choice>,
    scopes: Vec<Choice>,
    ways: Vec<Choice>,
    ends: Vec<Choice>,
}

impl Fields {
    fn new(ws: &Ws, v: SecretForm, wrong: Wrong) -> Result<Self, VaultError> {
        let gateways = v.gateways(ws)?;
        Ok(Self {
            agents: v.boxes(ws)?,
            scopes: v.scopes(!gateways.is_empty()),
            gateways,
            ways: v.ways(),
            ends: typed::ends(),
            v,
            wrong,
        })
    }
}

#[derive(Template)]
#[template(path = "vault/new.html")]
struct NewPage {
    shell: Shell,
    here: &'static str,
    base: String,
    f: Fields,
}

/// A row of the list of uses.
struct UseLine {
    face: Face,
    run: String,
    href: String,
    how: String,
    at: RelTime,
}

#[derive(Template)]
#[template(path = "vault/one.html")]
struct OnePage {
    shell: Shell,
    live: Live,
    here: &'static str,
    href: String,
    name: String,
    key: String,
    who: String,
    dot: Dot,
    /// State of the value per machine; empty while this is the only machine.
    on: String,
    opens: bool,
    about: String,
    /// The value, for variables marked as not secret.
    plain: Option<String>,
    put_back: Option<RelTime>,
    is_removed: bool,
    uses: Vec<UseLine>,
    f: Fields,
    history: String,
}

web::region!(OnePage, as_standing, OneStanding, "vault/one-standing.html");

/// A rejected form with its errors.
struct Again {
    v: SecretForm,
    wrong: Wrong,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretPageParams {
    agent: String,
    gateway: String,
    key: String,
    name: String,
}

/// `GET /settings/secrets/new`
pub(super) async fn new(
    ws: Ws,
    shell: Shell,
    Query(params): Query<SecretPageParams>,
) -> Result<Response, PageError> {
    let mut v = SecretForm::default().for_agent(&params.agent).for_gateway(&params.gateway);
    v.put("name", &params.name);
    v.put("key", &params.key);
    v.put("headers", "on");
    html::page(&new_page(&ws, shell, v, Wrong::none())?)
}

fn new_page(ws: &Ws, shell: Shell, v: SecretForm, wrong: Wrong) -> Result<NewPage, VaultError> {
    Ok(NewPage { shell, here: MENU, base: ws.url(HERE), f: Fields::new(ws, v, wrong)? })
}

/// `POST /settings/secrets`
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<SecretForm>,
) -> Result<Response, PageError> {
    // Only name and variable identify a repeated request: not even a hash of the value is stored.
    let (key, name) = (form.text("key").to_ascii_uppercase(), form.text("name").to_owned());
    let once = Once::of_form(&who, HERE, form.text("once"), &[&key, &name]);
    let made = async {
        let new = NewSecret {
            name,
            key: Some(key),
            category: Category::User,
            plain: form.has("plain"),
            patch: form.patch(&ws, &who)?,
            value: sealed(&app, &form, form.has("plain"))?,
        };
        let short = message(&new);
        let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|one| one.key));
        Ok::<_, VaultError>((ws.write(&who, make).await?, short))
    };
    match made.await {
        Ok((key, short)) => done(&app, &ws, &hx, format!("Added {key}.{short}")).await,
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let page = new_page(&ws, shell, form.without_value(), wrong)?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

fn sealed(app: &App, form: &SecretForm, is_plain: bool) -> Result<values::NewValue, VaultError> {
    let (value, ends) = form.value();
    values::ask(&value, is_plain, form.has("ordinary"))?;
    values::seal(app, &value, ends)
}

/// A warning that is appended to the confirmation, for values too short to be masked.
fn message(new: &NewSecret) -> String {
    match new.value.is_short && !new.plain {
        true => format!(" {}", values::SHORT),
        false => String::new(),
    }
}

/// `GET /settings/secrets/{id}`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<SecretId>,
) -> Result<Response, PageError> {
    let page = one_page(&ws, &who, shell, id, None).await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_standing()),
        false => html::page(&page),
    }
}

async fn one_page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    id: SecretId,
    rejected: Option<Again>,
) -> Result<OnePage, PageError> {
    let who = who.clone();
    let page = ws.read_blocking(move |ws| {
        let secret = ws.read(|snap| queries::by_id(snap, id))?;
        let (v, wrong) = match rejected {
            Some(Again { v, wrong }) => (v.without_value(), wrong),
            None => (SecretForm::of(ws, &who, &secret)?, Wrong::none()),
        };
        let f = Fields::new(ws, v, wrong)?;
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            one(&scene, snap, shell, secret, f)
        })
    });
    Ok(page.await?)
}

fn one(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    secret: Secret,
    f: Fields,
) -> Result<OnePage, VaultError> {
    let app = &scene.ws.app;
    let value = queries::value(read, secret.id)?;
    let opens = given::opens(app, secret.id, value.as_ref());
    let uses = queries::uses(read, secret.id, USES)?.into_iter();
    let former = queries::former(read, secret.id, scene.today.now)?;
    let machines = Machines::read(read)?;
    let on = machines.of(&scene.ws, read, &secret, opens)?;
    let href = format!("{}/{}", scene.ws.url(HERE), secret.id);
    Ok(OnePage {
        shell,
        live: Live::new(href.clone()).tables(&TABLES).debounced(),
        here: MENU,
        href,
        who: who(scene, &machines, &secret),
        dot: list::dot(sync::overall(&on, opens)),
        on: list::describe(scene, &machines, &on),
        opens,
        about: queries::reaches(&secret, opens),
        plain: given::plain(app, &secret, value.as_ref()),
        put_back: former.map(|former| scene.time(former.until)),
        is_removed: secret.removed_at.is_some(),
        uses: uses.map(|one| use_line(scene, read, &one)).collect::<Result<_, VaultError>>()?,
        f,
        history: history::href::<Secret>(&scene.ws, secret.id),
        name: secret.name,
        key: secret.key,
    })
}

fn use_line(scene: &ViewContext, read: &dyn Read, one: &Use) -> Result<UseLine, VaultError> {
    let run: Option<Run> = read.get(one.run)?;
    let times = match one.count {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let place = match one.host.as_str() {
        "" => "program".to_owned(),
        host => format!("for {host}"),
    };
    Ok(UseLine {
        face: scene.people.face(Assignee::Agent(one.agent)),
        href: run.as_ref().map(|run| scene.run_href(run.number)).unwrap_or_default(),
        run: run.map_or_else(|| "Deleted run".to_owned(), |run| format!("Run {}", run.number)),
        how: format!("{}, {place}, {times}, version {}", one.way.label(), one.version),
        at: scene.time(one.last_at),
    })
}

/// `POST /settings/secrets/{id}`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<SecretId>,
    Form(form): Form<SecretForm>,
) -> Result<Response, PageError> {
    let saved = async {
        let patch = form.patch(&ws, &who)?;
        ws.write(&who, move |tx| rules::change(tx, id, patch)).await
    };
    match saved.await {
        Ok(secret) => done(&app, &ws, &hx, format!("Saved {}.", secret.key)).await,
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            redisplay(&ws, &who, shell, id, Again { v: form, wrong }).await
        }
    }
}

async fn redisplay(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    id: SecretId,
    rejected: Again,
) -> Result<Response, PageError> {
    let page = one_page(ws, who, shell, id, Some(rejected)).await?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// `POST /settings/secrets/{id}/value`
pub(super) async fn set_value(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<SecretId>,
    Form(form): Form<SecretForm>,
) -> Result<Response, PageError> {
    let note = form.has("with_note").then(|| form.text("note").to_owned());
    let set = async {
        let is_plain = ws.read(|snap| queries::by_id(snap, id))?.plain;
        let value = sealed(&app, &form, is_plain)?;
        let is_short = value.is_short;
        let write = move |tx: &mut WriteTx<'_>| {
            let secret = rules::set_value(tx, id, value)?;
            match note {
                Some(note) => rules::change(tx, id, Patch { note: Some(note), ..Patch::default() }),
                None => Ok(secret),
            }
        };
        Ok::<_, VaultError>((ws.write(&who, write).await?, is_short))
    };
    match set.await {
        Ok((secret, is_short)) => {
            let short = if is_short && !secret.plain { values::SHORT } else { "" };
            let words = "has a new value. You can restore the previous one for 24 hours.";
            let words = format!("{} {words} {short}", secret.key);
            done(&app, &ws, &hx, words.trim_end().to_owned()).await
        }
        Err(error) if !error.fields().is_empty() => {
            let secret = ws.read(|snap| queries::by_id(snap, id))?;
            let (v, wrong) = (SecretForm::of(&ws, &who, &secret)?, Wrong::of(&error)?);
            redisplay(&ws, &who, shell, id, Again { v, wrong }).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/secrets/{id}/put-back`
pub(super) async fn put_back(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<SecretId>,
) -> Result<Response, PageError> {
    let secret = ws.write(&who, move |tx| rules::put_back(tx, id)).await?;
    done(&app, &ws, &hx, format!("{} has its previous value again.", secret.key)).await
}

/// `POST /settings/secrets/{id}/remove`
pub(super) async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<SecretId>,
) -> Result<Response, PageError> {
    let secret = ws.write(&who, move |tx| rules::remove(tx, id)).await?;
    let words = format!("Removed {}. You can restore it for 7 days.", secret.key);
    done(&app, &ws, &hx, words).await
}

/// `POST /settings/secrets/{id}/restore`
pub(super) async fn restore(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<SecretId>,
) -> Result<Response, PageError> {
    let secret = ws.write(&who, move |tx| rules::restore(tx, id)).await?;
    done(&app, &ws, &hx, format!("Restored {}.", secret.key)).await
}
