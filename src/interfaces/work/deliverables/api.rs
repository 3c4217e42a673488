//! Deliverables and reviews below `/api/v1`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::claims::queries::{self as claims, json::ProofView};
use features::deliverables::model::{Answer, Content, Deliverable, Remark};
use features::deliverables::paged::{self, Paged};
use features::deliverables::queries::{self, Piece, ReviewedVersion};
use features::deliverables::rules::{self, DeliverableError, NewDelivery, NewReview};
use features::files::model::TaskFile;
use features::files::queries as files;
use features::links::queries as links;
use features::tasks::queries as tasks;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{
    AgentId, Assignee, Can, DeliverableId, DeliverableState, FileId, RunId, TaskId, Timestamp,
    Verdict, VersionId,
};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::etag::Tagged;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

/// Maximum number of waiting deliverables listed.
const MOST: usize = 100;

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/deliverables",
            waiting.needs(Can::Read).doc(|| {
                Doc::new("Deliverables waiting for review, longest waiting first")
                    .returns::<Pieces>()
            }),
        )
        .get(
            "/tasks/{task}/deliverables",
            of_task.needs(Can::Read).doc(|| Doc::new("Deliverables of a task").returns::<Pieces>()),
        )
        .post(
            "/tasks/{task}/deliverables",
            create.needs(Can::Write).doc(|| {
                Doc::new("Deliver work on a task, as a first or new version")
                    .body::<NewBody>()
                    .returns::<PieceView>()
                    .status(201)
            }),
        )
        .get(
            "/deliverables/{piece}",
            show.needs(Can::Read).doc(|| Doc::new("Show a deliverable").returns::<PieceView>()),
        )
        .get(
            "/deliverables/versions/{version}/file",
            super::pages::file.needs(Can::Read).doc(|| {
                Doc::new("Download the file of a version").media("application/octet-stream")
            }),
        )
        .post(
            "/deliverables/{piece}/reviews",
            review.needs(Can::Review).doc(|| {
                Doc::new("Approve, request changes or reject")
                    .body::<ReviewBody>()
                    .returns::<PieceView>()
                    .status(201)
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct PieceView {
    id: DeliverableId,
    /// The key of its task.
    task: String,
    title: String,
    state: DeliverableState,
    submitted_by: WhoView,
    /// All versions, oldest first; the last one counts.
    versions: Vec<VersionView>,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct VersionView {
    id: VersionId,
    number: u32,
    /// `text`, `url`, `file`, `page` or `record`.
    kind: &'static str,
    /// Markdown, when it is a text, a page or a record: what that said when it was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The address, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The file, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileView>,
    /// The page or the record, when it is one that is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageView>,
    /// What its maker says about it.
    note: String,
    /// What its maker says to what was asked for in the version before, in the order of asking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Answer>,
    run: Option<RunId>,
    /// The evidence for it, when an agent made it with a tool that checks claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<ProofView>,
    review: Option<ReviewView>,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct FileView {
    name: String,
    /// In bytes.
    size: u64,
    sha256: String,
}

/// A page of the workspace's knowledge, or a record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveredPage")]
struct PageView {
    /// What it is called now.
    title: String,
    /// Where it is, below the workspace.
    path: String,
}

#[derive(Serialize, JsonSchema)]
struct ReviewView {
    verdict: Verdict,
    by: WhoView,
    note: String,
    /// What was said to single places.
    remarks: Vec<Remark>,
    /// What was asked for, one thing after the other: the lines of the note, then the remarks.
    asks: Vec<String>,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Pieces {
    items: Vec<PieceView>,
    next: Option<String>,
}

fn view(read: &dyn Read, names: &Names, piece: Piece) -> Result<PieceView, DeliverableError> {
    let Piece { deliverable, versions } = piece;
    let task = tasks::get(read, deliverable.task)?;
    Ok(PieceView {
        id: deliverable.id,
        task: names.of(&task),
        title: deliverable.title,
        state: deliverable.state,
        submitted_by: WhoView::actor(names, deliverable.submitted_by),
        versions: versions
            .into_iter()
            .map(|judged| version(read, names, judged))
            .collect::<Result<_, _>>()?,
        created_at: deliverable.created_at,
        updated_at: deliverable.updated_at,
    })
}

fn version(
    read: &dyn Read,
    names: &Names,
    judged: ReviewedVersion,
) -> Result<VersionView, DeliverableError> {
    let ReviewedVersion { version, review } = judged;
    let page = match version.content.page() {
        Some(page) => links::name(read, &page)?,
        None => None,
    };
    let kind = version.content.word();
    let (text, url, file) = match version.content {
        Content::Text(text) => (Some(text), None, None),
        Content::Page { text, .. } => (Some(text), None, None),
        Content::Url(url) => (None, Some(url), None),
        Content::File { name, blob, size } => {
            (None, None, Some(FileView { name, size, sha256: blob.to_string() }))
        }
    };
    Ok(VersionView {
        id: version.id,
        number: version.number,
        kind,
        text,
        url,
        file,
        page: page.map(|(title, path)| PageView { title, path }),
        note: version.note,
        answers: version.answers,
        run: version.run,
        proof: claims::of_version(read, version.id)?.map(ProofView::new),
        review: review.map(|review| ReviewView {
            asks: queries::asks(&review),
            verdict: review.verdict,
            by: WhoView::of(names, Assignee::Person(review.by)),
            note: review.note,
            remarks: review.remarks,
            created_at: review.created_at,
        }),
        created_at: version.created_at,
    })
}

fn all(read: &dyn Read, pieces: Vec<Piece>) -> Result<Pieces, DeliverableError> {
    let names = Names::read(read)?;
    let items = pieces.into_iter().map(|piece| view(read, &names, piece));
    Ok(Pieces { items: items.collect::<Result<_, _>>()?, next: None })
}

async fn waiting(ws: Ws) -> Result<Json<Pieces>, ApiError> {
    let pieces = ws.read(|snap| {
        let waiting = queries::in_review(snap, MOST)?;
        let pieces = waiting.into_iter().map(|piece| queries::with_versions(snap, piece));
        all(snap, pieces.collect::<Result<_, _>>()?)
    })?;
    Ok(Json(pieces))
}

async fn of_task(ws: Ws, Path(text): Path<String>) -> Result<Json<Pieces>, ApiError> {
    let pieces = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        all(snap, queries::of_task(snap, task.id)?)
    })?;
    Ok(Json(pieces))
}

fn with_etag(ws: &Ws, id: DeliverableId) -> Result<Tagged<PieceView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let found = snap.get_rev::<Deliverable>(id)?;
        let (piece, rev) = found.ok_or_else(|| DeliverableError::NotFound(id.to_string()))?;
        let piece = queries::with_versions(snap, piece)?;
        Ok::<_, DeliverableError>((rev, view(snap, &Names::read(snap)?, piece)?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(ws: Ws, Path(id): Path<DeliverableId>) -> Result<Tagged<PieceView>, ApiError> {
    with_etag(&ws, id)
}

/// Work to be delivered: a text, an address, a file, a page or a record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// May be left out when it revises something.
    #[serde(default)]
    title: String,
    /// Markdown.
    text: Option<String>,
    /// An address on the web, in place of a text.
    url: Option<String>,
    /// The id of a file on the task, in place of a text.
    file: Option<FileId>,
    /// The id or the title of a page of the workspace's knowledge, in place of a text: it is delivered as it is now.
    page: Option<String>,
    /// Such as `contact:0192…` or `organization:Name`: the record is delivered as it is now.
    record: Option<String>,
    /// What the reviewer should know.
    #[serde(default)]
    note: String,
    /// The piece of which this is the next version.
    revises: Option<DeliverableId>,
    /// What is said to what was asked for, in the order of asking.
    #[serde(default)]
    answers: Vec<Answer>,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<NewBody>,
) -> Result<Tagged<PieceView>, ApiError> {
    let task = ws.read(|snap| tasks::resolve(snap, &name))?.id;
    let NewBody { title, text, url, file, page, record, note, revises, answers } = body;
    let page = match page {
        Some(word) => Some(ws.read_blocking(move |ws| page_of(ws, &word)).await?),
        None => None,
    };
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let content = match (text, url, file, page, record) {
            (Some(text), None, None, None, None) => Content::Text(text),
            (None, Some(url), None, None, None) => Content::Url(url),
            (None, None, Some(file), None, None) => file_of(tx, task, file)?,
            (None, None, None, Some(page), None) => page,
            (None, None, None, None, Some(word)) => record_of(tx, &word, None)?,
            _ => {
                let wrong = "provide exactly one of text, url, file, page or record";
                let wrong = wrong.to_owned();
                return Err(DeliverableError::Invalid("text", wrong));
            }
        };
        let new = NewDelivery { task, title, content, note, revises };
        rules::submit_answering(tx, new, answers).map(|(piece, _)| piece.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

/// An existing page as the content.
pub(super) fn page_of(ws: &Ws, name: &str) -> Result<Content, DeliverableError> {
    let wrong = || {
        let wrong = "no page has this title, or several do; use its ID";
        DeliverableError::Invalid("page", wrong.to_owned())
    };
    paged::named(ws, name, None)?.map(Paged::content).ok_or_else(wrong)
}

/// A record in its current state as the content, if the agent may see it.
pub(super) fn record_of(
    read: &dyn Read,
    name: &str,
    agent: Option<AgentId>,
) -> Result<Content, DeliverableError> {
    let wrong = || {
        let wrong = "this record doesn't exist; use a name such as contact:Name or an ID";
        DeliverableError::Invalid("record", wrong.to_owned())
    };
    paged::record(read, name, agent)?.map(Paged::content).ok_or_else(wrong)
}

/// A file attached to the task as the content.
fn file_of(read: &dyn Read, task: TaskId, id: FileId) -> Result<Content, DeliverableError> {
    match files::get(read, id)?.filter(|file| file.on.task() == Some(task)) {
        Some(TaskFile { name, blob, size, .. }) => Ok(Content::File { name, blob, size }),
        None => {
            let wrong = "this task doesn't have that file; upload it first".to_owned();
            Err(DeliverableError::Invalid("file", wrong))
        }
    }
}

/// A judgement.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReviewBody {
    verdict: Verdict,
    /// Needed unless approved, or when changes are asked for in remarks.
    #[serde(default)]
    note: String,
    /// What is said to single places.
    #[serde(default)]
    remarks: Vec<Remark>,
    /// The version that was looked at; refused when a newer one has come.
    version: Option<VersionId>,
}

async fn review(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<DeliverableId>,
    Json(body): Json<ReviewBody>,
) -> Result<Tagged<PieceView>, ApiError> {
    let ReviewBody { verdict, note, remarks, version } = body;
    let judged = once.run(move |tx: &mut WriteTx<'_>| {
        let new = NewReview { deliverable: id, version, verdict, note };
        rules::review_with(tx, new, remarks).map(|_| ())
    });
    ws.write(&who, judged).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}
