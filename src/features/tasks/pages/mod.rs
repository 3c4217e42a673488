//! Pages of tasks: the list, the form for a new one, the page of one.

mod acts;
mod board;
mod buckets;
mod calendar;
mod create;
mod frame;
mod gantt;
mod labels;
mod list;
mod moves;
mod recurring;
mod repeat;
mod rows;
mod show;
mod state;
mod ties;
mod templates;
mod timeline;

use crate::kernel::Can;
use crate::web::routes::{Needs as _, Routes};

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/tasks", list::list.needs(Can::Read))
        .get("/tasks/complete", frame::complete.needs(Can::Read))
        .post("/tasks/bulk", moves::many.needs(Can::Write))
        .post("/tasks/{task}/move", moves::one.needs(Can::Write))
        .get("/tasks/new", create::form.needs(Can::Write))
        .post("/tasks", create::create.needs(Can::Write))
        .get("/tasks/recurring", recurring::list.needs(Can::Read))
        .get("/tasks/recurring/preview", recurring::preview.needs(Can::Read))
        .get("/tasks/recurring/{id}", recurring::show.needs(Can::Read))
        .post("/tasks/recurring/{id}", recurring::save.needs(Can::Write))
        .post("/tasks/recurring/{id}/{verb}", recurring::act.needs(Can::Write))
        .merge(templates::routes())
        .get("/settings/labels", labels::list.needs(Can::Read))
        .post("/settings/labels", labels::create.needs(Can::Write))
        .post("/settings/labels/{id}", labels::save.needs(Can::Write))
        .post("/settings/labels/{id}/delete", labels::delete.needs(Can::Write))
        .get("/tasks/{task}", show::show.needs(Can::Read))
        .post("/tasks/{task}", acts::save.needs(Can::Write))
        .post("/tasks/{task}/{verb}", acts::act.needs(Can::Write))
}
