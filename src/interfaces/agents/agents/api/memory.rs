//! The API of agents' memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::agents::memory::{self, Searched};
use kernel::{Can, RunId, SessionId};
use tool::rank::Query as Words;
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};

use crate::agents::at::At;

/// Default number of results.
const USUAL: usize = 10;
/// Maximum number of results of each kind.
const MOST: usize = 50;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/memory",
            list.needs(Can::Read).doc(|| {
                Doc::new("Memory files: lasting memory, then daily notes, newest first")
                    .returns::<Notes>()
            }),
        )
        .get(
            "/agents/{agent}/memory/note",
            read.needs(Can::Read).doc(|| {
                Doc::new("One file of its memory").query::<NoteParams>().returns::<NoteOut>()
            }),
        )
        .put(
            "/agents/{agent}/memory/note",
            write.needs(Can::Agents).doc(|| {
                Doc::new("Change a memory file; `hash` is the hash of the text you read")
                    .body::<NoteBody>()
                    .no_key("the hash says what is changed")
                    .returns::<NoteOut>()
            }),
        )
        .get(
            "/agents/{agent}/memory/search",
            search.needs(Can::Read).doc(|| {
                Doc::new("Search its memory, your conversations and those about tasks")
                    .query::<MemorySearchParams>()
                    .returns::<Found>()
            }),
        )
}

/// A file of memory.
#[derive(Serialize, JsonSchema)]
struct NoteLine {
    path: String,
    /// The day that it is about; none for what lasts.
    day: Option<String>,
    bytes: u64,
}

#[derive(Serialize, JsonSchema)]
struct Notes {
    items: Vec<NoteLine>,
}

/// Which file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteParams {
    /// `MEMORY.md` or `memory/<day>.md`.
    path: String,
}

/// A file with its text.
#[derive(Serialize, JsonSchema)]
struct NoteOut {
    path: String,
    text: String,
    /// Give it back with a change.
    hash: String,
}

/// A change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    /// `MEMORY.md` or `memory/<day>.md`.
    path: String,
    /// All of it.
    text: String,
    /// Of the text before.
    hash: String,
}

/// What is looked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MemorySearchParams {
    /// Words.
    q: String,
    /// At most so many of each kind, up to 50.
    #[serde(default)]
    limit: Option<usize>,
}

/// A passage of memory.
#[derive(Serialize, JsonSchema)]
struct NoteHit {
    path: String,
    /// First and last line.
    lines: (usize, usize),
    text: String,
    /// At most 1.
    score: f64,
}

/// Something that was said.
#[derive(Serialize, JsonSchema)]
struct SaidHit {
    session: SessionId,
    /// The number of its event in the conversation.
    n: u32,
    run: Option<RunId>,
    at: String,
    /// `agent`, or somebody else.
    by: &'static str,
    text: String,
    score: f64,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
struct Found {
    notes: Vec<NoteHit>,
    said: Vec<SaidHit>,
    /// Whether all conversations were looked through.
    complete: bool,
    /// The oldest moment that was looked at.
    until: Option<String>,
}

async fn list(At { ws, agent, .. }: At<ApiError>) -> Result<Json<Notes>, ApiError> {
    let notes = memory::list(&ws, &agent).await?.into_iter();
    let lines = notes.map(|note| NoteLine {
        path: note.path,
        day: note.day.map(|day| day.to_string()),
        bytes: note.bytes,
    });
    Ok(Json(Notes { items: lines.collect() }))
}

async fn read(
    Query(params): Query<NoteParams>,
    At { ws, agent, .. }: At<ApiError>,
) -> Result<Json<NoteOut>, ApiError> {
    let memory::Read { text, hash } = memory::read(&ws, &agent, &params.path).await?;
    Ok(Json(NoteOut { path: params.path, text, hash }))
}

async fn write(at: At<ApiError>, Json(body): Json<NoteBody>) -> Result<Json<NoteOut>, ApiError> {
    let NoteBody { path, text, hash } = body;
    let hand = at.hand();
    let memory::Read { text, hash } = memory::write(hand, &path, (text, &hash)).await?;
    Ok(Json(NoteOut { path, text, hash }))
}

async fn search(
    Query(params): Query<MemorySearchParams>,
    At { ws, who, agent, .. }: At<ApiError>,
) -> Result<Json<Found>, ApiError> {
    let words = Words::of(&params.q);
    let words = words.ok_or_else(|| ApiError::invalid("q", "enter a search word"))?;
    let most = params.limit.unwrap_or(USUAL).clamp(1, MOST);
    let today = ws.app.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let Searched { notes, messages } =
        memory::find(&ws, &agent, who.account, words, today, most).await?;
    let notes = notes.into_iter().map(|one| NoteHit {
        path: one.path,
        lines: (one.passage.from, one.passage.to),
        text: one.passage.text,
        score: one.score,
    });
    let hits = messages.hits.into_iter().map(|one| SaidHit {
        session: one.session,
        n: one.n,
        run: one.run,
        at: one.at.to_string(),
        by: if one.by.is_some() { "other" } else { "agent" },
        text: one.text,
        score: one.score,
    });
    Ok(Json(Found {
        notes: notes.collect(),
        said: hits.collect(),
        complete: messages.complete,
        until: messages.until.map(|at| at.to_string()),
    }))
}
