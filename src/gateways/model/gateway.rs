//! Record of a gateway: settings and life cycle.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, GatewayId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use super::{HostKey, local};

pub const GATEWAYS: Table = Table::new(390, "gateways");

kernel::words! {
    /// What is stored of the state of a gateway.
    Status {
        /// It has joined and is not ready for agents yet.
        Provisioning = "provisioning", "Setting up";
        /// Its agents work.
        Ready = "ready", "Ready";
        /// It finishes what runs and takes nothing new.
        Paused = "paused", "Paused";
        /// It gives away what it has.
        Draining = "draining", "Draining";
        /// It cannot work until somebody has looked.
        Error = "error", "Error";
        /// It is not let in any more.
        Revoked = "revoked", "Revoked";
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    pub id: GatewayId,
    /// Display name.
    pub label: String,
    /// Slug for addresses and commands; never changes.
    pub slug: String,
    /// For example `gpu`, `region=eu`.
    pub labels: Vec<String>,
    /// Overrides the reported addresses; may be empty.
    pub address: String,
    /// Addresses that the host reports.
    pub addresses: Vec<String>,
    pub status: Status,
    /// Reason, if the status is `error`.
    pub status_reason: String,
    /// Public key that identifies the host; `None` for this machine.
    pub host_key: Option<HostKey>,
    /// Version of the host's program.
    pub version: String,
    /// Who created the token.
    pub by: Actor,
    #[serde(with = "millisecond::optional")]
    pub joined_at: Option<Timestamp>,
    /// First complete snapshot.
    #[serde(with = "millisecond::optional")]
    pub snapshot_at: Option<Timestamp>,
    /// First time ready for agents.
    #[serde(with = "millisecond::optional")]
    pub ready_at: Option<Timestamp>,
    /// Last connection.
    #[serde(with = "millisecond::optional")]
    pub hello_at: Option<Timestamp>,
    /// Last announced stop; `None` after the next connection.
    #[serde(with = "millisecond::optional")]
    pub goodbye_at: Option<Timestamp>,
    /// Last contact before a reported silence; `None` once the host is back.
    #[serde(with = "millisecond::optional")]
    pub silent_at: Option<Timestamp>,
    /// Last connection in its name with another key.
    #[serde(with = "millisecond::optional")]
    pub strange_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Spending limit of each offline run, in micro-dollars.
    pub grant_micros: i64,
    /// Longest time that a run may work offline, in hours.
    pub cut_hours: u32,
}

/// Default spending limit of an offline run, in micro-dollars.
pub const GRANT_MICROS: i64 = 500_000;
/// Default time that a run may work offline, in hours.
pub const CUT_HOURS: u32 = 72;

impl Gateway {
    /// The machine that HQ runs on, with default values. It has a row only once something about it was changed.
    #[must_use]
    pub fn this_machine() -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let by = Actor::System(Part::Setup);
        Self { status: Status::Ready, ..Self::fresh(local(), ("This machine", "local"), (by, at)) }
    }

    /// A machine that has just joined.
    #[must_use]
    pub fn fresh(id: GatewayId, (label, slug): (&str, &str), (by, at): (Actor, Timestamp)) -> Self {
        Self {
            id,
            label: label.to_owned(),
            slug: slug.to_owned(),
            labels: Vec::new(),
            address: String::new(),
            addresses: Vec::new(),
            status: Status::Provisioning,
            status_reason: String::new(),
            host_key: None,
            version: String::new(),
            by,
            joined_at: None,
            snapshot_at: None,
            ready_at: None,
            hello_at: None,
            goodbye_at: None,
            silent_at: None,
            strange_at: None,
            created_at: at,
            updated_at: at,
            grant_micros: GRANT_MICROS,
            cut_hours: CUT_HOURS,
        }
    }

    #[must_use]
    pub fn is_local(&self) -> bool {
        self.id == local()
    }

    /// The address that people set, else the first reported one; empty if there is none.
    #[must_use]
    pub fn reached_at(&self) -> &str {
        match self.address.as_str() {
            "" => self.addresses.first().map_or("", String::as_str),
            own => own,
        }
    }
}

impl Record for Gateway {
    type Id = GatewayId;
    const TABLE: Table = GATEWAYS;
    const CLASS: Class = Class::Tracked;
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["status", "status_reason"], &["snapshot_at", "ready_at"]];
    fn id(&self) -> GatewayId {
        self.id
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: GatewayId::from_bytes([95; 16]),
            label: "Packing room ü".into(),
            slug: "packing-room-ue".into(),
            labels: vec!["gpu".into(), "region=eu".into()],
            address: "https://packing.example.com".into(),
            addresses: vec!["https://10.0.0.7:8080".into()],
            status: Status::Paused,
            status_reason: "a reason".into(),
            host_key: Some([7; 32]),
            version: "0.1.0".into(),
            by: Actor::System(Part::Setup),
            joined_at: Some(at),
            snapshot_at: Some(at),
            ready_at: Some(at),
            hello_at: Some(at),
            goodbye_at: Some(at),
            silent_at: Some(at),
            strange_at: Some(at),
            created_at: at,
            updated_at: at,
            grant_micros: 750_000,
            cut_hours: 48,
        }
    }
}
