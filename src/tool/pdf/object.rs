//! The objects of a PDF: read one by one wherever they stand in the file, so that a broken table of contents loses
//! nothing. What is packed is unpacked within limits, whatever it claims.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use flate2::read::ZlibDecoder;

/// How deep values may lie in each other.
const DEPTH: usize = 40;
/// The most objects of a file.
const OBJECTS: usize = 300_000;
/// The most bytes that all packed parts of a file are unpacked to.
const UNPACKED: usize = 64 * 1024 * 1024;
/// The most bytes of one of them.
const PART: usize = 24 * 1024 * 1024;

/// What is not there.
static NULL: Value = Value::Null;

/// A dictionary.
pub(super) type Dict = HashMap<String, Value>;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Number(f64),
    Name(String),
    Text(Vec<u8>),
    List(Vec<Value>),
    Dict(Dict),
    /// Another object.
    Ref(u32),
    /// Packed bytes: where they stand in the file.
    Stream(Dict, Range<usize>),
    /// A word of a program, such as an operator.
    Word(String),
}

impl Value {
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn list(&self) -> &[Value] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            _ => "",
        }
    }

    /// The dictionary that it is, or that stands before its bytes.
    pub fn dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) | Self::Stream(dict, _) => Some(dict),
            _ => None,
        }
    }
}

/// Whether a dictionary says of itself that it is of this kind.
pub(super) fn is(dict: &Dict, kind: &str) -> bool {
    dict.get("Type").is_some_and(|own| own.name() == kind)
}

/// Reads values from bytes, one after the other.
pub(super) struct Reader<'a> {
    data: &'a [u8],
    pub at: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | 9 | 10 | 12 | 13 | 32)
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'%' => {
                    while self.peek().is_some_and(|b| b != b'\n' && b != b'\r') {
                        self.at += 1;
                    }
                }
                byte if is_space(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// The next value or word; none at the end. Each call goes on by a byte at least.
    pub fn value(&mut self) -> Option<Value> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        let byte = self.peek()?;
        if DEPTH < depth {
            self.at = self.data.len();
            return None;
        }
        Some(match byte {
            b'/' => {
                self.at += 1;
                Value::Name(self.name())
            }
            b'(' => Value::Text(self.literal()),
            b'<' if self.data.get(self.at + 1) == Some(&b'<') => {
                self.at += 2;
                Value::Dict(self.dict(depth))
            }
            b'<' => Value::Text(self.hex()),
            b'[' => {
                self.at += 1;
                Value::List(self.list(depth))
            }
            b')' | b'>' | b']' | b'{' | b'}' => {
                self.at += 1;
                Value::Word(char::from(byte).to_string())
            }
            b'0'..=b'9' | b'+' | b'-' | b'.' => self.number(),
            _ => match self.word() {
                "null" => Value::Null,
                word => Value::Word(word.to_owned()),
            },
        })
    }

    fn word(&mut self) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && !is_mark(byte)) {
            self.at += 1;
        }
        self.at = self.at.max(from + 1).min(self.data.len());
        std::str::from_utf8(&self.data[from..self.at]).unwrap_or("")
    }

    fn name(&mut self) -> String {
        let from = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && !is_mark(byte)) {
            self.at += 1;
        }
        let mut out = Vec::new();
        let mut rest = &self.data[from..self.at];
        while let Some((first, more)) = rest.split_first() {
            let code = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) if *first == b'#' => {
                    out.push(byte);
                    rest = &more[2..];
                }
                _ => {
                    out.push(*first);
                    rest = more;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn number(&mut self) -> Value {
        let number = self.word().parse::<f64>().unwrap_or(0.0);
        if number < 0.0 || number.fract() != 0.0 {
            return Value::Number(number);
        }
        // `12 0 R` is another object.
        let back = self.at;
        self.skip();
        let generation = self.word();
        let is_whole = !generation.is_empty() && generation.bytes().all(|b| b.is_ascii_digit());
        self.skip();
        if is_whole && self.peek() == Some(b'R') {
            let after = self.data.get(self.at + 1).copied().unwrap_or(b' ');
            if is_space(after) || is_mark(after) {
                self.at += 1;
                return Value::Ref(number as u32);
            }
        }
        self.at = back;
        Value::Number(number)
    }

    fn literal(&mut self) -> Vec<u8> {
        self.at += 1;
        let (mut out, mut open) = (Vec::new(), 1);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => open += 1,
                b')' => {
                    open -= 1;
                    if open == 0 {
                        return out;
                    }
                }
                b'\\' => {
                    self.escaped(&mut out);
                    continue;
                }
                _ => {}
            }
            out.push(byte);
        }
        out
    }

    fn escaped(&mut self, out: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        match byte {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'\r' => self.at += usize::from(self.peek() == Some(b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                out.push((code & 0xff) as u8);
            }
            other => out.push(other),
        }
    }

    fn hex(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut digits = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match char::from(byte).to_digit(16) {
                Some(digit) => digits.push(digit as u8),
                None if byte == b'>' => break,
                None => {}
            }
        }
        digits.chunks(2).map(|two| (two[0] << 4) | two.get(1).copied().unwrap_or(0)).collect()
    }

    fn list(&mut self, depth: usize) -> Vec<Value> {
        let mut list = Vec::new();
        while let Some(value) = self.nested(depth + 1) {
            if value == Value::Word("]".to_owned()) {
                break;
            }
            list.push(value);
        }
        list
    }

    fn dict(&mut self, depth: usize) -> Dict {
        let mut dict = Dict::new();
        loop {
            self.skip();
            match self.peek() {
                Some(b'/') => {
                    self.at += 1;
                    let name = self.name();
                    let Some(value) = self.nested(depth + 1) else { return dict };
                    dict.insert(name, value);
                }
                Some(b'>') => {
                    self.at = (self.at + 2).min(self.data.len());
                    return dict;
                }
                Some(_) => self.at += 1,
                None => return dict,
            }
        }
    }
}

/// A file and the objects in it.
pub(super) struct File<'a> {
    data: &'a [u8],
    /// Objects with where they stand: of two with one number the later counts.
    objects: HashMap<u32, (usize, Value)>,
    left: usize,
}

impl<'a> File<'a> {
    /// Reads all objects.
    pub fn read(data: &'a [u8]) -> Self {
        let mut file = Self { data, objects: HashMap::new(), left: UNPACKED };
        let mut at = 0;
        while let Some(found) = find(data, b"obj", at) {
            at = found + 3;
            let Some(number) = number_before(data, found) else { continue };
            if OBJECTS <= file.objects.len() {
                break;
            }
            let mut reader = Reader::new(data, at);
            let Some(value) = reader.value() else { break };
            at = reader.at;
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
        }
        file.unpack_objects();
        file
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

    /// The unpacked bytes of a stream; nothing for a way to pack that holds no text.
    pub fn bytes(&mut self, dict: &Dict, place: &Range<usize>) -> Vec<u8> {
        let raw = self.data.get(place.clone()).unwrap_or_default();
        let filter = match self.get(dict, "Filter") {
            Value::List(list) => match list.as_slice() {
                [] => String::new(),
                [one] => self.real(one).name().to_owned(),
                _ => return Vec::new(),
            },
            filter => filter.name().to_owned(),
        };
        let most = PART.min(self.left);
        let bytes = match filter.as_str() {
            "" => raw[..raw.len().min(most)].to_vec(),
            "FlateDecode" | "Fl" => {
                let mut out = Vec::new();
                // ok: what was unpacked before the damage is read
                let _ = ZlibDecoder::new(raw).take(most as u64).read_to_end(&mut out);
                out
            }
            _ => Vec::new(),
        };
        self.left -= bytes.len().min(self.left);
        bytes
    }

    /// Objects that are packed together in one stream.
    fn unpack_objects(&mut self) {
        let mut packed: Vec<(usize, Dict, Range<usize>)> = Vec::new();
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
                let Some(value) = Reader::new(&bytes, from).value() else { continue };
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
        let mut found: Vec<(usize, Dict)> = Vec::new();
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
            at = reader.at.max(place + 7);
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, dict)| dict).collect()
    }
}

fn find(data: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = data.get(from..)?;
    first_of(rest, what).map(|at| from + at)
}

fn first_of(data: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(at) = data.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if data[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The number of the object whose word `obj` stands here.
fn number_before(data: &[u8], at: usize) -> Option<u32> {
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
    generation.parse::<u16>().ok()?;
    digits.parse().ok()
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

    fn values(text: &str) -> Vec<Value> {
        let mut reader = Reader::new(text.as_bytes(), 0);
        std::iter::from_fn(|| reader.value()).collect()
    }

    #[test]
    fn values_are_read() {
        let read = values("12 -.5 /A#20b (a\\(b\\)\\101\\\nc) <41 4> [1 2 0 R] % no\n null Tj");
        assert_eq!(
            read,
            [
                Value::Number(12.0),
                Value::Number(-0.5),
                Value::Name("A b".into()),
                Value::Text(b"a(b)Ac".to_vec()),
                Value::Text(vec![0x41, 0x40]),
                Value::List(vec![Value::Number(1.0), Value::Ref(2)]),
                Value::Null,
                Value::Word("Tj".into()),
            ]
        );
        let Some(Value::Dict(dict)) = values("<< /A << /B 7 >> /C (d) >>").pop() else {
            panic!("no dictionary")
        };
        assert_eq!(dict["C"], Value::Text(b"d".to_vec()));
        assert_eq!(dict["A"].dict().expect("one")["B"], Value::Number(7.0));
    }

    #[test]
    fn whatever_stands_there_comes_to_an_end() {
        for text in ["((((", "<<<<<<", "[[[[", ">>", "]", "}", "/", "<", "<</A", "1 0", "(\\", "%"]
        {
            assert!(values(text).len() < 20, "{text}");
        }
        let deep = "[".repeat(10_000);
        assert!(values(&deep).len() < 100);
    }

    #[test]
    fn the_later_of_two_objects_counts_and_bytes_hide_none() {
        let data = b"1 0 obj\n(old)\nendobj\n2 0 obj <</Length 12>> stream\n1 0 obj (no)\nendstream endobj\n1 0 obj (new) endobj";
        let file = File::read(data);
        assert_eq!(*file.real(&Value::Ref(1)), Value::Text(b"new".to_vec()));
        assert_eq!(*file.real(&Value::Ref(9)), Value::Null);
    }
}
