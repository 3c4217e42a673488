//! The gateways as the first page tells them, and as agents that work on them are told of.

use std::collections::BTreeSet;

use app::Ws;
use entity::typed;
use features::agents::queries::elsewhere::{Elsewhere, Machine};
use features::agents::queries::machines;
use features::dashboard::queries::hosts::Host;
use kernel::{AgentId, GatewayId, Timestamp};
use store::{Range, Read, ReadExt as _, Root, StoreError, history};
use web::format;

use crate::health::{Health, Standing};
use crate::model::{FormerPlaces, Gateway, Status, local};
use crate::queries;

/// So many agents are named.
const NAMED: usize = 3;

/// The gateways for the first page; none where HQ runs on this machine alone.
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
        let told = match quiet(&standing, now) {
            quiet if quiet.is_empty() => who,
            quiet => format!("{who} · {quiet}"),
        };
        Ok(Host {
            href: ws.url(&format!("settings/gateways/{}", one.slug)),
            state,
            label,
            told,
            name: one.label,
        })
    };
    all.into_iter().map(host).collect()
}

/// How it stands with a gateway in one word, with its state word: what people decided, else its health.
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

/// Since when nothing is heard of a gateway, in words; nothing while that is as it should be.
#[must_use]
pub fn quiet(standing: &Standing, now: Timestamp) -> String {
    let silent = standing.since.map(|since| now.duration_since(since).unsigned_abs());
    match (standing.health, silent) {
        (Health::Stale, Some(length)) => {
            let minutes = std::time::Duration::from_secs(length.as_secs() / 60 * 60);
            format!("no word for {}", format::duration(minutes))
        }
        (Health::Healthy, Some(length)) if standing.is_slow => {
            format!("slow, last word {} s ago", length.as_secs())
        }
        _ => String::new(),
    }
}

/// The other machine that an agent works on; none of one that works here, and on a host.
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

/// The same as far as the store tells of it.
pub fn machine(read: &dyn Read, agent: AgentId) -> Result<Option<Machine>, StoreError> {
    let Some(one) = other(read, agent)? else { return Ok(None) };
    let heard_at = queries::signal(read, &one)?.last;
    let is_revoked = one.status == Status::Revoked;
    Ok(Some(Machine { label: one.label, is_revoked, heard_at }))
}

/// The gateway that an agent works on, unless that is this machine.
fn other(read: &dyn Read, agent: AgentId) -> Result<Option<Gateway>, StoreError> {
    match queries::gateway_of(read, agent)? {
        at if at == local() => Ok(None),
        at => read.get(at),
    }
}

/// The gateway that an agent works on; none where that is this machine.
pub fn place(read: &dyn Read, agent: AgentId) -> Result<Option<GatewayId>, StoreError> {
    Ok(away(queries::gateway_of(read, agent)?))
}

/// The machines by name, this one first.
pub fn machines(read: &dyn Read) -> Result<Vec<machines::Machine>, StoreError> {
    let named = |one: Gateway| machines::Machine {
        gateway: away(one.id),
        slug: one.slug,
        label: one.label,
    };
    Ok(queries::gateways(read)?.into_iter().map(named).collect())
}

/// The machines that were removed and that agents have worked on, as history keeps their labels.
pub fn former(read: &dyn Read) -> Result<Vec<machines::Machine>, StoreError> {
    let places: Vec<FormerPlaces> = read.list(&Range::all())?;
    let left: BTreeSet<GatewayId> = places.into_iter().flat_map(|one| one.gateways).collect();
    let mut all = Vec::new();
    for id in left {
        if id == local() || read.get::<Gateway>(id)?.is_some() {
            continue;
        }
        let row = history::last(read, &Root::of::<Gateway>(id))?;
        let label = row.and_then(|row| typed::<Gateway>(&row)).map_or_else(
            || "A machine that was removed".to_owned(),
            |was| format!("{}, removed", was.label),
        );
        all.push(machines::Machine { gateway: Some(id), slug: id.to_string(), label });
    }
    Ok(all)
}

/// A gateway as runs name it; none for this machine.
pub(crate) fn away(gateway: GatewayId) -> Option<GatewayId> {
    Some(gateway).filter(|one| *one != local())
}

/// Whether nothing is heard of the other machine that an agent works on.
pub fn is_silent(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    Ok(elsewhere(ws, read, agent)?.is_some_and(|place| !place.is_linked))
}

/// When the other machine that an agent works on was last heard of; none while that is linked, before its first word, and of
/// one that works here. What home has of its files is at least as old.
pub fn silent_since(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
) -> Result<Option<Timestamp>, StoreError> {
    let place = elsewhere(ws, read, agent)?.filter(|place| !place.is_linked);
    Ok(place.and_then(|place| place.heard_at))
}

/// For how long nothing was heard of it, in words.
pub fn silent_for(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let since = silent_since(ws, read, agent)?;
    Ok(since.map(|at| format::duration(now.duration_since(at).unsigned_abs())))
}
