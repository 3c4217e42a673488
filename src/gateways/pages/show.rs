//! Page of a gateway: state, agents, settings.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::history::queries as history;
use features::tasks::queries::view_context::ViewContext;
use kernel::GatewayId;
use mirror::MirrorError;
use store::Read;
use web::error::PageError;
use web::extract::{Form, Path, Path2};
use web::form::Wrong;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, format, html, path_words};

use super::view::{Block, Seen, block, sees};
use super::{HERE, MENU, sheet};
use crate::error::GatewayError;
use crate::identity::fingerprint;
use crate::lately::{DAYS, Lately};
use crate::linked;
use crate::model::{Gateway, local};
use crate::queries;
use crate::rules::{self, Patch, labels_of};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GatewayForm {
    label: String,
    labels: String,
    address: String,
    /// Spending limit of an offline run, in dollars; `None` for this machine.
    grant: Option<String>,
    /// Longest time that a run may work offline, in hours; `None` for this machine.
    hours: Option<String>,
}

#[derive(Template)]
#[template(path = "gateways/show.html")]
struct ShowPage {
    shell: Shell,
    here: &'static str,
    sheet: &'static str,
    base: String,
    id: GatewayId,
    one: Block,
    slug: String,
    joined: Option<RelTime>,
    by: String,
    fingerprint: String,
    reported: Vec<String>,
    /// What the host can read; empty for this machine, which has everything.
    sees: Vec<Seen>,
    /// Activity of the last 30 days: link, label, amount.
    did: Vec<(String, &'static str, String)>,
    typed: GatewayForm,
    wrong: Wrong,
    history: String,
}

web::region!(ShowPage, as_now, ShowNow, "gateways/show-now.html");

/// `GET /settings/gateways/{id}`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let mut page = looked(&ws, who, shell, (name, None)).await?;
    if hx.is_partial() {
        return html::fragment(&page.as_now());
    }
    fill(&ws, &mut page).await?;
    html::page(&page)
}

/// Adds what needs reads of many rows: what the host can read, and recent activity.
async fn fill(ws: &Ws, page: &mut ShowPage) -> Result<(), PageError> {
    page.sees = seen(ws, page.id).await?;
    let lately = ws.read_blocking(|ws| ws.read(|snap| Lately::read(ws, snap))).await?;
    let usage = ws.url(&format!("settings/usage?range={DAYS}&by=gateway"));
    page.did = vec![
        (
            ws.url(&format!("runs?gateway={}", page.slug)),
            "Runs",
            format::grouped(lately.runs(page.id)),
        ),
        (usage, "Billed", format::money(lately.billed(page.id))),
    ];
    Ok(())
}

/// What a host can read; empty for this machine, which has everything.
async fn seen(ws: &Ws, id: GatewayId) -> Result<Vec<Seen>, MirrorError> {
    match id == local() {
        true => Ok(Vec::new()),
        false => ws.read_blocking(move |ws| sees(ws, id)).await,
    }
}

async fn looked(
    ws: &Ws,
    who: Person,
    shell: Shell,
    (name, form): (String, Option<(GatewayForm, Wrong)>),
) -> Result<ShowPage, GatewayError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            let one = queries::gateway(snap, &name)?;
            let form = form.unwrap_or_else(|| (GatewayForm::of(&one), Wrong::none()));
            page(&scene, snap, shell, (&one, form))
        })
    })
    .await
}

impl GatewayForm {
    fn of(one: &Gateway) -> Self {
        Self {
            label: one.label.clone(),
            labels: one.labels.join(", "),
            address: one.address.clone(),
            grant: Some(format::plain_dollars(one.grant_micros)),
            hours: Some(one.cut_hours.to_string()),
        }
    }
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (one, (form, wrong)): (&Gateway, (GatewayForm, Wrong)),
) -> Result<ShowPage, GatewayError> {
    Ok(ShowPage {
        shell,
        here: MENU,
        sheet: sheet(),
        base: scene.ws.url(HERE),
        id: one.id,
        slug: one.slug.clone(),
        joined: one.joined_at.map(|at| scene.time(at)),
        by: features::notifications::queries::name(read, one.by)?,
        fingerprint: one.host_key.as_ref().map(fingerprint).unwrap_or_default(),
        reported: one.addresses.clone(),
        sees: Vec::new(),
        did: Vec::new(),
        one: block(scene, read, one)?,
        typed: form,
        wrong,
        history: history::href_if_any::<Gateway>(&scene.ws, &read, one.id)?,
    })
}

/// `POST /settings/gateways/{id}`: name, labels, address.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Form(form): Form<GatewayForm>,
) -> Result<Response, PageError> {
    let one = ws.read(|snap| queries::gateway(snap, &name))?;
    let patch = Patch {
        label: Some(form.label.clone()),
        labels: Some(labels_of(&form.labels)),
        address: Some(form.address.clone()),
        // An unreadable amount is rejected like one that is too large.
        grant_micros: form.grant.as_deref().map(|it| format::parse_dollars(it).unwrap_or(i64::MAX)),
        cut_hours: form.hours.as_deref().map(|it| it.trim().parse().unwrap_or(u32::MAX)),
    };
    let (id, at) = (one.id, ws.url(&format!("{HERE}/{}", one.slug)));
    let saved = ws
        .write(&who, move |tx| {
            let new = rules::change(tx, id, patch)?;
            // ok: without a change there is nothing to undo.
            Ok::<_, GatewayError>(if new == one { None } else { tx.seq().ok() })
        })
        .await;
    match saved {
        Ok(entry) => {
            let flash = with_undo(&ws, Flash::ok("Saved"), entry);
            Ok(flash::say(&app, flash, hx.go_to(&at)))
        }
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let mut page = looked(&ws, who, shell, (id.to_string(), Some((form, wrong)))).await?;
            fill(&ws, &mut page).await?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

path_words! {
    /// What is done to a gateway.
    pub(super) Verb {
        Pause = "pause",
        Resume = "resume",
        Revoke = "revoke",
        Remove = "remove",
    }
}

/// `POST /settings/gateways/{id}/{verb}`
pub(super) async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, verb): Path2<String, Verb>,
) -> Result<Response, PageError> {
    let old = ws.read(|snap| queries::gateway(snap, &name))?;
    let (id, label) = (old.id, old.label.clone());
    let live = match verb {
        Verb::Revoke => queries::live_runs(&ws, id)?,
        Verb::Pause | Verb::Resume | Verb::Remove => Vec::new(),
    };
    let done = ws.write(&who, move |tx| {
        let new = match verb {
            Verb::Pause => rules::pause(tx, id)?,
            Verb::Resume => rules::resume(tx, id)?,
            Verb::Revoke => rules::revoke(tx, id)?,
            Verb::Remove => return rules::remove(tx, id).map(|_| None),
        };
        // ok: without a change there is nothing to undo.
        Ok::<_, GatewayError>(if new == old { None } else { tx.seq().ok() })
    });
    let entry = done.await?;
    if matches!(verb, Verb::Revoke | Verb::Remove) {
        ws.app.hosts.forgets(ws.id, id);
    }
    live.into_iter().for_each(|run| ws.live.finish(run));
    let flash = match verb {
        Verb::Pause => with_undo(&ws, Flash::ok(format!("Paused {label}")), entry),
        Verb::Resume => with_undo(&ws, Flash::ok(format!("Resumed {label}")), entry),
        Verb::Revoke => Flash::ok(format!("Revoked {label}’s access.")),
        Verb::Remove => Flash::ok(format!("Removed {label}")),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))))
}

/// The chosen machine.
#[derive(Deserialize)]
pub(super) struct KeepForm {
    copy: String,
}

/// `POST /settings/gateways/{id}/keep`
pub(super) async fn keep(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<KeepForm>,
) -> Result<Response, PageError> {
    let one = ws.read(|snap| queries::gateway(snap, &name))?;
    linked::keep(&ws, &who, &one, &form.copy).await?;
    let at = ws.url(&format!("{HERE}/{}", one.slug));
    let flash = Flash::ok(format!("{} continues. The other machine lost access.", one.label));
    Ok(flash::say(&app, flash, hx.go_to(&at)))
}

/// Adds an undo link if there is an entry to undo.
fn with_undo(ws: &Ws, flash: Flash, entry: Option<u64>) -> Flash {
    match entry {
        Some(seq) => flash.with_undo(ws.url(&format!("undo/entry/{seq}"))),
        None => flash,
    }
}
