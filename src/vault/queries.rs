//! Queries on secrets. None of them opens a value.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use features::agents::model::Agent;
use features::agents::queries as agents;
use gateways::error::GatewayError;
use gateways::model::Gateway;
use gateways::queries as places;
use kernel::key::KeyBuf;
use kernel::{AgentId, GatewayId, RunId, Timestamp};
use net::guard::Hosts;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::error::VaultError;
use crate::model::{
    BY_KEY, Category, Former, Mask, Owner, Scope, Secret, SecretId, USES_BY_AGENT, USES_BY_RUN,
    USES_BY_SECRET, Use, Value, Way,
};

/// Days in which a removed secret can be restored.
const REMOVED_DAYS: i64 = 7;

/// Includes removed secrets.
pub fn by_id(read: &dyn Read, id: SecretId) -> Result<Secret, VaultError> {
    read.get(id)?.ok_or_else(|| VaultError::no(&id.to_string()))
}

/// All secrets including removed ones, sorted by name.
pub fn all(read: &dyn Read) -> Result<Vec<Secret>, StoreError> {
    let mut all: Vec<Secret> = read.list(&Range::all())?;
    all.sort_by_cached_key(|one| (one.name.to_lowercase(), one.key.clone(), one.id));
    Ok(all)
}

/// All secrets that are not removed, sorted by name.
pub fn live(read: &dyn Read) -> Result<Vec<Secret>, StoreError> {
    let mut all = all(read)?;
    all.retain(|one| one.removed_at.is_none());
    Ok(all)
}

/// The workspace's own mask patterns, sorted by name.
pub fn masks(read: &dyn Read) -> Result<Vec<Mask>, StoreError> {
    let mut all: Vec<Mask> = read.list(&Range::all())?;
    all.sort_by_cached_key(|one| (one.name.to_lowercase(), one.id));
    Ok(all)
}

/// The secret that an id or a variable denotes. A variable denotes the secret whose scope is exactly `owner`; with
/// `Owner::All` it may also denote the only secret of that variable.
///
/// # Errors
/// If no secret matches or several do.
pub fn meant(read: &dyn Read, name: &str, owner: Owner) -> Result<Secret, VaultError> {
    let name = name.trim();
    if let Ok(id) = name.parse() {
        return by_id(read, id);
    }
    if let Some(found) = at(read, name, owner)? {
        return Ok(found);
    }
    let mut named = named(read, name)?;
    match (owner, named.pop(), named.is_empty()) {
        (Owner::All, Some(one), true) => Ok(one),
        (Owner::All, Some(_), false) => Err(VaultError::Refused(format!(
            "several agents or gateways have their own {name}; choose one"
        ))),
        _ => Err(VaultError::no(name)),
    }
}

/// The secrets of this variable that are not removed.
pub fn named(read: &dyn Read, key: &str) -> Result<Vec<Secret>, StoreError> {
    let mut named = live(read)?;
    named.retain(|one| one.key == key);
    Ok(named)
}

/// The secret of this variable whose scope is exactly `owner`.
pub fn at(read: &dyn Read, key: &str, owner: Owner) -> Result<Option<Secret>, StoreError> {
    let mut place = KeyBuf::new();
    match owner {
        Owner::All => place.text(key).u8(0),
        Owner::Agent(agent) => place.text(key).u8(1).part(agent),
        Owner::Gateway(gateway) => place.text(key).u8(2).part(gateway),
    };
    read.find(BY_KEY, &place)
}

/// A secret that an agent has, and the secrets that it overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub secret: Secret,
    /// The overridden secrets, the nearest first: gateway, then workspace.
    pub over: Vec<Secret>,
}

/// The secrets of an agent, one per variable: its own before its gateway's, its gateway's before the workspace's.
pub fn held(read: &dyn Read, agent: AgentId) -> Result<Vec<Held>, StoreError> {
    Ok(held_of(live(read)?, agent, places::gateway_of(read, agent)?))
}

/// Like [`held`], from a given list and for an agent on this gateway.
pub(crate) fn held_of(mut all: Vec<Secret>, agent: AgentId, gateway: GatewayId) -> Vec<Held> {
    all.retain(|one| one.scope.reaches(agent, gateway));
    all.sort_by_key(|one| one.scope.rank());
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    for secret in all {
        let below = held.remove(&secret.key);
        let over = below.map_or_else(Vec::new, |below| {
            std::iter::once(below.secret).chain(below.over).collect()
        });
        held.insert(secret.key.clone(), Held { secret, over });
    }
    held.into_values().collect()
}

/// Filters `all` to the secrets in force for an agent on this gateway, one per variable.
pub(crate) fn counting(
    all: &[Secret],
    agent: AgentId,
    gateway: GatewayId,
) -> impl Iterator<Item = &Secret> {
    let mut nearest: BTreeMap<&str, &Secret> = BTreeMap::new();
    for one in all.iter().filter(|one| one.scope.reaches(agent, gateway)) {
        let other = nearest.entry(&one.key).or_insert(one);
        if other.scope.rank() < one.scope.rank() {
            *other = one;
        }
    }
    nearest.into_values()
}

pub fn value(read: &dyn Read, id: SecretId) -> Result<Option<Value>, StoreError> {
    read.get(id)
}

/// The former value, if it can still be put back at `now`.
pub fn former(read: &dyn Read, id: SecretId, now: Timestamp) -> Result<Option<Former>, StoreError> {
    let former = value(read, id)?.and_then(|value| value.former);
    Ok(former.filter(|former| now < former.until))
}

/// At most `most` secrets whose restore period has ended.
pub fn gone(read: &dyn Read, now: Timestamp, most: usize) -> Result<Vec<SecretId>, StoreError> {
    let kept = SignedDuration::from_hours(24 * REMOVED_DAYS);
    let is_over = |one: &Secret| one.removed_at.is_some_and(|at| kept <= now.duration_since(at));
    let all: Vec<Secret> = read.list(&Range::all())?;
    Ok(all.into_iter().filter(is_over).map(|one| one.id).take(most).collect())
}

/// At most `most` secrets whose former value has expired.
pub fn past(read: &dyn Read, now: Timestamp, most: usize) -> Result<Vec<SecretId>, StoreError> {
    let is_past = |one: &Value| one.former.as_ref().is_some_and(|former| former.until <= now);
    let all: Vec<Value> = read.list(&Range::all())?;
    Ok(all.into_iter().filter(is_past).map(|one| one.secret).take(most).collect())
}

/// Whether a sweep has anything to delete.
pub fn is_past(read: &dyn Read, now: Timestamp) -> Result<bool, StoreError> {
    Ok(!gone(read, now, 1)?.is_empty() || !past(read, now, 1)?.is_empty())
}

/// Resolves names, slugs or ids of agents.
///
/// # Errors
/// If one of them does not exist.
pub fn agents_called(read: &dyn Read, names: &[String]) -> Result<Vec<AgentId>, VaultError> {
    let mut all = Vec::new();
    for word in names {
        let id = agent_called(read, word)?.id;
        if !all.contains(&id) {
            all.push(id);
        }
    }
    Ok(all)
}

/// Resolves the name, slug or id of an agent.
pub fn agent_called(read: &dyn Read, name: &str) -> Result<Agent, VaultError> {
    let found = agents::by_name(&read, name)?;
    found.ok_or_else(|| VaultError::NoAgent(kernel::text::ellipsis(name.trim(), 60)))
}

/// A value that is about to replace a program's placeholder token in a request to `host`.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'s> {
    pub id: SecretId,
    /// Version of the value.
    pub version: u32,
    /// The agent whose program sends the request.
    pub agent: AgentId,
    pub host: &'s str,
}

/// Why the value may not be sent; `None` if it may. Former values may be sent: running programs keep their tokens.
pub fn barred(read: &dyn Read, of: Sending<'_>) -> Result<Option<&'static str>, StoreError> {
    Ok(why_barred(read.get(of.id)?, of, places::gateway_of(read, of.agent)?))
}

/// Like [`barred`], for a given secret (`None` if it is gone) and an agent on this gateway.
pub(crate) fn why_barred(
    found: Option<Secret>,
    of: Sending<'_>,
    gateway: GatewayId,
) -> Option<&'static str> {
    let Some(secret) = found.filter(|secret| secret.removed_at.is_none()) else {
        return Some("was removed");
    };
    let is_others = !secret.scope.reaches(of.agent, gateway);
    if secret.way != Way::StandIn {
        Some("is no longer used as a placeholder")
    } else if secret.version < of.version {
        Some("has its previous value again")
    } else if is_others {
        Some("is for other agents now")
    } else if !Hosts::of(vec![secret.hosts]).has(of.host) {
        Some("is for other hosts now")
    } else {
        None
    }
}

/// At most `most` uses of a secret, the latest first.
pub fn uses(read: &dyn Read, id: SecretId, most: usize) -> Result<Vec<Use>, StoreError> {
    read.scan(USES_BY_SECRET, &Range::prefix(KeyBuf::of(&id)).reverse().limit(most))
}

/// At most `most` uses by an agent since `since`, the latest first.
pub fn used_by(
    read: &dyn Read,
    agent: AgentId,
    since: Timestamp,
    most: usize,
) -> Result<Vec<Use>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&agent)).reverse().limit(most);
    let mut uses: Vec<Use> = read.scan(USES_BY_AGENT, &range)?;
    uses.retain(|one| since <= one.last_at);
    Ok(uses)
}

pub fn used_in(read: &dyn Read, run: RunId, most: usize) -> Result<Vec<Use>, StoreError> {
    read.scan(USES_BY_RUN, &Range::prefix(KeyBuf::of(&run)).limit(most))
}

/// Why an agent has a variable or does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub held: Option<Held>,
    /// Other secrets of this variable, which the agent does not have.
    pub others: Vec<Secret>,
    /// The agent's gateway.
    pub gateway: Gateway,
}

pub fn why(read: &dyn Read, agent: AgentId, key: &str) -> Result<Why, StoreError> {
    let held = held(read, agent)?.into_iter().find(|held| held.secret.key == key);
    let mut others = all(read)?;
    others.retain(|one| one.key == key && !is_in(held.as_ref(), one.id));
    Ok(Why { held, others, gateway: gateway_at(read, places::gateway_of(read, agent)?)? })
}

fn is_in(held: Option<&Held>, id: SecretId) -> bool {
    let over = |held: &Held| held.over.iter().any(|over| over.id == id);
    held.is_some_and(|held| held.secret.id == id || over(held))
}

/// Returns a gateway that a stored record refers to; fails if the gateway does not exist.
pub(crate) fn gateway_at(read: &dyn Read, id: GatewayId) -> Result<Gateway, StoreError> {
    places::gateway_by_id(read, id).map_err(|error| match error {
        GatewayError::Store(error) => error,
        other => StoreError::Failed(other.to_string()),
    })
}

/// Resolves the name, slug or id of a gateway.
///
/// # Errors
/// If no gateway matches or several do.
pub fn gateway_called(read: &dyn Read, name: &str) -> Result<Gateway, VaultError> {
    places::gateway(read, name).map_err(|error| match error {
        GatewayError::Store(error) => VaultError::Store(error),
        other => VaultError::field("gateway", other.to_string()),
    })
}

impl Why {
    /// The explanation in sentences. `opens`: whether the value can be decrypted.
    #[must_use]
    pub fn describe(&self, opens: bool) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.held {
            Some(Held { secret, over }) => {
                let label = &self.gateway.label;
                lines.push(match secret.scope {
                    Scope::Workspace => "It is available to all agents.".to_owned(),
                    Scope::Gateway(_) => {
                        format!("It is available to all agents on {label}, this agent’s gateway.")
                    }
                    Scope::Agents(_) => "This agent has its own.".to_owned(),
                });
                let over: Vec<String> = over.iter().map(|one| one_for(one, label)).collect();
                if !over.is_empty() {
                    let over = kernel::text::listed(&over);
                    lines.push(format!("It overrides {over}."));
                }
                lines.push(reaches(secret, opens));
            }
            None => lines.push("This agent doesn’t have it.".to_owned()),
        }
        let (gone, live): (Vec<&Secret>, Vec<&Secret>) =
            self.others.iter().partition(|one| one.removed_at.is_some());
        let (gateways, agents): (Vec<&Secret>, Vec<&Secret>) =
            live.into_iter().partition(|one| one.scope.gateway().is_some());
        if !agents.is_empty() {
            lines.push("Another agent has one with that name.".to_owned());
        }
        if !gateways.is_empty() {
            lines.push("Agents on another gateway have one with that name.".to_owned());
        }
        if !gone.is_empty() {
            lines.push("One with that name was removed. You can restore it.".to_owned());
        }
        lines
    }
}

/// Describes a secret relative to others of its variable, for an agent on the gateway with this label.
fn one_for(secret: &Secret, label: &str) -> String {
    match secret.scope {
        Scope::Workspace => "the one for all agents".to_owned(),
        Scope::Gateway(_) => format!("the one for all agents on {label}"),
        Scope::Agents(_) => "one for some agents".to_owned(),
    }
}

/// How a secret's value reaches programs and requests, as a sentence.
#[must_use]
pub fn reaches(secret: &Secret, opens: bool) -> String {
    let Secret { key, hosts, .. } = secret;
    let hosts = kernel::text::listed(hosts);
    match (secret.category, secret.way) {
        _ if !opens => "Not available: its value can’t be opened with the current master key. \
            Enter it again."
            .to_owned(),
        (Category::Channel, _) => "Only its channel gets it, not programs.".to_owned(),
        (Category::Integration, _) => "Only its connector gets it, not programs.".to_owned(),
        (_, Way::Value) if secret.named_only => {
            format!("Programs get it as ${key} only when the agent requests it.")
        }
        (_, Way::Value) => format!("Programs get it as ${key}."),
        (_, Way::StandIn) => {
            format!("Programs get a placeholder as ${key}. HQ replaces it in requests to {hosts}.")
        }
        (_, Way::Requests) => {
            format!("Programs don’t get it. HQ’s requests to {hosts} can use {{{{secret:{key}}}}}.")
        }
    }
}
