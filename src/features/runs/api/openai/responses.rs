//! The form of the Responses API: what a client asks in it, and what it is answered. Streams follow
//! the order of events of the OpenAI API: the response, its one message, the message's one text.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kernel::RunId;
use crate::kernel::text::cut;

use super::content::Content;
use super::error::{ChatError, read};
use super::form::{Form, Head, data};
use super::request::{at_least_one, no_tools, within};
use super::talk::{Speaker, Talk};
use super::turn::{Answer, Spent};

/// What the id of a response begins with; the run's follows.
const ID: &str = "resp_";

/// A request for a response.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ResponsesRequest {
    /// `hq`, `hq/default` or `hq/<agent>`.
    #[serde(default)]
    pub model: String,
    /// A text, or a list of messages and results of tools.
    #[serde(default)]
    input: Value,
    /// What holds for this question.
    #[serde(default)]
    instructions: Option<String>,
    /// Whether the answer comes piece by piece.
    #[serde(default)]
    stream: Option<bool>,
    /// Who asks: calls with the same word share a session, which remembers.
    #[serde(default)]
    pub user: Option<String>,
    /// The response that this question follows; its session goes on.
    #[serde(default)]
    previous_response_id: Option<String>,
    /// Refused: the agent uses its own tools.
    #[serde(default)]
    tools: Option<Value>,
    /// Refused unless it asks for plain text.
    #[serde(default)]
    text: Option<Value>,
    /// Refused when true: an answer is given to the call that asks.
    #[serde(default)]
    background: Option<bool>,
    /// Given back with the response.
    #[serde(default)]
    metadata: Option<Value>,
    /// Not used: the agent's model works as it is set. Checked, 0 to 2.
    #[serde(default)]
    temperature: Option<f64>,
    /// Not used, as `temperature`. Checked, 0 to 1.
    #[serde(default)]
    top_p: Option<f64>,
    /// Not used: how much an agent may say is set on its page. Checked, at least 1.
    #[serde(default)]
    max_output_tokens: Option<u64>,
}

impl ResponsesRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let request: Self = read(body)?;
        no_tools("tools", request.tools.as_ref())?;
        within("temperature", request.temperature, 2.0)?;
        within("top_p", request.top_p, 1.0)?;
        at_least_one("max_output_tokens", request.max_output_tokens)?;
        let form = request.text.as_ref().and_then(|text| text["format"]["type"].as_str());
        if form.is_some_and(|form| form != "text") {
            let text = "`text.format` is not supported; ask for the form in the message";
            return Err(ChatError::invalid("text.format", text));
        }
        if request.background == Some(true) {
            let text = "`background` is not supported: leave it out, or give the agent a task";
            return Err(ChatError::invalid("background", text));
        }
        Ok(request)
    }

    /// Whether the answer comes piece by piece.
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// The run that answered before.
    ///
    /// # Errors
    /// When this is no id of a response.
    pub fn previous(&self) -> Result<Option<RunId>, ChatError> {
        let Some(id) = self.previous_response_id.as_deref() else { return Ok(None) };
        let run = id.strip_prefix(ID).and_then(|run| run.parse().ok());
        run.map(Some).ok_or_else(|| no_response(id))
    }

    /// The conversation.
    ///
    /// # Errors
    /// When an item can be neither taken nor passed over.
    pub fn talk(&self) -> Result<Talk, ChatError> {
        let mut talk = Talk::with_instructions("input", self.instructions.as_deref());
        let items = match &self.input {
            Value::Null => &[][..],
            Value::String(text) => {
                talk.say(Speaker::User, Content::text(text));
                &[]
            }
            Value::Array(items) => items,
            _ => return Err(ChatError::invalid("input", "`input` is a text or a list of items")),
        };
        for (at, item) in items.iter().enumerate() {
            let place = format!("input[{at}]");
            match item["type"].as_str().unwrap_or("message") {
                "message" => {
                    let role = item["role"].as_str().unwrap_or_default();
                    talk.say(
                        Speaker::of(role, &place)?,
                        Content::of(&item["content"], &format!("{place}.content"))?,
                    );
                }
                "function_call_output" => {
                    let output = Content::of(&item["output"], &format!("{place}.output"))?;
                    talk.say(Speaker::Tool, output);
                }
                // What the model thought, and what the session has anyway.
                "reasoning" | "item_reference" => {}
                other => {
                    let text = format!("items of type \"{}\" are not supported", cut(other, 40));
                    return Err(ChatError::invalid(&format!("{place}.type"), text));
                }
            }
        }
        Ok(talk)
    }

    /// The form of its answer.
    pub fn form(&self, head: Head) -> Responses {
        Responses {
            head,
            previous: self.previous_response_id.clone(),
            metadata: self.metadata.clone().filter(Value::is_object).unwrap_or_else(|| json!({})),
            instructions: self.instructions.clone(),
            told: String::new(),
            sequence: 0,
        }
    }
}

/// There is no such response of this person and agent.
pub(super) fn no_response(id: &str) -> ChatError {
    let message = format!(
        "there is no response \"{}\" of yours with this agent; leave `previous_response_id` out",
        cut(id, 80)
    );
    let new = ChatError::new(StatusCode::BAD_REQUEST, "previous_response_not_found", message);
    ChatError { param: Some("previous_response_id".to_owned()), ..new }
}

/// An answer as a response.
pub(super) struct Responses {
    head: Head,
    previous: Option<String>,
    metadata: Value,
    instructions: Option<String>,
    /// What a stream has said.
    told: String,
    /// The number of the next event of a stream.
    sequence: u64,
}

impl Responses {
    fn response(&self, status: &str, output: &Value, spent: Option<Spent>) -> Value {
        let usage = spent.map(|spent| {
            json!({
                "input_tokens": spent.input,
                "input_tokens_details": { "cached_tokens": spent.cached },
                "output_tokens": spent.output,
                "output_tokens_details": { "reasoning_tokens": spent.reasoning },
                "total_tokens": spent.input + spent.output,
            })
        });
        let reason = match status {
            "incomplete" => json!({ "reason": "max_output_tokens" }),
            _ => Value::Null,
        };
        json!({
            "id": format!("{ID}{}", self.head.id), "object": "response",
            "created_at": self.head.created, "status": status, "model": self.head.model,
            "output": output, "usage": usage, "error": null, "incomplete_details": reason,
            "previous_response_id": self.previous, "metadata": self.metadata,
            "instructions": self.instructions, "parallel_tool_calls": false, "tools": [],
            "tool_choice": "auto", "temperature": null, "top_p": null,
        })
    }

    fn item_id(&self) -> String {
        format!("msg_{}", self.head.id)
    }

    fn item(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.map(part).into_iter().collect();
        json!({
            "type": "message", "id": self.item_id(), "status": status, "role": "assistant",
            "content": content,
        })
    }

    /// One numbered event.
    fn event(&mut self, name: &str, body: Value) -> String {
        let mut body = body;
        body["type"] = name.into();
        body["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        format!("event: {name}\n{}", data(&body))
    }

    /// One event of the text of the message.
    fn text_event(&mut self, name: &str, key: &str, value: Value) -> String {
        let mut body = json!({
            "item_id": self.item_id(), "output_index": 0, "content_index": 0,
        });
        if name.starts_with("response.output_text") {
            body["logprobs"] = json!([]);
        }
        body[key] = value;
        self.event(name, body)
    }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

/// How a response stands whose answer ended so.
fn status_of(answer: &Answer) -> &'static str {
    if answer.finish == "length" { "incomplete" } else { "completed" }
}

impl Form for Responses {
    fn whole(&self, answer: &Answer) -> Value {
        let status = status_of(answer);
        let output = json!([self.item(status, Some(&answer.text))]);
        self.response(status, &output, Some(answer.spent))
    }

    fn begin(&mut self) -> String {
        let response = self.response("in_progress", &json!([]), None);
        let item = self.item("in_progress", None);
        [
            self.event("response.created", json!({ "response": response })),
            self.event("response.in_progress", json!({ "response": response })),
            self.event("response.output_item.added", json!({ "output_index": 0, "item": item })),
            self.text_event("response.content_part.added", "part", part("")),
        ]
        .concat()
    }

    fn more(&mut self, text: &str) -> String {
        self.told.push_str(text);
        self.text_event("response.output_text.delta", "delta", text.into())
    }

    fn end(&mut self, answer: &Answer) -> String {
        // What was said before a tool belongs to the message as the client has it.
        let (told, status) = (std::mem::take(&mut self.told), status_of(answer));
        let item = self.item(status, Some(&told));
        let response = self.response(status, &json!([item]), Some(answer.spent));
        [
            self.text_event("response.output_text.done", "text", told.as_str().into()),
            self.text_event("response.content_part.done", "part", part(&told)),
            self.event("response.output_item.done", json!({ "output_index": 0, "item": item })),
            self.event(&format!("response.{status}"), json!({ "response": response })),
        ]
        .concat()
    }

    fn failed(&mut self, error: &ChatError) -> String {
        let mut response = self.response("failed", &json!([]), None);
        response["error"] = json!({ "code": error.code, "message": error.message });
        self.event("response.failed", json!({ "response": response }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Head, ResponsesRequest};
    use crate::features::runs::api::openai::talk::Remembers;
    use crate::features::runs::api::openai::turn::{Answer, Spent};
    use serde_json::{Value, json};

    fn read(body: &Value) -> Result<ResponsesRequest, super::ChatError> {
        ResponsesRequest::read(body.to_string().as_bytes())
    }

    fn events(text: &str) -> Vec<Value> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn input_is_a_text_or_items() {
        let text = |input: Value| {
            let request = read(&json!({ "model": "hq", "input": input })).unwrap();
            request.talk().and_then(|talk| talk.input(Remembers::Nothing))
        };
        assert_eq!(text(json!("Hello")).unwrap(), "Hello");
        let items = json!([
            { "type": "reasoning", "summary": [] },
            { "role": "user", "content": [{ "type": "input_text", "text": "Hello" }] },
        ]);
        assert_eq!(text(items).unwrap(), "Hello");
        let call = json!([{ "type": "computer_call" }]);
        assert_eq!(text(call).unwrap_err().param.as_deref(), Some("input[0].type"));
        assert_eq!(text(json!("")).unwrap_err().param.as_deref(), Some("input"));
        assert_eq!(text(json!(7)).unwrap_err().param.as_deref(), Some("input"));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (extra, param) in [
            (json!({ "tools": [{ "type": "web_search" }] }), "tools"),
            (json!({ "background": true }), "background"),
            (json!({ "text": { "format": { "type": "json_schema" } } }), "text.format"),
            (json!({ "max_output_tokens": 0 }), "max_output_tokens"),
            (json!({ "temperature": 3 }), "temperature"),
        ] {
            let mut body = json!({ "model": "hq", "input": "Hi" });
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            assert_eq!(read(&body).unwrap_err().param.as_deref(), Some(param));
        }
        let odd = read(&json!({ "input": "Hi", "previous_response_id": "resp_x" })).unwrap();
        assert_eq!(odd.previous().unwrap_err().code, "previous_response_not_found");
    }

    #[test]
    fn events_are_numbered_in_order_and_end_with_the_whole() {
        let request = read(&json!({ "input": "Hi", "metadata": { "a": "b" } })).unwrap();
        let head = Head { id: "r1".into(), created: 7, model: "hq".into() };
        let mut form = request.form(head);
        let spent = Spent { input: 5, cached: 1, output: 2, reasoning: 0 };
        let answer = Answer { text: "Hello there".into(), finish: "stop", spent };
        let mut told = form.begin();
        told.push_str(&form.more("Hello"));
        told.push_str(&form.more(" there"));
        told.push_str(&form.end(&answer));
        let events = events(&told);
        let numbers: Vec<u64> =
            events.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hello there");
        assert_eq!(last["response"]["usage"]["total_tokens"], 7);
        assert_eq!(last["response"]["metadata"], json!({ "a": "b" }));
        let whole = form.whole(&Answer { finish: "length", ..answer });
        assert_eq!(whole["status"], "incomplete");
        assert_eq!(whole["id"], "resp_r1");
    }
}
