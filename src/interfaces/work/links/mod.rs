//! Pages, API and tools of links.

pub mod api;
pub mod pages;
pub mod tools;
