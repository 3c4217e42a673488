//! Workspace commands of the machine's owner, over the socket or with the process stopped.

use std::path::PathBuf;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::users;
use features::workspace::queries;
use kernel::{Actor, Can, Cause, Timestamp, WorkspaceState};
use store::StoreError;
use web::error::ApiError;
use web::extract::Json;
use web::routes::{Needs, Routes};
use web::session::Peer;

use super::life::{self, LifeError, NewWorkspace};
use crate::local::{chosen_account, local_actor};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/workspaces", show.needs(Can::Local))
        .post("/workspaces", act.needs(Can::Local))
}

/// A workspace in the list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub slug: String,
    pub name: String,
    pub state: WorkspaceState,
    /// Scheduled deletion time.
    pub delete_after: Option<Timestamp>,
    /// Number of members.
    pub members: usize,
    /// Why the workspace cannot be opened, if so.
    pub broken: Option<String>,
}

/// A workspace command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum WorkspaceRequest {
    Add {
        name: String,
        /// IANA time zone.
        zone: Option<String>,
        /// Email address of the owner; optional if there is only one account.
        email: Option<String>,
    },
    Archive {
        slug: String,
    },
    /// Restores an archived workspace or cancels its deletion.
    Restore {
        slug: String,
    },
    /// Deletes the workspace after the grace period.
    Delete {
        slug: String,
        /// The name of the workspace as a confirmation.
        name: Option<String>,
    },
    /// Moves the folder out of the data directory.
    Move {
        slug: String,
        /// Target path; must not exist.
        to: PathBuf,
    },
}

/// Lists all workspaces.
async fn show(app: App) -> Result<Json<Vec<Line>>, ApiError> {
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let all: Vec<Ws> = app.workspaces.read().clone();
    let mut lines = Vec::new();
    for ws in &all {
        let (settings, members) = ws.read(|snap| {
            Ok::<_, StoreError>((queries::settings(snap)?, queries::members(snap)?.len()))
        })?;
        let standing = ws.standing();
        lines.push(Line {
            slug: ws.slug.clone(),
            name: settings.map(|settings| settings.name).unwrap_or_default(),
            state: standing.state,
            delete_after: standing.delete_after,
            members,
            broken: None,
        });
    }
    for broken in app.broken.read().iter() {
        let row = rows.iter().find(|row| row.slug == broken.slug);
        lines.push(Line {
            slug: broken.slug.clone(),
            name: row.map(|row| row.label.clone()).unwrap_or_default(),
            state: row.map_or(WorkspaceState::Active, |row| row.state),
            delete_after: row.and_then(|row| row.delete_after),
            members: 0,
            broken: Some(broken.reason.clone()),
        });
    }
    lines.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(Json(lines))
}

/// Executes a command and returns the slug of the workspace.
async fn carry_out(app: &App, actor: Actor, wish: WorkspaceRequest) -> Result<String, LifeError> {
    let by = (actor, Cause::Setup);
    match wish {
        WorkspaceRequest::Add { name, zone, email } => {
            let owner = chosen_account(app, email.as_deref())?;
            let zone = zone.unwrap_or_else(|| "UTC".to_owned());
            let new = NewWorkspace { name, emoji: None, zone, owner, guided: false };
            Ok(life::add(app, by, new).await?.slug.clone())
        }
        WorkspaceRequest::Archive { slug } => {
            life::archive(app, by, &life::find(app, &slug)?).await?;
            Ok(slug)
        }
        WorkspaceRequest::Restore { slug } => {
            life::restore(app, by, &life::find(app, &slug)?).await?;
            Ok(slug)
        }
        WorkspaceRequest::Delete { slug, name } => {
            match life::find(app, &slug) {
                Ok(ws) => life::delete(app, by, &ws, &name.unwrap_or_default()).await?,
                Err(error) => match life::forget_missing(app, by, &slug).await {
                    // The folder exists: the error about the damage is more useful than "unknown".
                    Err(LifeError::Unknown(_)) => return Err(error),
                    forgotten => forgotten?,
                },
            }
            Ok(slug)
        }
        WorkspaceRequest::Move { slug, to } => {
            life::move_to(app, by, &life::find(app, &slug)?, to).await?;
            Ok(slug)
        }
    }
}

async fn act(
    app: App,
    peer: Peer,
    Json(wish): Json<WorkspaceRequest>,
) -> Result<Response, ApiError> {
    let by = local_actor(&app, peer)?;
    let slug = carry_out(&app, by, wish).await?;
    Ok((StatusCode::OK, Json(serde_json::json!({ "slug": slug }))).into_response())
}
