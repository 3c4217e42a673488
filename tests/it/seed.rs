//! Demo company of `hq demo --seed`, checked through pages, API and doctor.

use std::path::{Path, PathBuf};

use app::config::Config;
use demo::{CompanyOptions, DemoError, EMAIL, Made, PASSWORD, Size};
use features::agents::model::Agent;
use features::comments::model::Comment;
use features::deliverables::model::Deliverable;
use features::inbox::queries as inbox;
use features::routines::model::Firing;
use features::runs::model::{Run, SessionEvent};
use features::tasks::model::Task;
use features::tasks::model::label::TaskLabel;
use features::tasks::model::relation::Relation;
use features::tasks::model::series::Occurrence;
use features::usage::model::Usage;
use kernel::{AgentStatus, DeliverableState, Outcome, RunState, TaskStatus, Timestamp, WaitFor};
use reqwest::StatusCode;
use store::{Range, ReadExt as _, Record};

use support::hq::{Setup, TestHq};
use support::program::{run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
/// Address of the company's workspace.
const PLACE: &str = "/w/tidewater-bikes";

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().expect("a moment")
}

fn small(number: u64) -> CompanyOptions {
    CompanyOptions { size: Size::Small, number, now: noon() }
}

/// Creates a company in a folder, on a thread of its own because it blocks.
fn fill(data: &Path, wish: CompanyOptions) -> Made {
    let config = Config::for_folder(data);
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(demo::make(config, wish)).expect("a company")
    });
    made.join().expect("a thread that ends")
}

/// A server with the small company for a seed.
pub(super) async fn company(number: u64) -> TestHq {
    let put = move |data: &Path| {
        let made = fill(data, small(number));
        assert_eq!((made.people, made.agents), (2, 6), "{made:?}");
        assert_eq!((made.tasks, made.contacts), (200, 40), "{made:?}");
        assert!(made.refused <= 20, "hardly anything is refused: {made:?}");
    };
    Setup::default().data(put).unowned().await
}

fn all<R: Record>(hq: &TestHq) -> Vec<R> {
    hq.ws().read(|snap| snap.list::<R>(&Range::all())).expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_company_shows_a_past_of_weeks() {
    let hq = company(7).await;
    its_tasks_came_over_weeks(&hq);
    its_agents_have_worked_and_rest_now(&hq);
    its_owner_finds_it_on_every_page(&hq).await;
    hq.finish().await;
}

fn its_tasks_came_over_weeks(hq: &TestHq) {
    let tasks: Vec<Task> = all(hq);
    assert_eq!(tasks.len(), 200);
    let has = |status| tasks.iter().filter(|task| task.status == status).count();
    assert!(40 < has(TaskStatus::Done), "{} done", has(TaskStatus::Done));
    assert!(20 < tasks.iter().filter(|task| task.status.is_open()).count());
    assert!(0 < has(TaskStatus::InProgress) && 0 < has(TaskStatus::Cancelled));
    let (first, last) = (tasks[0].created_at, tasks[199].created_at);
    assert!(14 * 24 < last.duration_since(first).as_hours(), "they came over weeks");
    assert!(tasks.iter().all(|task| task.updated_at <= noon()), "nothing lies ahead");
    assert!(tasks.iter().filter(|task| task.due_at.is_some()).count() > 40);
    assert!(tasks.iter().any(|task| task.parent.is_some()), "some have parts");
    assert!(50 < all::<Comment>(hq).len());
    assert!(50 < all::<TaskLabel>(hq).len() && !all::<Relation>(hq).is_empty());
    assert!(5 < all::<Occurrence>(hq).len() && 5 < all::<Firing>(hq).len());
}

fn its_agents_have_worked_and_rest_now(hq: &TestHq) {
    let runs: Vec<Run> = all(hq);
    assert!(30 < runs.len(), "{} runs", runs.len());
    let asks = runs.iter().filter(|run| run.state != RunState::Ended);
    for run in asks {
        let waiting = run.waiting.as_ref().map(|waiting| waiting.waits_for);
        assert_eq!(waiting, Some(WaitFor::Question), "{}", run.name());
    }
    assert_eq!(runs.iter().filter(|run| run.is_live()).count(), 1, "one asks something");
    let done = runs.iter().filter(|run| run.outcome == Some(Outcome::Done)).count();
    assert!(runs.len() / 2 < done, "{done} of {} came to a good end", runs.len());
    let long =
        |run: &Run| run.ended_at.zip(run.started_at).map(|(end, from)| end.duration_since(from));
    let lasting = runs.iter().filter_map(long).filter(|took| 10 < took.as_secs()).count();
    assert!(runs.len() / 2 < lasting, "{lasting} runs took a while");
    assert!(runs.len() * 6 < all::<SessionEvent>(hq).len());
    let calls: Vec<Usage> = all(hq);
    assert!(runs.len() < calls.len() && calls.iter().all(|call| call.billed_micros > Some(0)));
    let pieces: Vec<Deliverable> = all(hq);
    assert!(pieces.iter().any(|piece| piece.state == DeliverableState::Approved), "{pieces:?}");
    // Nothing starts when the server starts: waiting items belong to paused agents.
    let paused: Vec<_> = all::<Agent>(hq)
        .into_iter()
        .filter(|agent| agent.status == AgentStatus::Paused)
        .map(|agent| agent.id)
        .collect();
    assert_eq!(paused.len(), 1);
    let due = hq.ws().read(|snap| inbox::due(snap, hq.now(), 500)).expect("a read");
    assert!(due.iter().all(|item| paused.contains(&item.agent)), "{due:?}");
}

async fn its_owner_finds_it_on_every_page(hq: &TestHq) {
    let mara = hq.nobody();
    let form = [("email", EMAIL), ("password", PASSWORD), ("next", "")];
    let reply = mara.form("/login", &form).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    let shown = [
        ("/", "Mara"),
        ("/tasks", "row"),
        ("/tasks?layout=board", "To do"),
        ("/tasks?layout=calendar", "November"),
        ("/tasks?view=held-up", "Held up"),
        ("/activity", "Activity"),
        ("/agents", "Ada"),
        ("/agents/ada", "Ada"),
        ("/runs", "R-"),
        ("/routines", "Morning brief"),
        ("/notifications", "Notifications"),
        ("/contacts", "mail.example"),
        ("/contacts?layout=board", "Negotiation"),
        ("/organizations", "Aldern Bakery"),
        ("/collections", "Spare parts"),
    ];
    for (path, words) in shown {
        let page = mara.get(&format!("{PLACE}{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(page.text.contains(words), "{path} says nothing of {words}: {}", page.text);
    }
    let api = mara.with("x-hq-workspace", "tidewater-bikes");
    let streams = api.get("/api/v1/streams").await.json();
    assert_eq!(streams["items"].as_array().map(Vec::len), Some(12), "{streams}");
    let usage = api.get("/api/v1/usage").await;
    assert_eq!(usage.status, StatusCode::OK, "{}", usage.text);
    let done = api.get("/api/v1/tasks?limit=100&status=done").await.json();
    assert!(40 < done["items"].as_array().map_or(0, Vec::len), "{done}");
}

#[test]
fn it_is_sound_and_its_record_can_be_proved() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fill(&data, small(3));
    let binary = Path::new(BINARY);
    let fits = run_json(binary, &data, &["doctor", "store"]);
    assert_eq!(fits["workspace"]["differences_count"], 0, "{fits}");
    // Succeeds only if nothing differs.
    run_json(binary, &data, &["audit", "verify", "--blobs"]);
}

/// The contents by which two companies are compared.
fn portrait(data: &Path) -> String {
    let options = store::Options {
        path: data.join("workspaces/tidewater-bikes/hq.redb"),
        schema: server::schema::workspace(),
        cache: 4 << 20,
        clock: std::sync::Arc::new(kernel::time::SystemClock),
        ids: std::sync::Arc::new(kernel::id::SeededIds::new(1)),
        reactor: None,
        faults: std::sync::Arc::new(store::NoFaults),
    };
    let store = store::Store::open(options).expect("a store");
    let text = store.read(|snap| {
        let tasks: Vec<Task> = snap.list(&Range::all())?;
        let comments: Vec<Comment> = snap.list(&Range::all())?;
        let runs: Vec<Run> = snap.list(&Range::all())?;
        let calls: Vec<Usage> = snap.list(&Range::all())?;
        Ok::<_, store::StoreError>(format!("{tasks:#?}\n{comments:#?}\n{runs:#?}\n{calls:#?}"))
    });
    let text = text.expect("a read");
    store.close();
    text
}

#[test]
fn a_number_gives_the_same_company_and_another_gives_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |name: &str, number| {
        let data: PathBuf = folder.path().join(name);
        fill(&data, small(number));
        portrait(&data)
    };
    let (one, two, other) = (of("one", 11), of("two", 11), of("other", 12));
    if let Some((left, right)) = one.lines().zip(two.lines()).find(|(left, right)| left != right) {
        panic!("they differ: {left} and {right}");
    }
    assert_eq!(one.len(), two.len());
    assert_ne!(one, other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_which_something_is_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "mine").expect("a file");
    let refused = demo::make(Config::for_folder(folder.path()), small(1)).await;
    assert!(matches!(refused, Err(DemoError::NotEmpty(_))), "{refused:?}");
    let output = run(Path::new(BINARY), folder.path(), &["demo", "--seed", "small"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn the_command_says_what_it_made_and_how_to_look_at_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let told = run_json(Path::new(BINARY), &data, &["demo", "--seed", "small", "--number", "5"]);
    // A series may create one more in the last minutes before now.
    let tasks = told["made"]["tasks"].as_u64().expect("a number");
    assert!((200..=203).contains(&tasks), "{told}");
    assert_eq!((&told["email"], &told["password"]), (&EMAIL.into(), &PASSWORD.into()));
    let wrong = run(Path::new(BINARY), &data, &["demo", "--seed", "huge"]);
    assert_eq!(wrong.status.code(), Some(2));
    let alone = run(Path::new(BINARY), &data, &["demo", "--number", "5"]);
    assert_eq!(alone.status.code(), Some(2), "a number says nothing without a size");
}
