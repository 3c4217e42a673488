//! Documents, slides and books in a zip of XML parts.

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

/// How each entry begins in the list of a zip.
const ENTRY: &[u8] = b"PK\x01\x02";
/// Where office files say what they are called.
const PROPERTIES: &str = "docProps/core.xml";
/// The most of a zip that is inflated to find out what it is.
const LOOK: u64 = 1 << 20;
/// The longest name of a kind of file.
const LONGEST_KIND: u64 = 200;
/// The longest name of a style or a list that is kept.
const LONGEST_NAME: usize = 200;
/// What is put behind the name of a sheet or slide that is not shown.
pub(crate) const HIDDEN: &str = " (hidden)";
/// The most styles, lists and notes that are kept.
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

/// Refuses a zip of too many files before its list is read: each entry costs far more memory than its bytes.
pub(crate) fn check_entries(bytes: &[u8], limits: &Limits) -> Result<(), Refused> {
    match memmem::find_iter(bytes, ENTRY).nth(limits.entries) {
        Some(_) => Err(Refused::TooManyEntries),
        None => Ok(()),
    }
}

/// Whether a zip has the list of its parts.
pub(crate) fn has_list(bytes: &[u8]) -> bool {
    Package::open(bytes, LOOK).is_ok()
}

/// Whether a zip has one of the parts by which documents say what they are.
pub(crate) fn has_frame(bytes: &[u8]) -> bool {
    let frames = ["[content_types].xml", "_rels/.rels", "mimetype"];
    Package::open(bytes, LOOK)
        .is_ok_and(|package| frames.iter().any(|name| !package.names_from(name).is_empty()))
}

/// What kind of file a zip is, if it is a known one.
pub(crate) fn kind(bytes: &[u8]) -> Option<Kind> {
    // ok: what cannot be opened is nothing that is known
    let mut package = Package::open(bytes, LOOK).ok()?;
    if let Some(told) = package.bytes("mimetype", "its kind", LONGEST_KIND).ok()? {
        let told = String::from_utf8_lossy(&told);
        return match told.trim() {
            "application/epub+zip" => Some(Kind::Epub),
            told if told.starts_with("application/vnd.oasis.opendocument.text") => Some(Kind::Odt),
            told if told.starts_with("application/vnd.oasis.opendocument.presentation") => {
                Some(Kind::Odp)
            }
            told if told.starts_with("application/vnd.oasis.opendocument.spreadsheet") => {
                Some(Kind::Ods)
            }
            _ => None,
        };
    }
    let root = package.relations("", "its list").ok()?;
    let main = of_kind(&root, "/officeDocument")?.trim_start_matches('/').to_ascii_lowercase();
    let folders = [("word/", Kind::Docx), ("ppt/", Kind::Pptx), ("xl/", Kind::Xlsx)];
    // Workbooks have a binary form, too, which nobody reads.
    let found =
        folders.iter().find(|(folder, _)| main.starts_with(folder) && main.ends_with(".xml"));
    found.map(|(_, kind)| *kind)
}

fn open<'b>(bytes: &'b [u8], found: &Found<'_>) -> Result<Package<'b>, Refused> {
    Ok(Package::open(bytes, found.limits.expanded_of(bytes.len()))?)
}

/// Where the main part of an office file stands, and what it refers to.
fn main_part(package: &mut Package<'_>) -> Result<(String, HashMap<String, Relation>), Refused> {
    let root = package.relations("", "its list")?;
    let main = of_kind(&root, "/officeDocument").ok_or(Refused::Damaged)?.to_owned();
    let relations = package.relations(&main, "its list")?;
    Ok((main, relations))
}

/// The words of the charts of a workbook, whose sheets are read elsewhere.
pub(crate) fn workbook_charts(bytes: &[u8], found: &Found<'_>) -> Result<Vec<String>, Refused> {
    if found.kind != Kind::Xlsx {
        return Ok(Vec::new());
    }
    let mut package = open(bytes, found)?;
    let paths = package.names_from("xl/charts/chart");
    charts::words(&mut package, &paths)
}

/// Takes the title of a workbook, whose sheets are read elsewhere; old ones are no package and tell none.
pub(crate) fn name(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let properties = match found.kind {
        Kind::Xls => return Ok(()),
        Kind::Ods => opendocument::PROPERTIES,
        _ => PROPERTIES,
    };
    title(&mut open(bytes, found)?, properties, found)
}

/// Takes the title that stands in a part about the file.
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

/// Remembers what a name stands for, up to a limit.
fn keep<T>(known: &mut HashMap<String, T>, name: String, value: T) {
    if known.len() < MOST_NAMES {
        known.insert(name, value);
    }
}

/// What stands on a slide.
#[derive(Default)]
struct SlideText {
    title: Option<String>,
    body: String,
    notes: Option<String>,
    /// Whether it is left out when the slides are shown.
    is_hidden: bool,
}

/// A slide as Markdown; empty if nothing stands on it.
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
