//! Converts web pages to a simple, well-formed structure.
//!
//! Pages are untrusted, and some are made to hang or crash readers (a hundred thousand open elements, formatting that
//! multiplies). A scanner of linear cost comes first. Its output is well nested, at most [`clean::MAX_DEPTH`] deep, and
//! free of everything that is not text.

pub mod scan;
pub mod clean;
pub mod text;
