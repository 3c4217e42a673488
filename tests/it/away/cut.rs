//! A silent machine in pages and API, and taking a run back from it.

use features::inbox::model::Item;
use features::runs::model::{Session, TAKEN_BACK};
use kernel::{ItemState, Role};

use super::*;

/// Waits until the open page is notified that a link came or went.
async fn hears_of_hosts(page: &mut support::hq::Events) {
    loop {
        let told = page.next_of("hq").await.json();
        let named = told["t"].as_array().expect("a list");
        if named.iter().any(|one| one[0] == "hosts") {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_says_which_machine_it_waits_for_and_is_taken_back_from_it() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let owner = office.hq.owner();
    let gate = Gate::new();
    let late = json!({ "command": "echo late > late.txt" });
    office.model.push(Turn::call("exec", late).behind(&gate));
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    let name = office.get::<Run>(run).name();
    let page = office.ws().url(&format!("runs/{name}"));
    let (show, take) = (format!("/api/v1/runs/{name}"), format!("/api/v1/runs/{name}/take-back"));

    // While the link is up, a run cannot be taken back, only stopped.
    let refused = owner.post(&take, &json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(refused.json()["code"], "gateway_online");
    assert!(!owner.get(&page).await.text.contains("Take back"));
    let mut open = owner.stream(&office.ws().url("events")).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    hears_of_hosts(&mut open).await;

    // The page, the API and the chat show what is waited for; a viewer cannot take it back.
    let shown = owner.get(&page).await.text;
    let alone =
        "The run continues there on its own files and programs until $0.50 is spent or until ";
    let silent = "GPU box has been offline since ";
    for words in [silent, alone, "Take back", "command=\"close\">Wait<"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let told = owner.get(&show).await.json();
    assert_eq!(told["silent"]["name"], "GPU box", "{told}");
    assert!(told["silent"]["since"].is_string(), "{told}");
    assert_eq!(told["silent"]["goes_on_micros"], 500_000, "{told}");
    assert!(told["silent"]["goes_on_until"].is_string(), "{told}");
    let chat = owner.get(&office.ws().url("agents/ada/chat")).await.text;
    assert!(chat.contains("Ada works on GPU box, offline since "), "{chat}");
    let vera = office.hq.another("Vera", Some(Role::Viewer)).await;
    assert!(!vera.get(&page).await.text.contains("Take back"));
    assert_eq!(vera.post(&take, &json!({})).await.status, 403);

    // The run ends here, fenced, and its work starts again.
    let before: Run = office.get(run);
    let taken = owner.post(&take, &json!({})).await;
    assert!(taken.status.is_success(), "{}", taken.text);
    assert_eq!(taken.json()["outcome"]["code"], TAKEN_BACK, "{}", taken.text);
    let reason = taken.json()["outcome"]["reason"].to_string();
    assert!(reason.contains("Taken back from GPU box"), "{reason}");
    assert!(before.epoch < office.get::<Session>(before.session).epoch);
    assert_eq!(owner.post(&take, &json!({})).await.status, 409, "it has ended");
    let waits = |item: &Item| {
        item.task == Some(task.id)
            && item.state == ItemState::Pending
            && item.held_reason.as_deref() == Some("host_silent")
    };
    until("its work does not wait", || office.items(shop.ada.id).iter().any(waits)).await;

    // Moved off the silent machine, the agent does the work on the primary, and is told how old its files are.
    let place = owner.get(&office.ws().url("agents/ada/place")).await.text;
    assert!(place.contains("GPU box, which has been offline for "), "{place}");
    office.model.push(done());
    let to = json!({ "gateway": "local" });
    let moved = owner.json("PUT", "/api/v1/agents/ada/gateway", &to).await;
    assert!(moved.status.is_success(), "{}", moved.text);
    assert!(moved.json()["files_as_of"].is_string(), "{}", moved.text);
    let again = office.worked(task.id, 2).await;
    was_done(&shop, &again);

    // Reports of the old run after the reconnection change nothing, and nothing of it is executed.
    shop.line.mend();
    until("it was not linked again", || shop.is_linked()).await;
    gate.open();
    let (id, gateway) = (shop.ada.id, shop.gateway);
    office.act(move |tx| rules::bind(tx, id, gateway)).await;
    office.model.push(done());
    let other = office.task("Count the wheels", &shop.ada).await;
    let run_there = shop.worked(&other).await;
    was_done(&shop, &run_there);
    assert!(shop.calls(run).is_empty(), "{:?}", shop.calls(run));
    assert!(!shop.machine.path().join("agents/ada/files/late.txt").exists());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_on_a_silent_machine_says_when_it_stops_and_what_it_may_cost() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let owner = office.hq.owner();
    let gate = Gate::new();
    office.model.push(Turn::call("exec", json!({ "command": "true" })).behind(&gate));
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;

    let name = office.get::<Run>(run).name();
    let page = office.ws().url(&format!("runs/{name}"));
    let later = "GPU box stops it when it reconnects. Until then it may spend up to $0.50.";
    let asked = owner.clone().htmx("run-head").form(&format!("{page}/stop"), &[]).await;
    let toast = asked.header("hx-trigger").expect("a toast");
    assert!(toast.contains(later), "{toast}");
    // Later reports of the run are not applied: it has ended, and its maximum cost is booked.
    until("it was not ended here", || !office.get::<Run>(run).is_live()).await;
    let stopped = owner.post(&format!("/api/v1/runs/{name}/stop"), &json!({})).await.json();
    assert_eq!(stopped["code"], "run_ended", "{stopped}");
    let shown = owner.get(&page).await.text;
    assert!(!shown.contains("continues there"), "{shown}");

    shop.line.mend();
    gate.open();
    let ended: Run = office.get(run);
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{ended:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_and_agents_hear_at_once_that_a_machine_is_silent() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let bo = office.agent("Bo").await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    let asked =
        json!({ "model": "hq/ada", "messages": [{ "role": "user", "content": "How many?" }] });
    let refused = office.hq.api().await.post("/v1/chat/completions", &asked).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "gateway_offline", "{}", refused.text);
    assert!(refused.text.contains("GPU box"), "{}", refused.text);
    assert!(office.all::<Run>().is_empty(), "nothing was begun");

    office.model.push(Turn::call("tool_search", json!({ "query": "agent_list" })));
    office.model.push(Turn::call("agent_list", json!({}))).push(Turn::text("Ada is away."));
    let run = office.say(&bo, "Who is there?").await;
    office.ended(run).await;
    let (_, _, listed) = office.results(run).pop().expect("a list");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let line = |slug: &str| {
        let all = listed.as_array().expect("a list");
        all.iter().find(|one| one["slug"] == slug).expect("it").clone()
    };
    assert_eq!(line("ada")["unreachable"], true, "{listed}");
    assert!(line("bo").get("unreachable").is_none(), "{listed}");
    shop.line.mend();
    shop.close().await;
}
