//! Backups of all workspaces: settings, jobs, run history and failure notifications.

pub mod job;
pub mod model;
pub mod queries;
pub mod rules;
pub mod telling;
