//! What lets people, programs and agents in to connections: pages and API.

pub mod api;
pub mod pages;
