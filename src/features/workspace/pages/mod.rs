//! Pages of the workspace itself.

pub mod shell;

use axum::response::Response;

use crate::kernel::Can;
use crate::web::error::PageError;
use crate::web::routes::{Needs, Routes};
use crate::web::shell::{Shell, nav as draw_nav};

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/nav", nav.needs(Can::Read))
}

/// The lines of the sidebar, which renew themselves.
async fn nav(shell: Shell) -> Result<Response, PageError> {
    draw_nav(shell)
}
