//! OpenDocument text documents and slides. Tracked deletions are skipped.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use sheet::package::{Package, attribute};

use super::super::markdown::{Block, Writer};
use super::super::{Found, Kind, Refused};
use super::walk::{Act, Dialect, walk};
use super::{LONGEST_NAME, SlideText, keep};

/// Part with the title.
pub(super) const PROPERTIES: &str = "meta.xml";
/// Deepest nesting of list styles.
const LEVELS: usize = 10;
/// Placeholders of a slide without content of its own.
const FURNITURE: &[&str] = &["page-number", "date-time", "footer", "header"];

pub(crate) fn opendocument(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mut package = super::open(bytes, found)?;
    if is_locked(&mut package)? {
        return Err(Refused::Encrypted);
    }
    super::title(&mut package, PROPERTIES, found)?;
    let mut writer = found.writer();
    let mut open = Open::new(found.kind == Kind::Odp);
    if let Some(mut part) = package.part("styles.xml", "its styles")? {
        open.styles_only = true;
        walk(&mut part, &mut writer, &mut open)?;
        open.styles_only = false;
    }
    match package.part("content.xml", "its text")? {
        Some(mut part) => walk(&mut part, &mut writer, &mut open)?,
        None => return Err(Refused::Damaged),
    }
    if open.has_slides {
        // The slide at which the limit was reached is still open.
        if writer.is_full() {
            open.end_slide(&mut writer);
        }
        found.pages = u32::try_from(open.slides.len()).ok();
        for (number, slide) in (1..).zip(open.slides) {
            found.push(Some(number), super::slide(number, &slide));
        }
    } else {
        found.push(None, writer.take());
    }
    found.cut |= writer.is_full();
    Ok(())
}

/// Fails if the file is protected by a password.
pub(crate) fn check_lock(bytes: &[u8], found: &Found<'_>) -> Result<(), Refused> {
    match is_locked(&mut super::open(bytes, found)?)? {
        true => Err(Refused::Encrypted),
        false => Ok(()),
    }
}

/// Whether the file is protected by a password.
fn is_locked(package: &mut Package<'_>) -> Result<bool, Refused> {
    let Some(mut part) = package.part("META-INF/manifest.xml", "its list")? else {
        return Ok(false);
    };
    loop {
        match part.next()? {
            Event::Start(element) if element.local_name().as_ref() == "encryption-data" => {
                return Ok(true);
            }
            Event::Eof => return Ok(false),
            _ => (),
        }
    }
}

/// Purpose of an aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aside {
    Title,
    Notes,
}

struct Open {
    /// First pass: only list styles are read.
    styles_only: bool,
    has_slides: bool,
    slides: Vec<SlideText>,
    slide: SlideText,
    aside: Option<Aside>,
    /// The last opened frame is a title.
    is_title: bool,
    /// For each list style, which levels are numbered.
    styles: HashMap<String, [bool; LEVELS]>,
    /// List style being read.
    style: String,
    /// Style being read, and which styles hide a slide.
    other_style: String,
    hiding: HashMap<String, bool>,
    /// Style and last number of each open list.
    lists: Vec<(String, u32)>,
    notes: usize,
}

impl Open {
    fn new(has_slides: bool) -> Self {
        Self {
            styles_only: false,
            has_slides,
            slides: Vec::new(),
            slide: SlideText::default(),
            aside: None,
            is_title: false,
            styles: HashMap::new(),
            style: String::new(),
            other_style: String::new(),
            hiding: HashMap::new(),
            lists: Vec::new(),
            notes: 0,
        }
    }

    fn open_list(&mut self, element: &BytesStart<'_>) {
        let own = attribute(element, "style-name").filter(|name| name.len() <= LONGEST_NAME);
        let above = self.lists.last().map(|(style, _)| style.clone()).unwrap_or_default();
        self.lists.push((own.map_or(above, |own| own.into_owned()), 0));
    }

    fn open_item(&mut self, writer: &mut Writer) {
        let level = self.lists.len().saturating_sub(1);
        let number = self.lists.last_mut().and_then(|(style, number)| {
            let counts = self.styles.get(style).and_then(|levels| levels.get(level));
            counts.copied().unwrap_or(false).then(|| {
                *number = number.saturating_add(1);
                *number
            })
        });
        writer.item(level, number);
    }

    fn level_of_style(&mut self, name: &str, element: &BytesStart<'_>) {
        let level = attribute(element, "level").and_then(|level| level.parse::<usize>().ok());
        let counts = name == "list-level-style-number"
            && attribute(element, "num-format").is_some_and(|format| !format.is_empty());
        if let Some(levels) = self.styles.get_mut(&self.style)
            && let Some(known) = level.and_then(|level| levels.get_mut(level.checked_sub(1)?))
        {
            *known = counts;
        }
    }

    fn end_slide(&mut self, writer: &mut Writer) {
        let mut slide = std::mem::take(&mut self.slide);
        slide.body = writer.take();
        // At the limit, the aside is still open.
        match self.aside {
            Some(Aside::Title) => slide.title = writer.take_aside(),
            Some(Aside::Notes) => slide.notes = writer.take_aside(),
            None => (),
        }
        self.slides.push(slide);
    }

    /// A frame of a slide: titles are read separately, repeated placeholders are skipped.
    fn frame(&mut self, element: &BytesStart<'_>) -> Act {
        let class = attribute(element, "class");
        let class = class.as_deref().unwrap_or_default();
        self.is_title = self.has_slides && class == "title";
        match self.has_slides && FURNITURE.contains(&class) {
            true => Act::Skip,
            false => Act::Through,
        }
    }
}

impl Dialect for Open {
    const BARE: bool = true;

    fn start(&mut self, name: &str, element: &BytesStart<'_>, writer: &mut Writer) -> Act {
        match name {
            "list-style" => {
                let name = attribute(element, "name").unwrap_or_default();
                self.style = name.chars().take(LONGEST_NAME).collect();
                keep(&mut self.styles, self.style.clone(), [false; LEVELS]);
                return Act::Through;
            }
            "style" => {
                let name = attribute(element, "name").unwrap_or_default();
                self.other_style = name.chars().take(LONGEST_NAME).collect();
                return Act::Through;
            }
            "drawing-page-properties" => {
                let is_hidden =
                    attribute(element, "visibility").is_some_and(|shown| shown == "hidden");
                keep(&mut self.hiding, self.other_style.clone(), is_hidden);
                return Act::Through;
            }
            "list-level-style-number" | "list-level-style-bullet" => {
                self.level_of_style(name, element);
                return Act::Skip;
            }
            "master-styles" | "font-face-decls" | "scripts" | "forms" => return Act::Skip,
            _ if self.styles_only => return Act::Through,
            _ => (),
        }
        match name {
            "tracked-changes" | "annotation" | "note-citation" | "ruby-text" => Act::Skip,
            // Alternative text of a picture.
            "title" | "desc" if element.name().as_ref().starts_with("svg:") => Act::Skip,
            "h" => {
                let level =
                    attribute(element, "outline-level").and_then(|level| level.parse().ok());
                Act::Block(Block::Heading(level.unwrap_or(1)))
            }
            "p" => Act::Block(match attribute(element, "style-name").as_deref() {
                Some("Title") => Block::Heading(1),
                _ => Block::Paragraph,
            }),
            "list" => {
                self.open_list(element);
                Act::Through
            }
            "list-item" => {
                self.open_item(writer);
                Act::Through
            }
            "s" | "tab" => {
                writer.text(" ");
                Act::Through
            }
            "line-break" => {
                writer.line_break();
                Act::Through
            }
            "table" => Act::Table,
            "table-row" => Act::Row,
            "table-cell" | "covered-table-cell" => Act::Cell,
            "note" => {
                self.notes += 1;
                writer.text(&format!("[^{}]", self.notes));
                Act::Through
            }
            "note-body" => Act::Note(self.notes),
            "page" => {
                let style = attribute(element, "style-name").unwrap_or_default();
                self.slide.is_hidden = self.hiding.get(style.as_ref()).copied().unwrap_or(false);
                Act::Through
            }
            "frame" => self.frame(element),
            "text-box" if self.is_title && self.aside.is_none() && self.slide.title.is_none() => {
                self.aside = Some(Aside::Title);
                Act::Aside
            }
            "notes" if self.has_slides => {
                self.aside = Some(Aside::Notes);
                Act::Aside
            }
            _ => Act::Through,
        }
    }

    fn end(&mut self, name: &str, writer: &mut Writer) {
        if self.styles_only {
            return;
        }
        match (name, self.aside) {
            ("list", _) => {
                self.lists.pop();
                writer.no_item();
            }
            ("list-item", _) => writer.no_item(),
            ("text-box", Some(Aside::Title)) => {
                self.slide.title = writer.take_aside();
                self.aside = None;
            }
            ("notes", Some(Aside::Notes)) => {
                self.slide.notes = writer.take_aside();
                self.aside = None;
            }
            ("page", _) if self.has_slides => self.end_slide(writer),
            _ => (),
        }
    }
}
