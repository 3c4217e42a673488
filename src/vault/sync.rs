//! State of a secret's value per machine. This machine has a value with the commit. Another machine has it once its
//! host has confirmed that version.

use std::collections::{BTreeMap, BTreeSet};

use app::Ws;
use gateways::health::{Health, Standing};
use gateways::model::{CUT_HOURS, Gateway, local};
use gateways::queries as places;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use kernel::display;
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
        /// The host had it when it was last heard of, and nothing was heard since.
        Silent = "silent", "Gateway offline";
        /// The host had it until its program ended: it was in memory alone.
        Stopped = "stopped", "Gateway not running";
        /// The host needs it no more, and has not heard so yet: it may have it in memory until then.
        Kept = "kept", "Might still be in use";
        /// It does not open with the present master key.
        Reenter = "reenter", "Enter again";
    }
}

/// State of a value on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    pub gateway: GatewayId,
    pub label: String,
    pub state: State,
    /// When the state began; `None` if unknown.
    pub since: Option<Timestamp>,
}

/// All gateways, and which secrets the agents on each of them need.
pub struct Machines {
    gateways: Vec<Gateway>,
    places: BTreeMap<AgentId, GatewayId>,
    /// Remote gateways whose agents have the secret.
    needs: BTreeMap<SecretId, BTreeSet<GatewayId>>,
}

impl Machines {
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

    /// Whether there is more than one machine, so that a secret may be limited to a gateway.
    #[must_use]
    pub fn are_several(&self) -> bool {
        1 < self.gateways.len()
    }

    /// All gateways, this machine first.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    #[must_use]
    pub fn label(&self, id: GatewayId) -> &str {
        let found = self.gateways.iter().find(|one| one.id == id);
        found.map_or("a deleted gateway", |one| one.label.as_str())
    }

    /// State of a secret's value on each machine where agents may have it. `opens` says whether the value can be
    /// decrypted with the present master key.
    pub fn of(
        &self,
        ws: &Ws,
        read: &dyn Read,
        secret: &Secret,
        opens: bool,
    ) -> Result<Vec<On>, StoreError> {
        let mut all = Vec::new();
        let needs = self.needs.get(&secret.id);
        for one in &self.gateways {
            let is_there = match one.is_local() {
                true => secret.removed_at.is_none() && self.is_here(secret),
                false => needs.is_some_and(|needs| needs.contains(&one.id)),
            };
            let stands = match (is_there, one.is_local()) {
                (true, _) if !opens => Some((State::Reenter, None)),
                (true, true) => Some((State::Active, Some(secret.rotated_at))),
                (true, false) => Some(away(ws, read, secret, one)?),
                (false, true) => None,
                (false, false) => kept(ws, read, secret, one)?,
            };
            let on =
                |(state, since)| On { gateway: one.id, label: one.label.clone(), state, since };
            all.extend(stands.map(on));
        }
        Ok(all)
    }

    /// Whether agents on this machine may have the secret.
    fn is_here(&self, secret: &Secret) -> bool {
        match &secret.scope {
            Scope::Workspace => true,
            Scope::Gateway(id) => *id == local(),
            Scope::Agents(agents) => agents.iter().any(|agent| !self.places.contains_key(agent)),
        }
    }
}

/// A state and when it began.
type Stands = (State, Option<Timestamp>);

/// State of a value on a remote machine that needs it.
fn away(ws: &Ws, read: &dyn Read, secret: &Secret, one: &Gateway) -> Result<Stands, StoreError> {
    let receipt: Option<Receipt> = read.get((one.id, secret.id))?;
    let is_linked = ws.app.hosts.is_linked(ws.id, one.id);
    let standing = places::standing(read, one, ws.app.clock.now())?;
    Ok(stands(secret, receipt.as_ref(), is_linked, &standing))
}

fn stands(
    secret: &Secret,
    receipt: Option<&Receipt>,
    is_linked: bool,
    standing: &Standing,
) -> Stands {
    match receipt {
        Some(receipt) if receipt.has == Some(secret.version) => match standing.health {
            Health::Sleeping if !is_linked => (State::Stopped, standing.since),
            Health::Stale | Health::NoSignal if !is_linked => (State::Silent, standing.since),
            _ => (State::Active, receipt.has_at),
        },
        _ if is_linked => {
            let sent = receipt.filter(|one| one.sent == secret.version).map(|one| one.sent_at);
            (State::Sent, sent.or(Some(secret.rotated_at)))
        }
        _ => (State::Waiting, standing.since),
    }
}

/// State on a remote machine that no longer needs the value. `None` if the machine is linked and therefore informed, or
/// if its program has ended: hosts hold values in memory only.
fn kept(
    ws: &Ws,
    read: &dyn Read,
    secret: &Secret,
    one: &Gateway,
) -> Result<Option<Stands>, StoreError> {
    let receipt: Option<Receipt> = read.get((one.id, secret.id))?;
    if receipt.is_none() || ws.app.hosts.is_linked(ws.id, one.id) {
        return Ok(None);
    }
    let now = ws.app.clock.now();
    let standing = places::standing(read, one, now)?;
    // The host applies the limit that it was sent last, or the default if it was sent none.
    let hours = one.cut_hours.max(CUT_HOURS);
    Ok(may_keep(hours, &standing, now).then_some((State::Kept, standing.since)))
}

/// Whether an unreachable host may still be working offline, with values in memory.
fn may_keep(cut_hours: u32, standing: &Standing, now: Timestamp) -> bool {
    let span = SignedDuration::from_hours(i64::from(cut_hours));
    standing.health != Health::Sleeping
        && standing.since.is_some_and(|last| now.duration_since(last) < span)
}

/// State of a value as a whole: the worst state of any machine.
#[must_use]
pub fn overall(all: &[On], opens: bool) -> State {
    let is = |state| all.iter().any(|one| one.state == state);
    match opens {
        false => State::Reenter,
        true if is(State::Sent) => State::Sent,
        true if is(State::Waiting) => State::Waiting,
        true if is(State::Active) => State::Active,
        true if is(State::Silent) => State::Silent,
        true if is(State::Stopped) => State::Stopped,
        true => State::Active,
    }
}

/// State per machine in words: "Active on This machine, GPU box; sent to EU box, not confirmed since 14:02".
#[must_use]
pub fn describe(all: &[On], now: Timestamp, zone: &TimeZone) -> String {
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
                Some(format!("waiting for {}, which has never connected", one.label))
            }
            State::Waiting => Some(format!("waiting for {}, offline{since}", one.label)),
            State::Silent => Some(format!("{} has been offline{since} and had it then", one.label)),
            State::Stopped => {
                let until = one.since.map(|at| format!(" until {}", clock(at, now, zone)));
                let until = until.unwrap_or_default();
                Some(format!("{} isn’t running and had it{until}", one.label))
            }
            State::Kept => {
                Some(format!("{} might still have it in memory until it reconnects", one.label))
            }
        });
    }
    kernel::text::capitalized(&parts.join("; "))
}

/// Time of day, with the date unless it is today.
fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let time = display::time(at.time());
    match at.date() == now.date() {
        true => time,
        false => format!("{}, {time}", display::day_of_year(at.date())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::TypedId as _;
    use kernel::time::from_ms;
    use store::Record as _;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_value_is_where_it_was_confirmed_as_long_as_the_host_is_heard_of() {
        let (secret, at) = (Secret { version: 3, ..Secret::sample() }, Some(from_ms(NOW)));
        let receipt = |has| Receipt { has, sent: 3, ..Receipt::sample() };
        let standing = |health| Standing { health, is_slow: false, since: at };
        let (has, lacks) = (receipt(Some(3)), receipt(Some(2)));
        let confirmed = (State::Active, has.has_at);
        // Receipt, whether the host is linked, its health; expected state.
        let table = [
            (Some(&has), true, Health::Healthy, confirmed),
            (Some(&has), true, Health::Stale, confirmed),
            (Some(&has), false, Health::Healthy, confirmed),
            (Some(&has), false, Health::Stale, (State::Silent, at)),
            (Some(&has), false, Health::NoSignal, (State::Silent, at)),
            (Some(&has), false, Health::Sleeping, (State::Stopped, at)),
            (Some(&lacks), true, Health::Healthy, (State::Sent, Some(lacks.sent_at))),
            (Some(&lacks), false, Health::Sleeping, (State::Waiting, at)),
            (None, true, Health::Healthy, (State::Sent, Some(secret.rotated_at))),
            (None, false, Health::Stale, (State::Waiting, at)),
        ];
        for (receipt, is_linked, health, wanted) in table {
            let found = stands(&secret, receipt, is_linked, &standing(health));
            assert_eq!(found, wanted, "{is_linked} {health:?} {receipt:?}");
        }
    }

    #[test]
    fn a_silent_host_may_keep_what_it_had_until_its_time_alone_is_over() {
        let now = from_ms(NOW);
        let keeps = |health, hours: Option<i64>| {
            let since = hours.map(|hours| now - SignedDuration::from_hours(hours));
            may_keep(72, &Standing { health, is_slow: false, since }, now)
        };
        assert!(keeps(Health::Healthy, Some(0)) && keeps(Health::Stale, Some(71)));
        assert!(!keeps(Health::Stale, Some(72)), "it works on by itself no longer");
        assert!(!keeps(Health::Sleeping, Some(1)), "it was in memory alone");
        assert!(!keeps(Health::NoSignal, None));
    }

    #[test]
    fn each_machine_is_told_with_how_it_stands_there() {
        let now = from_ms(NOW);
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
            describe(&all, now, &TimeZone::UTC),
            "Active on This machine, GPU box; sent to EU box, not confirmed since 22:13; \
             waiting for Attic, which has never connected"
        );
        assert_eq!(overall(&all, true), State::Sent);
        assert_eq!(overall(&all[..1], true), State::Active);
        assert_eq!(overall(&all, false), State::Reenter);

        let down = [
            on("GPU box", State::Stopped, Some(now)),
            on("EU box", State::Silent, Some(now)),
            on("Attic", State::Kept, Some(now)),
        ];
        assert_eq!(
            describe(&down, now, &TimeZone::UTC),
            "GPU box isn’t running and had it until 22:13; EU box has been offline since 22:13 and had it then; \
             Attic might still have it in memory until it reconnects"
        );
        assert_eq!(overall(&down, true), State::Silent);
        assert_eq!(overall(&down[..1], true), State::Stopped);
    }
}
