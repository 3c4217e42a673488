//! Streams: groups of tasks with one goal, somebody who answers for it and a day to reach it by.

pub mod model;
pub mod queries;
pub mod rules;
