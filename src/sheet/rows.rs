//! The cells of one sheet as they come, up to what a text of it may hold.

use std::collections::BTreeMap;

use super::place::letters;
use super::table::ABOVE;
use super::{MAX_CELL, MAX_CELLS, MAX_COLUMNS, MAX_FAR, MAX_ROWS, Placed, Sheet};

/// The rows that have something in them.
pub(crate) struct Rows {
    rows: BTreeMap<usize, Vec<String>>,
    /// What stands right of the columns that are kept.
    far: Vec<Placed>,
    comments: Vec<Placed>,
    cells: usize,
    /// How many bytes of text may still come.
    left: usize,
    /// Whether a limit was reached, behind which nothing is taken.
    more: bool,
}

impl Rows {
    /// Takes about `most` bytes of text.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            far: Vec::new(),
            comments: Vec::new(),
            cells: 0,
            left: most,
            more: false,
        }
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.more
    }

    /// How many bytes of text may still come.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Puts a text into its cell; row and column count from 0.
    pub(crate) fn put(&mut self, row: usize, column: usize, text: &str) {
        if self.more || text.is_empty() {
            return;
        }
        let is_beyond = self.rows.len() > MAX_ROWS + ABOVE && !self.rows.contains_key(&row);
        if is_beyond || self.far.len() == MAX_FAR || text.len() > MAX_CELL {
            self.more = true;
            return;
        }
        if column >= MAX_COLUMNS {
            let place = format!("{}{}", letters(column), row + 1);
            self.far.push(Placed { place, text: text.to_owned() });
            self.more = self.left < text.len();
            self.left = self.left.saturating_sub(text.len());
            return;
        }
        let cells = self.rows.entry(row).or_default();
        if cells.len() <= column {
            self.cells += column + 1 - cells.len();
            cells.resize(column + 1, String::new());
        }
        text.clone_into(&mut cells[column]);
        // One text may stand in all cells, so each of them counts.
        self.more = self.left < text.len() || self.cells > MAX_CELLS;
        self.left = self.left.saturating_sub(text.len());
    }

    /// Takes what was noted on a cell; row and column count from 0.
    pub(crate) fn note(&mut self, row: usize, column: usize, text: String) {
        if self.more || text.trim().is_empty() || self.comments.len() == MAX_FAR {
            return;
        }
        self.more = self.left < text.len();
        self.left = self.left.saturating_sub(text.len());
        let place = format!("{}{}", letters(column), row + 1);
        self.comments.push(Placed { place, text });
    }

    /// The sheet that they are.
    pub(crate) fn into_sheet(self, name: String, is_hidden: bool) -> Sheet {
        let rows = self.rows.into_values().collect();
        let (far, comments, more) = (self.far, self.comments, self.more);
        Sheet { name, is_hidden, rows, far, comments, more }
    }
}
