//! A long start: page, API and probes show the progress, and everything is available afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kernel::{Actor, Cause, Part};
use parking_lot::{Condvar, Mutex};
use reqwest::StatusCode;
use scraper::{Html, Selector};
use serde_json::{Value, json};
use store::Faults;

use support::hq::{Setup, TestHq};
use support::program::run;

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);
const BINARY: &str = env!("CARGO_BIN_EXE_hq");
/// Time limit for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk so slow that a test lets it read page by page.
#[derive(Default)]
struct Slow {
    turn: Mutex<Turn>,
    moved: Condvar,
}

#[derive(Default)]
struct Turn {
    is_quick: bool,
    waits: bool,
    may: usize,
}

impl Faults for Slow {
    fn read(&self, _: u64, _: usize) -> io::Result<()> {
        let mut turn = self.turn.lock();
        while !turn.is_quick && turn.may == 0 {
            turn.waits = true;
            self.moved.notify_all();
            self.moved.wait(&mut turn);
        }
        turn.waits = false;
        turn.may = turn.may.saturating_sub(1);
        Ok(())
    }
}

impl Slow {
    /// Allows a number of page reads; returns whether it then waits for more. Blocking.
    fn reads(&self, pages: usize) -> bool {
        let mut turn = self.turn.lock();
        (turn.may, turn.waits) = (pages, false);
        self.moved.notify_all();
        while !turn.waits && !turn.is_quick {
            let waited = self.moved.wait_for(&mut turn, PATIENCE);
            assert!(!waited.timed_out(), "the start neither reads nor ends");
        }
        !turn.is_quick
    }

    /// From now on the disk is fast.
    fn is_mended(&self) {
        self.turn.lock().is_quick = true;
        self.moved.notify_all();
    }
}

/// Makes the disk fast on drop, because a failing test would otherwise wait for it forever.
struct Mends(Arc<Slow>);

impl Drop for Mends {
    fn drop(&mut self) {
        self.0.is_mended();
    }
}

/// Copies a folder, except for a running program's own files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let (kind, to) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// Whether redb has to recover a file before opening it. Tests a copy.
fn needs_recovery(file: &Path) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, needs) = (folder.path().join("copy.redb"), Arc::new(AtomicBool::new(false)));
    fs::copy(file, &own).expect("a copy");
    let seen = Arc::clone(&needs);
    let mut builder = redb::Database::builder();
    builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
    builder.open(&own).expect("it opens");
    needs.load(Ordering::Relaxed)
}

/// Copies the folder of a working program as a kill would leave it.
async fn as_a_kill_leaves_it(hq: &TestHq, to: &Path) {
    let (store, mut n) = (Path::new("workspaces/marlow-cargo/hq.redb"), 0);
    // A commit while idle makes the recovery short; on a slow machine one may happen in between.
    loop {
        n += 1;
        let api = hq.owner();
        let made = api.post("/api/v1/tasks", &json!({ "title": format!("Load {n}") })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let (from, to) = (hq.data(), to.to_owned());
        let copied = to.clone();
        // Blocks all other writes meanwhile.
        let ws = hq.ws();
        let write = ws.write(&BY, move |_| {
            copy(&from, &copied);
            Ok::<_, store::StoreError>(())
        });
        write.await.expect("a copy");
        if needs_recovery(&to.join(store)) {
            return;
        }
        assert!(n < 50, "every copy was made in quiet time");
        fs::remove_dir_all(&to).expect("a copy of ours");
    }
}

/// What the page shows: the text, and the progress.
fn told(page: &str) -> (String, Option<u64>) {
    let page = Html::parse_document(page);
    let css = |text| Selector::parse(text).expect("a selector");
    let words = page.select(&css("body")).flat_map(|one| one.text()).collect::<String>();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let bar = css("progress");
    let done = page.select(&bar).next().and_then(|bar| bar.attr("value")?.parse().ok());
    (words, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_that_recovers_a_store_says_so_with_its_progress() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let left = folder.path().join("left");
    let before = TestHq::start().await;
    as_a_kill_leaves_it(&before, &left).await;
    let titles = |list: &Value| list["items"].as_array().map_or(0, Vec::len);
    let wanted = titles(&before.owner().get("/api/v1/tasks?limit=100").await.json());

    // The page is requested before the program could announce its address.
    let address = support::free_address();
    let slow = Arc::new(Slow::default());
    let _mends = Mends(Arc::clone(&slow));
    let place = Arc::new(OnceLock::new());
    let placed = Arc::clone(&place);
    let setup = Setup::default()
        .config(move |config| config.listen = address)
        .faults(Arc::clone(&slow) as Arc<dyn Faults>)
        .data(move |data| {
            copy(&left, data);
            placed.set(data.to_owned()).expect("one start");
        });
    let start = async {
        let hq = setup.unowned().await;
        slow.is_mended();
        hq
    };
    let look = async {
        let client = reqwest::Client::new();
        let get = |path: &str| client.get(format!("http://{address}{path}")).send();
        let mut seen: Vec<(String, Option<u64>)> = Vec::new();
        loop {
            let disk = Arc::clone(&slow);
            let waits = tokio::task::spawn_blocking(move || disk.reads(1)).await;
            assert!(
                waits.expect("no panic"),
                "it was there before it said that it recovers: {seen:?}"
            );
            let page = get("/").await.expect("the starting page");
            assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(page.headers().contains_key("retry-after"));
            let now = told(&page.text().await.expect("a page"));
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            let ours = |(words, done): &&(String, Option<u64>)| {
                words.contains("marlow-cargo was not closed well") && done.is_some()
            };
            if !seen.iter().any(|one| ours(&one)) {
                continue;
            }
            assert_eq!(get("/healthz").await.expect("an answer").status(), StatusCode::OK);
            for path in ["/readyz", "/api/v1/tasks"] {
                let api = get(path).await.expect("an answer");
                assert_eq!(api.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
                assert!(api.headers().contains_key("retry-after"), "{path}");
                let body: Value = api.json().await.expect("JSON");
                let text = body.to_string();
                assert_eq!(body["code"], "starting", "{text}");
                assert!(text.contains("marlow-cargo") && text.contains("% done"), "{text}");
            }
            // So does the socket: a command is not told that no program is running or that it hangs.
            let data: PathBuf = place.get().cloned().expect("its folder");
            let asked = ["status", "store stats", "task list"].map(|words| {
                let words: Vec<&str> = words.split(' ').collect();
                let output = run(Path::new(BINARY), &data, &words);
                assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
                String::from_utf8_lossy(&output.stderr).into_owned()
            });
            for said in asked {
                assert!(said.contains("starting") && said.contains("marlow-cargo"), "{said}");
            }
            slow.is_mended();
            return seen;
        }
    };
    let (hq, seen) = tokio::join!(start, look);
    let ours = seen.iter().filter(|(words, _)| words.contains("marlow-cargo"));
    let shares: Vec<u64> = ours.filter_map(|(_, done)| *done).collect();
    assert!(shares.is_sorted() && shares.iter().all(|share| *share < 100), "{seen:?}");

    let mira = before.owner().back_at(&hq);
    assert_eq!(mira.get("/readyz").await.status, StatusCode::OK);
    let list = mira.get("/api/v1/tasks?limit=100").await;
    assert_eq!(titles(&list.json()), wanted, "{}", list.text);
    hq.finish().await;
    before.finish().await;
}
