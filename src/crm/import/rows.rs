//! The rows of a preview: what becomes of each, with old and new values in its cells, and counts that lead to those of one
//! kind.

use std::collections::BTreeMap;

use serde::Deserialize;
use sheet::Table;

use super::{Preview, numbered};
use crate::model::RowProblem;
use crate::rules::{Fate, RowSeen};

/// Rows of a page.
const PAGE: usize = 50;
/// The word for rows with a problem.
const PROBLEMS: &str = "problems";

/// Which rows are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RowsAsked {
    /// The word of what becomes of them, or of problems; empty for all.
    show: String,
    /// Which page of them, from 0.
    page: usize,
}

/// A count that leads to its rows.
pub(super) struct RowsFilter {
    pub(super) label: &'static str,
    pub(super) count: usize,
    pub(super) href: String,
    /// The kind of its button: the one that is chosen stands out.
    pub(super) kind: &'static str,
}

/// A cell of the file, and what becomes of it.
pub(super) struct CellLine {
    pub(super) text: String,
    /// What stands in the record and gives way; empty when nothing does.
    pub(super) old: String,
    /// Why the cell stays empty; nothing when it comes in.
    pub(super) says: String,
}

/// A row of the file, and what becomes of it.
pub(super) struct RowLine {
    pub(super) number: u32,
    pub(super) fate: &'static str,
    pub(super) label: &'static str,
    /// Why it cannot come in; nothing when it can.
    pub(super) says: String,
    pub(super) cells: Vec<CellLine>,
}

/// The rows of a preview.
pub(super) struct RowsView {
    pub(super) filters: Vec<RowsFilter>,
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<RowLine>,
    /// The pages before and behind; empty when there is none.
    pub(super) earlier: String,
    pub(super) later: String,
}

type Problems<'p> = BTreeMap<u32, Vec<&'p RowProblem>>;

/// The rows that are asked for, one page of them.
pub(super) fn view(base: &str, table: &Table, seen: &Preview, asked: &RowsAsked) -> RowsView {
    let mut problems = Problems::new();
    for problem in &seen.came.problems {
        problems.entry(problem.row).or_default().push(problem);
    }
    let all: Vec<_> = numbered(table, 0, seen.rows).into_iter().zip(&seen.came.rows).collect();
    let href = |show: &str, page: usize| format!("{base}?show={show}&page={page}#preview-rows");
    let fits = |show: &str, number: u32, row: &RowSeen| match show {
        "" => true,
        PROBLEMS => problems.contains_key(&number),
        word => row.fate.word() == word,
    };
    let kinds = Fate::ALL.iter().filter(|fate| **fate != Fate::Wrong);
    let kinds = kinds.map(|fate| (fate.word(), fate.label())).chain([(PROBLEMS, "Problems")]);
    let filters = std::iter::once(("", "All rows")).chain(kinds).map(|(word, label)| RowsFilter {
        label,
        count: all.iter().filter(|((number, _), row)| fits(word, *number, row)).count(),
        href: href(word, 0),
        kind: if asked.show == word { "soft" } else { "ghost" },
    });
    let filters = filters.collect();
    let fitting = all.iter().filter(|((number, _), row)| fits(&asked.show, *number, row));
    let from = asked.page.saturating_mul(PAGE);
    let mut page: Vec<_> = fitting.skip(from).take(PAGE + 1).collect();
    let later = if PAGE < page.len() { href(&asked.show, asked.page + 1) } else { String::new() };
    page.truncate(PAGE);
    let goes = |n: &usize| seen.keys.get(*n).is_some_and(Option::is_some);
    let columns: Vec<usize> = (0..table.headers.len()).filter(goes).collect();
    let line = |((number, cells), row): &((u32, &[String]), &RowSeen)| {
        let wrong = problems.get(number).map(Vec::as_slice).unwrap_or_default();
        let whole = wrong.iter().find(|one| one.column.is_empty());
        RowLine {
            number: *number,
            fate: row.fate.word(),
            label: row.fate.label(),
            says: whole.map_or_else(String::new, |one| one.says.clone()),
            cells: columns.iter().map(|n| cell(table, (*n, cells), (seen, row), wrong)).collect(),
        }
    };
    RowsView {
        filters,
        heads: columns.iter().filter_map(|n| table.headers.get(*n).cloned()).collect(),
        rows: page.into_iter().map(line).collect(),
        earlier: match asked.page {
            0 => String::new(),
            page => href(&asked.show, page - 1),
        },
        later,
    }
}

fn cell(
    table: &Table,
    (n, cells): (usize, &[String]),
    (seen, row): (&Preview, &RowSeen),
    wrong: &[&RowProblem],
) -> CellLine {
    let key = seen.keys.get(n).and_then(Option::as_deref).unwrap_or_default();
    let header = table.headers.get(n).map_or("", String::as_str);
    let changed = row.cells.iter().find(|one| one.key == key);
    let text = cells.get(n).map_or("", |text| text.trim());
    let shown = changed.map_or(text, |one| one.new.as_str());
    let problem = wrong.iter().find(|one| one.column == header && !header.is_empty());
    CellLine {
        text: kernel::text::ellipsis(&kernel::text::one_line(shown), 60),
        old: changed.map_or_else(String::new, |one| kernel::text::ellipsis(&one.old, 60)),
        says: problem.map_or_else(String::new, |one| one.says.clone()),
    }
}
