//! Pages, API and chat commands of runs.

mod api;
mod attach;
pub mod commands;
mod taint;
mod looking;
mod pages;
mod resending;
mod stopping;
mod taking;

use web::routes::Routes;

pub use api::openai::shape_errors as shape_openai_errors;
pub use api::{SaidOut, resent};
pub use pages::{Resaid, read_again, say_again};
pub use resending::done_after;

/// Pages, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    taint::pages(pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    taint::api(api::routes())
}

/// The OpenAI-compatible API, below `/v1`.
#[must_use]
pub fn openai_api() -> Routes {
    api::openai::routes()
}
