//! Query completion at the cursor.

use kernel::filter::{self, Key};
use serde::{Deserialize, Serialize};

/// Text and cursor position of a query box.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Typing {
    q: String,
    /// In UTF-16 units, as JavaScript counts.
    at: usize,
}

/// A completion.
#[derive(Serialize)]
pub struct Offer {
    /// The whole text with the completion applied.
    q: String,
    /// The new cursor position, in UTF-16 units.
    at: usize,
    word: String,
    about: String,
}

/// Completions at the cursor. `names` returns names and labels for a key that takes names.
pub fn offers<E>(
    typing: &Typing,
    keys: &[Key],
    names: impl FnOnce(&str) -> Result<Vec<(String, String)>, E>,
) -> Result<Vec<Offer>, E> {
    let mut units = 0;
    let before = typing.q.chars().take_while(|c| {
        units += c.len_utf16();
        units <= typing.at
    });
    let at = before.map(char::len_utf8).sum();
    let named = match filter::ask(&typing.q, at).key {
        Some(key) => names(&key)?,
        None => Vec::new(),
    };
    let found = filter::suggest(&typing.q, at, keys, &|_| named.clone());
    let offer = |one: filter::Suggestion| Offer {
        at: one.text[..one.at].encode_utf16().count(),
        q: one.text,
        word: one.word,
        about: one.about,
    };
    Ok(found.into_iter().map(offer).collect())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kernel::filter::{Key, Kind};

    use super::{Typing, offers};

    #[test]
    fn the_cursor_is_counted_as_scripts_count_it() {
        let keys = [Key::of("owner", Kind::Names(&[("none", "Nobody")]), "Whose it is")];
        let typing = Typing { q: "🚲 owner:a".to_owned(), at: 10 };
        let names = |_: &str| Ok::<_, Infallible>(vec![("ada".to_owned(), "Ada".to_owned())]);
        let Ok(found) = offers(&typing, &keys, names);
        let first = found.first().expect("an offer");
        assert_eq!((first.q.as_str(), first.at, first.word.as_str()), ("🚲 owner:ada", 12, "ada"));
    }
}
