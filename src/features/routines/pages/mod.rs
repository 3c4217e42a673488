//! The pages of routines.

use crate::web::routes::Routes;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
}
