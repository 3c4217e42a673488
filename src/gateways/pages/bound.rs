//! Choice of an agent's gateway, a part of the agent's settings.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use kernel::Can;
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::Flash;
use web::{flash, html};

use crate::error::GatewayError;
use crate::health::Health;
use crate::hosts;
use crate::model::{Gateway, Status, local};
use crate::queries;
use crate::rules;

#[derive(Template)]
#[template(path = "gateways/bound.html")]
struct Bound {
    action: String,
    name: String,
    choices: Vec<Choice>,
    /// What the present gateway means for the agent.
    told: String,
    /// What is not available on a remote gateway.
    lacks: &'static str,
}

/// Tools that exist on the primary only.
const LACKS_THERE: &str = "The browser only works on HQ’s own machine and isn’t available there.";
/// The same, before the agent moves.
const WOULD_LACK: &str = "The browser isn’t available on other gateways.";

/// The chosen gateway.
#[derive(Deserialize)]
pub(super) struct GatewayBudgetForm {
    gateway: String,
}

fn found(read: &dyn Read, name: &str) -> Result<Agent, GatewayError> {
    let agent = agents::by_name(&read, name)?;
    agent.ok_or_else(|| GatewayError::NoAgent(kernel::text::ellipsis(name, 60)))
}

/// `GET /agents/{slug}/place`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let part = ws.read_blocking(move |ws| ws.read(|snap| part(ws, snap, found(snap, &name)?)));
    let mut part = part.await?;
    if !who.access.may(Can::Admin) {
        part.choices.clear();
    }
    html::fragment(&part)
}

fn part(ws: &Ws, read: &dyn Read, agent: Agent) -> Result<Bound, GatewayError> {
    let (here, now) = (queries::gateway_of(read, agent.id)?, ws.app.clock.now());
    let (mut choices, mut summary) = (Vec::new(), String::new());
    let lacks = if here == local() { WOULD_LACK } else { LACKS_THERE };
    for one in queries::gateways(read)? {
        let chosen = one.id == here;
        if one.status == Status::Revoked && !chosen {
            continue;
        }
        let standing = queries::standing(read, &one, now)?;
        if chosen {
            let silent = hosts::silent_for(ws, read, agent.id, now)?;
            summary = words(&one, &agent.name, silent.as_deref());
        }
        let label = match one.is_local() || standing.health == Health::Healthy {
            true => one.label,
            false => format!("{} ({})", one.label, standing.health.label()),
        };
        choices.push(Choice::new(one.slug, label, chosen));
    }
    let action = ws.url(&format!("agents/{}/place", agent.slug));
    Ok(Bound { action, name: agent.name, choices, told: summary, lacks })
}

/// What working on this gateway means. `silent`: how long an unlinked machine has been silent.
fn words(one: &Gateway, name: &str, silent: Option<&str>) -> String {
    let label = &one.label;
    match silent {
        _ if one.is_local() => {
            "Runs on HQ’s machine. On another gateway, its programs, files and model calls run \
                there. Tasks and pages stay here."
                .to_owned()
        }
        None => format!(
            "Its programs, files and model calls are on {label}. While it’s connected, you can \
                view and change its files here."
        ),
        Some(age) => format!(
            "Its programs, files and model calls are on {label}, which has been offline for {age}. \
                New work waits until it reconnects. If you move {name} now, it continues with the \
                last files HQ received. Newer files are added next to them when the machine \
                reconnects."
        ),
    }
}

/// `POST /agents/{slug}/place`
pub(super) async fn bind(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<GatewayBudgetForm>,
) -> Result<Response, PageError> {
    let (agent, to) = ws.read(|snap| {
        Ok::<_, GatewayError>((found(snap, &name)?, queries::gateway(snap, &form.gateway)?))
    })?;
    let (id, gateway) = (agent.id, to.id);
    let now = app.clock.now();
    let (silent, is_silent) = ws.read(|snap| {
        let silent = hosts::silent_for(&ws, snap, id, now)?;
        Ok::<_, StoreError>((silent, hosts::is_silent(&ws, snap, id)?))
    })?;
    let moves = if is_silent { rules::bind_off_silent } else { rules::bind };
    let is_moved = ws.write(&who, move |tx| moves(tx, id, gateway)).await?;
    let words = match to.id == local() {
        true => format!("{} runs here again", agent.name),
        false => format!("{} now runs on {}", agent.name, to.label),
    };
    let words = match silent.filter(|_| is_moved) {
        Some(age) => format!("{words}, with its files from {age} ago"),
        None => words,
    };
    let at = ws.url(&format!("agents/{}/settings", agent.slug));
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}
