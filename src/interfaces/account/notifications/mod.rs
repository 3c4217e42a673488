//! Pages and API of notifications.

pub mod api;
pub mod pages;
