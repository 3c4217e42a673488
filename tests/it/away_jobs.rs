//! Background programs of runs on another machine: output and input there and on the primary, end, loss with the
//! machine, and end when the agent leaves it. Also other services that the primary provides to such runs.

use std::time::Duration;

use features::history::queries::names::Names;
use features::jobs::model::{Job, JobOutcome};
use features::runs::model::{ModelSource, Run};
use kernel::Event;
use serde_json::{Value, json};

use support::hq::{Person, Reply};
use support::model::Turn;

use super::away::{Shop, done, until, was_done};
use super::partitions::line::{Mood, Way};
use super::routines::made;

/// Longest wait for an expected event: a pause between two links is at most a minute.
const PATIENCE: Duration = Duration::from_secs(100);

async fn shop() -> Shop {
    let shop = Shop::open().await;
    shop.office.settings(|settings| settings.exec_without_jail = true).await;
    shop.office.model.usually(Turn::text("Seen."));
    shop
}

/// Ada starts a background program and says so.
async fn begins(shop: &Shop, command: &str) {
    let office = &shop.office;
    let begin = json!({ "command": command, "background": true });
    office.model.follow(vec![Turn::call("exec", begin), Turn::text("It runs.")]);
    let run = office.say(&shop.ada, "Begin it").await;
    until("its run never ended", || !office.get::<Run>(run).is_live()).await;
    let calls = shop.calls(run);
    assert!(calls[0].2.starts_with("[running as program 1;"), "{calls:?}\n{}", shop.log());
}

fn job(shop: &Shop) -> Job {
    shop.office.all::<Job>().pop().expect("a job")
}

async fn ended(shop: &Shop) -> Job {
    until("the job never ended", || !job(shop).is_running()).await;
    job(shop)
}

/// Waits until all reports of ended programs are read and nothing works. If a person stopped the program, its agent is
/// told with the next message.
async fn at_rest(shop: &Shop, job: &Job) {
    let least = if job.outcome == Some(JobOutcome::Stopped) { 1 } else { 2 };
    let runs = || shop.office.all::<Run>();
    until("its end was not told", || least <= runs().len() && !runs().iter().any(Run::is_live))
        .await;
}

/// Stored output of a job on the primary.
fn kept(shop: &Shop, job: &Job) -> String {
    let output = job.output.as_ref().expect("it wrote something");
    let bytes = shop.office.ws().blobs.get(output.id, 1 << 20).expect("it is kept");
    String::from_utf8(bytes).expect("text")
}

/// Waits until the output in the API contains these words.
async fn wrote(shop: &Shop, words: &str) -> Value {
    let owner = shop.office.hq.owner();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let read = tokio::time::timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            let output = owner.get("/api/v1/jobs/1/output?from=0").await.json();
            if output["text"].as_str().is_some_and(|text| text.contains(words)) {
                return output;
            }
        }
    });
    read.await.unwrap_or_else(|_| panic!("{words} was never written\n{}", shop.log()))
}

const INPUT: &str = "/api/v1/jobs/1/input";

/// Whether the event records input to a program.
fn is_input(event: &Event) -> bool {
    matches!(event, Event::JobInputSent { .. })
}

/// Repeats a request until the program's machine accepts it.
async fn sent_again(keyed: &Person, text: &Value) -> Value {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let sent = tokio::time::timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            let reply = keyed.post(INPUT, text).await;
            if reply.status.is_success() {
                return reply.json();
            }
        }
    });
    sent.await.unwrap_or_else(|_| panic!("it was never taken: {text}"))
}

async fn silent(shop: &Shop) {
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_on_another_machine_is_followed_there_and_seen_written_to_and_ended_at_home() {
    let shop = shop().await;
    let (office, owner) = (&shop.office, shop.office.hq.owner());
    let command = "echo ready; while read line; do echo got $line; done; echo over";
    let begin = json!({ "command": command, "background": true });
    let write = json!({ "action": "write", "id": 1, "data": "one\n" });
    office.model.follow(vec![
        Turn::call("exec", begin),
        Turn::call("process", json!({ "action": "list" })),
        Turn::call("process", write),
        Turn::call("process", json!({ "action": "poll", "id": 1 })),
        Turn::text("It runs."),
    ]);
    let run = office.say(&shop.ada, "Talk to it").await;
    until("its run never ended", || !office.get::<Run>(run).is_live()).await;
    let calls = shop.calls(run);
    assert!(calls[0].2.starts_with("[running as program 1;"), "{calls:?}\n{}", shop.log());
    assert!(calls[1].2.starts_with("1: running, "), "{calls:?}");
    assert_eq!(calls[2].2, "written, 4 bytes");
    assert!(calls[3].2.starts_with("[running]\n"), "{calls:?}");

    // The primary shows it while it runs there.
    let shown = owner.get("/api/v1/jobs/1").await.json();
    assert_eq!(
        (&shown["state"], &shown["machine"]["name"]),
        (&json!("running"), &json!("GPU box"))
    );
    assert_eq!(shown["machine"]["silent"], false, "{shown}");
    let output = wrote(&shop, "got one").await;
    assert_eq!((&output["running"], &output["unknown"]), (&json!(true), &Value::Null), "{output}");
    let page = owner.get(&office.ws().url("jobs/1")).await.text;
    for words in ["Runs on", "GPU box", "got one", "jobs/1/input"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(owner.get(&office.ws().url("jobs")).await.text.contains("got one"));
    assert_eq!(
        owner.get("/api/v1/jobs/now").await.json()["items"][0]["machine"]["name"],
        "GPU box"
    );

    // People send input.
    let typed = owner.post("/api/v1/jobs/1/input", &json!({ "text": "two\n" })).await;
    assert!(typed.status.is_success(), "{}", typed.text);
    assert_eq!(typed.json()["written"], 4);
    wrote(&shop, "got two").await;
    owner.form(&office.ws().url("jobs/1/input"), &[("line", "three"), ("key", "k")]).await;
    wrote(&shop, "got three").await;

    // Its agent cannot be moved meanwhile.
    let to = json!({ "gateway": "local" });
    let refused = owner.json("PUT", "/api/v1/agents/ada/gateway", &to).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("program 1"), "{}", refused.text);

    let stopped = owner.post("/api/v1/jobs/1/stop", &json!({})).await;
    assert!(stopped.status.is_success(), "{}", stopped.text);
    let job = ended(&shop).await;
    assert_eq!(job.outcome, Some(JobOutcome::Stopped), "{job:?}");
    assert_eq!(kept(&shop, &job), "ready\ngot one\ngot two\ngot three\n");
    let refused = owner.post("/api/v1/jobs/1/input", &json!({ "text": "four\n" })).await;
    assert_eq!(refused.json()["code"], "job_ended", "{}", refused.text);
    at_rest(&shop, &job).await;
    let moved = owner.json("PUT", "/api/v1/agents/ada/gateway", &to).await;
    assert!(moved.status.is_success(), "{}", moved.text);

    // The empty gateway is removed; history still knows its name.
    let removed = owner.call("DELETE", "/api/v1/gateways/gpu-box").await;
    assert!(removed.status.is_success(), "{}", removed.text);
    let id = shop.gateway.to_string();
    let word = office.ws().read(|snap| Names::new(snap)?.of("gateway", &id));
    assert_eq!(word.expect("a word").text, "GPU box");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_program_on_a_silent_machine_it_is_said_and_a_stop_waits_for_that_machine() {
    let shop = shop().await;
    let (office, owner) = (&shop.office, shop.office.hq.owner());
    begins(&shop, "echo ready; while read line; do echo got $line; done").await;
    wrote(&shop, "ready").await;
    silent(&shop).await;

    let shown = owner.get("/api/v1/jobs/1").await.json();
    assert_eq!(shown["machine"]["silent"], true, "{shown}");
    assert!(shown["machine"]["silent_since"].is_string(), "{shown}");
    let output = owner.get("/api/v1/jobs/1/output?from=3").await.json();
    assert!(output["unknown"].as_str().is_some_and(|why| why.contains("GPU box is offline")));
    assert_eq!((&output["text"], &output["next"]), (&json!(""), &json!(3)), "{output}");
    let refused = owner.post("/api/v1/jobs/1/input", &json!({ "text": "one\n" })).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (503, &json!("gateway_offline"))
    );
    let page = owner.get(&office.ws().url("jobs/1")).await.text;
    assert!(page.contains("GPU box has been offline since "), "{page}");
    assert!(!page.contains("jobs/1/input"), "nothing is offered that cannot be done: {page}");
    let list = owner.get(&office.ws().url("jobs")).await.text;
    assert!(list.contains("GPU box has been offline since ") && list.contains("Stalled"), "{list}");

    // A stop request takes effect when the machine is back.
    let stopped = owner.post("/api/v1/jobs/1/stop", &json!({})).await;
    assert!(stopped.status.is_success(), "{}", stopped.text);
    assert_eq!(stopped.json()["state"], "running", "{}", stopped.text);
    shop.line.mend();
    let job = ended(&shop).await;
    assert_eq!(job.outcome, Some(JobOutcome::Stopped), "{job:?}");
    assert_eq!(kept(&shop, &job), "ready\n");
    at_rest(&shop, &job).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_which_no_answer_came_is_written_once_when_it_is_sent_again() {
    let shop = shop().await;
    begins(&shop, "echo ready; while read line; do echo $line >> got; done").await;
    wrote(&shop, "ready").await;
    let (owner, ws) = (shop.office.hq.owner(), shop.office.ws());
    let got = shop.machine.path().join("agents/ada/files/got");
    let has = |text: &str| std::fs::read_to_string(&got).is_ok_and(|now| now == text);
    let offline = |reply: &Reply| {
        let problem = reply.json();
        assert_eq!((reply.status.as_u16(), &problem["code"]), (503, &json!("gateway_offline")));
    };

    // It arrived, but the response was lost.
    let (one, keyed) = (json!({ "text": "one\n" }), owner.clone().with("idempotency-key", "first"));
    shop.line.set(Way::Up, Mood::Holds);
    let cut = async {
        until("it was never written", || has("one\n")).await;
        shop.line.cut();
    };
    let (lost, ()) = tokio::join!(keyed.post(INPUT, &one), cut);
    offline(&lost);
    shop.line.set(Way::Up, Mood::Flows);
    shop.line.mend();
    assert_eq!(sent_again(&keyed, &one).await["written"], 4);

    // It never arrived.
    let (two, keyed) =
        (json!({ "text": "two\n" }), owner.clone().with("idempotency-key", "second"));
    until("it is not linked", || shop.is_linked()).await;
    let before = ws.store.head().seq;
    shop.line.set(Way::Down, Mood::Holds);
    let is_noted = || {
        let entries = ws.store.entries_after(before, usize::MAX).expect("the feed");
        entries.iter().flat_map(|entry| &entry.events).any(is_input)
    };
    let cut = async {
        until("it was not noted", is_noted).await;
        shop.line.cut();
    };
    let (lost, ()) = tokio::join!(keyed.post(INPUT, &two), cut);
    offline(&lost);
    assert!(has("one\n"));
    shop.line.set(Way::Down, Mood::Flows);
    shop.line.mend();
    assert_eq!(sent_again(&keyed, &two).await["written"], 4);
    until("both are there once", || has("one\ntwo\n")).await;
    let other = json!({ "text": "three\n" });
    let reply = keyed.post(INPUT, &other).await;
    assert_eq!(reply.json()["code"], "idempotency_conflict", "{}", reply.text);

    let stopped = owner.post("/api/v1/jobs/1/stop", &json!({})).await;
    assert!(stopped.status.is_success(), "{}", stopped.text);
    let job = ended(&shop).await;
    at_rest(&shop, &job).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_while_the_line_is_cut_is_told_when_it_is_back() {
    let shop = shop().await;
    begins(&shop, "echo ready; while [ ! -e go ]; do sleep 0.05; done; echo over; exit 3").await;
    silent(&shop).await;
    let file = shop.machine.path().join("agents/ada/files/go");
    std::fs::write(file, "").expect("a file");
    assert!(job(&shop).is_running(), "home does not know");
    shop.line.mend();
    let job = ended(&shop).await;
    assert_eq!(job.outcome, Some(JobOutcome::Exited(3)), "{job:?}");
    assert_eq!(kept(&shop, &job), "ready\nover\n");
    at_rest(&shop, &job).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_killed_loses_its_programs_and_home_says_so() {
    let mut shop = shop().await;
    begins(&shop, "echo ready; sleep 4811").await;
    wrote(&shop, "ready").await;
    shop.kill();
    // The primary alone does not consider it lost: the machine may return.
    until("the cut was not seen", || !shop.is_linked()).await;
    shop.office.hq.restart().await;
    assert!(job(&shop).is_running());
    shop.line.lead(&shop.office.hq.url());
    shop.again();
    let job = ended(&shop).await;
    assert_eq!(job.outcome, Some(JobOutcome::Lost), "{job:?}\n{}", shop.log());
    assert_eq!(kept(&shop, &job), "ready\n");
    at_rest(&shop, &job).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_leaves_a_silent_machine_gives_its_programs_up_and_they_end_there() {
    let shop = shop().await;
    let (office, owner) = (&shop.office, shop.office.hq.owner());
    begins(&shop, "echo ready; sleep 4812").await;
    silent(&shop).await;
    let to = json!({ "gateway": "local" });
    let moved = owner.json("PUT", "/api/v1/agents/ada/gateway", &to).await;
    assert!(moved.status.is_success(), "{}", moved.text);
    assert_eq!(job(&shop).outcome, Some(JobOutcome::Lost));
    // Its agent is notified here.
    at_rest(&shop, &job(&shop)).await;
    let folders = || {
        let jobs = std::fs::read_dir(shop.machine.path().join("jobs"));
        jobs.map_or(0, Iterator::count)
    };
    assert_eq!(folders(), 1, "it still runs there");
    shop.line.mend();
    until("it goes on", || folders() == 0).await;
    let notices = owner.get("/api/v1/notifications").await.text;
    assert!(!notices.contains("isn’t its own"), "{notices}");
    assert!(office.all::<Job>().iter().all(|job| !job.goes_on()));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_chooses_the_model_there_too_and_a_browser_is_not_offered() {
    let shop = shop().await;
    let office = &shop.office;
    let api = office.hq.api().await;
    let routine = json!({
        "agent": "ada",
        "name": "Inbox check",
        "instruction": "Look at what came in.",
        "model": "mock-2",
        "thinking": "high",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
    });
    let path = made(&api, &routine).await;
    office.model.follow(vec![
        Turn::call("tool_search", json!({ "query": "browser" })),
        Turn::call("browser", json!({ "action": "open", "url": "https://example.com" })),
        done(),
    ]);
    let fired = api.post(&format!("{path}/run"), &json!({})).await;
    assert!(fired.status.is_success(), "{}", fired.text);
    let found = || office.all::<Run>().into_iter().find(|run| !run.is_live());
    until("it never ran", || found().is_some()).await;
    let run = found().expect("it");
    was_done(&shop, &run);
    assert_eq!((run.model.as_str(), run.model_source), ("mock-2", ModelSource::Routine));
    assert_eq!(run.thinking_source, Some(ModelSource::Routine));
    for asked in office.model.requests() {
        assert_eq!(asked.body["model"], "mock-2", "the routine's model answers");
        assert!(!asked.tools().iter().any(|tool| tool.starts_with("browser")));
    }
    let calls = shop.calls(run.id);
    assert!(!calls[0].2.contains("browser:"), "{calls:?}");
    assert!(calls[1].2.contains("not_on_this_machine"), "{calls:?}");
    let place = office.hq.owner().get(&office.ws().url("agents/ada/place")).await.text;
    assert!(place.contains("The browser only works on HQ’s own machine"), "{place}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_machine_says_which_one_and_since_when_everywhere() {
    let shop = shop().await;
    let (office, owner) = (&shop.office, shop.office.hq.owner());
    silent(&shop).await;
    let task = office.task("Count the bells", &shop.ada).await;
    until("it is not said why it waits", || {
        let waits = |reason: Option<&str>| reason == Some("host_silent");
        office.items(shop.ada.id).iter().any(|item| waits(item.held_reason.as_deref()))
    })
    .await;
    let name = format!("tasks/MC-{}", task.number);
    for (page, words) in [
        (name.as_str(), "GPU box is offline. Work starts when it returns."),
        ("", "GPU box has been offline since "),
        ("agents", "GPU box has been offline since "),
        ("agents/ada", "GPU box has been offline since "),
        ("agents/ada/chat", "Ada works on GPU box, offline since "),
    ] {
        let shown = owner.get(&office.ws().url(page)).await.text;
        assert!(shown.contains(words), "{page}: {words}: {shown}");
    }
    office.model.follow(vec![done()]);
    shop.line.mend();
    let run = shop.worked(&task).await;
    was_done(&shop, &run);

    // A paused machine is reported as such.
    let paused = owner.post("/api/v1/gateways/gpu-box/pause", &json!({})).await;
    assert!(paused.status.is_success(), "{}", paused.text);
    let other = office.task("Count the wheels", &shop.ada).await;
    until("it is not said why it waits", || {
        let waits = |reason: Option<&str>| reason == Some("host_paused");
        office.items(shop.ada.id).iter().any(|item| waits(item.held_reason.as_deref()))
    })
    .await;
    let shown = owner.get(&office.ws().url("agents/ada")).await.text;
    assert!(shown.contains("GPU box is paused"), "{shown}");
    let chat = owner.get(&office.ws().url("agents/ada/chat")).await.text;
    assert!(chat.contains("Ada works on GPU box, which is paused."), "{chat}");
    office.model.follow(vec![done()]);
    let resumed = owner.post("/api/v1/gateways/gpu-box/resume", &json!({})).await;
    assert!(resumed.status.is_success(), "{}", resumed.text);
    let run = shop.worked(&other).await;
    was_done(&shop, &run);
    shop.close().await;
}
