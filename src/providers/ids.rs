//! Converts tool call ids for providers that restrict them. Deterministic, so that a call and its result keep matching
//! in every request.

use std::borrow::Cow;

use super::model::{ChatRequest, Part};

const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SEEDS: [u64; 2] = [0xcbf2_9ce4_8422_2325, 0x9ae1_6a3b_2f90_404f];

/// `count` letters and digits (at most 24) derived from an id.
pub(super) fn letters(id: &str, count: usize) -> String {
    let hash = |seed: u64| {
        id.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut hashes = SEEDS.map(hash);
    let letter = |n: usize| {
        let hash = &mut hashes[n / 12 % SEEDS.len()];
        let letter = LETTERS[(*hash % 36) as usize];
        *hash /= 36;
        char::from(letter)
    };
    (0..count).map(letter).collect()
}

/// The id if it has at most 64 letters, digits, `_` and `-`; otherwise a derived one.
pub(super) fn at_most_64(id: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", letters(id, 24)))
}

/// The next number for a generated call id, unused in the conversation.
pub(super) fn next(request: &ChatRequest, prefix: char) -> u32 {
    let ids = request.messages.iter().flat_map(|m| &m.parts).filter_map(|part| match part {
        Part::ToolCall { id, .. } => made(id, prefix),
        _ => None,
    });
    ids.max().map_or(1, |last| last.saturating_add(1))
}

/// The number of a generated call id.
pub(super) fn made(id: &str, prefix: char) -> Option<u32> {
    id.strip_prefix(prefix)?.parse().ok() // ok: other text is a foreign id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Message;

    #[test]
    fn numbers_go_on_where_the_conversation_is() {
        let calls = ["g7", "toolu_9", "g2", "gx"].map(|id| Part::call(id, "read", "{}"));
        let request = ChatRequest::new("m", 1).message(Message::assistant(calls.to_vec()));
        assert_eq!((next(&request, 'g'), next(&request, 'o')), (8, 1));
        assert_eq!((made("g12", 'g'), made("g1x", 'g')), (Some(12), None));
    }

    #[test]
    fn an_id_that_does_not_fit_always_becomes_the_same_other_one() {
        assert_eq!(at_most_64("call_a-1"), "call_a-1");
        let long = "x".repeat(65);
        assert_eq!(at_most_64(&long), at_most_64(&long));
        assert!(at_most_64(&long).len() <= 64);
        assert_ne!(at_most_64(&long), at_most_64(&"x".repeat(66)));
        assert_ne!(at_most_64("a b"), at_most_64("a c"));
        assert_eq!(letters("abc", 9).len(), 9);
        assert!(letters("", 24).bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
