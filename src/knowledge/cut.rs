//! The text of an item with its passages, and passages as quotes.

use std::collections::VecDeque;
use std::ops::Range as Bytes;
use std::sync::{Arc, LazyLock, Mutex};

use store::{Blobs, Read};

use crate::error::KnowledgeError;
use crate::model::{KnowledgeId, Text};
use crate::passages::{self, Passage};
use crate::queries;

/// Size limit of a quote, in bytes.
const QUOTED: usize = 600;

/// A passage as a quote.
#[derive(Clone, Debug)]
pub struct Quote {
    /// Number in the item, from 0.
    pub n: u32,
    /// The text, cut if long.
    pub text: String,
    /// The headings above it.
    pub section: String,
    /// Page number, if the item has pages.
    pub page: Option<u32>,
    /// Byte range in the item's text.
    pub range: Bytes<usize>,
}

/// Start of a quote around a byte: at a word shortly before it.
fn begin(words: &str, around: usize) -> usize {
    let from = words.floor_char_boundary(around.saturating_sub(QUOTED / 4));
    let space = words[..from].char_indices().rfind(|(_, sign)| sign.is_whitespace());
    space.map_or(0, |(at, sign)| at + sign.len_utf8())
}

/// The text of an item with its passages.
pub struct Cut {
    pub text: String,
    pub passages: Vec<Passage>,
}

/// Cache of recent texts, newest last: consecutive queries concern the same items.
static RECENT: LazyLock<Mutex<Recent>> = LazyLock::new(Mutex::default);
/// Item, revision of its text, and the result.
type Recent = VecDeque<(KnowledgeId, u64, Arc<Cut>)>;
/// Size limit of the cache, in bytes.
const KEPT: usize = 4 * 1024 * 1024;

impl Cut {
    /// The text of an item, split into passages.
    pub fn of(
        blobs: &Blobs,
        read: &dyn Read,
        id: KnowledgeId,
    ) -> Result<Arc<Self>, KnowledgeError> {
        let (kept, rev) =
            queries::words(read, id)?.unwrap_or_else(|| (Text::Inline(String::new()), 0));
        // ok: after a panic of another thread the entries are still intact
        let recent = || RECENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, _, cut)) = recent().iter().find(|(of, at, _)| (*of, *at) == (id, rev)) {
            return Ok(cut.clone());
        }
        let text = kept.read(blobs).map_err(|error| KnowledgeError::disk(&error))?;
        let passages = passages::cut(&text);
        let cut = Arc::new(Self { text, passages });
        let mut recent = recent();
        recent.retain(|(of, _, _)| *of != id);
        recent.push_back((id, rev, cut.clone()));
        let bytes =
            |recent: &Recent| recent.iter().map(|(_, _, cut)| cut.text.len()).sum::<usize>();
        while 1 < recent.len() && KEPT < bytes(&recent) {
            recent.pop_front();
        }
        Ok(cut)
    }

    /// Number of passages.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.passages.len()).unwrap_or(u32::MAX)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passages.is_empty()
    }

    fn at(&self, n: u32) -> Option<&Passage> {
        self.passages.get(usize::try_from(n).ok()?)
    }

    /// The headings above a passage in one line.
    #[must_use]
    pub fn trail(&self, n: u32) -> String {
        self.at(n).map(Passage::trail).unwrap_or_default()
    }

    /// The text of a passage.
    #[must_use]
    pub fn words(&self, n: u32) -> Option<&str> {
        self.text.get(self.at(n)?.range.clone())
    }

    /// A passage as a quote; `around` is a byte to include if the passage is long.
    #[must_use]
    pub fn quote(&self, n: u32, around: Option<usize>) -> Option<Quote> {
        let (passage, words) = (self.at(n)?, self.words(n)?);
        let from = around.filter(|_| QUOTED < words.len()).map_or(0, |at| begin(words, at));
        let piece = kernel::text::cut(&words[from..], QUOTED);
        let (before, after) = (
            if 0 < from { "… " } else { "" },
            if from + piece.len() < words.len() { " …" } else { "" },
        );
        Some(Quote {
            n,
            text: format!("{before}{}{after}", piece.trim()),
            section: passage.trail(),
            page: passage.page,
            range: passage.range.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Cut;
    use crate::passages;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_quote_begins_and_ends_between_two_characters(
            text in "([a-zäß京א👩\u{301}\u{200d}]{1,9}[\u{a0}\u{2003}\u{3000}\u{2028} \n.]){60,400}",
            around in 0_usize..9_000,
        ) {
            let cut = Cut { passages: passages::cut(&text), text };
            for n in 0..cut.len() {
                let quote = cut.quote(n, Some(around)).expect("a passage");
                let words = cut.words(n).expect("its words");
                prop_assert!(words.contains(quote.text.trim_matches(['…', ' '])));
            }
        }
    }
}
