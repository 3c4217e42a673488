//! The colour of a label: one of twelve named colours, or a custom RGB value.

use std::fmt;
use std::str::FromStr;

use serde::de::{EnumAccess, Error as _, VariantAccess as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Hue;

/// A chosen colour. In records, a named colour is encoded like its `Hue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One of the twelve named colours.
    Named(Hue),
    /// Custom colour: red, green and blue.
    Own([u8; 3]),
}

/// JSON Schema pattern for colour texts.
pub const PATTERN: &str = "^(#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})|[A-Za-z]+|c[0-9]{1,2})$";

/// Text that is not a colour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" isn't a colour; use a name such as Blue, a word such as c9, or #1f7a5c")]
pub struct UnknownColour(String);

impl Colour {
    /// Tag of a custom colour in records.
    const OWN: u8 = Hue::ALL.len() as u8;

    /// Display text.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Named(hue) => hue.label().to_owned(),
            Self::Own(_) => self.to_string(),
        }
    }
}

impl From<Hue> for Colour {
    fn from(hue: Hue) -> Self {
        Self::Named(hue)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(hue) => f.pad(hue.word()),
            Self::Own([red, green, blue]) => f.pad(&format!("#{red:02x}{green:02x}{blue:02x}")),
        }
    }
}

impl FromStr for Colour {
    type Err = UnknownColour;

    fn from_str(text: &str) -> Result<Self, UnknownColour> {
        let text = text.trim();
        let own = |digits: &str| match digits.len() {
            3 => bytes(&digits.chars().flat_map(|digit| [digit; 2]).collect::<String>()),
            6 => bytes(digits),
            _ => None,
        };
        let named = |hue: &&Hue| hue.word() == text || hue.label().eq_ignore_ascii_case(text);
        let found = match text.strip_prefix('#') {
            Some(digits) => own(digits).map(Self::Own),
            None => Hue::ALL.iter().find(named).copied().map(Self::Named),
        };
        found.ok_or_else(|| UnknownColour(text.chars().take(40).collect()))
    }
}

/// Three or six hexadecimal digits as three bytes.
fn bytes(digits: &str) -> Option<[u8; 3]> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

impl schemars::JsonSchema for Colour {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Colour".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words: Vec<_> =
            Hue::ALL.iter().map(|hue| format!("{} {}", hue.word(), hue.label())).collect();
        schemars::json_schema!({
            "type": "string",
            "pattern": PATTERN,
            "description": format!("#1f7a5c, or one of: {}", words.join(", ")),
        })
    }
}

impl Serialize for Colour {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            return out.collect_str(self);
        }
        match self {
            Self::Named(hue) => out.serialize_unit_variant("Colour", *hue as u32, hue.word()),
            Self::Own(bytes) => {
                out.serialize_newtype_variant("Colour", u32::from(Self::OWN), "own", bytes)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        if input.is_human_readable() {
            let text: std::borrow::Cow<'de, str> = Deserialize::deserialize(input)?;
            return text.parse().map_err(D::Error::custom);
        }
        input.deserialize_enum("Colour", &[], ColourVisitor)
    }
}

/// Deserializes the record encoding of a colour.
struct ColourVisitor;

impl<'de> Visitor<'de> for ColourVisitor {
    type Value = Colour;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a colour")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Colour, A::Error> {
        let (at, rest) = data.variant::<u32>()?;
        if at == u32::from(Colour::OWN) {
            return rest.newtype_variant().map(Colour::Own);
        }
        rest.unit_variant()?;
        let hue = usize::try_from(at).ok().and_then(|at| Hue::ALL.get(at));
        hue.copied().map(Colour::Named).ok_or_else(|| A::Error::custom("unknown colour"))
    }
}

#[cfg(test)]
mod tests {
    use super::Colour;
    use crate::Hue;

    #[test]
    fn names_words_and_digits_are_read_and_nothing_else() {
        let read = |text: &str| text.parse::<Colour>().ok();
        assert_eq!(read("c9"), Some(Colour::Named(Hue::C9)));
        assert_eq!(read(" blue "), Some(Colour::Named(Hue::C9)));
        assert_eq!(read("#1f7A5c"), Some(Colour::Own([0x1f, 0x7a, 0x5c])));
        assert_eq!(read("#fa0"), read("#FFAA00"));
        for wrong in ["", "c13", "#12", "#+12345", "#1234567", "1f7a5c", "#ünß", "beige"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_colour_is_written_as_it_is_read() {
        for text in ["c1", "c12", "#1f7a5c", "#000000"] {
            let colour: Colour = text.parse().expect("a colour");
            assert_eq!(colour.to_string(), text);
        }
    }
}
