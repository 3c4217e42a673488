//! Pages of runs, chat, and the practice run.

use serde_json::json;

use features::agents::rules as agents;
use kernel::{Outcome, RunState};

use support::hq::TestHq;
use support::model::{Gate, ModelServer, Turn};
use support::work;

const HOME: &str = "/w/marlow-cargo/";

fn at(path: &str) -> String {
    format!("{HOME}{path}")
}

#[tokio::test]
async fn a_newcomer_tries_practice_and_sees_each_step() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    mira.form(&at("onboarding/agent/skip"), &[]).await;
    let empty = mira.get(HOME).await;
    assert_eq!(empty.text_of("h1"), "Welcome, Mira");
    for way in ["Connect a provider", "Try practice mode", "Create an agent"] {
        assert!(empty.text.contains(way), "{way}");
    }
    let begun = mira.form(&at("try"), &[]).await;
    assert_eq!(begun.location(), Some("/w/marlow-cargo/tasks/MC-1"), "{}", begun.text);
    hq.settle().await;

    let list = mira.get(&at("runs")).await;
    assert_eq!(list.texts("#runs .row .id"), ["R-1"]);
    let page = mira.get(&at("runs/R-1")).await;
    assert!(page.text_of("#run-head").contains("Practice (no AI)"));
    assert!(page.text_of(".run-facts").contains("Done"));
    let steps = page.attrs(".trace > li", "id");
    assert!(steps.len() >= 8, "{steps:?}");
    assert!(steps.iter().all(|id| id.starts_with("s-")), "{steps:?}");
    let told = page.texts(".trace .act").join("\n");
    for words in
        ["Started with practice", "Read task MC-1", "Commented on MC-1", "Committed 1 file"]
    {
        assert!(told.contains(words), "{words} in\n{told}");
    }
    assert!(!page.text.contains(" style="));
    let parts = page.texts(".prompt-parts tbody tr").join("\n");
    for part in ["Rules", "SOUL.md", "Today", "Tools"] {
        assert!(parts.contains(part), "{part} in\n{parts}");
    }
    let raw = page.attr(".trace > li:last-child .raw", "href");
    let (address, place) = raw.split_once('#').expect("a place on the page");
    let events = mira.get(address).await;
    assert_eq!(events.attrs(".raw-events > li", "id"), [place], "it begins there");

    let region = mira.clone().htmx("run-steps").get(&at("runs/R-1")).await;
    assert_eq!(region.attrs(".trace > li", "id"), steps);
    assert!(!region.text.contains("<html"), "a region alone");

    let home = mira.get(HOME).await;
    assert!(home.text_of("#needs").contains("Review"), "{}", home.text_of("#needs"));
    assert!(home.text_of("#fleet").contains("Scout"));
    assert!(home.text_of("#brief").contains("1 run today, 1 done."));
    let alone = mira.clone().htmx("needs").get(HOME).await;
    assert!(alone.text.starts_with("<section") && alone.text.contains("id=\"needs\""));
    hq.finish().await;
}

#[tokio::test]
async fn a_long_text_is_handed_out_as_a_plain_file() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    mira.form(&at("try"), &[]).await;
    hq.settle().await;
    let run = work::run(&hq, "R-1");
    let raw = mira.get(&at(&format!("runs/R-1/steps/{}/raw", run.first_event + 1))).await;
    assert_eq!(raw.status, 200);
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(raw.header("x-content-type-options"), Some("nosniff"));
    assert!(raw.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(raw.text.contains("MC-1"), "the run card: {}", raw.text);
    assert_eq!(mira.get(&at("runs/R-1/steps/9999/raw")).await.status, 404);
    assert_eq!(mira.get(&at("runs/R-77")).await.status, 404);
}

#[tokio::test]
async fn steps_of_the_api_go_on_after_a_number() {
    let hq = TestHq::start().await;
    hq.owner().form(&at("try"), &[]).await;
    hq.settle().await;
    let program = hq.token(&["read"]).await;
    let run = program.get("/api/v1/runs/R-1").await.json();
    assert_eq!(run["outcome"]["word"], "done");
    let first = program.get("/api/v1/runs/R-1/steps?limit=3").await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    assert_eq!(first["items"][0]["kind"], "run_started");
    let after = first["next"].as_str().unwrap();
    let rest = program.get(&format!("/api/v1/runs/R-1/steps?limit=100&after={after}")).await.json();
    let items = rest["items"].as_array().unwrap();
    assert_eq!(items.last().unwrap()["kind"], "run_ended");
    assert_eq!(items[0]["n"].as_u64().unwrap(), after.parse::<u64>().unwrap() + 1);
    let list = program.get("/api/v1/runs?state=ended&agent=scout").await.json();
    assert_eq!(list["items"][0]["name"], "R-1");
    let task = run["task"].as_str().expect("a task");
    for (filter, count) in [("", 1), ("&state=ended", 1), ("&agent=scout", 1), ("&state=queued", 0)]
    {
        let list = program.get(&format!("/api/v1/runs?task={task}{filter}")).await.json();
        assert_eq!(list["items"].as_array().expect("runs").len(), count, "{filter}: {list}");
    }
    let none = program.get(&format!("/api/v1/runs?task={}", run["id"].as_str().unwrap())).await;
    assert_eq!(none.json()["errors"][0]["field"], "task", "{}", none.text);
    let named = program.get("/api/v1/runs?task=MC-1").await.json();
    assert_eq!(named["items"][0]["name"], "R-1", "{named}");
    assert_eq!(program.post("/api/v1/runs/R-1/stop", &json!({})).await.status, 403);
}

#[tokio::test]
async fn a_chat_shows_the_answer_and_can_begin_anew() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    let (mira, chat) = (hq.owner(), at("agents/ada/chat"));
    assert!(mira.get(&chat).await.text_of("#talk").contains("Chat with Ada"));
    model.push(Turn::call("task_list", json!({}))).push(Turn::text("Nothing is **open**."));
    let sent = mira.form(&chat, &[("body", "What is open?")]).await;
    assert_eq!(sent.location(), Some(chat.as_str()));
    hq.settle().await;
    let page = mira.get(&chat).await;
    assert!(page.text_of(".mine .md").contains("What is open?"));
    assert_eq!(page.texts(".transcript > .msg > .md"), ["Nothing is open."]);
    assert!(page.text_of(".msg .fold summary").contains("Used 1 tool"));

    let empty = mira.form(&chat, &[("body", "  ")]).await;
    assert_eq!(empty.status, 422);
    mira.form(&format!("{chat}/new"), &[]).await;
    let anew = mira.get(&chat).await;
    assert!(anew.text_of("#talk").contains("Chat with Ada"));
    let former = anew.attr(".sessions a[href*='session=']", "href");
    assert!(mira.get(&former).await.text_of("#talk").contains("What is open?"));
    hq.finish().await;
}

#[tokio::test]
async fn a_paused_agent_keeps_what_is_said_and_its_author_may_take_it_back() {
    let hq = TestHq::start().await;
    let agent = work::agent(&hq, "Ada").await;
    let (ws, who, id) = (hq.ws(), work::owner(&hq), agent.id);
    ws.write(&who, move |tx| agents::pause(tx, id)).await.unwrap();
    let (mira, chat) = (hq.owner(), at("agents/ada/chat"));
    mira.form(&chat, &[("body", "Read this later")]).await;
    let page = mira.get(&chat).await;
    assert!(page.text_of("#chat-note").contains("Ada is paused"));
    assert_eq!(page.attr("#chat-note form", "action"), at("agents/ada/resume"));
    assert!(page.text_of(".mine[data-queued] .meta").contains("Queued until the agent resumes"));
    let run = mira.get(&at("runs/R-1")).await;
    assert!(run.text_of("#run-head .banner").contains("Ada is paused"));

    let cancel = page.attr(".mine[data-queued] form", "action");
    mira.form(&cancel, &[]).await;
    assert!(mira.get(&chat).await.texts(".mine").is_empty());
    let run = work::run(&hq, "R-1");
    assert!(matches!(run.outcome, Some(Outcome::Stopped { .. })), "{:?}", run.outcome);
    assert_eq!(mira.form(&cancel, &[]).await.status, 409, "it is gone already");
    hq.finish().await;
}

#[tokio::test]
async fn a_run_is_steered_and_stopped_from_its_page() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    let (mira, chat) = (hq.owner(), at("agents/ada/chat"));
    let gate = Gate::new();
    model.push(Turn::text("Long words").pausing(2, &gate));
    let mut pieces = hq.ws().live.subscribe();
    mira.form(&chat, &[("body", "Tell me everything")]).await;
    assert_eq!(pieces.recv().await.unwrap().text, "Long ");

    let page = mira.get(&at("runs/R-1")).await;
    assert!(page.text_of(".run-facts").contains("Running"));
    assert!(!page.texts(".writing").is_empty(), "what is written now is shown");
    let talk = mira.get(&chat).await;
    assert_eq!(
        talk.texts("#talk .writing .md p"),
        ["Long"],
        "what is written is drawn as Markdown"
    );
    // The space after the word is not drawn: the stream continues with it, so that the next word is separated.
    assert_eq!(talk.attr("#talk .writing", "data-at"), "4");
    mira.form(&at("runs/R-1/say"), &[("body", "Only the prices")]).await;
    let queued = mira.get(&chat).await;
    assert!(queued.text_of(".mine[data-queued] .meta").contains("Read at the next step"));
    let cancel = queued.attr(".mine[data-queued] form", "action");
    mira.form(&cancel, &[]).await;

    let region = mira.clone().htmx("run-say");
    let words = region.get(&at("runs/R-1")).await;
    assert!(words.text.contains("Interrupt") && words.text_of("button").contains("Send"));
    mira.form(&at("runs/R-1/stop"), &[]).await;
    hq.settle().await;
    // The open page learns that the run ended: a message typed now continues it.
    let words = region.get(&at("runs/R-1")).await;
    assert!(!words.text.contains("Interrupt"), "{}", words.text);
    assert!(words.text_of("button").contains("Continue"), "{}", words.text);
    assert_eq!(words.attr("footer", "data-to"), at("runs/R-1/continue"));
    let run = work::run(&hq, "R-1");
    assert_eq!(run.state, RunState::Ended);
    assert!(matches!(run.outcome, Some(Outcome::Stopped { .. })), "{:?}", run.outcome);
    let page = mira.get(&at("runs/R-1")).await;
    assert!(page.texts(".trace .act").join("\n").contains("Stopped by you"));
    let talk = mira.get(&chat).await;
    assert!(talk.text_of("#talk .banner").contains("You stopped this."));
    assert_eq!(talk.texts("#talk .md p").last().map(String::as_str), Some("Long"), "it stays");
    assert!(page.texts(".trace .md p").contains(&"Long".to_owned()), "{}", page.text);

    // The model sees where it ended, and continues from there.
    model.push(Turn::text("words indeed."));
    mira.form(&chat, &[("body", "Go on")]).await;
    hq.settle().await;
    let asked = model.last().body["messages"].as_array().expect("messages").clone();
    let told: Vec<_> =
        asked[1..].iter().map(|one| (&one["role"], one["content"].as_str())).collect();
    assert_eq!(
        told,
        [
            (&json!("user"), Some("Tell me everything")),
            (&json!("assistant"), Some("Long ")),
            (&json!("user"), Some("Go on")),
        ]
    );
    assert_eq!(mira.form(&at("runs/R-1/stop"), &[]).await.status, 409);
    gate.open();
    hq.finish().await;
}
