//! The API of the history of agents' files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::versions::{self, Told};
use git::history::{Change, FileDiff, Logged};
use kernel::Can;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use web::error::{ApiError, PageError};
use web::extract::{Json, Path2, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use crate::agents::at::At;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/history",
            log.needs(Can::Read).doc(|| {
                Doc::new("Commits of its files, newest first; with a path, those of one file")
                    .query::<VersionListParams>()
                    .returns::<Log>()
            }),
        )
        .get(
            "/agents/{agent}/history/{commit}",
            show.needs(Can::Read).doc(|| {
                Doc::new("Changes of a commit; with a path, also that version of the file")
                    .query::<FileVersionParams>()
                    .returns::<CommitOut>()
            }),
        )
        .post(
            "/agents/{agent}/history/{commit}/restore",
            bring_back.needs(Can::Agents).doc(|| {
                Doc::new("Restore a file to its version after a commit, in a new commit")
                    .body::<FileBody>()
                    .returns::<Back>()
                    .no_key("doing it again changes nothing")
            }),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct VersionListParams {
    /// A file or folder; all files when it is left out.
    path: String,
    /// The `next` of the page before.
    before: Option<String>,
    /// 1 to 100; 25 unless said otherwise.
    limit: Option<usize>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct FileVersionParams {
    /// A file or folder; all files when it is left out.
    path: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// The file.
    path: String,
}

/// A commit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FileCommit")]
struct CommitLine {
    commit: String,
    author: String,
    at: String,
    subject: String,
    /// Empty when the commit belongs to a conversation of somebody else.
    message: String,
    /// The run that it belongs to: `R-12`.
    run: Option<String>,
}

impl From<Told> for CommitLine {
    fn from(version: Told) -> Self {
        Self {
            commit: version.id.to_string(),
            author: version.author,
            at: version.at.to_string(),
            subject: version.subject,
            message: version.message,
            run: version.run,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FileHistory")]
struct Log {
    items: Vec<CommitLine>,
    /// Give this back as `before`.
    next: Option<String>,
}

/// What a commit did to a file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FileChange")]
pub(super) struct FileOut {
    path: String,
    /// `added`, `removed`, `modified` or `renamed`.
    change: &'static str,
    /// The name before, when it was renamed.
    from: Option<String>,
    added: usize,
    removed: usize,
    /// The changed lines in the usual form; null when it is no text.
    diff: Option<String>,
}

impl From<FileDiff> for FileOut {
    fn from(diff: FileDiff) -> Self {
        let (change, from) = match diff.change {
            Change::Added => ("added", None),
            Change::Removed => ("removed", None),
            Change::Modified => ("modified", None),
            Change::Renamed { from } => ("renamed", Some(from)),
        };
        Self {
            path: diff.path,
            change,
            from,
            added: diff.added,
            removed: diff.removed,
            diff: diff.is_text.then_some(diff.hunks),
        }
    }
}

/// A file as it was after a commit.
#[derive(Serialize, JsonSchema)]
struct ThenOut {
    bytes: u64,
    executable: bool,
    /// None when it is no text.
    text: Option<String>,
    /// Whether only the beginning is given.
    is_cut: bool,
    /// Whether the file is the same now.
    is_now: bool,
}

/// A commit with what it changed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FileCommitChanges")]
struct CommitOut {
    #[serde(flatten)]
    commit: CommitLine,
    /// At most 50.
    files: Vec<FileOut>,
    /// How many further files it changed.
    more: usize,
    /// The file that was asked for as it was then; null when it was not there.
    file: Option<ThenOut>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FileRestored")]
struct Back {
    /// The new commit; null when the file was that already.
    commit: Option<String>,
}

/// Commits as this person may see them.
async fn commit_lines(
    ws: &Ws,
    who: &Person,
    commits: Vec<Logged>,
) -> Result<Vec<CommitLine>, ApiError> {
    let eye = (who.account, who.role);
    let lines = ws.read_blocking(move |ws| ws.read(|snap| versions::tell(snap, eye, commits)));
    Ok(lines.await?.into_iter().map(CommitLine::from).collect())
}

async fn log(
    Query(params): Query<VersionListParams>,
    At { ws, who, agent, .. }: At<ApiError>,
) -> Result<Json<Log>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let log = versions::log(&ws, &agent, &params.path, params.before.as_deref(), limit).await?;
    let items = commit_lines(&ws, &who, log.commits).await?;
    Ok(Json(Log { items, next: log.next.map(|next| next.to_string()) }))
}

async fn show(
    Path2(_, id): Path2<String, String>,
    Query(params): Query<FileVersionParams>,
    At { ws, who, agent, .. }: At<ApiError>,
) -> Result<Json<CommitOut>, ApiError> {
    let change = versions::change(&ws, &agent, &id, &params.path).await?;
    let commit = commit_lines(&ws, &who, vec![change.commit]).await?.pop();
    let is_now = change.is_now;
    Ok(Json(CommitOut {
        commit: commit.ok_or_else(|| PageError::not_found("This commit"))?,
        files: change.files.into_iter().map(FileOut::from).collect(),
        more: change.more,
        file: change.then.map(|then| ThenOut {
            bytes: then.total,
            executable: then.executable,
            text: then.text,
            is_cut: then.is_cut,
            is_now,
        }),
    }))
}

async fn bring_back(
    At { ws, who, agent, .. }: At<ApiError>,
    Path2(_, id): Path2<String, String>,
    Json(body): Json<FileBody>,
) -> Result<Json<Back>, ApiError> {
    let done = versions::bring_back(&ws, &agent, &who, &body.path, &id).await?;
    Ok(Json(Back { commit: done.map(|commit| commit.to_string()) }))
}
