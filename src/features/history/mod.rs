//! Record history and undo: views of the store's history, the undo rule and its entry point (`undo.rs`), and agents'
//! files that are reverted with a run.
//!
//! `queries/access.rs` lists the tables with readable history and the permissions to undo in them. Other tables have
//! none.

pub mod model;
pub mod queries;
pub mod rules;
pub mod undo;
