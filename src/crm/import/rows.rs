//! The rows of a preview: what becomes of each, with old and new values in its cells, counts that lead to those of one
//! kind, and what is to be checked, by column.

use std::collections::BTreeMap;

use kernel::text::{ellipsis, one_line};
use serde::Deserialize;
use sheet::Table;
use web::format::query_value;
use web::parts::{Share, Tone, shares};

use super::{Preview, numbered};
use crate::model::{Goes, Import, RowProblem};
use crate::rules::{Fate, RowSeen};

/// Rows of a page.
const PAGE: usize = 50;
/// Characters of a cell.
const CELL: usize = 60;
/// Rows that are named beside what is wrong with them.
const NAMED: usize = 3;
/// Where the rows stand on the page.
const PLACE: &str = "#preview-rows";
/// The word for rows with a problem.
const PROBLEMS: &str = "problems";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RowsParams {
    /// The word of what becomes of them, or of problems; empty for all.
    show: String,
    /// The heading of the column that has the problem; empty for any.
    column: String,
    /// Which page of them, from 0.
    page: usize,
    /// Whether it is about what was tried already.
    on: bool,
}

impl RowsParams {
    /// Whether what was tried before may be told of, though the workspace has changed since.
    pub(super) fn goes_on(&self) -> bool {
        self.on
    }

    /// Where the same is asked for again.
    pub(super) fn again(&self, base: &str) -> String {
        address(base, &self.show, &self.column, self.page)
    }
}

/// A count that leads to its rows.
pub(super) struct RowsFilter {
    pub(super) label: &'static str,
    pub(super) count: usize,
    pub(super) href: String,
    pub(super) tone: Tone,
    /// Whether its rows are those on the page.
    pub(super) current: bool,
}

/// What is wrong in a column, or with rows as a whole.
pub(super) struct ToCheck {
    /// The heading of the column.
    pub(super) label: String,
    /// What is wrong the first time, in a sentence.
    pub(super) says: String,
    /// Where, such as `rows 4, 61 and 97`.
    pub(super) rows: String,
    pub(super) count: usize,
    pub(super) href: String,
    pub(super) tone: Tone,
    pub(super) current: bool,
}

/// A cell of the file, and what becomes of it.
pub(super) struct CellLine {
    pub(super) text: String,
    /// What stands in the record and gives way; empty when nothing does.
    pub(super) old: String,
    /// Why the cell stays empty; nothing when it comes in.
    pub(super) says: String,
    /// Whether its column goes nowhere.
    pub(super) skip: bool,
}

/// A row of the file, and what becomes of it.
pub(super) struct RowLine {
    pub(super) number: u32,
    /// The word of what becomes of it; empty when that is not known.
    pub(super) fate: &'static str,
    pub(super) label: &'static str,
    /// The record that it met; empty when it met none.
    pub(super) met: String,
    /// Why it cannot come in; nothing when it can.
    pub(super) says: String,
    /// One for each column of the file.
    pub(super) cells: Vec<CellLine>,
}

/// The rows of a preview.
pub(super) struct RowsView {
    /// Counts of what becomes of rows; none when that is not known.
    pub(super) filters: Vec<RowsFilter>,
    /// The same as parts of a bar, and in words.
    pub(super) bar: Vec<Share>,
    pub(super) bar_label: String,
    pub(super) to_check: Vec<ToCheck>,
    /// How many problems are counted there and stand at no row.
    pub(super) untold: usize,
    pub(super) rows: Vec<RowLine>,
    /// The pages before and behind; empty when there is none.
    pub(super) earlier: String,
    pub(super) later: String,
}

type Problems<'p> = BTreeMap<u32, Vec<&'p RowProblem>>;

/// The page with the rows of one kind.
fn address(base: &str, show: &str, column: &str, page: usize) -> String {
    let (show, column) = (query_value(show), query_value(column));
    format!("{base}?show={show}&column={column}&page={page}&on=true")
}

/// Where the rows of one kind stand.
fn href(base: &str, show: &str, column: &str, page: usize) -> String {
    address(base, show, column, page) + PLACE
}

/// The rows that are asked for, one page of them; as they stand in the file when nothing could be tried.
pub(super) fn view(
    base: &str,
    (import, table): (&Import, &Table),
    seen: Option<&Preview>,
    asked: &RowsParams,
) -> RowsView {
    let found = seen.map(|seen| seen.came.problems.as_slice()).unwrap_or_default();
    let mut problems = Problems::new();
    for problem in found {
        problems.entry(problem.row).or_default().push(problem);
    }
    let looked = seen.map_or(PAGE, |seen| seen.rows);
    let fates = seen.map(|seen| seen.came.rows.as_slice()).unwrap_or_default();
    let fates = fates.iter().map(Some).chain(std::iter::repeat(None));
    let all: Vec<_> = numbered(table, 0, looked).into_iter().zip(fates).collect();
    let fits = |show: &str, number: u32, row: Option<&RowSeen>| match show {
        "" => true,
        PROBLEMS => problems.get(&number).is_some_and(|here| {
            asked.column.is_empty() || here.iter().any(|one| one.column == asked.column)
        }),
        word => row.is_some_and(|row| row.fate.word() == word),
    };
    let of =
        |fate: Fate| all.iter().filter(|(_, row)| row.is_some_and(|row| row.fate == fate)).count();
    let counts: Vec<(Fate, usize)> = Fate::ALL.iter().map(|fate| (*fate, of(*fate))).collect();
    let fitting = all.iter().filter(|((number, _), row)| fits(&asked.show, *number, *row));
    let from = asked.page.saturating_mul(PAGE);
    let mut page: Vec<_> = fitting.skip(from).take(PAGE + 1).collect();
    let turned = |page: usize| href(base, &asked.show, &asked.column, page);
    let later = match PAGE < page.len() && seen.is_some() {
        true => turned(asked.page + 1),
        false => String::new(),
    };
    page.truncate(PAGE);
    let line = |((number, cells), row): &((u32, &[String]), Option<&RowSeen>)| {
        let wrong = problems.get(number).map(Vec::as_slice).unwrap_or_default();
        let whole = wrong.iter().find(|one| one.column.is_empty());
        let here = Here { import, seen, row: *row, wrong };
        RowLine {
            number: *number,
            fate: row.map_or("", |row| row.fate.word()),
            label: row.map_or("", |row| row.fate.label()),
            met: row
                .and_then(|row| row.met.as_ref())
                .map_or_else(String::new, |met| ellipsis(&one_line(&met.name), CELL)),
            says: whole.map_or_else(String::new, |one| one.says.clone()),
            cells: (0..import.columns.len()).map(|n| here.cell(n, cells)).collect(),
        }
    };
    RowsView {
        filters: if seen.is_some() {
            filters(base, (all.len(), &counts), asked)
        } else {
            Vec::new()
        },
        bar: shares(&counts.iter().map(|(fate, n)| (wide(*n), tone(*fate))).collect::<Vec<_>>()),
        bar_label: counts
            .iter()
            .map(|(fate, n)| format!("{}: {n}", fate.label()))
            .collect::<Vec<_>>()
            .join(", "),
        to_check: seen.map_or_else(Vec::new, |seen| to_check(base, seen, asked)),
        untold: seen.map_or(0, |seen| seen.wrong.values().sum::<usize>() - found.len()),
        rows: page.into_iter().map(line).collect(),
        earlier: match asked.page {
            0 => String::new(),
            page => turned(page - 1),
        },
        later,
    }
}

pub(super) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn tone(fate: Fate) -> Tone {
    match fate {
        Fate::New => Tone::Ok,
        Fate::Fills => Tone::Brand,
        Fate::Overwrites => Tone::Warn,
        Fate::Skipped => Tone::Info,
        Fate::Wrong => Tone::Danger,
    }
}

/// The counts of what becomes of rows, each a way to them.
fn filters(
    base: &str,
    (rows, counts): (usize, &[(Fate, usize)]),
    asked: &RowsParams,
) -> Vec<RowsFilter> {
    let one = |show: &str, label: &'static str, count: usize, tone: Tone| RowsFilter {
        label,
        count,
        href: href(base, show, "", 0),
        tone,
        current: asked.show == show,
    };
    let mut filters = vec![one("", "All rows", rows, Tone::Neutral)];
    filters.extend(
        counts.iter().map(|(fate, count)| one(fate.word(), fate.label(), *count, tone(*fate))),
    );
    filters
}

/// What is wrong, by column, rows that cannot come in first.
fn to_check(base: &str, seen: &Preview, asked: &RowsParams) -> Vec<ToCheck> {
    let mut columns: BTreeMap<&str, Vec<&RowProblem>> = BTreeMap::new();
    for problem in &seen.came.problems {
        columns.entry(&problem.column).or_default().push(problem);
    }
    let one = |(column, here): (&str, Vec<&RowProblem>)| {
        let is_whole = column.is_empty();
        let show = if is_whole { Fate::Wrong.word() } else { PROBLEMS };
        let count = seen.wrong.get(column).copied().unwrap_or(here.len());
        ToCheck {
            label: if is_whole { "Whole row".to_owned() } else { column.to_owned() },
            says: first_sentence(&here),
            rows: named(&here, count),
            count,
            href: href(base, show, column, 0),
            tone: if is_whole { Tone::Danger } else { Tone::Warn },
            current: asked.show == show && asked.column == column,
        }
    };
    columns.into_iter().map(one).collect()
}

/// What is wrong in the first of these rows; with its number where it is not the same in all.
fn first_sentence(here: &[&RowProblem]) -> String {
    match here {
        [] => String::new(),
        [first, others @ ..] if others.iter().all(|one| one.says == first.says) => {
            first.says.clone()
        }
        [first, ..] => format!("Row {}: {}", first.row, first.says),
    }
}

/// The first rows that have a problem, such as `rows 4, 61, 97 and 2 more`.
fn named(here: &[&RowProblem], count: usize) -> String {
    let first: Vec<String> = here.iter().take(NAMED).map(|one| one.row.to_string()).collect();
    let rows = format!("{} {}", if count == 1 { "row" } else { "rows" }, first.join(", "));
    match count.saturating_sub(first.len()) {
        0 => rows,
        more => format!("{rows} and {more} more"),
    }
}

/// A row with what is known of it.
struct Here<'r> {
    import: &'r Import,
    seen: Option<&'r Preview>,
    row: Option<&'r RowSeen>,
    wrong: &'r [&'r RowProblem],
}

impl Here<'_> {
    fn cell(&self, n: usize, cells: &[String]) -> CellLine {
        let column = self.import.columns.get(n);
        let header = column.map_or("", |column| column.header.as_str());
        let key = self.seen.and_then(|seen| seen.keys.get(n)).and_then(Option::as_deref);
        let changed = self
            .row
            .and_then(|row| row.cells.iter().find(|one| key.is_some_and(|key| one.key == key)));
        let text = cells.get(n).map_or("", |text| text.trim());
        let shown = changed.map_or(text, |one| one.new.as_str());
        let problem = self.wrong.iter().find(|one| one.column == header && !header.is_empty());
        let skip = column.is_none_or(|column| column.goes == Goes::Nowhere);
        CellLine {
            text: ellipsis(&one_line(shown), CELL),
            old: changed.map_or_else(String::new, |one| ellipsis(&one_line(&one.old), CELL)),
            says: match problem {
                Some(problem) if !skip => problem.says.clone(),
                _ => String::new(),
            },
            skip,
        }
    }
}
