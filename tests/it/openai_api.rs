//! OpenAI-compatible API: formats of responses and errors, sessions, streams.

use std::time::Duration;

use serde_json::{Value, json};

use features::agents::rules as agents;
use features::connections::model::{Connection, ListedModel};
use features::runs::model::{Input, Run, Session, SessionEvent};
use features::runs::queries as runs;
use features::runs::rules::{self, NewInput};
use features::usage::queries as usage;
use kernel::key::KeyBuf;
use kernel::{Cause, Outcome, RunState, RunTrigger};
use server::timers;
use store::{Range, ReadExt as _, StoreError, WriteTx};

use support::hq::{Message, Person, Setup, TestHq};
use support::model::{Gate, Turn};
use support::work;

const CHAT: &str = "/v1/chat/completions";

fn asking(text: &str) -> Value {
    json!({ "model": "hq/ada", "messages": [{ "role": "user", "content": text }] })
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().expect("an answer")
}

#[tokio::test]
async fn agents_are_models() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read", "chat"]).await;
    assert_eq!(program.get("/v1/models").await.json()["data"], json!([]));
    let nobody = program.post(CHAT, &json!({ "model": "hq", "messages": [] })).await;
    assert_eq!(nobody.status, 400, "{}", nobody.text);
    let nobody = program.post(CHAT, &asking("Hi")).await;
    assert_eq!(nobody.status, 404, "{}", nobody.text);

    work::agent(&hq, "Ada").await;
    let list = program.get("/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert_eq!(ids, ["hq", "hq/default", "hq/ada"]);
    for path in ["/v1/models/hq/default", "/v1/models/hq%2Fada", "/v1/models/openclaw"] {
        let one = program.get(path).await;
        assert_eq!(one.json()["owned_by"], "hq", "{path}: {}", one.text);
    }
    for lost in ["gpt-4o", "hq/", "hq:", "openclaw/"] {
        let mut asked = asking("Hi");
        asked["model"] = json!(lost);
        let reply = program.post(CHAT, &asked).await;
        assert_eq!(reply.json()["error"]["code"], "model_not_found", "{lost}: {}", reply.text);
    }
    let lost = program.get("/v1/models/gpt-4o").await;
    assert_eq!(lost.status, 404);
    assert_eq!(lost.json()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn an_answer_has_the_form_that_clients_read() {
    let (hq, model, program) = work::with_program().await;
    model.push(Turn::text("Three tasks are open."));
    let reply = program.post(CHAT, &asking("What is open?")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answer = reply.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "hq/ada");
    assert_eq!(content(&answer), "Three tasks are open.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let usage = &answer["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"].as_u64(), Some(sum));
    assert!(model.last().text().contains("What is open?"));
    hq.finish().await;
}

#[tokio::test]
async fn history_is_told_once_and_a_named_session_remembers() {
    let (hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Noted."));
    let talk = json!({ "model": "hq", "messages": [
        { "role": "system", "content": "Answer in one word." },
        { "role": "user", "content": "My name is Mira." },
        { "role": "assistant", "content": "Hello." },
        { "role": "user", "content": "Who am I?" },
    ]});
    program.post(CHAT, &talk).await;
    let alone = model.last().text();
    assert!(alone.contains("Answer in one word.") && alone.contains("My name is Mira."), "{alone}");

    let kept = program.clone().with("x-hq-session-key", "notes");
    kept.post(CHAT, &asking("Zebra one")).await;
    kept.post(CHAT, &asking("Zebra two")).await;
    let asked = model.last().text();
    assert!(asked.contains("Zebra one") && asked.contains("Zebra two"), "{asked}");
    program.post(CHAT, &asking("Third")).await;
    assert!(!model.last().text().contains("Zebra"), "a single call knows nothing of others");

    let agent = hq.ws().read(|snap| features::agents::queries::by_slug(snap, "ada"));
    let agent = agent.unwrap().unwrap();
    let listed: Result<_, StoreError> =
        hq.ws().read(|snap| runs::sessions_of_agent(snap, agent.id, 10));
    assert_eq!(listed.unwrap().len(), 1, "sessions of single calls are not listed");
    let reserved =
        program.clone().with("x-hq-session-key", "cron:x").post(CHAT, &asking("Hi")).await;
    assert_eq!(reserved.status, 400);
}

#[tokio::test]
async fn a_whole_talk_reaches_the_model_in_its_own_roles_and_begins_as_the_one_before() {
    let (_hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Warm."));
    let call = json!({ "id": "call_7", "type": "function",
        "function": { "name": "get_weather", "arguments": "{\"city\":\"Rome\"}" } });
    let mut said = vec![
        json!({ "role": "system", "content": "Answer in one word." }),
        json!({ "role": "user", "content": "How is Rome?" }),
    ];
    let mut asked = Vec::new();
    for more in [
        vec![],
        vec![
            json!({ "role": "assistant", "content": "I look.", "tool_calls": [call] }),
            json!({ "role": "tool", "tool_call_id": "call_7", "content": "31 degrees" }),
        ],
        vec![
            json!({ "role": "assistant", "content": "Hot." }),
            json!({ "role": "user", "content": "And tomorrow?" }),
        ],
    ] {
        said.extend(more);
        let answer = program.post(CHAT, &json!({ "model": "hq", "messages": said })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        asked.push(model.last().body["messages"].as_array().expect("messages").clone());
    }
    let told = |message: &Value| message["content"].to_string();
    let roles: Vec<_> = asked[2][1..].iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"], "{:?}", asked[2]);
    let (first, rest) = (&asked[2][1], &asked[2][2..]);
    assert!(told(&asked[2][0]).contains("Answer in one word."), "{}", asked[2][0]);
    assert_eq!(first["content"], "How is Rome?");
    assert_eq!(rest[0]["content"], "I look.");
    assert_eq!(rest[0]["tool_calls"][0]["function"]["name"], "get_weather");
    assert_eq!(rest[1]["tool_call_id"], rest[0]["tool_calls"][0]["id"]);
    assert_eq!((&rest[1]["content"], &rest[2]["content"]), (&json!("31 degrees"), &json!("Hot.")));
    assert!(told(&rest[3]).contains("And tomorrow?"), "{}", rest[3]);
    // The provider's prompt cache of one request is usable for the next.
    assert_eq!(asked[0], asked[2][..2]);
    assert_eq!(asked[1][..4], asked[2][..4]);
}

#[tokio::test]
async fn long_messages_and_new_instructions_reach_the_model() {
    let (_hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Noted."));
    let long = "heron ".repeat(20_000);
    let talk = json!({ "model": "hq", "messages": [
        { "role": "user", "content": format!("The first word. {long}") },
        { "role": "assistant", "content": "Go on." },
        { "role": "user", "content": format!("Begin. {long} The last word.") },
    ]});
    let answer = program.post(CHAT, &talk).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let asked = model.last().text();
    for words in ["The first word.", "Begin.", "The last word.", "message-3.md", "conversation.md"]
    {
        assert!(asked.contains(words), "{words}");
    }
    // Files derived from long texts do not count towards the client's file limit.
    let file = |n: usize| {
        let data = "data:text/plain;base64,VGhlIGdhdGUgaXMgbmV3Lg==";
        json!({ "type": "file", "file": { "filename": format!("{n}.txt"), "file_data": data } })
    };
    let asked = |files: usize| {
        let mut parts = vec![json!({ "type": "text", "text": format!("Read them. {long}") })];
        parts.extend((0..files).map(file));
        json!({ "model": "hq", "messages": [
            { "role": "user", "content": format!("Before that. {long}") },
            { "role": "assistant", "content": "Go on." },
            { "role": "user", "content": parts },
        ]})
    };
    let answer = program.post(CHAT, &asked(8)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let seen = model.last().text();
    for words in ["Read them.", "message-3.md", "7.txt", "The gate is new."] {
        assert!(seen.contains(words), "{words}");
    }
    let refused = program.post(CHAT, &asked(9)).await;
    assert_eq!(refused.json()["error"]["code"], "too_many_files", "{}", refused.text);
    let with = |system: &str| {
        json!({ "model": "hq", "user": "u", "messages": [
            { "role": "system", "content": system }, { "role": "user", "content": "Hello" }] })
    };
    program.post(CHAT, &with("Answer in Latin.")).await;
    program.post(CHAT, &with("Answer in Greek.")).await;
    let asked = model.last().text();
    assert!(asked.contains("Answer in Latin.") && asked.contains("Answer in Greek."), "{asked}");
}

/// Chunks of a stream up to its end.
async fn chunks(stream: &mut support::hq::Events) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let Message { data, .. } = stream.next().await.expect("the stream ends with [DONE]");
        if data == "[DONE]" {
            return all;
        }
        all.push(serde_json::from_str(&data).expect("a chunk"));
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_role_and_passes_pieces_on_at_once() {
    let (hq, model, program) = work::with_program().await;
    let gate = Gate::new();
    model.push(Turn::text("One two three").pausing(2, &gate));
    let body = json!({
        "model": "hq/ada", "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "Count" }],
    });
    let mut stream = program.post_stream(CHAT, &body).await;
    let first = stream.next().await.unwrap().json();
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    let early = stream.next().await.unwrap().json();
    assert!(!early["choices"][0]["delta"]["content"].as_str().unwrap().is_empty());
    gate.open();
    let rest = chunks(&mut stream).await;
    let mut text = early["choices"][0]["delta"]["content"].as_str().unwrap().to_owned();
    for chunk in &rest {
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(text, "One two three");
    let ends: Vec<_> =
        rest.iter().filter_map(|c| c["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(ends, ["stop"]);
    assert!(rest.last().unwrap()["usage"]["total_tokens"].as_u64().unwrap() > 0);
    hq.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_stops_a_single_call_and_no_other() {
    let (hq, model, program) = work::with_program().await;
    let gates = [Gate::new(), Gate::new()];
    for gate in &gates {
        model.push(Turn::text("Slow words").pausing(2, gate));
    }
    let body = json!({
        "model": "hq/ada", "stream": true, "messages": [{ "role": "user", "content": "Slowly" }],
    });
    let mut single = program.post_stream(CHAT, &body).await;
    single.next().await;
    gates[0].reached().await;
    drop(single);
    hq.settle().await;
    let stopped = work::run(&hq, "R-1");
    assert!(matches!(stopped.outcome, Some(Outcome::Stopped { .. })), "{:?}", stopped.outcome);

    let kept = program.clone().with("x-hq-session-key", "kept");
    let mut named = kept.post_stream(CHAT, &body).await;
    named.next().await;
    gates[1].reached().await;
    drop(named);
    gates[0].open();
    gates[1].open();
    hq.settle().await;
    let done = work::run(&hq, "R-2");
    assert_eq!((done.state, done.outcome), (RunState::Ended, Some(Outcome::Done)));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_answer_broke_off_ends_with_an_error_and_tells_no_second_one() {
    let (hq, model, program) = work::with_program().await;
    let body = json!({
        "model": "hq/ada", "stream": true, "messages": [{ "role": "user", "content": "Count" }],
    });
    let words = |told: &[Value]| -> String {
        let word =
            |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        told.iter().filter_map(word).collect()
    };
    model.push(Turn::text("Half of an").cut());
    let told = chunks(&mut program.post_stream(CHAT, &body).await).await;
    assert_eq!(words(&told), "Half of an", "{told:?}");
    let last = told.last().expect("an error");
    assert_eq!(last["error"]["code"], "answer_broke_off", "{last}");
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !matches!(work::run(&hq, "R-1").outcome, Some(Outcome::Stopped { .. })) {
        assert!(tokio::time::Instant::now() < end, "nobody waits for its answer any more");
        tokio::task::yield_now().await;
    }

    // With an idempotency key, a repeated request gets the complete response.
    model.push(Turn::text("Half of an").cut()).push(Turn::text("The whole"));
    let keyed = program.clone().with("idempotency-key", "count");
    let told = chunks(&mut keyed.post_stream(CHAT, &body).await).await;
    assert_eq!(told.last().expect("an error")["error"]["code"], "answer_broke_off", "{told:?}");
    // The client may get the error before the run has stored when it tries again, so the clock moves until it has.
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while work::run(&hq, "R-2").outcome.is_none() {
        assert!(tokio::time::Instant::now() < end, "the run tries again");
        hq.settle().await;
        hq.advance(Duration::from_mins(2)).await;
    }
    let told = chunks(&mut keyed.post_stream(CHAT, &body).await).await;
    assert_eq!(words(&told), "The whole", "{told:?}");
    hq.finish().await;
}

#[tokio::test]
async fn what_is_refused_says_so_in_the_form_of_this_api() {
    let (hq, model, program) = work::with_program().await;
    let stranger = hq.nobody().with("authorization", "Bearer hq_pat_wrong");
    let reply = stranger.get("/v1/models").await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["error"]["type"], "authentication_error");
    let reader = hq.token(&["read"]).await.post(CHAT, &asking("Hi")).await;
    assert_eq!(
        (reader.status.as_u16(), reader.json()["error"]["type"].clone()),
        (403, "permission_error".into())
    );

    let mut tools = asking("Hi");
    tools["tools"] = json!([{ "type": "web_search" }]);
    let reply = program.post(CHAT, &tools).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["error"]["param"].clone()),
        (400, "tools[0].type".into())
    );
    for (field, value) in [
        ("messages", json!("no list")),
        ("model", json!(5)),
        ("temperature", json!("warm")),
        ("temperature", json!(2.5)),
        ("top_p", json!(-1)),
        ("max_tokens", json!(-5)),
        ("max_tokens", json!(0)),
        ("stop", json!({ "at": "." })),
        ("stop", json!(["a", 5])),
    ] {
        let mut asked = asking("Hi");
        asked[field] = value;
        let broken = program.post(CHAT, &asked).await;
        assert_eq!(broken.status, 400, "{asked}: {}", broken.text);
        assert_eq!(broken.json()["error"]["param"], field, "{}", broken.text);
        assert_eq!(broken.json()["error"]["type"], "invalid_request_error");
    }
    let role = json!({ "model": "hq", "messages": [{ "role": 5, "content": "Hi" }] });
    assert_eq!(program.post(CHAT, &role).await.json()["error"]["param"], "messages[0].role");
    assert_eq!(program.post(CHAT, &json!([])).await.json()["error"]["param"], "body");

    model.push(Turn::error(401, "invalid_api_key", "wrong key"));
    let reply = program.post(CHAT, &asking("Hi")).await;
    assert_eq!(reply.status, 502, "{}", reply.text);
    assert_eq!(reply.json()["error"]["code"], "auth");
    assert_eq!(reply.header("x-should-retry"), Some("false"));

    let (ws, who) = (hq.ws(), work::owner(&hq));
    let agent = ws.read(|snap| features::agents::queries::by_slug(snap, "ada"));
    let id = agent.unwrap().unwrap().id;
    ws.write(&who, move |tx| agents::pause(tx, id)).await.unwrap();
    let paused = program.post(CHAT, &asking("Hi")).await;
    assert_eq!(
        (paused.status.as_u16(), paused.json()["error"]["code"].clone()),
        (503, "agent_paused".into())
    );
    assert!(paused.header("retry-after").is_some());
    hq.finish().await;
}

/// A message with an image and one with a file, both given by URL.
fn by_address(address: &str) -> [(&'static str, Value); 2] {
    let picture = json!({ "type": "image_url", "image_url": { "url": address } });
    let file = json!({ "type": "input_file", "file_url": address });
    let said = |part: Value| json!([{ "role": "user", "content": [part] }]);
    [
        (CHAT, json!({ "model": "hq/ada", "messages": said(picture) })),
        ("/v1/responses", json!({ "model": "hq/ada", "input": said(file) })),
    ]
}

#[tokio::test]
async fn nothing_is_fetched_from_addresses_before_that_is_switched_on() {
    let inside = by_address("http://127.0.0.1:9/a.png");
    for (allowed, code, words) in
        [(false, "urls_not_allowed", "openai.fetch_urls"), (true, "invalid_file", "127.0.0.1")]
    {
        let hq = Setup::default().config(move |config| config.fetch_urls = allowed).start().await;
        work::agent(&hq, "Ada").await;
        let program = hq.token(&["read", "chat"]).await;
        for (path, asked) in &inside {
            let reply = program.post(path, asked).await;
            let error = reply.json()["error"].clone();
            assert_eq!((reply.status.as_u16(), &error["code"]), (400, &json!(code)), "{error}");
            let message = error["message"].as_str().expect("words");
            assert!(message.contains(words), "{path}: {message}");
        }
        assert!(work::all::<Run>(&hq).is_empty(), "no run was begun");
        hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_which_it_is_and_how_many_more_may_be_asked_for() {
    let setup = Setup::default().config(|config| {
        (config.limits.api_per_minute, config.limits.api_burst) = (60, 3);
    });
    let hq = setup.start().await;
    let program = hq.token(&["read", "chat"]).await;
    let first = program.get("/v1/models").await;
    assert!(first.header("x-request-id").is_some());
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("2"));
    let wrong = program.call("DELETE", "/v1/models").await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.json()["error"]["type"], "invalid_request_error", "{}", wrong.text);
    assert!(wrong.header("x-ratelimit-remaining-requests").is_some());
    program.get("/v1/models").await;
    let many = program.get("/v1/models").await;
    assert_eq!(many.status, 429);
    assert_eq!(many.json()["error"]["type"], "rate_limit_error", "{}", many.text);
    assert!(many.header("retry-after").is_some() && many.header("x-request-id").is_some());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_it_hears_what_the_agents_own_tools_do() {
    let (hq, model, program) = work::with_program().await;
    let call = || Turn::call("task_create", json!({ "title": "Call the printer" }));
    model.push(call()).push(Turn::text("Done.")).push(call()).push(Turn::text("Done."));
    let mut body = asking("Make a task");
    body["stream"] = true.into();
    let curious = program.clone().with("x-hq-events", "tools");
    let told = chunks(&mut curious.post_stream(CHAT, &body).await).await;
    let tools: Vec<(&str, &str)> = told
        .iter()
        .filter(|chunk| chunk["object"] == "hq.tool")
        .map(|chunk| {
            let word = |key: &str| chunk["tool"][key].as_str().expect("a word");
            (word("name"), word("status"))
        })
        .collect();
    assert_eq!(tools, [("task_create", "started"), ("task_create", "ok")]);
    let plain = chunks(&mut program.post_stream(CHAT, &body).await).await;
    assert!(plain.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"), "{plain:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_call_goes_on_without_its_client_when_it_was_told_to() {
    let (hq, model, program) = work::with_program().await;
    let gate = Gate::new();
    model.push(Turn::text("Slow words").pausing(2, &gate));
    let body = json!({
        "model": "hq/ada", "stream": true, "messages": [{ "role": "user", "content": "Slowly" }],
    });
    let detached = program.clone().with("x-hq-detach", "true");
    let mut stream = detached.post_stream(CHAT, &body).await;
    stream.next().await;
    gate.reached().await;
    drop(stream);
    gate.open();
    hq.settle().await;
    assert_eq!(work::run(&hq, "R-1").outcome, Some(Outcome::Done));
    hq.finish().await;
}

/// Sessions that were created for single calls.
fn single_sessions(hq: &TestHq) -> Vec<Session> {
    let all: Result<_, StoreError> = hq.ws().read(|snap| runs::sessions_made(snap, None, 100));
    let mut all = all.expect("a readable store");
    all.retain(|session| runs::talk::is_throw_away(&session.key));
    all
}

#[tokio::test]
async fn sessions_of_single_calls_go_a_day_after_their_last_use_with_all_they_hold() {
    let (hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Noted."));
    program.post(CHAT, &asking("Once")).await;
    let kept = program.clone().with("x-hq-session-key", "notes");
    kept.post(CHAT, &asking("Kept")).await;
    hq.settle().await;
    let [single] = single_sessions(&hq).try_into().expect("one session of a single call");
    let run = work::run(&hq, "R-1");
    assert_eq!(run.session, single.id);
    let spent = |hq: &TestHq| {
        let calls: Result<_, StoreError> = hq.ws().read(|snap| usage::of_run(snap, run.id));
        calls.expect("a readable store").len()
    };
    assert_eq!(spent(&hq), 1);

    hq.advance(Duration::from_secs(23 * 3600)).await;
    timers::sweep(&hq.running().app).await;
    assert_eq!(single_sessions(&hq).len(), 1, "a day has not passed");
    hq.advance(Duration::from_secs(2 * 3600)).await;
    timers::sweep(&hq.running().app).await;
    assert!(single_sessions(&hq).is_empty());
    hq.ws()
        .read(|snap| -> Result<_, StoreError> {
            assert!(snap.get::<Run>(run.id)?.is_none());
            assert!(snap.list::<SessionEvent>(&Range::prefix(KeyBuf::of(&single.id)))?.is_empty());
            let inputs: Vec<Input> = snap.list(&Range::all())?;
            assert!(inputs.iter().all(|input| input.session != single.id));
            assert_eq!(inputs.len(), 1, "the named session keeps its own");
            Ok(())
        })
        .expect("a readable store");
    assert_eq!(spent(&hq), 1, "what was paid stays booked");
    let status = program.get("/api/v1/runs/R-1").await.status;
    assert_eq!(status, 404);
    assert_eq!(program.get("/api/v1/runs/R-2").await.status, 200);
    hq.finish().await;
}

#[tokio::test]
async fn a_session_that_is_worked_in_stays_and_a_long_one_goes_in_pieces() {
    let (hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Noted."));
    let (ws, who) = (hq.ws(), work::owner(&hq));
    program.post(CHAT, &asking("Once")).await;
    hq.settle().await;
    let id = single_sessions(&hq).first().expect("a session").id;
    hq.advance(Duration::from_secs(23 * 3600)).await;

    // Sent while the agent is paused: the run waits.
    let agent = work::run(&hq, "R-1").agent;
    ws.write(&who, move |tx| agents::pause(tx, agent)).await.expect("a paused agent");
    let new = || NewInput { trigger: RunTrigger::Api, ..NewInput::chat("More") };
    ws.write(&who, move |tx| rules::queue(tx, id, new())).await.expect("a queued message");
    hq.advance(Duration::from_secs(25 * 3600)).await;
    timers::sweep(&hq.running().app).await;
    assert_eq!(single_sessions(&hq).len(), 1, "a run waits in it");
    ws.write(&who, move |tx| agents::resume(tx, agent)).await.expect("a working agent");
    hq.settle().await;

    let by = (who.0, Cause::Retention);
    let early =
        ws.write(&by, move |tx| rules::forget::forget(tx, id, rules::forget::Why::Age, 3)).await;
    assert!(early.expect("nothing to do"), "it was used just now");
    assert_eq!(single_sessions(&hq).len(), 1);
    hq.advance_unnoticed(Duration::from_secs(24 * 3600));
    let mut pieces = 0;
    while !ws
        .write(&by, move |tx| rules::forget::forget(tx, id, rules::forget::Why::Age, 3))
        .await
        .expect("a piece")
    {
        pieces += 1;
        assert_eq!(single_sessions(&hq).len(), 1, "the session goes last");
    }
    assert!((2..20).contains(&pieces), "{pieces}");
    assert!(single_sessions(&hq).is_empty());
    hq.finish().await;
}

#[tokio::test]
async fn a_model_is_chosen_by_those_who_manage_agents_and_has_to_be_there() {
    let (hq, model, program) = work::with_program().await;
    let listed = move |tx: &mut WriteTx<'_>| {
        let mut all: Vec<Connection> = tx.list(&Range::all())?;
        let mut stored = all.pop().expect("a connection");
        stored.models = vec![ListedModel { id: "mock".to_owned(), name: "Mock".to_owned() }];
        tx.put(&stored)
    };
    let listed: Result<(), StoreError> = hq.ws().write(&work::owner(&hq), listed).await;
    listed.expect("a list of models");
    let with = |program: &Person, name: &str| {
        let program = program.clone().with("x-hq-model", name);
        async move { program.post(CHAT, &asking("Hi")).await }
    };
    let refused = with(&program, "mock").await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let manager = hq.token(&["read", "chat", "agents"]).await;
    let unknown = with(&manager, "mocc").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["error"]["code"].clone()),
        (400, json!("model_not_found")),
        "{}",
        unknown.text
    );
    assert!(unknown.text.contains("mock"), "{}", unknown.text);
    assert!(model.requests().is_empty(), "nobody was asked");
    model.push(Turn::text("Hello."));
    let answered = with(&manager, "mock").await;
    assert_eq!(content(&answered.json()), "Hello.");
    hq.finish().await;
}

#[tokio::test]
async fn a_call_from_outside_does_not_wait_for_a_person() {
    let (hq, model, program) = work::with_program().await;
    let ask = json!({ "question": "Which offer?" });
    model.push(Turn::call("tool_search", json!({ "query": "ask a person a question" })));
    model.push(Turn::call("ask_person", ask)).push(Turn::text("The cheaper one, then."));
    let answer = program.post(CHAT, &asking("Choose an offer")).await.json();
    assert_eq!(content(&answer), "The cheaper one, then.");
    assert!(!model.last().tools().iter().any(|tool| tool == "ask_person"));
    hq.finish().await;
}
