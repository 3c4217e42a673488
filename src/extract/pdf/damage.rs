//! Report of missing pages in a cut-off file, such as an interrupted download.

use super::object::File;
use super::value::Value;
use super::{Page, Root};

/// Names the pages of a cut-off file that were read; `None` if no page is missing.
pub(super) fn missing(file: &File<'_>, pages: &[Page<'_>], root: Root) -> Option<String> {
    if !file.is_cut_off() {
        return None;
    }
    let whole: Vec<usize> =
        (1..).zip(pages).filter(|(_, page)| is_whole(file, page)).map(|(n, _)| n).collect();
    match root {
        Root::Found { pages: all } if whole.len() == all => None,
        Root::Found { pages: all } if !whole.is_empty() => {
            let word = if whole.len() == 1 { "page" } else { "pages" };
            Some(format!("damaged: {word} {} of {all} read", ranges(&whole)))
        }
        _ => Some("damaged: only the beginning was read".to_owned()),
    }
}

/// Whether all content of a page is in the file.
fn is_whole(file: &File<'_>, page: &Page<'_>) -> bool {
    if page.dict.is_empty() {
        return false;
    }
    let contents = match page.dict.get("Contents") {
        None => &[],
        Some(contents) => match file.real(contents) {
            Value::List(list) => list.as_slice(),
            _ => std::slice::from_ref(contents),
        },
    };
    let fonts = file.get(page.resources, "Font").dict();
    let mut fonts = fonts.into_iter().flat_map(|fonts| fonts.values());
    contents.iter().all(|one| match file.real(one) {
        Value::Stream(_, place) => !file.ends_at(place),
        _ => false,
    }) && fonts.all(|font| *file.real(font) != Value::Null)
}

/// Page numbers as ranges: "1 to 12, 14".
pub(super) fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let ranges = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
}
