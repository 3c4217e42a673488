//! Random conversations written by any mixture of providers, encoded for each protocol: roles, pairs of calls and
//! results, ids and contents must be acceptable to its servers.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::Value;

use super::model::{Cache, ChatRequest, Message, Part};
use super::{anthropic, gemini, ollama, openai_chat, openai_responses};

/// Model output other than calls.
fn any_words() -> impl Strategy<Value = Part> {
    let opaque = |provider: &'static str, model: &'static str| {
        let data = match provider {
            "gemini" => "QUJD".to_owned(),
            _ => r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}"#
                .to_owned(),
        };
        Just(Part::Opaque { provider: provider.into(), model: model.into(), data })
    };
    prop_oneof![
        "[a-z ]{0,6}".prop_map(Part::text),
        Just(Part::Thinking { text: "hm".into(), signature: Some("sig".into()) }),
        Just(Part::Thinking { text: "hm".into(), signature: None }),
        Just(Part::RedactedThinking { data: "xyz".into() }),
        opaque("gemini", "mock"),
        opaque("gemini", "other"),
        opaque("openai_responses", "mock"),
        opaque("openai_responses", "other"),
    ]
}

/// The user's text, the model's parts and calls, which calls failed, and whether a person wrote meanwhile.
type Exchange = (String, Vec<Part>, Vec<(u8, bool)>, bool);

fn any_exchange() -> impl Strategy<Value = Exchange> {
    (
        "[a-z]{1,5}",
        prop::collection::vec(any_words(), 0..5),
        prop::collection::vec((0_u8..5, any::<bool>()), 0..4),
        any::<bool>(),
    )
}

/// Ids as providers generate them, and invalid ones.
fn id(kind: u8, n: usize) -> String {
    match kind {
        0 => format!("g{}", n + 1),
        1 => format!("o{}", n + 1),
        2 => format!("toolu_{n:03}"),
        3 => format!("call|with:odd characters {n}"),
        _ => format!("{}{n}", "long".repeat(20)),
    }
}

fn conversation(exchanges: &[Exchange]) -> ChatRequest {
    let mut request = ChatRequest::new("mock", 1_000).system("Rules", Cache::UpToHere);
    let mut count = 0;
    for (question, answer, calls, steered) in exchanges {
        request = request.message(Message::user(question.as_str()));
        let (mut parts, mut results) = (answer.clone(), Vec::new());
        for (kind, fails) in calls {
            let id = id(*kind, count);
            count += 1;
            parts.push(Part::call(id.as_str(), "read", if *fails { "oops" } else { "{\"a\":1}" }));
            results.push(match fails {
                true => Part::failure(id, "no"),
                false => Part::result(id, "yes"),
            });
        }
        if !parts.is_empty() {
            request = request.message(Message::assistant(parts));
        }
        if *steered {
            results.insert(0, Part::text("Hurry"));
        }
        if !results.is_empty() {
            request = request.message(Message::results(results));
        }
    }
    request.message(Message::user("And now?"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn check_anthropic(body: &Value) {
    let turns = list(&body["messages"]);
    assert_eq!(turns[0]["role"], "user");
    for (at, turn) in turns.iter().enumerate() {
        let blocks = list(&turn["content"]);
        assert!(!blocks.is_empty(), "an empty turn");
        assert!(at == 0 || turns[at - 1]["role"] != turn["role"], "turns alternate");
        assert!(blocks.iter().all(
            |b| b["type"] != "text" || b["text"].as_str().is_some_and(|t| !t.trim().is_empty())
        ));
        let ids = |blocks: &[Value], kind: &str, key: &str| -> Vec<String> {
            let of = blocks.iter().filter(|b| b["type"] == kind);
            of.map(|b| b[key].as_str().unwrap_or("").to_owned()).collect()
        };
        let mut calls = ids(blocks, "tool_use", "id");
        let plain =
            |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        assert!(calls.iter().all(plain), "{calls:?}");
        if !calls.is_empty() {
            let next = list(&turns[at + 1]["content"]);
            let mut results = ids(next, "tool_result", "tool_use_id");
            assert!(
                next[..results.len()].iter().all(|b| b["type"] == "tool_result"),
                "results first"
            );
            calls.sort();
            results.sort();
            assert_eq!(calls, results);
        }
    }
}

fn check_chat(body: &Value) {
    let turns = list(&body["messages"]);
    for (at, turn) in turns.iter().enumerate() {
        let calls = list(&turn["tool_calls"]);
        let says = turn["content"].as_str().is_some_and(|text| !text.trim().is_empty())
            || turn["content"].is_array();
        assert!(says || !calls.is_empty(), "an empty turn: {turn}");
        for (n, call) in calls.iter().enumerate() {
            let id = call["id"].as_str().unwrap_or("");
            assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
            let result = &turns[at + 1 + n];
            assert_eq!(
                (&result["role"], &result["tool_call_id"]),
                (&Value::from("tool"), &call["id"])
            );
        }
    }
}

fn check_responses(body: &Value) {
    let items = list(&body["input"]);
    let mut open: Vec<String> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str().unwrap_or("") {
            "reasoning" => {
                let next = items[at + 1]["type"].as_str().unwrap_or("");
                let assistant = items[at + 1]["role"] == "assistant";
                assert!(
                    next == "function_call"
                        || next == "reasoning"
                        || (next == "message" && assistant)
                );
            }
            "function_call" => {
                let id = item["call_id"].as_str().unwrap_or("");
                assert!(!id.is_empty() && id.len() <= 64, "{id}");
                open.push(id.to_owned());
            }
            "function_call_output" => {
                let id = item["call_id"].as_str().unwrap_or("");
                let place = open.iter().position(|call| call == id).expect("it was called");
                open.remove(place);
            }
            _ => {
                assert!(open.is_empty() || item["role"] == "assistant", "a result is missing");
                assert!(!list(&item["content"]).is_empty(), "an empty message");
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn check_gemini(body: &Value) {
    let turns = list(&body["contents"]);
    assert_eq!(turns[0]["role"], "user");
    for (at, turn) in turns.iter().enumerate() {
        assert!(at == 0 || turns[at - 1]["role"] != turn["role"], "turns alternate");
        let count = |turn: &Value, key: &str| {
            list(&turn["parts"]).iter().filter(|p| p.get(key).is_some()).count()
        };
        assert!(!list(&turn["parts"]).is_empty(), "an empty turn");
        let calls = count(turn, "functionCall");
        if calls != 0 {
            assert_eq!(
                calls,
                count(&turns[at + 1], "functionResponse"),
                "each call has its result"
            );
            let first = list(&turn["parts"]).iter().find(|p| p.get("functionCall").is_some());
            assert!(
                first.is_some_and(|p| p["thoughtSignature"].is_string()),
                "the first call is signed"
            );
        }
    }
}

fn check_ollama(body: &Value) {
    let turns = list(&body["messages"]);
    for (at, turn) in turns.iter().enumerate() {
        let calls = list(&turn["tool_calls"]);
        for (n, call) in calls.iter().enumerate() {
            assert!(call["function"]["arguments"].is_object());
            let result = &turns[at + 1 + n];
            assert_eq!(
                (&result["role"], &result["tool_name"]),
                (&Value::from("tool"), &call["function"]["name"])
            );
        }
        assert!(turn["role"] != "tool" || at != 0);
    }
}

proptest! {
    #[test]
    fn every_protocol_takes_every_conversation(exchanges in prop::collection::vec(any_exchange(), 0..6)) {
        let request = conversation(&exchanges);
        let read = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).expect("JSON") };
        check_anthropic(&read(anthropic::encoded(&request)));
        check_chat(&read(openai_chat::encoded(&request)));
        check_responses(&read(openai_responses::encoded(&request)));
        check_gemini(&read(gemini::encoded(&request)));
        check_ollama(&read(ollama::encoded(&request)));
    }
}

#[test]
fn who_has_a_way_to_answer_sooner_is_told_in_its_own_words() {
    let tier = |encode: fn(&ChatRequest) -> Vec<u8>, fast: Option<bool>| {
        let request = ChatRequest { fast, ..conversation(&[]).message(Message::user("Hello")) };
        let body: Value = serde_json::from_slice(&encode(&request)).expect("JSON");
        body.get("service_tier").and_then(Value::as_str).map(str::to_owned)
    };
    let both = |encode: fn(&ChatRequest) -> Vec<u8>| {
        [Some(true), Some(false)].map(|fast| tier(encode, fast).unwrap_or_default())
    };
    assert_eq!(both(openai_chat::encoded), ["priority", "default"]);
    assert_eq!(both(openai_responses::encoded), ["priority", "default"]);
    assert_eq!(both(anthropic::encoded), ["auto", "standard_only"]);
    for encode in [openai_chat::encoded, openai_responses::encoded, anthropic::encoded] {
        assert_eq!(tier(encode, None), None, "nothing is said where nobody chose");
    }
    assert_eq!(both(gemini::encoded), ["", ""]);
}
