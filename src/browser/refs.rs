//! Refs: short names of parts of a page. A ref belongs to a node of one document for its lifetime; its number is never
//! reused in the same tab.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::BrowserError;

/// Above this number, refs that the last look has not seen are dropped.
const MAX_REFS: usize = 100_000;

/// The node of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub session: Arc<str>,
    pub frame: String,
    /// The document.
    pub loader: String,
    /// The backend node id in its process.
    pub backend: i64,
}

/// The refs of one tab.
#[derive(Default)]
pub(crate) struct Refs {
    numbers: HashMap<(Arc<str>, i64), u32>,
    nodes: HashMap<u32, Node>,
    last: u32,
}

impl Refs {
    /// The number of a node, assigned if needed.
    pub(crate) fn number(&mut self, node: &Node) -> u32 {
        let key = (Arc::clone(&node.session), node.backend);
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        self.last += 1;
        self.numbers.insert(key, self.last);
        self.nodes.insert(self.last, node.clone());
        self.last
    }

    /// If there are too many, drops all refs but these: nodes may vanish one by one while the page stays.
    pub(crate) fn keep(&mut self, seen: &HashSet<u32>) {
        if MAX_REFS < self.nodes.len() {
            self.nodes.retain(|number, _| seen.contains(number));
            self.forget_numbers();
        }
    }

    pub(crate) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// Drops the refs of a frame whose document is gone.
    pub(crate) fn forget(&mut self, frame: &str) {
        self.nodes.retain(|_, node| node.frame != frame);
        self.forget_numbers();
    }

    fn forget_numbers(&mut self) {
        let nodes = &self.nodes;
        self.numbers.retain(|_, number| nodes.contains_key(number));
    }
}

/// Parses `e31`, `ax31` and `31`, with or without brackets.
pub fn parse(text: &str) -> Result<u32, BrowserError> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    let digits = bare.strip_prefix("ax").or_else(|| bare.strip_prefix('e')).unwrap_or(bare);
    match digits.parse() {
        Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(BrowserError::NotARef(text.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_read_in_all_its_forms() {
        for text in ["e31", "ax31", "31", "[e31]", " e31 "] {
            assert_eq!(parse(text).unwrap(), 31, "{text}");
        }
        for text in ["", "e", "e-1", "e+1", "#submit", "e1e", "99999999999"] {
            assert!(matches!(parse(text), Err(BrowserError::NotARef(_))), "{text}");
        }
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let node = |frame: &str, backend| Node {
            session: "S".into(),
            frame: frame.to_owned(),
            loader: "L".to_owned(),
            backend,
        };
        let mut refs = Refs::default();
        assert_eq!([refs.number(&node("a", 7)), refs.number(&node("b", 8))], [1, 2]);
        assert_eq!(refs.number(&node("a", 7)), 1);
        refs.forget("a");
        assert!(refs.node(1).is_none() && refs.node(2).is_some());
        assert_eq!(refs.number(&node("a", 7)), 3);
    }
}
