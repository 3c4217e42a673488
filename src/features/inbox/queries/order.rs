//! Start order of items, and their maximum waiting time.

use std::cmp::Reverse;

use jiff::SignedDuration;

use crate::inbox::model::Item;
use kernel::{ItemId, Timestamp};

/// An item that waits this long without being held fails, and people are notified.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(72);
/// Held reason: quiet hours.
pub const QUIET_HOURS: &str = "quiet_hours";
/// Held reason: the hourly limit is reached.
pub const RATE_LIMIT: &str = "rate_limit";
/// Held reasons that apply to single items and not to the whole agent.
pub const HELD_BY_ITSELF: [&str; 2] = [QUIET_HOURS, RATE_LIMIT];

/// Waiting time that raises an item by one level, in seconds.
const LEVEL_SECS: i64 = 1_800;
/// Maximum number of levels, which raises the lowest priority to the highest.
const LEVELS: i64 = 3;

/// Sort key of waiting items, smallest first: items that a person moved to the front, last moved first; then by
/// urgency; then oldest first.
pub type Place = (Reverse<Option<Timestamp>>, Reverse<i64>, Timestamp, ItemId);

#[must_use]
pub fn place(item: &Item, now: Timestamp) -> Place {
    (Reverse(item.front_at), Reverse(urgency(item, now)), item.created_at, item.id)
}

/// Priority plus one level per half hour of waiting.
fn urgency(item: &Item, now: Timestamp) -> i64 {
    let waited = now.duration_since(item.created_at).as_secs().max(0);
    item.priority as i64 + (waited / LEVEL_SECS).min(LEVELS)
}

/// Returns `true` if an item has waited too long, counted from `counts_from` at the earliest. Held and deferred items
/// do not wait.
#[must_use]
pub fn is_stale(item: &Item, now: Timestamp, counts_from: Timestamp) -> bool {
    let from = item.waits_from.max(counts_from).max(item.not_before.unwrap_or(item.waits_from));
    let idle = item.held_reason.is_none() && !item.pressed;
    idle && LONGEST_WAIT <= now.duration_since(from)
}

#[cfg(test)]
mod tests {
    use super::{Item, LONGEST_WAIT, is_stale, place};
    use jiff::SignedDuration;
    use kernel::time::from_ms;
    use kernel::{ItemId, ItemState, Priority, Timestamp, TypedId as _};
    use proptest::prelude::{prop_assert, proptest};
    use store::Record as _;

    const NOON: i64 = 1_700_000_000_000;

    fn item(n: u8, priority: Priority, minutes_ago: i64) -> Item {
        let at = from_ms(NOON) - SignedDuration::from_mins(minutes_ago);
        Item {
            id: ItemId::from_bytes([n; 16]),
            state: ItemState::Pending,
            priority,
            not_before: None,
            created_at: at,
            waits_from: at,
            front_at: None,
            pressed: false,
            ..Item::sample()
        }
    }

    fn order(mut items: Vec<Item>) -> Vec<u8> {
        items.sort_by_key(|item| place(item, from_ms(NOON)));
        items.iter().map(|item| item.id.uuid().as_bytes()[0]).collect()
    }

    #[test]
    fn the_most_urgent_comes_first_and_waiting_raises_by_a_level_in_half_an_hour() {
        let low = |n, ago| item(n, Priority::Low, ago);
        assert_eq!(order(vec![low(1, 0), item(2, Priority::High, 0)]), [2, 1]);
        assert_eq!(order(vec![item(1, Priority::High, 0), low(2, 59)]), [1, 2]);
        // After an hour it is as urgent, and older.
        assert_eq!(order(vec![item(1, Priority::High, 0), low(2, 60)]), [2, 1]);
        // Waiting raises an item to the level of a new urgent one, not further. Then the older item comes first.
        assert_eq!(order(vec![item(1, Priority::Urgent, 200), low(2, 100)]), [1, 2]);
        assert_eq!(order(vec![item(1, Priority::Urgent, 1), low(2, 5_000)]), [2, 1]);
    }

    #[test]
    fn what_a_person_moved_to_the_front_comes_before_all_the_last_one_first() {
        let mut first = item(1, Priority::Low, 0);
        first.front_at = Some(from_ms(NOON - 2_000));
        let mut then = item(2, Priority::Low, 0);
        then.front_at = Some(from_ms(NOON - 1_000));
        assert_eq!(order(vec![item(3, Priority::Urgent, 500), first, then]), [2, 1, 3]);
    }

    #[test]
    fn waiting_counts_from_what_was_seen_and_not_while_something_holds() {
        let hours = |n: i64| SignedDuration::from_hours(n);
        let (now, long_ago) = (from_ms(NOON), Timestamp::UNIX_EPOCH);
        let old = item(1, Priority::Low, LONGEST_WAIT.as_mins());
        assert!(is_stale(&old, now, long_ago));
        assert!(!is_stale(&item(1, Priority::Low, LONGEST_WAIT.as_mins() - 1), now, long_ago));
        // After a clock jump or machine sleep, only observed waiting time counts.
        assert!(!is_stale(&old, now, now - hours(71)));
        let held = Item { held_reason: Some("agent_paused".into()), ..old.clone() };
        assert!(!is_stale(&held, now, long_ago));
        let later = Item { not_before: Some(now - hours(71)), ..old.clone() };
        assert!(!is_stale(&later, now, long_ago));
        assert!(!is_stale(&Item { pressed: true, ..old }, now, long_ago));
    }

    proptest! {
        #[test]
        fn who_waits_for_an_hour_and_a_half_is_passed_by_nobody_new(
            priority in 0_usize..4, other in 0_usize..4, ago in 90_i64..10_000,
        ) {
            let old = item(1, Priority::ALL[priority], ago);
            let new = item(2, Priority::ALL[other], 0);
            prop_assert!(place(&old, from_ms(NOON)) < place(&new, from_ms(NOON)));
        }
    }
}
