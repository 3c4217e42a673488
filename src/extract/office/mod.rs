//! Documents, slides and books that are zip files of XML parts.

mod book;
pub(crate) mod charts;
mod opendocument;
mod slides;
mod walk;
mod word;

use std::collections::HashMap;

use memchr::memmem;
use quick_xml::events::Event;
use sheet::package::{Fault, Package, Relation, of_kind, resolve};

use super::{Found, Kind, Limits, Refused};

pub(crate) use book::epub;
pub(crate) use opendocument::{check_lock, opendocument};
pub(crate) use slides::pptx;
pub(crate) use word::docx;

/// Signature of an entry in a zip's central directory.
const ENTRY: &[u8] = b"PK\x01\x02";
/// Part with the title.
const PROPERTIES: &str = "docProps/core.xml";
/// Bytes inflated to detect the format.
const LOOK: u64 = 1 << 20;
/// Longest media type.
const LONGEST_KIND: u64 = 200;
/// Longest style or list name that is kept.
const LONGEST_NAME: usize = 200;
/// Suffix of the names of hidden sheets and slides.
pub(crate) const HIDDEN: &str = " (hidden)";
/// Limit of styles, lists and notes.
const MOST_NAMES: usize = 20_000;

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { .. } => Self::Damaged,
            Fault::Locked => Self::Encrypted,
            Fault::Inflated | Fault::LongText { .. } => Self::Expands,
        }
    }
}

/// Rejects a zip of too many entries before its directory is parsed: each entry costs far more memory than its bytes.
pub(crate) fn check_entries(bytes: &[u8], limits: &Limits) -> Result<(), Refused> {
    match memmem::find_iter(bytes, ENTRY).nth(limits.entries) {
        Some(_) => Err(Refused::TooManyEntries),
        None => Ok(()),
    }
}

/// Whether the zip has a readable directory.
pub(crate) fn has_list(bytes: &[u8]) -> bool {
    Package::open(bytes, LOOK).is_ok()
}

/// Whether the zip contains a part that identifies a document.
pub(crate) fn has_frame(bytes: &[u8]) -> bool {
    let frames = ["[content_types].xml", "_rels/.rels", "mimetype"];
    Package::open(bytes, LOOK)
        .is_ok_and(|package| frames.iter().any(|name| !package.names_from(name).is_empty()))
}

/// Format of a zip, if it is known.
pub(crate) fn kind(bytes: &[u8]) -> Option<Kind> {
    // ok: an unreadable zip is of no known format
    let mut package = Package::open(bytes, LOOK).ok()?;
    if let Some(mimetype) = package.bytes("mimetype", "its kind", LONGEST_KIND).ok()? {
        let mimetype = String::from_utf8_lossy(&mimetype);
        return match mimetype.trim() {
            "application/epub+zip" => Some(Kind::Epub),
            mimetype if mimetype.starts_with("application/vnd.oasis.opendocument.text") => {
                Some(Kind::Odt)
            }
            mimetype if mimetype.starts_with("application/vnd.oasis.opendocument.presentation") => {
                Some(Kind::Odp)
            }
            mimetype if mimetype.starts_with("application/vnd.oasis.opendocument.spreadsheet") => {
                Some(Kind::Ods)
            }
            _ => None,
        };
    }
    let root = package.relations("", "its list").ok()?;
    let main = of_kind(&root, "/officeDocument")?.trim_start_matches('/').to_ascii_lowercase();
    let folders = [("word/", Kind::Docx), ("ppt/", Kind::Pptx), ("xl/", Kind::Xlsx)];
    // The binary form of workbooks is not supported.
    let found =
        folders.iter().find(|(folder, _)| main.starts_with(folder) && main.ends_with(".xml"));
    found.map(|(_, kind)| *kind)
}

fn open<'b>(bytes: &'b [u8], found: &Found<'_>) -> Result<Package<'b>, Refused> {
    Ok(Package::open(bytes, found.limits.expanded_of(bytes.len()))?)
}

/// Path of the main part, and its relations.
fn main_part(package: &mut Package<'_>) -> Result<(String, HashMap<String, Relation>), Refused> {
    let root = package.relations("", "its list")?;
    let main = of_kind(&root, "/officeDocument").ok_or(Refused::Damaged)?.to_owned();
    let relations = package.relations(&main, "its list")?;
    Ok((main, relations))
}

/// Text of a workbook's charts; the sheets are read by `sheet`.
pub(crate) fn workbook_charts(bytes: &[u8], found: &Found<'_>) -> Result<Vec<String>, Refused> {
    if found.kind != Kind::Xlsx {
        return Ok(Vec::new());
    }
    let mut package = open(bytes, found)?;
    let paths = package.names_from("xl/charts/chart");
    charts::words(&mut package, &paths)
}

/// Sets the title of a workbook from its properties. Old workbooks are no zip and have none here.
pub(crate) fn name(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let properties = match found.kind {
        Kind::Xls => return Ok(()),
        Kind::Ods => opendocument::PROPERTIES,
        _ => PROPERTIES,
    };
    title(&mut open(bytes, found)?, properties, found)
}

/// Sets the title from a part with properties.
fn title(package: &mut Package<'_>, path: &str, found: &mut Found<'_>) -> Result<(), Refused> {
    let Some(mut part) = package.part(path, "its properties")? else { return Ok(()) };
    let (mut within, mut title) = (false, String::new());
    loop {
        match part.next()? {
            Event::Start(element) if title.is_empty() => {
                within = element.local_name().as_ref() == "title";
            }
            Event::Text(text) if within => title.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if within => resolve(&reference, &mut title),
            Event::End(_) if within => break,
            Event::Eof => break,
            _ => (),
        }
    }
    found.name(&title);
    Ok(())
}

/// Adds to a map up to [`MOST_NAMES`].
fn keep<T>(known: &mut HashMap<String, T>, name: String, value: T) {
    if known.len() < MOST_NAMES {
        known.insert(name, value);
    }
}

#[derive(Default)]
struct SlideText {
    title: Option<String>,
    body: String,
    notes: Option<String>,
    /// Hidden in the presentation.
    is_hidden: bool,
}

/// A slide as Markdown; empty if it has no text.
fn slide(number: u32, slide: &SlideText) -> String {
    let SlideText { title, body, notes, is_hidden } = slide;
    if title.is_none() && body.is_empty() && notes.is_none() {
        return String::new();
    }
    let mut text = format!("## Slide {number}{}", if *is_hidden { HIDDEN } else { "" });
    if let Some(title) = title {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!(": {title}"));
    }
    if !body.is_empty() {
        text.push_str(&format!("\n\n{body}"));
    }
    if let Some(notes) = notes {
        text.push_str(&format!("\n\nNotes:\n{notes}"));
    }
    text
}
