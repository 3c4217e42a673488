//! The pages of routines: the list, the form, a routine with its firings, all events.

mod events;
mod form;
mod list;
mod record_choices;
mod show;
mod typed;

use kernel::Can;
use web::routes::{Needs, Routes};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/routines", list::list.needs(Can::Read))
        .post("/routines", form::create.needs(Can::Agents))
        .get("/routines/new", form::new.needs(Can::Agents))
        .get("/routines/preview", form::preview.needs(Can::Read))
        .get("/routines/fields", form::fields.needs(Can::Agents))
        .get("/routines/roles", form::roles_of.needs(Can::Agents))
        .get("/routines/events", events::list.needs(Can::Read))
        .post("/routines/rules/pause", list::pause_all.needs(Can::Admin))
        .post("/routines/rules/resume", list::resume_all.needs(Can::Admin))
        .post("/routines/rules/ask", list::ask.needs(Can::Admin))
        .get("/routines/{routine}", show::show.needs(Can::Read))
        .post("/routines/{routine}", form::save.needs(Can::Agents))
        .get("/routines/{routine}/edit", form::edit.needs(Can::Agents))
        .get("/routines/{routine}/test", show::test.needs(Can::Read))
        .post("/routines/{routine}/run", show::run.needs(Can::Agents))
        .post("/routines/{routine}/pause", show::pause.needs(Can::Agents))
        .post("/routines/{routine}/resume", show::resume.needs(Can::Agents))
        .post("/routines/{routine}/approve", show::approve.needs(Can::Agents))
        .post("/routines/{routine}/delete", show::delete.needs(Can::Agents))
}
