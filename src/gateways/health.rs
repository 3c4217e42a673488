//! Health of a gateway. All pages, lists and responses use this function.

use jiff::SignedDuration;
use kernel::Timestamp;

/// Age of the last contact from which a host counts as slow.
pub const SLOW: SignedDuration = SignedDuration::from_secs(30);
/// Age from which a host counts as silent.
pub const STALE: SignedDuration = SignedDuration::from_secs(90);
/// Age from which people are notified.
pub const TOLD: SignedDuration = SignedDuration::from_mins(5);

kernel::words! {
    /// How it stands with a gateway.
    Health {
        /// Its last word is at most 90 seconds old.
        Healthy = "healthy", "Healthy";
        /// It is older.
        Stale = "stale", "Offline";
        /// There never was one.
        NoSignal = "no_signal", "No signal";
        /// It said that it goes.
        Sleeping = "sleeping", "Sleeping";
    }
}

/// Contact times of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// The gateway is this machine.
    pub is_here: bool,
    /// Last contact.
    pub last: Option<Timestamp>,
    /// Announced stop.
    pub goodbye: Option<Timestamp>,
}

/// Health of a gateway at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub health: Health,
    /// The contact is late, but the host does not count as silent yet.
    pub is_slow: bool,
    /// Last contact; `None` before the first one.
    pub since: Option<Timestamp>,
}

#[must_use]
pub fn standing(signal: &Signal, now: Timestamp) -> Standing {
    let plain = |health| Standing { health, is_slow: false, since: signal.last };
    match (signal.is_here, signal.last) {
        (true, _) => plain(Health::Healthy),
        (_, None) => plain(Health::NoSignal),
        (_, Some(last)) if signal.goodbye.is_some_and(|at| last <= at) => {
            Standing { since: signal.goodbye, ..plain(Health::Sleeping) }
        }
        // A time in the future counts as now: the clock was set back.
        (_, Some(last)) => match now.duration_since(last) {
            age if STALE < age => plain(Health::Stale),
            age => Standing { is_slow: SLOW < age, ..plain(Health::Healthy) },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Signal, standing};
    use jiff::SignedDuration;
    use kernel::time::from_ms;

    #[test]
    fn a_gateway_is_healthy_slow_stale_asleep_or_was_never_heard_of() {
        let now = from_ms(1_700_000_000_000);
        let ago = |secs: i64| Some(now - SignedDuration::from_secs(secs));
        // Is local, last contact, announced stop; expected health and `is_slow`.
        let table = [
            (true, None, None, Health::Healthy, false),
            (true, ago(9_000), None, Health::Healthy, false),
            (false, None, None, Health::NoSignal, false),
            (false, ago(0), None, Health::Healthy, false),
            (false, ago(30), None, Health::Healthy, false),
            (false, ago(31), None, Health::Healthy, true),
            (false, ago(90), None, Health::Healthy, true),
            (false, ago(91), None, Health::Stale, false),
            (false, ago(-60), None, Health::Healthy, false),
            (false, ago(5), ago(5), Health::Sleeping, false),
            (false, ago(9_000), ago(8_999), Health::Sleeping, false),
            (false, ago(10), ago(20), Health::Healthy, false),
            (false, ago(200), ago(300), Health::Stale, false),
        ];
        for (is_here, last, goodbye, health, is_slow) in table {
            let found = standing(&Signal { is_here, last, goodbye }, now);
            assert_eq!((found.health, found.is_slow), (health, is_slow), "{last:?} {goodbye:?}");
        }
    }
}
