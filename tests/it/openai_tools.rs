//! Tools of API clients: called by the model, run by the client, across restarts.

use std::time::Duration;

use features::connections::model::{Connection, Wire};
use features::runs::model::Run;
use features::tasks::model::Task;
use kernel::{Outcome, Role, RunState, Thinking, WaitFor};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError};

use support::hq::{Message, TestHq};
use support::model::Turn;
use support::work;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

fn tool(name: &str) -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!({ "name": name, "description": "The weather now", "parameters": city })
}

fn asking(tools: &[&str]) -> Value {
    let wrap = |name: &&str| json!({ "type": "function", "function": tool(name) });
    json!({
        "model": "hq/ada", "messages": [{ "role": "user", "content": "How warm is it?" }],
        "tools": tools.iter().map(wrap).collect::<Vec<_>>(),
    })
}

/// The conversation extended by the model's message and the results of its calls.
fn answering(asked: &Value, message: &Value, results: &[&str]) -> Value {
    let mut next = asked.clone();
    let messages = next["messages"].as_array_mut().expect("messages");
    messages.push(message.clone());
    for (call, result) in message["tool_calls"].as_array().expect("calls").iter().zip(results) {
        messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": result }));
    }
    next
}

/// Waits until a run has ended.
async fn ended(hq: &TestHq, name: &str) -> Run {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    loop {
        feed.borrow_and_update();
        let run = work::run(hq, name);
        if run.state == RunState::Ended {
            return run;
        }
        let changed = tokio::time::timeout(Duration::from_secs(30), feed.changed()).await;
        changed.expect("it ends in time").expect("the store is open");
    }
}

fn weather(city: &str) -> Turn {
    Turn::call("get_weather", json!({ "city": city }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_answers_calls_of_its_tools_and_the_run_goes_on_over_a_restart() {
    let (mut hq, model, program) = work::with_program().await;
    let mixed = Turn::text("I look.")
        .and_call("task_create", json!({ "title": "Ask about the weather" }))
        .and_call("get_weather", json!({ "city": "Rome" }))
        .and_call("get_weather", json!({ "city": "Oslo" }));
    model.push(mixed).push(Turn::text("Rome is warmer."));
    let asked = asking(&["get_weather"]);
    let reply = program.post(CHAT, &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let first = reply.json();
    let choice = &first["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("I look."))
    );
    let calls = choice["message"]["tool_calls"].as_array().expect("calls").clone();
    let names: Vec<&Value> = calls.iter().map(|call| &call["function"]["name"]).collect();
    assert_eq!(names, ["get_weather", "get_weather"], "the agent's own tool is its own affair");
    assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"Oslo"}"#);
    let tasks: Result<Vec<Task>, StoreError> = hq.ws().read(|snap| snap.list(&Range::all()));
    assert!(tasks.unwrap().iter().any(|task| task.title == "Ask about the weather"));
    let waiting = work::run(&hq, "R-1");
    assert_eq!(waiting.waiting.as_ref().map(|wait| wait.waits_for), Some(WaitFor::External));

    let missing = answering(&asked, &choice["message"], &["21"]);
    let refused = program.post(CHAT, &missing).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "missing_result");

    hq.restart().await;
    let program = hq.token(&["read", "chat"]).await;
    let next = answering(&asked, &choice["message"], &["21", "4"]);
    let reply = program.post(CHAT, &next).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let second = reply.json();
    assert_eq!(second["choices"][0]["message"]["content"], "Rome is warmer.");
    assert_eq!(second["choices"][0]["finish_reason"], "stop");
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["usage"]["prompt_tokens"], 100, "what came before was told before");
    let sent = model.last().text();
    assert!(sent.contains(r#""content":"21""#) && sent.contains(r#""content":"4""#), "{sent}");
    let ended = work::run(&hq, "R-1");
    assert_eq!((ended.outcome, ended.calls, ended.steps), (Some(Outcome::Done), 2, 3));

    // Repeating the same messages gets a response to all of them.
    model.push(Turn::text("As I said."));
    let again = program.post(CHAT, &next).await.json();
    assert_eq!(again["choices"][0]["message"]["content"], "As I said.");
    let told = model.last().body["messages"].as_array().expect("messages").clone();
    let roles: Vec<_> = told[1..].iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"], "{told:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_one_person_are_nobody_elses_to_answer() {
    let (hq, model, program) = work::with_program().await;
    model.push(weather("Rome"));
    let asked = asking(&["get_weather"]);
    let first = program.post(CHAT, &asked).await.json();
    let other = hq.another("Eve", Some(Role::Member)).await;
    model.push(Turn::text("Who asked?"));
    let next = answering(&asked, &first["choices"][0]["message"], &["21"]);
    let reply = other.post(CHAT, &next).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Who asked?");
    assert_eq!(work::run(&hq, "R-1").state, RunState::Waiting);
    assert_eq!(work::run(&hq, "R-2").outcome, Some(Outcome::Done));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_follow_one_another_with_the_outputs_of_functions() {
    let (hq, model, program) = work::with_program().await;
    model.push(weather("Rome")).push(Turn::text("21 degrees."));
    let mut function = tool("get_weather");
    function["type"] = "function".into();
    let asked = json!({ "model": "hq/ada", "input": "How warm is it?", "tools": [function] });
    let first = program.post(RESPONSES, &asked).await.json();
    assert_eq!(first["status"], "completed", "{first}");
    let [call] = first["output"].as_array().expect("output").as_slice() else {
        panic!("one call: {first}")
    };
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
    let outputs = json!([{
        "type": "function_call_output", "call_id": call["call_id"], "output": "21",
    }]);
    let next = json!({
        "model": "hq/ada", "previous_response_id": first["id"], "input": outputs, "stream": true,
    });
    let mut stream = program.post_stream(RESPONSES, &next).await;
    let mut last = Value::Null;
    while let Some(Message { data, .. }) = stream.next().await
        && data != "[DONE]"
    {
        last = serde_json::from_str(&data).expect("an event");
    }
    assert_eq!(last["type"], "response.completed", "{last}");
    let response = &last["response"];
    assert_eq!(response["output"][0]["content"][0]["text"], "21 degrees.");
    assert_eq!(response["previous_response_id"], first["id"]);
    model.push(Turn::text("Of course."));
    let third = json!({
        "model": "hq/ada", "previous_response_id": response["id"], "input": "Thanks",
    });
    let third = program.post(RESPONSES, &third).await.json();
    assert_eq!(third["output"][0]["content"][0]["text"], "Of course.", "{third}");
    assert!(model.last().text().contains("21 degrees."));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_calls_piece_by_piece() {
    let (hq, model, program) = work::with_program().await;
    let city = "Llanfair".repeat(80);
    model.push(weather(&city));
    let mut asked = asking(&["get_weather"]);
    asked["stream"] = true.into();
    let mut stream = program.post_stream(CHAT, &asked).await;
    let (mut ids, mut arguments, mut pieces, mut finish) = (Vec::new(), String::new(), 0, None);
    while let Some(Message { data, .. }) = stream.next().await
        && data != "[DONE]"
    {
        let chunk: Value = serde_json::from_str(&data).expect("a chunk");
        let choice = &chunk["choices"][0];
        finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            assert_eq!(call["index"], 0);
            ids.extend(call["id"].as_str().map(str::to_owned));
            arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            pieces += 1;
        }
    }
    assert_eq!((ids.len(), finish.as_deref()), (1, Some("tool_calls")));
    assert!(2 < pieces);
    assert_eq!(arguments, json!({ "city": city }).to_string());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_never_answers_and_one_that_says_something_else_leave_nothing_open() {
    let (hq, model, program) = work::with_program().await;
    model.push(weather("Rome"));
    program.post(CHAT, &asking(&["get_weather"])).await;
    assert_eq!(work::run(&hq, "R-1").state, RunState::Waiting);
    hq.advance(Duration::from_secs(11 * 60)).await;
    assert_eq!(ended(&hq, "R-1").await.outcome, Some(Outcome::Interrupted));

    let kept = program.clone().with("x-hq-session-key", "desk");
    model.push(weather("Oslo")).push(Turn::text("Then not."));
    kept.post(CHAT, &asking(&["get_weather"])).await;
    assert_eq!(work::run(&hq, "R-2").state, RunState::Waiting);
    let other = json!({
        "model": "hq/ada", "messages": [{ "role": "user", "content": "Never mind" }],
    });
    let reply = kept.post(CHAT, &other).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Then not.", "{}", reply.text);
    let stopped = work::run(&hq, "R-2");
    assert!(matches!(stopped.outcome, Some(Outcome::Stopped { .. })), "{:?}", stopped.outcome);
    let live = hq.ws().read(|snap| features::runs::queries::live(snap));
    assert!(live.unwrap().is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_have_to_be_called_one_at_a_time_or_not_at_all_and_keep_their_names() {
    let (hq, model, program) = work::with_program().await;
    // A name that collides with an HQ tool is renamed for the model only.
    model.push(Turn::call("read_client", json!({ "city": "Rome" })));
    let mut asked = asking(&["read"]);
    asked["tool_choice"] = "required".into();
    let reply = program.post(CHAT, &asked).await.json();
    assert_eq!(reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "read");
    let seen = model.last();
    assert!(seen.tools().contains(&"read_client".to_owned()));
    assert_eq!(seen.body["tool_choice"]["function"]["name"], "read_client", "{}", seen.body);

    model.push(Turn::text("I would rather not."));
    let refused = program.post(CHAT, &asked).await;
    assert_eq!(refused.status, 502, "{}", refused.text);
    assert_eq!(refused.json()["error"]["type"], "api_error");

    let both = weather("Rome").and_call("get_weather", json!({ "city": "Oslo" }));
    model.push(both);
    let mut single = asking(&["get_weather"]);
    single["parallel_tool_calls"] = false.into();
    let reply = program.post(CHAT, &single).await.json();
    let calls = reply["choices"][0]["message"]["tool_calls"].as_array().expect("calls").len();
    assert_eq!(calls, 1);

    model.push(Turn::text("No tools."));
    let mut none = asking(&["get_weather"]);
    none["tool_choice"] = "none".into();
    program.post(CHAT, &none).await;
    assert!(!model.last().tools().contains(&"get_weather".to_owned()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_the_provider_does_not_take_is_left_out() {
    let (hq, model, program) = work::with_program().await;
    let refusal = "Invalid schema for function 'get_weather': array schema missing items";
    model.push(Turn::error(400, "invalid_request_error", refusal)).push(Turn::text("No idea."));
    let reply = program.post(CHAT, &asking(&["get_weather", "get_time"])).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let sent = model.last();
    let offers = |name: &str| sent.tools().iter().any(|tool| tool == name);
    assert!(!offers("get_weather") && offers("get_time"));
    assert!(sent.text().contains("The tool get_weather can't be used"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_wishes_of_an_answer_reaches_the_model() {
    let (hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Short."));
    let wishes = json!({
        "model": "hq/ada", "messages": [{ "role": "user", "content": "Be short" }],
        "max_completion_tokens": 40, "temperature": 0.5, "top_p": 0.25, "stop": ["END"],
        "frequency_penalty": 1, "seed": 7, "reasoning_effort": "high",
    });
    assert_eq!(program.post(CHAT, &wishes).await.status, 200);
    assert_eq!(work::run(&hq, "R-1").thinking, Thinking::High);
    let sent = model.last().body;
    let limit = sent["max_tokens"].as_u64().or(sent["max_completion_tokens"].as_u64());
    assert_eq!(limit, Some(40), "{sent}");
    assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(0.5), &json!(0.25)));
    assert_eq!(sent["stop"], json!(["END"]));
    let many = json!({ "model": "hq/ada", "input": "Hi", "max_output_tokens": 9_000_000 });
    assert_eq!(program.post(RESPONSES, &many).await.status, 200);
    let sent = model.last().body;
    let limit = sent["max_tokens"].as_u64().or(sent["max_completion_tokens"].as_u64());
    assert!(limit.is_some_and(|limit| limit <= 16_384), "never more than the agent may: {sent}");
    let runs: Result<Vec<Run>, StoreError> = hq.ws().read(|snap| snap.list(&Range::all()));
    assert_eq!(runs.unwrap().len(), 2);
    hq.finish().await;
}

#[tokio::test]
async fn the_form_of_an_answer_is_honoured_or_refused_by_name() {
    let (hq, model, program) = work::with_program().await;
    let schema = json!({ "type": "object", "properties": { "open": { "type": "integer" } } });
    let form = json!({ "name": "count", "schema": schema, "strict": true });
    let mut asked = asking(&[]);
    asked["response_format"] = json!({ "type": "json_schema", "json_schema": form });
    // Intermediate text is not part of the final response, streaming or not.
    for stream in [false, true] {
        model.push(Turn::text("I look.").and_call("task_list", json!({ "assignee": "any" })));
        model.push(Turn::text("{\"open\": 3}"));
        asked["stream"] = json!(stream);
        let said = if stream {
            let mut events = program.post_stream(CHAT, &asked).await;
            let mut said = String::new();
            while let Some(message) = events.next().await {
                if message.data == "[DONE]" {
                    break;
                }
                let more = message.json()["choices"][0]["delta"]["content"].clone();
                said.push_str(more.as_str().unwrap_or_default());
            }
            said
        } else {
            let reply = program.post(CHAT, &asked).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            reply.json()["choices"][0]["message"]["content"].as_str().expect("words").to_owned()
        };
        assert_eq!(said, "{\"open\": 3}");
        assert_eq!(model.last().body["response_format"], asked["response_format"]);
    }
    let mut format = form.clone();
    format["type"] = json!("json_schema");
    let mut asked =
        json!({ "model": "hq/ada", "input": "How many?", "text": { "format": format } });
    model.push(Turn::text("{\"open\": 3}"));
    let reply = program.post(RESPONSES, &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["text"], asked["text"]);
    assert_eq!(model.last().body["response_format"]["json_schema"], form);

    // A model that cannot be forced is not called.
    let before = model.requests().len();
    let mut other = work::all::<Connection>(&hq).remove(0);
    (other.wire, other.base_url) = (Wire::Anthropic, model.anthropic_url());
    let moved = hq.ws().write(&work::owner(&hq), move |tx| work::lay(tx, &other)).await;
    moved.expect("it is written");
    let reply = program.post(RESPONSES, &asked).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert_eq!(reply.json()["error"]["param"], "text.format", "{}", reply.text);
    asked["text"] = json!({ "format": { "type": "text" } });
    model.push(Turn::text("Three."));
    let reply = program.post(RESPONSES, &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(model.requests().len(), before + 1);
    hq.finish().await;
}
