//! Last heartbeat of each host. Heartbeats arrive every ten seconds and emit no events.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{GatewayId, Timestamp, TypedId as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::Gateway;

pub const GATEWAY_BEATS: Table = Table::new(393, "gateway_beats");
/// Minutes shown individually.
pub const MINUTES: u32 = 30;

/// Report of a connecting host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of its program.
    pub version: String,
    /// Machine and system, in one line.
    pub system: String,
    /// Addresses at which it can be reached.
    pub addresses: Vec<String>,
    /// Labels in addition to those of its token.
    pub labels: Vec<String>,
    pub load: Load,
}

/// How busy a machine is; 0 where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Of its processors, in percent.
    pub processor_percent: u8,
    /// How many processors it has.
    pub processors: u16,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// All of its memory, in bytes.
    pub memory_total: u64,
    /// What is in use of the disk of its data, in bytes.
    pub disk_used: u64,
    /// All of that disk, in bytes.
    pub disk_total: u64,
    /// Runs that it works on.
    pub runs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    pub gateway: GatewayId,
    /// Time of arrival.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Machine and system, in one line.
    pub system: String,
    pub load: Load,
    /// Minutes with a heartbeat, one bit each; the lowest bit is the minute of `at`.
    pub minutes: u32,
}

impl Beat {
    /// Minutes since the epoch.
    fn minute(at: Timestamp) -> i64 {
        at.as_second().div_euclid(60)
    }

    /// `minutes` shifted to `now`: the lowest bit is the present minute.
    #[must_use]
    pub fn minutes_at(&self, now: Timestamp) -> u32 {
        let passed = Self::minute(now).saturating_sub(Self::minute(self.at)).max(0);
        u32::try_from(passed).ok().and_then(|by| self.minutes.checked_shl(by)).unwrap_or(0)
    }

    /// The same with a heartbeat at `now`.
    #[must_use]
    pub fn with(&self, now: Timestamp) -> u32 {
        self.minutes_at(now) | 1
    }
}

impl Record for Beat {
    type Id = GatewayId;
    const TABLE: Table = GATEWAY_BEATS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> GatewayId {
        self.gateway
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Gateway>(1, Some(self.gateway), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Gateway>(self.gateway)
    }
    fn sample() -> Self {
        Self {
            gateway: GatewayId::from_bytes([95; 16]),
            at: kernel::time::from_ms(1_700_000_000_000),
            system: "Debian 13, x86_64".into(),
            load: Load {
                processor_percent: 64,
                processors: 8,
                memory_used: 7,
                memory_total: 8,
                disk_used: 1,
                disk_total: 2,
                runs: 2,
            },
            minutes: 0b1011,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Beat;
    use jiff::SignedDuration;
    use store::Record as _;

    #[test]
    fn minutes_move_on_and_are_lost_behind_the_end() {
        let beat = Beat { minutes: 0b101, ..Beat::sample() };
        let after = |minutes| beat.at + SignedDuration::from_mins(minutes);
        assert_eq!(beat.minutes_at(after(0)), 0b101);
        assert_eq!(beat.minutes_at(after(2)), 0b10100);
        assert_eq!(beat.with(after(1)), 0b1011);
        assert_eq!(beat.minutes_at(after(400)), 0);
        assert_eq!(beat.minutes_at(after(-5)), 0b101, "a clock that was set back");
    }
}
