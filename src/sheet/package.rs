//! Zip of XML parts, read as a stream.
//!
//! All inflated bytes are counted, whatever sizes the zip declares. Entities of a DTD are not expanded. Names are only
//! looked up in the zip, so `../` is harmless.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, BufReader, Cursor, Read};

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

/// Deepest nesting of elements; office programs need a few dozen levels.
const DEEPEST: usize = 256;

/// Longest text or tag, in bytes: the parser holds several copies of it. Cells and names are far shorter.
const LONGEST: u64 = 4 << 20;

/// Limit of relations per part: each needs more memory than its bytes.
const MOST_RELATIONS: usize = 65_536;

/// Why a part cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Damaged {
        /// Name of the part, for people.
        part: String,
        /// Error of the parser, for diagnosis.
        cause: String,
    },
    /// Protected by a password.
    Locked,
    /// The limit of inflated bytes was reached.
    Inflated,
    /// One text exceeds the limit.
    LongText {
        /// Name of the part, for people.
        part: String,
    },
}

impl Fault {
    pub fn damaged(part: &str, cause: impl Display) -> Self {
        Self::Damaged { part: part.to_owned(), cause: cause.to_string() }
    }
}

/// A zip whose parts are found as Office does it: case-insensitively.
pub struct Package<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    names: HashMap<String, usize>,
    inflated: Inflated,
}

impl<'a> Package<'a> {
    /// Opens a zip of which at most `most` bytes are inflated in total.
    ///
    /// # Errors
    /// If it has no readable directory.
    pub fn open(bytes: &'a [u8], most: u64) -> Result<Self, Fault> {
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| Fault::damaged("its container", error))?;
        let names = (0..zip.len())
            .filter_map(|at| Some((plain(&zip.name_for_index(at)?.ok()?), at)))
            .collect::<HashMap<_, _>>();
        Ok(Self { zip, names, inflated: Inflated { most, sum: Cell::new(0) } })
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(&plain(name))
    }

    /// Names of the parts with this prefix, in lower case, sorted.
    pub fn names_from(&self, start: &str) -> Vec<String> {
        let names = self.names.keys().filter(|name| name.starts_with(start));
        let mut names: Vec<String> = names.cloned().collect();
        // Shorter first, so that 10 follows 9.
        names.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        names
    }

    /// One XML part, if it exists; `what` names it in errors.
    ///
    /// # Errors
    /// If it exists but cannot be opened.
    pub fn part<'p>(
        &'p mut self,
        path: &str,
        what: &'p str,
    ) -> Result<Option<Part<'p, 'a>>, Fault> {
        let Some(counted) = self.counted(path, what)? else { return Ok(None) };
        let inflated = counted.inflated;
        let mut xml = quick_xml::Reader::from_reader(BufReader::new(counted));
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        let buffer = Vec::new();
        Ok(Some(Part { xml, buffer, what, depth: 0, inflated }))
    }

    /// The first `most` bytes of a part, if it exists.
    ///
    /// # Errors
    /// If it exists but cannot be inflated.
    pub fn bytes(&mut self, path: &str, what: &str, most: u64) -> Result<Option<Vec<u8>>, Fault> {
        let Some(counted) = self.counted(path, what)? else { return Ok(None) };
        let inflated = counted.inflated;
        let mut bytes = Vec::new();
        let read = Counted { longest: u64::MAX, ..counted }.take(most).read_to_end(&mut bytes);
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(_) if inflated.is_full() => Err(Fault::Inflated),
            Err(error) => Err(Fault::damaged(what, error)),
        }
    }

    fn counted<'p>(&'p mut self, path: &str, what: &str) -> Result<Option<Counted<'p, 'a>>, Fault> {
        let Some(at) = self.names.get(&plain(path)) else { return Ok(None) };
        let file = self.zip.by_index(*at).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Fault::Locked,
            error => Fault::damaged(what, error),
        })?;
        let before = self.inflated.sum.get();
        Ok(Some(Counted { file, inflated: &self.inflated, before, longest: LONGEST }))
    }

    /// Relations of a part by id, with resolved paths; `what` names them in errors.
    ///
    /// # Errors
    /// If they are malformed or too many.
    pub fn relations(
        &mut self,
        path: &str,
        what: &str,
    ) -> Result<HashMap<String, Relation>, Fault> {
        let mut found = HashMap::new();
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let path = format!("{folder}/_rels/{file}.rels");
        let Some(mut part) = self.part(&path, what)? else { return Ok(found) };
        loop {
            match part.next()? {
                Event::Start(element) if element.local_name().as_ref() == "Relationship" => {
                    let of =
                        |name: &str| attribute(&element, name).unwrap_or_default().into_owned();
                    let path = joined(folder, &of("Target"));
                    if found.len() == MOST_RELATIONS {
                        return Err(Fault::damaged(what, "it is too long"));
                    }
                    found.insert(of("Id"), Relation { kind: of("Type"), path });
                }
                Event::Eof => return Ok(found),
                _ => (),
            }
        }
    }
}

fn plain(path: &str) -> String {
    path.trim_start_matches('/').replace('\\', "/").to_lowercase()
}

/// A relation from one part to another.
pub struct Relation {
    /// URI of the relation type.
    pub kind: String,
    /// Path of the target.
    pub path: String,
}

/// Target of a relation of this type.
pub fn of_kind<'r>(relations: &'r HashMap<String, Relation>, kind: &str) -> Option<&'r str> {
    let found = relations.values().find(|relation| relation.kind.ends_with(kind));
    found.map(|relation| relation.path.as_str())
}

/// Targets of all relations of this type, sorted.
pub fn all_of_kind(relations: &HashMap<String, Relation>, kind: &str) -> Vec<String> {
    let found = relations.values().filter(|relation| relation.kind.ends_with(kind));
    let mut paths: Vec<String> = found.map(|relation| relation.path.clone()).collect();
    paths.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    paths.dedup();
    paths
}

/// Resolves a target relative to a folder; never leaves the zip.
pub fn joined(folder: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => (),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Limit and count of inflated bytes.
struct Inflated {
    most: u64,
    sum: Cell<u64>,
}

impl Inflated {
    fn is_full(&self) -> bool {
        self.sum.get() > self.most
    }
}

/// Inflates until a limit is reached.
struct Counted<'p, 'a> {
    file: ZipFile<'p, Cursor<&'a [u8]>>,
    inflated: &'p Inflated,
    /// Inflated bytes before the current text or tag.
    before: u64,
    /// Limit of a text or tag.
    longest: u64,
}

impl Counted<'_, '_> {
    fn is_too_much(&self) -> bool {
        self.inflated.is_full() || self.inflated.sum.get() - self.before > self.longest
    }
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let total = self.inflated.sum.get() + read as u64;
        self.inflated.sum.set(total);
        match self.is_too_much() {
            true => Err(io::Error::other("more than a file may hold")),
            false => Ok(read),
        }
    }
}

/// Events of a part; an empty element gives a start and an end.
pub struct Part<'p, 'a> {
    xml: quick_xml::Reader<BufReader<Counted<'p, 'a>>>,
    buffer: Vec<u8>,
    what: &'p str,
    depth: usize,
    inflated: &'p Inflated,
}

impl Part<'_, '_> {
    /// The next event; at the end `Eof` repeatedly.
    ///
    /// # Errors
    /// If the XML is malformed or too deeply nested, or a limit was reached.
    #[expect(clippy::should_implement_trait, reason = "an event lends from the part")]
    pub fn next(&mut self) -> Result<Event<'_>, Fault> {
        self.buffer.clear();
        self.xml.get_mut().get_mut().before = self.inflated.sum.get();
        match self.xml.read_event_into(&mut self.buffer) {
            Ok(event) => {
                match &event {
                    Event::Start(_) => self.depth += 1,
                    Event::End(_) => self.depth = self.depth.saturating_sub(1),
                    _ => (),
                }
                // The parser keeps the names of all open elements.
                if self.depth > DEEPEST {
                    Err(Fault::damaged(self.what, "its elements stand too deep in each other"))
                } else {
                    Ok(event)
                }
            }
            Err(_) if self.inflated.is_full() => Err(Fault::Inflated),
            Err(_) if self.xml.get_ref().get_ref().is_too_much() => {
                Err(Fault::LongText { part: self.what.to_owned() })
            }
            Err(error) => Err(Fault::damaged(self.what, error)),
        }
    }
}

/// Value of an attribute by its local name.
pub fn attribute<'e>(element: &'e BytesStart<'_>, name: &str) -> Option<Cow<'e, str>> {
    // The check for duplicate names is quadratic.
    let mut all = element.attributes();
    let mut all = all.with_checks(false).map_while(Result::ok);
    let found = all.find(|one| one.key.local_name().as_ref() == name)?.value;
    match found {
        Cow::Borrowed(raw) => Some(unescape(raw).unwrap_or(Cow::Borrowed(raw))),
        Cow::Owned(raw) => Some(Cow::Owned(unescape(&raw).map_or(raw.clone(), Cow::into_owned))),
    }
}

/// Appends the text of a character or entity reference.
pub fn resolve(reference: &BytesRef<'_>, text: &mut String) {
    match reference.resolve_char_ref() {
        Ok(Some(sign)) => text.push(sign),
        _ => {
            text.push_str(resolve_predefined_entity(&reference.xml10_content()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn targets_are_seen_from_their_folder() {
        assert_eq!(joined("xl", "worksheets/sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(joined("xl", "/xl/sheet1.xml"), "/xl/sheet1.xml");
        assert_eq!(joined("a/b", "../c/./d.xml"), "a/c/d.xml");
        assert_eq!(joined("a", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(joined("", "xl/workbook.xml"), "xl/workbook.xml");
    }
}
