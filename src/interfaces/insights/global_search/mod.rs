//! What lets people, programs and agents in to finder: pages and API.

pub mod api;
pub mod pages;
