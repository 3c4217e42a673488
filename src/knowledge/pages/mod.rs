//! Pages of knowledge: the list with folders, an item with text, versions and readers, and suggestions.

mod acts;
mod bulk;
mod keep;
mod list;
mod models;
mod near;
mod show;
mod suggested;
mod uses;
mod versions;

pub(crate) use acts::take;

use features::tasks::queries::view_context::ViewContext;
use kernel::{Can, TypedId as _};
use web::parts::Face;
use web::routes::{Needs as _, Routes};

use crate::model::{Item, Reading, ReadingState, Scope};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/meaning", models::show.needs(Can::Read))
        .post("/settings/meaning/send", models::send.needs(Can::Admin).proved())
        .post("/settings/meaning/confirm", models::confirm.needs(Can::Admin).proved())
        .post("/settings/meaning/connection", models::connect.needs(Can::Admin))
        .post("/settings/meaning/{verb}", models::act.needs(Can::Admin))
        .get("/knowledge", list::list.needs(Can::Read))
        .post("/knowledge", acts::create.needs(Can::Write))
        .post("/knowledge/bulk", bulk::bulk.needs(Can::Write))
        .post("/knowledge/files", acts::upload.needs(Can::Write))
        .post("/knowledge/keep/{file}", keep::of_task.needs(Can::Write))
        .post("/knowledge/keep/{file}/{n}", keep::of_message.needs(Can::Write))
        .post("/knowledge/folders", acts::make_folder.needs(Can::Write))
        .post("/knowledge/folders/{id}/{verb}", acts::folder.needs(Can::Write))
        .get("/knowledge/context", list::context.needs(Can::Read))
        .get("/knowledge/suggestions", suggested::index.needs(Can::Read))
        .post("/knowledge/suggestions/{id}/{verb}", suggested::decide.needs(Can::Write))
        .post("/knowledge/parse", acts::parse.needs(Can::Read))
        .get("/knowledge/names", acts::names.needs(Can::Read))
        .get("/knowledge/near", near::near.needs(Can::Read))
        .get("/knowledge/{id}", show::show.needs(Can::Read))
        .post("/knowledge/{id}", acts::save.needs(Can::Write))
        .post("/knowledge/{id}/about", acts::about.needs(Can::Write))
        .post("/knowledge/{id}/files", acts::picture.needs(Can::Write))
        .get("/knowledge/{id}/file", acts::file.needs(Can::Read))
        .get("/knowledge/{id}/markdown", acts::markdown.needs(Can::Read))
        .get("/knowledge/{id}/versions/{n}", versions::show.needs(Can::Read))
        .post("/knowledge/{id}/versions/{n}/restore", versions::restore.needs(Can::Write))
        .post("/knowledge/{id}/versions/{n}/mark", versions::mark.needs(Can::Write))
        .post("/knowledge/{id}/{verb}", acts::act.needs(Can::Write))
}

/// The readers of an item in a row.
struct Readers {
    /// Icon; empty if there are faces.
    glyph: &'static str,
    /// The selected agents.
    faces: Vec<Face>,
    label: String,
    /// Whether the item is in any agent's context.
    any: bool,
}

impl Readers {
    fn of(scene: &ViewContext, item: &Item) -> Self {
        let agents = item.agents.iter().filter_map(|id| scene.people.agent(*id));
        let agents: Vec<_> = agents.collect();
        let face = |agent: &&features::agents::model::Agent| {
            Face::agent(&agent.name, &agent.emoji, &agent.slug)
        };
        let (glyph, faces, label) = match (item.scope, agents.as_slice()) {
            (Scope::Workspace, _) => ("pin", Vec::new(), Scope::Workspace.label().to_owned()),
            (Scope::Library, _) => ("", Vec::new(), Scope::Library.label().to_owned()),
            (Scope::Agent, []) => ("", Vec::new(), "No one".to_owned()),
            (Scope::Agent, [first, rest @ ..]) => {
                let label = match rest {
                    [] => first.name.clone(),
                    [second] => format!("{}, {}", first.name, second.name),
                    more => format!("{} and {} more", first.name, more.len()),
                };
                ("", agents.iter().take(3).map(face).collect(), label)
            }
        };
        Self { glyph, faces, label, any: item.scope != Scope::Library }
    }
}

/// The style sheet of these pages; other pages do not load it.
fn sheet() -> &'static str {
    web::assets::more("knowledge.css")
}

/// Work that is pending until an item can be found: icon, tone and text; `None` if there is none.
fn badge(
    scene: &ViewContext,
    item: &Item,
    reading: Option<&Reading>,
) -> Option<(&'static str, &'static str, String)> {
    reading_told(reading).or_else(|| {
        let words = "Text ready, not in semantic search yet";
        let is_behind = scene.ws.vectors.is_behind(item.id.uuid());
        is_behind.then(|| ("clock", "info", words.to_owned()))
    })
}

/// State of extraction: icon, tone and text; `None` if there is nothing to report.
fn reading_told(reading: Option<&Reading>) -> Option<(&'static str, &'static str, String)> {
    let reading = reading?;
    match &reading.state {
        ReadingState::Waiting => Some(("clock", "info", "Reading".to_owned())),
        ReadingState::Done if reading.cut => Some(("warn", "warn", "Only partly read".to_owned())),
        ReadingState::Done => None,
        ReadingState::NoText => Some(("eye", "neutral", "No text found".to_owned())),
        ReadingState::Failed(why) | ReadingState::Partly(why) => {
            Some(("warn", "warn", why.clone()))
        }
    }
}
