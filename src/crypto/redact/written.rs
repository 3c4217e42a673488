//! Encodings without a fixed form: percent encoding of any character in any case, hex with separators, and values split
//! in two by other text, as where two streams of a program are mixed.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::Regex;
use zeroize::Zeroizing;

use super::{MAX_ALL_FORMS, MIN_CHARS, Matcher, Span};

/// Shortest value that is searched in two pieces, in bytes: half of a shorter one is ordinary text.
const MIN_IN_PIECES: usize = 12;
/// Most bytes between two pieces.
const MAX_BETWEEN: usize = 2048;
/// Shortest piece that is masked, in bytes.
const MIN_PIECE: usize = 3;

/// Hex bytes, at least as many as a value has, with up to three separators between two of them.
static HEX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[\s:,.-]{0,3}){8,}")
        .expect("invariant: a fixed expression that a test compiles")
});

/// Halves of all values: of two pieces of a value, one contains a half completely.
pub(super) struct Halves {
    search: AhoCorasick,
    /// For every two patterns: the value, and the index of its name.
    values: Vec<(Zeroizing<Vec<u8>>, usize)>,
}

impl Halves {
    /// `None` if no value is long enough.
    pub(super) fn new<'v>(values: impl Iterator<Item = (&'v [u8], usize)>) -> Option<Self> {
        let long = values.map(|(value, name)| (value.trim_ascii(), name));
        let long = long.filter(|(value, _)| (MIN_IN_PIECES..=MAX_ALL_FORMS).contains(&value.len()));
        let values: Vec<_> = long.map(|(v, name)| (Zeroizing::new(v.to_vec()), name)).collect();
        if values.is_empty() {
            return None;
        }
        let halves = values.iter().flat_map(|(value, _)| {
            let half = value.len() / 2;
            [&value[..half], &value[value.len() - half..]]
        });
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(halves)
            .expect("invariant: the halves of all secrets fit the search");
        Some(Self { search, values })
    }

    /// Spans of both pieces of each split value.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        for found in self.search.find_overlapping_iter(bytes) {
            let pattern = found.pattern().as_usize();
            let (value, name) = &self.values[pattern / 2];
            let pieces = match pattern % 2 {
                0 => behind(bytes, found.start(), value),
                _ => before(bytes, found.end(), value),
            };
            let pieces = pieces.into_iter().flatten().filter(|(from, to)| MIN_PIECE <= to - from);
            spans.extend(pieces.map(|(start, end)| Span { start, end, name: *name }));
        }
        spans
    }
}

/// The longer piece, which starts at `start`, and the rest of the value after other text.
fn behind(bytes: &[u8], start: usize, value: &[u8]) -> Option<[(usize, usize); 2]> {
    let same = bytes[start..].iter().zip(value).take_while(|(a, b)| a == b).count();
    let (first, rest) = (start + same, &value[same..]);
    if rest.is_empty() {
        return None;
    }
    let window = &bytes[first..bytes.len().min(first + MAX_BETWEEN + rest.len())];
    let at = first + window.windows(rest.len()).position(|part| part == rest)?;
    Some([(start, first), (at, at + rest.len())])
}

/// The longer piece, which ends at `end`, and the start of the value before other text.
fn before(bytes: &[u8], end: usize, value: &[u8]) -> Option<[(usize, usize); 2]> {
    let back = bytes[..end].iter().rev().zip(value.iter().rev());
    let same = back.take_while(|(a, b)| a == b).count();
    let (last, rest) = (end - same, &value[..value.len() - same]);
    if rest.is_empty() {
        return None;
    }
    let from = last.saturating_sub(MAX_BETWEEN + rest.len());
    let at = from + bytes[from..last].windows(rest.len()).rposition(|part| part == rest)?;
    Some([(at, at + rest.len()), (last, end)])
}

impl Matcher {
    /// All spans to mask in any encoding, in order and without overlap. `in_pieces` also searches for split values.
    pub(super) fn everywhere(&self, bytes: &[u8], in_pieces: bool) -> Vec<Span> {
        let spans = self.spans(bytes);
        if self.search.is_none() {
            return spans;
        }
        let mut more = self.percent(bytes);
        more.extend(self.spaced_hex(bytes));
        more.extend(self.halves.iter().filter(|_| in_pieces).flat_map(|one| one.spans(bytes)));
        if more.is_empty() {
            return spans;
        }
        more.extend(spans);
        more.sort_by_key(|span| (span.start, span.end));
        let mut apart: Vec<Span> = Vec::with_capacity(more.len());
        for span in more {
            match apart.last_mut().filter(|last| span.start < last.end) {
                Some(last) => last.end = last.end.max(span.end),
                None => apart.push(span),
            }
        }
        apart
    }

    /// Searches percent-decoded words.
    fn percent(&self, bytes: &[u8]) -> Vec<Span> {
        let (mut spans, mut from) = (Vec::new(), 0);
        let is_sign = |at: usize| {
            let pair = bytes.get(at + 1..at + 3);
            bytes[at] == b'%' && pair.is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
        };
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'%') {
            let at = from + at;
            if !is_sign(at) {
                from = at + 1;
                continue;
            }
            let is_blank = u8::is_ascii_whitespace;
            let start = bytes[..at].iter().rposition(is_blank).map_or(0, |blank| blank + 1);
            let end = bytes[at..].iter().position(is_blank).map_or(bytes.len(), |blank| at + blank);
            let (mut plain, mut places) = (Zeroizing::new(Vec::new()), Vec::new());
            let mut next = start;
            while next < end {
                places.push(next);
                if is_sign(next) {
                    let digit = |at: usize| char::from(bytes[at]).to_digit(16).unwrap_or_default();
                    let value = digit(next + 1) * 16 + digit(next + 2);
                    plain.push(u8::try_from(value).unwrap_or_default());
                    next += 3;
                } else {
                    plain.push(bytes[next]);
                    next += 1;
                }
            }
            places.push(end);
            self.found_in(&plain, &places, &mut spans);
            if plain.contains(&b'+') {
                // `+` means a space in forms.
                plain.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
                self.found_in(&plain, &places, &mut spans);
            }
            from = end;
        }
        spans
    }

    /// Searches decoded hex dumps, at both digit offsets.
    fn spaced_hex(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        for run in HEX.find_iter(bytes) {
            let mut digits = Vec::new();
            let mut at = run.start();
            while at < run.end() {
                let is_mark = matches!(bytes.get(at..at + 2), Some(b"0x" | b"\\x"));
                if !is_mark && let Some(digit) = char::from(bytes[at]).to_digit(16) {
                    digits.push((at, u8::try_from(digit).unwrap_or_default()));
                }
                at += if is_mark { 2 } else { 1 };
            }
            for shift in 0..2 {
                let pairs = digits.get(shift..).unwrap_or_default().chunks_exact(2);
                let plain: Zeroizing<Vec<u8>> =
                    Zeroizing::new(pairs.clone().map(|pair| pair[0].1 * 16 + pair[1].1).collect());
                if plain.len() < MIN_CHARS {
                    continue;
                }
                let starts: Vec<usize> = pairs.clone().map(|pair| pair[0].0).collect();
                let ends: Vec<usize> = pairs.map(|pair| pair[1].0 + 1).collect();
                spans.extend(self.spans(&plain).into_iter().map(|span| Span {
                    start: starts[span.start],
                    end: ends[span.end - 1],
                    name: span.name,
                }));
            }
        }
        spans
    }

    /// Spans in a decoded text, mapped to the encoded one; `places` also has its end.
    fn found_in(&self, plain: &[u8], places: &[usize], spans: &mut Vec<Span>) {
        spans.extend(self.spans(plain).into_iter().map(|span| Span {
            start: places[span.start],
            end: places[span.end],
            name: span.name,
        }));
    }
}
