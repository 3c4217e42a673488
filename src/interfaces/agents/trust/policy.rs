//! Workspace permissions in the settings, and adding and removing permissions.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::trust::queries::widening::{self, Refused};
use features::trust::{rules, tools};
use kernel::{Can, PermissionId};
use store::Snap;
use tool::ToolSpec;
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::Wrong;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

use super::behaviour;
use super::permits::{self, PermissionForm, Permits};
use super::reviewer;

/// Path of the settings page.
const HERE: &str = "settings/policy";

#[derive(Template)]
#[template(path = "trust/policy.html")]
struct PolicyPage {
    shell: Shell,
    here: &'static str,
    live: Live,
    permits: Permits,
    /// Models for the reviewer of the mode Auto.
    reviewers: Vec<Choice>,
    reviewer_url: String,
}

web::region!(PolicyPage, as_rows, PolicyRows, "trust/policy-rows.html");

/// `GET /settings/policy`
pub(super) async fn show(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let page = page(&ws, &who, shell, (PermissionForm::default(), Wrong::none()))?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    form: (PermissionForm, Wrong),
) -> Result<PolicyPage, PageError> {
    Ok(ws.read(|snap| view(ws, who, snap, shell, form))?)
}

fn view(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    shell: Shell,
    form: (PermissionForm, Wrong),
) -> Result<PolicyPage, TaskError> {
    let scene = ViewContext::new(ws, who, snap)?;
    let specs: Vec<&ToolSpec> = tools::all().iter().collect();
    let may = who.access.may(Can::Admin);
    Ok(PolicyPage {
        shell,
        here: "policy",
        live: Live::new(ws.url(HERE)).tables(&["permissions", "permission_uses"]),
        reviewers: reviewer::choices(snap)?,
        reviewer_url: ws.url("settings/policy/reviewer"),
        permits: permits::permits(snap, &scene, (None, specs.as_slice()), may, form)?,
    })
}

/// The page with the permissions of an agent, or of the workspace.
pub(super) fn place(ws: &Ws, slug: Option<&str>) -> String {
    match slug {
        Some(slug) => ws.url(&format!("agents/{slug}/behaviour")),
        None => ws.url(HERE),
    }
}

/// `POST /permissions`
pub(super) async fn permit(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    FormOnce(form, once): FormOnce<PermissionForm>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&form.agent)))?;
    let (id, now) = (agent.as_ref().map(|agent| agent.id), ws.app.clock.now());
    let wrong = match form.wish() {
        Err(wrong) => wrong,
        Ok(wish) => {
            let made = match wish.permission(id, now) {
                Ok(new) => {
                    let permit = once.run(move |tx| rules::permit(tx, new).map(drop));
                    ws.write(&who, widening::checked(&who, permit)).await
                }
                Err(error) => Err(Refused::Rule(error)),
            };
            match made {
                Ok(()) => {
                    let url = place(&ws, agent.as_ref().map(|agent| agent.slug.as_str()));
                    return Ok(flash::say(&app, Flash::ok("Added."), hx.go_to(&url)));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
    };
    match &agent {
        Some(agent) => behaviour::redisplay(&ws, &who, shell, agent, (form, wrong)),
        None => {
            let page = page(&ws, &who, shell, (form, wrong))?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// The agent's page that the form is on; empty for the settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Back {
    agent: String,
}

/// `POST /permissions/{id}/remove`
pub(super) async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<PermissionId>,
    Form(back): Form<Back>,
) -> Result<Response, PageError> {
    ws.write(&who, widening::checked(&who, move |tx| rules::revoke(tx, id))).await?;
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&back.agent)))?;
    let url = place(&ws, agent.as_ref().map(|agent| agent.slug.as_str()));
    Ok(flash::say(&app, Flash::ok("Removed."), hx.go_to(&url)))
}
