//! Questions of a server to a person (elicitation).

use std::collections::BTreeMap;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::McpError;
use crate::wire::{RpcError, URL_ELICITATION_REQUIRED};

/// Pending answer.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Answers questions that a server asks during a call.
pub trait Elicit: Send + Sync {
    /// Answers a question. The call's timeout pauses until the answer. The future is dropped if the call is cancelled.
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a>;

    /// The server reports progress of the call.
    fn progress(&self, progress: &Progress) {
        let _ = progress;
    }
}

/// Declines all questions.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeclineAll;

impl Elicit for DeclineAll {
    fn answer<'a>(&'a self, _question: &'a Question) -> Answering<'a> {
        Box::pin(std::future::ready(Answer::Decline))
    }
}

/// A question of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Why the server asks.
    pub message: String,
    /// JSON Schema of a flat object; `None` for a URL to visit.
    pub schema: Option<Value>,
    /// Address that a person should visit to answer.
    pub url: Option<String>,
    /// Whether [`Answer::Park`] is possible. Servers of the legacy era wait on an open connection.
    pub may_park: bool,
}

impl Question {
    pub(crate) fn from_params(params: &Map<String, Value>, may_park: bool) -> Question {
        let text = |key: &str| params.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_url = params.get("mode").and_then(Value::as_str) == Some("url");
        Question {
            message: text("message").unwrap_or_default(),
            schema: params.get("requestedSchema").filter(|_| !is_url).cloned(),
            url: text("url").filter(|_| is_url),
            may_park,
        }
    }
}

/// Answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The fields that the schema asks for; empty for a URL that was visited.
    Accept(Map<String, Value>),
    /// A person declined.
    Decline,
    /// Nothing was decided.
    Cancel,
    /// The answer comes later: the call ends with [`super::McpError::Parked`]. Counts as [`Answer::Cancel`] if the
    /// question cannot be parked.
    Park,
}

impl Answer {
    pub(crate) fn result(&self, question: &Question) -> Value {
        match self {
            Answer::Accept(_) if question.url.is_some() => self.action(),
            Answer::Accept(content) => json!({"action": "accept", "content": content}),
            Answer::Decline | Answer::Cancel | Answer::Park => self.action(),
        }
    }

    /// The answer without content.
    pub(crate) fn action(&self) -> Value {
        json!({"action": match self {
            Answer::Accept(_) => "accept",
            Answer::Decline => "decline",
            Answer::Cancel | Answer::Park => "cancel",
        }})
    }
}

/// A call that waits for answers. Only servers of the modern era can wait like this: the request is repeated with the
/// answers, on any connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// The server's questions, by its keys.
    pub questions: BTreeMap<String, Question>,
    /// Answers given so far, by the same keys.
    pub answers: BTreeMap<String, Answer>,
    /// The server's state, returned to it unchanged.
    pub state: Option<String>,
    /// The server only wants the addresses to be visited and gets no answers (2025-11-25).
    #[serde(default)]
    pub is_visit: bool,
}

impl Parked {
    /// Reads an `input_required` result. The error says what cannot be answered.
    pub(crate) fn from_result(result: &Value) -> Result<Parked, String> {
        let state = result.get("requestState").and_then(Value::as_str).map(str::to_owned);
        let mut parked = Parked { state, ..Parked::default() };
        let requests = result.get("inputRequests").and_then(Value::as_object);
        for (key, request) in requests.into_iter().flatten() {
            let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
            if method != "elicitation/create" {
                return Err(format!("it asked for {method}, which isn't supported"));
            }
            let params = request.get("params").and_then(Value::as_object);
            let params = params.ok_or("its question has no text")?;
            parked.questions.insert(key.clone(), Question::from_params(params, true));
        }
        match parked.questions.is_empty() && parked.state.is_none() {
            true => Err("it asked for input without a question".to_owned()),
            false => Ok(parked),
        }
    }

    /// Reads the error of version 2025-11-25 that names addresses to visit.
    pub(crate) fn from_error(error: &RpcError) -> Option<Parked> {
        let all = error.data.as_ref()?.get("elicitations")?.as_array()?;
        let mut parked = Parked { is_visit: true, ..Parked::default() };
        for (at, params) in all.iter().enumerate() {
            let question = Question::from_params(params.as_object()?, true);
            question.url.as_ref()?;
            parked.questions.insert(at.to_string(), question);
        }
        (!parked.questions.is_empty()).then_some(parked)
    }

    /// Asks for the missing answers.
    pub(crate) async fn answered(
        mut self,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<Parked, McpError> {
        let mut is_parked = false;
        for (key, question) in &self.questions {
            if self.answers.contains_key(key) {
                continue;
            }
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(McpError::Cancelled { was_sent: true }),
                answer = elicit.answer(question) => answer,
            };
            match answer {
                Answer::Park => is_parked = true,
                answer => {
                    self.answers.insert(key.clone(), answer);
                }
            }
        }
        if is_parked {
            return Err(McpError::Parked(Box::new(self)));
        }
        let is_accepted = |answer: &Answer| matches!(answer, Answer::Accept(_));
        if self.is_visit && !self.answers.values().all(is_accepted) {
            let message = "the address that the server named was not visited";
            return Err(McpError::Rpc(RpcError::new(URL_ELICITATION_REQUIRED, message)));
        }
        Ok(self)
    }

    /// Adds the answers to the parameters of the repeated request.
    pub(crate) fn add_to(&self, params: &mut Map<String, Value>) {
        if let Some(state) = &self.state {
            params.insert("requestState".to_owned(), state.as_str().into());
        }
        if self.is_visit || self.questions.is_empty() {
            return;
        }
        let answered = self.questions.iter().filter_map(|(key, question)| {
            Some((key.clone(), self.answers.get(key)?.result(question)))
        });
        params.insert("inputResponses".to_owned(), Value::Object(answered.collect()));
    }
}

/// Progress of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub progress: f64,
    pub total: Option<f64>,
    pub message: Option<String>,
}

impl Progress {
    pub(crate) fn from_params(params: &Map<String, Value>) -> Progress {
        Progress {
            progress: params.get("progress").and_then(Value::as_f64).unwrap_or_default(),
            total: params.get("total").and_then(Value::as_f64),
            message: params.get("message").and_then(Value::as_str).map(str::to_owned),
        }
    }
}
