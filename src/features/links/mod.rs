//! Links of tasks: to addresses on the web, and to other records of the workspace.

pub mod model;
pub mod queries;
pub mod rules;
