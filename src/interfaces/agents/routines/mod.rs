//! What lets people, programs and agents in to routines: pages, API and tools of agents.

pub mod api;
pub mod pages;
pub mod tools;

pub use tools::tools;
