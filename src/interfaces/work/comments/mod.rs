//! Pages, API and tools of comments.

pub mod api;
pub mod pages;
pub mod tools;

pub use api::api;
pub use pages::routes;
pub use tools::tools;
