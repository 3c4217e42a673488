//! What an open page shows already. A region whose lists were scrolled further asks for as many rows when it
//! renews itself (`static/js/keep.js`), in `have`: by the word of each list (`data-of`), how many.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

/// At most so many rows of a list are kept.
pub const MOST: usize = 1_000;

/// How many rows of which lists are shown, as a page says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have(HashMap<String, usize>);

impl Have {
    /// From JSON such as `{"todo":150}`; what cannot be read is nothing.
    #[must_use]
    pub fn read(text: &str) -> Self {
        // ok: a list of which nothing is known begins with its first rows.
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// How many rows of a list to show: as many as there are on the page, the usual number at least.
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
