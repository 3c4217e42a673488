//! Rate limit of failed handshakes: after three failures the primary rejects an address for five minutes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use kernel::Clock;
use parking_lot::Mutex;

/// Failures until an address is rejected.
const FAILURES: u32 = 3;
/// How long it is rejected; failures are forgotten after this time, too.
const CLOSED: Duration = Duration::from_secs(300);
/// Most stored addresses; the oldest is removed.
const MAX_ADDRESSES: usize = 10_000;

struct Failed {
    times: u32,
    last: Duration,
}

/// Counts failed handshakes by address; one per process.
pub struct FloodGuard {
    clock: Arc<dyn Clock>,
    failed: Mutex<HashMap<IpAddr, Failed>>,
}

impl FloodGuard {
    /// A guard without failures.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, failed: Mutex::default() }
    }

    /// The remaining time for which an address is rejected; `None` if it is not.
    #[must_use]
    pub fn wait(&self, address: IpAddr) -> Option<Duration> {
        let now = self.clock.passed();
        let failed = self.failed.lock();
        let known = failed.get(&place(address)).filter(|known| FAILURES <= known.times)?;
        (known.last + CLOSED).checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Records a failed handshake.
    pub fn failed(&self, address: IpAddr) {
        let now = self.clock.passed();
        let mut failed = self.failed.lock();
        let fresh = |known: &Failed| now < known.last + CLOSED;
        if MAX_ADDRESSES <= failed.len() {
            failed.retain(|_, known| fresh(known));
        }
        let place = place(address);
        if MAX_ADDRESSES <= failed.len() && !failed.contains_key(&place) {
            let oldest = failed.iter().min_by_key(|(_, known)| known.last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                failed.remove(&oldest);
            }
        }
        let known = failed.entry(place).or_insert(Failed { times: 0, last: now });
        known.times = if fresh(known) { known.times.saturating_add(1) } else { 1 };
        known.last = now;
    }

    /// Records a successful handshake, which clears the failures.
    pub fn passed(&self, address: IpAddr) {
        self.failed.lock().remove(&place(address));
    }
}

/// The unit that a single host controls: an IPv4 address or a /64 network of IPv6.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::{ManualClock, from_ms};

    fn guard() -> (Arc<ManualClock>, FloodGuard) {
        let clock = Arc::new(ManualClock::at(from_ms(0)));
        (Arc::clone(&clock), FloodGuard::new(clock))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn three_failures_close_the_door_for_five_minutes() {
        let (clock, guard) = guard();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..2 {
            guard.failed(one);
            assert_eq!(guard.wait(one), None);
        }
        guard.failed(one);
        assert_eq!((guard.wait(one), guard.wait(other)), (Some(CLOSED), None));
        assert_eq!(guard.wait(address("::ffff:192.0.2.1")), Some(CLOSED));
        clock.advance_ms(299_000);
        assert_eq!(guard.wait(one), Some(Duration::from_secs(1)));
        // Setting the clock forward does not shorten the time.
        clock.jump_ms(86_400_000);
        assert_eq!(guard.wait(one), Some(Duration::from_secs(1)));
        clock.advance_ms(1_000);
        assert_eq!(guard.wait(one), None);
        guard.failed(one);
        assert_eq!(guard.wait(one), None);
    }

    #[test]
    fn what_went_well_is_begun_anew_and_a_network_is_one_place() {
        let (_clock, guard) = guard();
        let (one, other) = (address("2001:db8::1"), address("2001:db8::2"));
        guard.failed(one);
        guard.failed(other);
        guard.passed(one);
        guard.failed(one);
        guard.failed(other);
        assert_eq!(guard.wait(one), None);
        guard.failed(other);
        assert_eq!(guard.wait(one), Some(CLOSED));
        assert_eq!(guard.wait(address("2001:db8:0:1::1")), None);
    }

    #[test]
    fn a_flood_of_addresses_is_not_kept_in_mind() {
        let (clock, guard) = guard();
        for at in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 100 {
            clock.advance_ms(1);
            guard.failed(IpAddr::V4(at.into()));
        }
        assert_eq!(guard.failed.lock().len(), MAX_ADDRESSES);
    }
}
