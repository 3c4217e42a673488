//! Text embeddings from a server: OpenAI and compatible ones, Gemini, Ollama. Vectors are normalized to length one.
//! Incomplete responses are errors.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::base::{Base, Server};
use super::bound::Size;
use super::catalog::{Model, Price};
use super::error::ProviderError;
use super::wire::Connection;
use net::message::{Request, Timeouts};

/// Maximum number of texts per request: the lowest limit of all servers.
pub const MOST: usize = 100;
/// Time limit of a request.
const PATIENCE: Duration = Duration::from_secs(120);

/// Purpose of the vectors: some models distinguish queries from passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Texts to be found.
    Passages,
    Question,
}

/// An embedding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedRequest {
    /// Model id at its server.
    pub model: String,
    /// At most [`MOST`] texts, none of them empty.
    pub texts: Vec<String>,
    /// Purpose of the vectors.
    pub purpose: Purpose,
}

impl EmbedRequest {
    /// Size of the request.
    #[must_use]
    pub fn size(&self) -> Size {
        let bytes = self.texts.iter().map(|text| text.len() as u64 + 8).sum();
        Size { bytes, images: 0 }
    }

    /// The texts with the prefixes that the model expects.
    fn dressed(&self) -> Vec<String> {
        let known = known(&self.model);
        let before = known.map_or("", |known| match self.purpose {
            Purpose::Passages => known.passage,
            Purpose::Question => known.question,
        });
        self.texts.iter().map(|text| format!("{before}{text}")).collect()
    }
}

/// Result of an embedding request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One normalized vector per text, in order, all with the same dimension.
    pub vectors: Vec<Vec<f32>>,
    /// Number of tokens, if the server counts.
    pub tokens: Option<u64>,
}

/// A known embedding model.
struct Known {
    /// Prefix of its name, without the vendor.
    name: &'static str,
    /// Prefix for a query.
    question: &'static str,
    /// Prefix for a passage.
    passage: &'static str,
    /// List price per million tokens in micro-dollars; `None` for self-hosted models.
    price: Option<u64>,
}

/// Sources: the price lists of OpenAI, Google and Mistral, and the model cards, which define the prefixes. Longer names
/// precede their own prefixes.
const KNOWN: &[Known] = &[
    Known { name: "text-embedding-3-small", question: "", passage: "", price: Some(20_000) },
    Known { name: "text-embedding-3-large", question: "", passage: "", price: Some(130_000) },
    Known { name: "text-embedding-ada-002", question: "", passage: "", price: Some(100_000) },
    Known { name: "gemini-embedding-001", question: "", passage: "", price: Some(150_000) },
    Known { name: "mistral-embed", question: "", passage: "", price: Some(100_000) },
    Known {
        name: "nomic-embed-text",
        question: "search_query: ",
        passage: "search_document: ",
        price: None,
    },
    Known {
        name: "mxbai-embed-large",
        question: "Represent this sentence for searching relevant passages: ",
        passage: "",
        price: None,
    },
    Known {
        name: "snowflake-arctic-embed",
        question: "Represent this sentence for searching relevant passages: ",
        passage: "",
        price: None,
    },
];

fn known(model: &str) -> Option<&'static Known> {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    KNOWN.iter().find(|known| name.starts_with(known.name))
}

/// An embedding model with its list price, unless another price is known.
#[must_use]
pub fn described(model: Model, base: &Base) -> Model {
    let is_own = matches!(base.server, Server::Ollama | Server::LmStudio | Server::Vllm);
    let price = known(&model.id).and_then(|known| known.price).filter(|_| !is_own);
    let listed =
        price.map(|input| Price { input, cache_read: input, cache_write: input, output: 0 });
    Model { price: model.price.or(listed), ..model }
}

/// Known embedding models of a server, default first. There may be others.
#[must_use]
pub fn usual(base: &Base) -> &'static [&'static str] {
    match base.server {
        Server::OpenAi | Server::Azure => &["text-embedding-3-small", "text-embedding-3-large"],
        Server::Google => &["gemini-embedding-001"],
        Server::Mistral => &["mistral-embed"],
        Server::Ollama | Server::LmStudio | Server::Vllm => {
            &["nomic-embed-text", "mxbai-embed-large", "bge-m3"]
        }
        _ => &[],
    }
}

/// Sends a request and parses the response.
async fn ask<T: DeserializeOwned>(
    connection: &Connection,
    post: Request,
    body: &serde_json::Value,
) -> Result<T, ProviderError> {
    let times = Timeouts {
        headers: connection.limits.header,
        idle: connection.limits.idle,
        total: Some(PATIENCE),
    };
    let post = post.body("application/json", body.to_string()).timeouts(times);
    let answer = connection.get(post).await?;
    serde_json::from_value(answer).map_err(|_| {
        ProviderError::garbage("the server sent no vectors; check the base URL and the model")
    })
}

#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Vec<OpenAiVector>,
    #[serde(default)]
    usage: Option<OpenAiUsage>,
}

#[derive(Deserialize)]
struct OpenAiVector {
    /// If the server omits it, the vectors are in order.
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct OpenAiUsage {
    #[serde(default)]
    prompt_tokens: u64,
}

/// Requests embeddings with `POST …/embeddings`.
///
/// # Errors
/// If the call fails.
pub(super) async fn openai(
    connection: &Connection,
    post: Request,
    request: &EmbedRequest,
) -> Result<Embedded, ProviderError> {
    let body = json!({ "model": request.model, "input": request.dressed() });
    let mut answer: OpenAiAnswer = ask(connection, post, &body).await?;
    if answer.data.iter().all(|one| one.index.is_some()) {
        answer.data.sort_by_key(|one| one.index);
    }
    let tokens = answer.usage.map(|usage| usage.prompt_tokens).filter(|tokens| 0 < *tokens);
    let vectors = answer.data.into_iter().map(|one| one.embedding).collect();
    Ok(Embedded { vectors: whole(vectors, request.texts.len())?, tokens })
}

#[derive(Deserialize)]
struct GeminiAnswer {
    embeddings: Vec<GeminiVector>,
}

#[derive(Deserialize)]
struct GeminiVector {
    values: Vec<f32>,
}

#[derive(Serialize)]
struct GeminiText<'a> {
    model: &'a str,
    content: serde_json::Value,
    #[serde(rename = "taskType")]
    task: &'static str,
}

/// Requests embeddings with `POST …:batchEmbedContents`. `model` has the prefix `models/`.
///
/// # Errors
/// If the call fails.
pub(super) async fn gemini(
    connection: &Connection,
    post: Request,
    (request, model): (&EmbedRequest, &str),
) -> Result<Embedded, ProviderError> {
    let task = match request.purpose {
        Purpose::Passages => "RETRIEVAL_DOCUMENT",
        Purpose::Question => "RETRIEVAL_QUERY",
    };
    let text =
        |text: String| GeminiText { model, content: json!({ "parts": [{ "text": text }] }), task };
    let texts: Vec<GeminiText<'_>> = request.dressed().into_iter().map(text).collect();
    let answer: GeminiAnswer = ask(connection, post, &json!({ "requests": texts })).await?;
    let vectors = answer.embeddings.into_iter().map(|one| one.values).collect();
    Ok(Embedded { vectors: whole(vectors, request.texts.len())?, tokens: None })
}

#[derive(Deserialize)]
struct OllamaAnswer {
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
}

/// Requests embeddings with `POST /api/embed`.
///
/// # Errors
/// If the call fails.
pub(super) async fn ollama(
    connection: &Connection,
    post: Request,
    request: &EmbedRequest,
) -> Result<Embedded, ProviderError> {
    let body = json!({ "model": request.model, "input": request.dressed(), "truncate": true });
    let answer: OllamaAnswer = ask(connection, post, &body).await?;
    let tokens = answer.prompt_eval_count.filter(|tokens| 0 < *tokens);
    Ok(Embedded { vectors: whole(answer.embeddings, request.texts.len())?, tokens })
}

/// Validates and normalizes vectors: one per text, all with the same dimension.
fn whole(mut vectors: Vec<Vec<f32>>, wanted: usize) -> Result<Vec<Vec<f32>>, ProviderError> {
    let numbers = vectors.first().map_or(0, Vec::len);
    if vectors.len() != wanted || numbers == 0 {
        let text = format!("the server sent {} vectors for {wanted} texts", vectors.len());
        return Err(ProviderError::garbage(text));
    }
    for vector in &mut vectors {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        if vector.len() != numbers || !length.is_normal() {
            return Err(ProviderError::garbage("the server sent an invalid vector"));
        }
        vector.iter_mut().for_each(|number| *number /= length);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{Wire, normalise};
    use crate::error::ErrorClass;
    use crate::{Key, Provider, connect};
    use kernel::time::SystemClock;
    use loopback::{Step, answer, serving};
    use net::client::{ClientParts, HttpClient};
    use parking_lot::Mutex;
    use serde_json::Value;

    fn request(purpose: Purpose, model: &str) -> EmbedRequest {
        let texts = vec!["The dog".to_owned(), "It rains".to_owned()];
        EmbedRequest { model: model.to_owned(), texts, purpose }
    }

    /// The request sent to a server, and the parsed response.
    async fn embed(
        (wire, base): (Wire, &str),
        request: &EmbedRequest,
        script: impl Fn() -> Vec<Step>,
    ) -> (String, Result<Embedded, ProviderError>) {
        let heard = Mutex::new(String::new());
        let answered = serving(
            |head| {
                head.clone_into(&mut heard.lock());
                script()
            },
            async |address| {
                let base = normalise(wire, &format!("http://{address}{base}")).unwrap();
                let (clock, key) = (Arc::new(SystemClock), Key::new("sk-embed-secret"));
                let line =
                    Connection::new(HttpClient::new(ClientParts::default()), clock, base, key);
                let provider: Arc<dyn Provider> = connect(wire, line);
                assert!(provider.embeds());
                provider.embed(request).await
            },
        )
        .await;
        (heard.into_inner(), answered)
    }

    fn body(request: &str) -> Value {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    fn json_answer(body: &str) -> Vec<Step> {
        answer("200 OK", "content-type: application/json\r\n", body)
    }

    #[tokio::test]
    async fn openai_is_asked_for_all_texts_at_once_and_answers_in_their_order() {
        let wish = request(Purpose::Passages, "text-embedding-3-small");
        let response = r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}],
            "usage":{"prompt_tokens":5,"total_tokens":5}}"#;
        for wire in [Wire::OpenAiChat, Wire::OpenAiResponses] {
            let (heard, made) = embed((wire, "/v1"), &wish, || json_answer(response)).await;
            assert!(heard.starts_with("POST /v1/embeddings "), "{heard}");
            assert!(heard.to_ascii_lowercase().contains("authorization: bearer sk-embed-secret"));
            assert_eq!(body(&heard)["input"], json!(["The dog", "It rains"]));
            let made = made.unwrap();
            assert_eq!((made.vectors[1].clone(), made.tokens), (vec![0.0, 1.0], Some(5)));
            assert!((made.vectors[0][0] - 0.6).abs() < 1e-6, "{made:?}");
        }
    }

    #[tokio::test]
    async fn gemini_is_told_whether_it_is_a_question() {
        let wish = request(Purpose::Question, "gemini-embedding-001");
        let response = r#"{"embeddings":[{"values":[1,0]},{"values":[0,1]}]}"#;
        let (heard, made) = embed((Wire::Gemini, ""), &wish, || json_answer(response)).await;
        let path = "POST /v1beta/models/gemini-embedding-001:batchEmbedContents ";
        assert!(heard.starts_with(path), "{heard}");
        let one = &body(&heard)["requests"][0];
        assert_eq!(one["taskType"], "RETRIEVAL_QUERY");
        assert_eq!(one["model"], "models/gemini-embedding-001");
        assert_eq!(one["content"]["parts"][0]["text"], "The dog");
        assert_eq!(made.unwrap().tokens, None);
    }

    #[tokio::test]
    async fn ollama_gets_the_words_that_its_model_expects() {
        let wish = request(Purpose::Question, "nomic-embed-text:latest");
        let response = r#"{"embeddings":[[1,0],[0,1]],"prompt_eval_count":9}"#;
        let (heard, made) = embed((Wire::Ollama, ""), &wish, || json_answer(response)).await;
        assert!(heard.starts_with("POST /api/embed "), "{heard}");
        assert_eq!(body(&heard)["input"][0], "search_query: The dog");
        assert_eq!(made.unwrap().tokens, Some(9));
    }

    #[tokio::test]
    async fn what_is_not_whole_is_refused_and_a_key_is_never_repeated() {
        let wish = request(Purpose::Passages, "any");
        for response in [
            r#"{"data":[{"index":0,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[0,0]},{"index":1,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1e39,0]},{"index":1,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":["x"]},{"index":1,"embedding":[1]}]}"#,
            r#"{"error":"none"}"#,
        ] {
            let (_, made) = embed((Wire::OpenAiChat, "/v1"), &wish, || json_answer(response)).await;
            assert_eq!(made.unwrap_err().class, ErrorClass::Garbage, "{response}");
        }
        let limited = || {
            let headers = "retry-after: 7\r\ncontent-type: application/json\r\n";
            answer(
                "429 Too Many Requests",
                headers,
                r#"{"error":{"message":"slower, sk-embed-secret"}}"#,
            )
        };
        let (_, made) = embed((Wire::OpenAiChat, "/v1"), &wish, limited).await;
        let error = made.unwrap_err();
        assert_eq!(error.class, ErrorClass::RateLimit);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(!error.message.contains("secret"), "{error}");
        let wrong =
            || answer("401 Unauthorized", "", r#"{"error":{"message":"Incorrect API key"}}"#);
        let (_, made) = embed((Wire::OpenAiChat, "/v1"), &wish, wrong).await;
        assert_eq!(made.unwrap_err().class, ErrorClass::Auth);
    }

    #[test]
    fn a_list_price_holds_where_tokens_are_paid() {
        let model = |id: &str, input: &str| {
            let base = normalise(Wire::OpenAiChat, input).unwrap();
            described(crate::catalog::describe(id).at(&base), &base).price.map(|price| price.input)
        };
        assert_eq!(model("text-embedding-3-small", ""), Some(20_000));
        assert_eq!(model("openai/text-embedding-3-large", "openrouter.ai"), Some(130_000));
        assert_eq!(model("text-embedding-3-small", "localhost:11434"), None);
    }
}
