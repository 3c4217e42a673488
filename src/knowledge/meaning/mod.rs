//! Search by meaning: each passage has a vector, made of the title of its item, the headings above it and its words; a
//! question has one, too, and what is near to it is about the same, in whatever words.
//!
//! Vectors are derived, like the index: they lie beside the store, follow its feed with a place of their own, and what
//! is lost is made again.

mod fetch;
pub mod models;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use app::{App, Ws};
use embed::vectors::Id;
use embed::{Arena, Embedder, Hash};
use kernel::TypedId as _;
use sha2::{Digest as _, Sha256};

use crate::cut::Cut;
use crate::model::{Item, KnowledgeId};
use crate::recent::Recent;

/// The most bytes of title and headings before the words of a passage: about 96 tokens.
const HEAD: usize = 384;
/// How long a question waits for the model to be loaded.
const PATIENCE: Duration = Duration::from_millis(400);

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

/// What is embedded for a passage.
#[must_use]
pub fn told(item: &Item, cut: &Cut, n: u32) -> Option<String> {
    let words = cut.words(n)?;
    let above = cut.trail(n);
    let head = match above.is_empty() {
        true => item.title.clone(),
        false => format!("{} › {above}", item.title),
    };
    Some(format!("{}\n{words}", kernel::text::cut(&head, HEAD)))
}

/// What a text is told from another by.
#[must_use]
pub fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// A question, ready to be compared.
#[derive(Clone)]
pub struct Question {
    /// The vectors of the workspace.
    pub arena: Arc<Arena>,
    /// The vector of the question.
    pub vector: Arc<Vec<f32>>,
    /// What is farther away is about something else.
    pub floor: f32,
}

/// How far search by meaning is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has chosen a model.
    #[default]
    Off,
    /// Nothing but meaning was asked for, and nobody has chosen a model.
    Missing,
    /// The model is on its way into memory, or cannot be loaded.
    Absent,
    /// It answers; so many passages have no vector yet.
    On(usize),
}

/// The vector of a question, and how far search by meaning is.
pub async fn question(ws: &Ws, q: &str) -> (Option<Question>, Standing) {
    let (own, text) = (ws.clone(), q.trim().to_owned());
    let asked = tokio::task::spawn_blocking(move || ask(&own, &text));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        // The thread goes on, so the next question finds the model loaded.
        Ok(Err(_)) | Err(_) => (None, Standing::Absent),
    }
}

fn ask(ws: &Ws, text: &str) -> (Option<Question>, Standing) {
    let embedder = match ws.app.meaning.embedder() {
        Ok(Some(embedder)) => embedder,
        Ok(None) => return (None, Standing::Off),
        Err(_) => return (None, Standing::Absent),
    };
    let on = Standing::On(ws.vectors.waiting());
    let opened = ws.vectors.open(embedder.id(), embedder.dimensions());
    let answer = opened.map_err(|error| error.to_string()).and_then(|arena| {
        let vector = vector(embedder.as_ref(), text).map_err(|error| error.to_string())?;
        Ok(Question { arena, vector, floor: embedder.floor() })
    });
    match answer {
        Ok(question) => (Some(question), on),
        Err(error) => {
            tracing::warn!(error, "{} is not searched by meaning", ws.slug);
            ws.vectors.note(Some(error));
            (None, Standing::Absent)
        }
    }
}

/// The vectors of questions that were asked a moment ago, by model and text.
static LAST: Recent<(String, String), Vec<f32>> = Recent::new(64);

fn vector(embedder: &dyn Embedder, text: &str) -> Result<Arc<Vec<f32>>, embed::EmbedError> {
    if let Some(vector) = LAST.get(|(model, asked)| model == embedder.id() && asked == text) {
        return Ok(vector);
    }
    let vector = Arc::new(embedder.query(text)?);
    LAST.keep((embedder.id().to_owned(), text.to_owned()), vector.clone());
    Ok(vector)
}

/// Whether a model is in use. Looked up once after each change, so it is quick as a rule.
#[must_use]
pub fn is_on(app: &App) -> bool {
    app.meaning.used().is_some()
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
