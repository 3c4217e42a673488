//! Pages and API of the workspace.

pub mod api;
pub mod pages;
