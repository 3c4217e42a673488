//! Search syntax: words, quoted phrases, and excluded words after a minus sign.

use std::ops::Range;

use super::names;
use super::stems;
use super::words::{self, Tails, Word};

const MOST: usize = 12;
/// Longest search text, in characters.
const LONGEST: usize = 256;
/// Shortest word with typo tolerance, in letters.
const FORGIVEN: usize = 5;

/// Stop words, which are frequent in questions and in all texts.
const FILLERS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "may",
    "me", "my", "no", "not", "of", "on", "or", "our", "should", "so", "that", "the", "their",
    "them", "there", "these", "they", "this", "to", "was", "we", "were", "what", "when", "where",
    "which", "who", "why", "will", "with", "would", "you", "your",
];

/// A part of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word; the last one may be incomplete.
    Word {
        /// Lower case, without diacritics.
        text: String,
        /// May be a prefix.
        open: bool,
        /// Stems of the word; empty if it has no other forms.
        stems: Vec<String>,
    },
    /// Consecutive words.
    Phrase(Vec<String>),
}

/// An identifier in the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Lower case, without diacritics, with the signs between its letters.
    pub text: String,
    /// May be a prefix.
    pub open: bool,
    /// Is certainly no prose.
    pub certain: bool,
}

/// A parsed search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub(super) parts: Vec<Part>,
    pub(super) names: Vec<Named>,
    /// Excluded parts.
    pub(super) without: Vec<Part>,
}

impl Wanted {
    /// Parses a search; `None` if it contains no word.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text: String = text.chars().take(LONGEST).collect();
        let (mut parts, mut without, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut negated = false;
        // Every second piece is quoted. An open quotation counts as closed.
        for (n, piece) in text.split(['"', '“', '”', '„', '«', '»']).enumerate() {
            if n % 2 == 1 {
                if negated {
                    without.extend(phrase(piece));
                } else {
                    parts.extend(phrase(piece));
                    names.extend(named(piece, false));
                }
                continue;
            }
            let before = piece.strip_suffix('-');
            negated = before.is_some_and(|before| {
                before.ends_with(char::is_whitespace) || (n == 0 && before.is_empty())
            });
            let (kept, left_out): (Vec<&str>, Vec<&str>) =
                piece.split_whitespace().partition(|word| !is_left_out(word));
            for word in left_out {
                let word = word.trim_start_matches('-');
                match single(word).as_slice() {
                    [only] => without.push(only.clone()),
                    _ => without.extend(phrase(word)),
                }
            }
            let kept = kept.join(" ");
            parts.extend(single(&kept));
            names.extend(named(&kept, true));
        }
        if parts.is_empty() {
            // A search with exclusions only is read as a search for these words.
            parts = std::mem::take(&mut without);
        }
        parts.truncate(MOST);
        without.truncate(MOST);
        names.truncate(MOST);
        let is_begun = |sign: char| sign.is_alphanumeric() || words::is_mark(sign);
        let is_closed =
            names.last().is_some_and(|last| last.open && !last.text.ends_with(is_begun));
        if let Some(Part::Word { open, .. }) = parts.last_mut() {
            // No letter can follow `C++`.
            *open |= !is_closed;
        }
        (!parts.is_empty()).then_some(Self { parts, names, without })
    }

    /// Search for a question whose words need not all be in one text: without stop words, unless there are no others.
    /// Quoted phrases are kept.
    #[must_use]
    pub fn essence(q: &str) -> Option<Self> {
        let says = |word: &&str| !FILLERS.contains(&word.to_lowercase().as_str());
        let essence: Vec<&str> = q.split_whitespace().filter(says).collect();
        let whole = Self::of(q)?;
        // Excluded words are no content.
        if whole.has_phrases() || essence.iter().all(|word| word.starts_with('-')) {
            return Some(whole);
        }
        Self::of(&essence.join(" ")).or(Some(whole))
    }

    /// Whether the search has quoted phrases.
    #[must_use]
    pub fn has_phrases(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Phrase(_)))
    }

    /// Whether the search has identifiers that are certainly no prose, such as `libssl.so.3` or `E-1042`.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.names.iter().any(|name| name.certain)
    }

    /// Whether [`Self::is_kept`] checks anything.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.has_phrases() || !self.without.is_empty()
    }

    /// Whether the texts contain all phrases and no excluded part.
    #[must_use]
    pub fn is_kept(&self, texts: &[&str]) -> bool {
        let all: Vec<Vec<Word>> = words_of(texts);
        let mut phrases = self.parts.iter().filter(|part| matches!(part, Part::Phrase(_)));
        phrases.all(|part| part.stands(&all)) && !self.without.iter().any(|part| part.stands(&all))
    }

    /// Whether the texts contain all parts, as substrings or inflected: for texts that are not indexed yet.
    #[must_use]
    pub fn is_in(&self, texts: &[&str]) -> bool {
        let all: Vec<Vec<Word>> = words_of(texts);
        let is_there = |part: &Part| match part {
            Part::Word { text, .. } => {
                let mut words = all.iter().flatten();
                words.any(|word| word.text.contains(text.as_str())) || part.stands(&all)
            }
            Part::Phrase(_) => part.stands(&all),
        };
        self.parts.iter().all(is_there) && !self.without.iter().any(|part| part.stands(&all))
    }

    /// Byte ranges of matching words, in order and without overlap.
    #[must_use]
    pub fn marks(&self, text: &str) -> Vec<Range<usize>> {
        let words = words::of(text, Tails::Dropped);
        let mut fits: Vec<bool> = words.iter().map(|word| self.fits(word)).collect();
        for part in &self.parts {
            let Part::Phrase(phrase) = part else { continue };
            for at in places(phrase, &words) {
                fits[at..at + phrase.len()].fill(true);
            }
        }
        let mut marks: Vec<Range<usize>> = Vec::new();
        for (word, _) in words.iter().zip(fits).filter(|(_, fits)| *fits) {
            match marks.last_mut() {
                Some(last) if word.from <= last.end => last.end = last.end.max(word.to),
                _ => marks.push(word.from..word.to),
            }
        }
        marks
    }

    /// Whether a word matches one of the single words: equal, as prefix, inflected, or with a typo.
    fn fits(&self, found: &Word) -> bool {
        let word = found.text.as_str();
        self.parts.iter().any(|part| match part {
            Part::Word { text, open, stems } => {
                word == text
                    || (*open && word.starts_with(text.as_str()))
                    || (words::is_lone(text) && word.contains(text.as_str()))
                    || (is_forgiven(text) && is_near(word, text, *open))
                    || stems::is_form(found, stems)
            }
            Part::Phrase(_) => false,
        })
    }
}

impl Part {
    /// Whether the texts contain this part: a whole or inflected word, or consecutive words.
    fn stands(&self, all: &[Vec<Word>]) -> bool {
        match self {
            Self::Word { text, stems, .. } => {
                let holds = |word: &Word| words::is_lone(text) && word.text.contains(text.as_str());
                let is = |word: &Word| word.text == *text || stems::is_form(word, stems);
                all.iter().flatten().any(|word| is(word) || holds(word))
            }
            Self::Phrase(phrase) => all.iter().any(|words| places(phrase, words).next().is_some()),
        }
    }
}

fn words_of(texts: &[&str]) -> Vec<Vec<Word>> {
    texts.iter().map(|text| words::of(text, Tails::Dropped)).collect()
}

/// Positions of a phrase.
fn places<'a>(phrase: &'a [String], words: &'a [Word]) -> impl Iterator<Item = usize> + 'a {
    let places = words.windows(phrase.len()).enumerate();
    let is = move |(at, some): (usize, &[Word])| {
        some.iter().map(|word| &word.text).eq(phrase).then_some(at)
    };
    places.filter_map(is)
}

/// Identifiers in a piece; one at its end may be a prefix.
fn named(piece: &str, may_go_on: bool) -> Vec<Named> {
    let end = piece.trim_end().len();
    let one = |name: names::Name| Named {
        open: may_go_on && name.to == end,
        certain: names::is_certain(&name.text),
        text: name.text,
    };
    names::of(piece).into_iter().map(one).collect()
}

/// The phrase in a quoted piece, if it has words.
fn phrase(piece: &str) -> Option<Part> {
    let words = words::of(piece, Tails::Dropped).into_iter();
    let phrase: Vec<String> = words.map(|word| word.text).take(MOST).collect();
    match phrase.as_slice() {
        [] => None,
        [only] if words::is_lone(only) => {
            Some(Part::Word { text: only.clone(), open: true, stems: Vec::new() })
        }
        _ => Some(Part::Phrase(phrase)),
    }
}

/// The single words of a piece.
fn single(piece: &str) -> Vec<Part> {
    let words = words::of(piece, Tails::Dropped).into_iter();
    let part = |word: Word| Part::Word {
        open: words::is_lone(&word.text),
        stems: stems::of_word(&word),
        text: word.text,
    };
    words.map(part).collect()
}

/// Whether a word is excluded by a minus sign. In front of a number, it is the number's sign.
fn is_left_out(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

/// Whether a word is long enough for typo tolerance.
pub(super) fn is_forgiven(word: &str) -> bool {
    FORGIVEN <= word.chars().count()
}

fn is_near(word: &str, text: &str, open: bool) -> bool {
    let wanted = text.chars().count();
    let near = |word: &str| is_one_off(word, text);
    if !open {
        return near(word);
    }
    // One character more or less than typed.
    (wanted - 1..=wanted + 1).any(|length| {
        let end = word.char_indices().nth(length).map_or(word.len(), |(at, _)| at);
        near(&word[..end])
    })
}

/// Whether the words differ by at most one inserted, deleted, replaced or transposed letter. Called for every word of
/// every displayed text, so it does not allocate.
fn is_one_off(a: &str, b: &str) -> bool {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y);
    let same: usize = same.map(|(sign, _)| sign.len_utf8()).sum();
    let (a, b) = (&a[same..], &b[same..]);
    let (mut behind_a, mut behind_b) = (a.chars(), b.chars());
    let (first, other) = (behind_a.next(), behind_b.next());
    let (short_a, short_b) = (behind_a.as_str(), behind_b.as_str());
    let is_swapped = behind_a.next() == other && behind_b.next() == first;
    short_a == short_b
        || short_a == b
        || a == short_b
        || (is_swapped && behind_a.as_str() == behind_b.as_str())
}

#[cfg(test)]
mod tests {
    use kernel::text::distance;
    use proptest::prelude::*;

    use super::{Wanted, is_one_off};

    proptest! {
        #[test]
        fn marks_lie_between_two_characters(
            text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\n|\t|\u{c}|[.!?。#<>&;@`*_|/-]){0,300}",
            words in "([a-zäßİ京]{1,5}|\"[a-z]{1,4} [a-z]{1,4}\"|\u{a0}|\u{301}| ){0,4}",
        ) {
            let Some(wanted) = Wanted::of(&format!("{words} e")) else { return Ok(()) };
            for mark in wanted.marks(&text) {
                prop_assert!(text.get(mark.clone()).is_some(), "{mark:?}");
            }
            prop_assert!(!wanted.is_in(&[&text]) || !text.is_empty());
        }

        #[test]
        fn a_word_with_one_typo_is_told_as_by_the_distance(a in "[abé]{0,6}", b in "[abé]{0,6}") {
            prop_assert_eq!(is_one_off(&a, &b), distance(&a, &b) <= 1);
        }
    }

    #[test]
    fn fillers_are_not_looked_for_one_by_one() {
        let marks =
            |q: &str, text: &str| Wanted::essence(q).map_or(0, |wanted| wanted.marks(text).len());
        assert_eq!(marks("my password is lost", "It is my dog."), 0);
        assert_eq!(marks("my password is lost", "A lost password"), 2);
        assert_eq!(marks("who is who", "Who is it?"), 2, "there is nothing else");
        assert_eq!(marks("\"who is\"", "Who is it?"), 2);
        assert_eq!(marks("the -dog", "The dog"), 1, "what must not be there is not looked for");
    }

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
        assert_eq!(marked("庁", "東京都庁"), ["都庁"], "one sign stands in the pairs around it");
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
        assert!(wanted.is_kept(&["of cargo bikes"]), "only what is in quotation marks must be");
        assert!(!wanted.is_kept(&["Prices of bikes for cargo"]));
        assert_eq!(
            marked("\"cargo bikes\"", "bikes for cargo, cargo bikes"),
            ["cargo", "bikes"],
            "where they stand together"
        );
    }

    #[test]
    fn what_stands_behind_a_minus_must_not_be_there() {
        let wanted = Wanted::of("bike -hangars -\"city tour\"").expect("words");
        assert!(wanted.is_strict() && !wanted.has_phrases());
        assert!(wanted.is_kept(&["A bike", "for a tour of the city"]));
        assert!(!wanted.is_kept(&["A bike", "and a hangar"]), "another form of it");
        assert!(!wanted.is_in(&["A bike", "for a city tour"]));
        for text in ["MC-142", "-5 degrees", "-verbose", "one - two"] {
            assert!(!Wanted::of(text).expect("words").is_strict(), "{text}");
        }
    }
}
