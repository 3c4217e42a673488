//! Pages and API of jobs.

pub mod api;
pub mod pages;
