//! Texts turned into vectors by a server: OpenAI and what follows it, Gemini, Ollama. Vectors have the length one,
//! whatever the server sends, and an answer that is not whole is none.

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

/// The most texts of a request: what the narrowest of the servers takes.
pub const MOST: usize = 100;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the vectors are for: some models make others of a question than of a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Texts that are to be found.
    Passages,
    Question,
}

/// A request for vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The model, as its server calls it.
    pub model: String,
    /// The texts, at most [`MOST`], none of them empty.
    pub texts: Vec<String>,
    /// What the vectors are for.
    pub purpose: Purpose,
}

impl EmbedRequest {
    /// How large it is.
    #[must_use]
    pub fn size(&self) -> Size {
        let bytes = self.texts.iter().map(|text| text.len() as u64 + 8).sum();
        Size { bytes, images: 0 }
    }

    /// The texts with the words before them that the model expects.
    fn dressed(&self) -> Vec<String> {
        let known = known(&self.model);
        let before = known.map_or("", |known| match self.purpose {
            Purpose::Passages => known.passage,
            Purpose::Question => known.question,
        });
        self.texts.iter().map(|text| format!("{before}{text}")).collect()
    }
}

/// The answer to such a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// A vector of length one for each text, in their order, all with as many numbers.
    pub vectors: Vec<Vec<f32>>,
    /// How many tokens were read, if the server counts.
    pub tokens: Option<u64>,
}

/// What is known of a model that makes vectors.
struct Known {
    /// How its name begins, without its maker.
    name: &'static str,
    /// What stands before a question.
    question: &'static str,
    /// What stands before a passage.
    passage: &'static str,
    /// The list price of a million tokens in micro-dollars; none for what people run themselves.
    price: Option<u64>,
}

/// Sources: the price lists of OpenAI, Google and Mistral, and the cards of the models, which ask for the
/// words before texts. Longer names stand before those that they begin with.
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

/// A model that makes vectors, with the list price where nothing else is known of it.
#[must_use]
pub fn described(model: Model, base: &Base) -> Model {
    let is_own = matches!(base.server, Server::Ollama | Server::LmStudio | Server::Vllm);
    let price = known(&model.id).and_then(|known| known.price).filter(|_| !is_own);
    let listed =
        price.map(|input| Price { input, cache_read: input, cache_write: input, output: 0 });
    Model { price: model.price.or(listed), ..model }
}

/// Models that make vectors, by the server that has them; the first is the one to begin with. Others may be there, too.
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

/// Sends a request and reads the answer.
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
    /// Some servers leave it out: then they stand in their order.
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct OpenAiUsage {
    #[serde(default)]
    prompt_tokens: u64,
}

/// Asks by `POST …/embeddings`.
///
/// # Errors
/// What the call ends with.
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

/// Asks by `POST …:batchEmbedContents`; `model` is the name with `models/` before it.
///
/// # Errors
/// What the call ends with.
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

/// Asks by `POST /api/embed`.
///
/// # Errors
/// What the call ends with.
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

/// Vectors as they are used: as many as there were texts, all with as many numbers, each of length one.
fn whole(mut vectors: Vec<Vec<f32>>, wanted: usize) -> Result<Vec<Vec<f32>>, ProviderError> {
    let numbers = vectors.first().map_or(0, Vec::len);
    if vectors.len() != wanted || numbers == 0 {
        let text = format!("the server sent {} vectors for {wanted} texts", vectors.len());
        return Err(ProviderError::garbage(text));
    }
    for vector in &mut vectors {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        if vector.len() != numbers || !length.is_normal() {
            return Err(ProviderError::garbage("the server sent a vector that is none"));
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

    /// What a server is asked and what is made of its answer.
    async fn asked(
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
        let said = r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}],
            "usage":{"prompt_tokens":5,"total_tokens":5}}"#;
        for wire in [Wire::OpenAiChat, Wire::OpenAiResponses] {
            let (heard, made) = asked((wire, "/v1"), &wish, || json_answer(said)).await;
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
        let said = r#"{"embeddings":[{"values":[1,0]},{"values":[0,1]}]}"#;
        let (heard, made) = asked((Wire::Gemini, ""), &wish, || json_answer(said)).await;
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
        let said = r#"{"embeddings":[[1,0],[0,1]],"prompt_eval_count":9}"#;
        let (heard, made) = asked((Wire::Ollama, ""), &wish, || json_answer(said)).await;
        assert!(heard.starts_with("POST /api/embed "), "{heard}");
        assert_eq!(body(&heard)["input"][0], "search_query: The dog");
        assert_eq!(made.unwrap().tokens, Some(9));
    }

    #[tokio::test]
    async fn what_is_not_whole_is_refused_and_a_key_is_never_repeated() {
        let wish = request(Purpose::Passages, "any");
        for said in [
            r#"{"data":[{"index":0,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[0,0]},{"index":1,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1e39,0]},{"index":1,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":["x"]},{"index":1,"embedding":[1]}]}"#,
            r#"{"error":"none"}"#,
        ] {
            let (_, made) = asked((Wire::OpenAiChat, "/v1"), &wish, || json_answer(said)).await;
            assert_eq!(made.unwrap_err().class, ErrorClass::Garbage, "{said}");
        }
        let limited = || {
            let headers = "retry-after: 7\r\ncontent-type: application/json\r\n";
            answer(
                "429 Too Many Requests",
                headers,
                r#"{"error":{"message":"slower, sk-embed-secret"}}"#,
            )
        };
        let (_, made) = asked((Wire::OpenAiChat, "/v1"), &wish, limited).await;
        let error = made.unwrap_err();
        assert_eq!(error.class, ErrorClass::RateLimit);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(!error.message.contains("secret"), "{error}");
        let wrong =
            || answer("401 Unauthorized", "", r#"{"error":{"message":"Incorrect API key"}}"#);
        let (_, made) = asked((Wire::OpenAiChat, "/v1"), &wish, wrong).await;
        assert_eq!(made.unwrap_err().class, ErrorClass::Auth);
    }

    #[test]
    fn a_list_price_holds_where_tokens_are_paid() {
        let model = |id: &str, typed: &str| {
            let base = normalise(Wire::OpenAiChat, typed).unwrap();
            described(crate::catalog::describe(id).at(&base), &base).price.map(|price| price.input)
        };
        assert_eq!(model("text-embedding-3-small", ""), Some(20_000));
        assert_eq!(model("openai/text-embedding-3-large", "openrouter.ai"), Some(130_000));
        assert_eq!(model("text-embedding-3-small", "localhost:11434"), None);
    }
}
