//! Links of tasks to external URLs and to other records of the workspace.

pub mod model;
pub mod queries;
pub mod rules;
