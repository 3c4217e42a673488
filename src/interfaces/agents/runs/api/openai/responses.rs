//! The OpenAI Responses API: its requests and responses. Streams follow OpenAI's order of events: the response, its one
//! message, the message's one text.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use features::runs::model::Demand;
use kernel::text::cut;
use kernel::{RunId, Thinking};

use super::content::Content;
use super::demand::{Wishes, thinking};
use super::error::{ChatError, read};
use super::form::{Form, Head, data, pieces};
use super::talk::{Speaker, Talk};
use super::turn::{Answer, ClientCall, Spent};

/// Prefix of a response id; the run's id follows.
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
    /// Functions that the client carries out, beside the agent's own tools.
    #[serde(default)]
    tools: Option<Value>,
    /// Whether one of them has to be called: `auto`, `none`, `required` or one by name.
    #[serde(default)]
    tool_choice: Option<Value>,
    /// Whether several may be called at once.
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    /// How much the model thinks, as `effort`.
    #[serde(default)]
    reasoning: Option<Reasoning>,
    /// The form of the answer, as `format`: `text`, `json_object` or `json_schema`, where the agent's model can be held
    /// to it.
    #[serde(default)]
    text: Option<Value>,
    /// Refused when true: an answer is given to the call that asks.
    #[serde(default)]
    background: Option<bool>,
    /// Given back with the response.
    #[serde(default)]
    metadata: Option<Value>,
    /// Sampling temperature, 0 to 2, for models that take one.
    #[serde(default)]
    temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1, for models that take it.
    #[serde(default)]
    top_p: Option<f64>,
    /// The most output tokens of one model call, never more than the agent is set to.
    #[serde(default)]
    max_output_tokens: Option<u64>,
}

/// How much the model thinks.
#[derive(Debug, Deserialize, JsonSchema)]
struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    #[serde(default)]
    effort: Option<String>,
}

impl ResponsesRequest {
    /// Parses a request body.
    ///
    /// # Errors
    /// Names the invalid field.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let request: Self = read(body)?;
        if request.background == Some(true) {
            let text = "`background` isn't supported: omit it, or give the agent a task";
            return Err(ChatError::invalid("background", text));
        }
        Ok(request)
    }

    /// The requested thinking level.
    ///
    /// # Errors
    /// The level is unknown.
    pub fn thinking(&self) -> Result<Option<Thinking>, ChatError> {
        let effort = self.reasoning.as_ref().and_then(|reasoning| reasoning.effort.as_deref());
        thinking("reasoning.effort", effort)
    }

    /// The requested tools, limits and output format.
    ///
    /// # Errors
    /// Names the invalid field.
    pub fn demand(&self) -> Result<Option<Demand>, ChatError> {
        let wishes = Wishes {
            tools: self.tools.as_ref(),
            choice: self.tool_choice.as_ref(),
            parallel: self.parallel_tool_calls,
            limits: &[("max_output_tokens", self.max_output_tokens)],
            temperature: self.temperature,
            top_p: self.top_p,
            stop: None,
            form: self.text.as_ref().map(|text| ("text.format", &text["format"])),
        };
        wishes.demand()
    }

    /// Whether the client requests a stream.
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// The run of the previous response.
    ///
    /// # Errors
    /// The id is not a response id.
    pub fn previous(&self) -> Result<Option<RunId>, ChatError> {
        let Some(id) = self.previous_response_id.as_deref() else { return Ok(None) };
        // The part after the run's id says where in the run the response began.
        let run = id.strip_prefix(ID).and_then(|rest| rest.split('_').next()?.parse().ok());
        run.map(Some).ok_or_else(|| no_response(id))
    }

    /// The conversation.
    ///
    /// # Errors
    /// An item is neither supported nor ignorable.
    pub fn talk(&self) -> Result<Talk, ChatError> {
        let mut talk = Talk::with_instructions("input", self.instructions.as_deref());
        let items = match &self.input {
            Value::Null => &[][..],
            Value::String(text) => {
                talk.say(Speaker::User, Content::text(text));
                &[]
            }
            Value::Array(items) => items,
            _ => {
                return Err(ChatError::invalid(
                    "input",
                    "`input` must be a text or a list of \
                items",
                ));
            }
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
                    talk.give(item["call_id"].as_str().unwrap_or_default(), output);
                }
                "function_call" => {
                    let word = |key: &str| item[key].as_str().unwrap_or_default();
                    talk.called(word("call_id"), word("name"), word("arguments"));
                }
                // Reasoning, and items that the session already has.
                "reasoning" | "item_reference" => {}
                other => {
                    let text = format!("items of type \"{}\" aren't supported", cut(other, 40));
                    return Err(ChatError::invalid(&format!("{place}.type"), text));
                }
            }
        }
        Ok(talk)
    }

    /// The response writer for this request.
    pub fn form(&self, head: Head) -> Responses {
        let or = |value: Option<&Value>, usual: Value| match value {
            None | Some(Value::Null) => usual,
            Some(value) => value.clone(),
        };
        Responses {
            previous: self.previous_response_id.clone(),
            echo: json!({
                "metadata": self.metadata.clone().filter(Value::is_object).unwrap_or_else(|| json!({})),
                "instructions": self.instructions,
                "text": or(self.text.as_ref(), json!({ "format": { "type": "text" } })),
                "tools": or(self.tools.as_ref(), json!([])),
                "tool_choice": or(self.tool_choice.as_ref(), "auto".into()),
                "parallel_tool_calls": self.parallel_tool_calls.unwrap_or(true),
                "temperature": self.temperature,
                "top_p": self.top_p,
                "max_output_tokens": self.max_output_tokens,
            }),
            head,
            sent: None,
            sequence: 0,
        }
    }
}

/// No such response exists for this person and agent.
pub(super) fn no_response(id: &str) -> ChatError {
    let message = format!(
        "you have no response \"{}\" with this agent; omit `previous_response_id`",
        cut(id, 80)
    );
    let new = ChatError::new(StatusCode::BAD_REQUEST, "previous_response_not_found", message);
    ChatError { param: Some("previous_response_id".to_owned()), ..new }
}

/// Writes an answer in the format of the Responses API.
pub(super) struct Responses {
    head: Head,
    previous: Option<String>,
    /// Request fields that the response repeats.
    echo: Value,
    /// Text streamed so far; `None` before the message begins.
    sent: Option<String>,
    /// Sequence number of the next stream event.
    sequence: u64,
}

impl Responses {
    fn response(&self, status: Status, output: &[Value], spent: Option<Spent>) -> Value {
        let usage = spent.map(|spent| {
            json!({
                "input_tokens": spent.input,
                "input_tokens_details": { "cached_tokens": spent.cached },
                "output_tokens": spent.output,
                "output_tokens_details": { "reasoning_tokens": spent.reasoning },
                "total_tokens": spent.input + spent.output,
            })
        });
        let (status, reason) = match status {
            Status::Plain(word) => (word, Value::Null),
            Status::Incomplete(reason) => (INCOMPLETE, json!({ "reason": reason })),
        };
        let mut response = json!({
            "id": format!("{ID}{}", self.head.id), "object": "response",
            "created_at": self.head.created, "status": status, "model": self.head.model,
            "output": output, "usage": usage, "error": null, "incomplete_details": reason,
            "previous_response_id": self.previous,
        });
        for (key, value) in self.echo.as_object().into_iter().flatten() {
            response[key] = value.clone();
        }
        response
    }

    fn message_id(&self) -> String {
        format!("msg_{}", self.head.id)
    }

    fn message(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.map(part).into_iter().collect();
        json!({
            "type": "message", "id": self.message_id(), "status": status, "role": "assistant",
            "content": content,
        })
    }

    /// Formats one numbered event.
    fn event(&mut self, name: &str, body: Value) -> String {
        let mut body = body;
        body["type"] = name.into();
        body["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        format!("event: {name}\n{}", data(&body))
    }

    /// Formats one event of an output item.
    fn item_event(&mut self, name: &str, at: usize, item: &Value) -> String {
        let name = format!("response.output_item.{name}");
        self.event(&name, json!({ "output_index": at, "item": item }))
    }

    /// Formats one event of the message's text; the message is output item 0.
    fn text_event(&mut self, name: &str, key: &str, value: Value) -> String {
        let mut body = json!({
            "item_id": self.message_id(), "output_index": 0, "content_index": 0,
        });
        if name.starts_with("response.output_text") {
            body["logprobs"] = json!([]);
        }
        body[key] = value;
        self.event(name, body)
    }

    /// Begins the message.
    fn open(&mut self) -> String {
        self.sent = Some(String::new());
        let item = self.message("in_progress", None);
        [
            self.item_event("added", 0, &item),
            self.text_event("response.content_part.added", "part", part("")),
        ]
        .concat()
    }

    /// All events of a tool call.
    fn call(&mut self, at: usize, call: &ClientCall) -> String {
        let whole = item_of(call, "completed");
        let mut begun = whole.clone();
        begun["status"] = "in_progress".into();
        begun["arguments"] = "".into();
        let place = json!({ "item_id": whole["id"], "output_index": at });
        let with = |key: &str, text: &str| {
            let mut body = place.clone();
            body[key] = text.into();
            body
        };
        let mut out = self.item_event("added", at, &begun);
        for piece in pieces(&call.arguments) {
            let name = "response.function_call_arguments.delta";
            out.push_str(&self.event(name, with("delta", piece)));
        }
        let mut done = with("arguments", &call.arguments);
        done["name"] = call.name.as_str().into();
        out.push_str(&self.event("response.function_call_arguments.done", done));
        out.push_str(&self.item_event("done", at, &whole));
        out
    }
}

/// A tool call as an output item.
fn item_of(call: &ClientCall, status: &str) -> Value {
    let ClientCall { id, name, arguments } = call;
    let rest = id.strip_prefix("call_").unwrap_or(id);
    json!({
        "type": "function_call", "id": format!("fc_{rest}"), "call_id": id, "name": name,
        "arguments": arguments, "status": status,
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

/// Status of an incomplete response.
const INCOMPLETE: &str = "incomplete";

/// Status of a response.
#[derive(Clone, Copy)]
enum Status {
    /// This status.
    Plain(&'static str),
    /// Incomplete, for this reason.
    Incomplete(&'static str),
}

impl Status {
    /// The status for an answer's finish reason.
    fn of(answer: &Answer) -> Self {
        match answer.finish {
            "length" => Self::Incomplete("max_output_tokens"),
            "content_filter" => Self::Incomplete("content_filter"),
            _ => Self::Plain("completed"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Plain(word) => word,
            Self::Incomplete(_) => INCOMPLETE,
        }
    }
}

impl Form for Responses {
    fn whole(&self, answer: &Answer) -> Value {
        let status = Status::of(answer);
        let speaks = !answer.text.is_empty() || answer.calls.is_empty();
        let message = speaks.then(|| self.message(status.word(), Some(&answer.text)));
        let calls = answer.calls.iter().map(|call| item_of(call, "completed"));
        let output: Vec<Value> = message.into_iter().chain(calls).collect();
        self.response(status, &output, Some(answer.spent))
    }

    fn begin(&mut self) -> String {
        let response = self.response(Status::Plain("in_progress"), &[], None);
        [
            self.event("response.created", json!({ "response": response })),
            self.event("response.in_progress", json!({ "response": response })),
        ]
        .concat()
    }

    fn more(&mut self, text: &str) -> String {
        let mut out = if self.sent.is_none() { self.open() } else { String::new() };
        self.sent.get_or_insert_default().push_str(text);
        out.push_str(&self.text_event("response.output_text.delta", "delta", text.into()));
        out
    }

    fn end(&mut self, answer: &Answer) -> String {
        let status = Status::of(answer);
        let mut out = String::new();
        if self.sent.is_none() && answer.calls.is_empty() {
            out.push_str(&self.open());
        }
        let mut output = Vec::new();
        // In the client's view, text before a tool call belongs to the message.
        if let Some(text) = self.sent.take() {
            let item = self.message(status.word(), Some(&text));
            out.push_str(&self.text_event(
                "response.output_text.done",
                "text",
                text.as_str().into(),
            ));
            out.push_str(&self.text_event("response.content_part.done", "part", part(&text)));
            out.push_str(&self.item_event("done", 0, &item));
            output.push(item);
        }
        for call in &answer.calls {
            out.push_str(&self.call(output.len(), call));
            output.push(item_of(call, "completed"));
        }
        let response = self.response(status, &output, Some(answer.spent));
        let name = format!("response.{}", status.word());
        out.push_str(&self.event(&name, json!({ "response": response })));
        out
    }

    fn failed(&mut self, error: &ChatError) -> String {
        let mut response = self.response(Status::Plain("failed"), &[], None);
        response["error"] = json!({ "code": error.code, "message": error.message });
        self.event("response.failed", json!({ "response": response }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Head, ResponsesRequest};
    use crate::runs::api::openai::talk::Remembers;
    use crate::runs::api::openai::turn::{Answer, ClientCall, Spent};
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
            (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
            (json!({ "background": true }), "background"),
            (json!({ "text": { "format": { "type": "xml" } } }), "text.format"),
            (json!({ "text": { "format": { "type": "json_schema" } } }), "text.format.name"),
            (json!({ "max_output_tokens": 0 }), "max_output_tokens"),
            (json!({ "temperature": 3 }), "temperature"),
        ] {
            let mut body = json!({ "model": "hq", "input": "Hi" });
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let refused = read(&body).and_then(|request| request.demand()).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(param));
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
        let answer =
            Answer { text: "Hello there".into(), calls: Vec::new(), finish: "stop", spent };
        let mut all = form.begin();
        all.push_str(&form.more("Hello"));
        all.push_str(&form.more(" there"));
        all.push_str(&form.end(&answer));
        let events = events(&all);
        let numbers: Vec<u64> =
            events.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hello there");
        assert_eq!(last["response"]["usage"]["total_tokens"], 7);
        assert_eq!(last["response"]["metadata"], json!({ "a": "b" }));
        let filtered = form.whole(&Answer { finish: "content_filter", ..answer.clone() });
        assert_eq!(filtered["status"], "incomplete");
        assert_eq!(filtered["incomplete_details"]["reason"], "content_filter");
        let whole = form.whole(&Answer { finish: "length", ..answer });
        assert_eq!(whole["status"], "incomplete");
        assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(whole["id"], "resp_r1");
    }

    #[test]
    fn calls_are_items_of_their_own_with_their_arguments_in_pieces() {
        let request = read(&json!({ "input": "Hi", "tool_choice": "required" })).unwrap();
        let head = Head { id: "r1".into(), created: 7, model: "hq".into() };
        let mut form = request.form(head);
        let arguments = format!("{{\"text\":\"{}\"}}", "ü".repeat(300));
        let call = ClientCall { id: "call_r1_4_0".into(), name: "print".into(), arguments };
        let spent = Spent { input: 5, cached: 1, output: 2, reasoning: 0 };
        let calls = vec![call.clone()];
        let answer = Answer { text: String::new(), calls, finish: "tool_calls", spent };
        let all = [form.begin(), form.end(&answer)].concat();
        let events = events(&all);
        let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(kinds[2], "response.output_item.added");
        assert_eq!(events[2]["item"]["type"], "function_call");
        let delta = |event: &&Value| event["type"] == "response.function_call_arguments.delta";
        let pieces: Vec<&str> =
            events.iter().filter(delta).filter_map(|event| event["delta"].as_str()).collect();
        assert!(1 < pieces.len());
        assert_eq!(pieces.concat(), call.arguments);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"], form.whole(&answer)["output"]);
        assert_eq!(last["response"]["output"][0]["call_id"], "call_r1_4_0");
        assert_eq!(last["response"]["tool_choice"], "required");
    }
}
