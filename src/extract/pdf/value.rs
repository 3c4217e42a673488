//! Parser of PDF values (ISO 32000).

use std::collections::HashMap;
use std::ops::Range;

/// Deepest nesting of values.
const DEPTH: usize = 40;
/// Limit of values: each takes far more memory than its bytes.
pub(super) const VALUES: usize = 3_000_000;

pub(super) type Dict = HashMap<String, Value>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Number(f64),
    Name(String),
    Text(Vec<u8>),
    List(Vec<Value>),
    Dict(Box<Dict>),
    /// Reference to an object.
    Ref(u32),
    /// Dictionary of a stream, and the range of its bytes in the file.
    Stream(Box<Dict>, Range<usize>),
    /// Keyword, such as an operator.
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

    /// The dictionary, also that of a stream.
    pub fn dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) | Self::Stream(dict, _) => Some(dict),
            _ => None,
        }
    }
}

/// Whether the dictionary's `Type` is `kind`.
pub(super) fn is(dict: &Dict, kind: &str) -> bool {
    dict.get("Type").is_some_and(|own| own.name() == kind)
}

pub(super) struct Reader<'a> {
    data: &'a [u8],
    pub at: usize,
    /// Values that may still be read.
    pub left: usize,
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | 9 | 10 | 12 | 13 | 32)
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, left: VALUES }
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

    /// The next value or keyword; `None` at the end. Each call advances by at least one byte.
    pub fn value(&mut self) -> Option<Value> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        let byte = self.peek()?;
        if DEPTH < depth || self.left == 0 {
            self.at = self.data.len();
            return None;
        }
        self.left -= 1;
        Some(match byte {
            b'/' => {
                self.at += 1;
                Value::Name(self.name())
            }
            b'(' => Value::Text(self.literal()),
            b'<' if self.data.get(self.at + 1) == Some(&b'<') => {
                self.at += 2;
                Value::Dict(Box::new(self.dict(depth)))
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
        // `12 0 R` is a reference.
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
}
