//! Pages, API and tools of the inbox.

pub mod api;
pub mod pages;
pub mod tools;
