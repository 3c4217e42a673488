//! The reporting line of an agent: its manager, its reports, and the picker.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::provision;
use features::agents::queries::{self, Called, lines};
use features::agents::rules::{self, AgentError, Changes};
use features::workspace::model::Member;
use git::Author;
use kernel::{AccountId, AgentId, Manager};
use store::{Range, Read, ReadExt, Snap, StoreError};
use web::error::PageError;
use web::extract::Form;
use web::hx::{Ask, Hx};
use web::parts::{Choice, Face, Tone};
use web::shell::Flash;
use web::{flash, html};

use crate::agents::at::At;

/// A neighbour in the reporting line; the address may be empty.
pub(super) struct Near {
    pub face: Face,
    pub href: String,
    pub about: String,
}

/// The reporting line of an agent.
pub(super) struct LineView {
    pub manager: Option<Near>,
    pub choices: Vec<Choice>,
    pub reports: Vec<Near>,
    pub peers: Vec<Near>,
    pub action: String,
    pub chart: String,
}

/// Maximum number of peers shown.
const PEERS: usize = 8;

/// The face of a manager; `None` if the manager no longer exists.
pub(super) fn face(
    tx: &dyn Read,
    called: &Called,
    manager: Option<Manager>,
) -> Result<Option<Face>, StoreError> {
    Ok(match manager {
        Some(Manager::Agent(id)) => tx.get::<Agent>(id)?.map(|above| called.face(&above)),
        other => lines::named(tx, other)?.map(|one| Face::person(&one.name)),
    })
}

fn near(ws: &Ws, agent: &Agent, called: &Called) -> Near {
    Near {
        face: called.face(agent),
        href: ws.url(&format!("agents/{}", agent.slug)),
        about: kernel::text::ellipsis(&agent.description, 60),
    }
}

/// The reporting line for the agent's page.
pub(super) fn view(
    ws: &Ws,
    snap: &Snap<'_>,
    agent: &Agent,
    me: AccountId,
) -> Result<LineView, StoreError> {
    let called = Called::among(&queries::all(snap)?);
    let manager = match agent.reports_to {
        Some(Manager::Agent(id)) => snap.get::<Agent>(id)?.map(|above| near(ws, &above, &called)),
        other => face(snap, &called, other)?.map(|face| Near {
            face,
            href: String::new(),
            about: String::new(),
        }),
    };
    let peers = match agent.reports_to {
        Some(Manager::Agent(above)) => lines::reports(snap, above)?,
        _ => Vec::new(),
    };
    let peers = peers.iter().filter(|peer| peer.id != agent.id).take(PEERS);
    Ok(LineView {
        manager,
        choices: choices(snap, Some(agent.id), agent.reports_to, me)?,
        reports: lines::reports(snap, agent.id)?.iter().map(|one| near(ws, one, &called)).collect(),
        peers: peers.map(|peer| near(ws, peer, &called)).collect(),
        action: ws.url(&format!("agents/{}/manager", agent.slug)),
        chart: ws.url("agents?view=chart"),
    })
}

/// Everyone an agent can report to: not itself, and nobody below it.
pub(super) fn choices(
    tx: &dyn Read,
    agent: Option<AgentId>,
    now: Option<Manager>,
    me: AccountId,
) -> Result<Vec<Choice>, StoreError> {
    let mut all = vec![Choice::new("none", "No manager", now.is_none())];
    for member in tx.list::<Member>(&Range::all())? {
        let chosen = now == Some(Manager::Person(member.account));
        if member.left_at.is_none() || chosen {
            let you = if member.account == me { " (you)" } else { "" };
            all.push(Choice::new(&member.handle, format!("{}{you}", member.name), chosen));
        }
    }
    let below = match agent {
        Some(agent) => lines::below(tx, agent)?,
        None => Vec::new(),
    };
    let others = queries::all(tx)?;
    let called = Called::among(&others);
    for other in others {
        let is_below = below.iter().any(|one| one.id == other.id);
        if Some(other.id) != agent && !is_below {
            let chosen = now == Some(Manager::Agent(other.id));
            all.push(Choice::new(&other.slug, called.name(&other), chosen));
        }
    }
    Ok(all)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ManagerForm {
    to: String,
}

/// Changes the manager of an agent.
pub(super) async fn save(
    app: App,
    At { ws, who, agent: before, .. }: At<PageError>,
    hx: Hx,
    Form(form): Form<ManagerForm>,
) -> Result<Response, PageError> {
    let id = before.id;
    let to = ws.read(|snap| lines::meant(snap, &form.to))?.map_err(AgentError::NoManager)?;
    let changes = Changes { reports_to: Some(to), ..Changes::default() };
    let agent = ws.write(&who, move |tx| rules::update(tx, id, None, changes)).await?;
    let author = Author::person(&who.name, who.account);
    provision::tell_change(&ws, author, &before, &agent).await;
    let (name, manager) = ws.read(|snap| {
        let manager = match agent.reports_to {
            Some(Manager::Agent(id)) => snap.get::<Agent>(id)?,
            _ => None,
        };
        let manager = match manager {
            Some(above) => Some(queries::called(snap, &above)?),
            None => lines::named(snap, agent.reports_to)?.map(|one| one.name),
        };
        Ok::<_, StoreError>((queries::called(snap, &agent)?, manager))
    })?;
    let message = match manager {
        Some(manager) => format!("{name} reports to {manager}."),
        None => format!("{name} has no manager now."),
    };
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").changed("agents", id).toast(Tone::Ok, &message);
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let back = ws.url(&format!("agents/{}", agent.slug));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&back)))
}
