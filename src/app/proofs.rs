//! Recent re-authentications by sign-in, required before irreversible actions. In memory only: after a restart, a
//! person re-authenticates.

use std::collections::HashMap;

use parking_lot::Mutex;

use kernel::{SignInId, Timestamp};

/// Validity of a re-authentication in milliseconds.
pub const LIFE_MS: i64 = 10 * 60 * 1000;

/// Time of the last re-authentication by sign-in.
#[derive(Default)]
pub struct Proofs(Mutex<HashMap<SignInId, i64>>);

impl Proofs {
    /// Records a re-authentication.
    pub fn note(&self, sign_in: SignInId, now: Timestamp) {
        let now_ms = now.as_millisecond();
        let mut all = self.0.lock();
        all.retain(|_, at| counts(*at, now_ms));
        all.insert(sign_in, now_ms);
    }

    /// End of validity of the last proof. Signing in counts as a proof. `None` if no proof is valid.
    #[must_use]
    pub fn until(&self, sign_in: SignInId, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let given = self.0.lock().get(&sign_in).copied();
        let last = [given, Some(since.as_millisecond())].into_iter().flatten();
        let last = last.filter(|at| counts(*at, now.as_millisecond())).max()?;
        Timestamp::from_millisecond(last.saturating_add(LIFE_MS)).ok()
    }
}

/// A proof from the future, before a clock was set back, does not count.
fn counts(at: i64, now_ms: i64) -> bool {
    (0..LIFE_MS).contains(&now_ms.saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use super::Proofs;
    use kernel::time::from_ms;
    use kernel::{SignInId, TypedId};

    #[test]
    fn a_proof_counts_for_ten_minutes_and_for_its_browser_alone() {
        let (all, minute) = (Proofs::default(), 60_000);
        let (one, other) = (SignInId::from_bytes([1; 16]), SignInId::from_bytes([2; 16]));
        let until = |id, now| all.until(id, from_ms(0), from_ms(now)).map(|at| at.as_millisecond());
        assert_eq!(until(one, 9 * minute), Some(10 * minute), "signing in is a proof");
        assert_eq!(until(one, 10 * minute), None);
        all.note(one, from_ms(20 * minute));
        assert_eq!(until(one, 29 * minute), Some(30 * minute));
        assert_eq!(until(other, 29 * minute), None);
        assert_eq!(until(one, 30 * minute), None);
        assert_eq!(until(one, 19 * minute), None, "nor by a clock that was set back");
    }
}
