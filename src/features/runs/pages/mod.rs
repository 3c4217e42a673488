//! Pages of runs and of chats with agents.

mod chat;
mod lane;
mod list;
mod look;
mod show;
mod steps;
mod talk;
mod tools;

use crate::kernel::Can;
use crate::web::routes::{Needs, Routes};

pub(super) use show::{find, raw};

/// Pages below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/runs", list::index.needs(Can::Read))
        .get("/runs/{name}", show::show.needs(Can::Read))
        .get("/runs/{name}/steps/{n}/raw", show::raw.needs(Can::Read))
        .post("/runs/{name}/stop", show::stop.needs(Can::Chat))
        .post("/runs/{name}/say", show::say.needs(Can::Chat))
        .get("/agents/{slug}/chat", chat::show.needs(Can::Read))
        .post("/agents/{slug}/chat", chat::say.needs(Can::Chat))
        .post("/agents/{slug}/chat/new", chat::anew.needs(Can::Chat))
        .post("/agents/{slug}/chat/{input}/cancel", chat::take_back.needs(Can::Chat))
}
