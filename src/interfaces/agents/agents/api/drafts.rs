//! The API of drafts of agents' identity files.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::drafts;
use features::agents::files::FilesError;
use features::agents::queries as agents;
use features::agents::queries::drafts::{self as waiting, Draft};
use kernel::{AgentId, Can};
use web::error::ApiError;
use web::extract::{Json, Path2};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use crate::agents::at::At;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/drafts",
            list.needs(Can::Read).doc(|| {
                Doc::new("Drafts of identity files written by agent programs").returns::<Drafts>()
            }),
        )
        .post(
            "/agents/{agent}/drafts/{file}/accept",
            accept.needs(Can::Agents).doc(|| {
                Doc::new("Accept a draft; `hash` is the draft's hash")
                    .body::<DraftChosen>()
                    .no_key("the hash says what is accepted")
                    .status(204)
            }),
        )
        .delete(
            "/agents/{agent}/drafts/{file}",
            refuse.needs(Can::Agents).doc(|| {
                Doc::new("Reject a draft; the file is unchanged and the draft stays in the history")
                    .status(204)
            }),
        )
}

/// Drafts.
#[derive(Serialize, JsonSchema)]
struct Drafts {
    items: Vec<DraftOut>,
}

/// What a program has made of a file that says who an agent is.
#[derive(Serialize, JsonSchema)]
struct DraftOut {
    /// The agent.
    agent: AgentId,
    /// Its handle.
    agent_slug: String,
    /// The file, such as `SOUL.md`.
    file: &'static str,
    /// Where the draft lies in the agent's folder.
    path: String,
    /// All of it; none for what is no text, or too long for one.
    text: Option<String>,
    /// Give it back to accept just this.
    hash: Option<String>,
    /// The lines before and after.
    diff: String,
    /// The run whose program made it, as far as that is known and may be seen.
    run: Option<String>,
    /// The command line.
    program: Option<String>,
    /// When.
    at: Option<String>,
}

/// Which draft was read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DraftChosen {
    /// Of the draft, as the list has it.
    hash: String,
}

async fn list(ws: Ws, who: Person) -> Result<Json<Drafts>, ApiError> {
    let items = ws.read_blocking(move |ws| all(ws, &who)).await?;
    Ok(Json(Drafts { items }))
}

fn all(ws: &Ws, who: &Person) -> Result<Vec<DraftOut>, FilesError> {
    ws.read(|snap| {
        let mut items = Vec::new();
        for agent in agents::all(snap)? {
            for draft in waiting::of(ws, snap, &agent, who)? {
                let diff = draft.diff();
                let Draft { name, path, text, maker, .. } = draft;
                let (text, hash) = text.unzip();
                items.push(DraftOut {
                    agent: agent.id,
                    agent_slug: agent.slug.clone(),
                    file: name,
                    path,
                    diff,
                    text,
                    hash,
                    run: maker.as_ref().map(|maker| maker.run.name()),
                    at: maker.as_ref().map(|maker| maker.at.to_string()),
                    program: maker.map(|maker| maker.program),
                });
            }
        }
        Ok(items)
    })
}

async fn accept(
    at: At<ApiError>,
    Path2(_, file): Path2<String, String>,
    Json(DraftChosen { hash }): Json<DraftChosen>,
) -> Result<StatusCode, ApiError> {
    drafts::take(at.hand(), &file, &hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refuse(
    at: At<ApiError>,
    Path2(_, file): Path2<String, String>,
) -> Result<StatusCode, ApiError> {
    drafts::refuse(at.hand(), &file).await?;
    Ok(StatusCode::NO_CONTENT)
}
