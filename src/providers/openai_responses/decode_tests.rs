//! Decoding of Responses streams, piece by piece and with faults.

use super::*;
use crate::error::ErrorClass;

fn run(events: &[&str]) -> Result<(Reply, Vec<Delta>), ProviderError> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for data in events {
        decoder.event("", data, &mut out)?;
    }
    if !decoder.complete() {
        return Err(ProviderError::interrupted("not complete").with_received(decoder.received()));
    }
    Ok((decoder.reply("gpt-5")?, out))
}

const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"gpt-5-2026"}}"#;

#[test]
fn thinking_text_and_calls_become_parts_in_order() {
    let (reply, deltas) = run(&[
        CREATED,
        r#"{"type":"response.in_progress","response":{"id":"resp_1"}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"First"}"#,
        r#"{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":1,"part":{}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"then"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"First"},{"type":"summary_text","text":"then"}],"encrypted_content":"gAAA"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"message","id":"msg_1","role":"assistant","content":[]}}"#,
        r#"{"type":"response.content_part.added","output_index":1,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Grü"}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"ße"}"#,
        r#"{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"Grüße"}"#,
        r#"{"type":"response.content_part.done","output_index":1,"content_index":0,"part":{}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","id":"msg_1","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"Grüße"}]}}"#,
        r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"item_id":"fc_1","delta":"{\"p\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"item_id":"fc_1","delta":"1}"}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":2,"item_id":"fc_1","arguments":"{\"p\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"{\"p\":1}"}}"#,
        r#"{"type":"response.web_search_call.searching","output_index":3}"#,
        r#"{"type":"response.completed","response":{"id":"resp_1","model":"gpt-5-2026","status":"completed","service_tier":"default","output":[],"usage":{"input_tokens":2110,"input_tokens_details":{"cached_tokens":2000,"cache_write_tokens":100},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":30}}}}"#,
    ])
    .expect("an answer");
    assert_eq!((reply.stop, reply.sooner), (StopReason::ToolUse, Some(false)));
    assert_eq!(
        (reply.response_id.as_deref(), reply.model.as_str()),
        (Some("resp_1"), "gpt-5-2026")
    );
    let usage = Usage {
        input: 10,
        cache_read: 2_000,
        cache_write: 100,
        output: 50,
        reasoning: 30,
        ..Usage::default()
    };
    assert_eq!(reply.usage, Some(usage));
    assert_eq!(reply.parts[0], Part::Thinking { text: "First\n\nthen".into(), signature: None });
    let Part::Opaque { provider, model, data } = &reply.parts[1] else { panic!("sealed thinking") };
    assert_eq!((provider.as_str(), model.as_str()), (NAME, "gpt-5"));
    assert!(data.contains("gAAA") && data.contains("rs_1"), "{data}");
    assert_eq!(reply.parts[2], Part::text("Grüße"));
    assert!(matches!(&reply.parts[3], Part::Opaque { data, .. } if data.contains("commentary")));
    assert_eq!(reply.parts[4], Part::call("call_1", "read", "{\"p\":1}"));
    let mut received = Received::default();
    deltas.iter().for_each(|delta| received.push(delta));
    assert_eq!(received.text(), "Grüße");
    assert_eq!(received.parts[0], Part::Thinking { text: "First\n\nthen".into(), signature: None });
    assert_eq!(received.parts[2], Part::call("call_1", "read", "{\"p\":1}"));
}

#[test]
fn a_server_that_sends_only_whole_items_is_read_too() {
    let (reply, deltas) = run(&[
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"Hi"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"c","name":"list","arguments":""}}"#,
        r#"{"type":"response.completed","response":{"status":"completed"}}"#,
    ])
    .expect("an answer");
    assert_eq!(reply.parts, [Part::text("Hi"), Part::call("c", "list", "{}")]);
    assert_eq!((reply.usage, reply.model.as_str()), (None, "gpt-5"));
    assert!(deltas.contains(&Delta::Text("Hi".into())));
    let (reply, _) = run(&[
        r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"All"}]}]}}"#,
    ])
    .expect("an answer");
    assert_eq!((reply.text().as_str(), reply.stop), ("All", StopReason::End));
}

#[test]
fn an_answer_that_was_cut_short_or_refused_says_so() {
    let stop = |events: &[&str]| run(events).expect("an answer").0.stop;
    let cut = r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#;
    assert_eq!(stop(&[CREATED, cut]), StopReason::MaxTokens);
    let filtered = cut.replace("max_output_tokens", "content_filter");
    assert_eq!(stop(&[CREATED, &filtered]), StopReason::Refusal);
    let refused = [
        r#"{"type":"response.refusal.delta","output_index":0,"delta":"No."}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"refusal","refusal":"No."}]}}"#,
        r#"{"type":"response.completed","response":{"status":"completed"}}"#,
    ];
    let (reply, _) = run(&refused).expect("an answer");
    assert_eq!((reply.stop, reply.text().as_str()), (StopReason::Refusal, "No."));
}

#[test]
fn errors_in_the_stream_have_their_class() {
    for (event, class) in [
        (
            r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"slow"}}}"#,
            ErrorClass::RateLimit,
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"oh"}}}"#,
            ErrorClass::Server,
        ),
        (
            r#"{"type":"error","code":"context_length_exceeded","message":"too long"}"#,
            ErrorClass::ContextTooLong,
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}"#,
            ErrorClass::InvalidRequest,
        ),
        (
            r#"{"type":"response.completed","response":{"status":"failed","error":{"code":"insufficient_quota","message":"pay"}}}"#,
            ErrorClass::Billing,
        ),
        (
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c"}}"#,
            ErrorClass::Garbage,
        ),
        ("{\"type\": ", ErrorClass::Garbage),
    ] {
        assert_eq!(run(&[CREATED, event]).expect_err("an error").class, class, "{event}");
    }
}

#[test]
fn half_a_call_is_never_a_call() {
    let error = run(&[
        CREATED,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"exec"}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"command\":\"rm"}"#,
    ])
    .expect_err("it is not complete");
    assert_eq!(error.class, ErrorClass::Interrupted);
    // An answer truncated at the limit has no complete item, so nothing is called.
    let (reply, _) = run(&[
        CREATED,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"exec"}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"command\":\"rm"}"#,
        r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"function_call","call_id":"c","name":"exec","arguments":"{\"command\":\"rm","status":"incomplete"}]}}"#,
    ])
    .expect("an answer");
    assert_eq!((reply.calls().count(), reply.stop), (0, StopReason::MaxTokens));
}
