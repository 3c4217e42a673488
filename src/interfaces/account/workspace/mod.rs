//! What lets people, programs and agents in to workspace: pages and API.

pub mod api;
pub mod pages;
