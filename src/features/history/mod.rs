//! What became of each record, and undo: views of the store's history for people and programs, the
//! rule that undoes with the way to it (`undo.rs`), and the files of agents that go back with a run.
//!
//! Which tables have a history that people may read, and what it takes to undo in them, stands in one
//! table (`queries/access.rs`); a table that is not listed has none.

pub mod model;
pub mod queries;
pub mod rules;
pub mod undo;
