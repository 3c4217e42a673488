//! Slash commands in conversations, files with messages, and actions that outdated pages may not perform.

use features::agents::model::Agent;
use features::runs::model::{EventKind, Input, Run, Session};
use features::tasks::model::Task;
use features::usage::rules::budgets::{Limits, set_limits};
use kernel::{AgentStatus, Assignee, Can, Fast, Role, Thinking};
use reqwest::StatusCode;
use serde_json::{Value, json};
use slash::{Caller, CommandError, Parsed, Place, Surface, Talk, parse};
use store::{StoreError, WriteTx};
use web::session::Access;

use support::hq::{Reply, TestHq};
use support::model::{Gate, Tokens, Turn};
use support::work::{all, owner, scene};

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const COMMANDS: &str = "/api/v1/agents/ada/commands";
const SAY: &str = "/api/v1/agents/ada/messages";
/// A PNG signature, which is all that detection needs.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n one pixel";

/// Submits a multipart form with fields and files.
async fn form(hq: &TestHq, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    for (name, content) in files {
        let head = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    let kind = "multipart/form-data; boundary=edge";
    let mira = hq.owner().htmx("talk");
    let reply = mira.bytes("POST", CHAT, kind, body).await;
    hq.settle().await;
    reply
}

async fn command(hq: &TestHq, text: &str) -> Value {
    let reply = hq.api().await.post(COMMANDS, &json!({ "text": text })).await;
    assert_eq!(reply.status, StatusCode::OK, "{text}: {}", reply.text);
    hq.settle().await;
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_without_a_model_on_the_page_and_over_the_api() {
    let (hq, model) = scene().await;
    let help = form(&hq, &[("body", "/help")], &[]).await;
    assert_eq!((help.status, help.header("hx-retarget")), (StatusCode::OK, Some("#chat-answer")));
    assert!(help.text_of("#chat-answer table").contains("/compact"), "{}", help.text);
    assert!(all::<Session>(&hq).is_empty(), "nothing was said");

    let wrong = form(&hq, &[("body", "/stauts")], &[]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text_of("#chat-answer").contains("/status"), "{}", wrong.text);
    let plain = hq.owner().form(CHAT, &[("body", "/stauts of this")]).await;
    assert_eq!(plain.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(plain.text_of("#say-body"), "/stauts of this", "what was typed is kept");

    let listed = hq.api().await.get("/api/v1/commands").await.json();
    assert!(listed["items"].as_array().is_some_and(|all| 10 < all.len()), "{listed}");
    for text in ["/status", "/usage", "/queue", "/model", "/stop", "/think", "/rename Vans"] {
        let told = command(&hq, text).await;
        assert!(told["answer"].is_string() && told["said"].is_null(), "{text}: {told}");
    }
    let refused = hq.api().await.post(COMMANDS, &json!({ "text": "/queue cap:900" })).await;
    assert_eq!(refused.json()["code"], "queue_cap", "{}", refused.text);
    assert!(all::<Run>(&hq).is_empty());

    let said = command(&hq, "//status is a command").await;
    assert!(said["said"]["run"].is_string(), "{said}");
    assert!(model.last().text().contains("//status is a command"));
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let status = viewer.post(COMMANDS, &json!({ "text": "/stop" })).await.status;
    assert_eq!(status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fills_the_context_is_told_in_the_chat_on_a_page_and_to_programs() {
    let (hq, model) = scene().await;
    let nothing = command(&hq, "/context").await;
    assert_eq!(nothing["answer"], "No requests yet.");
    let tokens = Tokens { input: 9_000, cache_read: 1_000, cache_write: 0, output: 20 };
    model.push(Turn::call("task_list", json!({})));
    model.push(Turn::text("I see.").usage(tokens));
    command(&hq, "What is there to do?").await;

    let kinds = command(&hq, "/context").await["answer"].as_str().expect("words").to_owned();
    for words in ["10.0K", "R-1", "| Tools |", "| Messages |", "| Tool results |"] {
        assert!(kinds.contains(words), "{words} in {kinds}");
    }
    let parts = command(&hq, "/context detail").await["answer"].as_str().expect("words").to_owned();
    assert!(parts.contains("| SOUL.md |") && parts.contains("| yes |"), "{parts}");

    let told = hq.api().await.get("/api/v1/runs/R-1/context").await.json();
    assert_eq!((&told["tokens"], &told["counted"]), (&json!(10_000), &json!(true)), "{told}");
    let of = |kind: &str| -> u64 {
        let parts = told["parts"].as_array().expect("parts").iter();
        let own = parts.filter(|part| part["kind"] == kind);
        own.map(|part| part["tokens"].as_u64().expect("a number")).sum()
    };
    // The last message is in no request yet.
    assert_eq!(of("answers"), 0, "{told}");
    assert!(0 < of("calls") && of("messages") < of("tools"), "{told}");
    let parts = told["parts"].as_array().expect("parts").iter();
    let all: u64 = parts.map(|part| part["tokens"].as_u64().expect("a number")).sum();
    assert!((9_900..=10_000).contains(&all), "{all} in {told}");

    let mira = hq.owner();
    let run = mira.get("/w/marlow-cargo/runs/R-1").await;
    let links = run.attrs("#run-rail a", "href");
    assert!(links.contains(&"/w/marlow-cargo/runs/R-1/context".to_owned()), "{links:?}");
    let page = mira.get("/w/marlow-cargo/runs/R-1/context").await;
    let region = page.text_of("#run-context");
    assert!(region.contains("10.0K") && region.contains("The agent’s files"), "{region}");
    let live = mira.clone().htmx("run-context").get("/w/marlow-cargo/runs/R-1/context").await;
    assert!(live.text_of("#run-context").contains("By part"), "{}", live.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_and_a_level_hold_for_a_message_or_for_the_conversation() {
    let (hq, _model) = scene().await;
    let thinks = |n: usize| {
        let mut runs = all::<Run>(&hq);
        runs.sort_by_key(|run| run.number);
        (runs[n].thinking, runs[n].model.clone())
    };
    command(&hq, "/think high How far is it?").await;
    command(&hq, "And back?").await;
    assert_eq!((thinks(0).0, thinks(1).0), (Thinking::High, Thinking::None));
    assert_eq!(all::<Input>(&hq)[0].text, "How far is it?");

    let told = command(&hq, "/think low").await;
    assert!(
        told["answer"].as_str().unwrap().contains("low, chosen by this conversation"),
        "{told}"
    );
    command(&hq, "/model other-model").await;
    command(&hq, "Once more?").await;
    assert_eq!(thinks(2), (Thinking::Low, "other-model".to_owned()));
    command(&hq, "/model mock@mock Once?").await;
    assert_eq!(thinks(3).1, "mock");

    // A permanent choice applies to the next conversation, others do not.
    command(&hq, "/reset").await;
    command(&hq, "A new day").await;
    assert_eq!(thinks(4), (Thinking::None, "mock".to_owned()));
    command(&hq, "/think medium -s").await;
    let anew = command(&hq, "/new").await;
    assert_eq!(anew["anew"], true, "{anew}");
    command(&hq, "Another day").await;
    assert_eq!(thinks(5).0, Thinking::Medium);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_steered_and_stopped_by_commands_and_what_waits_stays() {
    let (hq, model) = scene().await;
    let (api, gate) = (hq.api().await, Gate::new());
    model.push(Turn::text("Slowly.").behind(&gate));
    let first = api.post(COMMANDS, &json!({ "text": "Tell me everything" })).await.json();
    gate.reached().await;
    api.post(COMMANDS, &json!({ "text": "/queue followup" })).await;
    let waits = api.post(SAY, &json!({ "text": "Later" })).await.json();
    assert_eq!(waits["outcome"], "queued_followup", "{waits}");
    let steered = api.post(COMMANDS, &json!({ "text": "/steer to the left" })).await.json();
    assert_eq!(steered["said"]["outcome"], "steered", "{steered}");
    let status = api.post(COMMANDS, &json!({ "text": "/status" })).await.json();
    let status = status["answer"].as_str().expect("words");
    assert!(status.contains("R-1, running") && status.contains("2 messages wait"), "{status}");
    let stopped = api.post(COMMANDS, &json!({ "text": "/stop" })).await.json();
    assert!(stopped["answer"].as_str().unwrap().contains("R-1"), "{stopped}");
    gate.open();
    hq.settle().await;
    let run = api.get(&format!("/api/v1/runs/{}", first["said"]["run"].as_str().unwrap())).await;
    assert_eq!(run.json()["outcome"]["word"], "stopped", "{}", run.text);
    let read = model.last().text();
    assert!(read.contains("Later") || read.contains("to the left"), "{read}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_with_a_message_are_looked_at_and_survive_a_restart() {
    let (mut hq, model) = scene().await;
    let files: [(&str, &[u8]); 3] =
        [("plan.png", PNG), ("prices.csv", b"van,900"), ("box.zip", b"PK\x03\x04\x00")];
    let sent = form(&hq, &[("body", "Look at these"), ("mode", "")], &files).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    let seen = model.last().text();
    assert!(seen.contains("van,900") && seen.contains("box.zip"), "{seen}");
    let input = all::<Input>(&hq).pop().expect("a message");
    let types: Vec<&str> = input.attached.iter().map(|file| file.media_type.as_str()).collect();
    assert_eq!(types, ["image/png", "text/csv", "application/octet-stream"]);

    let page = hq.owner().get(CHAT).await;
    let picture = page.attr("#talk .attached img", "src");
    assert_eq!(page.texts("#talk .attached .attach b"), ["prices.csv", "box.zip"]);
    let shown = hq.owner().get(&picture).await;
    assert_eq!(shown.header("content-type"), Some("image/png"));
    let stranger = hq.another("Jonas", Some(Role::Member)).await;
    assert_eq!(stranger.get(&picture).await.status, StatusCode::NOT_FOUND);
    // Readers can save it as knowledge.
    let keep = page.attr("#talk .attached form", "action");
    assert_eq!(stranger.form(&keep, &[]).await.status, StatusCode::NOT_FOUND);
    let kept = hq.owner().form(&keep, &[]).await;
    let item = hq.owner().get(kept.location().expect("its page")).await;
    assert_eq!(item.text_of(".record-title"), "plan.png", "{}", item.text);
    hq.restart().await;
    assert_eq!(hq.owner().download(&picture).await, PNG);

    // Files alone are a message; a command takes none; too many are rejected.
    let alone = form(&hq, &[("body", "")], &[("only.txt", b"words")]).await;
    assert_eq!(alone.status, StatusCode::OK, "{}", alone.text);
    let refused = form(&hq, &[("body", "/stop")], &[("only.txt", b"words")]).await;
    assert!(refused.text_of("#chat-answer").contains("include files"), "{}", refused.text);
    let nine: Vec<(&str, &[u8])> = vec![("a.txt", b"a"); 9];
    let many = form(&hq, &[("body", "Nine")], &nine).await;
    assert_eq!(many.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", many.text);
    assert!(form(&hq, &[("body", " ")], &[]).await.status.is_client_error());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_sends_files_and_what_it_has_not_seen_keeps_it_from_speaking() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    // "hello there" in Base64.
    let file = json!({ "name": "../a note.txt", "data": "aGVsbG8gdGhlcmU=" });
    let body = json!({ "text": "Read", "attachments": [file], "expected_leaf": "none" });
    let said = api.post(SAY, &body).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    assert!(model.last().text().contains("hello there"));
    let message = said.json()["message"].as_str().expect("a message").to_owned();
    let shown = api.get(&format!("/api/v1/messages/{message}")).await.json();
    assert_eq!(shown["attachments"][0]["media_type"], "text/plain", "{shown}");
    assert!(!shown["attachments"][0]["name"].as_str().unwrap().contains('/'), "{shown}");
    let content = api.get(&format!("/api/v1/messages/{message}/files/0")).await;
    assert_eq!(content.text, "hello there");
    assert_eq!(api.get(&format!("/api/v1/messages/{message}/files/1")).await.status, 404);
    let broken = json!({ "text": "x", "attachments": [{ "name": "a", "data": "%" }] });
    let broken = api.post(SAY, &broken).await;
    assert_eq!(broken.json()["errors"][0]["field"], "attachments[0].data", "{}", broken.text);

    // Sent again from an outdated page.
    let moved = api.post(SAY, &json!({ "text": "Again", "expected_leaf": "none" })).await;
    assert_eq!(moved.json()["code"], "conversation_moved", "{}", moved.text);
    let page = hq.owner().get(CHAT).await;
    let leaf = page.attr("#talk-leaf", "value");
    let old = form(&hq, &[("body", "From an old tab"), ("leaf", "none")], &[]).await;
    assert_eq!(
        (old.status, old.header("hx-retarget")),
        (StatusCode::CONFLICT, Some("#chat-answer"))
    );
    let fresh = form(&hq, &[("body", "From a fresh tab"), ("leaf", &leaf)], &[]).await;
    assert_eq!(fresh.status, StatusCode::OK, "{}", fresh.text);
    let run = all::<Run>(&hq).pop().expect("a run").name();
    let path = format!("/api/v1/runs/{run}/messages");
    let old = api.post(&path, &json!({ "text": "And?", "expected_leaf": leaf })).await;
    assert_eq!(old.json()["code"], "conversation_moved", "{}", old.text);
    let texts: Vec<String> = all::<Input>(&hq).into_iter().map(|input| input.text).collect();
    assert_eq!(texts, ["Read", "From a fresh tab"]);
    let thinking = json!({ "text": "Think", "thinking": "high", "model": "deep" });
    let run = api.post(SAY, &thinking).await.json()["run"].as_str().unwrap().to_owned();
    hq.settle().await;
    let run = api.get(&format!("/api/v1/runs/{run}")).await.json();
    assert_eq!((&run["thinking"], &run["model"]), (&json!("high"), &json!("deep")), "{run}");
    let runs: Vec<Run> = all(&hq);
    let event = |kind: &EventKind| matches!(kind, EventKind::Attached { .. });
    let events: Result<Vec<_>, StoreError> =
        hq.ws().read(|snap| features::runs::queries::events_of_run(snap, &runs[0], 100));
    assert_eq!(events.unwrap().iter().filter(|one| event(&one.kind)).count(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_on_what_it_thinks_and_what_it_asks_are_commands_too() {
    let (hq, model) = scene().await;
    let told = async |text: &str| command(&hq, text).await["answer"].as_str().unwrap().to_owned();
    assert_eq!(told("/jobs").await, "Nothing else is running.");
    assert!(told("/approve 1 once").await.contains("Nothing needs approval"));
    assert_eq!(told("/answer red").await, "There is no open question here.");
    let wait = json!({ "minutes": 90, "reason": "the shop opens" });
    model.push(Turn::call("wait_until", wait));
    command(&hq, "Call the shop").await;
    let jobs = told("/jobs").await;
    assert!(jobs.contains("Timer R-1: `Call the shop`, waiting"), "{jobs}");
    command(&hq, "/stop").await;

    let ask = json!({ "question": "Which colour?" });
    model.push(Turn::thinking("Hmm, paint.", "sig").and_call("ask_person", ask));
    command(&hq, "Order paint").await;
    assert_eq!(told("/answer R-2 the red one").await, "R-2 continues with your answer.");
    assert!(model.last().text().contains("answered: the red one"), "{}", model.last().text());
    let page = hq.owner().get(CHAT).await;
    assert!(page.attrs(".fold[open]", "class").is_empty());
    assert!(told("/reasoning on").await.contains("expanded"));
    let page = hq.owner().get(CHAT).await;
    assert!(page.texts(".fold").iter().any(|fold| fold.contains("Thought")), "{}", page.text);
    assert_eq!(page.attrs(".fold[open]", "class"), ["fold"]);
    assert!(told("/reasoning off").await.contains("hidden"));
    let page = hq.owner().get(CHAT).await;
    assert!(!page.texts(".fold").iter().any(|fold| fold.contains("Thought")), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_shows_as_much_of_its_tools_as_was_chosen_for_it() {
    let (hq, model) = scene().await;
    let told = async |text: &str| command(&hq, text).await["answer"].as_str().unwrap().to_owned();
    model.push(Turn::call("task_list", json!({}))).push(Turn::text("Nothing is open."));
    command(&hq, "What is open?").await;
    // Number of steps that are collapsed, expanded, and shown with input and output.
    let shown = async || {
        let page = hq.owner().get(CHAT).await;
        assert_eq!(page.texts(".transcript > .msg > .md"), ["Nothing is open."]);
        [".fold", ".fold[open]", ".fold[open] .quiet[open]"].map(|part| page.texts(part).len())
    };
    for (line, words, is) in [
        ("/verbose", "are collapsed", [1, 0, 0]),
        ("/verbose on", "are expanded", [1, 1, 0]),
        ("/verbose full", "with input and output", [1, 1, 1]),
        ("/verbose", "with input and output", [1, 1, 1]),
        ("/verbose off", "are hidden", [0, 0, 0]),
        ("/verbose default", "are collapsed", [1, 0, 0]),
    ] {
        let answer = told(line).await;
        assert!(answer.contains(words), "{line}: {answer}");
        assert_eq!(shown().await, is, "{line}");
    }
    told("/verbose full").await;
    told("/new").await;
    assert!(told("/verbose").await.contains("are collapsed"), "it is of one conversation");
    let wrong = hq.api().await.post(COMMANDS, &json!({ "text": "/verbose loud" })).await;
    assert_eq!(wrong.json()["code"], "bad_command", "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_or_a_message_may_ask_to_be_answered_sooner() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let told = |value: Value| value["answer"].as_str().expect("an answer").to_owned();
    assert!(told(command(&hq, "/fast").await).contains("not set"));
    let on = told(command(&hq, "/fast auto").await);
    assert!(on.contains("in the first minute of each run"), "{on}");
    assert!(on.contains("`mock` doesn’t support this"), "{on}");
    // A command before a message applies to that message only.
    let said = command(&hq, "/fast on How far is it?").await;
    assert!(said["said"]["run"].is_string(), "{said}");
    assert_eq!(api.post(SAY, &json!({ "text": "And back?", "fast": "off" })).await.status, 201);
    hq.settle().await;
    let sessions = api.get("/api/v1/agents/ada/sessions").await.json();
    assert_eq!(sessions["items"][0]["fast"], "auto", "{sessions}");
    let kept: Vec<_> =
        all::<Input>(&hq).into_iter().map(|input| (input.text, input.fast)).collect();
    let fast = |text: &str| kept.iter().find(|(said, _)| said == text).expect("said").1;
    assert_eq!(fast("How far is it?"), Some(Fast::On));
    assert_eq!(fast("And back?"), Some(Fast::Off));
    // Servers without this feature get no unsupported parameter.
    assert!(model.requests().iter().all(|seen| seen.body.get("service_tier").is_none()));
    assert!(told(command(&hq, "/fast default").await).contains("not set"));
    let wrong = api.post(COMMANDS, &json!({ "text": "/fast soon" })).await;
    assert_eq!(wrong.json()["code"], "bad_command", "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_beside_a_conversation_is_answered_in_words_and_leaves_nothing_in_it() {
    let (hq, model) = scene().await;
    let (api, gate) = (hq.api().await, Gate::new());
    let early = api.post(COMMANDS, &json!({ "text": "/btw why?" })).await;
    assert_eq!(early.json()["code"], "session_empty", "{}", early.text);
    command(&hq, "The van is red").await;
    // Also while a run is working.
    model.push(Turn::call("task_list", json!({})).behind(&gate));
    let slow = api.post(COMMANDS, &json!({ "text": "Look at all tasks" })).await.json();
    gate.reached().await;
    let asked = model.requests().len();
    model.push(Turn::text("Red.").and_call("task_create", json!({ "title": "No" })));
    let told = api.post(COMMANDS, &json!({ "text": "/btw Which colour was it?" })).await.json();
    let told = told["answer"].as_str().expect("an answer").to_owned();
    assert!(told.contains("R-3 is answering on the side"), "{told}");
    model.asked(asked + 1).await;
    let seen = model.last();
    assert!(seen.text().contains("The van is red") && seen.text().contains("Which colour was it?"));
    assert_eq!(seen.body["tool_choice"], "none");
    gate.open();
    hq.settle().await;
    let run = api.get("/api/v1/runs/R-3").await.json();
    assert_eq!((&run["state"], &run["summary"]), (&json!("ended"), &json!("Red.")), "{run}");
    assert_eq!(api.get("/api/v1/tasks").await.json()["items"], json!([]), "no tool is carried out");
    assert_eq!(slow["said"]["outcome"], "started");
    let page = hq.owner().get(CHAT).await;
    assert!(!page.text_of("#talk").contains("Which colour"), "{}", page.text_of("#talk"));
    let place = told.split_once("](").unwrap().1.split_once(')').unwrap().0;
    let aside = hq.owner().get(place).await;
    assert!(aside.text_of("#talk").contains("Red."), "{}", aside.text);
    let listed = api.get("/api/v1/agents/ada/sessions").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_budgets_and_the_agent_itself_are_commands_too() {
    let (hq, _model) = scene().await;
    let told = async |text: &str| command(&hq, text).await["answer"].as_str().unwrap().to_owned();
    assert_eq!(told("/tasks").await, "You have no open tasks.");
    let form = told("/task Call the shop").await;
    assert!(form.contains("tasks/new?title=Call%20the%20shop&assignee=ada"), "{form}");
    let page = form.split(['(', ')']).nth(1).expect("an address");
    let page = hq.owner().get(page).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Call the shop"), "{}", page.text);
    let api = hq.api().await;
    let new = json!({ "title": "Call `the` shop", "assignee": "me" });
    let made = api.post("/api/v1/tasks", &new).await;
    assert!(made.status.is_success(), "{}", made.text);
    let mine = told("/tasks").await;
    assert!(mine.contains("-1](/w/marlow-cargo/tasks/"), "{mine}");
    assert!(mine.contains("`Call 'the' shop`, to do"), "{mine}");
    assert_eq!(told("/task").await, mine);
    let one = told("/task 1").await;
    assert!(one.contains("`Call 'the' shop`") && one.contains("priority: medium"), "{one}");
    assert!(told("/task 77").await.contains("there is no task"));

    assert!(told("/budget").await.contains("Ada this month: $0"));
    let limits = Limits { month_micros: Some(40_000_000), run_micros: 0 };
    let limited = hq.ws().write(&owner(&hq), move |tx| set_limits(tx, limits)).await;
    limited.expect("a limit");
    let budget = told("/budget").await;
    assert!(budget.contains("The workspace's budget this month: $0"), "{budget}");
    assert!(budget.contains("of $40 (0 %)"), "{budget}");
    assert!(told("/agent").await.contains("[Chat with Ada](/w/marlow-cargo/agents/ada/chat)"));
    assert!(told("/agent @ADA").await.contains("agents/ada/chat"));
    assert!(told("/agent eve").await.contains("No agent is called `eve`"));

    let status = || {
        let agents = all::<Agent>(&hq).into_iter();
        agents.filter(|agent| agent.slug == "ada").map(|agent| agent.status).next()
    };
    assert_eq!(told("/resume").await, "Ada wasn’t paused.");
    assert!(told("/pause").await.starts_with("Ada is paused"));
    assert_eq!(status(), Some(AgentStatus::Paused));
    assert_eq!(told("/resume").await, "Ada is working again.");
    assert_eq!(status(), Some(AgentStatus::Ready));
    // An agent paused on its page is resumed by the command, too.
    assert!(api.call("POST", "/api/v1/agents/ada/pause").await.status.is_success());
    assert_eq!(status(), Some(AgentStatus::Paused));
    let program = hq.token(&["read", "chat"]).await;
    let refused = program.post(COMMANDS, &json!({ "text": "/resume" })).await.json();
    assert!(refused["answer"].as_str().is_some_and(|text| text.contains("Nothing changed")));
    assert_eq!(status(), Some(AgentStatus::Paused));
    assert_eq!(told("/resume").await, "Ada is working again.");
    assert_eq!(status(), Some(AgentStatus::Ready));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_messenger_executes_commands_in_its_transaction_with_the_rights_of_the_sender() {
    let (hq, _model) = scene().await;
    let by = owner(&hq);
    let agent = all::<Agent>(&hq).into_iter().find(|agent| agent.slug == "ada").expect("Ada");
    let told = async |can: &[Can], text: &'static str| {
        let caller = Caller {
            account: by.0.account(),
            role: Role::Owner,
            access: Access::of(can),
            is_proved: false,
        };
        let (talk, surface, agent) = (Talk::Of(None), Surface::Messenger, agent.clone());
        let place = Place { ws: hq.ws(), caller, agent, talk, surface };
        // An error of the command leaves the transaction usable.
        let write = move |tx: &mut WriteTx<'_>| -> Result<_, StoreError> {
            let Parsed::Command { command, arguments } = parse(text) else { panic!("{text}") };
            Ok(place.execute(tx, command, arguments).map(|answer| answer.text))
        };
        hq.ws().write(&by, write).await.expect("a transaction")
    };
    let chat = [Can::Read, Can::Chat, Can::Write];
    let help = told(&[Can::Read], "/help").await.expect("a list");
    assert!(help.contains("- `/status` ") && !help.contains("/stop"), "{help}");
    assert!(matches!(told(&chat, "/pause").await, Err(CommandError::NotAllowed)));
    assert!(matches!(told(&[Can::Read], "/stop").await, Err(CommandError::NotAllowed)));
    let wrong = told(&chat, "/queue cap:900").await.expect_err("too many");
    assert!(!matches!(wrong, CommandError::NotAllowed), "{wrong}");
    assert!(all::<Session>(&hq).is_empty(), "the command left nothing");

    assert!(told(&chat, "/task Call the shop").await.expect("a task").contains("](http"));
    let task = all::<Task>(&hq).pop().expect("a task");
    assert_eq!(
        (task.title.as_str(), task.assignee),
        ("Call the shop", Some(Assignee::Agent(agent.id)))
    );
    let level = told(&chat, "/think high").await.expect("a level");
    assert!(level.contains("high, chosen by this conversation"), "{level}");
    assert!(told(&chat, "/status").await.expect("a status").contains("**Ada**"));
    assert!(told(&chat, "/stop").await.expect("words").contains("Nothing is running"));
    assert!(told(&[Can::Agents], "/pause").await.expect("words").contains("is paused"));
    let paused = all::<Agent>(&hq).into_iter().any(|agent| agent.status == AgentStatus::Paused);
    assert!(paused);
    hq.finish().await;
}
