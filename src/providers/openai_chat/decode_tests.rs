//! Decoding of Chat Completions streams, piece by piece and with faults.

use super::*;
use crate::error::ErrorClass;

fn run(tags: Tags, events: &[&str]) -> Result<(Reply, Vec<Delta>, bool), ProviderError> {
    let mut decoder = Decoder::new(tags);
    let mut out = Vec::new();
    for data in events {
        decoder.event("", data, &mut out)?;
    }
    let complete = decoder.complete();
    Ok((decoder.reply("asked")?, out, complete))
}

#[test]
fn text_and_calls_in_pieces_are_put_together_by_index() {
    let (reply, deltas, complete) = run(
        Tags::Keep,
        &[
            r#"{"id":"c1","model":"gpt-x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"Grü"}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"ß"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"read","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"list","arguments":"{"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"p\":1}"}},{"index":1,"function":{"name":"list","arguments":"}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":4}}}"#,
            "[DONE]",
        ],
    )
    .expect("decodes");
    assert_eq!(
        reply.parts,
        [Part::text("Grüß"), Part::call("a", "read", "{\"p\":1}"), Part::call("b", "list", "{}")]
    );
    assert_eq!(
        reply.usage,
        Some(Usage {
            input: 36,
            cache_read: 64,
            cache_write: 0,
            output: 9,
            reasoning: 4,
            ..Usage::default()
        })
    );
    assert_eq!((reply.stop, reply.model.as_str()), (StopReason::ToolUse, "gpt-x"));
    assert!(complete);
    assert_eq!(deltas.iter().filter(|d| matches!(d, Delta::ToolCallStart { .. })).count(), 2);
}

#[test]
fn the_tier_that_a_server_names_counts() {
    let sooner = |tier: &str| {
        let event = format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}]{tier}}}"#);
        let end = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"service_tier":null}"#;
        run(Tags::Keep, &[&event, end, "[DONE]"]).expect("decodes").0.sooner
    };
    assert_eq!(sooner(""), None);
    assert_eq!(sooner(r#","service_tier":"priority""#), Some(true));
    assert_eq!(sooner(r#","service_tier":"default""#), Some(false));
    assert_eq!(sooner(r#","service_tier":{"of":"another"}"#), None);
}

#[test]
fn calls_without_index_or_id_or_all_numbered_zero_are_told_apart() {
    let (reply, ..) = run(
        Tags::Keep,
        &[
            r#"{"id":"r","choices":[{"delta":{"tool_calls":[{"function":{"name":"a","arguments":"{"}}]}}]}"#,
            r#"{"id":"r","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"}"}}]}}]}"#,
            r#"{"id":"r","choices":[{"delta":{"tool_calls":[{"function":{"name":"b","arguments":{"x":1}}}]}}]}"#,
            r#"{"id":"r","choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        ],
    )
    .expect("decodes");
    assert_eq!(reply.parts, [Part::call("r-1", "a", "{}"), Part::call("r-2", "b", "{\"x\":1}")]);
    assert_eq!((reply.stop, reply.usage), (StopReason::ToolUse, None));
    let (reply, ..) = run(
        Tags::Keep,
        &[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"y","function":{"name":"b","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
        ],
    )
    .expect("decodes");
    assert_eq!(reply.calls().map(|c| c.0).collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn thinking_comes_in_either_field_or_in_tags() {
    for field in ["reasoning", "reasoning_content"] {
        let (reply, ..) = run(
            Tags::Keep,
            &[
                &format!(r#"{{"choices":[{{"delta":{{"{field}":"hm"}}}}]}}"#),
                r#"{"choices":[{"delta":{"content":"So."},"finish_reason":"stop"}]}"#,
            ],
        )
        .expect("decodes");
        assert_eq!(
            reply.parts,
            [Part::Thinking { text: "hm".into(), signature: None }, Part::text("So.")]
        );
    }
    let tagged = [
        r#"{"choices":[{"delta":{"content":"<thi"}}]}"#,
        r#"{"choices":[{"delta":{"content":"nk>hm</think>\n\nSo."}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
    ];
    let (reply, ..) = run(Tags::Split, &tagged).expect("decodes");
    assert_eq!(
        reply.parts,
        [Part::Thinking { text: "hm".into(), signature: None }, Part::text("So.")]
    );
    let (reply, ..) = run(Tags::Keep, &tagged).expect("decodes");
    assert_eq!(reply.text(), "<think>hm</think>\n\nSo.");
}

#[test]
fn finish_reasons_have_their_meaning() {
    for (word, stop) in [
        ("stop", StopReason::End),
        ("length", StopReason::MaxTokens),
        ("content_filter", StopReason::Refusal),
        ("eos", StopReason::End),
    ] {
        let data =
            format!(r#"{{"choices":[{{"delta":{{"content":"x"}},"finish_reason":"{word}"}}]}}"#);
        assert_eq!(run(Tags::Keep, &[&data]).expect("decodes").0.stop, stop, "{word}");
    }
    let refused = r#"{"choices":[{"delta":{"refusal":"I cannot"},"finish_reason":"stop"}]}"#;
    assert_eq!(run(Tags::Keep, &[refused]).expect("decodes").0.stop, StopReason::Refusal);
}

#[test]
fn without_a_finish_reason_or_done_it_is_not_complete() {
    let begun = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
    assert!(!run(Tags::Keep, &[begun]).expect("decodes").2);
    assert!(run(Tags::Keep, &[begun, "[DONE]"]).expect("decodes").2);
    assert_eq!(run(Tags::Keep, &["[DONE]"]).expect_err("empty").class, ErrorClass::Garbage);
}

#[test]
fn errors_in_between_have_their_class() {
    for (data, class) in [
        (
            r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
            ErrorClass::RateLimit,
        ),
        (r#"{"error":{"message":"Provider returned error","code":502}}"#, ErrorClass::Server),
        (r#"{"error":"model requires more system memory"}"#, ErrorClass::Server),
        (
            r#"{"object":"error","message":"maximum context length is 4096"}"#,
            ErrorClass::ContextTooLong,
        ),
        (r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, ErrorClass::Server),
        ("nonsense", ErrorClass::Garbage),
    ] {
        assert_eq!(run(Tags::Keep, &[data]).expect_err(data).class, class, "{data}");
    }
}

#[test]
fn a_message_that_was_not_streamed_is_read_too() {
    let mut decoder = Decoder::new(Tags::Keep);
    let mut out = Vec::new();
    decoder
        .whole(
            r#"{"id":"w","model":"m","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"t","type":"function","function":{"name":"n","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
            &mut out,
        )
        .expect("decodes");
    assert!(decoder.ended());
    let reply = decoder.reply("asked").expect("complete");
    assert_eq!(reply.parts, [Part::text("Hi"), Part::call("t", "n", "{\"a\":1}")]);
    assert_eq!(reply.usage.map(|u| u.total()), Some(7));
}

#[test]
fn a_server_that_counts_nothing_has_no_usage() {
    let data = r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    assert_eq!(run(Tags::Keep, &[data, "[DONE]"]).expect("decodes").0.usage, None);
}

#[test]
fn a_refusal_is_whole_only_with_its_end() {
    let piece = r#"{"choices":[{"delta":{"refusal":"I cannot"}}]}"#;
    let (_, _, complete) = run(Tags::Keep, &[piece]).expect("decodes");
    assert!(!complete, "more of it may come");
    for end in [r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "[DONE]"] {
        let (reply, _, complete) = run(Tags::Keep, &[piece, end]).expect("decodes");
        assert_eq!((reply.stop, complete), (StopReason::Refusal, true), "{end}");
        assert_eq!(reply.text(), "I cannot");
    }
}

#[test]
fn thinking_in_parts_of_the_content_is_told_apart() {
    let (reply, ..) = run(
        Tags::Keep,
        &[
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"mm"},{"type":"text","text":"Hi"}]}}]}"#,
            r#"{"choices":[{"delta":{"content":" you","tool_calls":null},"finish_reason":"stop"}]}"#,
        ],
    )
    .expect("decodes");
    let thought = Part::Thinking { text: "hmmm".into(), signature: None };
    assert_eq!(reply.parts, [thought, Part::text("Hi you")]);
}
