//! Collects the cells of a sheet within the limits of text extraction.

use std::collections::BTreeMap;

use super::place::letters;
use super::table::ABOVE;
use super::{MAX_CELL, MAX_CELLS, MAX_COLUMNS, MAX_FAR, MAX_ROWS, Placed, Sheet};

/// The non-empty rows.
pub(crate) struct Rows {
    rows: BTreeMap<usize, Vec<String>>,
    /// Cells beyond the column limit.
    far: Vec<Placed>,
    comments: Vec<Placed>,
    cells: usize,
    /// Bytes of text that may still be added.
    left: usize,
    /// A limit was reached; further input is ignored.
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

    /// Whether a limit was reached.
    pub(crate) fn is_full(&self) -> bool {
        self.more
    }

    /// Bytes of text that may still be added.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Adds a cell; row and column count from 0.
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
        // One shared string may be in all cells, so each use counts.
        self.more = self.left < text.len() || self.cells > MAX_CELLS;
        self.left = self.left.saturating_sub(text.len());
    }

    /// Adds a comment; row and column count from 0.
    pub(crate) fn note(&mut self, row: usize, column: usize, text: String) {
        if self.more || text.trim().is_empty() || self.comments.len() == MAX_FAR {
            return;
        }
        self.more = self.left < text.len();
        self.left = self.left.saturating_sub(text.len());
        let place = format!("{}{}", letters(column), row + 1);
        self.comments.push(Placed { place, text });
    }

    /// The finished sheet.
    pub(crate) fn into_sheet(self, name: String, is_hidden: bool) -> Sheet {
        let rows = self.rows.into_values().collect();
        let (far, comments, more) = (self.far, self.comments, self.more);
        Sheet { name, is_hidden, rows, far, comments, more }
    }
}
