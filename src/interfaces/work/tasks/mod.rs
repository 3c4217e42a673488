//! What lets people, programs and agents in to tasks: pages, API and tools of agents.

pub mod api;
pub mod labels;
pub mod pages;
pub mod tools;

pub use api::api;
pub use pages::routes;
pub use tools::tools;
