//! What lets people, programs and agents in to views: pages, API and tools of agents.

pub mod noun;
pub mod pages;
pub mod tools;
