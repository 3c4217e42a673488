//! One folder for each noun; ARCHITECTURE.md has the inner shape. Each feature adds its routes, its API and
//! its tools here, one line each.

pub mod workspace;
pub mod users;
pub mod dashboard;
pub mod tasks;
pub mod streams;
pub mod views;
pub mod comments;
pub mod deliverables;
pub mod files;
pub mod links;
pub mod agents;
pub mod inbox;
pub mod routines;
pub mod notifications;
pub mod runs;
pub mod jobs;
pub mod usage;
pub mod connections;
pub mod activity;
pub mod finder;
pub mod audit;
pub mod health;
pub mod history;
pub mod backups;

use crate::tool::Registry;
use crate::web::routes::Routes;

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        // One line a feature.
        .merge(dashboard::pages::routes())
        .merge(users::pages::settings::routes())
        .merge(users::pages::security::routes())
        .merge(users::pages::prove::routes())
        .merge(runs::routes())
        .merge(jobs::pages::routes())
        .merge(workspace::pages::routes())
        .merge(tasks::routes())
        .merge(streams::pages::routes())
        .merge(views::pages::routes())
        .merge(comments::routes())
        .merge(deliverables::routes())
        .merge(files::routes())
        .merge(links::pages::routes())
        .merge(activity::pages::routes())
        .merge(finder::pages::routes())
        .merge(audit::pages::routes())
        .merge(health::pages::routes())
        .merge(history::pages::routes())
        .merge(agents::pages::routes())
        .merge(inbox::pages::routes())
        .merge(routines::pages::routes())
        .merge(notifications::pages::routes())
        .merge(connections::pages::routes())
        .merge(usage::pages::routes())
        .merge(backups::pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        // One line a feature.
        .merge(users::api::routes())
        .merge(workspace::api::routes())
        .merge(runs::api())
        .merge(jobs::api::routes())
        .merge(activity::api::routes())
        .merge(finder::api::routes())
        .merge(audit::api::routes())
        .merge(health::api::routes())
        .merge(history::api::routes())
        .merge(agents::api::routes())
        .merge(inbox::api::routes())
        .merge(routines::api::routes())
        .merge(notifications::api::routes())
        .merge(connections::api::routes())
        .merge(tasks::api())
        .merge(streams::api::routes())
        .merge(views::api::routes())
        .merge(comments::api())
        .merge(deliverables::api())
        .merge(files::api())
        .merge(links::api::routes())
        .merge(usage::api::routes())
        .merge(backups::api::routes())
}

/// The OpenAI-compatible API, below `/v1`.
#[must_use]
pub fn openai_api() -> Routes {
    runs::openai_api()
}

/// The tools that agents have from all features.
#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .merge(tasks::tools())
        .merge(streams::tools::tools())
        .merge(views::tools::tools())
        .merge(inbox::tools::tools())
        .merge(comments::tools())
        .merge(deliverables::tools())
        .merge(files::tools())
        .merge(links::tools::tools())
        .merge(agents::tools())
        .merge(notifications::tools::tools())
        .merge(routines::tools())
}
