//! Jobs: programs that agents left running in the background. The record outlives the program and HQ. The output is in
//! a file while the job runs and in a blob afterwards.

pub mod away;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod typing;
