//! Pages, API and tools that show what happened, one folder per noun. Each folder calls only the rules of its own noun.

// Templates use absolute paths into this crate.
extern crate self as interfaces_insights;

pub mod activity;
pub mod audit;
pub mod dashboard;
pub mod global_search;
pub mod health;
pub mod history;

use web::routes::Routes;

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(dashboard::pages::routes())
        .merge(activity::pages::routes())
        .merge(global_search::pages::routes())
        .merge(audit::pages::routes())
        .merge(health::pages::routes())
        .merge(history::pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .merge(dashboard::api::routes())
        .merge(activity::api::routes())
        .merge(global_search::api::routes())
        .merge(audit::api::routes())
        .merge(health::api::routes())
        .merge(history::api::routes())
}
