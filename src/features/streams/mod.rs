//! Streams: groups of tasks with one goal, somebody who answers for it and a day to reach it by.

pub mod api;
pub mod model;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod tools;
