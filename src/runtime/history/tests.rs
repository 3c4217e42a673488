//! What a model is sent for a sequence of events.

use super::History;
use features::runs::model::{Attachment, Body, CallStatus, EventKind};
use kernel::{Actor, Part as Of};
use providers::model::{Part, Role};
use store::BlobId;

fn input(text: &str) -> EventKind {
    EventKind::Input {
        input: None,
        text: Body::Inline(text.into()),
        by: Actor::System(Of::Engine),
        steered: false,
    }
}

fn assistant(parts: &[Part]) -> EventKind {
    EventKind::Assistant {
        call: 1,
        parts: Body::Inline(serde_json::to_string(parts).unwrap()),
        stop: "tool_use".into(),
        input_tokens: 0,
        output_tokens: 0,
        billed_micros: None,
        millis: 0,
    }
}

fn result(id: &str) -> EventKind {
    EventKind::ToolFinished {
        step: 1,
        call_id: id.into(),
        name: "read".into(),
        status: CallStatus::Ok,
        result: Body::Inline("text".into()),
        millis: 1,
        paths: Vec::new(),
        seq: None,
    }
}

#[test]
fn every_call_has_a_result_before_the_next_message() {
    let mut history = History::default();
    history.push(&input("go"));
    history.push(&assistant(&[Part::call("a", "read", "{}"), Part::call("b", "read", "{}")]));
    history.push(&result("b"));
    history.push(&input("stop that"));
    let messages = history.take();
    assert_eq!(messages.len(), 3);
    let kinds: Vec<bool> =
        messages[2].parts.iter().map(|p| matches!(p, Part::ToolResult { .. })).collect();
    assert_eq!(kinds, [true, true, false]);
}

#[test]
fn files_of_a_message_stand_with_it_as_what_they_are() {
    let file = |name: &str, media_type: &str| Attachment {
        name: name.into(),
        media_type: media_type.into(),
        blob: BlobId::of(name.as_bytes()),
        len: 5,
    };
    let mut history = History::default();
    history.push(&input("look"));
    history.attach(&file("a.png", "image/png"), Some(vec![1, 2]));
    history.attach(&file("b.csv", "text/csv"), Some(b"a,b".to_vec()));
    history.attach(&file("c.pdf", "application/pdf"), Some(vec![3]));
    history.attach(&file("d.zip", "application/zip"), Some(vec![4]));
    history.attach(&file("e.png", "image/png"), None);
    let messages = history.messages();
    assert_eq!(messages.len(), 1);
    let [text, picture, table, document, archive, gone] = messages[0].parts.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(*text, Part::text("look"));
    assert_eq!(*picture, Part::Image { media_type: "image/png".into(), data: vec![1, 2] });
    let words = |part: &Part| match part {
        Part::Text { text } => text.clone(),
        other => panic!("{other:?}"),
    };
    assert!(words(table).contains("a,b") && words(table).contains("UNTRUSTED"));
    assert!(matches!(document, Part::File { name, .. } if name == "c.pdf"));
    assert!(words(archive).contains("d.zip") && words(gone).contains("e.png"));
}

#[test]
fn a_large_picture_is_no_long_conversation() {
    let mut history = History::default();
    history.push(&input("first"));
    history.push(&assistant(&[Part::text("yes")]));
    history.push(&input("second"));
    history.picture("image/png".into(), vec![0; 3_000_000]);
    assert!(history.bytes() < 10_000);
    assert!(!history.shrink(100_000));
    assert_eq!(history.messages().len(), 3);
}

#[test]
fn a_result_for_an_unknown_call_is_left_out() {
    let mut history = History::default();
    history.push(&input("go"));
    history.push(&result("never-called"));
    assert_eq!(history.messages().len(), 1);
}

#[test]
fn cutting_begins_where_somebody_speaks() {
    let mut history = History::default();
    for n in 0..20 {
        history.push(&input(&format!("{n} {}", "x".repeat(1000))));
        history.push(&assistant(&[Part::call(format!("c{n}"), "read", "{}")]));
        history.push(&result(&format!("c{n}")));
    }
    assert!(history.shrink(5_000));
    let messages = history.messages();
    assert!(history.bytes() < 7_000);
    assert_eq!(messages[0].role, Role::User);
    assert!(messages[0].parts.iter().all(|p| matches!(p, Part::Text { .. })));
}

#[test]
fn one_long_run_loses_old_results_and_keeps_the_newest() {
    let mut history = History::default();
    history.push(&input("card"));
    for n in 0..10 {
        let id = format!("c{n}");
        history.push(&assistant(&[Part::call(&id, "read", "{}")]));
        let mut event = result(&id);
        if let EventKind::ToolFinished { result, .. } = &mut event {
            *result = Body::Inline("y".repeat(2_000));
        }
        history.push(&event);
    }
    assert!(history.shrink(9_000));
    assert!(history.bytes() <= 9_000);
    let texts: Vec<usize> = history
        .messages()
        .iter()
        .flat_map(|m| &m.parts)
        .filter_map(|p| match p {
            Part::ToolResult { text, .. } => Some(text.len()),
            _ => None,
        })
        .collect();
    assert_eq!((texts.len(), texts[9]), (10, 2_000));
    assert!(!history.shrink(9_000));
}

fn call_started(model: &str) -> EventKind {
    let (provider, model) = ("anthropic".into(), model.into());
    EventKind::CallStarted { call: 1, provider, model, reserved_micros: 0 }
}

#[test]
fn who_wrote_an_answer_is_known() {
    let thought = || Part::Thinking { text: "hm".into(), signature: Some("s".into()) };
    let mut history = History::default();
    history.push(&input("go"));
    history.push(&assistant(&[thought(), Part::text("nobody knows whose")]));
    for model in ["a", "b"] {
        history.push(&input("and now?"));
        history.push(&call_started(model));
        history.push(&assistant(&[thought(), Part::call(model, "read", "{}")]));
        history.push(&result(model));
    }
    let of_others = |history: &History, model| {
        history.of_others("anthropic", model).into_iter().collect::<Vec<_>>()
    };
    // Input, answer, input, a's, result and input, b's, result.
    assert_eq!(of_others(&history, "a"), [1, 5]);
    assert_eq!(of_others(&history, "b"), [1, 3]);
    assert_eq!(history.of_others("openai", "b").len(), 3);
    assert!(history.has_call("a") && history.has_call("b") && !history.has_call("c"));
    let messages = history.take();
    history.put_back(messages);
    // Everything before a person's newest message is removed; the other messages keep their authors.
    history.shrink(0);
    assert_eq!(history.messages().len(), 3);
    assert_eq!(of_others(&history, "a"), [1]);
    assert!(of_others(&history, "b").is_empty());
    assert!(history.has_call("a"), "an id is given once, whatever is left out");
    assert!(history.drop_thinking());
    assert_eq!(of_others(&history, "a"), [1]);
}

#[test]
fn thinking_can_be_left_out() {
    let mut history = History::default();
    history.push(&input("go"));
    let thought = Part::Thinking { text: "hm".into(), signature: Some("s".into()) };
    history.push(&assistant(&[thought, Part::text("yes")]));
    assert!(history.drop_thinking());
    assert!(!history.drop_thinking());
    assert_eq!(history.messages().len(), 2);
}
