//! Claims against calls of every kind, and properties of the check.

use proptest::prelude::*;
use serde_json::json;

use super::{Call, Content, Current, Touched, check, untouched};
use crate::claims::model::{CheckedClaim, Claim};
use crate::claims::queries::sends::Sending;
use crate::runs::model::CallStatus;
use kernel::ClaimState::{Contradicted, Supported, Unsupported};
use kernel::{AgentId, ClaimKind, ClaimState, TypedId as _};

const HASH: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn agent(number: u8) -> AgentId {
    AgentId::from_bytes([number; 16])
}

fn call(step: u32, tool: &str, arguments: serde_json::Value) -> Call {
    Call {
        run: 7,
        agent: agent(1),
        is_own: true,
        step,
        key: step.to_string(),
        tool: tool.to_owned(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        status: CallStatus::Ok,
        result: String::new(),
        exit: None,
        files: Vec::new(),
        sending: None,
    }
}

fn failed(call: Call) -> Call {
    Call { status: CallStatus::Error, ..call }
}

fn wrote(step: u32, path: &str, hash: [u8; 32]) -> Call {
    let content = Content::Hash(hash);
    let files = vec![Touched { path: path.to_owned(), content, is_written: true }];
    Call { files, ..call(step, "write", json!({ "path": path, "content": "x" })) }
}

fn ran(step: u32, command: &str, code: i32) -> Call {
    let status = if code == 0 { CallStatus::Ok } else { CallStatus::Error };
    Call { status, exit: Some(code), ..call(step, "exec", json!({ "command": command })) }
}

fn claim(kind: ClaimKind, text: &str) -> Claim {
    Claim { text: text.to_owned(), kind, step: None }
}

/// The verdict on one claim, while every file has [`HASH`].
fn one(calls: &[Call], claim: Claim) -> CheckedClaim {
    check(calls, &[claim], &|_, _| Current::Hash(HASH)).pop().expect("a verdict")
}

fn state(calls: &[Call], kind: ClaimKind, text: &str) -> ClaimState {
    one(calls, claim(kind, text)).state
}

#[test]
fn a_file_counts_as_long_as_it_is_as_the_call_left_it() {
    let calls = [wrote(1, "notes/a.md", HASH), wrote(2, "b.md", OTHER)];
    let of = |text: &str| state(&calls, ClaimKind::File, text);
    assert_eq!(of("Wrote notes/a.md."), Supported);
    assert_eq!(of("The notes are in a.md"), Supported);
    assert_eq!(of("Wrote b.md"), Contradicted, "it changed since");
    assert_eq!(of("Wrote a.md and b.md"), Contradicted, "all that it names count");
    assert_eq!(of("Wrote a.md and c.md"), Unsupported);
    assert_eq!(of("Wrote everything"), Unsupported);
    let gone = check(&calls, &[claim(ClaimKind::File, "a.md")], &|_, _| Current::Missing);
    assert_eq!(
        (gone[0].state, gone[0].reason.as_str()),
        (Contradicted, "notes/a.md is no longer there.")
    );
    let again = [wrote(1, "a.md", OTHER), wrote(2, "a.md", HASH)];
    assert_eq!(state(&again, ClaimKind::File, "a.md"), Supported, "the last write counts");
    let unwritten = [failed(wrote(1, "a.md", HASH))];
    assert_eq!(state(&unwritten, ClaimKind::File, "Wrote a.md"), Contradicted);
}

#[test]
fn a_command_counts_if_its_own_exit_code_is_zero() {
    let of = |calls: &[Call], text: &str| state(calls, ClaimKind::Command, text);
    assert_eq!(of(&[ran(1, "cargo test", 0)], "All tests pass"), Supported);
    let found = one(&[ran(1, "cargo test", 101)], claim(ClaimKind::Command, "All tests pass"));
    assert_eq!(found.state, Contradicted);
    assert_eq!(found.call.and_then(|call| call.exit_code), Some(101));
    assert_eq!(of(&[ran(1, "cargo build", 0)], "All tests pass"), Unsupported);
    assert_eq!(of(&[ran(1, "echo tests pass", 0)], "All tests pass"), Unsupported);
    assert_eq!(of(&[ran(1, "cargo test || true", 0)], "All tests pass"), Unsupported);
    assert_eq!(of(&[ran(1, "cargo test | tail -3", 0)], "`cargo test` passes"), Unsupported);
    let fixed = [ran(1, "cargo test", 101), ran(2, "cargo test", 0)];
    assert_eq!(of(&fixed, "`cargo test` passes"), Supported, "the last run of it counts");
    let broken = [ran(1, "cargo test", 0), ran(2, "cargo test", 101)];
    assert_eq!(of(&broken, "`cargo test` passes"), Contradicted);
    let printed = [Call { result: "run cargo test".to_owned(), ..ran(1, "make help", 0) }];
    assert_eq!(of(&printed, "`cargo test` passes"), Unsupported);
    let running = [Call { exit: None, ..ran(1, "cargo test", 0) }];
    assert_eq!(of(&running, "tests pass"), Unsupported);
}

#[test]
fn a_message_counts_if_it_went_to_whom_the_claim_names() {
    let of = |calls: &[Call], text: &str| state(calls, ClaimKind::Sent, text);
    let told = [call(1, "notify_owner", json!({ "text": "Email sent to Anna" }))];
    assert_eq!(of(&told, "Notified the owner"), Supported);
    assert_eq!(of(&told, "Email sent to Anna"), Unsupported, "a notice is no mail");
    let asked = [call(1, "message_agent", json!({ "agent": "bob", "text": "Prices?" }))];
    assert_eq!(of(&asked, "Asked Bob"), Supported);
    assert_eq!(of(&asked, "Asked Carla"), Unsupported);
    let unsent = [Call { result: "Not sent: no one has these".to_owned(), ..told[0].clone() }];
    assert_eq!(of(&unsent, "Notified the owner"), Contradicted);
    let post = |answer: &str| {
        let arguments = json!({ "url": "https://a.example/hook", "method": "POST" });
        [Call { result: answer.to_owned(), ..call(1, "http_request", arguments) }]
    };
    let text = "Posted to https://a.example/hook";
    assert_eq!(of(&post("HTTP 201 from https://a.example/hook"), text), Supported);
    assert_eq!(of(&post("HTTP 302 from https://a.example/hook"), text), Contradicted);
    let connected = [call(1, "mail__send", json!({ "to": "anna@example.com" }))];
    assert_eq!(of(&connected, "Email sent to anna@example.com"), Supported);
    assert_eq!(of(&connected, "Email sent to tom@example.com"), Unsupported);
}

#[test]
fn records_and_sources_count_if_they_are_named() {
    let made = Call {
        result: "{\"key\":\"MC-12\",\"title\":\"Call Anna\"}".to_owned(),
        ..call(1, "task_create", json!({ "title": "Call Anna" }))
    };
    let of = |calls: &[Call], kind, text: &str| state(calls, kind, text);
    let calls = [made.clone()];
    assert_eq!(of(&calls, ClaimKind::Record, "Created MC-12"), Supported);
    assert_eq!(of(&calls, ClaimKind::Record, "Created MC-1"), Unsupported);
    assert_eq!(of(&calls, ClaimKind::Record, "A task to call Anna"), Supported);
    assert_eq!(of(&[failed(made)], ClaimKind::Record, "A task to call Anna"), Contradicted);
    let read = [call(2, "web_fetch", json!({ "url": "https://a.example/prices/" }))];
    let source = ClaimKind::Source;
    assert_eq!(of(&read, source, "Prices are from https://a.example/prices#vat"), Supported);
    assert_eq!(of(&read, source, "Prices are from https://a.example/other"), Unsupported);
    assert_eq!(of(&[failed(read[0].clone())], source, "https://a.example/prices"), Contradicted);
}

#[test]
fn with_a_step_only_that_call_counts() {
    let calls = [ran(1, "cargo test", 101), ran(2, "cargo test", 0), wrote(3, "a.md", HASH)];
    let at = |step, kind, text: &str| one(&calls, Claim { step: Some(step), ..claim(kind, text) });
    assert_eq!(at(1, ClaimKind::Command, "tests pass").state, Contradicted);
    assert_eq!(at(2, ClaimKind::Command, "It passed.").state, Supported);
    let other = at(2, ClaimKind::Command, "lint is green");
    assert_eq!(
        (other.state, other.reason.as_str()),
        (Unsupported, "The claim names something else.")
    );
    assert_eq!(at(2, ClaimKind::Command, "`npm test` passes").state, Unsupported);
    assert_eq!(at(3, ClaimKind::Command, "tests pass").state, Unsupported);
    assert_eq!(at(9, ClaimKind::Command, "tests pass").state, Unsupported);
    assert_eq!(at(3, ClaimKind::File, "the notes").state, Supported);
    assert_eq!(at(3, ClaimKind::File, "b.md").state, Unsupported);
    let below = [Call { is_own: false, ..ran(2, "cargo test", 0) }];
    let claim = Claim { step: Some(2), ..claim(ClaimKind::Command, "tests pass") };
    assert_eq!(one(&below, claim).state, Unsupported, "steps of sub-agents have other numbers");
}

#[test]
fn a_step_proves_no_message_record_or_source_that_the_call_does_not_name() {
    let at =
        |call: Call, kind, text: &str| one(&[call], Claim { step: Some(1), ..claim(kind, text) });
    let status = at(ran(1, "git status", 0), ClaimKind::Command, "All tests pass");
    assert_eq!(status.state, Unsupported);
    let told = call(1, "message_agent", json!({ "agent": "bob", "text": "Anna has the prices" }));
    assert_eq!(at(told.clone(), ClaimKind::Sent, "Told Anna").state, Unsupported);
    assert_eq!(at(told.clone(), ClaimKind::Sent, "Told Bob").state, Supported);
    assert_eq!(at(told, ClaimKind::Sent, "Sent the message").state, Supported, "it names nothing");
    let notice = call(1, "notify_owner", json!({ "text": "Done" }));
    assert_eq!(at(notice, ClaimKind::Sent, "Told the owner").state, Supported);
    let made = call(1, "task_create", json!({ "title": "Call Anna" }));
    assert_eq!(at(made, ClaimKind::Record, "Created the invoice").state, Unsupported);
    let read = call(1, "web_fetch", json!({ "url": "https://a.example/prices" }));
    assert_eq!(at(read.clone(), ClaimKind::Source, "The weather forecast").state, Unsupported);
    assert_eq!(at(read, ClaimKind::Source, "The prices").state, Supported);
}

#[test]
fn a_connected_tool_that_reads_sends_and_writes_nothing() {
    let of = |tool: &str, kind| {
        let calls = [call(1, tool, json!({ "query": "anna@example.com" }))];
        state(&calls, kind, "Email for anna@example.com")
    };
    for tool in ["mail__search_messages", "mail__getThread", "gmail__messages-list"] {
        assert_eq!(of(tool, ClaimKind::Sent), Unsupported, "{tool}");
        assert_eq!(of(tool, ClaimKind::Record), Unsupported, "{tool}");
        assert_eq!(of(tool, ClaimKind::Source), Supported, "{tool}");
    }
    for tool in ["mail__send", "mail__markAsRead", "mail__send_to_list"] {
        assert_eq!(of(tool, ClaimKind::Sent), Supported, "{tool}");
        assert_eq!(of(tool, ClaimKind::Record), Supported, "{tool}");
    }
}

#[test]
fn a_queued_message_is_not_yet_sent() {
    let sent = call(1, "channel_send", json!({ "to": "anna", "text": "Hello" }));
    let queued = Call { result: "Queued for Anna.".to_owned(), ..sent };
    let found = one(std::slice::from_ref(&queued), claim(ClaimKind::Sent, "Told Anna"));
    assert_eq!((found.state, found.reason.as_str()), (Unsupported, "It is still queued."));
    let as_sent = |sending: Sending| {
        let sent = Call { sending: Some(sending), ..queued.clone() };
        let found = one(&[sent], claim(ClaimKind::Sent, "Told Anna"));
        (found.state, found.reason)
    };
    assert_eq!(as_sent(Sending::Queued), (Unsupported, "It is still queued.".to_owned()));
    assert_eq!(as_sent(Sending::Accepted), (Supported, String::new()));
    assert_eq!(as_sent(Sending::Unclear).0, Unsupported);
    let lost = as_sent(Sending::Lost("The chat is gone.".to_owned()));
    assert_eq!(lost, (Contradicted, "The chat is gone.".to_owned()));
}

#[test]
fn a_file_that_was_read_or_cannot_be_compared_proves_no_writing() {
    let mut read = wrote(1, "a.md", HASH);
    read.files[0].is_written = false;
    let found = one(&[read.clone()], claim(ClaimKind::File, "Wrote a.md"));
    assert_eq!((found.state, found.reason.as_str()), (Unsupported, "a.md was only read."));
    let at = Claim { step: Some(1), ..claim(ClaimKind::File, "Wrote a.md") };
    assert_eq!(one(&[read.clone()], at).state, Unsupported);
    assert_eq!(state(&[read], ClaimKind::File, "Read a.md"), Supported);
    let large =
        check(&[wrote(1, "a.md", HASH)], &[claim(ClaimKind::File, "Wrote a.md")], &|_, _| {
            Current::Unread
        });
    let found = (large[0].state, large[0].reason.as_str());
    assert_eq!(found, (Unsupported, "a.md can't be compared."));
    let other = [wrote(1, "a.md", HASH)];
    for step in [None, Some(1)] {
        let text = "Wrote reports/2026/a.md";
        let found = one(&other, Claim { step, ..claim(ClaimKind::File, text) });
        assert_eq!(found.state, Unsupported, "{step:?}");
    }
}

#[test]
fn files_are_compared_in_the_folder_of_the_agent_that_wrote_them() {
    let bob = agent(2);
    let calls = [Call { agent: bob, is_own: false, ..wrote(1, "a.md", HASH) }];
    let now = |agent: AgentId, _: &str| match agent == bob {
        true => Current::Hash(HASH),
        false => Current::Missing,
    };
    let found = check(&calls, &[claim(ClaimKind::File, "Wrote a.md")], &now);
    assert_eq!(found[0].state, Supported);
}

#[test]
fn paths_and_links_that_no_call_touched_are_listed() {
    let calls = [
        wrote(1, "notes/a.md", HASH),
        ran(2, "python plot.py", 0),
        call(3, "web_fetch", json!({ "url": "https://a.example/" })),
        call(4, "write", json!({ "path": "x.md", "content": "https://b.example" })),
    ];
    let text = "See a.md, plot.py, c.csv, https://a.example and https://b.example.";
    assert_eq!(untouched(&calls, text), ["c.csv", "https://b.example"]);
}

fn any_call() -> impl Strategy<Value = Call> {
    let tools = prop_oneof![
        (0..4_u8, any::<bool>()).prop_map(|(file, is_same)| {
            wrote(1, &format!("f{file}.md"), if is_same { HASH } else { OTHER })
        }),
        ("cargo (test|build)( \\|\\| true| && npm test|; ls| \\| tail)?", 0..3_i32)
            .prop_map(|(command, code)| ran(1, &command, code)),
        "https://[ab]\\.example/[xy]?".prop_map(|url| call(1, "web_fetch", json!({ "url": url }))),
        ("[ab]ob", ".{0,20}").prop_map(|(agent, text)| {
            call(1, "message_agent", json!({ "agent": agent, "text": text }))
        }),
        ("[a-z]{1,6}_(create|get|list)", ".{0,20}").prop_map(|(tool, title)| call(
            1,
            &tool,
            json!({ "title": title })
        )),
    ];
    let statuses = prop_oneof![
        3 => Just(None),
        1 => prop::sample::select(vec![
            CallStatus::Error,
            CallStatus::Timeout,
            CallStatus::Stopped,
            CallStatus::Skipped,
            CallStatus::Unknown,
        ]).prop_map(Some),
    ];
    (tools, statuses, any::<bool>(), ".{0,30}").prop_map(|(call, status, is_own, result)| Call {
        status: status.unwrap_or(call.status),
        is_own,
        result,
        ..call
    })
}

fn any_calls() -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(any_call(), 0..12).prop_map(|calls| {
        let numbered = (1..).zip(calls);
        numbered.map(|(step, call)| Call { step, key: step.to_string(), ..call }).collect()
    })
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let text = prop_oneof![
        "(wrote|read) f[0-5]\\.md( and f[0-5]\\.md)?",
        "(all tests pass|`cargo (test|build)` passes|it builds)",
        "(read )?https://[abc]\\.example/[xy]?",
        "(asked|email to) [ab]ob",
        ".{0,40}",
    ];
    let kind = prop::sample::select(ClaimKind::ALL.to_vec());
    (text, kind, prop::option::weighted(0.3, 0..14_u32)).prop_map(|(text, kind, step)| Claim {
        text,
        kind,
        step,
    })
}

fn now(_: AgentId, path: &str) -> Current {
    if path == "f3.md" { Current::Missing } else { Current::Hash(HASH) }
}

proptest! {
    #[test]
    fn a_supported_claim_has_a_call_that_ended_well(
        calls in any_calls(),
        claims in prop::collection::vec(any_claim(), 0..25),
    ) {
        let verdicts = check(&calls, &claims, &now);
        prop_assert_eq!(verdicts.len(), claims.len().min(super::MAX_CLAIMS));
        prop_assert_eq!(&verdicts, &check(&calls, &claims, &now));
        for (claim, verdict) in claims.iter().zip(&verdicts) {
            let made = verdict.call.as_ref().and_then(|found| {
                calls.iter().find(|call| call.step == found.step)
            });
            prop_assert_eq!(made.is_some(), verdict.call.is_some());
            if let (Some(step), Some(call)) = (claim.step, made) {
                prop_assert!(call.is_own && call.step == step);
            }
            if verdict.state == Unsupported {
                continue;
            }
            let call = made.expect("a verdict names its call");
            prop_assert!(call.status != CallStatus::Skipped);
            if verdict.state == Contradicted {
                prop_assert!(!verdict.reason.is_empty());
                continue;
            }
            prop_assert_eq!(call.status, CallStatus::Ok);
            match claim.kind {
                ClaimKind::Command => prop_assert_eq!(call.exit, Some(0)),
                ClaimKind::File => {
                    let is_same = |file: &Touched| {
                        file.content == Content::Hash(HASH) && now(agent(1), &file.path) == Current::Hash(HASH)
                    };
                    prop_assert!(call.files.iter().any(is_same));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_is_supported_without_a_good_call(
        calls in any_calls(),
        claims in prop::collection::vec(any_claim(), 0..10),
    ) {
        let bad: Vec<Call> = calls.into_iter().map(failed).collect();
        for verdict in check(&bad, &claims, &now) {
            prop_assert!(verdict.state != Supported);
        }
        for verdict in check(&[], &claims, &now) {
            prop_assert_eq!((verdict.state, verdict.call), (Unsupported, None));
        }
    }

    #[test]
    fn calls_on_other_files_change_no_verdict_on_a_file(
        calls in any_calls(),
        others in prop::collection::vec(any::<bool>(), 0..5),
    ) {
        let claim = [claim(ClaimKind::File, "wrote f1.md")];
        let before = check(&calls, &claim, &now);
        let mut more = calls.clone();
        more.extend(others.iter().map(|is_good| {
            let call = wrote(99, "other/g1.md", OTHER);
            if *is_good { call } else { failed(call) }
        }));
        prop_assert_eq!(before, check(&more, &claim, &now));
    }

    #[test]
    fn any_text_can_be_searched(text in "(?s).{0,200}|(https?://|[a-z./`@()\\[\\] -]){0,60}") {
        for missing in untouched(&[], &text) {
            prop_assert!(!missing.is_empty());
        }
        let claims = ClaimKind::ALL.iter().map(|kind| claim(*kind, &text)).collect::<Vec<_>>();
        let calls = [ran(1, &text, 0), wrote(2, "a.md", HASH), call(3, "web_fetch", json!({ "url": text }))];
        prop_assert_eq!(check(&calls, &claims, &now).len(), claims.len());
    }
}
