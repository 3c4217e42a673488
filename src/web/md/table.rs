//! Tables with column widths: those whose delimiter row has 50 signs, dashes and colons.
//!
//! Each sign is two percent of the width of the table, so `|--------------------|------------------------------|` is 40
//! and 60 percent. Rows of another length, which people and other programs write, say nothing about widths, and other
//! programs ignore the length.

use std::fmt::Write as _;

use comrak::Arena;
use comrak::nodes::{AstNode, NodeValue};

/// Signs of a delimiter row with widths.
const SIGNS: usize = 50;
/// Minimum signs of a column.
const LEAST: usize = 3;

/// Adds the widths that delimiter rows in `text` state to the tables.
pub(crate) fn size<'a>(arena: &'a Arena<'a>, root: &'a AstNode<'a>, text: &str) {
    let tables: Vec<_> =
        root.descendants().filter_map(|node| place(node).map(|place| (node, place))).collect();
    if tables.is_empty() {
        return;
    }
    let lines: Vec<&str> = text.lines().collect();
    for (table, (columns, line)) in tables {
        let found = lines.get(line).and_then(|row| widths(row));
        let Some(widths) = found.filter(|widths| widths.len() == columns) else { continue };
        let mut html = "<colgroup>".to_owned();
        for width in widths {
            // ok: writing to a `String` does not fail.
            let _ = write!(html, "<col width=\"{width}%\">");
        }
        html.push_str("</colgroup>\n");
        table.prepend(arena.alloc(NodeValue::Raw(html).into()));
    }
}

/// The number of columns of a table, and the index of its delimiter row: that below the headings, which are one line.
fn place<'a>(node: &'a AstNode<'a>) -> Option<(usize, usize)> {
    let data = node.data.borrow();
    match &data.value {
        NodeValue::Table(table) => Some((table.num_columns, data.sourcepos.start.line)),
        _ => None,
    }
}

/// The widths of a delimiter row in percent; `None` if it states none.
fn widths(line: &str) -> Option<Vec<usize>> {
    // The marks of lists and quotes are in front of the row.
    let row = line.rsplit(|sign: char| !"|:- \t".contains(sign)).next()?.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let row = row.strip_suffix('|').unwrap_or(row);
    let signs: Vec<usize> = row.split('|').map(|cell| cell.trim().len()).collect();
    let is_stated = 1 < signs.len()
        && signs.iter().all(|count| LEAST <= *count)
        && signs.iter().sum::<usize>() == SIGNS;
    is_stated.then(|| signs.iter().map(|count| count * 100 / SIGNS).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{excerpt, plain};
    use super::widths;
    use crate::blocks::editable;

    fn row(signs: &[usize]) -> String {
        let cells: Vec<_> = signs.iter().map(|count| "-".repeat(*count)).collect();
        format!("| {} |", cells.join(" | "))
    }

    #[test]
    fn a_table_has_the_widths_of_its_delimiter_row() {
        const COLS: &str = "<colgroup><col width=\"40%\"><col width=\"60%\"></colgroup>";
        let under = row(&[20, 30]);
        let text = format!("Words\n\n| Part | Price |\n{under}\n| Chain | 24 |\n");
        let html = plain(&text);
        assert!(html.as_str().contains(COLS), "{html}");
        assert!(html.as_str().contains("<td>Chain</td>"), "{html}");
        assert!(editable(&text)[1].html.contains(COLS), "{:?}", editable(&text));
        assert_eq!(excerpt(&text, 80), "Words Part Price Chain 24");
        // The same in a quote, in a list, below words, with line ends of Windows, and without a row of its own.
        for text in [
            format!("> | Part | Price |\n> {under}\n> | Chain | 24 |\n"),
            format!("- | Part | Price |\n  {under}\n  | Chain | 24 |\n"),
            format!("Words\n| Part | Price |\n{under}\n| Chain | 24 |\n"),
            format!("# Heading\r\n\r\n| Part | Price |\r\n{under}\r\n| Chain | 24 |\r\n"),
            format!("---\na: 1\n---\n\n| Part | Price |\n{under}\n"),
        ] {
            let html = plain(&text);
            assert!(html.as_str().contains(COLS), "{text}{html}");
            assert_eq!(html.as_str().matches("<table").count(), 1, "{text}{html}");
        }
        let other = plain("| Part | Price |\n| --- | ------------- |\n| Chain | 24 |\n");
        assert!(!other.as_str().contains("<col"), "{other}");
    }

    #[test]
    fn fifty_signs_are_widths() {
        assert_eq!(widths(&row(&[20, 30])), Some(vec![40, 60]));
        assert_eq!(
            widths(":---|-----------------------:|:--------------------:"),
            Some(vec![8, 48, 44])
        );
        for other in [&[25][..], &[50], &[3, 3], &[20, 31], &[2, 48], &[48, 2]] {
            assert_eq!(widths(&row(other)), None, "{other:?}");
        }
        assert_eq!(widths("Words"), None);
    }
}
