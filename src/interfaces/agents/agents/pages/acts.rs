//! Actions on an agent.

use axum::response::Response;
use serde::Deserialize;

use app::App;
use features::agents::model::Agent;
use features::agents::queries::{self, lines};
use features::agents::{provision, rules};
use kernel::AgentStatus;
use store::WriteTx;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::hx::Hx;
use web::shell::Flash;

use super::super::heirs;
use crate::agents::at::At;
use features::agents::rules::AgentError;

type Act = fn(&mut WriteTx<'_>, kernel::AgentId) -> Result<Agent, AgentError>;

async fn act(
    (app, hx): (&App, &Hx),
    At { ws, who, agent, .. }: At<PageError>,
    act: Act,
    message: impl FnOnce(&str) -> String,
) -> Result<Response, PageError> {
    let id = agent.id;
    let agent = ws.write(&who, move |tx| act(tx, id)).await?;
    let name = ws.read(|snap| queries::called(snap, &agent))?;
    let back = ws.url(&format!("agents/{}", agent.slug));
    Ok(flash::say(app, Flash::ok(message(&name)), hx.go_to(&back)))
}

pub(super) async fn pause(app: App, at: At<PageError>, hx: Hx) -> Result<Response, PageError> {
    let message = |name: &str| format!("{name} is paused. Running work finishes first.");
    act((&app, &hx), at, rules::pause, message).await
}

pub(super) async fn resume(app: App, at: At<PageError>, hx: Hx) -> Result<Response, PageError> {
    let message = |name: &str| format!("{name} is resumed.");
    act((&app, &hx), at, rules::resume, message).await
}

/// Who takes over an archived agent's tasks and routines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Goes {
    tasks_to: String,
    routines_to: String,
}

pub(super) async fn archive(
    app: App,
    At { ws, who, agent, .. }: At<PageError>,
    hx: Hx,
    Form(goes): Form<Goes>,
) -> Result<Response, PageError> {
    let id = agent.id;
    // Read before archiving: an archived agent is no longer listed.
    let called = ws.read(|snap| queries::called(snap, &agent))?;
    let to = |name: &str| match name {
        "" => Ok(None),
        name => ws.read(|snap| lines::meant(snap, name))?.map_err(AgentError::NoManager),
    };
    let heirs = heirs(to(&goes.tasks_to)?, to(&goes.routines_to)?)?;
    let agent = ws.write(&who, move |tx| rules::retire(tx, id, heirs)).await?;
    let message = format!("{called} is archived. Its files and history are kept.");
    let back = ws.url(&format!("agents/{}", agent.slug));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&back)))
}

pub(super) async fn restore(app: App, at: At<PageError>, hx: Hx) -> Result<Response, PageError> {
    let message = |name: &str| format!("{name} is restored.");
    act((&app, &hx), at, rules::restore, message).await
}

/// Retries the setup of the agent's files.
pub(super) async fn retry(
    app: App,
    At { ws, who, agent, .. }: At<PageError>,
    hx: Hx,
) -> Result<Response, PageError> {
    let id = agent.id;
    ws.write(&who, move |tx| rules::retry(tx, id)).await?;
    let agent = provision::make(&ws, &who, id).await?;
    Ok(flash::say(&app, to_flash(&agent), hx.go_to(&ws.url(&format!("agents/{}", agent.slug)))))
}

/// The notice after the setup of an agent's files.
pub(super) fn to_flash(agent: &Agent) -> Flash {
    match agent.status {
        AgentStatus::Error => {
            let why = agent.status_reason.as_deref().unwrap_or("for an unknown reason");
            Flash::danger(format!("{} could not be set up: {why}", agent.name))
        }
        _ => {
            let Agent { name, slug, .. } = agent;
            // Mentioned only if the handle does not follow from the name.
            let handle = match kernel::text::slug(name, rules::MAX_SLUG) == *slug {
                true => String::new(),
                false => format!(" Its handle is @{slug}."),
            };
            Flash::ok(format!("{name} is ready. Give it a task, or say hello.{handle}"))
        }
    }
}
