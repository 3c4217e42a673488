//! List engine: list state in the URL, saved views, filter chips, query completion, groups and column totals. It knows
//! no noun: the pages of a noun supply the rows, and templates in `templates/list` render them.

// Templates refer to this package by its full path.
extern crate self as list;

pub mod address;
pub mod complete;
pub mod figures;
pub mod frame;
pub mod groups;
