//! Redactor: masks all live secret values in tool output, logs and errors, also in encoded form: base64 at any offset,
//! hex with separators, percent encoding, JSON, HTML and shell quoting; in tool output also values that are interrupted
//! by other text.
//!
//! It is the last line of defence: secrets should not get there at all. Values shorter than [`MIN_CHARS`] are not
//! masked, because they would damage ordinary text.

mod written; // encodings without a fixed form

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use parking_lot::{Mutex, RwLock};
use regex::bytes::Regex;
use serde_json::Value;
use zeroize::Zeroizing;

use super::keyring::Secret;
use super::shapes;
pub use super::shapes::Spot;
use written::Halves;

/// Shortest value that is masked.
pub const MIN_CHARS: usize = 8;
/// Shortest line of a multi-line value that is masked separately, in bytes.
const MIN_LINE: usize = 16;
/// Longest value, in bytes, that is masked in all encodings: each form costs memory.
const MAX_ALL_FORMS: usize = 4096;

/// Result of registering a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Watched,
    /// Too short to distinguish from ordinary text; warn where it was entered.
    TooShort,
}

/// Masks live secrets. Cheap to clone; all clones share one list.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    values: Mutex<BTreeMap<Place, Secret>>,
    matcher: RwLock<Arc<Matcher>>,
    /// Custom patterns by group, and the compiled search for all of them.
    own: Mutex<BTreeMap<String, Vec<String>>>,
    own_search: RwLock<Option<Arc<Regex>>>,
    hits: [AtomicU64; Spot::ALL.len()],
}

/// Identifies a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Group of the value; empty for a single value.
    group: String,
    /// Name shown in the mask.
    name: String,
    /// Number of the value among those of its name in the group.
    number: usize,
}

impl Place {
    fn of(name: &str) -> Place {
        Place { group: String::new(), name: name.to_owned(), number: 0 }
    }
}

/// A masked value in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Byte range of the value.
    pub at: Range<usize>,
    pub shown: String,
}

/// Converts the result back to text.
fn as_text<'t>(text: &'t str, clean: Cow<'t, [u8]>) -> Cow<'t, str> {
    match clean {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // A value in another encoding may have been cut within a character.
        Cow::Owned(clean) => Cow::Owned(match String::from_utf8(clean) {
            Ok(clean) => clean,
            Err(err) => String::from_utf8_lossy(err.as_bytes()).into_owned(),
        }),
    }
}

/// Maps a position in the masked text to the original: a position, or the range of the value for positions in a mask.
fn origin(known: &[Hidden], place: usize) -> Range<usize> {
    let (mut clean, mut from) = (0, 0);
    for one in known {
        let mask = clean + (one.at.start - from);
        if place <= mask {
            break;
        }
        clean = mask + one.shown.len();
        if place < clean {
            return one.at.clone();
        }
        from = one.at.end;
    }
    let at = from + (place - clean);
    at..at
}

#[must_use]
pub fn is_short(value: &[u8]) -> bool {
    String::from_utf8_lossy(value).trim().chars().count() < MIN_CHARS
}

impl Redactor {
    /// A redactor without secrets.
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Masks `value` from now on as `[secret:name]`. Replaces an earlier value of this name.
    pub fn add(&self, name: &str, value: Secret) -> Watch {
        let mut values = self.shared.values.lock();
        if is_short(value.expose()) {
            if values.remove(&Place::of(name)).is_some() {
                self.rebuild(&values);
            }
            return Watch::TooShort;
        }
        values.insert(Place::of(name), value);
        self.rebuild(&values);
        Watch::Watched
    }

    /// Registers several values and builds the search once.
    pub fn add_all<'a>(&self, entries: impl IntoIterator<Item = (&'a str, Secret)>) {
        let mut values = self.shared.values.lock();
        let long = entries.into_iter().filter(|(_, value)| !is_short(value.expose()));
        values.extend(long.map(|(name, value)| (Place::of(name), value)));
        self.rebuild(&values);
    }

    /// Replaces all values of a group. Several may share one name.
    pub fn replace(&self, group: &str, entries: Vec<(String, Secret)>) {
        let mut values = self.shared.values.lock();
        let long = entries.into_iter().enumerate().filter(|(_, (_, one))| !is_short(one.expose()));
        let place = |name, number| Place { group: group.to_owned(), name, number };
        let new: BTreeMap<Place, Secret> =
            long.map(|(number, (name, value))| (place(name, number), value)).collect();
        let old: BTreeMap<_, _> = values.extract_if(.., |at, _| at.group == group).collect();
        let is_other = old != new;
        values.extend(new);
        if is_other {
            self.rebuild(&values);
        }
    }

    pub fn remove(&self, name: &str) {
        let mut values = self.shared.values.lock();
        if values.remove(&Place::of(name)).is_some() {
            self.rebuild(&values);
        }
    }

    /// Replaces the custom patterns of a group. They apply in addition to the built-in ones.
    pub fn look_for(&self, group: &str, patterns: Vec<String>) {
        let mut own = self.shared.own.lock();
        let known = own.get(group).map_or(&[][..], Vec::as_slice);
        if known == patterns {
            return;
        }
        own.insert(group.to_owned(), patterns);
        let all = own.values().flatten().map(String::as_str);
        *self.shared.own_search.write() = shapes::all_of(all).map(Arc::new);
    }

    /// Number of masked secrets since the start, per destination, for alarms.
    pub fn hits(&self) -> [(Spot, u64); Spot::ALL.len()] {
        Spot::ALL.map(|spot| (spot, self.shared.hits[spot as usize].load(Ordering::Relaxed)))
    }

    /// Masks known values and text that looks like a key, for a destination.
    pub fn masked<'t>(&self, spot: Spot, text: &'t str) -> Cow<'t, str> {
        as_text(text, self.bytes(spot, text.as_bytes()))
    }

    /// Masks known values only.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.masked(Spot::Elsewhere, text)
    }

    /// Masks all texts and names in a JSON value, as [`Self::masked`] does.
    pub fn json(&self, spot: Spot, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.masked(spot, &text).into_owned()),
            Value::Array(all) => all.into_iter().map(|one| self.json(spot, one)).collect(),
            Value::Object(all) => all
                .into_iter()
                .map(|(name, one)| (self.masked(spot, &name).into_owned(), self.json(spot, one)))
                .collect(),
            other => other,
        }
    }

    /// Masks known values and bytes that look like a key, for a destination.
    pub fn bytes<'t>(&self, spot: Spot, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        let known = self.known(spot, bytes);
        let own = match spot {
            Spot::Elsewhere => None,
            _ => self.shared.own_search.read().clone(),
        };
        let spans = shapes::spans(&known, spot, own.as_deref());
        if spans.is_empty() {
            return known;
        }
        let mut clean = Vec::with_capacity(known.len());
        let mut from = 0;
        for span in &spans {
            clean.extend_from_slice(&known[from..span.start]);
            clean.extend_from_slice(shapes::mask(&known[span.clone()]).as_bytes());
            from = span.end;
        }
        clean.extend_from_slice(&known[from..]);
        self.count(spot, spans.len());
        Cow::Owned(clean)
    }

    /// What [`Self::bytes`] would mask, in order. Does not count hits.
    pub fn hidden(&self, spot: Spot, bytes: &[u8]) -> Vec<Hidden> {
        let matcher = self.matcher();
        let hidden = |span: &Span| Hidden {
            at: span.start..span.end,
            shown: matcher.mask(span.name).to_owned(),
        };
        let spans = matcher.everywhere(bytes, spot == Spot::Tools);
        let known: Vec<Hidden> = spans.iter().map(hidden).collect();
        // Like `bytes`, key formats are searched after known values are masked.
        let clean = matcher.masked(bytes, &spans);
        let own = match spot {
            Spot::Elsewhere => None,
            _ => self.shared.own_search.read().clone(),
        };
        let mut all = known.clone();
        for span in shapes::spans(&clean, spot, own.as_deref()) {
            let shown = shapes::mask(&clean[span.clone()]);
            let at = origin(&known, span.start).start..origin(&known, span.end).end;
            all.retain(|one| one.at.end <= at.start || at.end <= one.at.start);
            all.push(Hidden { at, shown });
        }
        all.sort_by_key(|one| one.at.start);
        all
    }

    /// Masks known values only.
    fn known<'t>(&self, spot: Spot, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        let matcher = self.matcher();
        let spans = matcher.everywhere(bytes, spot == Spot::Tools);
        if spans.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let clean = matcher.masked(bytes, &spans);
        self.count(spot, spans.len());
        Cow::Owned(clean)
    }

    /// A filter for streams, such as the output of a command.
    pub fn stream(&self) -> RedactStream {
        RedactStream { redactor: self.clone(), held: Vec::new(), masked: 0 }
    }

    /// A writer that masks each write separately, for logs, which write whole lines.
    pub fn writer<W: Write>(&self, inner: W) -> RedactWriter<W> {
        RedactWriter { redactor: self.clone(), inner }
    }

    fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.shared.matcher.read())
    }

    fn rebuild(&self, values: &BTreeMap<Place, Secret>) {
        *self.shared.matcher.write() = Arc::new(Matcher::new(values));
    }

    fn count(&self, spot: Spot, hits: usize) {
        self.shared.hits[spot as usize].fetch_add(hits as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("values", &self.shared.values.lock().len()).finish()
    }
}

/// Masks a stream. Holds back only bytes that may be the start of a secret.
pub struct RedactStream {
    redactor: Redactor,
    held: Vec<u8>,
    /// Leading bytes of `held` that belong to a mask that was already written.
    masked: usize,
}

impl RedactStream {
    /// Takes the next piece and returns the bytes that are final.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let matcher = self.redactor.matcher();
        let keep_from = matcher.open_from(&self.held);
        self.emit(&matcher, keep_from)
    }

    /// Returns the remaining bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let matcher = self.redactor.matcher();
        let end = self.held.len();
        self.emit(&matcher, end)
    }

    /// Returns everything before `until`, including masks of spans that start there.
    fn emit(&mut self, matcher: &Matcher, until: usize) -> Vec<u8> {
        let mut clean = Vec::with_capacity(until);
        let mut from = self.masked;
        let mut hits = 0;
        for span in matcher.spans(&self.held).iter().take_while(|span| span.start < until) {
            // A span that touches the masked part extends it.
            if self.masked <= span.start || self.masked == 0 {
                clean.extend_from_slice(&self.held[from.min(span.start)..span.start]);
                clean.extend_from_slice(matcher.mask(span.name).as_bytes());
                hits += 1;
            }
            from = from.max(span.end);
        }
        if from < until {
            clean.extend_from_slice(&self.held[from..until]);
        }
        self.masked = from.saturating_sub(until);
        self.held.drain(..until);
        self.redactor.count(Spot::Elsewhere, hits);
        clean
    }
}

impl fmt::Debug for RedactStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactStream").field("held", &self.held.len()).finish()
    }
}

/// See [`Redactor::writer`].
#[derive(Debug)]
pub struct RedactWriter<W> {
    redactor: Redactor,
    inner: W,
}

impl<W: Write> Write for RedactWriter<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.inner.write_all(&self.redactor.bytes(Spot::Logs, piece))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes of one secret, or of several overlapping ones.
struct Span {
    start: usize,
    end: usize,
    name: usize,
}

/// Search for all forms of all values.
#[derive(Default)]
struct Matcher {
    search: Option<AhoCorasick>,
    /// Sorted, to find forms that start with given bytes.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    /// Index into `masks` for each pattern.
    names: Vec<usize>,
    masks: Vec<String>,
    longest: usize,
    halves: Option<Halves>,
}

impl Matcher {
    fn new(values: &BTreeMap<Place, Secret>) -> Matcher {
        let mut forms: Vec<(Zeroizing<Vec<u8>>, usize)> = Vec::new();
        let mut masks = Vec::with_capacity(values.len());
        for (place, (Place { name, .. }, value)) in values.iter().enumerate() {
            masks.push(format!("[secret:{name}]"));
            forms.extend(forms_of(value.expose()).into_iter().map(|form| (form, place)));
        }
        // Stable sort: if two secrets share a form, the first name is shown.
        forms.sort_by(|a, b| a.0.as_slice().cmp(b.0.as_slice()));
        forms.dedup_by(|a, b| a.0 == b.0);
        if forms.is_empty() {
            return Matcher::default();
        }
        let (patterns, names): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // A DFA would take half a kilobyte per byte of each form.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns.iter().map(|form| form.as_slice()))
            .expect("invariant: the forms of all secrets fit the search");
        let longest = patterns.iter().map(|form| form.len()).max().unwrap_or(0);
        let halves = Halves::new(values.values().map(Secret::expose).zip(0..));
        Matcher { search: Some(search), patterns, names, masks, longest, halves }
    }

    fn mask(&self, name: usize) -> &str {
        &self.masks[name]
    }

    /// Replaces the spans by their masks.
    fn masked(&self, bytes: &[u8], spans: &[Span]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for span in spans {
            clean.extend_from_slice(&bytes[from..span.start]);
            clean.extend_from_slice(self.mask(span.name).as_bytes());
            from = span.end;
        }
        clean.extend_from_slice(&bytes[from..]);
        clean
    }

    /// All spans in order and without overlap. Overlapping matches are merged, so that no part of a secret remains.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let Some(search) = &self.search else { return spans };
        for found in search.find_overlapping_iter(bytes) {
            let mut span = Span {
                start: found.start(),
                end: found.end(),
                name: self.names[found.pattern().as_usize()],
            };
            // Matches are ordered by their ends, so one may contain several earlier ones.
            while let Some(last) = spans.pop_if(|last| span.start < last.end) {
                span.name = if last.start <= span.start { last.name } else { span.name };
                span.start = span.start.min(last.start);
                span.end = span.end.max(last.end);
            }
            spans.push(span);
        }
        spans
    }

    /// Start of the suffix that may be the start of a secret; the length if there is none.
    fn open_from(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (first..bytes.len()).find(|from| self.begins(&bytes[*from..])).unwrap_or(bytes.len())
    }

    /// Whether `tail` is a proper prefix of a form.
    fn begins(&self, tail: &[u8]) -> bool {
        let at = self.patterns.partition_point(|form| form.as_slice() <= tail);
        self.patterns.get(at).is_some_and(|form| form.starts_with(tail))
    }
}

/// The value in all encodings.
fn forms_of(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let value = value.trim_ascii();
    let mut forms = vec![value.to_vec()];
    forms.extend(base64_forms(value));
    let text = std::str::from_utf8(value).unwrap_or_default();
    if value.len() <= MAX_ALL_FORMS {
        forms.push(hex::encode(value).into_bytes());
        forms.push(hex::encode_upper(value).into_bytes());
        forms.extend(percent_forms(text));
        forms.extend(json_forms(text));
        forms.extend(html_forms(text));
        forms.push(text.replace('\'', r"'\''").into_bytes());
        forms.push(text.replace('\'', "''").into_bytes());
    } else {
        forms.push(json_inner(text).into_bytes());
    }
    let lines = text.lines().map(str::trim).filter(|line| MIN_LINE <= line.len());
    forms.extend(lines.filter(|line| !is_marker(line)).map(|line| line.as_bytes().to_vec()));
    forms.retain(|form| MIN_CHARS <= form.len());
    forms.into_iter().map(Zeroizing::new).collect()
}

/// PEM header or footer line, which is no secret.
fn is_marker(line: &str) -> bool {
    line.starts_with("-----") && line.ends_with("-----")
}

/// Base64 of the value within longer data: three offsets and two alphabets, without the characters at both ends that
/// depend on the neighbours.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::with_capacity(6);
    for offset in 0..3 {
        let mut shifted = Zeroizing::new(vec![0u8; offset]);
        shifted.extend_from_slice(value);
        let first = (offset * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(engine.encode(shifted.as_slice()));
            forms.push(encoded.as_bytes()[first..whole].to_vec());
        }
    }
    forms
}

/// Percent-encoded forms: strict, minimal, and those of JavaScript and HTML forms.
fn percent_forms(text: &str) -> Vec<Vec<u8>> {
    let strict = percent(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let loose = percent(text, |b| b.is_ascii_graphic() && !b"\"%<>`#?{}".contains(&b));
    let component = percent(text, |b| b.is_ascii_alphanumeric() || b"-._~!*'()".contains(&b));
    let form =
        percent(text, |b| b.is_ascii_alphanumeric() || b"-._* ".contains(&b)).replace(' ', "+");
    [&strict, &loose, &component, &form]
        .into_iter()
        .flat_map(|upper| [upper.clone(), lower_escapes(upper)])
        .map(String::into_bytes)
        .collect()
}

fn percent(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The same with lower-case escapes (`%2f`).
fn lower_escapes(text: &str) -> String {
    let mut escape = 0;
    let lower = text.chars().map(|c| match (c, escape) {
        ('%', _) => {
            escape = 2;
            c
        }
        (_, 0) => c,
        _ => {
            escape -= 1;
            c.to_ascii_lowercase()
        }
    });
    lower.collect()
}

/// JSON string forms: plain, with escaped slashes, and ASCII only; each also escaped twice, since tool results contain
/// JSON in JSON.
fn json_forms(text: &str) -> Vec<Vec<u8>> {
    let once = json_inner(text);
    let slashes = once.replace('/', r"\/");
    let ascii = json_ascii(&once);
    let mut forms = vec![json_inner(&once), json_inner(&ascii), json_ascii(&slashes)];
    forms.extend([once, slashes, ascii]);
    forms.into_iter().map(String::into_bytes).collect()
}

fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn json_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn html_forms(text: &str) -> Vec<Vec<u8>> {
    let base = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let named = base.replace('"', "&quot;").replace('\'', "&#39;");
    let numbered = base.replace('"', "&#34;").replace('\'', "&#39;");
    let hex = base.replace('"', "&quot;").replace('\'', "&#x27;");
    [base, named, numbered, hex].into_iter().map(String::into_bytes).collect()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
