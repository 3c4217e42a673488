//! Ranks for manual ordering: short text keys whose byte order is the order of the items. A key fits between any two
//! others, so a move writes one record.
//!
//! Keys are base 62 digits and never end in the lowest digit: no key would fit below such a key.

/// The digits in byte order.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Number of digits.
const BASE: usize = DIGITS.len();
/// A longer key is respread together with its neighbours.
pub const MAX_LEN: usize = 24;

/// The key of item `number`: greater than the keys of all smaller numbers and of all keys between those.
#[must_use]
pub fn nth(number: u32) -> String {
    let mut digits = Vec::new();
    let mut rest = usize::try_from(number).unwrap_or(usize::MAX);
    while rest > 0 || digits.is_empty() {
        digits.push(rest % BASE);
        rest /= BASE;
    }
    // The first digit is the number of digits that follow, so longer numbers sort after shorter ones.
    digits.push(digits.len());
    digits.reverse();
    digits.push(BASE / 2);
    text(&digits)
}

/// A short key after `key`, or the first key.
#[must_use]
pub fn after(key: Option<&str>) -> String {
    let Some(key) = key else { return nth(1) };
    let known = digits(key);
    let len = known.first().copied().unwrap_or(0);
    let number = (1..=len).try_fold(0_u32, |number, at| {
        let digit = u32::try_from(known.get(at).copied().unwrap_or(0)).ok()?;
        number.checked_mul(u32::try_from(BASE).ok()?)?.checked_add(digit)
    });
    let next = number.and_then(|number| number.checked_add(1)).map(nth);
    next.filter(|next| key < next.as_str()).unwrap_or_else(|| between(Some(key), None))
}

/// A key between two keys. A missing bound is the beginning or the end. If the bounds are out of order, the key follows
/// the first.
#[must_use]
pub fn between(after: Option<&str>, before: Option<&str>) -> String {
    let low = digits(after.unwrap_or_default());
    let high = before.map(digits).filter(|high| low < *high);
    text(&middle(&low, high.as_deref()))
}

/// `count` short keys between two keys, in order.
#[must_use]
pub fn spread(after: Option<&str>, before: Option<&str>, count: usize) -> Vec<String> {
    let mut keys = vec![String::new(); count];
    fill(&mut keys, after, before);
    keys
}

/// Fills the middle key first, so that key lengths stay balanced.
fn fill(keys: &mut [String], after: Option<&str>, before: Option<&str>) {
    if keys.is_empty() {
        return;
    }
    let (left, right) = keys.split_at_mut(keys.len() / 2);
    let Some((own, right)) = right.split_first_mut() else { return };
    *own = between(after, before);
    fill(left, after, Some(own));
    fill(right, Some(own), before);
}

/// The digits of a key without trailing lowest digits. Other characters count as the lowest digit.
fn digits(key: &str) -> Vec<usize> {
    let place = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap_or(0);
    let mut digits: Vec<usize> = key.bytes().map(place).collect();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn text(digits: &[usize]) -> String {
    digits.iter().map(|digit| char::from(DIGITS[*digit])).collect()
}

/// The shortest digits above `low` and below `high`, near the middle.
fn middle(low: &[usize], high: Option<&[usize]>) -> Vec<usize> {
    let mut out = Vec::new();
    let (mut low, mut high) = (low, high);
    loop {
        let least = low.first().copied().unwrap_or(0);
        let most = high.map_or(BASE, |high| high.first().copied().unwrap_or(BASE));
        if least + 1 < most {
            out.push(usize::midpoint(least, most));
            return out;
        }
        out.push(least);
        // If the digit equals the upper bound's digit, the rest of that bound still applies; otherwise there is no
        // bound.
        high = match high {
            Some(high) if least == most => Some(&high[1..]),
            Some(high) if high.len() > 1 => {
                out.pop();
                out.push(most);
                return out;
            }
            _ => None,
        };
        low = low.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::Index;

    use super::{MAX_LEN, after, between, nth, spread};

    #[test]
    fn numbers_keep_their_order_and_are_short() {
        let numbers = [0, 1, 9, 61, 62, 63, 3_843, 3_844, 100_000, u32::MAX];
        let keys = numbers.map(nth);
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.iter().all(|key| key.len() <= 8), "{keys:?}");
    }

    #[test]
    fn what_comes_behind_stays_short() {
        let mut key = after(None);
        for _ in 0..10_000 {
            let next = after(Some(&key));
            assert!(key < next && next.len() <= 6, "{key} {next}");
            key = next;
        }
        assert!("zzzz" < after(Some("zzzz")).as_str());
        assert!("12VV" < after(Some("12VV")).as_str());
    }

    #[test]
    fn bounds_in_the_wrong_order_are_no_bounds() {
        assert!(between(Some("b"), Some("a")).as_str() > "b");
        assert!(between(Some("b"), Some("b")).as_str() > "b");
        assert!(!between(None, None).is_empty());
    }

    #[test]
    fn what_is_spread_is_short() {
        let keys = spread(Some(&nth(1)), Some(&nth(2)), 500);
        assert!(keys.is_sorted() && keys.iter().all(|key| key.len() <= 8), "{keys:?}");
        assert!(nth(1) < keys[0] && keys[499] < nth(2));
    }

    #[test]
    fn the_same_gap_takes_many_moves() {
        let (mut low, high) = (nth(1), nth(2));
        let mut moves = 0;
        while low.len() <= MAX_LEN {
            low = between(Some(&low), Some(&high));
            assert!(low < high);
            moves += 1;
        }
        assert!(moves > 60, "{moves}");
    }

    proptest! {
        #[test]
        fn a_key_lies_between_its_neighbours(places in vec(any::<Index>(), 1..200)) {
            let mut keys = vec![nth(1), nth(2), nth(62)];
            for place in places {
                let at = place.index(keys.len() + 1);
                let after = at.checked_sub(1).map(|before| keys[before].clone());
                let before = keys.get(at).cloned();
                let key = between(after.as_deref(), before.as_deref());
                prop_assert!(!key.ends_with('0'), "{key}");
                prop_assert!(after.is_none_or(|after| after < key));
                prop_assert!(before.is_none_or(|before| key < before));
                keys.insert(at, key);
            }
            let mut sorted = keys.clone();
            sorted.sort();
            sorted.dedup();
            prop_assert_eq!(keys, sorted);
        }
    }
}
