//! Delivered work: deliverables, their versions and reviews. Nothing is overwritten.
//!
//! A piece that was delivered waits for a person, who approves it, asks for changes or rejects it;
//! agents never review. Approving the last piece finishes the task (`tasks/reactions.rs`).

pub mod model;
pub mod paged;
pub mod queries;
pub mod rules;
