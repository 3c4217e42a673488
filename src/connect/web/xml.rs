//! Safe XML reader: rejects document types and custom entities, and limits the nesting.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Deepest nesting of elements.
const DEEPEST: usize = 64;

/// Reader of events; an empty element gives a start and an end.
pub(super) struct Events<'x> {
    reader: Reader<&'x [u8]>,
    buffer: Vec<u8>,
    depth: usize,
}

pub(super) enum Part {
    /// Start of an element: local name, and attributes by local name.
    Open(String, Vec<(String, String)>),
    /// End of an element: local name.
    Close(String),
    Words(String),
}

impl<'x> Events<'x> {
    pub(super) fn of(text: &'x str) -> Self {
        let mut reader = Reader::from_reader(text.as_bytes());
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        Self { reader, buffer: Vec::new(), depth: 0 }
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Part>, String> {
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer);
            let part = match event.map_err(|error| format!("it isn’t XML ({error})"))? {
                Event::Start(element) => {
                    self.depth += 1;
                    if DEEPEST < self.depth {
                        return Err("its elements are nested too deep".to_owned());
                    }
                    Part::Open(lower(element.local_name().as_ref()), attributes(&element))
                }
                Event::End(element) => {
                    self.depth = self.depth.saturating_sub(1);
                    Part::Close(lower(element.local_name().as_ref()))
                }
                Event::Text(text) => Part::Words(text.xml10_content().into_owned()),
                Event::CData(text) => Part::Words(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => Part::Words(resolved(&reference)),
                Event::DocType(_) => {
                    return Err("it has a document type, which HQ doesn’t read".to_owned());
                }
                Event::Eof => return Ok(None),
                _ => continue,
            };
            return Ok(Some(part));
        }
    }

    /// Number of open elements.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn attributes(element: &BytesStart<'_>) -> Vec<(String, String)> {
    let mut all = element.attributes();
    let all = all.with_checks(false).map_while(Result::ok).take(20);
    let one = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        let value = quick_xml::escape::unescape(&attribute.value).map(Cow::into_owned);
        let value = value.unwrap_or_else(|_| attribute.value.to_string());
        (lower(attribute.key.local_name().as_ref()), value)
    };
    all.map(one).collect()
}

fn resolved(reference: &BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(sign)) => sign.to_string(),
        _ => resolve_predefined_entity(&reference.xml10_content()).unwrap_or_default().to_owned(),
    }
}
