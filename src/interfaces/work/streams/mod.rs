//! What lets people, programs and agents in to streams: pages, API and tools of agents.

pub mod api;
pub mod pages;
pub mod tools;
