//! Pages and API of the dashboard.

pub mod api;
pub mod pages;
mod putting;
