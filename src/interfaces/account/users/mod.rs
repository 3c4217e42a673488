//! Pages and API of users.

pub mod api;
pub mod factors;
pub mod pages;
pub mod session;
pub mod tokens;
