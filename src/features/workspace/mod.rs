//! The workspace itself: its settings, its members, its counters.
//!
//! Members live in the workspace's own store, so that a moved folder keeps its people and its
//! history their names. A member is never removed while heads name it: it is marked as left.

pub mod model;
pub mod money;
pub mod queries;
pub mod rules;
