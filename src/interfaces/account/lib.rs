//! Pages, API and tools of people, workspaces, money and connections, one folder per noun. Each folder calls only the
//! rules of its own noun.

// Templates use absolute paths into this crate.
extern crate self as interfaces_account;

pub mod users;
pub mod workspace;
pub mod usage;
pub mod connections;
pub mod notifications;
pub mod backups;

use web::routes::Routes;

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(users::pages::settings::routes())
        .merge(users::pages::security::routes())
        .merge(users::pages::prove::routes())
        .merge(workspace::pages::routes())
        .merge(notifications::pages::routes())
        .merge(connections::pages::routes())
        .merge(usage::pages::routes())
        .merge(backups::pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .merge(users::api::routes())
        .merge(workspace::api::routes())
        .merge(notifications::api::routes())
        .merge(connections::api::routes())
        .merge(usage::api::routes())
        .merge(backups::api::routes())
}
