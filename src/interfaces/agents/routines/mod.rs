//! Pages, API and tools of routines.

pub mod api;
pub mod pages;
pub mod tools;

pub use tools::tools;
