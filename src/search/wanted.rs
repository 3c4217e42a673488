//! What somebody looks for: words, and words in quotation marks that must stand together.

use std::ops::Range;

use kernel::text::distance;

use super::stems;
use super::words::{self, Tails, Word};

/// The most words that are looked at.
const MOST: usize = 12;
/// The longest text that is looked at, in signs.
const LONGEST: usize = 256;
/// From how many letters on a word may have a typo.
const FORGIVEN: usize = 5;

/// A part of what is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word; the last one may have been begun only.
    Word {
        /// Without case and diacritics.
        text: String,
        /// Whether it may go on.
        open: bool,
        /// What its other forms are known by, if it has any.
        stems: Vec<String>,
    },
    /// Words that stand one behind the other.
    Phrase(Vec<String>),
}

/// What somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub(super) parts: Vec<Part>,
}

impl Wanted {
    /// Reads what was typed; nothing when there is no word in it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text: String = text.chars().take(LONGEST).collect();
        let mut parts = Vec::new();
        // Every second piece stands in quotation marks. One that is still open counts as closed.
        for (n, piece) in text.split(['"', '“', '”', '„', '«', '»']).enumerate() {
            let found = words::of(piece, Tails::Dropped).into_iter();
            if n % 2 == 1 {
                let phrase: Vec<String> = found.map(|word| word.text).take(MOST).collect();
                if !phrase.is_empty() {
                    parts.push(Part::Phrase(phrase));
                }
            } else {
                parts.extend(found.map(|word| Part::Word {
                    stems: stems::of_word(&word),
                    text: word.text,
                    open: false,
                }));
            }
        }
        parts.truncate(MOST);
        if let Some(Part::Word { open, .. }) = parts.last_mut() {
            *open = true;
        }
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// Whether all of it stands in these texts, as parts of words or other forms of them: for what the index does not know yet.
    #[must_use]
    pub fn is_in(&self, texts: &[&str]) -> bool {
        let all: Vec<Vec<Word>> =
            texts.iter().map(|text| words::of(text, Tails::Dropped)).collect();
        self.parts.iter().all(|part| match part {
            Part::Word { text, stems, .. } => all
                .iter()
                .flatten()
                .any(|word| word.text.contains(text.as_str()) || stems::is_form(word, stems)),
            Part::Phrase(phrase) => {
                let is = |some: &[Word]| some.iter().map(|word| &word.text).eq(phrase);
                all.iter().any(|words| words.windows(phrase.len()).any(is))
            }
        })
    }

    /// Where the words stand in a text, in bytes, in order and apart.
    #[must_use]
    pub fn marks(&self, text: &str) -> Vec<Range<usize>> {
        let mut marks: Vec<Range<usize>> = Vec::new();
        for word in words::of(text, Tails::Dropped) {
            if !self.fits(&word) {
                continue;
            }
            match marks.last_mut() {
                Some(last) if word.from <= last.end => last.end = last.end.max(word.to),
                _ => marks.push(word.from..word.to),
            }
        }
        marks
    }

    /// Whether a word of a text is one that is looked for, another form of it, or nearly it.
    fn fits(&self, found: &Word) -> bool {
        let word = found.text.as_str();
        self.parts.iter().any(|part| match part {
            Part::Word { text, open, stems } => {
                word == text
                    || (*open && word.starts_with(text.as_str()))
                    || (is_forgiven(text) && is_near(word, text, *open))
                    || stems::is_form(found, stems)
            }
            Part::Phrase(phrase) => phrase.iter().any(|text| text == word),
        })
    }
}

/// Whether a word is long enough to have a typo.
pub(super) fn is_forgiven(word: &str) -> bool {
    FORGIVEN <= word.chars().count()
}

fn is_near(word: &str, text: &str, open: bool) -> bool {
    let wanted = text.chars().count();
    let near = |word: &str| distance(word, text) <= 1 || is_swapped(word, text);
    if !open {
        return near(word);
    }
    // One sign more or less than what was typed.
    (wanted - 1..=wanted + 1).any(|length| {
        let end = word.char_indices().nth(length).map_or(word.len(), |(at, _)| at);
        near(&word[..end])
    })
}

/// Whether two signs that stand beside each other have changed places, and nothing else.
fn is_swapped(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() != b.len() {
        return false;
    }
    let apart: Vec<usize> = (0..a.len()).filter(|n| a[*n] != b[*n]).collect();
    matches!(apart.as_slice(), [x, y] if x + 1 == *y && a[*x] == b[*y] && a[*y] == b[*x])
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    fn marked(wanted: &str, text: &str) -> Vec<String> {
        let wanted = Wanted::of(wanted).expect("words");
        wanted.marks(text).into_iter().map(|at| text[at].to_owned()).collect()
    }

    #[test]
    fn words_are_marked_where_they_stand_with_and_without_a_typo() {
        assert_eq!(marked("strasse mul", "Müller, Straße 5"), ["Müller", "Straße"]);
        assert_eq!(marked("mitraldi", "the Mistraldi file"), ["Mistraldi"]);
        assert_eq!(marked("leasign x", "leasing"), ["leasing"]);
        assert_eq!(marked("京都", "東京都庁"), ["京都"]);
        assert_eq!(marked("cat", "dog"), [""; 0]);
        assert_eq!(marked("Rechnungen", "Die Rechnung"), ["Rechnung"]);
        assert_eq!(marked("policies", "a policy, a_policy"), ["policy"]);
    }

    #[test]
    fn what_has_no_word_is_nothing() {
        for text in ["", "  ", "-- !", "\"\""] {
            assert!(Wanted::of(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn quotation_marks_keep_words_together() {
        let wanted = Wanted::of("\"cargo bikes\" price").expect("words");
        assert!(wanted.is_in(&["Prices", "of cargo bikes"]));
        assert!(!wanted.is_in(&["Prices", "bikes for cargo"]));
    }
}
