//! Pages, API and tools of agents and their work, one folder per noun. Each folder calls only the rules of its own
//! noun.

// Templates use absolute paths into this crate.
extern crate self as interfaces_agents;

pub mod agents;
pub mod browsers;
pub mod inbox;
pub mod routines;
pub mod runs;
pub mod jobs;
pub mod trust;

use tool::Registry;
use web::routes::Routes;

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(runs::routes())
        .merge(jobs::pages::routes())
        .merge(agents::pages::routes())
        .merge(browsers::pages::routes())
        .merge(inbox::pages::routes())
        .merge(routines::pages::routes())
        .merge(trust::pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .merge(runs::api())
        .merge(jobs::api::routes())
        .merge(agents::api::routes())
        .merge(browsers::api::routes())
        .merge(inbox::api::routes())
        .merge(routines::api::routes())
        .merge(trust::api::routes())
}

/// The OpenAI-compatible API, below `/v1`.
#[must_use]
pub fn openai_api() -> Routes {
    runs::openai_api()
}

/// The agents' tools for these nouns.
#[must_use]
pub fn tools() -> Registry {
    Registry::new().merge(inbox::tools::tools()).merge(agents::tools()).merge(routines::tools())
}
