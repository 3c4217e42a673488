//! Walk over XML that all office formats share. A dialect classifies elements; the walk handles them.

use quick_xml::events::{BytesStart, Event};
use sheet::package::{Fault, Part, resolve};

use super::super::markdown::{Block, Writer};

/// Classification of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// No effect of its own; children are read.
    Through,
    /// Skipped with its content.
    Skip,
    /// Its content is text.
    Text,
    Block(Block),
    Table,
    Row,
    Cell,
    /// Text of a footnote.
    Note(usize),
    /// Text that the reader fetches separately.
    Aside,
}

/// A format.
pub(super) trait Dialect {
    /// Text may be directly in a block, not only in text elements.
    const BARE: bool;

    /// Classifies an element.
    fn start(&mut self, name: &str, element: &BytesStart<'_>, writer: &mut Writer) -> Act;

    /// Called at the end of an element that was not skipped.
    fn end(&mut self, _name: &str, _writer: &mut Writer) {}
}

/// Reads a part to its end or until the writer is full.
pub(super) fn walk<D: Dialect>(
    part: &mut Part<'_, '_>,
    writer: &mut Writer,
    dialect: &mut D,
) -> Result<(), Fault> {
    let mut open: Vec<Act> = Vec::new();
    let mut skipped = 0_usize;
    while !writer.is_full() {
        let shown = match D::BARE {
            true => writer.kind().is_some(),
            false => open.last() == Some(&Act::Text),
        };
        match part.next()? {
            Event::Eof => return Ok(()),
            Event::Start(_) if skipped > 0 => skipped += 1,
            Event::End(_) if skipped > 0 => skipped -= 1,
            _ if skipped > 0 => (),
            Event::Start(element) => {
                match dialect.start(element.local_name().as_ref(), &element, writer) {
                    Act::Skip => skipped = 1,
                    act => {
                        begin(act, writer);
                        open.push(act);
                    }
                }
            }
            Event::End(element) => {
                if let Some(act) = open.pop() {
                    finish(act, writer);
                    dialect.end(element.local_name().as_ref(), writer);
                }
            }
            Event::Text(text) if shown => writer.text(&text.xml10_content()),
            Event::CData(text) if shown => writer.text(&text.xml10_content()),
            Event::GeneralRef(reference) if shown => {
                let mut text = String::new();
                resolve(&reference, &mut text);
                writer.text(&text);
            }
            _ => (),
        }
    }
    Ok(())
}

fn begin(act: Act, writer: &mut Writer) {
    match act {
        Act::Through | Act::Skip | Act::Text => (),
        Act::Block(kind) => writer.open(kind),
        Act::Table => writer.open_table(),
        Act::Row => writer.open_row(),
        Act::Cell => writer.open_cell(),
        Act::Note(label) => writer.open_note(label),
        Act::Aside => writer.open_aside(),
    }
}

fn finish(act: Act, writer: &mut Writer) {
    match act {
        Act::Through | Act::Skip | Act::Text | Act::Row => (),
        Act::Block(_) => writer.close(),
        Act::Table => writer.close_table(),
        Act::Cell => writer.close_cell(),
        Act::Note(_) => writer.close_note(),
        Act::Aside => writer.close_aside(),
    }
}

/// Alternative representations for newer and older programs; the first one is read.
#[derive(Default)]
pub(super) struct Branches {
    /// For each open choice, whether a branch was taken.
    open: Vec<bool>,
}

impl Branches {
    /// Whether the element is a branch to skip.
    pub(super) fn skips(&mut self, name: &str) -> bool {
        match name {
            "AlternateContent" => {
                self.open.push(false);
                false
            }
            "Choice" | "Fallback" => {
                self.open.last_mut().is_some_and(|taken| std::mem::replace(taken, true))
            }
            _ => false,
        }
    }

    pub(super) fn end(&mut self, name: &str) {
        if name == "AlternateContent" {
            self.open.pop();
        }
    }
}
