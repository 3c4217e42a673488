//! Pages of runs and of chats with agents.

mod acts;
mod below;
mod run_limits;
mod chat;
mod compare;
mod context;
mod facts;
mod preferences;
mod halt;
mod trace_bar;
mod late;
mod limits;
mod lineage;
mod list;
mod delivered;
mod display;
mod nested;
mod note;
mod place;
mod prompt;
mod queue;
mod say;
mod raw;
mod sessions;
mod shots;
mod show;
mod steps;
mod talk;
mod tools;
mod waits;
mod writing;

use crate::runs::api::export;
use kernel::Can;
use web::routes::{Needs, Routes};

pub(super) use compare::both;
pub(super) use raw::{picture, raw};
pub use say::{Resaid, read_again, say_again};
pub(super) use shots::{after, requested};
pub(super) use show::find;

/// Routes below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/runs", list::index.needs(Can::Read))
        .get("/runs/compare", compare::show.needs(Can::Read))
        .get("/runs/{name}", show::show.needs(Can::Read))
        .get("/runs/{name}/context", context::show.needs(Can::Read))
        .get("/runs/{name}/steps/{n}/raw", raw::raw.needs(Can::Read))
        .get("/runs/{name}/steps/{n}/picture", raw::picture.needs(Can::Read))
        .get("/runs/{name}/pages", shots::show.needs(Can::Read))
        .get("/runs/{name}/calls/{n}/page", shots::after.needs(Can::Read))
        .get("/runs/{name}/calls/{n}/asked", shots::requested.needs(Can::Read))
        .get("/runs/{name}/events", raw::events.needs(Can::Read))
        .get("/runs/{name}/export", export::export.needs(Can::Read))
        .get("/pause", halt::show.needs(Can::Read))
        .post("/pause", halt::pause.needs(Can::Admin))
        .post("/resume", halt::resume.needs(Can::Admin))
        .post("/agents/{slug}/halt", halt::of_agent.needs(Can::Agents))
        .post("/runs/{name}/stop", acts::stop.needs(Can::Chat))
        .post("/runs/{name}/take-back", waits::take_back.needs(Can::Chat))
        .post("/runs/{name}/answer", queue::answer.needs(Can::Chat))
        .post("/runs/{name}/go-on", queue::go_on.needs(Can::Chat))
        .post("/runs/{name}/say", acts::say.needs(Can::Chat))
        .get("/agents/{slug}/chat", chat::show.needs(Can::Read))
        .post("/agents/{slug}/chat", say::say.needs(Can::Chat))
        .get("/messages/{message}/files/{n}", say::file.needs(Can::Read))
        .get("/agents/{slug}/chat/sessions", sessions::index.needs(Can::Read))
        .post("/agents/{slug}/chat/sessions/{session}", sessions::act.needs(Can::Chat))
        .post("/agents/{slug}/chat/name", sessions::name.needs(Can::Chat))
        .post("/agents/{slug}/chat/new", chat::anew.needs(Can::Chat))
        .post("/agents/{slug}/chat/begin", chat::begin.needs(Can::Chat))
        .post("/agents/{slug}/chat/queue", queue::of_chat.needs(Can::Chat))
        .post("/agents/{slug}/chat/compact", chat::compact.needs(Can::Chat))
        .post("/agents/{slug}/chat/{input}/again", say::resend.needs(Can::Chat))
        .post("/agents/{slug}/chat/{input}/cancel", chat::take_back.needs(Can::Chat))
        .post("/agents/{slug}/chat/{input}/restore", chat::bring_back.needs(Can::Chat))
        .post("/agents/{slug}/chat/{input}/dismiss", chat::dismiss.needs(Can::Chat))
        .post("/runs/{name}/messages/{input}", queue::act.needs(Can::Chat))
        .post("/agents/{slug}/queue", queue::of_agent.needs(Can::Agents))
        .post("/settings/queue", queue::of_workspace.needs(Can::Admin))
        .post("/agents/{slug}/conversations", preferences::of_agent.needs(Can::Agents))
        .post("/settings/conversations", preferences::of_workspace.needs(Can::Admin))
        .post("/settings/subagents", limits::save.needs(Can::Admin))
        .post("/agents/{slug}/limits", run_limits::of_agent.needs(Can::Agents))
        .post("/settings/limits", run_limits::of_workspace.needs(Can::Admin))
}
