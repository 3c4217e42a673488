//! Pages, API and tools of notifications.

pub mod api;
pub mod pages;
pub mod tools;
