//! What lets people, programs and agents in to users: pages and API.

pub mod api;
pub mod factors;
pub mod pages;
pub mod session;
pub mod tokens;
