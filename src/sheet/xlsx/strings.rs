//! Shared strings, which cells refer to by index.

use std::borrow::Cow;

use quick_xml::events::Event;

use super::super::SheetError;
use super::super::package::{Package, attribute, resolve};
use super::damaged;

/// Limit of strings: a table cannot show more, and each costs memory even if empty.
const MOST: usize = 8 << 20;
const WHAT: &str = "the list of its texts";

/// All strings in one buffer: a file may have millions of empty ones.
#[derive(Default)]
pub(crate) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(super) fn read(package: &mut Package<'_>, path: &str) -> Result<Self, SheetError> {
        let mut strings = Self::default();
        let Some(mut part) = package.part(path, WHAT)? else {
            return Ok(strings);
        };
        let mut rich = RichText::default();
        loop {
            let event = part.next()?;
            match &event {
                Event::Start(element) if element.local_name().as_ref() == "si" => rich.clear(),
                Event::End(element) if element.local_name().as_ref() == "si" => {
                    strings.push(&unescaped(&rich.text))?;
                }
                Event::Eof => return Ok(strings),
                event => rich.take(event),
            }
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> Result<(), SheetError> {
        self.text.push_str(text);
        let end = u32::try_from(self.text.len()).ok();
        let end = end.filter(|_| self.ends.len() < MOST);
        self.ends.push(end.ok_or_else(|| damaged(WHAT, "it is too long"))?);
        Ok(())
    }

    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }
}

/// A rich text as plain text: its runs joined, without phonetic hints.
#[derive(Default)]
pub(super) struct RichText {
    pub(super) text: String,
    start: usize,
    within: bool,
    spoken: bool,
    /// Leading and trailing whitespace is significant.
    preserved: bool,
}

impl RichText {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        (self.within, self.spoken) = (false, false);
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(element) => match element.local_name().as_ref() {
                "rPh" => self.spoken = true,
                "t" => {
                    self.within = !self.spoken;
                    self.start = self.text.len();
                    self.preserved =
                        attribute(element, "space").is_some_and(|how| how == "preserve");
                }
                _ => (),
            },
            Event::End(element) => match element.local_name().as_ref() {
                "rPh" => self.spoken = false,
                "t" if self.within => {
                    self.within = false;
                    if !self.preserved {
                        let run = self.text.split_off(self.start);
                        self.text.push_str(run.trim_matches([' ', '\t', '\r', '\n']));
                    }
                }
                _ => (),
            },
            Event::Text(text) if self.within => self.text.push_str(&text.xml10_content()),
            Event::CData(text) if self.within => self.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if self.within => resolve(reference, &mut self.text),
            _ => (),
        }
    }
}

/// Decodes `_x000D_` escapes, which stand for characters that XML cannot contain; `_x005F_` escapes an underscore.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains("_x") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("_x") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let code = rest.get(2..6).filter(|_| rest.get(6..7) == Some("_"));
        let code = code.filter(|code| code.bytes().all(|sign| sign.is_ascii_hexdigit()));
        let sign =
            code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
        // NUL does not occur in text.
        let (sign, length) = sign
            .filter(|sign| *sign != '\0')
            .map_or(("_x".into(), 2), |sign| (sign.to_string(), 7));
        out.push_str(&sign);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn signs_that_xml_cannot_hold_come_back() {
        assert_eq!(unescaped("a_x000D_b"), "a\rb");
        assert_eq!(unescaped("a_x005F_x000D_b"), "a_x000D_b");
        assert_eq!(unescaped("_x_x00_xZZZZ__x0000_ü_x"), "_x_x00_xZZZZ__x0000_ü_x");
    }
}
