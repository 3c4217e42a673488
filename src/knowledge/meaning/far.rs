//! Embedding by a connection instead of the local model: available connections, estimated cost, selection; and
//! embedding of a single text.

use app::{Who, Ws};
use features::connections::model::{Connection, Maker, VectorSource};
use features::connections::queries as connections;
use features::connections::queries::vectors as queries;
use features::connections::vectors;
use features::usage::queries::bill;
use kernel::{ConnectionId, Route};
use providers::embedding::{self, Purpose};
use providers::model::Usage as Tokens;
use store::{Range, ReadExt as _};

use super::{Source, embedding_text, source};
use crate::cut::Cut;
use crate::error::KnowledgeError;
use crate::model::Item;

/// A connection that can embed.
pub struct Able {
    pub id: ConnectionId,
    pub name: String,
    /// Known embedding models of its server; it may have others.
    pub models: &'static [&'static str],
}

impl From<Connection> for Able {
    fn from(connection: Connection) -> Self {
        let base = connections::base_of(&connection);
        let models = base.map_or(&[][..], |base| embedding::usual(&base));
        Self { id: connection.id, name: connection.name, models }
    }
}

/// The connections that can embed, by name.
pub fn able(ws: &Ws) -> Result<Vec<Able>, KnowledgeError> {
    let all = ws.read(|snap| queries::able(snap))?;
    Ok(all.into_iter().map(Able::from).collect())
}

/// The selected model behind a connection, with the connection's name; `None` for the local model.
pub fn chosen(ws: &Ws) -> Result<Option<(Maker, String)>, KnowledgeError> {
    Ok(ws.read(|snap| {
        let Some(maker) = queries::chosen(snap)? else { return Ok(None) };
        let connection = snap.get::<Connection>(maker.connection)?;
        Ok::<_, store::StoreError>(connection.map(|one| (maker, one.name)))
    })?)
}

/// Estimated cost of embedding all passages of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub connection: ConnectionId,
    pub name: String,
    pub model: String,
    /// Number of passages.
    pub passages: usize,
    /// Estimated tokens.
    pub tokens: u64,
    /// Estimated cost in micro-dollars; `None` without a price.
    pub micros: Option<i64>,
    /// Whether the connection is not paid by token.
    pub is_free: bool,
}

/// Estimates the cost of embedding all passages by a connection, given by id or name. Reads all passages, so call it on
/// a blocking thread.
///
/// # Errors
/// The connection is unknown or cannot embed, or the disk fails.
pub fn estimate(ws: &Ws, name: &str, model: &str) -> Result<Estimate, KnowledgeError> {
    let model = model.trim();
    ws.read(|snap| {
        let connection = queries::named(snap, name)?;
        let known = queries::priced(snap, &connection, (model, ws.app.clock.now()))?;
        let (mut passages, mut bytes) = (0, 0);
        for item in snap.list::<Item>(&Range::all())? {
            let cut = Cut::of(&ws.blobs, snap, item.id)?;
            let texts = (0..).map_while(|n| embedding_text(&item, &cut, n));
            for text in texts {
                passages += 1;
                bytes += text.len() as u64;
            }
        }
        let tokens = bytes.div_ceil(4);
        let is_free = connections::route(&connection) == Route::Own;
        let used = Tokens { input: tokens, ..Tokens::default() };
        Ok::<_, KnowledgeError>(Estimate {
            micros: bill(&known, &used).filter(|_| !is_free),
            connection: connection.id,
            name: connection.name,
            model: model.to_owned(),
            passages,
            tokens,
            is_free,
        })
    })
}

/// Selects a connection, by id or name, after a successful test.
///
/// # Errors
/// The connection is unknown or cannot embed, the budget is exhausted, or the test fails; then nothing changes.
pub async fn choose(
    ws: &Ws,
    who: &(impl Who + Sync),
    (name, model): (&str, &str),
) -> Result<VectorSource, KnowledgeError> {
    let connection = ws.read(|snap| queries::named(snap, name))?;
    Ok(vectors::choose(ws, who, (connection.id, model)).await?)
}

/// Selects the local model.
pub async fn choose_local(
    ws: &Ws,
    who: &(impl Who + Sync),
) -> Result<VectorSource, KnowledgeError> {
    Ok(vectors::choose_local(ws, who).await?)
}

/// The vector of a text, and the model's name.
///
/// # Errors
/// No source is selected, or embedding fails.
pub async fn vector(ws: &Ws, text: String) -> Result<(String, Vec<f32>), KnowledgeError> {
    match ws.read_blocking(source).await? {
        Some(Source::Connection(maker)) => {
            let made = queries::made(ws, &maker, (vec![text], Purpose::Passages)).await?;
            Ok((maker.model, made.vectors.into_iter().next().unwrap_or_default()))
        }
        _ => {
            ws.read_blocking(move |ws| {
                let refused =
                    |why: &dyn std::fmt::Display| KnowledgeError::Refused(why.to_string());
                let embedder = ws.app.meaning.needed().map_err(|why| refused(&why))?;
                let vectors = embedder.passages(&[&text]).map_err(|error| refused(&error))?;
                let vector = vectors.into_iter().next().unwrap_or_default();
                Ok((embedder.id().to_owned(), vector))
            })
            .await
        }
    }
}
