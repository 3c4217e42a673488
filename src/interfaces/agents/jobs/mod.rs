//! What lets people, programs and agents in to jobs: pages and API.

pub mod api;
pub mod pages;
