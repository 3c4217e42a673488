//! Pages and API of backups.

pub mod api;
pub mod pages;
