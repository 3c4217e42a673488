//! The embeddings endpoint. Uses the model of semantic search, on this machine or behind a connection.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::meaning::NoModel;
use app::{App, Ws};
use features::connections::model::Maker;
use features::connections::queries::vectors::{VectorError, made};
use kernel::{Problem as _, ProblemKind};
use providers::embedding::Purpose;

use super::error::{self, ChatError};

/// Name of the model; other names are accepted as aliases.
pub(super) const MODEL: &str = "hq/embed";
/// Maximum number of texts per request.
const MOST: usize = 2_048;
/// Number of texts embedded before checking whether the client is still connected.
const BATCH: usize = 64;

/// A request for vectors.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct EmbeddingsRequest {
    /// `hq/embed`, the name of an agent, or that of the model in use.
    #[serde(default)]
    model: String,
    /// A text, or up to 2,048 of them.
    input: Input,
    /// `float` or `base64`.
    #[serde(default)]
    encoding_format: Option<String>,
    /// How many numbers of each vector, if not all.
    #[serde(default)]
    dimensions: Option<usize>,
}

/// A text, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize, JsonSchema)]
pub(super) struct EmbeddingsList {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize, JsonSchema)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Numbers {
    Float(Vec<f32>),
    /// Little-endian numbers of four bytes.
    Base64(String),
}

#[derive(Serialize, JsonSchema)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// The validated request.
struct EmbeddingsBody {
    texts: Vec<String>,
    is_base64: bool,
    dimensions: Option<usize>,
}

impl EmbeddingsRequest {
    /// Parses a request body.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        error::read(body)
    }

    pub fn model(&self) -> &str {
        self.model.trim()
    }

    fn checked(self) -> Result<EmbeddingsBody, ChatError> {
        let is_base64 = match self.encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => {
                return Err(ChatError::invalid("encoding_format", "must be float or base64"));
            }
        };
        let texts = match self.input {
            Input::One(text) => vec![text],
            Input::Many(texts) => texts,
        };
        if texts.is_empty() || MOST < texts.len() {
            let text = format!("must have 1 to {MOST} texts");
            return Err(ChatError::invalid("input", text));
        }
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(ChatError::invalid("input", "can't contain an empty text"));
        }
        Ok(EmbeddingsBody { texts, is_base64, dimensions: self.dimensions })
    }
}

/// Whether a name selects the model in use: its own name, our alias, or none.
pub(super) fn is_own(ws: &Ws, far: Option<&Maker>, name: &str) -> bool {
    let is_named = || match far {
        Some(maker) => maker.model == name,
        None => {
            let used = ws.app.meaning.used();
            used.is_some_and(|used| used.model.id == name || used.model.name == name)
        }
    };
    name.is_empty() || name == MODEL || is_named()
}

/// No embedding model has this name; the message lists the valid names.
pub(super) fn unknown(ws: &Ws, far: Option<&Maker>, name: &str) -> ChatError {
    let own = match far {
        Some(maker) => Some(maker.model.clone()),
        None => ws.app.meaning.used().map(|used| used.model.name.to_string()),
    };
    let named = own.map_or_else(String::new, |own| format!(" or \"{own}\""));
    let text = format!(
        "the model \"{}\" can't create embeddings here; use \"{MODEL}\"{named}",
        kernel::text::ellipsis(name, 80)
    );
    let error = ChatError::new(StatusCode::NOT_FOUND, "model_not_found", text);
    ChatError { param: Some("model".to_owned()), ..error }
}

/// Responds to a request. `far` is the embedding model behind a connection, used instead of the local one.
pub(super) async fn embed(
    ws: &Ws,
    far: Option<Maker>,
    request: EmbeddingsRequest,
) -> Result<Response, ChatError> {
    let model = match request.model() {
        "" => MODEL.to_owned(),
        other => other.to_owned(),
    };
    let body = Arc::new(request.checked()?);
    let Batch { vectors: data, tokens } = match far {
        Some(maker) => by_connection(ws, &maker, &body).await?,
        None => on_this_machine(&ws.app, &body).await?,
    };
    let embedding = |(index, vector): (usize, Vec<f32>)| Embedding {
        object: "embedding",
        index,
        embedding: if body.is_base64 { base64(&vector) } else { Numbers::Float(vector) },
    };
    let data = data.into_iter().enumerate().map(embedding).collect();
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(axum::Json(EmbeddingsList { object: "list", data, model, usage }).into_response())
}

struct Batch {
    vectors: Vec<Vec<f32>>,
    tokens: usize,
}

async fn on_this_machine(app: &App, body: &Arc<EmbeddingsBody>) -> Result<Batch, ChatError> {
    let mut all = Batch { vectors: Vec::new(), tokens: 0 };
    while all.vectors.len() < body.texts.len() {
        let (own, app, from) = (body.clone(), app.clone(), all.vectors.len());
        // If the client disconnects, this future and the remaining batches are dropped.
        let batch = tokio::task::spawn_blocking(move || vectors(&app, &own, from));
        let batch = batch.await.map_err(|error| failed(error.to_string()))??;
        all.tokens += batch.tokens;
        all.vectors.extend(batch.vectors);
    }
    Ok(all)
}

async fn by_connection(ws: &Ws, maker: &Maker, body: &EmbeddingsBody) -> Result<Batch, ChatError> {
    fits(body, maker.length())?;
    let texts = body.texts.clone();
    let made =
        made(ws, maker, (texts, Purpose::Passages)).await.map_err(|error| refused(&error))?;
    let tokens = usize::try_from(made.tokens).unwrap_or(usize::MAX);
    let mut all = Batch { vectors: made.vectors, tokens };
    if let Some(wanted) = body.dimensions {
        all.vectors.iter_mut().for_each(|vector| shorten(vector, wanted));
    }
    Ok(all)
}

/// Converts an error of a connection; a transient error invites a retry.
fn refused(error: &VectorError) -> ChatError {
    let message = error.to_string();
    let status = match error.kind() {
        ProblemKind::Limited => StatusCode::TOO_MANY_REQUESTS,
        ProblemKind::Upstream => StatusCode::BAD_GATEWAY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let answer = ChatError::new(status, "embeddings_failed", message);
    match error.wait() {
        Some(wait) => answer.ends_in(wait.as_secs().max(1)),
        None if error.passes() => answer,
        None => answer.for_good(),
    }
}

/// Checks the requested number of dimensions.
fn fits(body: &EmbeddingsBody, length: usize) -> Result<(), ChatError> {
    match body.dimensions.is_some_and(|wanted| !(1..=length).contains(&wanted)) {
        true => Err(ChatError::invalid("dimensions", format!("must be 1 to {length}"))),
        false => Ok(()),
    }
}

fn vectors(app: &App, body: &EmbeddingsBody, from: usize) -> Result<Batch, ChatError> {
    let embedder = app.meaning.needed().map_err(|why| match why {
        NoModel::Off => {
            let (status, why) = (StatusCode::SERVICE_UNAVAILABLE, why.to_string());
            ChatError::new(status, "embeddings_unavailable", why).for_good()
        }
        NoModel::Refused(refused) => failed(refused.to_string()),
    })?;
    fits(body, embedder.dimensions())?;
    let texts: Vec<&str> = body.texts[from..].iter().take(BATCH).map(String::as_str).collect();
    let tokens = texts.iter().map(|text| embedder.tokens(text)).sum();
    let mut vectors = embedder.passages(&texts).map_err(|error| failed(error.to_string()))?;
    if let Some(wanted) = body.dimensions {
        vectors.iter_mut().for_each(|vector| shorten(vector, wanted));
    }
    Ok(Batch { vectors, tokens })
}

/// Truncates a vector and normalises it to length 1.
fn shorten(vector: &mut Vec<f32>, wanted: usize) {
    vector.truncate(wanted);
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length.is_normal() {
        vector.iter_mut().for_each(|number| *number /= length);
    }
}

fn base64(vector: &[f32]) -> Numbers {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    Numbers::Base64(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn failed(why: String) -> ChatError {
    ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "embeddings_failed", why).for_good()
}

#[cfg(test)]
mod tests {
    use super::{Numbers, base64, shorten};

    #[test]
    fn a_shorter_vector_has_the_length_of_one() {
        let mut vector = vec![3.0, 4.0, 12.0];
        shorten(&mut vector, 2);
        assert_eq!(vector, [0.6, 0.8]);
        let mut nothing = vec![0.0, 1.0];
        shorten(&mut nothing, 1);
        assert_eq!(nothing, [0.0]);
    }

    #[test]
    fn numbers_are_little_endian() {
        assert!(matches!(base64(&[1.0]), Numbers::Base64(text) if text == "AACAPw=="));
    }
}
