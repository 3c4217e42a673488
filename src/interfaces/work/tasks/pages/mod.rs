//! Pages of tasks: the list, the form for a new task, the page of a task.

mod acts;
mod bar;
mod board;
mod broken;
mod buckets;
mod calendar;
mod composer;
mod cost;
mod create;
mod frame;
mod gantt;
mod preferences;
mod list;
mod moves;
mod recurring;
mod repeat;
mod rows;
mod show;
mod state;
mod tabs;
mod telling;
mod ties;
mod templates;
mod timeline;
mod words;

use kernel::Can;
use web::routes::{Needs as _, Routes};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/tasks", list::list.needs(Can::Read))
        .get("/tasks/complete", frame::complete.needs(Can::Read))
        .post("/tasks/bulk", moves::many.needs(Can::Write))
        .post("/tasks/{task}/move", moves::one.needs(Can::Write))
        .get("/tasks/new", composer::form.needs(Can::Write))
        .post("/tasks", create::create.needs(Can::Write))
        .get("/tasks/recurring", recurring::list.needs(Can::Read))
        .get("/tasks/recurring/preview", recurring::preview.needs(Can::Read))
        .get("/tasks/recurring/{id}", recurring::show.needs(Can::Read))
        .post("/tasks/recurring/{id}", recurring::save.needs(Can::Write))
        .post("/tasks/recurring/{id}/{verb}", recurring::act.needs(Can::Write))
        .merge(templates::routes())
        .get("/settings/tasks", preferences::show.needs(Can::Read))
        .post("/settings/tasks", preferences::save.needs(Can::Admin))
        .get("/tasks/{task}", show::show.needs(Can::Read))
        .post("/tasks/{task}", words::save.needs(Can::Write))
        .post("/tasks/{task}/preview", words::preview.needs(Can::Write))
        .post("/tasks/{task}/tick", words::tick.needs(Can::Write))
        .post("/tasks/{task}/{verb}", acts::act.needs(Can::Write))
}
