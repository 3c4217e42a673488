//! The workspace itself: settings, members, counters.
//!
//! Members are in the workspace's own store, so that a moved folder keeps its people and its history keeps their names.
//! A referenced member is never deleted, only marked as left.

pub mod model;
pub mod money;
pub mod queries;
pub mod rules;
