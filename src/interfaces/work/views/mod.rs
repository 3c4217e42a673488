//! Pages, API and tools of views.

pub mod noun;
pub mod pages;
pub mod tools;
