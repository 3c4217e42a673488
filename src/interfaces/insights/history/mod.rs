//! Pages and API of history.

pub mod api;
pub mod pages;
