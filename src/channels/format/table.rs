//! Tables as aligned text, for platforms without tables.

use comrak::nodes::{AstNode, NodeValue, TableAlignment};

/// Cells are not padded beyond this width.
const MAX_WIDTH: usize = 40;

/// Draws a table in a fixed-width font.
pub(crate) fn draw<'a>(table: &'a AstNode<'a>, alignments: &[TableAlignment]) -> String {
    let rows: Vec<Vec<String>> = table.children().map(cells).collect();
    let mut widths = vec![1; alignments.len()];
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = width(cell).min(MAX_WIDTH).max(*most);
        }
    }
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let columns = row.iter().zip(&widths).zip(alignments);
        let padded: Vec<_> =
            columns.map(|((cell, width), side)| pad(cell, *width, *side)).collect();
        out.push_str(padded.join(" | ").trim_end());
        out.push('\n');
        if index == 0 {
            let lines: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
            out.push_str(&lines.join("-|-"));
            out.push('\n');
        }
    }
    out
}

/// The texts of a row, without empty cells at the end.
fn cells<'a>(row: &'a AstNode<'a>) -> Vec<String> {
    let mut cells: Vec<String> = row.children().map(text).collect();
    let len = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    cells.truncate(len);
    cells
}

fn text<'a>(cell: &'a AstNode<'a>) -> String {
    let mut text = String::new();
    for node in cell.descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(piece) => text.push_str(piece),
            NodeValue::Code(code) => text.push_str(&code.literal),
            NodeValue::HtmlInline(tag) if tag.starts_with("<br") => text.push(' '),
            NodeValue::HtmlInline(tag) => text.push_str(tag),
            NodeValue::SoftBreak | NodeValue::LineBreak => text.push(' '),
            _ => {}
        }
    }
    text.replace(['\n', '\r'], " ").trim().to_owned()
}

fn pad(cell: &str, to: usize, side: TableAlignment) -> String {
    let free = to.saturating_sub(width(cell));
    let left = match side {
        TableAlignment::Right => free,
        TableAlignment::Center => free / 2,
        _ => 0,
    };
    format!("{}{cell}{}", " ".repeat(left), " ".repeat(free - left))
}

/// Columns that a text takes in a fixed-width font, roughly.
fn width(text: &str) -> usize {
    let columns = text.chars().map(|c| match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF => 2,
        0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF => 2,
        0x20000..=0x3FFFD => 2,
        _ => 1,
    });
    columns.sum()
}
