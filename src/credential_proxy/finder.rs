//! Finds known texts in a stream of bytes. Results do not depend on how the stream is split: only bytes that may still
//! become a match are held back.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::token::{PREFIX, RANDOM};

/// Searches for known texts. At each position, the longest match wins.
pub(crate) struct Finder {
    automaton: AhoCorasick,
    sorted: Vec<Vec<u8>>,
    begins: [bool; 256],
    longest: usize,
    /// Number reported for texts in placeholder format, if searched for.
    looks: Option<usize>,
}

pub(crate) struct Find {
    pub(crate) number: usize,
    pub(crate) at: Range<usize>,
}

impl Finder {
    /// Searches for non-empty texts. With `looks`, also for anything in placeholder format, which gets the number after
    /// the last text.
    pub(crate) fn new(mut texts: Vec<Vec<u8>>, looks: Looks) -> Finder {
        let looks = (looks == Looks::Found).then_some(texts.len());
        if looks.is_some() {
            texts.push(PREFIX.as_bytes().to_vec());
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&texts)
            .expect("invariant: the texts of one run fit");
        let mut begins = [false; 256];
        for text in &texts {
            begins[usize::from(text[0])] = true;
        }
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0).max(PREFIX.len() + RANDOM);
        texts.sort();
        Finder { automaton, sorted: texts, begins, longest, looks }
    }

    /// The first match at or after `from`.
    pub(crate) fn next(&self, bytes: &[u8], mut from: usize) -> Option<Find> {
        loop {
            let found = self.automaton.find(Input::new(bytes).span(from..bytes.len()))?;
            let (number, mut at) = (found.pattern().as_usize(), found.range());
            if self.looks == Some(number) {
                if letters(&bytes[at.end..]) < RANDOM {
                    from = at.end;
                    continue;
                }
                at.end += RANDOM;
            }
            return Some(Find { number, at });
        }
    }

    /// The start of a possible match that needs more bytes.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let may = |from: &usize| {
            let rest = &bytes[*from..];
            self.begins[usize::from(rest[0])] && (self.is_begun(rest) || self.may_look(rest))
        };
        let first = bytes.len().saturating_sub(self.longest - 1);
        (first..bytes.len()).find(may).unwrap_or(bytes.len())
    }

    fn is_begun(&self, rest: &[u8]) -> bool {
        let after = self.sorted.partition_point(|text| text.as_slice() <= rest);
        self.sorted.get(after).is_some_and(|text| text.starts_with(rest))
    }

    fn may_look(&self, rest: &[u8]) -> bool {
        let after = rest.strip_prefix(PREFIX.as_bytes());
        self.looks.is_some() && after.is_some_and(|r| r.len() < RANDOM && letters(r) == r.len())
    }
}

/// Whether texts in placeholder format are matched too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    Found,
    Passed,
}

/// Number of leading base64url characters, up to the length of a placeholder.
fn letters(text: &[u8]) -> usize {
    let is_letter = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.iter().take(RANDOM).take_while(is_letter).count()
}

/// A searched stream.
#[derive(Default)]
pub(crate) struct Sieve {
    held: Vec<u8>,
}

/// Whether more data follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Here,
    Later,
}

impl Sieve {
    /// Adds bytes and writes what is decided to `out`. `found` writes the replacement for each match, or refuses.
    pub(crate) fn push<E>(
        &mut self,
        finder: &Finder,
        (piece, end): (&[u8], End),
        out: &mut Vec<u8>,
        mut found: impl FnMut(usize, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.extend_from_slice(piece);
        let held = self.held.as_slice();
        let until = if end == End::Here { held.len() } else { finder.undecided(held) };
        let mut from = 0;
        while let Some(find) = finder.next(held, from).filter(|find| find.at.start < until) {
            out.extend_from_slice(&held[from..find.at.start]);
            found(find.number, out)?;
            from = find.at.end;
        }
        let until = until.max(from);
        out.extend_from_slice(&held[from..until]);
        self.held.drain(..until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::{End, Finder, Looks, Sieve};

    fn sifted(finder: &Finder, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        let mut mark = |number: usize, out: &mut Vec<u8>| {
            out.extend_from_slice(format!("<{number}>").as_bytes());
            Ok::<(), Infallible>(())
        };
        for piece in pieces {
            sieve.push(finder, (piece, End::Later), &mut out, &mut mark).unwrap();
        }
        sieve.push(finder, (b"", End::Here), &mut out, &mut mark).unwrap();
        out
    }

    proptest! {
        #[test]
        fn a_stream_is_the_same_wherever_it_is_cut(
            texts in proptest::collection::vec("[ab]{1,5}", 0..5),
            stream in "([abc]|hqs_|hqs_[ab]{40,46}){0,30}",
            cuts in proptest::collection::vec(0usize..400, 0..6),
        ) {
            let texts = texts.into_iter().map(String::into_bytes).collect();
            let finder = Finder::new(texts, Looks::Found);
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &bytes[two[0]..two[1]]).collect();
            prop_assert_eq!(sifted(&finder, &pieces), sifted(&finder, &[bytes]));
        }
    }

    #[test]
    fn only_what_may_become_a_find_is_held_back() {
        let finder = Finder::new(vec![b"secret-value".to_vec()], Looks::Passed);
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        for (piece, passed) in [("data: 1\n\n", "data: 1\n\n"), ("a sec", "a "), ("ond", "second")]
        {
            out.clear();
            let none = |_: usize, _: &mut Vec<u8>| Ok::<(), Infallible>(());
            sieve.push(&finder, (piece.as_bytes(), End::Later), &mut out, none).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), passed);
        }
    }

    #[test]
    fn what_looks_like_a_stand_in_has_its_whole_length() {
        let finder = Finder::new(Vec::new(), Looks::Found);
        let word = "a".repeat(43);
        let stream = format!("hqs_ hqs_{} hqs_{word}.", &word[1..]);
        let expected = format!("hqs_ hqs_{} <0>.", &word[1..]);
        assert_eq!(sifted(&finder, &[stream.as_bytes()]), expected.as_bytes());
    }
}
