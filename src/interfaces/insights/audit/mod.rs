//! Pages and API of the audit.

pub mod api;
pub mod pages;
