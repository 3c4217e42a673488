//! Deliverables, their versions and reviews. Nothing is overwritten.
//!
//! A submitted deliverable is in review until a person approves it, requests changes or rejects it. Agents never
//! review. Approving the last deliverable completes the task (`tasks/reactions.rs`).

pub mod model;
pub mod paged;
pub mod queries;
pub mod rules;
