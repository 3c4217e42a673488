//! Comments on tasks, and the mentions in them.

pub mod api;
pub mod mentions;
pub mod model;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod tools;

pub use api::api;
pub use pages::routes;
pub use tools::tools;
