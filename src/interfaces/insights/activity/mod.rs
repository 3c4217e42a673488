//! Pages and API of activity.

pub mod api;
pub mod pages;
