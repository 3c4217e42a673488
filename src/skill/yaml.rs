//! The part of YAML 1.2 that front matter needs: one document of texts, lists and mappings. Anchors and aliases are
//! refused, so that a short text cannot stand for a large value.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

const MAX_DEPTH: usize = 8;
const MAX_VALUES: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// Where and why a document is refused; `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub reason: String,
    /// Whether the text is not YAML, as opposed to YAML that is not accepted.
    pub is_syntax: bool,
}

impl Value {
    /// A scalar as text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An entry of a mapping.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
            ),
        }
    }
}

/// Reads a document. An empty one is [`Value::Null`].
pub fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader { parser: Parser::new_from_str(text), values: 0, line: 1 };
    loop {
        match reader.event()? {
            Event::DocumentStart(_) => break,
            Event::StreamEnd => return Ok(Value::Null),
            _ => {}
        }
    }
    let first = reader.event()?;
    let value = reader.value(first, 0)?;
    loop {
        match reader.event()? {
            Event::DocumentStart(_) => return Err(reader.refused("it has a second document")),
            Event::StreamEnd => return Ok(value),
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    values: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    fn event(&mut self) -> Result<Event<'a>, Fault> {
        let (event, span) = self
            .parser
            .next_event()
            .unwrap_or_else(|| {
                // After the end.
                Ok((Event::StreamEnd, Default::default()))
            })
            .map_err(|error| syntax(&error))?;
        self.line = span.start.line().max(self.line);
        Ok(event)
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, Fault> {
        self.values += 1;
        if MAX_VALUES < self.values {
            return Err(self.refused("it has too many values"));
        }
        if MAX_DEPTH < depth {
            return Err(self.refused("it is nested too deep"));
        }
        match event {
            Event::Alias(_) => Err(self.refused("references (*name) aren't accepted")),
            Event::Scalar(_, _, 1.., _)
            | Event::SequenceStart(1.., _)
            | Event::MappingStart(1.., _) => Err(self.refused("anchors (&name) aren't accepted")),
            Event::Scalar(text, style, ..) => Ok(match (&*text, style) {
                ("" | "~" | "null", ScalarStyle::Plain) => Value::Null,
                _ => Value::Text(text.into_owned()),
            }),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.event()? {
                        Event::SequenceEnd => return Ok(Value::List(items)),
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(depth),
            _ => Err(self.refused("a value is missing")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        loop {
            let event = self.event()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let Value::Text(key) = self.value(event, depth + 1)? else {
                return Err(self.refused("a key isn't a text"));
            };
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(self.refused(&format!("the key {key} is included twice")));
            }
            let event = self.event()?;
            let value = self.value(event, depth + 1)?;
            entries.push((key, value));
        }
    }

    fn refused(&self, reason: &str) -> Fault {
        Fault { line: self.line, reason: reason.to_owned(), is_syntax: false }
    }
}

fn syntax(error: &ScanError) -> Fault {
    let line = error.marker().line().max(1);
    Fault { line, reason: error.info().to_owned(), is_syntax: true }
}
