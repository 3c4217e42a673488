//! `/api/v1/knowledge`: items with texts, versions and files; folders; suggestions; and the preview of agents' context.

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
