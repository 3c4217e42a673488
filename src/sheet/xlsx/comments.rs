//! Comments on the cells of a sheet.

use quick_xml::events::Event;

use super::super::package::{Fault, Package, all_of_kind, attribute, resolve};
use super::super::{MAX_CELL, MAX_FAR, Placed, SheetError};

const WHAT: &str = "the comments on its cells";
/// Longest cell address.
const LONGEST_PLACE: usize = 20;

/// Comments on a sheet, up to about `most` bytes of text. Threaded comments replace the legacy notes that stand for
/// them.
pub(super) fn read(
    package: &mut Package<'_>,
    sheet: &str,
    most: usize,
) -> Result<Vec<Placed>, SheetError> {
    let relations = package.relations(sheet, WHAT)?;
    let mut paths = all_of_kind(&relations, "/threadedComment");
    if paths.is_empty() {
        paths = all_of_kind(&relations, "/comments");
    }
    let (mut comments, mut left) = (Vec::new(), most);
    for path in paths {
        match part(package, &path, &mut left, &mut comments) {
            // Damaged comments do not fail the sheet.
            Ok(()) | Err(Fault::Damaged { .. } | Fault::LongText { .. }) => (),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(comments)
}

fn part(
    package: &mut Package<'_>,
    path: &str,
    left: &mut usize,
    comments: &mut Vec<Placed>,
) -> Result<(), Fault> {
    let Some(mut part) = package.part(path, WHAT)? else { return Ok(()) };
    let mut open: Option<Placed> = None;
    let mut within = false;
    loop {
        let mut text = String::new();
        match part.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                "comment" | "threadedComment" => {
                    let place = attribute(&element, "ref").unwrap_or_default();
                    let place = place.chars().take(LONGEST_PLACE).collect();
                    open = Some(Placed { place, text: String::new() });
                }
                "t" => within = true,
                // A threaded comment has its text in the element; a legacy note has runs.
                "text" => within = path.to_ascii_lowercase().contains("threaded"),
                "rPh" => within = false,
                _ => (),
            },
            Event::End(element) => match element.local_name().as_ref() {
                "t" | "text" => within = false,
                "comment" | "threadedComment" => {
                    let words = open.take().filter(|comment| !comment.text.trim().is_empty());
                    comments.extend(words);
                    if comments.len() >= MAX_FAR || *left == 0 {
                        return Ok(());
                    }
                }
                _ => (),
            },
            Event::Text(letters) if within => text.push_str(&letters.xml10_content()),
            Event::CData(letters) if within => text.push_str(&letters.xml10_content()),
            Event::GeneralRef(reference) if within => resolve(&reference, &mut text),
            Event::Eof => return Ok(()),
            _ => (),
        }
        if let Some(open) = open.as_mut().filter(|open| open.text.len() < MAX_CELL) {
            *left = left.saturating_sub(text.len());
            open.text.push_str(&text);
        }
    }
}
