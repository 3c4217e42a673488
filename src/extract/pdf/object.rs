//! The objects of a PDF: read one by one wherever they stand in the file, so that a broken table of contents loses
//! nothing. What is packed is unpacked within limits, whatever it claims.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::crypt::Key;
use super::filter;
use super::value::{Dict, Reader, VALUES, Value, is, is_space};

/// The most objects of a file.
const OBJECTS: usize = 300_000;
/// The most trailers of a file: it has one for each time that it was saved.
const TRAILERS: usize = 1_000;
/// The most bytes that all packed parts of a file are unpacked to.
const UNPACKED: usize = 64 * 1024 * 1024;
/// The most bytes of one of them.
const PART: usize = 24 * 1024 * 1024;

/// What is not there.
static NULL: Value = Value::Null;

/// A file and the objects in it.
pub(super) struct File<'a> {
    data: &'a [u8],
    /// Objects with where they stand: of two with one number the later counts.
    objects: HashMap<u32, (usize, Value)>,
    nothing: Dict,
    /// How many bytes may still be unpacked.
    left: Cell<usize>,
    /// Whether something was not unpacked to its end.
    cut: Cell<bool>,
    cut_off: bool,
    /// What opens an encrypted file.
    key: Option<Key>,
    /// Which object has the stream that begins here, in an encrypted file.
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
        // Each save marks an end, so the last mark counts.
        file.cut_off = memmem::rfind(data, b"%%EOF").is_none_or(|end| end < last);
        file.unlock(&generations);
        file.unpack_objects(values);
        file
    }

    /// Opens an encrypted file whose password is empty.
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

    /// Whether the file is encrypted under a password that is not known.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// A dictionary without anything.
    pub fn nothing(&self) -> &Dict {
        &self.nothing
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Value)> {
        self.objects.iter().map(|(number, (_, value))| (*number, value))
    }

    /// What a value is, when it names another object.
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

    /// What a dictionary has under a name.
    pub fn get<'v>(&'v self, dict: &'v Dict, name: &str) -> &'v Value {
        dict.get(name).map_or(&NULL, |value| self.real(value))
    }

    /// Whether the file ends before its end is marked.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Whether a stream goes to the very end of the file, so that its own end is missing.
    pub fn ends_at(&self, place: &Range<usize>) -> bool {
        self.data.len() <= place.end
    }

    /// Whether more was packed than may be unpacked.
    pub fn is_spent(&self) -> bool {
        self.cut.get()
    }

    /// The unpacked bytes of a stream; nothing for a way to pack that holds no text.
    pub fn bytes(&self, dict: &Dict, place: &Range<usize>) -> Vec<u8> {
        let raw = self.data.get(place.clone()).unwrap_or_default();
        let filters = match self.get(dict, "Filter") {
            Value::List(list) => list.iter().map(|one| self.real(one).name()).collect(),
            Value::Null => Vec::new(),
            filter => vec![filter.name()],
        };
        let most = PART.min(self.left.get());
        let opened = self.key.as_ref().zip(self.owners.get(&place.start)).map(|(key, owner)| {
            // What stands in letters is packed into twice as many bytes.
            key.stream(*owner, &raw[..raw.len().min(most.saturating_mul(2))])
        });
        let bytes = filter::unpacked(opened.as_deref().unwrap_or(raw), &filters, most);
        let spent = bytes.len().max(opened.map_or(0, |opened| opened.len()));
        self.left.set(self.left.get().saturating_sub(spent));
        self.cut.set(self.cut.get() || most <= bytes.len());
        bytes
    }

    /// Objects that are packed together in one stream.
    fn unpack_objects(&mut self, mut values: usize) {
        let mut packed: Vec<(usize, Box<Dict>, Range<usize>)> = Vec::new();
        // Objects may claim to stand in each other, so what is read of them is counted.
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

    /// The dictionaries that say where everything begins, the newest last.
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

/// The number and generation of the object whose word `obj` stands here.
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
    // ok: what is no number names no object
    Some((digits.parse().ok()?, generation.parse().ok()?))
}

/// The bytes after a few spaces.
fn after_spaces(data: &[u8], at: usize) -> Option<&[u8]> {
    let rest = data.get(at..)?;
    let spaces = rest.iter().take(8).take_while(|byte| is_space(**byte)).count();
    Some(&rest[spaces..])
}

/// Where the bytes of a stream stand, when one follows a dictionary.
fn stream(data: &[u8], at: usize, dict: &Dict) -> Option<Range<usize>> {
    let rest = after_spaces(data, at)?.strip_prefix(b"stream")?;
    let begin = data.len() - rest.len();
    let begin = match rest {
        [b'\r', b'\n', ..] => begin + 2,
        [b'\n' | b'\r', ..] => begin + 1,
        _ => begin,
    };
    let told = dict.get("Length").and_then(Value::number).map(|length| length as usize);
    let told = told.and_then(|length| begin.checked_add(length));
    let told = told.filter(|end| {
        after_spaces(data, *end).is_some_and(|after| after.starts_with(b"endstream"))
    });
    let end = told.or_else(|| find(data, b"endstream", begin)).unwrap_or(data.len());
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
