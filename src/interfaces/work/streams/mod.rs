//! Pages, API and tools of streams.

pub mod noun;
pub mod pages;
pub mod tools;
