//! Links of tasks: to addresses on the web, and to other records of the workspace.

pub mod api;
pub mod model;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod tools;
