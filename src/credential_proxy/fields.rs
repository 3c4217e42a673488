//! Locates the fields of a body: of a form, or top-level texts of a JSON object.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use super::forms;

/// Kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Form,
    Json,
}

impl Kind {
    /// The kind for a `Content-Type`.
    pub(crate) fn of(content_type: &[u8]) -> Option<Kind> {
        let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let media = media.trim_ascii().to_ascii_lowercase();
        match media.as_slice() {
            b"application/x-www-form-urlencoded" => Some(Kind::Form),
            b"application/json" => Some(Kind::Json),
            other if other.ends_with(b"+json") => Some(Kind::Json),
            _ => None,
        }
    }

    /// The positions of field values, in order, with field names.
    pub(crate) fn fields(self, body: &[u8]) -> Vec<(Range<usize>, String)> {
        match self {
            Kind::Form => pairs(body),
            Kind::Json => texts(body),
        }
    }
}

fn pairs(body: &[u8]) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut from = 0;
    for pair in body.split(|byte| *byte == b'&') {
        if let Some(at) = pair.iter().position(|byte| *byte == b'=') {
            let name = String::from_utf8(forms::unpercent(&pair[..at]));
            found.extend(name.ok().map(|name| (from + at + 1..from + pair.len(), name)));
        }
        from += pair.len() + 1;
    }
    found
}

fn texts(body: &[u8]) -> Vec<(Range<usize>, String)> {
    let Ok(object) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body) else {
        return Vec::new();
    };
    let texts = object.into_iter().filter(|(_, raw)| raw.get().starts_with('"'));
    let place = |raw: &str| {
        // The text is a slice of the body, so its address gives the position.
        let from = raw.as_ptr().addr() - body.as_ptr().addr();
        from + 1..from + raw.len() - 1
    };
    let mut found: Vec<_> = texts.map(|(name, raw)| (place(raw.get()), name)).collect();
    found.sort_by_key(|(at, _)| at.start);
    found
}

#[cfg(test)]
mod tests {
    use super::Kind;

    fn fields(kind: Kind, body: &str) -> Vec<(&str, String)> {
        let found = kind.fields(body.as_bytes()).into_iter();
        found.map(|(at, name)| (&body[at], name)).collect()
    }

    #[test]
    fn fields_are_found_where_they_stand() {
        let named = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
            pairs.iter().map(|(value, name)| (*value, (*name).to_owned())).collect()
        };
        assert_eq!(
            fields(Kind::Form, "a=1&b%63=&c&d=x=y"),
            named(&[("1", "a"), ("", "bc"), ("x=y", "d")])
        );
        let json = r#" {"z": "one", "n": {"k": "two"}, "a" : "thr\"ee", "l": ["x"], "i": 1} "#;
        assert_eq!(fields(Kind::Json, json), named(&[("one", "z"), ("thr\\\"ee", "a")]));
        assert!(fields(Kind::Json, "[\"a\"]").is_empty() && fields(Kind::Json, "{").is_empty());
    }

    #[test]
    fn the_kind_is_named_by_the_type() {
        assert_eq!(Kind::of(b"application/json; charset=utf-8"), Some(Kind::Json));
        assert_eq!(Kind::of(b"application/vnd.api+json"), Some(Kind::Json));
        assert_eq!(Kind::of(b"Application/X-WWW-Form-Urlencoded"), Some(Kind::Form));
        assert_eq!(Kind::of(b"multipart/form-data; boundary=x"), None);
    }
}
