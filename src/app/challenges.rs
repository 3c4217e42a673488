//! WebAuthn challenges. Each can be used once within five minutes. In memory only: after a restart, a new challenge
//! is needed.

use std::collections::HashMap;

use parking_lot::Mutex;

use kernel::AccountId;

/// Lifetime of a challenge in milliseconds.
const LIFE_MS: i64 = 5 * 60 * 1000;
/// Maximum number of challenges. The oldest are evicted.
const MANY: usize = 1_000;

/// Open challenges with owner and expiry. The owner is the person who adds a passkey, or `None` during sign-in.
#[derive(Default)]
pub struct Challenges(Mutex<HashMap<String, (Option<AccountId>, i64)>>);

impl Challenges {
    pub fn keep(&self, challenge: &str, owner: Option<AccountId>, now_ms: i64) {
        let mut all = self.0.lock();
        all.retain(|_, (_, until)| is_open(*until, now_ms));
        if MANY <= all.len() {
            let oldest = all.iter().min_by_key(|(_, (_, until))| *until).map(|(c, _)| c.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(challenge.to_owned(), (owner, now_ms.saturating_add(LIFE_MS)));
    }

    /// Redeems a challenge. Returns whether it was open and had this owner.
    #[must_use]
    pub fn take(&self, challenge: &str, owner: Option<AccountId>, now_ms: i64) -> bool {
        let found = self.0.lock().remove(challenge);
        found.is_some_and(|(whose, until)| whose == owner && is_open(until, now_ms))
    }
}

/// The upper bound keeps the lifetime when the clock is set back.
fn is_open(until: i64, now_ms: i64) -> bool {
    (1..=LIFE_MS).contains(&until.saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use super::Challenges;

    #[test]
    fn a_question_is_good_once_and_not_for_long() {
        let all = Challenges::default();
        all.keep("a", None, 0);
        assert!(all.take("a", None, 10));
        assert!(!all.take("a", None, 10), "once");
        all.keep("b", None, 0);
        assert!(!all.take("b", None, 300_000), "not for long");
        all.keep("c", None, 86_400_000);
        assert!(!all.take("c", None, 0), "nor for longer by a clock that was set back");
        for n in 0..2_000 {
            all.keep(&n.to_string(), None, n);
        }
        assert!(!all.take("0", None, 2_000) && all.take("1999", None, 2_000));
    }
}
