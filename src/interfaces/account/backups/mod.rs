//! What lets people, programs and agents in to backups: pages and API.

pub mod api;
pub mod pages;
