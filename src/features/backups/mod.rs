//! Backups of all workspaces: how and when they are made, what was done, what there is.

pub mod job;
pub mod model;
pub mod queries;
pub mod rules;
pub mod telling;
