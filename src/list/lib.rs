//! Lists of records: the address as their state, views with their tabs and forms, chips and completion of a query,
//! groups of rows and the figures of their columns. Nothing here knows what the rows are; the pages of a noun fill it
//! in, and templates in `templates/list` draw it.

// Templates name what stands here by its full path.
extern crate self as list;

pub mod address;
pub mod complete;
pub mod figures;
pub mod frame;
pub mod groups;
