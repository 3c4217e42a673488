//! List engine: the address as list state, saved views, filter chips, completion of queries, groups and column totals.
//! It knows no noun: the pages of a noun supply the rows, and templates in `templates/list` draw them.

// Templates name what stands here by its full path.
extern crate self as list;

pub mod address;
pub mod complete;
pub mod figures;
pub mod frame;
pub mod groups;
