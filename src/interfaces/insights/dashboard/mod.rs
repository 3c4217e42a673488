//! What lets people, programs and agents in to dashboard: pages and API.

pub mod api;
pub mod pages;
mod putting;
