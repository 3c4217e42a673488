//! Programs that agents left running while they went on: what they are, what they wrote, how they ended.
//! The record outlives the program and HQ; the output lies in a file while it runs, in a blob after.

pub mod away;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod typing;
