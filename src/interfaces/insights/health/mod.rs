//! Pages and API of health.

pub mod api;
pub mod pages;
