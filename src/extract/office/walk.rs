//! The one walk over XML of all office formats: a dialect says what each element is, the walk does it.

use quick_xml::events::{BytesStart, Event};
use sheet::package::{Fault, Part, resolve};

use super::super::markdown::{Block, Writer};

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing by itself; what stands in it is read.
    Through,
    /// It is left out with all that stands in it.
    Skip,
    /// What stands in it is shown as it is.
    Text,
    Block(Block),
    /// A table, its rows and its cells.
    Table,
    Row,
    Cell,
    /// The text of a note.
    Note(usize),
    /// A text that is asked for by itself.
    Aside,
}

/// A format.
pub(super) trait Dialect {
    /// Whether text stands anywhere in a block, or only in elements for it.
    const BARE: bool;

    /// What an element is.
    fn start(&mut self, name: &str, element: &BytesStart<'_>, writer: &mut Writer) -> Act;

    /// An element has ended that was not left out.
    fn end(&mut self, _name: &str, _writer: &mut Writer) {}
}

/// Reads a part to its end, or until nothing more is taken.
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

/// Of several ways to show one thing, of which newer and older programs each take one, the first.
#[derive(Default)]
pub(super) struct Branches {
    /// For each open choice, whether one was taken.
    open: Vec<bool>,
}

impl Branches {
    /// Whether the element is a branch that is not taken.
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
