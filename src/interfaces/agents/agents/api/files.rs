//! The API of agents' files: read, change, create, rename and delete.

use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::App;
use features::agents::editing::{self, Base, EditError, Ends, MAX_TEXT, Written};
use features::agents::files::{self, Prompted};
use features::agents::found::{self, Line};
use features::agents::there::{self, There};
use git::snapshot::MAX_FILE;
use git::standing::Standing;
use kernel::Can;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path2, Query};
use web::file::{self, Show};
use web::format::query_value;
use web::routes::{Doc, Needs, Routes};
use web::upload;

use crate::agents::at::At;

/// Size limit of a body with texts, in bytes: two texts of the largest size in JSON encoding.
const MAX_TEXTS: usize = 8 << 20;
/// Media type of raw file content.
const BYTES: &str = "application/octet-stream";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/files",
            list.needs(Can::Read).doc(|| {
                Doc::new("Its files, two folders deep and along the path")
                    .query::<FileListParams>()
                    .returns::<FileListing>()
            }),
        )
        .get(
            "/agents/{agent}/file",
            beginning.needs(Can::Read).doc(|| {
                Doc::new("The beginning of a file as text")
                    .query::<FileListParams>()
                    .returns::<FileView>()
            }),
        )
        .get(
            "/agents/{agent}/file-search",
            search.needs(Can::Read).doc(|| {
                Doc::new("Files with all words in their name or in one line, ignoring case")
                    .query::<FileSearchParams>()
                    .returns::<SearchOut>()
            }),
        )
        .merge(one())
}

/// The routes of one file. A body may contain a full text and the text that it is based on.
fn one() -> Routes {
    let path = "/agents/{agent}/files/{*path}";
    Routes::new()
        .get(
            path,
            read.needs(Can::Read).doc(|| {
                Doc::new(
                    "A file with its text, or its bytes with raw=1 or Accept: \
                     application/octet-stream",
                )
                .query::<FileReadParams>()
                .returns::<FileOut>()
                .media(BYTES)
            }),
        )
        .put(
            path,
            write.needs(Can::Agents).doc(|| {
                Doc::new(
                    "Save a text in a commit of yours. With `base`, changes by others to other \
                     lines are kept, and 409 with `clash` offers resolutions for the same lines",
                )
                .body::<WriteBody>()
                .no_key("the text before says what is changed")
                .returns::<SavedOut>()
            }),
        )
        .post(
            path,
            create.needs(Can::Agents).doc(|| {
                Doc::new(
                    "Create a file from a text, or from the body if it is application/octet-stream",
                )
                .body::<NewBody>()
                .no_key("a file of that name is made once")
                .returns::<DoneOut>()
                .status(201)
            }),
        )
        .patch(
            path,
            rename.needs(Can::Agents).doc(|| {
                Doc::new("Rename a file, optionally into another folder")
                    .body::<NameBody>()
                    .no_key("the file has its old name once")
                    .returns::<DoneOut>()
            }),
        )
        .delete(
            path,
            remove
                .needs(Can::Agents)
                .doc(|| Doc::new("Delete a file; it can be restored from its history").status(204)),
        )
        .wrap(|route| route.layer(DefaultBodyLimit::max(MAX_TEXTS)))
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct FileListParams {
    path: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSearchParams {
    /// The words, up to eight.
    q: String,
}

/// Files that were found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFilesFound")]
struct SearchOut {
    /// Those that were found by their names come first.
    items: Vec<HitOut>,
    /// Whether there may be more: not everything was looked at, or not all is told.
    is_cut: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFileFound")]
struct HitOut {
    path: String,
    /// The first of its lines; empty when only its name was found.
    lines: Vec<LineOut>,
    /// How many lines more.
    more: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFileLine")]
struct LineOut {
    /// From 1.
    number: usize,
    /// What it says, cut where it is long.
    text: String,
}

/// How a file stands to the newest commit of its agent.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum StandingOut {
    /// As the commit has it.
    Same,
    /// The commit has it, and it is different now.
    Changed,
    /// The commit does not have it.
    New,
    /// It is never committed.
    Apart,
}

impl From<Standing> for StandingOut {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Same => Self::Same,
            Standing::Changed => Self::Changed,
            Standing::New => Self::New,
            Standing::Apart => Self::Apart,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct FileListing {
    items: Vec<NodeView>,
    is_cut: bool,
    /// The files that each prompt holds.
    prompted: Vec<PromptedOut>,
    /// How it stands with them where they lie on another machine; null where they lie here.
    there: Option<ThereOut>,
}

/// How it stands with files that lie on another machine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFilesThere")]
struct ThereOut {
    /// Whether they are listed as they lie there now, and can be changed.
    is_live: bool,
    /// What is to be said of them; empty where nothing is.
    words: String,
    /// The first of the files that stay on that machine, as of the last look: what holds a key, or is too large.
    stays: Vec<StaysOut>,
}

/// A file that is not copied from the machine where it lies.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFileStays")]
struct StaysOut {
    path: String,
    /// Why, in words.
    why: String,
}

impl From<There> for ThereOut {
    fn from(There { is_live, words, stays }: There) -> Self {
        let stays = stays.into_iter().map(|one| StaysOut { path: one.path, why: one.why });
        Self { is_live, words, stays: stays.collect() }
    }
}

#[derive(Serialize, JsonSchema)]
struct NodeView {
    path: String,
    is_folder: bool,
    bytes: Option<u64>,
    /// How it stands to the newest commit; none for a folder.
    standing: Option<StandingOut>,
}

/// A file that each prompt holds.
#[derive(Serialize, JsonSchema)]
struct PromptedOut {
    path: String,
    /// How much of it stands in a prompt.
    held: u64,
    /// How much at most.
    most: u64,
}

impl From<&Prompted> for PromptedOut {
    fn from(file: &Prompted) -> Self {
        Self { path: file.name.to_owned(), held: file.held(), most: file.most }
    }
}

#[derive(Serialize, JsonSchema)]
struct FileView {
    path: String,
    bytes: u64,
    executable: bool,
    /// None when it is no text.
    text: Option<String>,
    /// Whether only the beginning is given.
    is_cut: bool,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct FileReadParams {
    /// `1` for its bytes.
    raw: String,
}

/// A file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFile")]
struct FileOut {
    path: String,
    bytes: u64,
    executable: bool,
    standing: StandingOut,
    /// None when it is no text.
    text: Option<String>,
    /// Whether only the beginning is given: such a text is not changed here.
    is_cut: bool,
    /// Of the text, to be given back with a change; none when it is no whole text.
    hash: Option<String>,
    /// Where its commits are, and with them the way back.
    history: String,
}

/// A text as it should be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AgentFileBody")]
struct WriteBody {
    /// All of it.
    text: String,
    /// The text from which it was made; empty for a file that was not there.
    #[serde(default)]
    base: Option<String>,
    /// The hash of that text, in its place: whatever else lies there is not written over.
    #[serde(default)]
    hash: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AgentFileNew")]
struct NewBody {
    /// What it says.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AgentFileName")]
struct NameBody {
    /// What it is called now, with its folders.
    path: String,
}

/// What came of a save.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFileSaved")]
struct SavedOut {
    path: String,
    /// What it says now.
    text: String,
    hash: String,
    /// The commit; null when nothing differed.
    commit: Option<String>,
    /// Whether others had changed it meanwhile, and it says that, too.
    joined: bool,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AgentFileDone")]
struct DoneOut {
    path: String,
    commit: String,
}

async fn list(
    Query(params): Query<FileListParams>,
    At { ws, who, agent, .. }: At<ApiError>,
) -> Result<Json<FileListing>, ApiError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let there = there::state(&ws, &agent, ws.app.clock.now(), &zone).await?;
    let there = there.map(ThereOut::from);
    let tree = files::tree(&ws, &agent, params.path.trim_matches('/')).await?;
    let prompted = tree.prompted.iter().map(PromptedOut::from).collect();
    let nodes = tree.nodes.into_iter().map(|node| NodeView {
        path: node.path,
        is_folder: node.is_folder,
        bytes: node.bytes,
        standing: node.standing.map(StandingOut::from),
    });
    Ok(Json(FileListing { items: nodes.collect(), is_cut: tree.is_cut, prompted, there }))
}

async fn search(
    Query(params): Query<FileSearchParams>,
    At { ws, agent, .. }: At<ApiError>,
) -> Result<Json<SearchOut>, ApiError> {
    let found = found::search(&ws, &agent, &params.q).await?;
    let line = |line: Line| LineOut { number: line.number, text: line.text };
    let items = found.hits.into_iter().map(|hit| HitOut {
        path: hit.path,
        lines: hit.lines.into_iter().map(line).collect(),
        more: hit.more,
    });
    Ok(Json(SearchOut { items: items.collect(), is_cut: found.is_cut }))
}

async fn beginning(
    Query(params): Query<FileListParams>,
    At { ws, agent, .. }: At<ApiError>,
) -> Result<Json<FileView>, ApiError> {
    let content = files::read(&ws, &agent, &params.path, files::MAX_SHOWN).await?;
    Ok(Json(FileView {
        path: params.path,
        bytes: content.total,
        executable: content.executable,
        text: content.text,
        is_cut: content.is_cut,
    }))
}

async fn read(
    headers: HeaderMap,
    Path2(_, path): Path2<String, String>,
    Query(params): Query<FileReadParams>,
    At { ws, agent, .. }: At<ApiError>,
) -> Result<Response, ApiError> {
    let accepts = headers.get(ACCEPT).is_some_and(|media| media.as_bytes() == BYTES.as_bytes());
    if accepts || !matches!(params.raw.as_str(), "" | "0") {
        let open = files::open(&ws, &agent, &path).await?;
        let name = file::clean_name(&path);
        let served = file::serve_open(&name, open, Show::Download, &headers).await;
        return served.map_err(|PageError(failure)| ApiError(failure));
    }
    let content = files::read(&ws, &agent, &path, MAX_TEXT as u64).await?;
    let standing = files::standing(&ws, &agent, &path).await?.into();
    let whole = content.text.as_deref().filter(|_| !content.is_cut);
    Ok(Json(FileOut {
        bytes: content.total,
        executable: content.executable,
        standing,
        hash: whole.map(editing::hash),
        text: content.text,
        is_cut: content.is_cut,
        history: format!("/api/v1/agents/{}/history?path={}", agent.slug, query_value(&path)),
        path,
    })
    .into_response())
}

async fn write(
    at: At<ApiError>,
    Path2(_, path): Path2<String, String>,
    Json(body): Json<WriteBody>,
) -> Result<Json<SavedOut>, ApiError> {
    let base = match (body.base, body.hash) {
        (Some(base), _) => Base::Text(base),
        (None, Some(hash)) => Base::Hash(hash),
        (None, None) => {
            let why = "name the text you started from: `base` is the text, `hash` its hash";
            return Err(ApiError::invalid("base", why));
        }
    };
    let hand = at.hand();
    let written = Written { text: body.text, base, ends: Ends::Given };
    match editing::save(hand, &path, written).await {
        Ok(saved) => Ok(Json(SavedOut {
            path,
            hash: editing::hash(&saved.text),
            text: saved.text,
            commit: saved.commit.map(|commit| commit.to_string()),
            joined: saved.joined,
        })),
        Err(EditError::Clash { path, clash }) => {
            let conflict = (*clash).clone();
            Err(ApiError::from(EditError::Clash { path, clash }).with("clash", &conflict))
        }
        Err(error) => Err(error.into()),
    }
}

async fn create(
    app: App,
    at: At<ApiError>,
    Path2(_, path): Path2<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let hand = at.hand();
    let media = request.headers().get(CONTENT_TYPE);
    let commit = if media.is_some_and(|media| media.as_bytes() == BYTES.as_bytes()) {
        let (parts, body) = request.into_parts();
        let limit = app.config.limits.upload_bytes().min(MAX_FILE);
        let arrived = upload::body(&at.ws, (&parts.headers, body), &path, limit).await;
        let arrived = arrived.map_err(|PageError(failure)| ApiError(failure))?;
        editing::upload(hand, &path, arrived).await?
    } else {
        let Json(new) = Json::<NewBody>::from_request(request, &app).await?;
        editing::create(hand, &path, new.text).await?
    };
    let done = DoneOut { path, commit: commit.to_string() };
    Ok((StatusCode::CREATED, Json(done)).into_response())
}

async fn rename(
    at: At<ApiError>,
    Path2(_, path): Path2<String, String>,
    Json(body): Json<NameBody>,
) -> Result<Json<DoneOut>, ApiError> {
    let hand = at.hand();
    let commit = editing::rename(hand, &path, &body.path).await?;
    Ok(Json(DoneOut { path: body.path, commit: commit.to_string() }))
}

async fn remove(
    at: At<ApiError>,
    Path2(_, path): Path2<String, String>,
) -> Result<StatusCode, ApiError> {
    editing::remove(at.hand(), &path).await?;
    Ok(StatusCode::NO_CONTENT)
}
