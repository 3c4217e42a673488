//! Conversations and activations of agents: sessions, their events, runs, queued inputs.
//!
//! Session events are `Log` records, appended before the run goes on; after a crash the run is
//! rebuilt from them. Every append passes the fence: a writer with an old epoch stops. Talk is a
//! queued input; it is never lost around the end of a run, because the end hands what is left to
//! the next run in its own transaction.

mod api;
mod attach;
pub mod commands;
mod looking;
pub mod model;
mod pages;
pub mod queries;
pub mod reactions;
mod resending;
pub mod rules;
mod stopping;

use crate::web::routes::Routes;

pub use api::openai::shape_errors as shape_openai_errors;
pub use api::{SaidOut, resent};
pub use pages::{Resaid, read_again, say_again};
pub use resending::done_after;

/// Pages, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    pages::routes()
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    api::routes()
}

/// The OpenAI-compatible API, below `/v1`.
#[must_use]
pub fn openai_api() -> Routes {
    api::openai::routes()
}
