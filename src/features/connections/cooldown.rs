//! Choice of the next candidate after a failure, and length of cooldowns. Pure functions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use kernel::ConnectionId;
use providers::error::ErrorClass;

/// Maximum cooldown that a provider can request: a week.
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A model reached through one key of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// Number of the key.
    pub slot: u32,
    pub model: String,
}

impl Candidate {
    fn is_same_model(&self, other: &Self) -> bool {
        self.connection == other.connection && self.model == other.model
    }

    fn is_same_key(&self, other: &Self) -> bool {
        self.connection == other.connection && self.slot == other.slot
    }
}

/// What a failure puts into cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The key with all models.
    Key,
    /// The model with this key.
    Model,
}

/// What a failure puts into cooldown; `None` if every candidate would fail the same way.
#[must_use]
pub fn scope(class: ErrorClass) -> Option<Scope> {
    match class {
        ErrorClass::Auth
        | ErrorClass::AuthPermanent
        | ErrorClass::SignIn
        | ErrorClass::Billing
        | ErrorClass::Network => Some(Scope::Key),
        ErrorClass::RateLimit
        | ErrorClass::Overloaded
        | ErrorClass::Server
        | ErrorClass::Timeout
        | ErrorClass::Interrupted
        | ErrorClass::Garbage
        | ErrorClass::EmptyAnswer
        | ErrorClass::NotFoundModel => Some(Scope::Model),
        ErrorClass::ContextTooLong
        | ErrorClass::Replay
        | ErrorClass::InvalidRequest
        | ErrorClass::ContentRefused => None,
    }
}

/// Length of the cooldown after a number of consecutive failures. The length requested by the provider applies to
/// failures that time fixes.
#[must_use]
pub fn rest(class: ErrorClass, failures: u32, requested: Option<Duration>) -> Duration {
    let steps = [30, 60, 300];
    let step = steps[usize::try_from(failures.clamp(1, 3) - 1).unwrap_or(2)];
    let doubled = |first: u64, most: u64| {
        Duration::from_secs(
            first.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1)).min(most),
        )
    };
    match class {
        ErrorClass::Billing => doubled(3_600, 24 * 3_600),
        ErrorClass::AuthPermanent => doubled(1_800, 12 * 3_600),
        ErrorClass::Auth => Duration::from_secs(step.max(60)),
        _ => requested.unwrap_or(Duration::from_secs(step)).min(LONGEST),
    }
}

/// Whether time fixes a failure; otherwise a person has to act.
#[must_use]
pub fn passes(class: ErrorClass) -> bool {
    class.retryable()
}

/// Index of the next candidate: the first that was not tried, is not in cooldown and is not ruled out by earlier
/// failures.
#[must_use]
pub fn next(
    list: &[Candidate],
    tried: &[(usize, ErrorClass)],
    rests: impl Fn(usize) -> bool,
) -> Option<usize> {
    (0..list.len()).find(|at| {
        !tried.iter().any(|(done, _)| done == at) && !rests(*at) && !is_ruled_out(*at, list, tried)
    })
}

/// Whether the failure of another candidate implies that this one would fail too.
fn is_ruled_out(at: usize, list: &[Candidate], tried: &[(usize, ErrorClass)]) -> bool {
    let one = &list[at];
    let mut limited = 0;
    for (done, class) in tried {
        let other = &list[*done];
        match class {
            // A key has the same account for all models.
            ErrorClass::Auth
            | ErrorClass::AuthPermanent
            | ErrorClass::SignIn
            | ErrorClass::Billing
                if other.is_same_key(one) =>
            {
                return true;
            }
            // Another key reaches the same server.
            ErrorClass::Network if other.connection == one.connection => return true,
            ErrorClass::NotFoundModel | ErrorClass::Server if other.is_same_model(one) => {
                return true;
            }
            ErrorClass::RateLimit | ErrorClass::Overloaded if other.is_same_model(one) => {
                limited += 1;
            }
            _ => {}
        }
    }
    // One other key is worth a try; further ones are likely limited too.
    2 <= limited
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use kernel::TypedId;

    const ALL: &[ErrorClass] = &[
        ErrorClass::RateLimit,
        ErrorClass::Overloaded,
        ErrorClass::Server,
        ErrorClass::Network,
        ErrorClass::Timeout,
        ErrorClass::Interrupted,
        ErrorClass::Garbage,
        ErrorClass::Auth,
        ErrorClass::AuthPermanent,
        ErrorClass::SignIn,
        ErrorClass::Billing,
        ErrorClass::NotFoundModel,
    ];

    fn candidate(connection: u8, slot: u32, model: &str) -> Candidate {
        let connection = Some(ConnectionId::from_bytes([connection; 16]));
        Candidate { connection, slot, model: model.to_owned() }
    }

    fn secs(class: ErrorClass, failures: u32, requested: Option<u64>) -> u64 {
        rest(class, failures, requested.map(Duration::from_secs)).as_secs()
    }

    #[test]
    fn rests_have_the_documented_lengths() {
        let ladder: Vec<u64> = (1..6).map(|n| secs(ErrorClass::Timeout, n, None)).collect();
        assert_eq!(ladder, [30, 60, 300, 300, 300]);
        assert_eq!(secs(ErrorClass::RateLimit, 1, Some(3_600)), 3_600);
        assert_eq!(secs(ErrorClass::RateLimit, 1, Some(u64::MAX / 2)), 7 * 86_400);
        assert_eq!((secs(ErrorClass::Auth, 1, None), secs(ErrorClass::Auth, 3, None)), (60, 300));
        let billing: Vec<u64> =
            (1..8).map(|n| secs(ErrorClass::Billing, n, Some(5)) / 3_600).collect();
        assert_eq!(billing, [1, 2, 4, 8, 16, 24, 24]);
        let revoked: Vec<u64> =
            [1, 2, 9].map(|n| secs(ErrorClass::AuthPermanent, n, None)).to_vec();
        assert_eq!(revoked, [1_800, 3_600, 43_200]);
    }

    #[test]
    fn every_class_says_what_rests() {
        for class in ALL {
            let key = matches!(
                class,
                ErrorClass::Auth
                    | ErrorClass::AuthPermanent
                    | ErrorClass::SignIn
                    | ErrorClass::Billing
                    | ErrorClass::Network
            );
            assert_eq!(scope(*class), Some(if key { Scope::Key } else { Scope::Model }), "{class}");
        }
        for class in [
            ErrorClass::ContextTooLong,
            ErrorClass::Replay,
            ErrorClass::InvalidRequest,
            ErrorClass::ContentRefused,
        ] {
            assert_eq!(scope(class), None, "{class}");
        }
    }

    #[test]
    fn a_failure_rules_out_what_would_fail_with_it() {
        let list = [
            candidate(1, 0, "a"),
            candidate(1, 1, "a"),
            candidate(1, 2, "a"),
            candidate(1, 0, "b"),
            candidate(2, 0, "a"),
        ];
        let after = |tried: &[(usize, ErrorClass)]| next(&list, tried, |_| false);
        assert_eq!(after(&[(0, ErrorClass::Auth)]), Some(1), "another key of the same provider");
        let keys = [(0, ErrorClass::Auth), (1, ErrorClass::Billing), (2, ErrorClass::Auth)];
        assert_eq!(after(&keys), Some(4), "the key that was refused is refused for each model");
        assert_eq!(after(&[(0, ErrorClass::NotFoundModel)]), Some(3), "the next model");
        assert_eq!(after(&[(0, ErrorClass::Server)]), Some(3));
        assert_eq!(after(&[(0, ErrorClass::RateLimit)]), Some(1), "one other key");
        assert_eq!(after(&[(0, ErrorClass::RateLimit), (1, ErrorClass::RateLimit)]), Some(3));
        assert_eq!(after(&[(0, ErrorClass::Network)]), Some(4), "another machine");
        assert_eq!(next(&list, &[(0, ErrorClass::Timeout)], |at| at < 4), Some(4));
        assert_eq!(next(&list, &[], |_| true), None);
    }

    fn any_list() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::btree_set((0_u8..3, 0_u32..3, 0_usize..3), 1..14).prop_map(|all| {
            let named = |(c, s, m): (u8, u32, usize)| candidate(c, s, ["a", "b", "c"][m]);
            all.into_iter().map(named).collect()
        })
    }

    proptest! {
        #[test]
        fn every_eligible_candidate_is_tried_exactly_once(
            list in any_list(), resting in any::<u16>(), fates in prop::collection::vec(0_usize..ALL.len(), 14),
        ) {
            let rests = |at: usize| (resting >> at) & 1 == 1;
            let mut tried: Vec<(usize, ErrorClass)> = Vec::new();
            while let Some(at) = next(&list, &tried, rests) {
                prop_assert!(!rests(at), "who rests is not asked");
                prop_assert!(!tried.iter().any(|(done, _)| *done == at), "nobody is asked twice");
                tried.push((at, ALL[fates[at]]));
            }
            for at in (0..list.len()).filter(|at| !rests(*at)) {
                let count = tried.iter().filter(|(done, _)| *done == at).count();
                let out = is_ruled_out(at, &list, &tried);
                prop_assert!(count == 1 || (count == 0 && out), "{at} was forgotten");
            }
            // These failures rule out no other candidate.
            if tried.iter().all(|(_, class)| matches!(class, ErrorClass::Timeout | ErrorClass::Garbage)) {
                prop_assert_eq!(tried.len(), (0..list.len()).filter(|at| !rests(*at)).count());
            }
        }
    }
}
