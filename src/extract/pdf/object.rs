//! Objects of a PDF. They are found by scanning the file, so a broken cross-reference table loses nothing. Streams are
//! unpacked within limits, whatever sizes they declare.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::crypt::Key;
use super::filter;
use super::value::{Dict, Reader, VALUES, Value, is, is_space};

const OBJECTS: usize = 300_000;
/// A file has one trailer per save.
const TRAILERS: usize = 1_000;
/// Limit of unpacked bytes per file.
const UNPACKED: usize = 64 * 1024 * 1024;
/// Limit of unpacked bytes per stream.
const PART: usize = 24 * 1024 * 1024;

static NULL: Value = Value::Null;

/// A file with its objects.
pub(super) struct File<'a> {
    data: &'a [u8],
    /// Objects with their positions; the later of two with one number is valid.
    objects: HashMap<u32, (usize, Value)>,
    nothing: Dict,
    /// Bytes that may still be unpacked.
    left: Cell<usize>,
    /// A stream was unpacked only in part.
    cut: Cell<bool>,
    cut_off: bool,
    /// Key of an encrypted file.
    key: Option<Key>,
    /// In an encrypted file, the object of the stream that starts at this position.
    owners: HashMap<usize, (u32, u16)>,
    locked: bool,
}

impl<'a> File<'a> {
    /// Reads all objects.
    pub fn read(data: &'a [u8]) -> Self {
        let (objects, nothing) = (HashMap::new(), Dict::new());
        let (left, cut) = (Cell::new(UNPACKED), Cell::new(false));
        let (key, owners) = (None, HashMap::new());
        let mut file =
            Self { data, objects, nothing, left, cut, cut_off: false, key, owners, locked: false };
        let mut generations: HashMap<u32, u16> = HashMap::new();
        let mut last = 0;
        let mut values = VALUES;
        let mut at = 0;
        while let Some(found) = find(data, b"obj", at) {
            at = found + 3;
            let Some((number, generation)) = number_before(data, found) else { continue };
            last = found;
            if OBJECTS <= file.objects.len() {
                break;
            }
            let mut reader = Reader::new(data, at);
            reader.left = values;
            let Some(value) = reader.value() else { break };
            (at, values) = (reader.at, reader.left);
            let value = match value {
                Value::Dict(dict) => match stream(data, at, &dict) {
                    Some(place) => {
                        at = place.end;
                        Value::Stream(dict, place)
                    }
                    None => Value::Dict(dict),
                },
                value => value,
            };
            file.objects.insert(number, (found, value));
            if generation > 0 {
                generations.insert(number, generation);
            }
        }
        // Each save writes an end marker; only the last one counts.
        file.cut_off = memmem::rfind(data, b"%%EOF").is_none_or(|end| end < last);
        file.unlock(&generations);
        file.unpack_objects(values);
        file
    }

    /// Derives the key of an encrypted file with an empty password.
    fn unlock(&mut self, generations: &HashMap<u32, u16>) {
        let trailers = self.trailers();
        let Some(trailer) = trailers.iter().rev().find(|one| one.contains_key("Encrypt")) else {
            return;
        };
        let id = match self.get(trailer, "ID").list().first().map(|id| self.real(id)) {
            Some(Value::Text(id)) => id.clone(),
            _ => Vec::new(),
        };
        let key = self.get(trailer, "Encrypt").dict().and_then(|about| Key::read(self, about, &id));
        let Some(key) = key else {
            self.locked = true;
            return;
        };
        let about = match trailer.get("Encrypt") {
            Some(Value::Ref(number)) => Some(*number),
            _ => None,
        };
        for (number, (_, value)) in &mut self.objects {
            let object = (*number, generations.get(number).copied().unwrap_or(0));
            let is_open = match value {
                Value::Stream(dict, place) => {
                    self.owners.insert(place.start, object);
                    is(dict, "XRef")
                }
                _ => Some(*number) == about,
            };
            if !is_open {
                key.strings(object, value);
            }
        }
        self.key = Some(key);
    }

    /// Whether the file needs an unknown password.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    pub fn nothing(&self) -> &Dict {
        &self.nothing
    }

    pub fn all(&self) -> impl Iterator<Item = (u32, &Value)> {
        self.objects.iter().map(|(number, (_, value))| (*number, value))
    }

    /// Follows references.
    pub fn real<'v>(&'v self, value: &'v Value) -> &'v Value {
        let mut value = value;
        for _ in 0..8 {
            match value {
                Value::Ref(number) => match self.objects.get(number) {
                    Some((_, there)) => value = there,
                    None => return &NULL,
                },
                value => return value,
            }
        }
        &NULL
    }

    /// Value of a key, with references followed; null if it is missing.
    pub fn get<'v>(&'v self, dict: &'v Dict, name: &str) -> &'v Value {
        dict.get(name).map_or(&NULL, |value| self.real(value))
    }

    /// Whether the file ends before its end marker.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Whether a stream reaches the end of the file, so that its own end is missing.
    pub fn ends_at(&self, place: &Range<usize>) -> bool {
        self.data.len() <= place.end
    }

    /// Whether the limit of unpacked bytes was reached.
    pub fn is_spent(&self) -> bool {
        self.cut.get()
    }

    /// Unpacked bytes of a stream; empty for image filters.
    pub fn bytes(&self, dict: &Dict, place: &Range<usize>) -> Vec<u8> {
        let raw = self.data.get(place.clone()).unwrap_or_default();
        let filters = match self.get(dict, "Filter") {
            Value::List(list) => list.iter().map(|one| self.real(one).name()).collect(),
            Value::Null => Vec::new(),
            filter => vec![filter.name()],
        };
        let most = PART.min(self.left.get());
        let opened = self.key.as_ref().zip(self.owners.get(&place.start)).map(|(key, owner)| {
            // Hex filters need twice as many packed bytes.
            key.stream(*owner, &raw[..raw.len().min(most.saturating_mul(2))])
        });
        let bytes = filter::unpacked(opened.as_deref().unwrap_or(raw), &filters, most);
        let spent = bytes.len().max(opened.map_or(0, |opened| opened.len()));
        self.left.set(self.left.get().saturating_sub(spent));
        self.cut.set(self.cut.get() || most <= bytes.len());
        bytes
    }

    /// Reads objects from object streams.
    fn unpack_objects(&mut self, mut values: usize) {
        let mut packed: Vec<(usize, Box<Dict>, Range<usize>)> = Vec::new();
        // Object streams may declare overlapping objects, so read bytes are counted.
        let mut read = 0;
        for (at, value) in self.objects.values() {
            if let Value::Stream(dict, place) = value
                && is(dict, "ObjStm")
            {
                packed.push((*at, dict.clone(), place.clone()));
            }
        }
        packed.sort_by_key(|(at, ..)| *at);
        for (at, dict, place) in packed {
            let count = self.get(&dict, "N").number().unwrap_or(0.0) as usize;
            let first = self.get(&dict, "First").number().unwrap_or(0.0) as usize;
            let bytes = self.bytes(&dict, &place);
            let mut head = Reader::new(&bytes, 0);
            for _ in 0..count.min(OBJECTS) {
                let (Some(Value::Number(number)), Some(Value::Number(offset))) =
                    (head.value(), head.value())
                else {
                    break;
                };
                let from = first.saturating_add(offset as usize);
                let mut reader = Reader::new(&bytes, from);
                reader.left = values;
                let Some(value) = reader.value() else { continue };
                values = reader.left;
                read += reader.at.saturating_sub(from);
                if UNPACKED < read {
                    return;
                }
                let older =
                    self.objects.get(&(number as u32)).is_none_or(|(known, _)| *known <= at);
                if older && self.objects.len() < OBJECTS {
                    self.objects.insert(number as u32, (at, value));
                }
            }
        }
    }

    /// Trailer dictionaries, the newest last.
    pub fn trailers(&self) -> Vec<Dict> {
        let mut found: Vec<(usize, Box<Dict>)> = Vec::new();
        for (at, value) in self.objects.values() {
            if let Value::Stream(dict, _) = value
                && is(dict, "XRef")
            {
                found.push((*at, dict.clone()));
            }
        }
        let mut at = 0;
        while let Some(place) = find(self.data, b"trailer", at) {
            let mut reader = Reader::new(self.data, place + 7);
            if let Some(Value::Dict(dict)) = reader.value() {
                found.push((place, dict));
            }
            if TRAILERS < found.len() {
                break;
            }
            at = reader.at.max(place + 7);
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, dict)| *dict).collect()
    }
}

fn find(data: &[u8], what: &[u8], from: usize) -> Option<usize> {
    memmem::find(data.get(from..)?, what).map(|at| from + at)
}

/// Number and generation of the object whose keyword `obj` is at `at`.
fn number_before(data: &[u8], at: usize) -> Option<(u32, u16)> {
    let head = data.get(at.saturating_sub(24)..at)?;
    if !head.last().is_some_and(|byte| is_space(*byte)) {
        return None;
    }
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let space = |c: char| c.is_ascii_whitespace() || c == '\0';
    let mut words = text.rsplit(space).filter(|word| !word.is_empty());
    let (generation, number) = (words.next()?, words.next()?);
    let digits = number.trim_start_matches(|c: char| !c.is_ascii_digit());
    // ok: malformed numbers name no object
    Some((digits.parse().ok()?, generation.parse().ok()?))
}

/// The bytes after at most eight spaces.
fn after_spaces(data: &[u8], at: usize) -> Option<&[u8]> {
    let rest = data.get(at..)?;
    let spaces = rest.iter().take(8).take_while(|byte| is_space(**byte)).count();
    Some(&rest[spaces..])
}

/// Range of the stream's bytes, if a stream follows the dictionary.
fn stream(data: &[u8], at: usize, dict: &Dict) -> Option<Range<usize>> {
    let rest = after_spaces(data, at)?.strip_prefix(b"stream")?;
    let begin = data.len() - rest.len();
    let begin = match rest {
        [b'\r', b'\n', ..] => begin + 2,
        [b'\n' | b'\r', ..] => begin + 1,
        _ => begin,
    };
    let end_given = dict.get("Length").and_then(Value::number).map(|length| length as usize);
    let end_given = end_given.and_then(|length| begin.checked_add(length));
    let end_given = end_given.filter(|end| {
        after_spaces(data, *end).is_some_and(|after| after.starts_with(b"endstream"))
    });
    let end = end_given.or_else(|| find(data, b"endstream", begin)).unwrap_or(data.len());
    Some(begin..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_objects_counts_and_bytes_hide_none() {
        let data = b"1 0 obj\n(old)\nendobj\n2 0 obj <</Length 12>> stream\n1 0 obj (no)\nendstream endobj\n1 0 obj (new) endobj";
        let file = File::read(data);
        assert_eq!(*file.real(&Value::Ref(1)), Value::Text(b"new".to_vec()));
        assert_eq!(*file.real(&Value::Ref(9)), Value::Null);
    }
}
