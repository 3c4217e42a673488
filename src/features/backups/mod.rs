//! Backups of all workspaces: how and when they are made, what was done, what there is.

pub mod api;
pub mod job;
pub mod model;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod telling;
