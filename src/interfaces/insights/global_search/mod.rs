//! Pages and API of the global search.

pub mod api;
pub mod pages;
