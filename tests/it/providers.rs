//! Providers against a scripted server over HTTP: all protocols, chunks of any size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::time::SystemClock;
use net::client::{ClientParts, HttpClient};
use providers::base::{Wire, normalise};
use providers::error::{ErrorClass, ProviderError};
use providers::model::{
    AnswerFormat, Cache, ChatRequest, Delta, Message, Part, Received, Reply, StopReason, ToolDef,
    Usage,
};
use providers::wire::{Connection, Limits};
use providers::{Key, Lessons, Provider, connect};
use serde_json::json;
use serde_json::value::RawValue;

use support::model::{Gate, ModelServer, Tokens, Turn};

mod failures;

const KEY: &str = "sk-test-0123456789";
const ALL: [Wire; 5] =
    [Wire::Anthropic, Wire::OpenAiChat, Wire::OpenAiResponses, Wire::Gemini, Wire::Ollama];

fn limits() -> Limits {
    let long = Duration::from_secs(20);
    Limits { header: long, first: long, idle: long, tail: long, total: 4 * 1024 * 1024 }
}

fn url(wire: Wire, server: &ModelServer) -> String {
    match wire {
        Wire::Anthropic => server.anthropic_url(),
        Wire::OpenAiChat | Wire::OpenAiResponses => server.openai_url(),
        Wire::Gemini | Wire::Ollama => server.own_url(),
    }
}

fn provider_with(wire: Wire, server: &ModelServer, limits: Limits) -> Arc<dyn Provider> {
    let base = normalise(wire, &url(wire, server)).expect("an address");
    let client = HttpClient::new(ClientParts::default());
    connect(
        wire,
        Connection::new(client, Arc::new(SystemClock), base, Key::new(KEY)).limits(limits),
    )
}

fn provider(wire: Wire, server: &ModelServer) -> Arc<dyn Provider> {
    provider_with(wire, server, limits())
}

fn request() -> ChatRequest {
    let read = ToolDef {
        name: "read".into(),
        description: "Reads a file".into(),
        schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    };
    ChatRequest::new("mock", 1_000)
        .system("Rules", Cache::UpToHere)
        .tool(read)
        .message(Message::user("Grüße, 世界"))
}

async fn ask(provider: &dyn Provider) -> (Result<Reply, ProviderError>, Vec<Delta>) {
    let mut deltas = Vec::new();
    let reply = provider.stream(&request(), &mut |delta| deltas.push(delta)).await;
    (reply, deltas)
}

async fn fails(wire: Wire, turn: Turn) -> ProviderError {
    let server = ModelServer::start().await;
    server.push(turn);
    ask(&*provider(wire, &server)).await.0.expect_err("it fails")
}

#[tokio::test]
async fn an_answer_is_the_same_in_pieces_of_any_size() {
    for wire in ALL {
        for size in [Some(1), Some(2), Some(3), Some(7), Some(64), None] {
            let server = ModelServer::start().await;
            let tokens = Tokens { input: 10, cache_read: 2_000, cache_write: 100, output: 50 };
            let turn = Turn::thinking("Größe prüfen", "sig==")
                .and_text("Grüße an 世界 👋🏽 und alle")
                .and_call("read", json!({"path": "notes/ü.md"}))
                .and_call("read", json!({}))
                .usage(tokens);
            server.push(size.map_or(turn.clone(), |size| turn.in_pieces(size)));
            let (reply, deltas) = ask(&*provider(wire, &server)).await;
            let reply = reply.expect("an answer");
            assert_eq!(reply.text(), "Grüße an 世界 👋🏽 und alle", "{wire:?} {size:?}");
            let calls: Vec<_> = reply.calls().map(|(_, name, args)| (name, args)).collect();
            assert_eq!(calls, [("read", "{\"path\":\"notes/ü.md\"}"), ("read", "{}")]);
            let signature = (wire == Wire::Anthropic).then(|| "sig==".to_owned());
            assert_eq!(reply.parts[0], Part::Thinking { text: "Größe prüfen".into(), signature });
            // Gemini does not count cache writes, Ollama has none.
            let (input, cache_read, cache_write) = match wire {
                Wire::Gemini => (110, 2_000, 0),
                Wire::Ollama => (2_110, 0, 0),
                _ => (10, 2_000, 100),
            };
            let usage = Usage { input, cache_read, cache_write, output: 50, ..Usage::default() };
            assert_eq!((reply.stop, reply.usage), (StopReason::ToolUse, Some(usage)));
            let id = (wire != Wire::Ollama).then_some("answer-1");
            assert_eq!((reply.response_id.as_deref(), reply.model.as_str()), (id, "mock"));
            let mut received = Received::default();
            deltas.iter().for_each(|delta| received.push(delta));
            assert_eq!(received.text(), reply.text());
            assert_eq!(
                deltas.iter().filter(|d| matches!(d, Delta::ToolCallStart { .. })).count(),
                2
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_read_too() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.push(Turn::text("All at once").and_call("read", json!({"path": "a"})).whole());
        let (reply, deltas) = ask(&*provider(wire, &server)).await;
        let reply = reply.expect("an answer");
        assert_eq!((reply.text().as_str(), reply.stop), ("All at once", StopReason::ToolUse));
        assert_eq!(reply.usage.map(|u| u.output), Some(20));
        assert!(deltas.contains(&Delta::Text("All at once".into())), "{wire:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_whole_is_not_waited_for_although_its_stream_stays_open() {
    // Waiting for the end of the stream, or for the whole tail, would hang here.
    let long = Duration::from_secs(100_000);
    for wire in ALL {
        let patient = Limits { idle: long, tail: long, ..limits() };
        let server = ModelServer::start().await;
        server.push(Turn::text("That is all").and_call("read", json!({})).open());
        let reply = ask(&*provider_with(wire, &server, patient)).await.0.expect("an answer");
        assert_eq!(reply.text(), "That is all", "{wire:?}");
        assert_eq!(reply.calls().count(), 1, "{wire:?}");
        assert_eq!(reply.usage.map(|usage| usage.output), Some(20), "what follows is counted");
        // A server that reports no usage is waited for as long as the tail limit.
        let hasty = Limits { idle: long, tail: Duration::from_millis(10), ..limits() };
        server.push(Turn::text("That is all").no_usage().open());
        let reply = ask(&*provider_with(wire, &server, hasty)).await.0.expect("an answer");
        assert_eq!(reply.text(), "That is all", "{wire:?}");
    }
}

#[tokio::test]
async fn the_form_of_an_answer_is_asked_for_in_the_words_of_each_protocol() {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let format =
        AnswerFormat { name: "place".to_owned(), schema: Some(schema.clone()), strict: Some(true) };
    let any = AnswerFormat { schema: None, strict: None, ..format.clone() };
    for (wire, model, takes_any) in [
        (Wire::Anthropic, "claude-sonnet-4-5", false),
        (Wire::OpenAiChat, "mock", true),
        (Wire::OpenAiResponses, "mock", true),
        (Wire::Gemini, "gemini-3-pro", true),
        (Wire::Ollama, "mock", true),
    ] {
        let server = ModelServer::start().await;
        let provider = provider(wire, &server);
        assert!(provider.takes_format(model, &format), "{wire:?}");
        assert_eq!(provider.takes_format(model, &any), takes_any, "{wire:?}");
        server.usually(Turn::text("{}"));
        let sent = async |format: &AnswerFormat| {
            let request =
                ChatRequest { model: model.to_owned(), format: Some(format.clone()), ..request() };
            provider.stream(&request, &mut |_| {}).await.expect("an answer");
            server.last().body
        };
        let (body, object) = (sent(&format).await, sent(&any).await);
        let described = json!({ "name": "place", "schema": schema, "strict": true });
        match wire {
            Wire::Anthropic => {
                let told = json!({ "type": "json_schema", "schema": schema });
                assert_eq!(body["output_config"]["format"], told);
            }
            Wire::OpenAiChat => {
                let told = json!({ "type": "json_schema", "json_schema": described });
                assert_eq!(body["response_format"], told);
                assert_eq!(object["response_format"], json!({ "type": "json_object" }));
            }
            Wire::OpenAiResponses => {
                let mut told = described;
                told["type"] = json!("json_schema");
                assert_eq!(body["text"]["format"], told);
                assert_eq!(object["text"]["format"], json!({ "type": "json_object" }));
            }
            Wire::Gemini => {
                let config = &body["generationConfig"];
                assert_eq!(config["responseJsonSchema"], schema);
                assert_eq!(config["responseMimeType"], "application/json");
                assert_eq!(object["generationConfig"]["responseJsonSchema"], json!(null));
            }
            Wire::Ollama => {
                assert_eq!((&body["format"], &object["format"]), (&schema, &json!("json")));
                assert_eq!(body["tools"], json!(null), "a form would hold for calls, too");
            }
        }
    }
    for (wire, model) in [
        (Wire::Anthropic, "claude-opus-4-1-20250805"),
        (Wire::Anthropic, "claude-sonnet-4-20250514"),
        (Wire::Anthropic, "claude-3-5-haiku-latest"),
        (Wire::Gemini, "gemini-2.5-pro"),
    ] {
        let server = ModelServer::start().await;
        assert!(!provider(wire, &server).takes_format(model, &format), "{model}");
    }
}

#[tokio::test]
async fn thinking_and_results_go_back_as_they_came() {
    let server = ModelServer::start().await;
    let provider = provider(Wire::Anthropic, &server);
    server.push(
        Turn::thinking("I look", "signed")
            .and_redacted("hidden")
            .and_call("read", json!({"path": "a"})),
    );
    server.push(Turn::text("Done"));
    let first = provider.stream(&request(), &mut |_| {}).await.expect("an answer");
    let id = first.calls().next().map(|c| c.0.to_owned()).expect("a call");
    let again = request()
        .message(Message::assistant(first.parts))
        .message(Message::results(vec![Part::failure(id.as_str(), "no such file")]));
    provider.stream(&again, &mut |_| {}).await.expect("an answer");
    let sent = server.last().body;
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "I look", "signature": "signed"},
            {"type": "redacted_thinking", "data": "hidden"},
            {"type": "tool_use", "id": id, "name": "read", "input": {"path": "a"}},
        ])
    );
    let result = &sent["messages"][2]["content"][0];
    assert_eq!((&result["tool_use_id"], &result["is_error"]), (&json!(id), &json!(true)));
}

#[tokio::test]
async fn the_stable_part_of_a_request_is_the_same_in_every_call() {
    let server = ModelServer::start().await;
    server.usually(Turn::text("ok"));
    let provider = provider(Wire::Anthropic, &server);
    provider.stream(&request(), &mut |_| {}).await.expect("an answer");
    let longer = request()
        .message(Message::assistant(vec![Part::text("ok")]))
        .message(Message::user("More"));
    provider.stream(&longer, &mut |_| {}).await.expect("an answer");
    let [one, two] = &server.requests()[..] else { panic!("two requests") };
    assert_eq!(
        (&one.body["system"], &one.body["tools"]),
        (&two.body["system"], &two.body["tools"])
    );
    assert_eq!(one.header("anthropic-version"), "2023-06-01");
    assert_eq!(one.header("x-api-key"), KEY);
}

/// Exact bytes of a request before the conversation: system prompt and tools.
fn stable_bytes(wire: Wire, raw: &str) -> Vec<String> {
    let body: HashMap<String, Box<RawValue>> = serde_json::from_str(raw).expect("JSON");
    let of = |key: &str| body.get(key).map_or("", |value| value.get()).to_owned();
    let first = |key: &str| {
        let items: Vec<Box<RawValue>> = serde_json::from_str(&of(key)).expect("a list");
        items[0].get().to_owned()
    };
    let bytes = match wire {
        Wire::Anthropic => vec![of("tools"), of("system")],
        Wire::OpenAiChat | Wire::Ollama => vec![of("tools"), first("messages")],
        Wire::OpenAiResponses => vec![of("tools"), of("instructions")],
        Wire::Gemini => vec![of("tools"), of("systemInstruction")],
    };
    assert!(bytes.iter().all(|text| text.contains("Rules") || text.contains("read")), "{bytes:?}");
    bytes
}

#[tokio::test]
async fn system_prompt_and_tools_are_the_same_bytes_in_every_call_of_every_protocol() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.push(
            Turn::thinking("I look", "c2ln")
                .and_text("I look.")
                .and_call("read", json!({"path": "a"})),
        );
        server.usually(Turn::text("ok"));
        let provider = provider(wire, &server);
        let mut request = request();
        request.metadata.cache_key = Some("session-1".into());
        for n in 0..4 {
            let reply = provider.stream(&request, &mut |_| {}).await.expect("an answer");
            let calls: Vec<String> = reply.calls().map(|(id, ..)| id.to_owned()).collect();
            request = request.message(Message::assistant(reply.parts));
            let results = calls.iter().map(|id| Part::result(id.as_str(), "contents")).collect();
            request = request.message(Message::results(results));
            request = request.message(Message::user(format!("More {n}")));
        }
        let seen = server.requests();
        let first = stable_bytes(wire, &seen[0].raw);
        for later in &seen[1..] {
            assert_eq!(stable_bytes(wire, &later.raw), first, "{wire:?}");
        }
        if wire == Wire::OpenAiResponses {
            assert_eq!(seen[1].body["prompt_cache_key"], "session-1");
            assert_eq!(
                (&seen[1].body["store"], seen[1].body.get("previous_response_id")),
                (&json!(false), None)
            );
        }
        if wire == Wire::Anthropic {
            // Tools, system prompt, the conversation so far.
            assert!(seen[0].raw.matches("cache_control").count() >= 3, "{}", seen[0].raw);
            assert!(seen[3].raw.matches("cache_control").count() <= 4, "{}", seen[3].raw);
        }
    }
}

#[tokio::test]
async fn sealed_thinking_goes_back_to_the_model_that_thought_it_and_to_no_other() {
    for wire in [Wire::OpenAiResponses, Wire::Gemini] {
        let server = ModelServer::start().await;
        server.push(
            Turn::thinking("I look", "c2lnbmVk")
                .and_redacted("aGlkZGVu")
                .and_call("read", json!({"path": "a"})),
        );
        server.usually(Turn::text("Done"));
        let provider = provider(wire, &server);
        let first = provider.stream(&request(), &mut |_| {}).await.expect("an answer");
        let id = first.calls().next().map(|c| c.0.to_owned()).expect("a call");
        let mut again = request()
            .message(Message::assistant(first.parts))
            .message(Message::results(vec![Part::result(id.as_str(), "contents")]));
        provider.stream(&again, &mut |_| {}).await.expect("an answer");
        assert!(server.last().raw.contains("aGlkZGVu"), "{wire:?} {}", server.last().raw);
        again.model = "another".into();
        provider.stream(&again, &mut |_| {}).await.expect("an answer");
        assert!(!server.last().raw.contains("aGlkZGVu"), "{wire:?} {}", server.last().raw);
        // Nor do other protocols get it.
        for other in ALL.into_iter().filter(|other| *other != wire) {
            again.model = "mock".into();
            let provider = provider_with(other, &server, limits());
            provider.stream(&again, &mut |_| {}).await.expect("an answer");
            assert!(!server.last().raw.contains("aGlkZGVu"), "{wire:?} {other:?}");
        }
    }
}

#[tokio::test]
async fn pictures_and_documents_go_to_those_who_can_take_them() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.usually(Turn::text("I see"));
        server.shows(json!({"capabilities": ["completion", "tools", "vision"]}));
        let request = request().message(Message::results(vec![
            Part::Image { media_type: "image/png".into(), data: b"picture!".to_vec() },
            Part::File {
                media_type: "application/pdf".into(),
                name: "offer.pdf".into(),
                data: b"document".to_vec(),
            },
            Part::File {
                media_type: "text/csv".into(),
                name: "a.csv".into(),
                data: b"one;two".to_vec(),
            },
        ]));
        provider(wire, &server).stream(&request, &mut |_| {}).await.expect("an answer");
        let sent = server.last().raw;
        assert!(sent.contains("cGljdHVyZSE="), "{wire:?} {sent}");
        assert!(sent.contains("one;two"), "{wire:?} {sent}");
        let takes = !matches!(wire, Wire::OpenAiChat | Wire::Ollama);
        assert_eq!(sent.contains("ZG9jdW1lbnQ="), takes, "{wire:?} {sent}");
        assert_eq!(sent.contains("this model can't read it"), !takes, "{wire:?}");
        // A model without vision gets a text that an image was there.
        server.shows(json!({"capabilities": ["completion", "tools"]}));
        let mut blind = request.clone();
        blind.model = if wire == Wire::Ollama { "mock".into() } else { "practice".into() };
        provider(wire, &server).stream(&blind, &mut |_| {}).await.expect("an answer");
        let sent = server.last().raw;
        assert!(!sent.contains("cGljdHVyZSE="), "{wire:?} {sent}");
        assert!(sent.contains("this model can't see images"), "{wire:?} {sent}");
    }
}

#[tokio::test]
async fn twenty_megabytes_of_text_arrive_or_end_with_a_reason() {
    let long = "many words ".repeat(2 * 1024 * 1024);
    let large = Limits { total: 512 * 1024 * 1024, ..limits() };
    for wire in ALL {
        // Long chunks, so that the length of the text is tested and not the number of events.
        let server = ModelServer::start().await;
        let piece = long[..long.len() / 64].replace(' ', "_");
        let turn = (1..64).fold(Turn::text(&piece), |turn, _| turn.and_text(&piece));
        server.push(turn);
        let (reply, deltas) = ask(&*provider_with(wire, &server, large)).await;
        match reply {
            Ok(reply) => assert_eq!(reply.text().len(), 64 * piece.len(), "{wire:?}"),
            // The final event of this protocol repeats the whole response, exceeds the limit, and gives an error.
            Err(error) => {
                assert_eq!((wire, error.class), (Wire::OpenAiResponses, ErrorClass::Garbage));
                assert!(error.message.contains("too large") && error.has_content(), "{error}");
            }
        }
        assert!(64 <= deltas.len());
    }
}

#[tokio::test]
async fn usage_that_cannot_be_true_is_kept_as_told_and_breaks_nothing() {
    for wire in ALL {
        let server = ModelServer::start().await;
        let most = u64::from(u32::MAX) * 1_000;
        server.push(Turn::text("x").usage(Tokens {
            input: 0,
            cache_read: most,
            cache_write: 0,
            output: most,
        }));
        server.push(Turn::text("x").usage(Tokens {
            input: 0,
            cache_read: 0,
            cache_write: 0,
            output: 0,
        }));
        let provider = provider(wire, &server);
        let told = ask(&*provider).await.0.expect("an answer").usage.expect("it was told");
        assert_eq!((told.input_total(), told.output), (most, most), "{wire:?}");
        let silent = ask(&*provider).await.0.expect("an answer").usage;
        assert_eq!(silent.unwrap_or_default().total(), 0, "{wire:?}");
    }
}

#[tokio::test]
async fn ollama_is_asked_what_its_models_can_do() {
    let server = ModelServer::start().await;
    server.offer(&["plain:7b", "eyes:13b"]).usually(Turn::text("ok")).shows(json!({
        "capabilities": ["completion", "vision"],
        "model_info": {"general.architecture": "x", "x.context_length": 8_192},
    }));
    let provider = provider(Wire::Ollama, &server);
    let models = provider.models().await.expect("a list");
    assert_eq!(models.len(), 2);
    let can = models[0].can;
    assert_eq!((models[0].window, can.tools, can.vision), (Some(8_192), Some(false), Some(true)));
    let mut asked = request();
    asked.model = "plain:7b".into();
    provider.stream(&asked, &mut |_| {}).await.expect("an answer");
    let sent = server.last().body;
    assert_eq!((&sent["tools"], &sent["options"]["num_ctx"]), (&json!(null), &json!(8_192)));
    let known = provider.model("plain:7b");
    assert_eq!((known.window, known.tools, known.vision), (8_192, false, true));
    asked.model = "gone:1b".into();
    let error = provider.stream(&asked, &mut |_| {}).await.expect_err("it is not there");
    assert_eq!(error.class, ErrorClass::NotFoundModel);
    assert!(error.message.contains("ollama pull gone:1b"), "{error}");
}

#[tokio::test]
async fn what_ollama_says_of_a_model_is_asked_once_for_all_runs() {
    let server = ModelServer::start().await;
    let window = |tokens: u32| json!({"model_info": {"general.architecture": "x", "x.context_length": tokens}});
    server.offer(&["plain:7b"]).usually(Turn::text("ok")).shows(window(8_192));
    let lessons = Lessons::default();
    let made = || {
        let base = normalise(Wire::Ollama, &url(Wire::Ollama, &server)).expect("an address");
        let client = HttpClient::new(ClientParts::default());
        let line = Connection::new(client, Arc::new(SystemClock), base, Key::new(KEY));
        connect(Wire::Ollama, line.limits(limits()).lessons(lessons.clone()))
    };
    let ask = async |provider: Arc<dyn Provider>| {
        let asked = ChatRequest { model: "plain:7b".into(), ..request() };
        provider.stream(&asked, &mut |_| {}).await.expect("an answer");
        server.last().body["options"]["num_ctx"].as_u64()
    };
    assert_eq!(ask(made()).await, Some(8_192));
    server.shows(window(16_384));
    assert_eq!(ask(made()).await, Some(8_192), "another run does not ask again");
    assert_eq!(made().model("plain:7b").window, 8_192);
    lessons.forget();
    assert_eq!(ask(made()).await, Some(16_384));
}

#[tokio::test]
async fn pieces_arrive_while_the_rest_is_still_to_come_and_dropping_ends_the_call() {
    for wire in ALL {
        let server = ModelServer::start().await;
        let gate = Gate::new();
        // Number of events up to the first text.
        let events = if matches!(wire, Wire::Gemini | Wire::Ollama) { 1 } else { 4 };
        server.push(Turn::text("one two three").pausing(events, &gate));
        let provider = provider(wire, &server);
        let (send, mut deltas) = tokio::sync::mpsc::unbounded_channel();
        let request = request();
        let mut sink = |delta| send.send(delta).expect("the test listens");
        let mut call = provider.stream(&request, &mut sink);
        let first = loop {
            tokio::select! {
                reply = &mut call => panic!("it cannot be done: {reply:?}"),
                delta = deltas.recv() => match delta {
                    Some(Delta::Text(text)) => break text,
                    Some(_) => {}
                    None => panic!("the call holds the sender"),
                },
            }
        };
        assert_eq!(first, "one ");
        gate.reached().await;
        drop(call);
        gate.open();
        assert_eq!(server.requests().len(), 1, "{wire:?}");
    }
}

#[tokio::test]
async fn usage_may_come_late_or_never() {
    let server = ModelServer::start().await;
    server.push(Turn::text("counted")).push(Turn::text("not counted").no_usage());
    let provider = provider(Wire::OpenAiChat, &server);
    assert_eq!(ask(&*provider).await.0.expect("an answer").usage.map(|u| u.output), Some(20));
    let reply = ask(&*provider).await.0.expect("an answer");
    assert_eq!((reply.usage, reply.stop), (None, StopReason::End));
    // The finish reason has arrived, so the response counts although the connection then stalls.
    let finished =
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n";
    server.push(Turn::raw("text/event-stream", finished));
    assert_eq!(ask(&*provider).await.0.expect("an answer").text(), "x");
}

#[tokio::test]
async fn the_list_of_models_is_fetched() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.require_key(KEY).offer(&["somebody-7b", "claude-haiku-4-5", "gpt-5.2"]);
        let models = provider(wire, &server).models().await.expect("a list");
        assert_eq!(models.len(), 3);
        let known = models.iter().find(|m| m.id == "claude-haiku-4-5").expect("it is there");
        // A self-hosted model has neither the vendor's price nor its context window.
        let told = (Some(200_000), Some(5_000_000));
        let expected = if wire == Wire::Ollama { (None, None) } else { told };
        assert_eq!((known.window, known.price.map(|p| p.output)), expected, "{wire:?}");
        let unknown = models.iter().find(|m| m.id == "somebody-7b").expect("it is there");
        assert_eq!((unknown.window, unknown.price), (None, None), "{wire:?}");
    }
}

#[tokio::test]
async fn a_probe_really_asks() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.require_key(KEY).offer(&["first", "gpt-4o"]).usually(Turn::text("ready"));
        let provider = provider(wire, &server);
        let probe = provider.probe(None).await.expect("it works");
        assert_eq!((probe.model.as_str(), probe.answer.as_str()), ("gpt-4o", "ready"));
        let probe = provider.probe(Some("first")).await.expect("it works");
        assert_eq!(probe.model, "first");
        assert_eq!(server.requests().len(), 2, "{wire:?}");
        server.require_key("another");
        let refused = provider.probe(Some("first")).await.expect_err("the key is wrong");
        assert_eq!(refused.class, ErrorClass::Auth);
        server.offer(&[]).require_key(KEY);
        assert_eq!(
            provider.probe(None).await.expect_err("no model").class,
            ErrorClass::NotFoundModel
        );
    }
}

#[test]
fn a_conversation_can_be_stored_by_the_record_codec() {
    let parts = vec![
        Part::text("Grüße"),
        Part::Thinking { text: "hm".into(), signature: Some("sig".into()) },
        Part::Thinking { text: "hm".into(), signature: None },
        Part::RedactedThinking { data: "xyz".into() },
        Part::call("c", "read", "{\"a\":1}"),
        Part::failure("c", "no"),
        Part::Image { media_type: "image/png".into(), data: vec![0, 255] },
        Part::Opaque { provider: "gemini".into(), model: "m".into(), data: "QUJD".into() },
        Part::File { media_type: "application/pdf".into(), name: "a.pdf".into(), data: vec![1] },
    ];
    let reply = Reply {
        parts: parts.clone(),
        usage: Some(Usage {
            input: 1,
            cache_read: 2,
            cache_write: 3,
            output: 4,
            reasoning: 5,
            cache_write_1h: 1,
        }),
        stop: StopReason::Pause,
        response_id: None,
        model: "mock".into(),
        sooner: None,
    };
    let whole = (Message::assistant(parts), reply, ErrorClass::Replay);
    let bytes = postcard::to_stdvec(&whole).expect("it can be written");
    let read: (Message, Reply, ErrorClass) = postcard::from_bytes(&bytes).expect("it can be read");
    assert_eq!(read, whole);
}
