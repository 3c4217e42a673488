//! What lets people, programs and agents in to health: pages and API.

pub mod api;
pub mod pages;
