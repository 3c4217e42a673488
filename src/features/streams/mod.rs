//! Streams: groups of tasks with a shared goal, a lead and a target date.

pub mod model;
pub mod queries;
pub mod rules;
