//! What lets people, programs and agents in to audit: pages and API.

pub mod api;
pub mod pages;
