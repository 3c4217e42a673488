//! Pages and API of usage.

pub mod api;
pub mod pages;
