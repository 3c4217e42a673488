//! Completion of `$name` in the text field of a chat.

use std::collections::BTreeSet;

use app::Ws;
use features::agents::{packages, prompted, skills};
use git::files::AgentFiles;
use kernel::text::ellipsis;
use serde::{Deserialize, Serialize};
use store::StoreError;
use web::error::PageError;
use web::extract::{Json, Path, Query};

use super::find;

/// Most completions.
const OFFERS: usize = 8;
/// Longest description, in characters.
const MAX_ABOUT: usize = 80;

#[derive(Deserialize)]
pub(super) struct Typing {
    #[serde(default)]
    q: String,
}

/// A completion.
#[derive(Serialize)]
pub(super) struct Offer {
    /// The text to insert.
    put: String,
    about: String,
}

/// `GET /agents/{slug}/chat/skills`: skills of the agent whose name begins with the text after `$`.
pub(super) async fn names(
    ws: Ws,
    Path(slug): Path<String>,
    Query(typing): Query<Typing>,
) -> Result<Json<Vec<Offer>>, PageError> {
    let offers = ws.read_blocking::<_, PageError>(move |ws| {
        let agent = ws.read(|snap| find(snap, &slug))?;
        // ok: an agent without a folder has no skills of its own.
        let files = AgentFiles::open(&ws.agent_folder(&agent.slug)).ok();
        let (mut all, noted) = ws.read(|snap| {
            let own = files.map(|files| skills::trusted(snap, agent.id, &files)).transpose()?;
            let noted = prompted::skills(snap, agent.id)?;
            Ok::<_, StoreError>((own.unwrap_or_default(), noted))
        })?;
        all.extend(packages::of(ws, agent.id).iter().map(packages::Package::skill));
        all.extend(noted);
        let wanted = typing.q.trim_start_matches('$');
        let mut known = BTreeSet::new();
        all.retain(|skill| skill.name.starts_with(wanted) && known.insert(skill.name.clone()));
        let offer = |skill: skills::Skill| Offer {
            put: format!("${}", skill.name),
            about: ellipsis(&skill.about, MAX_ABOUT),
        };
        Ok(all.into_iter().map(offer).take(OFFERS).collect())
    });
    Ok(Json(offers.await?))
}
