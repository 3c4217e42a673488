//! Where the value of a secret is. This machine has it with the commit; on another it is once its host has confirmed that
//! very value.

use std::collections::{BTreeMap, BTreeSet};

use app::Ws;
use gateways::model::{Gateway, local};
use gateways::queries as places;
use jiff::tz::TimeZone;
use kernel::{AgentId, GatewayId, Timestamp};
use store::{Read, ReadExt as _, StoreError};

use crate::model::{Category, Receipt, Scope, Secret, SecretId};
use crate::queries;

kernel::words! {
    /// How it stands with a value on a machine.
    State {
        /// It is there.
        Active = "active", "Active";
        /// It was sent, and the host has not confirmed it yet.
        Sent = "sent", "Updating…";
        /// The host is not linked.
        Waiting = "waiting", "Waiting for gateway";
        /// It does not open with the present master key.
        Reenter = "reenter", "Must be entered again";
    }
}

/// A value on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    /// The gateway.
    pub gateway: GatewayId,
    /// What people call it.
    pub label: String,
    /// How it stands there.
    pub state: State,
    /// Since when; none where nobody knows.
    pub since: Option<Timestamp>,
}

/// All machines, and what the agents on each need.
pub struct Machines {
    gateways: Vec<Gateway>,
    places: BTreeMap<AgentId, GatewayId>,
    /// The gateways beside this machine on which agents have a secret.
    needs: BTreeMap<SecretId, BTreeSet<GatewayId>>,
}

impl Machines {
    /// As they are now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let (gateways, places) = (places::gateways(read)?, places::places(read)?);
        let mut needs: BTreeMap<SecretId, BTreeSet<GatewayId>> = BTreeMap::new();
        if !places.is_empty() {
            let live = queries::live(read)?;
            for (agent, gateway) in &places {
                for secret in queries::counting(&live, *agent, *gateway) {
                    if secret.category == Category::User {
                        needs.entry(secret.id).or_default().insert(*gateway);
                    }
                }
            }
        }
        Ok(Self { gateways, places, needs })
    }

    /// Whether there is more than one: then a secret may be for one of them.
    #[must_use]
    pub fn are_several(&self) -> bool {
        1 < self.gateways.len()
    }

    /// All of them, this machine first.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// What people call a gateway.
    #[must_use]
    pub fn label(&self, id: GatewayId) -> &str {
        let found = self.gateways.iter().find(|one| one.id == id);
        found.map_or("a gateway that is gone", |one| one.label.as_str())
    }

    /// How it stands with the value of a secret on each machine where somebody may have it. `opens` says whether it opens
    /// with the present master key.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(
        &self,
        ws: &Ws,
        read: &dyn Read,
        secret: &Secret,
        opens: bool,
    ) -> Result<Vec<On>, StoreError> {
        let mut all = Vec::new();
        if secret.removed_at.is_some() {
            return Ok(all);
        }
        let needs = self.needs.get(&secret.id);
        for one in &self.gateways {
            let is_there = match one.is_local() {
                true => self.is_here(secret),
                false => needs.is_some_and(|needs| needs.contains(&one.id)),
            };
            if !is_there {
                continue;
            }
            let (state, since) = match (opens, one.is_local()) {
                (false, _) => (State::Reenter, None),
                (true, true) => (State::Active, Some(secret.rotated_at)),
                (true, false) => away(ws, read, secret, one)?,
            };
            all.push(On { gateway: one.id, label: one.label.clone(), state, since });
        }
        Ok(all)
    }

    /// Whether agents on this machine may have it.
    fn is_here(&self, secret: &Secret) -> bool {
        match &secret.scope {
            Scope::Workspace => true,
            Scope::Gateway(id) => *id == local(),
            Scope::Agents(agents) => agents.iter().any(|agent| !self.places.contains_key(agent)),
        }
    }
}

/// How it stands with a value on another machine.
fn away(
    ws: &Ws,
    read: &dyn Read,
    secret: &Secret,
    one: &Gateway,
) -> Result<(State, Option<Timestamp>), StoreError> {
    let receipt: Option<Receipt> = read.get((one.id, secret.id))?;
    if let Some(receipt) = receipt.as_ref().filter(|one| one.has == Some(secret.version)) {
        return Ok((State::Active, receipt.has_at));
    }
    if ws.app.hosts.is_linked(ws.id, one.id) {
        let sent = receipt.filter(|one| one.sent == secret.version).map(|one| one.sent_at);
        return Ok((State::Sent, sent.or(Some(secret.rotated_at))));
    }
    Ok((State::Waiting, places::standing(read, one, ws.app.clock.now())?.since))
}

/// How it stands with a value as a whole: as where it stands worst.
#[must_use]
pub fn overall(all: &[On], opens: bool) -> State {
    let is = |state| all.iter().any(|one| one.state == state);
    match opens {
        false => State::Reenter,
        true if is(State::Sent) => State::Sent,
        true if is(State::Waiting) => State::Waiting,
        true => State::Active,
    }
}

/// The same in words, machine by machine: "Active on This machine, GPU box; sent to EU box, not confirmed since 14:02".
#[must_use]
pub fn told(all: &[On], now: Timestamp, zone: &TimeZone) -> String {
    let active = all.iter().filter(|one| one.state == State::Active);
    let active: Vec<&str> = active.map(|one| one.label.as_str()).collect();
    let mut parts = Vec::new();
    if !active.is_empty() {
        parts.push(format!("active on {}", active.join(", ")));
    }
    for one in all {
        let since = one.since.map(|at| format!(" since {}", clock(at, now, zone)));
        let since = since.unwrap_or_default();
        parts.extend(match one.state {
            State::Active | State::Reenter => None,
            State::Sent => Some(format!("sent to {}, not confirmed{since}", one.label)),
            State::Waiting if since.is_empty() => {
                Some(format!("waiting for {}, which has never called", one.label))
            }
            State::Waiting => Some(format!("waiting for {}, silent{since}", one.label)),
        });
    }
    kernel::text::capitalized(&parts.join("; "))
}

/// The time of day, with the day where that is another one.
fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if at.date() == now.date() { "%H:%M" } else { "%-d %b, %H:%M" };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::TypedId as _;
    use kernel::time::from_ms;

    #[test]
    fn each_machine_is_told_with_how_it_stands_there() {
        let now = from_ms(1_700_000_000_000);
        let on = |label: &str, state, since| On {
            gateway: GatewayId::from_bytes([7; 16]),
            label: label.to_owned(),
            state,
            since,
        };
        let all = [
            on("This machine", State::Active, None),
            on("EU box", State::Sent, Some(now)),
            on("GPU box", State::Active, None),
            on("Attic", State::Waiting, None),
        ];
        assert_eq!(
            told(&all, now, &TimeZone::UTC),
            "Active on This machine, GPU box; sent to EU box, not confirmed since 22:13; \
             waiting for Attic, which has never called"
        );
        assert_eq!(overall(&all, true), State::Sent);
        assert_eq!(overall(&all[..1], true), State::Active);
        assert_eq!(overall(&all, false), State::Reenter);
    }
}
