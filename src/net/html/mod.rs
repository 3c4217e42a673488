//! Web pages, brought into a plain and well-formed shape.
//!
//! Pages come from anywhere, and some are made to hang or crash who reads them (a hundred thousand open
//! elements, formatting that multiplies). So they pass a scanner of linear cost first, and what comes
//! out is well nested, at most [`clean::MAX_DEPTH`] deep and free of everything that is not text.

pub mod scan;
pub mod clean;
pub mod text;
