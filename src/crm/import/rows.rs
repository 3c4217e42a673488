//! The rows of a preview: result, old and new values of each, counts with links to their rows, and problems by column.

use std::collections::BTreeMap;

use kernel::text::{ellipsis, one_line};
use serde::Deserialize;
use sheet::Table;
use web::format::query_value;
use web::parts::{Share, Tone, shares};

use super::{Preview, numbered};
use crate::model::{Goes, Import, RowProblem};
use crate::rules::{Fate, RowSeen};

/// Rows per page.
const PAGE: usize = 50;
/// Maximum characters of a cell.
const CELL: usize = 60;
/// Maximum number of rows named with a problem.
const NAMED: usize = 3;
/// Anchor of the rows on the page.
const PLACE: &str = "#preview-rows";
/// The filter word for rows with a problem.
const PROBLEMS: &str = "problems";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RowsParams {
    /// The result word, or the word for problems; empty for all rows.
    show: String,
    /// Heading of the column with the problem; empty for any.
    column: String,
    /// Page number, from 0.
    page: usize,
    /// Whether the request refers to an existing trial.
    on: bool,
}

impl RowsParams {
    /// Whether an existing trial may be shown although the workspace has changed since.
    pub(super) fn goes_on(&self) -> bool {
        self.on
    }

    /// The address of the same view.
    pub(super) fn view_url(&self, base: &str) -> String {
        address(base, &self.show, &self.column, self.page)
    }
}

/// A count with a link to its rows.
pub(super) struct RowsFilter {
    pub(super) label: &'static str,
    pub(super) count: usize,
    pub(super) href: String,
    pub(super) tone: Tone,
    /// Whether its rows are shown.
    pub(super) current: bool,
}

/// A problem of a column, or of whole rows.
pub(super) struct ToCheck {
    /// Heading of the column.
    pub(super) label: String,
    /// Its first problem as a sentence.
    pub(super) says: String,
    /// The affected rows, such as `rows 4, 61 and 97`.
    pub(super) rows: String,
    pub(super) count: usize,
    pub(super) href: String,
    pub(super) tone: Tone,
    pub(super) current: bool,
}

/// A cell of the file with its result.
pub(super) struct CellLine {
    pub(super) text: String,
    /// The replaced value of the record; empty if none.
    pub(super) old: String,
    /// Why the cell stays empty; empty if it is imported.
    pub(super) says: String,
    /// Whether its column is not mapped.
    pub(super) skip: bool,
}

/// A row of the file with its result.
pub(super) struct RowLine {
    pub(super) number: u32,
    /// The result word; empty if unknown.
    pub(super) fate: &'static str,
    pub(super) label: &'static str,
    /// The matched record; empty if none.
    pub(super) met: String,
    /// Why the row is refused; empty if it is not.
    pub(super) says: String,
    /// One per column of the file.
    pub(super) cells: Vec<CellLine>,
}

/// The rows of a preview.
pub(super) struct RowsView {
    /// Counts by result; empty if unknown.
    pub(super) filters: Vec<RowsFilter>,
    /// The counts as parts of a bar, and in words.
    pub(super) bar: Vec<Share>,
    pub(super) bar_label: String,
    pub(super) to_check: Vec<ToCheck>,
    /// Number of problems that are counted without a row.
    pub(super) untold: usize,
    pub(super) rows: Vec<RowLine>,
    /// Links to the previous and next page; empty if none.
    pub(super) earlier: String,
    pub(super) later: String,
}

type Problems<'p> = BTreeMap<u32, Vec<&'p RowProblem>>;

/// Address of a page of rows.
fn address(base: &str, show: &str, column: &str, page: usize) -> String {
    let (show, column) = (query_value(show), query_value(column));
    format!("{base}?show={show}&column={column}&page={page}&on=true")
}

/// Link to a page of rows, with the anchor.
fn href(base: &str, show: &str, column: &str, page: usize) -> String {
    address(base, show, column, page) + PLACE
}

/// One page of the requested rows; the rows as in the file if nothing could be tried.
pub(super) fn view(
    base: &str,
    (import, table): (&Import, &Table),
    seen: Option<&Preview>,
    params: &RowsParams,
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
            params.column.is_empty() || here.iter().any(|one| one.column == params.column)
        }),
        word => row.is_some_and(|row| row.fate.word() == word),
    };
    let of =
        |fate: Fate| all.iter().filter(|(_, row)| row.is_some_and(|row| row.fate == fate)).count();
    let counts: Vec<(Fate, usize)> = Fate::ALL.iter().map(|fate| (*fate, of(*fate))).collect();
    let fitting = all.iter().filter(|((number, _), row)| fits(&params.show, *number, *row));
    let from = params.page.saturating_mul(PAGE);
    let mut page: Vec<_> = fitting.skip(from).take(PAGE + 1).collect();
    let turned = |page: usize| href(base, &params.show, &params.column, page);
    let later = match PAGE < page.len() && seen.is_some() {
        true => turned(params.page + 1),
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
            filters(base, (all.len(), &counts), params)
        } else {
            Vec::new()
        },
        bar: shares(&counts.iter().map(|(fate, n)| (wide(*n), tone(*fate))).collect::<Vec<_>>()),
        bar_label: counts
            .iter()
            .map(|(fate, n)| format!("{}: {n}", fate.label()))
            .collect::<Vec<_>>()
            .join(", "),
        to_check: seen.map_or_else(Vec::new, |seen| to_check(base, seen, params)),
        untold: seen.map_or(0, |seen| seen.wrong.values().sum::<usize>() - found.len()),
        rows: page.into_iter().map(line).collect(),
        earlier: match params.page {
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

/// The counts by result, with links.
fn filters(
    base: &str,
    (rows, counts): (usize, &[(Fate, usize)]),
    params: &RowsParams,
) -> Vec<RowsFilter> {
    let one = |show: &str, label: &'static str, count: usize, tone: Tone| RowsFilter {
        label,
        count,
        href: href(base, show, "", 0),
        tone,
        current: params.show == show,
    };
    let mut filters = vec![one("", "All rows", rows, Tone::Neutral)];
    filters.extend(
        counts.iter().map(|(fate, count)| one(fate.word(), fate.label(), *count, tone(*fate))),
    );
    filters
}

/// The problems by column, refused rows first.
fn to_check(base: &str, seen: &Preview, params: &RowsParams) -> Vec<ToCheck> {
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
            current: params.show == show && params.column == column,
        }
    };
    columns.into_iter().map(one).collect()
}

/// The first problem of these rows, with its row unless all have the same.
fn first_sentence(here: &[&RowProblem]) -> String {
    match here {
        [] => String::new(),
        [first, others @ ..] if others.iter().all(|one| one.says == first.says) => {
            first.says.clone()
        }
        [first, ..] => format!("Row {}: {}", first.row, first.says),
    }
}

/// The first rows with a problem, such as `rows 4, 61, 97 and 2 more`.
fn named(here: &[&RowProblem], count: usize) -> String {
    let first: Vec<String> = here.iter().take(NAMED).map(|one| one.row.to_string()).collect();
    let rows = format!("{} {}", if count == 1 { "row" } else { "rows" }, first.join(", "));
    match count.saturating_sub(first.len()) {
        0 => rows,
        more => format!("{rows} and {more} more"),
    }
}

/// A row with its known results.
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
