//! Health over HTTP and CLI: parts, consumers and their failures, store maintenance; filters and snapshot of the change
//! stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use app::consumers::Consumers;
use features::backups::job::{self, BackupRequest};
use features::backups::model::Deed;
use kernel::{Actor, Cause, Part};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::listen::Patience;
use store::consumer::{Consume, ConsumeError, give_up};
use store::disk::Faults;
use store::{Cursor, Entry, WriteTx};

use support::hq::{OWNER, Person, Setup, TestHq};
use support::program::{run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PAGE: &str = "/w/marlow-cargo/settings/health";

/// A consumer that records what it processed, and fails on changes of settings if told to.
struct Follower {
    name: &'static str,
    number: u16,
    strict: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
}

impl Consume for Follower {
    fn number(&self) -> u16 {
        self.number
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn handle(&self, _: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let settings = entry.changes.iter().any(|change| change.table == 16);
        if settings && self.strict.load(Ordering::SeqCst) {
            return Err(ConsumeError::Refused("settings taste bad".to_owned()));
        }
        self.taken.store(entry.seq, Ordering::SeqCst);
        Ok(())
    }
}

/// Two consumers: one fails if told to, the other never does.
fn followers() -> (Setup, Arc<AtomicBool>, Arc<AtomicU64>) {
    let (strict, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let stumbler = Follower {
        name: "stumbler",
        number: 901,
        strict: Arc::clone(&strict),
        taken: Arc::default(),
    };
    let steady =
        Follower { name: "steady", number: 902, strict: Arc::default(), taken: Arc::clone(&taken) };
    let all: Vec<Arc<dyn Consume>> = vec![Arc::new(stumbler), Arc::new(steady)];
    let setup = Setup::default()
        .consumers(move || Consumers::new(all.clone()).pausing(Duration::from_millis(1)));
    (setup, strict, taken)
}

async fn rename(hq: &TestHq, name: &str) {
    let body = json!({ "name": name });
    let reply = hq.owner().json("PATCH", "/api/v1/settings", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

async fn one(hq: &TestHq, name: &str) -> Value {
    let all = hq.owner().get("/api/v1/consumers").await.json();
    let items = all["items"].as_array().expect("a list").clone();
    items.into_iter().find(|one| one["name"] == name).expect("it is registered")
}

/// Waits until a consumer's state matches.
async fn until(hq: &TestHq, name: &str, is: impl Fn(&Value) -> bool) -> Value {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let now = one(hq, name).await;
        if is(&now) {
            return now;
        }
        assert!(tokio::time::Instant::now() < end, "{now}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_follows_by_itself_and_a_stumbling_one_holds_back_nobody() {
    let (setup, strict, taken) = followers();
    let hq = setup.start().await;
    // Both have processed the entries of the set-up, which changes settings, too.
    for name in ["steady", "stumbler"] {
        until(&hq, name, |one| one["behind"] == 0).await;
    }
    strict.store(true, Ordering::SeqCst);
    rename(&hq, "Marlow Bicycles").await;
    let head = hq.ws().store.head().seq;
    until(&hq, "steady", |one| one["behind"] == 0).await;
    assert!(taken.load(Ordering::SeqCst) >= head);
    let stumbled = until(&hq, "stumbler", |one| one["dead_letters"] == 1).await;
    assert!(stumbled["last_error"].as_str().expect("an error").contains("taste bad"));
    assert_eq!(stumbled["troubled"], true);
    let letters = hq.owner().get("/api/v1/consumers/stumbler/dead-letters").await.json();
    let letter = &letters["items"][0];
    assert!(letter["said"].as_str().expect("words").contains("workspace settings"), "{letter}");
    let page = hq.owner().get(PAGE).await;
    assert!(page.text_of(".said-why").contains("taste bad") && page.text.contains("Dead letters"));

    let seq = letter["seq"].as_u64().expect("a number");
    let again = format!("/api/v1/dead-letters/stumbler/{seq}/retry");
    assert_eq!(hq.owner().post(&again, &json!({})).await.status, StatusCode::CONFLICT);
    strict.store(false, Ordering::SeqCst);
    let form = format!("{PAGE}/dead-letters/stumbler/{seq}/retry");
    assert_eq!(hq.owner().form(&form, &[]).await.location(), Some(PAGE));
    let well = one(&hq, "stumbler").await;
    assert_eq!((&well["dead_letters"], &well["troubled"]), (&json!(0), &json!(false)), "{well}");
    // Settled failures are no warnings any more.
    let page = hq.owner().get(PAGE).await;
    assert_eq!(page.texts(".said-why"), [""; 0]);
    assert!(
        page.text_of("tr.why").contains("Last error (resolved): Settings taste bad"),
        "{}",
        page.text
    );
    // Both attempts are in the audit, with their actor.
    let told = hq.owner().get("/api/v1/audit?event=consumer.changed").await.json();
    let items = told["items"].as_array().expect("a list");
    let acts = items.iter().map(|item| {
        assert_eq!(item["actor"]["kind"], "person", "{item}");
        item["events"][0]["data"]["act"].as_str().expect("words").to_owned()
    });
    let acts: Vec<_> = acts.collect();
    let said = |verb: &str| format!("{verb} entry {seq} of the stumbler");
    assert_eq!(acts, [said("retried"), said("retried without success")]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_pauses_skips_and_sends_back_and_that_is_on_record() {
    let (setup, _, _) = followers();
    let hq = setup.start().await;
    until(&hq, "steady", |one| one["behind"] == 0).await;
    let act = |word: &str| format!("/api/v1/consumers/steady/{word}");
    let paused = hq.owner().post(&act("pause"), &json!({})).await;
    assert_eq!(paused.json()["state"], "paused", "{}", paused.text);
    rename(&hq, "One").await;
    rename(&hq, "Two").await;
    let stands = one(&hq, "steady").await;
    assert!(stands["behind"].as_u64() >= Some(2), "{stands}");
    let (owner, next) = (hq.owner(), stands["cursor"].as_u64().expect("a number") + 1);
    let other = owner.post(&act("skip"), &json!({ "entry": next + 1 })).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.text);
    assert!(other.text.contains(&format!("entry {next} is next")), "{}", other.text);
    let skipped = owner.post(&act("skip"), &json!({ "entry": next })).await.json();
    assert_eq!((&skipped["dead_letters"], &skipped["cursor"]), (&json!(1), &json!(next)));
    // The form names its entry, so that a double submission skips one only.
    let means = owner.get(PAGE).await.attr("form[action$='/consumers/steady/skip'] input", "value");
    assert_eq!(means, (next + 1).to_string());
    for said in [format!("You skipped entry {means}"), "already processed or skipped".to_owned()] {
        owner.form(&format!("{PAGE}/consumers/steady/skip"), &[("entry", means.as_str())]).await;
        let told = owner.get(PAGE).await.text_of("#toasts");
        assert!(told.contains(&said), "{told}");
    }
    let any = owner.post(&act("skip"), &json!({})).await.json();
    assert_eq!((&any["dead_letters"], &any["cursor"]), (&json!(3), &json!(next + 2)));
    let ahead = hq.owner().post(&act("rewind"), &json!({ "to": 9_999 })).await;
    assert_eq!(ahead.status, StatusCode::CONFLICT, "{}", ahead.text);
    let back = hq.owner().post(&act("rewind"), &json!({ "to": 0 })).await.json();
    assert_eq!((back["cursor"].clone(), back["dead_letters"].clone()), (json!(0), json!(0)));
    let cannot = hq.owner().post(&act("rebuild"), &json!({})).await;
    assert_eq!(cannot.status, StatusCode::CONFLICT, "{}", cannot.text);
    let form = hq.owner().form(&format!("{PAGE}/consumers/steady/resume"), &[]).await;
    assert_eq!(form.location(), Some(PAGE));
    until(&hq, "steady", |one| one["behind"] == 0).await;
    let told = hq.owner().get("/api/v1/audit?event=consumer.changed").await.json();
    assert!(told["items"].as_array().expect("a list").len() >= 4, "{told}");
    let nobody = hq.owner().post("/api/v1/consumers/nobody/pause", &json!({})).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let member = hq.another("Tom", Some(kernel::Role::Member)).await;
    assert_eq!(member.get(PAGE).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_gave_up_is_read_page_by_page() {
    let (setup, ..) = followers();
    let hq = setup.start().await;
    let (ws, owner) = (hq.ws(), hq.owner());
    let by = (Actor::System(Part::Cli), Cause::Setup);
    let given_up = ws.store.write(by.0, by.1, |tx| {
        (1..=60).try_for_each(|seq| give_up(tx, 901, seq, format!("letter {seq}")))
    });
    given_up.await.expect("letters");
    let seqs = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("a list");
        items.iter().filter_map(|letter| letter["seq"].as_u64()).collect()
    };
    let path = "/api/v1/consumers/stumbler/dead-letters";
    let first = owner.get(&format!("{path}?limit=2")).await.json();
    assert_eq!((seqs(&first), &first["next"]), (vec![1, 2], &json!("2")));
    assert!(first["items"][0]["said"].as_str().is_some_and(|said| !said.is_empty()), "{first}");
    let next = owner.get(&format!("{path}?limit=2&after=2")).await.json();
    assert_eq!(seqs(&next), [3, 4]);
    let last = owner.get(&format!("{path}?after=58")).await.json();
    assert_eq!((seqs(&last), &last["next"]), (vec![59, 60], &Value::Null));

    let page = owner.get(PAGE).await;
    assert_eq!(page.texts(".letters > li").len(), 50);
    let rest = owner.get(&page.attr("nav[aria-label='Pages of dead letters'] a", "href")).await;
    assert_eq!(rest.texts(".letters > li").len(), 10, "{}", rest.text);
    assert!(rest.text_of(".letters > li").contains("Entry 51"), "{}", rest.text);
    let again = rest.attr("#health-now", "hx-get");
    assert!(again.ends_with("/now?consumer=stumbler&after=50"), "it renews itself: {again}");
    assert_eq!(owner.get(&again).await.texts(".letters > li").len(), 10);
    assert_eq!(rest.texts("nav[aria-label='Pages of dead letters'] a"), ["First page"]);

    let (binary, data) = (Path::new(BINARY), hq.data());
    let letters = ["consumer", "letters", "stumbler", "--after", "57", "--limit", "2"];
    let told = run_json(binary, &data, &letters);
    assert_eq!((seqs(&told), &told["next"]), (vec![58, 59], &json!("59")));
    let told = run(binary, &data, &letters).stdout;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("letter 58") && told.ends_with("More: --after 59\n"), "{told}");
    let listed = run(binary, &data, &["consumer", "list"]).stdout;
    assert!(String::from_utf8_lossy(&listed).contains("`hq consumer letters NAME`"));
    let nobody = run(binary, &data, &["consumer", "letters", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    let ahead = run(binary, &data, &["consumer", "skip", "steady", "9999"]);
    assert_eq!(ahead.status.code(), Some(1), "{ahead:?}");
    let said = String::from_utf8_lossy(&ahead.stderr);
    assert!(said.contains("entry 9999 isn't the next one; it is at"), "{said}");
    hq.finish().await;
}

/// A disk whose free space the test sets.
pub struct Room(pub Arc<AtomicU64>);

impl Faults for Room {
    fn free_space(&self, _: &Path) -> std::io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
    fn space(&self, _: &Path) -> std::io::Result<(u64, u64)> {
        Ok((self.0.load(Ordering::SeqCst), 100 << 30))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_on_the_disk_is_refused_as_such_at_any_size() {
    let free = Arc::new(AtomicU64::new(50 << 30));
    let hq = Setup::default().faults(Arc::new(Room(Arc::clone(&free)))).start().await;
    let api = hq.api().await;
    // Files need a larger reserve than rows; in between, a long text must not fail as a disk error.
    free.store(300 << 20, Ordering::SeqCst);
    let long = json!({ "title": "Long", "text": "words and words ".repeat(10_000) });
    let refused = api.post("/api/v1/knowledge", &long).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE, "{}", refused.text);
    assert_eq!(refused.json()["code"], "storage_full");
    assert_eq!(api.get("/readyz").await.status, StatusCode::OK);
    free.store(100 << 20, Ordering::SeqCst);
    let ready = api.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text.contains("storage_full"), "{}", ready.text);
    let status = run_json(Path::new(BINARY), &hq.data(), &["status"]);
    let told = status["disk_trouble"].as_str().unwrap_or_default();
    assert!(told.contains("nearly full (100 MB free"), "{status}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_is_told_to_those_who_run_hq_until_it_has_room_again() {
    let free = Arc::new(AtomicU64::new(50 << 30));
    let room = Arc::new(Room(Arc::clone(&free)));
    let hq = Setup::default().faults(room).start().await;
    let disk = async || {
        let health = hq.owner().get("/api/v1/health").await.json();
        let parts = health["parts"].as_array().expect("a list").clone();
        parts.into_iter().find(|part| part["name"] == "disk").expect("a disk")
    };
    let (owner, member) = (hq.owner(), hq.another("Tom", Some(kernel::Role::Member)).await);
    // Severity and text of the banner, on any page.
    let said = async |person: &Person| {
        let page = person.get("/w/marlow-cargo/tasks").await;
        let tones = page.attrs("#notes .banner:not([hidden])", "data-tone");
        let texts = page.texts("#notes .banner:not([hidden]) p");
        tones.into_iter().zip(texts).next().unwrap_or_default()
    };
    let nothing = (String::new(), String::new());
    assert_eq!(disk().await["how"], "ok");
    assert_eq!((said(&owner).await, said(&member).await), (nothing.clone(), nothing.clone()));
    free.store(9 << 30, Ordering::SeqCst);
    assert_eq!(disk().await["how"], "degraded");
    let (tone, text) = said(&owner).await;
    assert!(tone == "warn" && text.contains("nearly full") && text.contains("Free some space"));
    assert_eq!(said(&member).await, nothing, "nothing is refused yet");
    free.store(1 << 20, Ordering::SeqCst);
    assert_eq!(disk().await["how"], "down");
    let (tone, text) = said(&owner).await;
    assert_eq!(tone, "danger");
    assert!(text.starts_with("The disk is full: 1.0 MB free"), "{text}");
    assert!(text.contains("every change is refused") && text.contains("move backups"), "{text}");
    let (tone, text) = said(&member).await;
    assert!(tone == "danger" && text.contains("changes can’t be saved"), "{text}");
    // Open pages refresh the banner after an event of the stream.
    let line = member.get("/w/marlow-cargo/closed").await;
    assert!(line.text.contains("changes can’t be saved"), "{}", line.text);
    assert!(line.attr("#closed", "hx-trigger").contains("hq:disk from:body"), "{}", line.text);
    free.store(50 << 30, Ordering::SeqCst);
    assert_eq!(disk().await["how"], "ok");
    assert_eq!((said(&owner).await, said(&member).await), (nothing.clone(), nothing));
    rename(&hq, "Goes on").await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_on_the_store_runs_from_the_api_the_page_and_the_command_line() {
    let mut hq = TestHq::start().await;
    for (work, field) in
        [("doctor", "records"), ("check", "sound"), ("compact", "after"), ("stats", "file")]
    {
        let begun = hq.owner().post(&format!("/api/v1/store/{work}"), &json!({})).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{work}: {}", begun.text);
        let ended = loop {
            let state = hq.owner().get(&format!("/api/v1/store/{work}")).await.json();
            if !state["ended"].is_null() {
                break state;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(ended["error"], Value::Null, "{work}");
        assert!(!ended["result"]["workspace"][field].is_null(), "{work}: {ended}");
    }
    let unknown = hq.owner().post("/api/v1/store/paint", &json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let page = hq.owner().get(PAGE).await;
    assert!(page.text.contains("Everything matches") && page.text.contains("No damage found"));
    hq.stop().await;
    let binary = Path::new(BINARY);
    let fits = run_json(binary, &hq.data(), &["doctor", "store"]);
    assert_eq!(fits["workspace"]["differences_count"], 0);
    let keys = run_json(binary, &hq.data(), &["doctor", "keys"]);
    assert_eq!((&keys["state"], &keys["helps"]), (&json!("whole"), &json!("")), "{keys}");
    let sizes = run_json(binary, &hq.data(), &["store", "stats"]);
    assert!(sizes["workspace"]["tables"].as_array().expect("tables").len() > 20);
    assert!(run_json(binary, &hq.data(), &["store", "compact"])["workspace"]["after"].is_u64());
    let all = run_json(binary, &hq.data(), &["consumer", "list"]);
    assert_eq!(all["items"][0]["name"], "usage-days", "{all}");
}

// ── Changes ──

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_stream_is_narrowed_by_table_actor_and_kind() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let made = hq.owner().post("/api/v1/tasks", &json!({ "title": "Print the list" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    rename(&hq, "Renamed").await;
    let items = async |query: &str| {
        let page = program.get(&format!("/api/v1/changes?after=start&{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        page.json()
    };
    let tasks = items("tables=tasks&include=rows").await;
    assert_eq!(tasks["items"].as_array().expect("a list").len(), 1, "{tasks}");
    assert_eq!(tasks["items"][0]["changes"][0]["row"]["title"], "Print the list");
    let head = hq.ws().store.head().to_string();
    assert_eq!(tasks["next"], head.as_str(), "what was left out is not read again");
    let kinds = items("kinds=task.*").await;
    assert_eq!(kinds["items"][0]["events"][0]["name"], "task.created");
    assert_eq!(items("kinds=comment.added").await["items"], json!([]));
    let people = items("actors=person").await;
    assert!(people["items"].as_array().expect("a list").len() >= 2);
    assert_eq!(items("actors=agent").await["items"], json!([]));
    for (query, field) in [("tables=x", "tables"), ("kinds=x", "kinds"), ("actors=x", "actors")] {
        let refused = program.get(&format!("/api/v1/changes?{query}")).await;
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_what_is_rare_is_told_how_far_it_was_looked_for() {
    let patience = Patience { look: Duration::ZERO, ..Patience::default() };
    let hq = Setup::default().patience(patience).start().await;
    let program = hq.token(&["read"]).await;
    for n in 0..30 {
        rename(&hq, &format!("Name {n}")).await;
    }
    let head = hq.ws().store.head().seq;
    let place = |text: &str| text.parse::<Cursor>().expect("a cursor").seq;
    let (mut after, mut pages) = ("start".to_owned(), 0);
    loop {
        // The request may wait long, but there is more data already.
        let wait = if pages == 0 { 30 } else { 0 };
        let query = format!("after={after}&limit=5&kinds=comment.added&wait={wait}");
        let page = program.get(&format!("/api/v1/changes?{query}")).await.json();
        assert_eq!(page["items"], json!([]));
        after = page["next"].as_str().expect("a cursor").to_owned();
        pages += 1;
        if head <= place(&after) {
            break;
        }
        assert_eq!(place(&after), 5 * pages, "one piece, and where to go on");
    }
    assert!(6 <= pages, "{pages}");
    let path = "/api/v1/changes?after=start&limit=5&kinds=comment.added";
    let mut stream = program.stream(path).await;
    for seen in [0, 5, 10, 15] {
        assert_eq!(place(&stream.place().await), seen, "a stream says so after each piece");
    }
    drop(stream);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_in_pages_has_every_row_and_no_secret_and_says_where_to_go_on() {
    let hq = TestHq::start().await;
    for n in 0..7 {
        let body = json!({ "title": format!("Task {n}") });
        assert_eq!(hq.owner().post("/api/v1/tasks", &body).await.status, StatusCode::CREATED);
    }
    let program = hq.token(&["read"]).await;
    let mut rows = Vec::new();
    let mut query = "limit=3".to_owned();
    let mut first = None;
    loop {
        let page = program.get(&format!("/api/v1/snapshot?{query}")).await.json();
        first.get_or_insert(page["cursor"].clone());
        rows.extend(page["items"].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(next) => query = format!("limit=3&after={next}"),
            None => break,
        }
    }
    let of = |table: &str| rows.iter().filter(|row| row["table"] == table).count();
    assert_eq!((of("tasks"), of("settings"), of("members")), (7, 1, 1));
    assert_eq!(of("connection_keys") + of("counters"), 0, "no secret, nothing local");
    let first = first.expect("a page");
    let first = first.as_str().expect("a cursor");
    let rest = program.get(&format!("/api/v1/changes?after={first}")).await.json();
    assert_eq!(rest["items"], json!([]));
    let only = program.get("/api/v1/snapshot?tables=tasks&limit=500").await.json();
    assert_eq!(only["items"].as_array().expect("a list").len(), 7);
    let wrong = program.get("/api/v1/snapshot?after=nonsense").await;
    assert_eq!(wrong.json()["errors"][0]["field"], "after");
    hq.finish().await;
}

// ── Faults ──

/// The health entry of a part, if there is one, as the owner sees it.
async fn said_of(hq: &TestHq, name: &str) -> Option<Value> {
    said_to(&hq.owner(), name).await
}

/// The same for any person.
async fn said_to(person: &Person, name: &str) -> Option<Value> {
    let health = person.get("/api/v1/health").await.json();
    let parts = health["parts"].as_array().expect("parts").clone();
    parts.into_iter().find(|part| part["name"] == name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_does_not_fit_is_told_with_what_to_do_and_nothing_is_lost() {
    let mut hq = TestHq::start().await;
    assert_eq!(said_of(&hq, "key").await, None, "it fits");
    let fits = run_json(Path::new(BINARY), &hq.data(), &["status"]);
    assert_eq!(fits["key_trouble"], Value::Null);
    let file = hq.data().join("master.key");
    let form = [("email", OWNER.1), ("password", OWNER.2), ("next", "")];
    let right = std::fs::read(&file).expect("a key");
    hq.stop().await;
    // The disk with the key is missing: the start creates a new key and reports that.
    std::fs::remove_file(&file).expect("a file");
    hq.start_again().await;
    let told = said_of(&hq, "key").await.expect("something to say");
    assert_eq!(told["how"], "down");
    let words = told["said"].as_str().expect("words");
    assert!(words.contains("1 of 1 passwords were set under a different master key"), "{words}");
    assert!(words.contains("Put that key back") && words.contains("reset-link"), "{words}");
    let status = support::program::run(Path::new(BINARY), &hq.data(), &["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains(&format!("Master key: {words}")), "{status}");
    let page = hq.nobody().form("/login", &form).await;
    assert!(page.text.contains("under another master key"), "{}", page.text);
    hq.stop().await;
    std::fs::write(&file, right).expect("the key is put back");
    hq.start_again().await;
    assert_eq!(said_of(&hq, "key").await, None);
    let again = hq.nobody().form("/login", &form).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);
    hq.finish().await;
}

/// Changes a letter of an account on disk while HQ is stopped.
async fn misspell(hq: &mut TestHq) {
    hq.stop().await;
    let path = hq.data().join("system.redb");
    let db = crate::raw::open(path);
    let txn = db.begin_write().expect("a write");
    let accounts = redb::TableDefinition::<&[u8], &[u8]>::new("t0100");
    {
        use redb::ReadableTable as _;
        let mut table = txn.open_table(accounts).expect("a table");
        let first = table.iter().expect("rows").next().expect("an account").expect("a row");
        let (key, mut row) = (first.0.value().to_vec(), first.1.value().to_vec());
        drop(first);
        let at = row.windows(4).position(|part| part == b"Mira").expect("the name");
        row[at] = b'B';
        table.insert(&key[..], &row[..]).expect("a row");
    }
    txn.commit().expect("a commit");
    drop(db);
    hq.start_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_drill_proves_the_record_and_what_it_found_outlives_a_restart() {
    let mut hq = TestHq::start().await;
    let run = async |hq: &TestHq, deed: Deed| {
        let app = hq.running().app.clone();
        job::run(&app, BackupRequest::commanded(deed)).await
    };
    let record = async |hq: &TestHq| {
        let part = said_of(hq, "record").await.expect("a part");
        (part["how"].as_str().expect("a word").to_owned(), part["said"].to_string())
    };
    run(&hq, Deed::Backup).await.expect("a backup");
    let drill = run(&hq, Deed::Drill).await.expect("all fits");
    assert!(drill.note.is_some_and(|note| note.ends_with("fit their hashes")));
    hq.restart().await;
    let (how, said) = record(&hq).await;
    assert!(how == "ok" && said.contains("with the last restore drill"), "{how} {said}");
    misspell(&mut hq).await;
    let failed = run(&hq, Deed::Drill).await.expect_err("a letter was changed");
    assert!(failed.to_string().contains("don't match their hashes"), "{failed}");
    for restarts in [false, true] {
        if restarts {
            hq.restart().await;
        }
        let (how, said) = record(&hq).await;
        assert!(how == "down" && said.contains("restore drill"), "{how} {said}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_verified_for_long_is_not_fine() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let mut settings = api.get("/api/v1/backups/settings").await.json();
    settings["schedule"] = json!("off");
    let saved = api.json("PUT", "/api/v1/backups/settings", &settings).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
    assert_eq!(said_of(&hq, "record").await.expect("a part")["how"], "ok", "it is new");
    hq.advance(Duration::from_secs(16 * 86_400)).await;
    // Mira's session has expired; her API token is still valid.
    let part = said_to(&api, "record").await.expect("a part");
    assert_eq!(part["how"], "degraded", "{part}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_the_store_of_the_accounts_makes_health_worse_too() {
    let mut hq = TestHq::start().await;
    misspell(&mut hq).await;
    let before = said_of(&hq, "record").await.expect("a part");
    assert_eq!(before["how"], "ok", "{before}");
    let begun = hq.owner().post("/api/v1/audit/verify", &json!({})).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
    while hq.owner().get("/api/v1/audit/verify").await.json()["ended"].is_null() {
        tokio::task::yield_now().await;
    }
    let after = said_of(&hq, "record").await.expect("a part");
    assert_eq!(after["how"], "down", "{after}");
    assert!(
        after["said"].as_str().is_some_and(|said| said.contains("don’t match their hashes")),
        "{after}"
    );
    // Details of the check are lost with the program; the notice is not.
    hq.restart().await;
    let told = hq.owner().get("/api/v1/notifications").await.json()["items"].clone();
    let told = told.as_array().expect("a list");
    let is_it = |one: &&Value| one["kind"] == "operation_failed";
    let title = told.iter().find(is_it).map(|one| one["title"].to_string()).unwrap_or_default();
    assert!(title.contains("Verification found"), "{told:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_store_any_more_says_which_and_what_to_do() {
    let mut hq = TestHq::start().await;
    hq.stop().await;
    let file = hq.data().join("workspaces/marlow-cargo/hq.redb");
    let mut bytes = std::fs::read(&file).expect("the file");
    for byte in bytes.iter_mut().take(512) {
        *byte ^= 0x5a;
    }
    std::fs::write(&file, &bytes).expect("a damaged file");
    let output = support::program::run(Path::new(BINARY), &hq.data(), &["audit", "verify"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("hq.redb") && said.contains("restore a backup"), "{said}");
    assert_eq!(std::fs::read(&file).expect("the file"), bytes, "it is left as it was");
}
