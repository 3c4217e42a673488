//! What lets people, programs and agents in to history: pages and API.

pub mod api;
pub mod pages;
