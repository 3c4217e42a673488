//! Pages, API and tools of tasks.

pub mod api;
pub mod labels;
pub mod pages;
pub mod tools;

pub use api::api;
pub use pages::routes;
pub use tools::tools;
