//! What lets people, programs and agents in to activity: pages and API.

pub mod api;
pub mod pages;
