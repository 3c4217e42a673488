//! Gateways on the dashboard, and the machine of an agent for other pages and tools.

use std::collections::BTreeSet;

use app::Ws;
use entity::decode_row;
use features::agents::queries::elsewhere::{Elsewhere, Machine};
use features::agents::queries::machines;
use features::dashboard::queries::hosts::Host;
use kernel::{AgentId, GatewayId, Timestamp};
use store::{Range, Read, ReadExt as _, Root, StoreError, history};
use web::format;

use crate::health::{Health, Standing};
use crate::model::{FormerPlaces, Gateway, Status, local};
use crate::queries;

const NAMED: usize = 3;

/// Gateways for the dashboard; empty if this is the only machine.
pub fn hosts(read: &dyn Read, ws: &Ws, now: Timestamp) -> Result<Vec<Host>, StoreError> {
    let all = queries::gateways(read)?;
    if all.len() < 2 {
        return Ok(Vec::new());
    }
    let host = |one: Gateway| {
        let standing = queries::standing(read, &one, now)?;
        let agents = queries::agents_on(read, one.id)?;
        let mut parts: Vec<String> =
            agents.iter().take(NAMED).map(|agent| agent.name.clone()).collect();
        if NAMED < agents.len() {
            parts.push(format!("{} more", agents.len() - NAMED));
        }
        let who = if parts.is_empty() { "No agents".to_owned() } else { parts.join(", ") };
        let (state, label) = shown(&one, &standing);
        let name = match quiet(&standing, now) {
            quiet if quiet.is_empty() => who,
            quiet => format!("{who} · {quiet}"),
        };
        Ok(Host {
            href: ws.url(&format!("settings/gateways/{}", one.slug)),
            state,
            label,
            detail: name,
            name: one.label,
        })
    };
    all.into_iter().map(host).collect()
}

/// State word and label of a gateway: the status that people set, else its health.
#[must_use]
pub fn shown(one: &Gateway, standing: &Standing) -> (&'static str, &'static str) {
    match (one.status, standing.health) {
        (Status::Revoked, _) => ("error", Status::Revoked.label()),
        (Status::Error, _) => ("error", Status::Error.label()),
        (_, Health::Sleeping) => ("paused", Health::Sleeping.label()),
        (_, Health::Stale) => ("stale", Health::Stale.label()),
        (Status::Provisioning, _) => ("provisioning", Status::Provisioning.label()),
        (Status::Paused, _) => ("paused", Status::Paused.label()),
        (Status::Draining, _) => ("waiting", Status::Draining.label()),
        (Status::Ready, Health::NoSignal) => ("stale", Health::NoSignal.label()),
        (Status::Ready, Health::Healthy) => ("healthy", Health::Healthy.label()),
    }
}

/// How long a gateway has been silent, in words; empty if that is expected or it is not silent.
#[must_use]
pub fn quiet(standing: &Standing, now: Timestamp) -> String {
    let silent = standing.since.map(|since| now.duration_since(since).unsigned_abs());
    match (standing.health, silent) {
        (Health::Stale, Some(length)) => {
            let minutes = std::time::Duration::from_secs(length.as_secs() / 60 * 60);
            format!("offline for {}", format::duration(minutes))
        }
        (Health::Healthy, Some(length)) if standing.is_slow => {
            format!("slow, last seen {} s ago", length.as_secs())
        }
        _ => String::new(),
    }
}

/// The remote machine of an agent; `None` for an agent on this machine, and when called on a host.
pub fn elsewhere(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
) -> Result<Option<Elsewhere>, StoreError> {
    if ws.upstream.is_some() {
        return Ok(None);
    }
    let Some(one) = other(read, agent)? else { return Ok(None) };
    let heard_at = queries::signal(read, &one)?.last;
    let (at, is_linked) = (one.id, ws.app.hosts.is_linked(ws.id, one.id));
    let is_paused = matches!(one.status, Status::Paused | Status::Draining);
    let is_revoked = one.status == Status::Revoked;
    Ok(Some(Elsewhere {
        gateway: at,
        label: one.label,
        is_paused,
        is_revoked,
        is_linked,
        heard_at,
    }))
}

/// Like [`elsewhere`], from the store alone.
pub fn machine(read: &dyn Read, agent: AgentId) -> Result<Option<Machine>, StoreError> {
    let Some(one) = other(read, agent)? else { return Ok(None) };
    let heard_at = queries::signal(read, &one)?.last;
    let is_revoked = one.status == Status::Revoked;
    Ok(Some(Machine { label: one.label, is_revoked, heard_at }))
}

/// The remote gateway of an agent; `None` for this machine.
fn other(read: &dyn Read, agent: AgentId) -> Result<Option<Gateway>, StoreError> {
    match queries::gateway_of(read, agent)? {
        at if at == local() => Ok(None),
        at => read.get(at),
    }
}

/// Id of an agent's remote gateway; `None` for this machine.
pub fn place(read: &dyn Read, agent: AgentId) -> Result<Option<GatewayId>, StoreError> {
    Ok(away(queries::gateway_of(read, agent)?))
}

/// All machines, this one first.
pub fn machines(read: &dyn Read) -> Result<Vec<machines::Machine>, StoreError> {
    let named = |one: Gateway| machines::Machine {
        gateway: away(one.id),
        slug: one.slug,
        label: one.label,
    };
    Ok(queries::gateways(read)?.into_iter().map(named).collect())
}

/// Removed machines that agents have worked on, with the labels that history has.
pub fn former(read: &dyn Read) -> Result<Vec<machines::Machine>, StoreError> {
    let places: Vec<FormerPlaces> = read.list(&Range::all())?;
    let left: BTreeSet<GatewayId> = places.into_iter().flat_map(|one| one.gateways).collect();
    let mut all = Vec::new();
    for id in left {
        if id == local() || read.get::<Gateway>(id)?.is_some() {
            continue;
        }
        let row = history::last(read, &Root::of::<Gateway>(id))?;
        let label = row
            .and_then(|row| decode_row::<Gateway>(&row))
            .map_or_else(|| "Removed machine".to_owned(), |was| format!("{}, removed", was.label));
        all.push(machines::Machine { gateway: Some(id), slug: id.to_string(), label });
    }
    Ok(all)
}

/// Gateway id as stored in runs: `None` for this machine.
pub(crate) fn away(gateway: GatewayId) -> Option<GatewayId> {
    Some(gateway).filter(|one| *one != local())
}

/// Whether the agent's remote machine has no link.
pub fn is_silent(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    Ok(elsewhere(ws, read, agent)?.is_some_and(|place| !place.is_linked))
}

/// Last contact with an agent's remote machine. `None` while it is linked, before its first contact, and for agents on
/// this machine. The primary's copy of its files is at least as old.
pub fn silent_since(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
) -> Result<Option<Timestamp>, StoreError> {
    let place = elsewhere(ws, read, agent)?.filter(|place| !place.is_linked);
    Ok(place.and_then(|place| place.heard_at))
}

/// How long the machine has been silent, in words.
pub fn silent_for(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let since = silent_since(ws, read, agent)?;
    Ok(since.map(|at| format::duration(now.duration_since(at).unsigned_abs())))
}
