//! A run that works offline: it stays within its grant, and the primary gets all of its data once and in order when the
//! link is back.

use features::runs::model::{Evidence, Input, InputState, Session, SessionEvent, TAKEN_BACK};
use features::usage::model::Reservation;
use features::usage::model::grant::RunGrant;
use gateways::rules::Patch;
use kernel::CallEnd;

use super::*;

/// Path of one of Ada's files on her machine.
fn there(shop: &Shop, name: &str) -> std::path::PathBuf {
    shop.machine.path().join("agents/ada/files").join(name)
}

/// Cuts the link, and waits until the primary has noticed.
async fn cut(shop: &Shop) {
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
}

/// Waits for this many model requests.
async fn asked(shop: &Shop, times: usize) {
    until("the model was not asked", || times <= shop.office.model.requests().len()).await;
}

/// Asserts that a session's events have no gap.
fn no_gap(shop: &Shop, session: &Session) {
    let mut all: Vec<u32> = shop
        .office
        .all::<SessionEvent>()
        .into_iter()
        .filter(|event| event.session == session.id)
        .map(|event| event.n)
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..session.events).collect::<Vec<_>>());
}

fn write(path: &str) -> Turn {
    Turn::call("write", json!({ "path": path, "content": "rings\n" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_while_the_line_is_cut_and_a_kill_loses_nothing_of_it() {
    let mut shop = Shop::open().await;
    shop.office.price(3_000_000, 15_000_000).await;
    let (first, last) = (Gate::new(), Gate::new());
    shop.office.model.follow(vec![
        write("a.md").behind(&first),
        Turn::call("exec", json!({ "command": "cat a.md; echo here > b.txt" })),
        write("c.md"),
        done().behind(&last),
    ]);
    let task = shop.office.task("Count the bells", &shop.ada).await;
    first.reached().await;
    let run = shop.begun(&task).await;
    let grant: RunGrant = shop.office.get(run);
    assert_eq!((grant.micros, grant.hours), (500_000, 72));
    cut(&shop).await;
    first.open();

    // Three more calls and three steps while the primary receives nothing.
    last.reached().await;
    assert_eq!(shop.office.model.requests().len(), 4);
    for name in ["a.md", "b.txt", "c.md"] {
        assert!(there(&shop, name).exists(), "{name}");
    }
    assert!(shop.calls(run).is_empty(), "home hears nothing");
    let name = shop.office.get::<Run>(run).name();
    let page = shop.office.hq.owner().get(&shop.office.ws().url(&format!("runs/{name}"))).await;
    assert!(page.text.contains("The run continues there"), "{}", page.text);

    // The host is killed during a call and restarted while the link is cut.
    shop.kill();
    last.open();
    shop.again();
    shop.line.mend();
    let ended = shop.worked(&task).await;
    was_done(&shop, &ended);
    let calls = shop.calls(run);
    assert_eq!(names(&calls), ["write", "exec", "write", "work_done"], "{calls:?}");
    assert!(calls.iter().all(|(_, status, _)| *status == CallStatus::Ok), "{calls:?}");
    assert!(calls[1].2.contains("rings"), "{calls:?}");
    no_gap(&shop, &shop.office.get(ended.session));

    // Each answered call is booked once, and so is the call that the kill interrupted.
    let usage = shop.office.usage(run);
    let answered: Vec<_> = usage.iter().filter(|one| one.end == CallEnd::Answered).collect();
    assert_eq!(answered.len(), 4, "{usage:?}");
    assert!(answered.iter().all(|one| one.billed_micros.is_some_and(|n| 0 < n)), "{usage:?}");
    assert_eq!(usage.len(), 5, "{usage:?}");
    assert!(shop.office.all::<RunGrant>().is_empty(), "it needs none any more");
    let held: Vec<Reservation> = shop.office.all();
    assert!(held.iter().all(|one| one.release_at.is_some()), "{held:?}");
    assert_eq!(shop.office.file(&shop.ada, "c.md").as_deref(), Some("rings\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_the_line_is_cut_is_read_once_when_it_is_back() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let gate = Gate::new();
    office.model.follow(vec![
        write("a.md").behind(&gate),
        write("b.md"),
        Turn::text("Both ring."),
        Turn::text("The wheels, too."),
    ]);
    let run = office.say(&shop.ada, "Ring the bells.").await;
    gate.reached().await;
    cut(&shop).await;
    gate.open();
    asked(&shop, 2).await;
    office.say(&shop.ada, "And the wheels?").await;
    asked(&shop, 3).await;
    let heard = |seen: &support::model::Seen| seen.text().contains("And the wheels?");
    assert!(!office.model.requests().iter().any(heard), "the machine cannot know of it");
    shop.line.mend();
    let is_read = || {
        let all: Vec<Input> = office.all();
        all.iter().all(|input| matches!(input.state, InputState::Consumed(_)))
    };
    until("it was never read", || is_read() && 4 <= office.model.requests().len()).await;
    assert!(office.model.requests().iter().any(heard));
    let session: Session = office.get(office.get::<Run>(run).session);
    until("it goes on for ever", || office.get::<Session>(session.id).active_run.is_none()).await;
    let said = |event: &SessionEvent| match &event.kind {
        EventKind::Input { text, .. } => text.head().contains("And the wheels?"),
        _ => false,
    };
    assert_eq!(office.all::<SessionEvent>().iter().filter(|event| said(event)).count(), 1);
    no_gap(&shop, &office.get(session.id));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_too_small_makes_a_run_wait_and_ends_it_not() {
    let shop = Shop::open().await;
    let office = &shop.office;
    office.price(3_000_000, 15_000_000).await;
    let (gateway, gate) = (shop.gateway, Gate::new());
    let patch = Patch { grant_micros: Some(1), ..Patch::default() };
    office.act(move |tx| rules::change(tx, gateway, patch)).await;
    office.model.follow(vec![write("a.md").behind(&gate), write("b.md"), done()]);
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    assert_eq!(office.get::<RunGrant>(run).micros, 1);
    cut(&shop).await;
    gate.open();
    // The steps paid for before the cut are done; the next call is not made.
    until("the step is not made", || there(&shop, "a.md").exists()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(office.model.requests().len(), 1);
    shop.line.mend();
    let ended = shop.worked(&task).await;
    was_done(&shop, &ended);
    assert_eq!(names(&shop.calls(run)), ["write", "write", "work_done"]);
    assert_eq!(office.usage(run).len(), 3);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_run_was_taken_back_is_kept_and_not_applied() {
    let shop = Shop::open().await;
    let office = &shop.office;
    office.price(3_000_000, 15_000_000).await;
    let gate = Gate::new();
    office.model.follow(vec![write("a.md").behind(&gate), write("b.md"), done()]);
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    cut(&shop).await;
    gate.open();
    asked(&shop, 3).await;
    let name = office.get::<Run>(run).name();
    let show = format!("/api/v1/runs/{name}");
    let owner = office.hq.owner();
    let taken = owner.post(&format!("{show}/take-back"), &json!({})).await;
    assert_eq!(taken.json()["outcome"]["code"], TAKEN_BACK, "{}", taken.text);
    let cost = || office.usage(run).iter().filter_map(|one| one.billed_micros).sum::<i64>();
    // Unknown: how much of its grant it has spent, and how the call ended that was running at the cut.
    assert!((500_000..550_000).contains(&cost()), "{}", cost());
    let events = office.events(run).len();

    // The machine's report arrives: it can be read, and the cost is known.
    shop.line.mend();
    until("nothing came", || !office.all::<Evidence>().is_empty() && cost() < 500_000).await;
    let again = office.worked(task.id, 2).await;
    was_done(&shop, &again);
    let told = owner.get(&show).await.json();
    let late = told["late"].as_array().expect("a list");
    let has = |kind: &str| late.iter().any(|one| one["kind"] == kind);
    assert!(has("call_paid") && has("step_begun") && has("results"), "{told}");
    // It is shown like calls of a run, not in its stored form.
    let page = owner.get(&office.ws().url(&format!("runs/{name}"))).await;
    let shown = page.text_of("#run-late");
    assert!(shown.starts_with("Reported after the run was taken back"), "{shown}");
    let heads = page.texts("#run-late .slab header");
    for (path, head) in ["a.md", "b.md"].iter().zip(&heads) {
        assert!(head.contains("Wrote") && head.contains(path), "{heads:?}");
    }
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(page.texts("#run-late .slab pre").iter().all(|text| text.trim() == "rings"), "{shown}");
    let stored = ["ToolCall", "ToolFinished", "\"Text\"", "arguments", "write:", "FilesSeen"];
    for raw in stored {
        assert!(!shown.contains(raw), "{raw}: {shown}");
        assert!(
            !late.iter().any(|one| one["text"].as_str().is_some_and(|one| one.contains(raw))),
            "{told}"
        );
    }
    assert!(shop.calls(run).is_empty(), "{:?}", shop.calls(run));
    assert_eq!(office.events(run).len(), events, "nothing was added");
    let answered = |one: &&features::usage::model::Usage| one.end == CallEnd::Answered;
    assert_eq!(office.usage(run).iter().filter(answered).count(), 3);
    assert!((1..500_000).contains(&cost()), "{}", cost());
    shop.close().await;
}
