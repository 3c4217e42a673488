//! Tool calls: order of writes, and what the model gets after errors.

use std::time::Duration;

use features::runs::model::{Body, CallStatus, EventKind};
use kernel::{ItemState, Outcome};
use runtime::Limits;
use serde_json::json;

use support::model::{Gate, Turn};
use support::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_only_look_run_side_by_side_and_are_one_commit() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(
        Turn::call("task_list", json!({}))
            .and_call("list", json!({}))
            .and_call("read", json!({ "path": "SOUL.md" })),
    );
    office.model.push(Turn::text("Done."));
    let before = office.ws().store.head().seq;
    let run = office.say(&ada, "Look around").await;
    let run = office.ended(run).await;
    // One for all three results, and one for the new conversation.
    assert_eq!(office.ws().store.head().seq - before, 6);
    let results = office.results(run.id);
    let names: Vec<&str> = results.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["task_list", "list", "read"], "in the order of the message");
    assert!(results.iter().all(|(_, ok, _)| *ok), "{results:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_write_is_one_commit_that_holds_effect_and_result() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(
        Turn::call("task_create", json!({ "title": "First" }))
            .and_call("task_create", json!({ "title": "Second" })),
    );
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Make two tasks").await;
    let run = office.ended(run).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    for kind in office.events(run.id) {
        let EventKind::ToolFinished { seq, status, .. } = kind else { continue };
        assert_eq!(status, CallStatus::Ok);
        let entry =
            office.ws().store.entries_after(seq.expect("a number") - 1, 1).unwrap().remove(0);
        let tables: Vec<u16> = entry.changes.iter().map(|change| change.table).collect();
        let task = features::tasks::model::TASKS.number;
        let event = features::runs::model::SESSION_EVENTS.number;
        assert!(tables.contains(&task) && tables.contains(&event), "{tables:?}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_wrong_is_answered_with_what_would_be_right() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(
        Turn::call("tasks_get", json!({}))
            .and_call("task_get", json!({ "tsk": "MC-1" }))
            .and_call_as(None, "read", "{\"path\": ")
            .and_call("read", json!({ "path": "no/such.md" }))
            .and_call("work_done", json!({ "summary": "x" }))
            .and_call("exec", json!({ "command": "true" })),
    );
    office.model.push(Turn::text("I see."));
    let run = office.say(&ada, "Try things").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert!(results.iter().all(|(_, ok, _)| !ok), "{results:?}");
    let texts: Vec<&str> = results.iter().map(|(_, _, text)| text.as_str()).collect();
    assert!(texts[0].contains("there is no tool \"tasks_get\". Similar: task_get"), "{}", texts[0]);
    assert!(texts[1].contains("unknown argument \"tsk\". Did you mean \"task\"?"), "{}", texts[1]);
    assert!(texts[2].contains("not valid JSON at line 1, column 9"), "{}", texts[2]);
    assert!(texts[3].contains("there is no file no/such.md"), "{}", texts[3]);
    assert!(texts[4].contains("can't use work_done here"), "{}", texts[4]);
    assert!(texts[5].starts_with("Error(denied): you can't use exec here"), "{}", texts[5]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_of_a_disabled_module_says_which_module_is_off() {
    let office = Office::open().await;
    office.settings(|settings| settings.without = vec!["knowledge".to_owned()]).await;
    let ada = office.agent("Ada").await;
    office.model.push(
        Turn::call("knowledge_search", json!({ "query": "prices" }))
            .and_call("tool_search", json!({ "query": "knowledge_search" })),
    );
    office.model.push(Turn::text("I see."));
    let run = office.say(&ada, "Look up the prices").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    let start = "Error(module_off): you can't use knowledge_search: the module Knowledge is \
                 turned off in this workspace. Its data is kept.";
    assert!(results[0].2.starts_with(start), "{results:?}");
    assert!(!results[1].2.contains("knowledge_search:"), "it is not offered: {results:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_of_output_are_kept_whole_and_shown_in_part() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let print =
        "seq -f 'line %08.0f of a long output, with some words' 1 220000; echo needle; seq 1 10";
    office.model.push(Turn::call("exec", json!({ "command": print })));
    office.model.push(
        Turn::call("read", json!({ "path": "result:1.1", "offset": 150_000, "limit": 2 }))
            .and_call("search", json!({ "text": "needle", "path": "result:1" })),
    );
    office.model.push(Turn::text("Found."));
    let run = office.say(&ada, "Print a lot").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.len() <= 32_000, "{}", results[0].2.len());
    assert!(results[0].2.contains("line 00000001") && results[0].2.ends_with("9\n10\n"));
    assert!(results[0].2.contains("path \"result:1.1\""));
    // The first line reports the program's end.
    assert!(results[1].2.starts_with("line 00149999 of a long output"), "{:?}", results[1]);
    assert!(results[2].2.contains(": needle"), "{:?}", results[2]);
    let body = office.events(run).into_iter().find_map(|kind| match kind {
        EventKind::ToolFinished { result: Body::Blob { id, len, .. }, .. } => Some((id, len)),
        _ => None,
    });
    let (id, len) = body.expect("a blob");
    assert!(10_000_000 < len, "{len}");
    assert_eq!(office.ws().blobs.get(id, 1 << 30).expect("it is kept").len() as u64, len);
    let jobs = std::fs::read_dir(office.ws().jobs_folder()).expect("a folder");
    assert_eq!(jobs.count(), 0, "it is kept once");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_tells_of_its_progress_is_kept_and_not_shown() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let command = "cargo() { for n in $(seq 60); do echo \"   Compiling part-$n v1.0.0\"; done; \
        printf '\\033[31merror\\033[0m: no\\n'; }; cargo build";
    office.model.push(Turn::call("exec", json!({ "command": command })));
    office.model.push(
        Turn::call("search", json!({ "pattern": "part-59", "path": "result:1.1" }))
            .and_call("exec", json!({ "command": "printf ' 10%%\\r100%%\\n'" })),
    );
    office.model.push(Turn::text("It failed."));
    let run = office.say(&ada, "Build it").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    let note = "60 repetitive lines are left out, path \"result:1.1\" has all";
    assert_eq!(results[0].2, format!("[exit code 0; {note}]\nerror: no\n"));
    assert!(results[1].2.contains("Compiling part-59"), "{}", results[1].2);
    assert_eq!(results[2].2, "[exit code 0]\n100%\n");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_takes_too_long_is_ended_and_the_model_reads_what_it_said() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let command = "echo so far; sleep 60; echo never";
    office.model.push(Turn::call("exec", json!({ "command": command, "timeout": 3 })));
    office.model.push(Turn::text("It hangs."));
    let run = office.say(&ada, "Try it").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert!(!results[0].1);
    assert_eq!(results[0].2, "[ended after 3 s (time-out)]\nso far\n");
    assert!(office.model.last().text().contains("ended after 3 s (time-out)"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_its_turn_is_not_counted_as_a_programs_time() {
    let tool = Duration::from_millis(200);
    let office = Office::limited(Limits { programs: 1, tool, ..Limits::default() }).await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let bob = office.agent_with("Bob", |new| new.exec = true).await;
    // It runs longer than the limit for tools without a timeout of their own.
    let long = "until test -e go; do sleep 0.02; done; sleep 0.5; echo first";
    office.model.push(Turn::call("exec", json!({ "command": long })));
    let first = office.say(&ada, "Go first").await;
    let begun = |kind: &EventKind| matches!(kind, EventKind::ToolStarted { .. });
    office.happened(first, begun).await;
    office.model.push(Turn::call("exec", json!({ "command": "echo second" })));
    let second = office.say(&bob, "Go second").await;
    office.model.asked(2).await;
    office.model.push(Turn::text("Done.")).push(Turn::text("Done."));
    std::fs::write(office.ws().agent_folder(&ada.slug).join("go"), "").expect("a file");
    for (run, said) in [(first, "[exit code 0]\nfirst\n"), (second, "[exit code 0]\nsecond\n")] {
        assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
        assert_eq!(office.results(run)[0].2, said);
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_never_stops_calling_tools_gets_one_last_word() {
    let office = Office::limited(Limits { calls: 3, ..Limits::default() }).await;
    let ada = office.agent("Ada").await;
    for path in ["SOUL.md", "AGENTS.md", "TOOLS.md"] {
        office.model.push(Turn::call("read", json!({ "path": path })));
    }
    office.model.push(Turn::text("I have read three files; nothing is left to do."));
    let task = office.task("Read everything", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Limit { which: "calls".into() }));
    assert_eq!(
        (run.calls, run.summary.as_str()),
        (4, "I have read three files; nothing is left to do.")
    );
    let last = office.model.last();
    assert_eq!(last.body["tool_choice"], "none", "{}", last.body);
    assert!(last.text().contains("You have reached this run's limit (calls)"));
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.last_error.as_deref()), (ItemState::Failed, Some("limit: calls")));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_goes_in_circles_is_warned_refused_and_ended() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    for _ in 0..4 {
        office.model.push(Turn::call("read", json!({ "path": "SOUL.md" })));
    }
    // A call in its final message is not executed.
    office.model.push(Turn::text("Stuck.").and_call("read", json!({ "path": "SOUL.md" })));
    let run = office.say(&ada, "Go round").await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "loop".into() }));
    assert_eq!((ended.calls, ended.summary.as_str()), (5, "Stuck."));
    let results = office.results(run);
    let warned = |text: &str| text.contains("made this same call before");
    assert_eq!(
        results.iter().map(|r| (r.1, warned(&r.2))).collect::<Vec<_>>(),
        [(true, false), (true, true), (false, false), (false, false)]
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_with_too_many_calls_is_cut_at_the_limit() {
    let office = Office::limited(Limits { steps: 2, ..Limits::default() }).await;
    let ada = office.agent("Ada").await;
    let calls = (0..5).fold(Turn::text("Now."), |turn, n| {
        turn.and_call("task_create", json!({ "title": format!("Task {n}") }))
    });
    office.model.push(calls).push(Turn::text("Two were made."));
    let run = office.say(&ada, "Make five tasks").await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "tools".into() }));
    assert_eq!(office.all::<features::tasks::model::Task>().len(), 2);
    assert_eq!(office.results(run).len(), 5, "each call has an answer");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_works_for_too_long_is_ended_and_waiting_does_not_count() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::call("task_list", json!({})).behind(&gate));
    office.model.push(Turn::text("It took too long."));
    let run = office.say(&ada, "Take your time").await;
    gate.reached().await;
    office.hq.advance(Duration::from_secs(2 * 3600 + 60)).await;
    gate.open();
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "time".into() }));
    assert_eq!(ended.worked_ms, (2 * 3600 + 60) * 1000);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_answer_is_asked_again_once() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("")).push(Turn::text("Here I am."));
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(office.ended(run).await.summary, "Here I am.");
    office.model.push(Turn::text("")).push(Turn::text(" \n"));
    let run = office.say(&ada, "Hello?").await;
    let outcome = office.ended(run).await.outcome;
    assert!(
        matches!(&outcome, Some(Outcome::Failed { code, .. }) if code == "empty_answer"),
        "{outcome:?}"
    );
    assert_eq!(office.usage(run).len(), 2, "both were paid for");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_written_as_text_is_pointed_out_once() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let shaped = "<tool_call>{\"name\": \"task_list\", \"arguments\": {}}</tool_call>";
    office.model.push(Turn::text(shaped)).push(Turn::call("task_list", json!({})));
    office.model.push(Turn::text("No tasks."));
    let run = office.say(&ada, "What is there to do?").await;
    assert_eq!(office.ended(run).await.summary, "No tasks.");
    assert!(office.model.requests()[1].text().contains("You wrote a tool call as text"));
    // After one hint, the model's text is accepted.
    office.model.push(Turn::text(shaped)).push(Turn::text(shaped));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_was_found_stays_for_the_conversation_behind_the_core() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("tool_search", json!({ "query": "agent_list" })));
    office.model.push(Turn::call("agent_list", json!({}))).push(Turn::text("Only me."));
    let run = office.say(&ada, "Who is there?").await;
    office.ended(run).await;
    let requests = office.model.requests();
    let (before, after) = (requests[0].tools(), requests[1].tools());
    assert_eq!(after[..before.len()], before[..], "the prefix stays the same");
    assert!(after.contains(&"agent_list".to_owned()) && !before.contains(&"agent_list".to_owned()));
    let results = office.results(run);
    assert!(
        !results[0].2.contains("exec:"),
        "what it may not use is not offered: {}",
        results[0].2
    );
    office.model.push(Turn::text("Still."));
    let run = office.say(&ada, "And now?").await;
    office.ended(run).await;
    assert_eq!(office.model.last().tools(), after);
    office.hq.finish().await;
}
