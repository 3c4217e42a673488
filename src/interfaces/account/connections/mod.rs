//! Pages and API of connections.

pub mod api;
pub mod pages;
