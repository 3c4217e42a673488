//! Fonts: mapping of character codes to text, and widths of codes.

use std::collections::HashMap;

use super::metrics::Metrics;
use super::object::File;
use super::value::{Dict, Reader, Value};

/// Limit of mapped codes per font.
const CODES: usize = 70_000;
/// Default width, in thousandths of the font size.
const USUAL: f64 = 500.0;

/// Glyph names (Adobe Glyph List) longer than one letter, and their text.
const NAMES: &[(&str, &str)] = &[
    ("space", " "),
    ("exclam", "!"),
    ("quotedbl", "\""),
    ("numbersign", "#"),
    ("dollar", "$"),
    ("percent", "%"),
    ("ampersand", "&"),
    ("quotesingle", "'"),
    ("parenleft", "("),
    ("parenright", ")"),
    ("asterisk", "*"),
    ("plus", "+"),
    ("comma", ","),
    ("hyphen", "-"),
    ("minus", "-"),
    ("period", "."),
    ("slash", "/"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("colon", ":"),
    ("semicolon", ";"),
    ("less", "<"),
    ("equal", "="),
    ("greater", ">"),
    ("question", "?"),
    ("at", "@"),
    ("bracketleft", "["),
    ("backslash", "\\"),
    ("bracketright", "]"),
    ("asciicircum", "^"),
    ("underscore", "_"),
    ("grave", "`"),
    ("braceleft", "{"),
    ("bar", "|"),
    ("braceright", "}"),
    ("asciitilde", "~"),
    ("quoteleft", "‘"),
    ("quoteright", "’"),
    ("quotedblleft", "“"),
    ("quotedblright", "”"),
    ("quotesinglbase", "‚"),
    ("quotedblbase", "„"),
    ("guillemotleft", "«"),
    ("guillemotright", "»"),
    ("bullet", "•"),
    ("periodcentered", "·"),
    ("endash", "–"),
    ("emdash", "—"),
    ("ellipsis", "…"),
    ("fi", "fi"),
    ("fl", "fl"),
    ("ff", "ff"),
    ("ffi", "ffi"),
    ("ffl", "ffl"),
    ("Euro", "€"),
    ("sterling", "£"),
    ("yen", "¥"),
    ("cent", "¢"),
    ("degree", "°"),
    ("copyright", "©"),
    ("registered", "®"),
    ("trademark", "™"),
    ("section", "§"),
    ("paragraph", "¶"),
    ("germandbls", "ß"),
    ("ae", "æ"),
    ("AE", "Æ"),
    ("oe", "œ"),
    ("OE", "Œ"),
    ("oslash", "ø"),
    ("Oslash", "Ø"),
    ("aring", "å"),
    ("Aring", "Å"),
    ("multiply", "×"),
    ("divide", "÷"),
    ("plusminus", "±"),
    ("mu", "µ"),
    ("nbspace", " "),
];

/// Suffixes of names of accented letters, and the combining accent.
const MARKS: &[(&str, char)] = &[
    ("acute", '\u{301}'),
    ("grave", '\u{300}'),
    ("circumflex", '\u{302}'),
    ("tilde", '\u{303}'),
    ("dieresis", '\u{308}'),
    ("cedilla", '\u{327}'),
    ("caron", '\u{30c}'),
    ("macron", '\u{304}'),
    ("ogonek", '\u{328}'),
    ("breve", '\u{306}'),
    ("dotaccent", '\u{307}'),
    ("ring", '\u{30a}'),
];

#[derive(Debug, Default)]
pub(super) struct Font {
    /// Codes have two bytes instead of one.
    two_bytes: bool,
    means: HashMap<u32, String>,
    widths: HashMap<u32, f64>,
    usual: f64,
}

impl Font {
    pub fn read(file: &File<'_>, dict: &Dict) -> Self {
        let mut font = Self { usual: USUAL, ..Self::default() };
        // The ToUnicode table does not decide this: Adobe programs write a two-byte codespace for one-byte fonts.
        let is_wide = file.get(dict, "Subtype").name() == "Type0";
        font.two_bytes = is_wide && !has_short_codes(file, dict);
        if is_wide {
            font.wide(file, dict);
        } else {
            font.simple(file, dict);
        }
        if let Value::Stream(head, place) = file.get(dict, "ToUnicode") {
            let map = file.bytes(head, place);
            font.map(&map);
        }
        font
    }

    fn simple(&mut self, file: &File<'_>, dict: &Dict) {
        let first = file.get(dict, "FirstChar").number().unwrap_or(0.0).clamp(0.0, 255.0) as u32;
        for (code, width) in (first..).zip(file.get(dict, "Widths").list()).take(256) {
            if let Some(width) = file.real(width).number() {
                self.widths.insert(code, width);
            }
        }
        let encoding = file.get(dict, "Encoding");
        let base = match encoding {
            Value::Dict(encoding) => file.get(encoding, "BaseEncoding").name(),
            encoding => encoding.name(),
        };
        let table = match base {
            "MacRomanEncoding" => encoding_rs::MACINTOSH,
            _ => encoding_rs::WINDOWS_1252,
        };
        for code in 32_u8..=255 {
            let bytes = [code];
            let (text, ..) = table.decode(&bytes);
            self.means.insert(u32::from(code), text.into_owned());
        }
        if let Value::Dict(encoding) = encoding {
            self.differ(file, encoding);
        }
        if self.widths.is_empty()
            && let Some(metrics) = Metrics::of(file.get(dict, "BaseFont").name())
        {
            let known = |(code, text): (&u32, &String)| {
                let letter = text.chars().next()?;
                metrics.width(letter).map(|width| (*code, width))
            };
            self.widths = self.means.iter().filter_map(known).collect();
        }
    }

    /// Applies the differences from a named encoding.
    fn differ(&mut self, file: &File<'_>, encoding: &Dict) {
        let mut code = 0;
        for value in file.get(encoding, "Differences").list() {
            match file.real(value) {
                Value::Number(number) => code = *number as u32,
                Value::Name(name) => {
                    if let Some(text) = letter(name) {
                        self.means.insert(code, text);
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }

    fn wide(&mut self, file: &File<'_>, dict: &Dict) {
        let Some(inner) = file.get(dict, "DescendantFonts").list().first() else { return };
        let Some(inner) = file.real(inner).dict() else { return };
        self.usual = file.get(inner, "DW").number().unwrap_or(1_000.0);
        let list = file.get(inner, "W").list();
        let mut at = 0;
        while let Some(first) = list.get(at).and_then(|value| file.real(value).number()) {
            let first = first.clamp(0.0, 65_535.0) as u32;
            let second = list.get(at + 1).map(|value| file.real(value));
            match second {
                Some(Value::List(widths)) => {
                    for (code, width) in (first..).zip(widths).take(CODES) {
                        self.widths.extend(file.real(width).number().map(|width| (code, width)));
                    }
                    at += 2;
                }
                Some(Value::Number(last)) => {
                    let width = list.get(at + 2).and_then(|value| file.real(value).number());
                    let codes = (first..=*last as u32).take(CODES);
                    self.widths.extend(codes.filter_map(|code| Some((code, width?))));
                    at += 3;
                }
                _ => return,
            }
            if CODES < self.widths.len() {
                return;
            }
        }
    }

    /// Reads a ToUnicode CMap.
    fn map(&mut self, table: &[u8]) {
        let mut reader = Reader::new(table, 0);
        let mut values: Vec<Value> = Vec::new();
        while let Some(value) = reader.value() {
            let Value::Word(word) = &value else {
                if values.len() < 4 * CODES {
                    values.push(value);
                }
                continue;
            };
            match word.as_str() {
                "endbfchar" => {
                    for pair in values.chunks_exact(2) {
                        self.mean(code_of(&pair[0]), utf16(text(&pair[1])));
                    }
                }
                "endbfrange" => {
                    for three in values.chunks_exact(3) {
                        self.range(&three[0], &three[1], &three[2]);
                    }
                }
                _ => {}
            }
            values.clear();
        }
    }

    fn mean(&mut self, code: u32, text: String) {
        if self.means.len() < CODES {
            self.means.insert(code, text);
        }
    }

    fn range(&mut self, first: &Value, last: &Value, meaning: &Value) {
        let codes = (code_of(first)..=code_of(last)).take(65_536);
        match meaning {
            Value::List(list) => {
                for (code, meaning) in codes.zip(list) {
                    self.mean(code, utf16(text(meaning)));
                }
            }
            meaning => {
                let start = utf16(text(meaning));
                let Some(letter) = start.chars().next_back() else { return };
                let head = &start[..start.len() - letter.len_utf8()];
                for (n, code) in (0..).zip(codes) {
                    if let Some(letter) = char::from_u32(u32::from(letter).saturating_add(n)) {
                        self.mean(code, format!("{head}{letter}"));
                    }
                }
            }
        }
    }

    /// Number of stored codes.
    pub fn codes(&self) -> usize {
        self.means.len() + self.widths.len()
    }

    /// Text and width of each code in a shown string.
    pub fn letters<'f>(&'f self, shown: &'f [u8]) -> impl Iterator<Item = (&'f str, f64)> {
        let size = if self.two_bytes { 2 } else { 1 };
        shown.chunks(size).map(move |bytes| {
            let code = number(bytes);
            let width = self.widths.get(&code).copied().unwrap_or(self.usual);
            (self.means.get(&code).map_or("", String::as_str), width)
        })
    }
}

/// Whether a composite font has an embedded encoding with one-byte codes only.
fn has_short_codes(file: &File<'_>, dict: &Dict) -> bool {
    let Value::Stream(head, place) = file.get(dict, "Encoding") else { return false };
    let table = file.bytes(head, place);
    let mut reader = Reader::new(&table, 0);
    let mut longest = 0;
    while let Some(value) = reader.value() {
        match &value {
            Value::Text(code) => longest = longest.max(code.len()),
            Value::Word(word) if word == "endcodespacerange" => return longest == 1,
            Value::Word(word) if word == "begincodespacerange" => longest = 0,
            _ => {}
        }
    }
    false
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |code, byte| (code << 8) | u32::from(*byte))
}

fn text(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text,
        _ => &[],
    }
}

fn code_of(value: &Value) -> u32 {
    number(text(value))
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks(2).map(|two| number(two) as u16).collect();
    String::from_utf16_lossy(&units)
}

/// Text of a glyph name.
fn letter(name: &str) -> Option<String> {
    let name = name.split('.').next().unwrap_or(name);
    if name.chars().count() == 1 {
        return Some(name.to_owned());
    }
    if let Some((_, text)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some((*text).to_owned());
    }
    let code = name.strip_prefix("uni").or_else(|| name.strip_prefix('u'));
    let code = code.and_then(|hex| u32::from_str_radix(hex.get(..4)?, 16).ok());
    if let Some(letter) = code.and_then(char::from_u32) {
        return Some(letter.to_string());
    }
    let (mark, combining) = MARKS.iter().find(|(mark, _)| name.ends_with(*mark))?;
    let base = name.strip_suffix(*mark).filter(|base| base.chars().count() == 1)?;
    Some(format!("{base}{combining}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_known_by_their_names() {
        for (name, text) in [
            ("a", "a"),
            ("fi", "fi"),
            ("uni00DF", "ß"),
            ("u1F44B", "\u{1F44}"),
            ("adieresis", "a\u{308}"),
            ("comma.alt", ","),
        ] {
            assert_eq!(letter(name).as_deref(), Some(text), "{name}");
        }
        assert_eq!(letter("g123"), None);
    }

    #[test]
    fn a_table_says_what_codes_mean() {
        let mut font = Font { usual: USUAL, two_bytes: true, ..Font::default() };
        font.map(
            b"1 begincodespacerange <0000> <ffff> endcodespacerange\n\
              2 beginbfchar <0001> <00480069> <0002> <D83DDC4B> endbfchar\n\
              2 beginbfrange <0010> <0012> <0061> <0020> <0021> [<0078> <0079>] endbfrange",
        );
        let shown = [0, 1, 0, 2, 0, 0x10, 0, 0x12, 0, 0x21, 0, 0x99];
        let text: String = font.letters(&shown).map(|(text, _)| text).collect();
        assert_eq!(text, "Hi👋acy");
        // A range over all codes is cut off.
        font.map(b"1 beginbfrange <00000000> <ffffffff> <0041> endbfrange");
        assert!(font.means.len() <= CODES);
    }
}
