//! Recorded streams of every protocol, cut at every position, and arbitrary bytes.

use proptest::prelude::{any, prop_assert, proptest};

use super::*;
use crate::model::{Part, StopReason};
use crate::{anthropic, gemini, ollama, openai_chat, openai_responses};

type Recorded = (&'static str, fn() -> Box<dyn Decode>, &'static str);

const RECORDED: [Recorded; 5] = [
    ("anthropic", anthropic::decoder, include_str!("recorded/anthropic.sse")),
    ("chat", openai_chat::decoder, include_str!("recorded/chat.sse")),
    ("responses", openai_responses::decoder, include_str!("recorded/responses.sse")),
    ("gemini", gemini::decoder, include_str!("recorded/gemini.sse")),
    ("ollama", ollama::decoder, include_str!("recorded/ollama.ndjson")),
];

/// Reads a stream like `read_events`. Returns what arrived and whether it was complete.
fn read(decoder: &mut dyn Decode, pieces: &[&[u8]]) -> (Vec<Delta>, Result<bool, ProviderError>) {
    let (mut frames, mut out) = (Frames::of(decoder.framing()), Vec::new());
    for piece in pieces {
        let events = match frames.push(piece) {
            Ok(events) => events,
            Err(error) => return (out, Err(error)),
        };
        for (name, data) in events {
            if let Err(error) = decoder.event(&name, &data, &mut out) {
                return (out, Err(error));
            }
        }
    }
    if let Some((name, data)) = frames.finish() {
        let _ = decoder.event(&name, &data, &mut out); // ok: a truncated event at the end is ignored
    }
    let complete = decoder.complete();
    (out, Ok(complete))
}

fn words(reply: &Reply) -> (String, Vec<Part>) {
    let calls = reply.parts.iter().filter(|part| matches!(part, Part::ToolCall { .. }));
    (reply.text(), calls.cloned().collect())
}

#[test]
fn a_recorded_stream_is_the_same_wherever_it_is_cut() {
    for (name, decoder, text) in RECORDED {
        let bytes = text.as_bytes();
        let mut whole = decoder();
        let (deltas, complete) = read(&mut *whole, &[bytes]);
        assert!(complete.expect("it is sound"), "{name}");
        let whole = whole.reply("asked").expect("an answer");
        assert_eq!(whole.text(), "Grüße an 世界 👋🏽", "{name}");
        assert_eq!(whole.stop, StopReason::ToolUse, "{name}");
        assert!(
            matches!(words(&whole).1.as_slice(), [Part::ToolCall { name, arguments, .. }]
                if name == "read" && arguments == "{\"path\":\"ü.md\"}"),
            "{name}: {:?}",
            whole.parts
        );
        let usage = whole.usage.expect("it is counted");
        assert_eq!((usage.input_total(), usage.output), (2_110, 50), "{name}");
        for at in 0..=bytes.len() {
            let mut cut = decoder();
            let (first, second) = bytes.split_at(at);
            let (pieces, complete) = read(&mut *cut, &[first, second]);
            assert!(complete.expect("it is sound"), "{name} {at}");
            assert_eq!(pieces, deltas, "{name} {at}");
            assert_eq!(cut.reply("asked").expect("an answer"), whole, "{name} {at}");
        }
        let mut slow = decoder();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert!(read(&mut *slow, &single).1.expect("it is sound"), "{name}");
        assert_eq!(slow.reply("asked").expect("an answer"), whole, "{name}");
    }
}

#[test]
fn a_recorded_stream_that_ends_early_is_never_done() {
    for (name, decoder, text) in RECORDED {
        let bytes = text.as_bytes();
        // Data after the final word, such as usage, may be lost.
        let last = match name {
            "chat" => text.find("\"tool_calls\"}").expect("the reason to finish"),
            "anthropic" => text.rfind("message_stop\"").expect("the final event"),
            _ => text.trim_end().rfind('}').expect("the end of the final event"),
        };
        for at in 0..last {
            let mut cut = decoder();
            let (deltas, complete) = read(&mut *cut, &[&bytes[..at]]);
            assert!(!complete.expect("it is sound so far"), "{name} {at}");
            let mut shown = Received::default();
            deltas.iter().for_each(|delta| shown.push(delta));
            assert_eq!(cut.received(), shown, "{name} {at}: what came is known");
        }
    }
}

/// Refusals as vendors send them.
#[test]
fn every_recorded_refusal_has_its_class_and_its_pause() {
    let now = "2026-11-21T07:00:00Z".parse().expect("a moment");
    let all: Value = serde_json::from_str(include_str!("recorded/errors.json")).expect("JSON");
    let all = all.as_array().expect("a list");
    let mut seen = Vec::new();
    for one in all {
        let body = one["body"].to_string();
        let status = one["status"].as_u64().and_then(|n| u16::try_from(n).ok()).expect("a status");
        let mut headers = Headers::new();
        for (name, value) in one["headers"].as_object().into_iter().flatten() {
            headers.add(name.clone(), value.as_str().unwrap_or_default());
        }
        let (code, message) = error_body(body.as_bytes());
        let error = ProviderError::reported(status, &code, &message);
        let class = one["class"].as_str().and_then(ErrorClass::named).expect("a class");
        assert_eq!(error.class, class, "{} {body}", one["maker"]);
        let wait = pause::requested(status, &headers, body.as_bytes(), now);
        let wait = wait.and_then(|wait| u64::try_from(wait.as_millis()).ok());
        assert_eq!(wait, one["wait_ms"].as_u64(), "{} {body}", one["maker"]);
        seen.push(class);
    }
    // The other classes are not responses: they result from the connection or the token holder.
    let silent = [
        ErrorClass::Network,
        ErrorClass::Interrupted,
        ErrorClass::Garbage,
        ErrorClass::SignIn,
        ErrorClass::EmptyAnswer,
    ];
    for class in ErrorClass::ALL {
        assert!(seen.contains(&class) || silent.contains(&class), "{class} is not recorded");
    }
}

/// Field names of token counts.
const COUNTS: [&str; 10] = [
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "prompt_eval_count",
    "eval_count",
];

#[test]
fn a_count_that_is_none_costs_no_answer() {
    for (name, decoder, text) in RECORDED {
        let text = text.replace("_count\": ", "_count\":");
        for before in ["-", "null,\"x\":", "\"many\",\"x\":", "1e300,\"x\":"] {
            let lying = COUNTS.iter().fold(text.clone(), |text, count| {
                text.replace(&format!("\"{count}\":"), &format!("\"{count}\":{before}"))
            });
            assert_ne!(lying, text, "{name}");
            let mut decoder = decoder();
            let (_, complete) = read(&mut *decoder, &[lying.as_bytes()]);
            assert!(complete.expect("it is sound"), "{name} {before}");
            let reply = decoder.reply("asked").expect("an answer");
            assert_eq!(reply.text(), "Grüße an 世界 👋🏽", "{name} {before}");
            assert_eq!(reply.usage.unwrap_or_default().output, 0, "{name} {before}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..12)) {
        for (_, decoder, _) in RECORDED {
            let mut decoder = decoder();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (_, complete) = read(&mut *decoder, &pieces);
            prop_assert!(!matches!(complete, Ok(true)), "noise is no answer");
        }
    }

    #[test]
    fn a_stream_with_a_hole_or_a_doubled_part_ends_without_a_panic(
        which in 0_usize..5, from in any::<u16>(), length in 0_usize..400, doubled in any::<bool>(), byte in any::<u8>(),
    ) {
        let (_, decoder, text) = RECORDED[which];
        let bytes = text.as_bytes();
        let from = usize::from(from) % bytes.len();
        let to = (from + length).min(bytes.len());
        let mut broken = bytes[..if doubled { to } else { from }].to_vec();
        broken.push(byte);
        broken.extend_from_slice(&bytes[if doubled { from } else { to }..]);
        let mut decoder = decoder();
        let (deltas, complete) = read(&mut *decoder, &[&broken]);
        let mut shown = Received::default();
        deltas.iter().for_each(|delta| shown.push(delta));
        if let Ok(true) = complete {
            let _ = decoder.reply("asked"); // ok: an answer or an error, but it must end
        }
    }
}
