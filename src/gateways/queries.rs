//! Queries on gateways.

use std::collections::{BTreeMap, BTreeSet};

use app::Ws;
use crypto::token::Token;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::Run;
use features::runs::queries as runs;
use jiff::SignedDuration;
use kernel::{AgentId, GatewayId, RunId, Timestamp, TypedId as _};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::error::GatewayError;
use crate::health::{self, Signal, Standing};
use crate::model::{
    AgentPlace, Beat, FormerPlaces, Gateway, GatewayKey, GatewayToken, GatewayTokenId, HearerId,
    HostKey, RunAnswer, local,
};

/// This machine always exists.
pub fn gateway_by_id(read: &dyn Read, id: GatewayId) -> Result<Gateway, GatewayError> {
    match read.get(id)? {
        Some(one) => Ok(one),
        None if id == local() => Ok(Gateway::this_machine()),
        None => Err(GatewayError::no(&id.to_string())),
    }
}

/// Resolves the id, slug or label of a gateway.
///
/// # Errors
/// If no gateway matches, or several have the label.
pub fn gateway(read: &dyn Read, name: &str) -> Result<Gateway, GatewayError> {
    let name = name.trim();
    if let Ok(id) = name.parse::<GatewayId>() {
        return gateway_by_id(read, id);
    }
    let all = gateways(read)?;
    if let Some(one) = all.iter().find(|one| one.slug == name) {
        return Ok(one.clone());
    }
    let wanted = name.to_lowercase();
    let mut named: Vec<Gateway> = all;
    named.retain(|one| one.label.to_lowercase() == wanted);
    match (named.pop(), named.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(GatewayError::Refused(format!(
            "several gateways are called \"{}\"; use the slug",
            kernel::text::ellipsis(name, 60)
        ))),
        (None, _) => Err(GatewayError::no(name)),
    }
}

/// All gateways, this machine first, the others sorted by label.
pub fn gateways(read: &dyn Read) -> Result<Vec<Gateway>, StoreError> {
    let mut all: Vec<Gateway> = read.list(&Range::all())?;
    if !all.iter().any(Gateway::is_local) {
        all.push(Gateway::this_machine());
    }
    all.sort_by_cached_key(|one| (!one.is_local(), one.label.to_lowercase(), one.id));
    Ok(all)
}

/// The agent's gateway; an agent without a place works on this machine.
pub fn gateway_of(read: &dyn Read, agent: AgentId) -> Result<GatewayId, StoreError> {
    Ok(read.get::<AgentPlace>(agent)?.map_or_else(local, |place| place.gateway))
}

/// Whether an agent has worked on a gateway and left it.
pub fn has_worked(read: &dyn Read, agent: AgentId, gateway: GatewayId) -> Result<bool, StoreError> {
    let former: Option<FormerPlaces> = read.get(agent)?;
    Ok(former.is_some_and(|former| former.gateways.contains(&gateway)))
}

/// Agents on remote gateways.
pub fn places(read: &dyn Read) -> Result<BTreeMap<AgentId, GatewayId>, StoreError> {
    let all: Vec<AgentPlace> = read.list(&Range::all())?;
    Ok(all.into_iter().map(|place| (place.agent, place.gateway)).collect())
}

/// The agents on a gateway, sorted by name.
pub fn agents_on(read: &dyn Read, id: GatewayId) -> Result<Vec<Agent>, StoreError> {
    let (mut all, places) = (agents::all(&read)?, places(read)?);
    all.retain(|agent| places.get(&agent.id).copied().unwrap_or_else(local) == id);
    Ok(all)
}

/// Ids of the agents on a gateway. They determine what its host may receive.
pub fn bound(read: &dyn Read, id: GatewayId) -> Result<BTreeSet<AgentId>, StoreError> {
    // Agents on this machine have no host that could receive anything.
    let here = |(agent, gateway)| (gateway == id).then_some(agent);
    Ok(places(read)?.into_iter().filter_map(here).collect())
}

/// The runs on a gateway that have not ended.
pub fn live_runs(ws: &Ws, id: GatewayId) -> Result<Vec<RunId>, StoreError> {
    let live = ws.read(|snap| runs::live_on(snap, id))?;
    Ok(live.into_iter().map(|run| run.id).collect())
}

/// The last heartbeat of a host.
pub fn beat(read: &dyn Read, id: GatewayId) -> Result<Option<Beat>, StoreError> {
    read.get(id)
}

/// Contact times of a gateway.
pub fn signal(read: &dyn Read, one: &Gateway) -> Result<Signal, StoreError> {
    let beat = beat(read, one.id)?.map(|beat| beat.at);
    Ok(Signal { is_here: one.is_local(), last: beat.max(one.hello_at), goodbye: one.goodbye_at })
}

/// Health of a gateway.
pub fn standing(read: &dyn Read, one: &Gateway, now: Timestamp) -> Result<Standing, StoreError> {
    Ok(health::standing(&signal(read, one)?, now))
}

/// All tokens, the newest first.
pub fn tokens(read: &dyn Read) -> Result<Vec<GatewayToken>, StoreError> {
    read.list(&Range::all().reverse())
}

pub fn token_by_id(read: &dyn Read, id: GatewayTokenId) -> Result<GatewayToken, GatewayError> {
    read.get(id)?.ok_or(GatewayError::NoToken)
}

/// The record of a token that a client sent.
pub fn token(read: &dyn Read, sent: &Token) -> Result<Option<GatewayToken>, StoreError> {
    let fits = |one: &GatewayToken| one.public == sent.id() && one.hash == sent.hash();
    Ok(tokens(read)?.into_iter().find(fits))
}

/// The gateway with this key, including revoked ones.
pub fn gateway_with(read: &dyn Read, key: &HostKey) -> Result<Option<Gateway>, StoreError> {
    Ok(gateways(read)?.into_iter().find(|one| one.host_key.as_ref() == Some(key)))
}

pub fn key(read: &dyn Read) -> Result<Option<GatewayKey>, StoreError> {
    read.get(())
}

/// Answers are kept for this time after a run's end, since a host may repeat its last message.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Answers examined per call, the oldest runs first.
const LOOKED_AT: usize = 50;

/// Answers about runs that ended long ago.
pub fn old_answers(read: &dyn Read, now: Timestamp) -> Result<Vec<HearerId>, StoreError> {
    let mut old = Vec::new();
    let all: Vec<RunAnswer> = read.list(&Range::all().limit(LOOKED_AT))?;
    for of in all.into_iter().map(|one| one.of) {
        let run = read.get::<Run>(RunId::from_uuid(of.uuid()))?;
        if run.and_then(|run| run.ended_at).is_some_and(|at| at + KEPT < now) {
            old.push(of);
        }
    }
    Ok(old)
}
