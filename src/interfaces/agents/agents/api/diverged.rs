//! The API of files that agents wrote on another machine while the primary's copies changed.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use features::agents::apart::{self, Apart};
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path2};
use web::routes::{Doc, Needs, Routes};

use super::versions::FileOut;
use crate::agents::at::At;

pub(super) fn routes() -> Routes {
    let one = "/agents/{agent}/kept/{name}";
    Routes::new()
        .get(
            "/agents/{agent}/kept",
            list.needs(Can::Read).doc(|| {
                Doc::new("Diverged changes from other machines, oldest first").returns::<KeptList>()
            }),
        )
        .get(
            one,
            show.needs(Can::Read)
                .doc(|| Doc::new("One set of changes with its differences").returns::<KeptFiles>()),
        )
        .post(
            "/agents/{agent}/kept/{name}/take",
            take.needs(Can::Agents).doc(|| {
                Doc::new(
                    "Merge it into the agent's files as far as possible; it is deleted once fully \
                     merged",
                )
                .no_key("what was taken is not kept any more")
                .returns::<TakenOut>()
            }),
        )
        .delete(one, forget.needs(Can::Agents).doc(|| Doc::new("Discard the changes").status(204)))
}

/// What was kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentKept")]
struct KeptOut {
    name: String,
    /// Its newest commit.
    commit: String,
    /// How many commits it has that the agent's own files do not have, up to a thousand.
    commits: usize,
    /// When the newest was made.
    at: String,
}

impl From<Apart> for KeptOut {
    fn from(one: Apart) -> Self {
        Self {
            name: one.name,
            commit: one.head.to_string(),
            commits: one.commits,
            at: one.at.to_string(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentKeptList")]
struct KeptList {
    items: Vec<KeptOut>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentKeptFiles")]
struct KeptFiles {
    kept: KeptOut,
    files: Vec<FileOut>,
}

/// What came of taking it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentKeptTaken")]
struct TakenOut {
    /// The commit; null when there was nothing to change.
    commit: Option<String>,
    /// The files that changed.
    took: Vec<String>,
    /// The files that stay as they are here: somebody has to choose.
    stays: Vec<String>,
}

async fn list(At { ws, agent, .. }: At<ApiError>) -> Result<Json<KeptList>, ApiError> {
    let all = apart::all(&ws, &agent).await?;
    Ok(Json(KeptList { items: all.into_iter().map(KeptOut::from).collect() }))
}

async fn show(
    At { ws, agent, .. }: At<ApiError>,
    Path2(_, kept): Path2<String, String>,
) -> Result<Json<KeptFiles>, ApiError> {
    let (one, files) = apart::one(&ws, &agent, &kept).await?;
    let files = files.into_iter().map(FileOut::from).collect();
    Ok(Json(KeptFiles { kept: one.into(), files }))
}

async fn take(
    at: At<ApiError>,
    Path2(_, kept): Path2<String, String>,
) -> Result<Json<TakenOut>, ApiError> {
    let taken = apart::take(at.hand(), &kept).await?;
    let commit = taken.commit.map(|commit| commit.to_string());
    Ok(Json(TakenOut { commit, took: taken.took, stays: taken.stays }))
}

async fn forget(
    at: At<ApiError>,
    Path2(_, kept): Path2<String, String>,
) -> Result<StatusCode, ApiError> {
    apart::forget(at.hand(), &kept).await?;
    Ok(StatusCode::NO_CONTENT)
}
