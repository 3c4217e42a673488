//! Pages of gateways: list, details, joining, and the downloads of the join command.

mod add;
mod bound;
mod fetch;
mod list;
mod show;
mod view;

use kernel::Can;
use web::routes::{Needs as _, Routes};

pub use fetch::script;
pub(crate) use view::reach;

/// Path of these pages.
const HERE: &str = "settings/gateways";
/// Entry in the settings menu.
const MENU: &str = "gateways";

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/agents/{slug}/place", bound::show.needs(Can::Agents))
        .post("/agents/{slug}/place", bound::bind.needs(Can::Admin))
        .get("/settings/gateways", list::list.needs(Can::Admin))
        .post("/settings/gateways", add::create.needs(Can::Admin).proved())
        .get("/settings/gateways/new", add::new.needs(Can::Admin))
        .get("/settings/gateways/tokens/{id}", add::steps.needs(Can::Admin))
        .post("/settings/gateways/tokens/{id}/revoke", add::revoke.needs(Can::Admin))
        .get("/settings/gateways/{id}", show::show.needs(Can::Admin))
        .post("/settings/gateways/{id}", show::save.needs(Can::Admin))
        .post("/settings/gateways/{id}/keep", show::keep.needs(Can::Admin))
        .post("/settings/gateways/{id}/{verb}", show::act.needs(Can::Admin))
}

/// Routes outside a workspace: a joining machine has a token and no session. The script's route is `/join`, which is
/// shared with invitations of people.
#[must_use]
pub fn open_routes() -> Routes {
    Routes::new().get("/join/program", fetch::program.needs(Can::Open))
}

/// Extra style sheet, loaded on these pages only.
fn sheet() -> &'static str {
    web::assets::more("gateways.css")
}
