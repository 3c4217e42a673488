//! List of all secrets, grouped by scope.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::tasks::queries::view_context::ViewContext;
use kernel::GatewayId;
use store::Read;
use web::error::PageError;
use web::extract::Query;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Dot, Face};
use web::session::Person;
use web::shell::Shell;
use web::time::{Due, RelTime, Work};

use super::masks::MaskForm;
use super::{HERE, MENU, TABLES, faces, who};
use crate::error::VaultError;
use crate::given;
use crate::model::{Category, Scope, Secret};
use crate::queries;
use crate::sync::{self, Machines, On, State};

/// Uses that are searched for faces.
const USES: usize = 40;
/// Faces shown per secret.
const FACES: usize = 4;

struct Line {
    id: String,
    name: String,
    key: String,
    note: String,
    /// Category of secrets that are not for programs.
    kind: &'static str,
    who: String,
    owners: Vec<Face>,
    used: Vec<Face>,
    dot: Dot,
    /// State of the value per machine; empty while this is the only machine.
    on: String,
    last: Option<RelTime>,
    renew: Option<Due>,
    is_late: bool,
    /// What a person has to do.
    why: &'static str,
    href: String,
    replace: String,
    /// Whether the form for another value is open.
    is_open: bool,
    may_put_back: bool,
}

struct Band {
    label: String,
    glyph: &'static str,
    lines: Vec<Line>,
}

/// A removed secret.
struct Gone {
    name: String,
    key: String,
    at: RelTime,
    /// Machines that may still have the value; usually empty.
    on: String,
    href: String,
}

#[derive(Template)]
#[template(path = "vault/list.html")]
struct ListPage {
    shell: Shell,
    here: &'static str,
    base: String,
    live: Option<Live>,
    bands: Vec<Band>,
    gone: Vec<Gone>,
    /// The workspace's own mask patterns: name, pattern, address for removal.
    masks: Vec<(String, String, String)>,
    typed: MaskForm,
    wrong: Wrong,
    audit: String,
}

web::region!(ListPage, as_rows, ListRows, "vault/list-rows.html");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretsPageParams {
    /// The secret whose value is being replaced.
    replace: String,
}

/// `GET /settings/secrets`
pub(super) async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<SecretsPageParams>,
) -> Result<Response, PageError> {
    let fresh = (MaskForm::default(), Wrong::none());
    let page = looked(ws, who, shell, params.replace, fresh).await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// The page with a rejected pattern.
pub(super) async fn redisplay(
    ws: Ws,
    who: Person,
    shell: Shell,
    form: (MaskForm, Wrong),
) -> Result<Response, PageError> {
    let page = looked(ws, who, shell, String::new(), form).await?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

async fn looked(
    ws: Ws,
    who: Person,
    shell: Shell,
    replace: String,
    form: (MaskForm, Wrong),
) -> Result<ListPage, PageError> {
    let page = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            page(&scene, snap, shell, &replace, form)
        })
    });
    page.await.map_err(PageError::from)
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    replace: &str,
    (form, wrong): (MaskForm, Wrong),
) -> Result<ListPage, VaultError> {
    let base = scene.ws.url(HERE);
    let machines = Machines::read(read)?;
    let (mut shared, mut own, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_gateways: BTreeMap<GatewayId, Vec<Line>> = BTreeMap::new();
    let line = |secret| line(scene, read, &machines, secret, replace);
    for secret in queries::all(read)? {
        match secret.removed_at {
            Some(at) => gone.push(Gone {
                at: scene.time(at),
                on: describe(scene, &machines, &machines.of(&scene.ws, read, &secret, true)?),
                href: format!("{base}/{}", secret.id),
                name: secret.name,
                key: secret.key,
            }),
            None => match &secret.scope {
                Scope::Workspace => shared.push(line(secret)?),
                Scope::Agents(_) => own.push(line(secret)?),
                Scope::Gateway(id) => {
                    let id = *id;
                    of_gateways.entry(id).or_default().push(line(secret)?);
                }
            },
        }
    }
    let all = "Available to all agents".to_owned();
    let mut bands = vec![Band { label: all, glyph: "users", lines: shared }];
    for one in machines.gateways() {
        let label = format!("Only agents on {}", one.label);
        let lines = of_gateways.remove(&one.id).unwrap_or_default();
        bands.push(Band { label, glyph: "server", lines });
    }
    bands.push(Band { label: "Some agents".to_owned(), glyph: "lock", lines: own });
    // The region does not refresh while a person types a value.
    let is_typing = bands.iter().flat_map(|band| &band.lines).any(|line| line.is_open);
    let live = Live::new(base.clone()).tables(&TABLES).debounced();
    Ok(ListPage {
        shell,
        here: MENU,
        live: (!is_typing).then_some(live),
        bands: bands.into_iter().filter(|band| !band.lines.is_empty()).collect(),
        gone,
        masks: queries::masks(read)?
            .into_iter()
            .map(|mask| (mask.name, mask.pattern, format!("{base}/masks/{}/remove", mask.id)))
            .collect(),
        typed: form,
        wrong,
        audit: scene.ws.url("settings/audit"),
        base,
    })
}

fn line(
    scene: &ViewContext,
    read: &dyn Read,
    machines: &Machines,
    secret: Secret,
    replace: &str,
) -> Result<Line, VaultError> {
    let (app, now) = (&scene.ws.app, scene.today.now);
    let value = queries::value(read, secret.id)?;
    let opens = given::opens(app, secret.id, value.as_ref());
    let on = machines.of(&scene.ws, read, &secret, opens)?;
    let uses = queries::uses(read, secret.id, USES)?;
    let mut used = faces(scene, uses.iter().map(|one| one.agent));
    used.truncate(FACES);
    let href = format!("{}/{}", scene.ws.url(HERE), secret.id);
    let renew = secret.expires_at.map(|at| {
        let day = at.to_zoned(scene.today.zone.clone()).date();
        Due::new(day, now.to_zoned(scene.today.zone.clone()).date(), Work::Open)
    });
    Ok(Line {
        who: who(scene, machines, &secret),
        owners: faces(scene, secret.scope.agents().iter().copied()),
        used,
        dot: dot(sync::overall(&on, opens)),
        on: describe(scene, machines, &on),
        last: uses.first().map(|one| scene.time(one.last_at)),
        renew,
        is_late: secret.expires_at.is_some_and(|at| at <= now),
        why: if opens {
            ""
        } else {
            "It can’t be opened with the current master key. Enter it again."
        },
        replace: format!("{}?replace={}#replace", scene.ws.url(HERE), secret.id),
        is_open: secret.id.to_string() == replace,
        may_put_back: queries::former(read, secret.id, now)?.is_some(),
        kind: match secret.category {
            _ if secret.plain => "Not a secret",
            Category::User => "",
            other => other.label(),
        },
        id: secret.id.to_string(),
        name: secret.name,
        key: secret.key,
        note: secret.note,
        href,
    })
}

pub(super) fn dot(state: State) -> Dot {
    let word = match state {
        State::Active => "active",
        State::Sent => "in_progress",
        State::Waiting | State::Silent | State::Stopped | State::Kept => "waiting",
        State::Reenter => "error",
    };
    Dot::new(word, state.label())
}

/// State of the value per machine; empty if there is only one.
pub(super) fn describe(scene: &ViewContext, machines: &Machines, on: &[On]) -> String {
    match machines.are_several() {
        true => sync::describe(on, scene.today.now, &scene.today.zone),
        false => String::new(),
    }
}
