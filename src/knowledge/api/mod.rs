//! `/api/v1/knowledge`: items with their words, versions and files; folders; what agents
//! have in front of them and what they suggest.

mod folders;
mod items;
mod models;
mod parts;
mod suggestions;
mod versions;

use web::routes::Routes;

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    folders::routes()
        .merge(items::routes())
        .merge(suggestions::routes())
        .merge(versions::routes())
        .merge(models::routes())
}
