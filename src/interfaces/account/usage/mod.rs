//! What lets people, programs and agents in to usage: pages and API.

pub mod api;
pub mod pages;
