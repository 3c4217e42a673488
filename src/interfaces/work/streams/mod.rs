//! What lets people, programs and agents in to streams: pages, API and tools of agents.

pub mod noun;
pub mod pages;
pub mod tools;
