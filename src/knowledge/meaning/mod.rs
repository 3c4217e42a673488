//! Semantic search. Each passage has a vector of its item's title, the headings above it and its text. The query has a
//! vector too; near vectors have a similar meaning.
//!
//! Vectors are derived data like the index. They are stored beside the store, follow its feed with a cursor of their
//! own, and are rebuilt after a loss.

pub mod far;
mod fetch;
pub mod left_out;
pub mod models;
mod pause;
pub mod ready;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use embed::shelf::InstalledModel;
use embed::vectors::Id;
use embed::{Arena, Embedder, Hash};
use features::connections::model::Maker;
use features::connections::queries::vectors as queries;
use kernel::TypedId as _;
use providers::embedding::Purpose;
use sha2::{Digest as _, Sha256};
use store::StoreError;

use crate::cut::Cut;
use crate::model::{Item, KnowledgeId};
use crate::recent::Recent;

/// Size limit of title and headings before a passage, in bytes; about 96 tokens.
const HEAD: usize = 384;
/// How long a query waits for the model to load.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long a query waits for a vector from a connection.
const FAR: Duration = Duration::from_millis(1_500);
/// Default pause of a connection after a failed query.
const LEFT: Duration = Duration::from_secs(60);

/// The source of a workspace's vectors.
#[derive(Clone, Debug)]
pub enum Source {
    /// The local model.
    Local(Box<InstalledModel>),
    /// A model behind a connection.
    Connection(Maker),
}

impl Source {
    /// The model id that the vectors are stored under.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Local(kept) => kept.model.id.to_string(),
            Self::Connection(maker) => maker.id(),
        }
    }

    /// Number of dimensions of the vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Local(kept) => kept.model.dimensions(),
            Self::Connection(maker) => maker.length(),
        }
    }

    /// Display name of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Local(kept) => &kept.model.name,
            Self::Connection(maker) => &maker.model,
        }
    }
}

/// The current source of a workspace's vectors; `None` if none was selected. May take a second after a change of
/// models, so call it on a blocking thread.
pub fn source(ws: &Ws) -> Result<Option<Source>, StoreError> {
    let chosen = ws.read(|snap| queries::chosen(snap))?;
    Ok(chosen.map(Source::Connection).or_else(|| local(ws)))
}

fn local(ws: &Ws) -> Option<Source> {
    ws.app.meaning.used().map(|kept| Source::Local(Box::new(kept)))
}

/// The source used for queries: the current one, or the former one until all vectors are rebuilt.
struct Serving {
    source: Source,
    is_former: bool,
}

fn serving(ws: &Ws) -> Result<Option<Serving>, StoreError> {
    let standing = ws.read(|snap| queries::standing(snap))?;
    let is_far = standing.now.is_some();
    let Some(now) = standing.now.map(Source::Connection).or_else(|| local(ws)) else {
        return Ok(None);
    };
    let is_made = |source: &Source| ws.vectors.place(&source.id()).is_some();
    let here = || local(ws).filter(|_| is_far);
    let former = || standing.before.map(Source::Connection).or_else(here).filter(is_made);
    let former = if is_made(&now) { None } else { former() };
    Ok(Some(match former {
        Some(source) => Serving { source, is_former: true },
        None => Serving { source: now, is_former: false },
    }))
}

/// The id of a passage's vector.
#[must_use]
pub fn place(item: KnowledgeId, n: u32) -> Id {
    let mut id = [0; 20];
    id[..16].copy_from_slice(item.uuid().as_bytes());
    id[16..].copy_from_slice(&n.to_be_bytes());
    id
}

/// The passage of a vector.
#[must_use]
pub fn passage(id: &Id) -> (KnowledgeId, u32) {
    let (uuid, n) = (id.first_chunk(), id.last_chunk());
    let uuid = kernel::id::made_of::uuid::Uuid::from_bytes(*uuid.expect("invariant: 20 bytes"));
    (KnowledgeId::from_uuid(uuid), u32::from_be_bytes(*n.expect("invariant: 20 bytes")))
}

/// The text that is embedded for a passage.
#[must_use]
pub fn embedding_text(item: &Item, cut: &Cut, n: u32) -> Option<String> {
    let words = cut.words(n)?;
    let above = cut.trail(n);
    let head = match above.is_empty() {
        true => item.title.clone(),
        false => format!("{} › {above}", item.title),
    };
    Some(format!("{}\n{words}", kernel::text::cut(&head, HEAD)))
}

/// Identifies an embedded text.
#[must_use]
pub fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// An embedded query.
#[derive(Clone)]
pub struct Question {
    /// The vectors of the workspace.
    pub arena: Arc<Arena>,
    /// The vector of the query.
    pub vector: Arc<Vec<f32>>,
    /// Minimum similarity of a match.
    pub floor: f32,
}

/// State of semantic search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No model was selected.
    #[default]
    Off,
    /// Only semantic search was requested, but no model was selected.
    Missing,
    /// The model is loading or cannot be loaded.
    Absent,
    /// Available; this many passages have no vector yet.
    On(usize),
    /// Available with the former model's vectors, until the new ones are complete.
    Former,
}

/// The embedded query, and the state of semantic search.
pub async fn question(ws: &Ws, q: &str) -> (Option<Question>, Standing) {
    let is_far = ws.read(|snap| queries::chosen(snap)).is_ok_and(|chosen| chosen.is_some());
    let (own, text) = (ws.clone(), q.trim().to_owned());
    let (tells, receiver) = tokio::sync::oneshot::channel();
    // The task continues after a timeout, so the next query finds the model loaded or the vector cached.
    ws.spawn("vector of a question", async move {
        // ok: the caller may have timed out
        let _ = tells.send(answered(&own, text).await);
    });
    match tokio::time::timeout(if is_far { FAR } else { PATIENCE }, receiver).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => (None, Standing::Absent),
    }
}

async fn answered(ws: &Ws, text: String) -> (Option<Question>, Standing) {
    let serving = match ws.read_blocking(serving).await {
        Ok(Some(serving)) => serving,
        Ok(None) => return (None, Standing::Off),
        Err(error) => {
            tracing::warn!(%error, "{} is not searched by meaning", ws.slug);
            return (None, Standing::Absent);
        }
    };
    let standing = match serving.is_former {
        true => Standing::Former,
        false => Standing::On(ws.vectors.waiting()),
    };
    let question = match serving.source {
        Source::Local(_) => {
            let answer = ws.read_blocking(move |ws| Ok::<_, StoreError>(ask(ws, &text)));
            // ok: a panic of the thread is in the log
            answer.await.unwrap_or_default()
        }
        Source::Connection(maker) => ask_far(ws, &maker, &text).await,
    };
    let standing = if question.is_some() { standing } else { Standing::Absent };
    (question, standing)
}

/// Embeds a query with the local model. The page of models states why a model cannot be loaded.
fn ask(ws: &Ws, text: &str) -> Option<Question> {
    // ok: the page of models reports the error
    let embedder = ws.app.meaning.embedder().ok().flatten()?;
    let opened = ws.vectors.open(embedder.id(), embedder.dimensions());
    let answer = opened.map_err(|error| error.to_string()).and_then(|arena| {
        let vector = vector(embedder.as_ref(), text).map_err(|error| error.to_string())?;
        Ok(Question { arena, vector, floor: embedder.floor() })
    });
    answer.map_err(|error| failed(ws, &error)).ok()
}

fn failed(ws: &Ws, error: &str) {
    tracing::warn!(error, "{} is not searched by meaning", ws.slug);
    ws.vectors.note(Some(web::form::sentence(error)));
}

/// Embeds a query by a connection, unless it is paused after a failure.
async fn ask_far(ws: &Ws, maker: &Maker, text: &str) -> Option<Question> {
    let (id, length) = (maker.id(), maker.length());
    let vector = match LAST.get(|(model, question)| *model == id && question == text) {
        Some(vector) => vector,
        None if ws.vectors.is_left(&id) => return None,
        None => {
            let made = queries::made(ws, maker, (vec![text.to_owned()], Purpose::Question)).await;
            if let Err(error) = &made {
                failed(ws, &error.to_string());
                ws.vectors.start_cooldown(&id, error.wait().unwrap_or(LEFT));
            }
            // ok: the error was recorded above
            let vector = Arc::new(made.ok()?.vectors.into_iter().next()?);
            LAST.keep((id.clone(), text.to_owned()), vector.clone());
            vector
        }
    };
    let opened = ws.read_blocking(move |ws| {
        let opened = ws.vectors.open(&id, length);
        opened.map_err(|error| StoreError::Failed(error.to_string()))
    });
    let arena = opened.await.map_err(|error| failed(ws, &error.to_string())).ok()?;
    Some(Question { arena, vector, floor: maker.least() })
}

/// Cache of query vectors, by model and text.
static LAST: Recent<(String, String), Vec<f32>> = Recent::new(64);

fn vector(embedder: &dyn Embedder, text: &str) -> Result<Arc<Vec<f32>>, embed::EmbedError> {
    if let Some(vector) = LAST.get(|(model, question)| model == embedder.id() && question == text) {
        return Ok(vector);
    }
    let vector = Arc::new(embedder.query(text)?);
    LAST.keep((embedder.id().to_owned(), text.to_owned()), vector.clone());
    Ok(vector)
}

/// Whether the workspace has a source of vectors. Usually fast: models are looked up once after each change.
#[must_use]
pub fn is_on(ws: &Ws) -> bool {
    // ok: a failing store is reported elsewhere
    source(ws).is_ok_and(|source| source.is_some())
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;
    use kernel::id::made_of::uuid::Uuid;

    use crate::model::KnowledgeId;

    #[test]
    fn a_vector_tells_its_passage() {
        let item = KnowledgeId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_cdef));
        for n in [0, 1, 70_000, u32::MAX] {
            assert_eq!(super::passage(&super::place(item, n)), (item, n));
        }
    }
}
