//! PowerPoint slides (PPTX) in presentation order: title, text, tables, comments and speaker notes.

use quick_xml::events::{BytesStart, Event};
use sheet::package::{Package, all_of_kind, attribute, of_kind, resolve};

use super::super::markdown::{Block, Writer};
use super::super::{Found, Refused};
use super::walk::{Act, Branches, Dialect, walk};
use super::{SlideText, charts};

const MOST_SLIDES: usize = 5_000;
/// Limit of comments per slide.
const MOST_COMMENTS: usize = 1_000;
/// Placeholders without content of the slide.
const FURNITURE: &[&str] = &["dt", "ftr", "hdr", "sldNum", "sldImg"];

pub(crate) fn pptx(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mut package = super::open(bytes, found)?;
    let (main, relations) = super::main_part(&mut package)?;
    super::title(&mut package, super::PROPERTIES, found)?;
    let slides: Vec<String> = order(&mut package, &main)?
        .iter()
        .filter_map(|id| relations.get(id))
        .map(|relation| relation.path.clone())
        .collect();
    found.pages = u32::try_from(slides.len()).ok();
    for (number, path) in (1..).zip(&slides) {
        if found.is_full() {
            break;
        }
        let mut writer = found.writer();
        let mut shown = Slide::new(Shows::Slide);
        if let Some(mut part) = package.part(path, "a slide")? {
            walk(&mut part, &mut writer, &mut shown)?;
        }
        let body = writer.take();
        let title = shown.aside.or_else(|| writer.take_aside());
        let relations = package.relations(path, "a slide")?;
        let paths = all_of_kind(&relations, "/chart");
        let mut body = vec![body];
        body.extend(charts::words(&mut package, &paths)?);
        body.extend(comments(&mut package, &all_of_kind(&relations, "/comments"))?);
        body.retain(|text| !text.is_empty());
        let mut noted = Slide::new(Shows::Notes);
        if let Some(path) = of_kind(&relations, "/notesSlide")
            && let Some(mut part) = package.part(path, "the notes of a slide")?
        {
            walk(&mut part, &mut writer, &mut noted)?;
            // At the limit, asides are still open.
            writer.take();
            noted.aside = noted.aside.or_else(|| writer.take_aside());
        }
        let (notes, body, is_hidden) = (noted.aside, body.join("\n\n"), shown.is_hidden);
        let slide = SlideText { title, body, notes, is_hidden };
        found.push(Some(number), super::slide(number, &slide));
        found.cut |= writer.is_full();
    }
    Ok(())
}

/// Comments on a slide, as a list.
fn comments(package: &mut Package<'_>, paths: &[String]) -> Result<Option<String>, Refused> {
    let mut points: Vec<String> = Vec::new();
    for path in paths {
        let Some(mut part) = package.part(path, "the comments on a slide")? else { continue };
        let (mut text, mut within) = (String::new(), false);
        while points.len() < MOST_COMMENTS {
            match part.next()? {
                Event::Start(element) => {
                    within = matches!(element.local_name().as_ref(), "t" | "text");
                }
                Event::Text(letters) if within => text.push_str(&letters.xml10_content()),
                Event::GeneralRef(reference) if within => resolve(&reference, &mut text),
                Event::End(element) => {
                    within = false;
                    if matches!(element.local_name().as_ref(), "p" | "text") {
                        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                        points.extend(Some(words).filter(|words| !words.is_empty()));
                        text.clear();
                    }
                }
                Event::Eof => break,
                _ => (),
            }
        }
    }
    let points = points.into_iter().map(|point| format!("\n- {point}")).collect::<String>();
    Ok(Some(points)
        .filter(|points| !points.is_empty())
        .map(|points| format!("Comments:\n{points}")))
}

/// Parts of the slides, in presentation order.
fn order(package: &mut Package<'_>, main: &str) -> Result<Vec<String>, Refused> {
    let mut slides = Vec::new();
    let Some(mut part) = package.part(main, "the list of its slides")? else {
        return Err(Refused::Damaged);
    };
    loop {
        match part.next()? {
            Event::Start(element) if element.local_name().as_ref() == "sldId" => {
                // The slide's own number is also called `id`; the relation's id has a namespace prefix.
                let related = element.attributes().with_checks(false).flatten().find(|one| {
                    one.key.prefix().is_some() && one.key.local_name().as_ref() == "id"
                });
                slides.extend(related.map(|one| one.value.into_owned()));
                if slides.len() >= MOST_SLIDES {
                    return Ok(slides);
                }
            }
            Event::Eof => return Ok(slides),
            _ => (),
        }
    }
}

/// Content wanted from a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Slide,
    /// Speaker notes only.
    Notes,
}

/// Kind of a shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Title,
    /// Body placeholder, whose paragraphs are list items.
    Content,
    Speaker,
    Furniture,
}

struct Slide {
    shows: Shows,
    /// Title or speaker notes.
    aside: Option<String>,
    shape: Shape,
    is_hidden: bool,
    branches: Branches,
    /// Level of the paragraph, and the number of the one before it.
    level: usize,
    number: u32,
    is_counted: bool,
}

impl Slide {
    fn new(shows: Shows) -> Self {
        Self {
            shows,
            aside: None,
            shape: Shape::Plain,
            is_hidden: false,
            branches: Branches::default(),
            level: 0,
            number: 0,
            is_counted: false,
        }
    }

    fn place(&mut self, element: &BytesStart<'_>) {
        self.shape = match attribute(element, "type").as_deref() {
            Some("title" | "ctrTitle") => Shape::Title,
            Some(kind) if FURNITURE.contains(&kind) => Shape::Furniture,
            Some("body") if self.shows == Shows::Notes => Shape::Speaker,
            None | Some("obj") => Shape::Content,
            Some(_) => Shape::Plain,
        };
    }

    /// How to read a text body.
    fn frame(&self) -> Act {
        match (self.shows, self.shape) {
            (_, Shape::Furniture) => Act::Skip,
            (Shows::Notes, Shape::Speaker) if self.aside.is_none() => Act::Aside,
            (Shows::Notes, _) => Act::Skip,
            (Shows::Slide, Shape::Title) if self.aside.is_none() => Act::Aside,
            (Shows::Slide, _) => Act::Through,
        }
    }
}

impl Dialect for Slide {
    const BARE: bool = false;

    fn start(&mut self, name: &str, element: &BytesStart<'_>, writer: &mut Writer) -> Act {
        if self.branches.skips(name) {
            return Act::Skip;
        }
        match name {
            "sld" => {
                self.is_hidden =
                    attribute(element, "show").is_some_and(|show| show == "0" || show == "false");
            }
            "sp" | "graphicFrame" | "pic" | "cxnSp" => self.shape = Shape::Plain,
            "ph" => self.place(element),
            "txBody" => {
                self.number = 0;
                return self.frame();
            }
            // Styles contain list marks, too.
            "lstStyle" | "extLst" => return Act::Skip,
            "p" => {
                (self.level, self.is_counted) = (0, false);
                return Act::Block(match self.shape {
                    Shape::Content => Block::Item { level: 0, number: None },
                    _ => Block::Paragraph,
                });
            }
            "pPr" => {
                self.level =
                    attribute(element, "lvl").and_then(|level| level.parse().ok()).unwrap_or(0);
                self.level = self.level.min(8);
                // Marks of body placeholders come from the layout; deeper paragraphs are list items.
                if self.level > 0 || matches!(writer.kind(), Some(Block::Item { .. })) {
                    writer.set_kind(Block::Item { level: self.level as u8, number: None });
                }
            }
            "buChar" | "buBlip" => {
                writer.set_kind(Block::Item { level: self.level as u8, number: None });
            }
            "buAutoNum" => {
                self.is_counted = true;
                self.number = self.number.saturating_add(1);
                let number = Some(self.number);
                writer.set_kind(Block::Item { level: self.level as u8, number });
            }
            "buNone" => writer.set_kind(Block::Paragraph),
            "t" => return Act::Text,
            "br" => writer.line_break(),
            "tbl" => return Act::Table,
            "tr" => return Act::Row,
            "tc" => return Act::Cell,
            _ => (),
        }
        Act::Through
    }

    fn end(&mut self, name: &str, writer: &mut Writer) {
        self.branches.end(name);
        match name {
            "sp" => writer.end_lists(),
            "txBody" if self.aside.is_none() => self.aside = writer.take_aside(),
            "p" if !self.is_counted => self.number = 0,
            _ => (),
        }
    }
}
