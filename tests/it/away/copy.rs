//! While its machine is offline, a run reads its tasks and related ones from the replica, and is told the replica's
//! age.

use features::deliverables::model::Deliverable;
use features::files::rules::{self as files, NewFile};
use features::tasks::rules::{self as tasks, NewTask};
use kernel::Assignee;

use super::*;

/// Prefix of the first line of such an answer.
const HEAD: &str = "From this machine's copy of ";

/// All tools that read the copy, in one message.
fn looks() -> Turn {
    Turn::call("task_get", json!({}))
        .and_call("task_list", json!({ "q": "bells priority:medium" }))
        .and_call("deliverable_list", json!({}))
        .and_call("deliverable_get", json!({ "deliverable": "How many" }))
        .and_call("file_list", json!({}))
        .and_call("agent_list", json!({ "q": "ada" }))
}

/// The answer without its first line, which gives the copy's age.
fn below(answer: &str) -> &str {
    assert!(answer.starts_with(HEAD), "{answer}");
    let (head, below) = answer.split_once('\n').expect("a line of its own");
    assert!(head.contains(" old, because the connection to HQ is lost."), "{head}");
    below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_reads_its_task_while_the_line_is_cut_and_hears_how_old_that_is() {
    let shop = Shop::open().await;
    let office = &shop.office;
    office.price(3_000_000, 15_000_000).await;
    office.agent("Bo").await;
    let (gate, last) = (Gate::new(), Gate::new());
    let count = json!({ "kind": "text", "title": "How many", "body": "Seven." });
    office.model.follow(vec![
        Turn::call("deliverable_submit", count),
        looks(),
        looks().behind(&gate),
        Turn::call("agent_list", json!({})),
        Turn::call("task_list", json!({ "q": "cost:>1" })).behind(&last),
        Turn::call("work_done", json!({ "summary": "Counted.", "task_state": "in_review" })),
    ]);
    let task = office.act(|tx| tasks::create(tx, NewTask::titled("Count the bells"))).await;
    let (id, ada) = (task.id, Assignee::Agent(shop.ada.id));
    office.comment(id, "All of the north tower.").await;
    let blob = office.ws().blobs.put(b"north\n").expect("room");
    let file = NewFile { name: "towers.txt".to_owned(), blob, size: 6, media: "text/plain" };
    office.act(move |tx| files::attach(tx, id, file)).await;
    office.act(move |tx| tasks::assign(tx, id, Some(ada))).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    assert_eq!(office.all::<Deliverable>().len(), 1);
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    gate.open();

    // The primary receives none of it, and the run continues until its next model call.
    last.reached().await;
    assert_eq!(shop.calls(run).len(), 7, "home hears nothing");

    // Calls that need the primary wait for it.
    last.open();
    shop.line.mend();
    let ended = shop.worked(&task).await;
    was_done(&shop, &ended);
    let calls = shop.calls(run);
    assert_eq!(calls.len(), 16, "{calls:?}");
    assert!(calls.iter().all(|(_, status, _)| *status == CallStatus::Ok), "{calls:?}");
    let (linked, cut) = (&calls[1..7], &calls[7..13]);
    for ((name, _, home), (again, _, copy)) in linked.iter().zip(cut) {
        assert_eq!(name, again);
        assert!(!home.starts_with(HEAD), "{name}: {home}");
        assert_eq!(below(copy), home, "{name}");
    }
    for (at, word) in [
        (0, "north tower"),
        (1, "Count the bells"),
        (2, "How many"),
        (3, "Seven."),
        (4, "towers.txt"),
    ] {
        assert!(cut[at].2.contains(word), "{}", cut[at].2);
    }

    // Of an agent that works elsewhere only the card is here, and none of its work.
    let all: Value = serde_json::from_str(below(&calls[13].2)).expect("JSON");
    let line = |slug: &str| {
        let all = all.as_array().expect("a list");
        all.iter().find(|one| one["slug"] == slug).expect("it").clone()
    };
    assert_eq!(line("bo")["name"], "Bo", "{all}");
    assert!(line("bo").get("now").is_none(), "{all}");
    assert!(line("ada")["now"].as_str().is_some_and(|now| now.contains("Working")), "{all}");
    assert!(!calls[14].2.starts_with(HEAD), "home has said it: {}", calls[14].2);
    shop.close().await;
}
