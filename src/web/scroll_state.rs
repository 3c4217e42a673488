//! Scroll state of an open page. A region with lists that were scrolled sends the number of displayed rows in `have`
//! when it refreshes (`static/js/keep.js`): a number for each list name (`data-of`).

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

/// Maximum number of rows per list.
pub const MOST: usize = 1_000;

/// Number of displayed rows by list name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have(HashMap<String, usize>);

impl Have {
    /// Parses JSON such as `{"todo":150}`; empty if invalid.
    #[must_use]
    pub fn read(text: &str) -> Self {
        // ok: an unknown list starts with its first page.
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// Number of rows to show: as many as displayed, at least `usual`.
    #[must_use]
    pub fn of(&self, list: &str, usual: usize) -> usize {
        self.0.get(list).copied().unwrap_or(usual).clamp(usual, MOST.max(usual))
    }
}

impl<'de> Deserialize<'de> for Have {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::read(&String::deserialize(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Have, MOST};

    #[test]
    fn what_a_page_shows_is_asked_for_again_within_bounds() {
        let have = Have::read(r#"{"todo":120,"done":999999,"blocked":3}"#);
        assert_eq!([have.of("todo", 50), have.of("done", 50)], [120, MOST]);
        assert_eq!([have.of("blocked", 50), have.of("cancelled", 50)], [50, 50]);
    }

    #[test]
    fn nonsense_is_nothing() {
        for odd in ["", "[]", r#"{"todo":-1}"#, r#"{"todo":"many"}"#, "\u{1f600}"] {
            assert_eq!(Have::read(odd), Have::default(), "{odd}");
        }
    }
}
