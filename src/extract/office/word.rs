//! Word documents (DOCX): paragraphs with styles, lists, tables, notes, text boxes (once), headers and footers at the
//! end. Deleted and hidden text is skipped.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use sheet::package::{Package, Relation, all_of_kind, attribute, of_kind};

use super::super::markdown::{Block, Writer};
use super::super::{Found, Refused};
use super::walk::{Act, Branches, Dialect, walk};
use super::{LONGEST_NAME, charts, keep};

/// Limit of inherited styles.
const STYLES_ABOVE: usize = 20;
/// List levels in Word.
const LEVELS: usize = 9;
const COMMENTS: &str = "its comments";
/// Limit of headers and footers: at most six per section, and most documents have one section.
const MARGINS: usize = 60;

pub(crate) fn docx(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mut package = super::open(bytes, found)?;
    let (main, relations) = super::main_part(&mut package)?;
    super::title(&mut package, super::PROPERTIES, found)?;
    let mut word = Word::default();
    if let Some(path) = of_kind(&relations, "/styles") {
        word.read_styles(&mut package, path)?;
    }
    if let Some(path) = of_kind(&relations, "/numbering") {
        word.read_lists(&mut package, path)?;
    }
    let mut writer = found.writer();
    match package.part(&main, "its text")? {
        Some(mut part) => walk(&mut part, &mut writer, &mut word)?,
        None => return Err(Refused::Damaged),
    }
    for kind in ["/footnotes", "/endnotes"] {
        if let Some(path) = of_kind(&relations, kind)
            && let Some(mut part) = package.part(path, "its notes")?
        {
            walk(&mut part, &mut writer, &mut word)?;
        }
    }
    if let Some(path) = of_kind(&relations, "/comments")
        && has_comments(&mut package, path)?
        && let Some(mut part) = package.part(path, COMMENTS)?
    {
        writer.open(Block::Paragraph);
        writer.text("Comments:");
        writer.close();
        walk(&mut part, &mut writer, &mut word)?;
    }
    for path in margins(&relations) {
        if let Some(mut part) = package.part(path, "its headers and footers")? {
            walk(&mut part, &mut writer, &mut word)?;
        }
    }
    found.push(None, writer.take());
    found.cut |= writer.is_full();
    for chart in charts::words(&mut package, &all_of_kind(&relations, "/chart"))? {
        found.push(None, chart);
    }
    Ok(())
}

/// Whether the part contains comments: many programs write it empty.
fn has_comments(package: &mut Package<'_>, path: &str) -> Result<bool, Refused> {
    let Some(mut part) = package.part(path, COMMENTS)? else { return Ok(false) };
    loop {
        match part.next()? {
            Event::Start(element) if element.local_name().as_ref() == "comment" => {
                return Ok(true);
            }
            Event::Eof => return Ok(false),
            _ => (),
        }
    }
}

/// Headers and footers of all sections, each once.
fn margins(relations: &HashMap<String, Relation>) -> Vec<&str> {
    let is_one = |relation: &&Relation| {
        relation.kind.ends_with("/header") || relation.kind.ends_with("/footer")
    };
    let mut paths: Vec<&str> =
        relations.values().filter(is_one).map(|relation| relation.path.as_str()).collect();
    // Headers first, sorted by name.
    paths.sort_by_key(|path| (path.contains("footer"), *path));
    paths.dedup();
    paths.truncate(MARGINS);
    paths
}

/// Paragraph style.
#[derive(Clone, Default)]
struct Style {
    above: Option<String>,
    /// Heading level from 1; 0 overrides an inherited heading with none.
    heading: Option<u8>,
    list: Option<String>,
    level: Option<usize>,
}

/// For each level of a list whether it is numbered; `None` for a level without a mark.
type Levels = [Option<bool>; LEVELS];

#[derive(Default)]
struct Word {
    styles: HashMap<String, Style>,
    lists: HashMap<String, Levels>,
    /// Last numbers of each list.
    counted: HashMap<String, [u32; LEVELS]>,
    /// Labels of notes by kind and id, in order of first reference.
    notes: HashMap<(bool, String), usize>,
    branches: Branches,
    /// The text run is hidden.
    is_hidden: bool,
    /// Outline level that the paragraph sets itself.
    level: Option<usize>,
    /// List and level of the paragraph; its own setting overrides its style's.
    point: Option<(String, usize)>,
}

fn value(element: &BytesStart<'_>) -> String {
    named(element, "val")
}

fn named(element: &BytesStart<'_>, name: &str) -> String {
    attribute(element, name)
        .filter(|name| name.len() <= LONGEST_NAME)
        .unwrap_or_default()
        .into_owned()
}

impl Word {
    fn read_styles(&mut self, package: &mut Package<'_>, path: &str) -> Result<(), Refused> {
        let Some(mut part) = package.part(path, "its styles")? else { return Ok(()) };
        let (mut id, mut style) = (String::new(), Style::default());
        loop {
            match part.next()? {
                Event::Start(element) => match element.local_name().as_ref() {
                    "style" => (id, style) = (named(&element, "styleId"), Style::default()),
                    "name" => {
                        let name = value(&element).to_ascii_lowercase();
                        style.heading = match name.strip_prefix("heading ") {
                            Some(level) => level.trim().parse().ok(),
                            None => (name == "title").then_some(1),
                        };
                    }
                    "basedOn" => style.above = Some(value(&element)),
                    "outlineLvl" => style.heading = heading(&value(&element)).or(style.heading),
                    "numId" => style.list = Some(value(&element)),
                    "ilvl" => style.level = value(&element).parse().ok(),
                    _ => (),
                },
                Event::End(element) if element.local_name().as_ref() == "style" => {
                    let style = std::mem::take(&mut style);
                    keep(&mut self.styles, std::mem::take(&mut id), style);
                }
                Event::Eof => return Ok(()),
                _ => (),
            }
        }
    }

    fn read_lists(&mut self, package: &mut Package<'_>, path: &str) -> Result<(), Refused> {
        let Some(mut part) = package.part(path, "its lists")? else { return Ok(()) };
        let mut abstracts: HashMap<String, Levels> = HashMap::new();
        let (mut id, mut levels, mut level) = (String::new(), Levels::default(), 0);
        loop {
            match part.next()? {
                Event::Start(element) => match element.local_name().as_ref() {
                    "abstractNum" => {
                        (id, levels) = (named(&element, "abstractNumId"), Levels::default());
                    }
                    "lvl" => level = named(&element, "ilvl").parse().unwrap_or(0),
                    "numFmt" => {
                        if let Some(known) = levels.get_mut(level) {
                            *known = match value(&element).as_str() {
                                "none" => None,
                                format => Some(format != "bullet"),
                            };
                        }
                    }
                    "num" => id = named(&element, "numId"),
                    "abstractNumId" => {
                        if let Some(levels) = abstracts.get(&value(&element)) {
                            keep(&mut self.lists, std::mem::take(&mut id), *levels);
                        }
                    }
                    _ => (),
                },
                Event::End(element) if element.local_name().as_ref() == "abstractNum" => {
                    keep(&mut abstracts, std::mem::take(&mut id), levels);
                }
                Event::Eof => return Ok(()),
                _ => (),
            }
        }
    }

    /// Applies a paragraph style: heading or list.
    fn style(&mut self, id: &str, writer: &mut Writer) {
        let (mut heading, mut list, mut level) = (None, None, None);
        let mut next = Some(id);
        for _ in 0..STYLES_ABOVE {
            let Some(style) = next.and_then(|id| self.styles.get(id)) else { break };
            heading = heading.or(style.heading);
            list = list.or(style.list.as_deref());
            level = level.or(style.level);
            next = style.above.as_deref();
        }
        if self.styles.is_empty() {
            heading = id.strip_prefix("Heading").and_then(|level| level.parse().ok());
        }
        match (heading, list.map(str::to_owned)) {
            (Some(level), _) if level > 0 => writer.set_kind(Block::Heading(level)),
            (_, Some(list)) => self.point = Some((list, level.unwrap_or(0))),
            _ => (),
        }
    }

    /// Makes the paragraph a list item and counts it, unless it is a heading.
    fn count(&mut self, writer: &mut Writer) {
        let Some((list, level)) = self.point.take() else { return };
        if writer.kind() != Some(Block::Paragraph) {
            return;
        }
        let level = level.min(LEVELS - 1);
        let Some(counts) = self.lists.get(&list).and_then(|levels| levels[level]) else { return };
        let number = counts.then(|| {
            let counted = self.counted.entry(list).or_default();
            counted[level] = counted[level].saturating_add(1);
            counted[level + 1..].fill(0);
            counted[level]
        });
        writer.set_kind(Block::Item { level: level as u8, number });
    }

    /// Label of a note.
    fn label(&mut self, is_end: bool, element: &BytesStart<'_>) -> usize {
        let next = self.notes.len() + 1;
        *self.notes.entry((is_end, named(element, "id"))).or_insert(next)
    }

    fn note(&self, is_end: bool, element: &BytesStart<'_>) -> Act {
        match self.notes.get(&(is_end, named(element, "id"))) {
            Some(label) => Act::Note(*label),
            None => Act::Skip,
        }
    }
}

/// Heading level of an outline level; the tenth is body text.
fn heading(level: &str) -> Option<u8> {
    let level: u8 = level.parse().ok()?;
    Some(if level < 9 { level + 1 } else { 0 })
}

impl Dialect for Word {
    const BARE: bool = false;

    fn start(&mut self, name: &str, element: &BytesStart<'_>, writer: &mut Writer) -> Act {
        if self.branches.skips(name) {
            return Act::Skip;
        }
        match name {
            "del" | "moveFrom" | "delText" | "instrText" | "delInstrText" | "tabs" | "rt" => {
                return Act::Skip;
            }
            // Formatting before a tracked change.
            name if name.ends_with("PrChange") => return Act::Skip,
            "p" => {
                (self.level, self.point, self.is_hidden) = (None, None, false);
                return Act::Block(Block::Paragraph);
            }
            "r" => self.is_hidden = false,
            "vanish" => self.is_hidden = !matches!(value(element).as_str(), "0" | "false" | "off"),
            "t" | "tab" | "br" | "cr" | "noBreakHyphen" if self.is_hidden => return Act::Skip,
            "t" => return Act::Text,
            "tbl" => return Act::Table,
            "tr" => return Act::Row,
            "tc" => return Act::Cell,
            "footnote" => return self.note(false, element),
            "endnote" => return self.note(true, element),
            "pStyle" => self.style(&value(element), writer),
            "outlineLvl" => match heading(&value(element)) {
                Some(level) if level > 0 => writer.set_kind(Block::Heading(level)),
                _ => (),
            },
            "ilvl" => self.level = value(element).parse().ok(),
            "numId" => self.point = Some((value(element), self.level.unwrap_or(0))),
            "tab" | "ptab" => writer.text(" "),
            "br" | "cr" => writer.line_break(),
            "noBreakHyphen" => writer.text("-"),
            "footnoteReference" | "endnoteReference" => {
                let label = self.label(name == "endnoteReference", element);
                writer.text(&format!("[^{label}]"));
            }
            _ => (),
        }
        Act::Through
    }

    fn end(&mut self, name: &str, writer: &mut Writer) {
        self.branches.end(name);
        if name == "pPr" {
            self.count(writer);
        }
    }
}
