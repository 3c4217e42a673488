//! The redactor knows every live secret value and takes it out of tool output, logs and errors, also
//! where the value was encoded: base64 at any offset, hex with signs between the bytes, percent in any case, JSON, HTML
//! and shell quoting; in output of tools also where other words were written between two pieces of a value.
//!
//! It is the last line, not the first: secrets are not to get there at all. Values shorter than
//! [`MIN_CHARS`] are not looked for, because they would tear holes into ordinary text.

mod written; // other ways in which a value may be written

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
use zeroize::Zeroizing;

use super::keyring::Secret;
use super::shapes;
pub use super::shapes::Spot;
use written::Halves;

/// The shortest value that is looked for.
pub const MIN_CHARS: usize = 8;
/// A line of a longer value is looked for by itself when it has this many bytes.
const MIN_LINE: usize = 16;
/// A longer value is looked for in its usual forms only: each form costs memory.
const MAX_ALL_FORMS: usize = 4096;

/// Whether a value is looked for from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Watched,
    /// It is too short to be told from ordinary text; say so where it was entered.
    TooShort,
}

/// Takes live secrets out of text. Cheap to clone; all clones share one list.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    values: Mutex<BTreeMap<Place, Secret>>,
    matcher: RwLock<Arc<Matcher>>,
    /// Patterns of one's own by what they were given with, and the search for all of them.
    own: Mutex<BTreeMap<String, Vec<String>>>,
    own_search: RwLock<Option<Arc<Regex>>>,
    hits: [AtomicU64; Spot::ALL.len()],
}

/// The place of a value among all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// What it was given with; empty for a value of its own.
    group: String,
    /// Stands in place of the value.
    name: String,
    /// Which value of that name in its group.
    number: usize,
}

impl Place {
    fn of(name: &str) -> Place {
        Place { group: String::new(), name: name.to_owned(), number: 0 }
    }
}

/// A value that lies in a text, and what is shown in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Where the value is, in bytes.
    pub at: Range<usize>,
    /// The mask.
    pub shown: String,
}

/// What became of a text.
fn as_text<'t>(text: &'t str, clean: Cow<'t, [u8]>) -> Cow<'t, str> {
    match clean {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // A value that is no UTF-8 may have been cut out of the middle of a character.
        Cow::Owned(clean) => Cow::Owned(match String::from_utf8(clean) {
            Ok(clean) => clean,
            Err(err) => String::from_utf8_lossy(err.as_bytes()).into_owned(),
        }),
    }
}

/// What a place in a text with masks was before these were put in: a place, or all of a value inside its mask.
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

/// Whether a value is too short to be told from ordinary text.
#[must_use]
pub fn is_short(value: &[u8]) -> bool {
    String::from_utf8_lossy(value).trim().chars().count() < MIN_CHARS
}

impl Redactor {
    /// A redactor that knows no secret yet.
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Looks for `value` from now on and writes `[secret:name]` in its place. An earlier value of the
    /// same name is forgotten.
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

    /// Takes many values at once, which builds the search once instead of once for each.
    pub fn add_all<'a>(&self, entries: impl IntoIterator<Item = (&'a str, Secret)>) {
        let mut values = self.shared.values.lock();
        let long = entries.into_iter().filter(|(_, value)| !is_short(value.expose()));
        values.extend(long.map(|(name, value)| (Place::of(name), value)));
        self.rebuild(&values);
    }

    /// Takes these values in the place of all that were given for the same group. Several of them may have one name.
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

    /// Forgets a value.
    pub fn remove(&self, name: &str) {
        let mut values = self.shared.values.lock();
        if values.remove(&Place::of(name)).is_some() {
            self.rebuild(&values);
        }
    }

    /// Looks for these patterns from now on, in the place of all that were given for the same group. They only add.
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

    /// How much was taken out since the start, by where it was: numbers to raise an alarm on.
    pub fn hits(&self) -> [(Spot, u64); Spot::ALL.len()] {
        Spot::ALL.map(|spot| (spot, self.shared.hits[spot as usize].load(Ordering::Relaxed)))
    }

    /// The text without secrets, and without what looks like one, on its way to a place.
    pub fn masked<'t>(&self, spot: Spot, text: &'t str) -> Cow<'t, str> {
        as_text(text, self.bytes(spot, text.as_bytes()))
    }

    /// The text without the values that are known.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.masked(Spot::Elsewhere, text)
    }

    /// The bytes without secrets on their way to a place.
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

    /// The values that are taken out of a text on its way to a place, in order. Counts no hits.
    pub fn hidden(&self, spot: Spot, bytes: &[u8]) -> Vec<Hidden> {
        let matcher = self.matcher();
        let hidden = |span: &Span| Hidden {
            at: span.start..span.end,
            shown: matcher.mask(span.name).to_owned(),
        };
        let spans = matcher.everywhere(bytes, spot == Spot::Tools);
        let known: Vec<Hidden> = spans.iter().map(hidden).collect();
        // Shapes are looked for as in `bytes`: where the known values are masked already.
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

    /// The bytes without the values that are known.
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

    /// A filter for bytes that arrive in pieces, such as the output of a command.
    pub fn stream(&self) -> RedactStream {
        RedactStream { redactor: self.clone(), held: Vec::new(), masked: 0 }
    }

    /// A writer that cleans each piece by itself, for logs, which write one whole line at a time.
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

/// Cleans a stream. Holds back only bytes that may be the beginning of a secret.
pub struct RedactStream {
    redactor: Redactor,
    held: Vec<u8>,
    /// How many bytes at the front of `held` lie below a mask that was already given out.
    masked: usize,
}

impl RedactStream {
    /// Takes the next piece and gives what is certain.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let matcher = self.redactor.matcher();
        let keep_from = matcher.open_from(&self.held);
        self.emit(&matcher, keep_from)
    }

    /// Gives the rest.
    pub fn finish(mut self) -> Vec<u8> {
        let matcher = self.redactor.matcher();
        let end = self.held.len();
        self.emit(&matcher, end)
    }

    /// Gives out everything before `until`, and the masks of what begins there.
    fn emit(&mut self, matcher: &Matcher, until: usize) -> Vec<u8> {
        let mut clean = Vec::with_capacity(until);
        let mut from = self.masked;
        let mut hits = 0;
        for span in matcher.spans(&self.held).iter().take_while(|span| span.start < until) {
            // A span that touches the masked part only makes it longer.
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

/// A stretch of bytes that belongs to one secret, or to several that overlap.
struct Span {
    start: usize,
    end: usize,
    name: usize,
}

/// The search for all forms of all values.
#[derive(Default)]
struct Matcher {
    search: Option<AhoCorasick>,
    /// Sorted, for the question whether some bytes begin one of them.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    /// For each pattern the place of its name in `masks`.
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
        // A stable sort: two secrets with the same form go by the first name.
        forms.sort_by(|a, b| a.0.as_slice().cmp(b.0.as_slice()));
        forms.dedup_by(|a, b| a.0 == b.0);
        if forms.is_empty() {
            return Matcher::default();
        }
        let (patterns, names): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // The faster automaton would take half a kilobyte for each byte of each form.
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

    /// The bytes with masks in place of these stretches.
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

    /// All stretches to mask, in order and apart from each other. Overlapping finds become one, so that
    /// no end of a secret sticks out behind another.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let Some(search) = &self.search else { return spans };
        for found in search.find_overlapping_iter(bytes) {
            let mut span = Span {
                start: found.start(),
                end: found.end(),
                name: self.names[found.pattern().as_usize()],
            };
            // Finds come in the order of their ends, so a late one may swallow several.
            while let Some(last) = spans.pop_if(|last| span.start < last.end) {
                span.name = if last.start <= span.start { last.name } else { span.name };
                span.start = span.start.min(last.start);
                span.end = span.end.max(last.end);
            }
            spans.push(span);
        }
        spans
    }

    /// Where the part begins that more bytes could turn into a secret; the length if there is none.
    fn open_from(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (first..bytes.len()).find(|from| self.begins(&bytes[*from..])).unwrap_or(bytes.len())
    }

    /// Whether `tail` is the beginning of a form, but not the whole of it.
    fn begins(&self, tail: &[u8]) -> bool {
        let at = self.patterns.partition_point(|form| form.as_slice() <= tail);
        self.patterns.get(at).is_some_and(|form| form.starts_with(tail))
    }
}

/// The value and every way it may be written.
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

/// The first and last line of a PEM file are no secret.
fn is_marker(line: &str) -> bool {
    line.starts_with("-----") && line.ends_with("-----")
}

/// The value inside something longer that was encoded: three offsets, two alphabets, without the
/// characters at both ends that depend on the neighbours.
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

/// As in an address or form: everything but the unreserved characters, or only what must be.
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

/// The same with `%2f` in place of `%2F`.
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

/// Inside a JSON string: plain, with escaped slashes, and with everything outside ASCII escaped; each
/// also once more, because tool results carry JSON inside JSON.
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
