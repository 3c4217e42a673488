//! What lets people, programs and agents in to dashboard: pages.

pub mod pages;
