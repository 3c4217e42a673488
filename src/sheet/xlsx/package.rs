//! The zip and its parts; all that is inflated is counted, whatever the zip says of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, BufReader, Cursor, Read};

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::super::{MAX_INFLATED, SheetError};

/// How deep elements may stand in each other; those of a workbook need a dozen levels.
const DEEPEST: usize = 256;

/// The longest text or tag: the parser holds it in memory, several times over. Cells and names are far shorter.
const LONGEST: u64 = 4 << 20;

/// A zip whose parts are found as Office finds them: upper and lower case are the same.
pub(super) struct Package<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    names: HashMap<String, usize>,
    inflated: Cell<u64>,
}

impl<'a> Package<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, SheetError> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged("its container", error))?;
        let names = (0..zip.len())
            .filter_map(|at| Some((plain(&zip.name_for_index(at)?.ok()?), at)))
            .collect::<HashMap<_, _>>();
        Ok(Self { zip, names, inflated: Cell::new(0) })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// One part, if it is there; `what` names it for people.
    pub(super) fn part<'p>(
        &'p mut self,
        path: &str,
        what: &'p str,
    ) -> Result<Option<Part<'p, 'a>>, SheetError> {
        let Some(at) = self.names.get(&plain(path)) else { return Ok(None) };
        let file = self.zip.by_index(*at).map_err(|error| damaged(what, error))?;
        let counted = Counted { file, inflated: &self.inflated, before: self.inflated.get() };
        let mut xml = quick_xml::Reader::from_reader(BufReader::new(counted));
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        let buffer = Vec::new();
        Ok(Some(Part { xml, buffer, what, depth: 0, inflated: &self.inflated }))
    }
}

fn plain(path: &str) -> String {
    path.trim_start_matches('/').replace('\\', "/").to_lowercase()
}

/// Inflates until there is more than a file may hold.
struct Counted<'p, 'a> {
    file: ZipFile<'p, Cursor<&'a [u8]>>,
    inflated: &'p Cell<u64>,
    /// How much was inflated before the text or tag that is read.
    before: u64,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.inflated.set(self.inflated.get() + read as u64);
        let total = self.inflated.get();
        match total > MAX_INFLATED || total - self.before > LONGEST {
            true => Err(io::Error::other("more than a file may hold")),
            false => Ok(read),
        }
    }
}

/// One part, event by event; an empty element comes as a start and an end.
pub(super) struct Part<'p, 'a> {
    xml: quick_xml::Reader<BufReader<Counted<'p, 'a>>>,
    buffer: Vec<u8>,
    what: &'p str,
    depth: usize,
    inflated: &'p Cell<u64>,
}

impl Part<'_, '_> {
    pub(super) fn next(&mut self) -> Result<Event<'_>, SheetError> {
        self.buffer.clear();
        self.xml.get_mut().get_mut().before = self.inflated.get();
        match self.xml.read_event_into(&mut self.buffer) {
            Ok(event) => {
                match &event {
                    Event::Start(_) => self.depth += 1,
                    Event::End(_) => self.depth = self.depth.saturating_sub(1),
                    _ => (),
                }
                // The parser keeps all names that are open.
                if self.depth > DEEPEST {
                    Err(damaged(self.what, "its elements stand too deep in each other"))
                } else {
                    Ok(event)
                }
            }
            Err(_) if self.inflated.get() > MAX_INFLATED => Err(SheetError::Inflated { row: 0 }),
            Err(error) => Err(damaged(self.what, error)),
        }
    }
}

/// A workbook that is broken there; the cause is for whoever looks into it.
pub(super) fn damaged(part: &str, cause: impl Display) -> SheetError {
    SheetError::Damaged { part: part.to_owned(), place: None, cause: cause.to_string() }
}

/// An attribute, whatever its namespace is called.
pub(super) fn attribute<'e>(element: &'e BytesStart<'_>, name: &str) -> Option<Cow<'e, str>> {
    // The check for names that come twice would compare each with all others.
    let mut all = element.attributes();
    let mut all = all.with_checks(false).map_while(Result::ok);
    let found = all.find(|one| one.key.local_name().as_ref() == name)?.value;
    match found {
        Cow::Borrowed(raw) => Some(unescape(raw).unwrap_or(Cow::Borrowed(raw))),
        Cow::Owned(raw) => Some(Cow::Owned(unescape(&raw).map_or(raw.clone(), Cow::into_owned))),
    }
}

/// What an `&…;` in a text stands for.
pub(super) fn resolve(reference: &BytesRef<'_>, text: &mut String) {
    match reference.resolve_char_ref() {
        Ok(Some(sign)) => text.push(sign),
        _ => {
            text.push_str(resolve_predefined_entity(&reference.xml10_content()).unwrap_or_default())
        }
    }
}
