//! Agents on another host. Their files change only there, and their work stops while the host is silent.

use std::sync::OnceLock;

use app::Ws;
use jiff::tz::TimeZone;
use kernel::{AgentId, GatewayId, Timestamp};
use store::{Read, StoreError};

use crate::inbox::queries::why::clock;

/// Host of an agent with its current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub gateway: GatewayId,
    pub label: String,
    /// Whether the host takes no new work.
    pub is_paused: bool,
    /// Whether its gateway was revoked.
    pub is_revoked: bool,
    /// Whether the host is connected.
    pub is_linked: bool,
    /// Time of its last message; `None` if it never connected.
    pub heard_at: Option<Timestamp>,
}

impl Elsewhere {
    /// "Waits for GPU box, offline since 14:02."
    #[must_use]
    pub fn waits(&self, now: Timestamp, zone: &TimeZone) -> String {
        format!("Waiting for {}.", self.silent(now, zone))
    }

    /// "GPU box is silent since 14:02."
    #[must_use]
    pub fn describe(&self, now: Timestamp, zone: &TimeZone) -> String {
        match self.heard_at {
            _ if self.is_revoked => format!("{} has been revoked.", self.label),
            Some(at) => format!("{} has been offline since {}.", self.label, clock(at, now, zone)),
            None => format!("{} has never connected.", self.label),
        }
    }

    /// "GPU box, offline since 14:02"
    #[must_use]
    pub fn silent(&self, now: Timestamp, zone: &TimeZone) -> String {
        match self.heard_at {
            _ if self.is_revoked => format!("{}, which has been revoked", self.label),
            Some(at) => format!("{}, offline since {}", self.label, clock(at, now, zone)),
            None => format!("{}, which has never connected", self.label),
        }
    }
}

/// Returns the host of an agent; `None` for the local machine.
pub type PlaceOf = fn(&Ws, &dyn Read, AgentId) -> Result<Option<Elsewhere>, StoreError>;

/// Returns the host of an agent from the store alone.
pub type MachineOf = fn(&dyn Read, AgentId) -> Result<Option<Machine>, StoreError>;

/// Stored part of a host's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub label: String,
    /// Whether its gateway was revoked.
    pub is_revoked: bool,
    /// Time of its last message; `None` if it never connected.
    pub heard_at: Option<Timestamp>,
}

static OF: OnceLock<(PlaceOf, MachineOf)> = OnceLock::new();

/// Installs the sources of hosts, before the first page. Only the first call has an effect.
pub fn install(of: PlaceOf, machine: MachineOf) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set((of, machine));
}

/// Stored state of an agent's host, without the connection; `None` for the local machine.
pub fn machine(read: &dyn Read, agent: AgentId) -> Result<Option<Machine>, StoreError> {
    OF.get().map_or(Ok(None), |(_, of)| of(read, agent))
}

/// Host of an agent; `None` for the local machine.
pub fn at(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<Option<Elsewhere>, StoreError> {
    OF.get().map_or(Ok(None), |(of, _)| of(ws, read, agent))
}

/// Host of an agent if it is silent, so that work for it waits.
pub fn silent(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<Option<Elsewhere>, StoreError> {
    Ok(at(ws, read, agent)?.filter(|place| !place.is_linked))
}

#[cfg(test)]
mod tests {
    use super::{Elsewhere, GatewayId, TimeZone};
    use kernel::TypedId as _;
    use kernel::time::from_ms;

    #[test]
    fn who_waits_for_a_machine_is_told_which_and_since_when() {
        let at = |minutes: i64| from_ms(1_700_000_000_000 + minutes * 60_000);
        let place = |heard_at| Elsewhere {
            gateway: GatewayId::from_bytes([95; 16]),
            label: "GPU box".to_owned(),
            is_paused: false,
            is_revoked: false,
            is_linked: false,
            heard_at,
        };
        let waits = |heard_at| place(heard_at).waits(at(0), &TimeZone::UTC);
        assert_eq!(waits(Some(at(-13))), "Waiting for GPU box, offline since 22:00.");
        assert_eq!(waits(Some(at(-24 * 60))), "Waiting for GPU box, offline since 13 Nov 22:13.");
        assert_eq!(waits(None), "Waiting for GPU box, which has never connected.");
        let text = |heard_at| place(heard_at).describe(at(0), &TimeZone::UTC);
        assert_eq!(text(Some(at(-13))), "GPU box has been offline since 22:00.");
        assert_eq!(text(None), "GPU box has never connected.");
        let revoked = Elsewhere { is_revoked: true, ..place(Some(at(-13))) };
        assert_eq!(
            revoked.waits(at(0), &TimeZone::UTC),
            "Waiting for GPU box, which has been revoked."
        );
    }
}
