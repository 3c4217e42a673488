//! A machine that is been revoked in the middle of a run: it loses its keys, and home goes on without it.

use std::fs;

use features::inbox::queries::why::Why;
use features::jobs::model::Job;
use features::runs::model::TAKEN_BACK;
use runtime::make_run;

use super::*;

/// Number of processes with this in their command line.
fn running(mark: &str) -> usize {
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let lines = all.filter_map(|one| fs::read(one.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).replace('\0', " ").contains(mark)).count()
}

/// Ada has left a program running on the machine, which has a child.
async fn left_running(shop: &Shop) -> String {
    let mark = format!("sleep 9{:07}", std::process::id());
    shop.office.settings(|settings| settings.exec_without_jail = true).await;
    shop.office.model.usually(Turn::text("Seen."));
    let begin = json!({ "command": format!("{mark} & {mark}; wait"), "background": true });
    shop.office.model.follow(vec![Turn::call("exec", begin), Turn::text("It runs.")]);
    let run = shop.office.say(&shop.ada, "Begin it").await;
    until("its run never ended", || !shop.office.get::<Run>(run).is_live()).await;
    assert!(2 <= running(&mark), "{:?}\n{}", shop.calls(run), shop.log());
    mark
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_on_on_a_machine_that_is_shut_out() {
    let shop = Shop::open().await;
    let mark = left_running(&shop).await;
    let gateway = shop.gateway;
    shop.office.act(move |tx| rules::revoke(tx, gateway)).await;
    let jobs: Vec<Job> = shop.office.all();
    assert!(!jobs.is_empty() && jobs.iter().all(|job| !job.goes_on()), "{jobs:?}");
    until("its programs run on", || running(&mark) == 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_on_on_a_machine_that_leaves() {
    let mut shop = Shop::open().await;
    let mark = left_running(&shop).await;
    let folder = shop.machine.path().to_owned();
    // The browser profile is removed as well.
    fs::create_dir_all(folder.join("browsers/ada/profile")).expect("a folder");
    let mut leaves = command(Path::new(BINARY), &folder, &["replica", "leave"]);
    let left = tokio::task::spawn_blocking(move || leaves.output()).await.expect("no panic");
    let left = left.expect("it starts");
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    assert_eq!(running(&mark), 0);
    assert!(!folder.join("browsers").exists() && !folder.join("jobs").exists());
    shop.host = None;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_shut_out_in_the_middle_of_a_run_changes_nothing_any_more() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let owner = office.hq.owner();
    let gate = Gate::new();
    let late = json!({ "body": "Said too late." });
    office.model.push(Turn::call("comment_add", late).behind(&gate));
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    let gateway = shop.gateway;
    office.act(move |tx| rules::revoke(tx, gateway)).await;
    until("its link was not closed", || !shop.is_linked()).await;
    until("it does not say why", || shop.log().contains("no longer has access")).await;
    gate.open();

    // Its run has ended, and its work waits until the agent works elsewhere.
    let ended: Run = office.get(run);
    let Some(Outcome::Failed { code, reason }) = &ended.outcome else { panic!("{ended:?}") };
    assert_eq!(code, TAKEN_BACK);
    let cut_off = "If the machine is cut off, the run ends there when it reconnects, and may cost up to $0.50 until then.";
    assert!(reason.starts_with("The gateway GPU box was revoked."), "{reason}");
    assert!(reason.ends_with(cut_off), "{reason}");
    let name = ended.name();
    let page = owner.get(&office.ws().url(&format!("runs/{name}"))).await.text;
    assert!(page.contains("The gateway GPU box was revoked."), "{page}");
    for untrue in ["Take back", "continues there", "offline since"] {
        assert!(!page.contains(untrue), "{untrue}: {page}");
    }
    let taken = owner.post(&format!("/api/v1/runs/{name}/take-back"), &json!({})).await;
    assert_eq!(taken.status, 409, "{}", taken.text);
    let says_why = || {
        let now = office.hq.now();
        let waits = office.items(shop.ada.id).into_iter().find(|item| item.task == Some(task.id));
        let why = waits.and_then(|item| {
            office.ws().read(|snap| Why::of(snap, &item, now)).expect("a readable store")
        });
        why.is_some_and(|why| why.reason().starts_with("GPU box has been revoked;"))
    };
    until("its work does not say what it waits for", says_why).await;
    // A run requested before the revocation was seen does not begin either.
    let item = office.items(shop.ada.id).into_iter().find(|item| item.task == Some(task.id));
    let (item, ada) = (item.expect("its item"), shop.ada.clone());
    assert_eq!(office.act(move |tx| make_run(tx, &item, &ada)).await, None);
    office.agent("Bo").await;
    let refused =
        owner.json("PUT", "/api/v1/agents/bo/gateway", &json!({ "gateway": "gpu-box" })).await;
    assert!(refused.status.is_client_error(), "nobody is moved there any more: {}", refused.text);
    let said = json!({ "body": "Said at home." });
    office.model.push(Turn::call("comment_add", said)).push(done());
    let moved =
        owner.json("PUT", "/api/v1/agents/ada/gateway", &json!({ "gateway": "local" })).await;
    assert!(moved.status.is_success(), "{}", moved.text);
    let again = office.worked(task.id, 2).await;
    was_done(&shop, &again);
    let comments: Vec<Comment> = office.all();
    let said: Vec<&str> = comments.iter().map(|one| one.body.as_str()).collect();
    assert!(said.contains(&"Said at home."), "{said:?}");
    assert!(!said.contains(&"Said too late."), "{said:?}");
    assert!(shop.calls(run).is_empty(), "{:?}", shop.calls(run));
    // The gateway can be removed, and what it did keeps its label.
    let removed = owner.call("DELETE", "/api/v1/gateways/gpu-box").await;
    assert!(removed.status.is_success(), "{}", removed.text);
    assert!(!shop.is_linked());
    shop.close().await;
}
