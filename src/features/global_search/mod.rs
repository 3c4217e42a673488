//! Full-text search over all records with text, the search page and the command palette.
//!
//! [`follow`] keeps the index of a workspace in step with its feed. [`queries`] search it, add unindexed records,
//! and check the current record before showing a hit.

pub mod follow;
pub mod model;
pub mod queries;
