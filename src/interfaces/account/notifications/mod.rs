//! What lets people, programs and agents in to notifications: pages, API and tools of agents.

pub mod api;
pub mod pages;
pub mod tools;
