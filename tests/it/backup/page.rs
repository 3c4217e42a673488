//! Backup page and API: run now, settings with all errors at once, schedule, restore drill, rights.

use std::fs;
use std::time::Duration;

use app::Broken;
use backup::BackupError;
use features::backups::job::{self, BackupRequest};
use features::backups::model::{BackupRun, Deed, Outcome, Trigger};
use features::backups::queries;
use features::backups::rules::{self, BackupsError, Ended};
use features::notifications::model::Notification;
use kernel::{Actor, Cause, NoticeKind, Part, Role, Via};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, WriteTx};

use support::hq::{Person, Setup, TestHq};
use support::work;

pub const PAGE: &str = "/w/marlow-cargo/settings/backups";

/// Waits until a job has run `count` times.
pub async fn done(hq: &TestHq, deed: Deed, count: usize) -> Vec<BackupRun> {
    let system = &hq.running().app.system;
    let mut feed = system.watch();
    loop {
        let runs = system.read(|snap| queries::runs(snap, 100)).expect("runs");
        let of: Vec<_> = runs.into_iter().filter(|run| run.deed == deed).collect();
        let is_free = hq.running().app.backups.busy().is_none();
        if of.len() >= count && is_free && of.iter().all(|run| run.outcome != Outcome::Running) {
            return of;
        }
        let changed = tokio::time::timeout(Duration::from_secs(20), feed.changed()).await;
        changed.unwrap_or_else(|_| panic!("{deed:?} was not done {count} times")).expect("open");
    }
}

pub async fn settings(api: &Person, change: impl FnOnce(&mut Value)) -> Value {
    let mut body = api.get("/api/v1/backups/settings").await.json();
    change(&mut body);
    let saved = api.json("PUT", "/api/v1/backups/settings", &body).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    saved.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_agents_that_hold_keys_are_named_since_backups_have_them() {
    const KEY: &str = "ghp_abcdefghijklmnopqrstuvwx";
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    let (api, owner) = (hq.api().await, hq.owner());
    let secret = json!({ "name": "Mail", "value": "zebra-canary-0123456789" });
    assert_eq!(api.post("/api/v1/secrets", &secret).await.status, 201);
    let folder = hq.ws().agent_folder("ada");
    fs::write(folder.join(".env"), "A=1\nMAIL=zebra-canary-0123456789\n").expect("a file");
    fs::create_dir_all(folder.join("notes")).expect("a folder");
    fs::write(
        folder.join("notes/keys.md"),
        format!("{KEY}\na {KEY}\nb\n{}", format!("{KEY}\n").repeat(9)),
    )
    .expect("a file");
    let before = api.get("/api/v1/health").await;
    assert!(before.text.contains("not checked since start-up"), "{}", before.text);

    assert_eq!(api.post("/api/v1/backups", &json!({ "deed": "backup" })).await.status, 202);
    done(&hq, Deed::Backup, 1).await;
    let jobs = &hq.running().app.jobs;
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while jobs.state("marlow-cargo", "keys_in_files").is_none_or(|state| state.ended.is_none()) {
        assert!(tokio::time::Instant::now() < end, "it is looked through in time");
        tokio::task::yield_now().await;
    }
    let health = api.get("/api/v1/health").await;
    let named = "2 files contain a key or secret in plain text, as do backups and exports: ada: \
                 .env (line 2); ada: notes/keys.md (lines 1, 2, 4, 5, 6 and 6 more)";
    assert!(health.text.contains(named), "{}", health.text);
    assert!(!health.text.contains("canary") && !health.text.contains(KEY), "{}", health.text);
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("2 agent files contain a key or secret"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_starts_at_once_one_works_and_the_other_leaves_no_trace() {
    let hq = TestHq::start().await;
    let app = hq.running().app.clone();
    let start = || job::start(&app, BackupRequest::commanded(Deed::Backup));
    let (one, other) = tokio::join!(start(), start());
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(refused[..], [BackupsError::Backup(BackupError::Busy { .. })]), "{refused:?}");
    let runs = done(&hq, Deed::Backup, 1).await;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].outcome, runs[0].note.as_deref()), (Outcome::Done, None));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_begins_touches_none_that_is_at_work() {
    let hq = TestHq::start().await;
    let system = hq.running().app.system.clone();
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let now = hq.now();
    let begin = |deed| {
        let place = String::new();
        let write =
            move |tx: &mut WriteTx<'_>| rules::begin(tx, deed, Trigger::Schedule, place, now);
        system.write(by.0, by.1, write)
    };
    let first = begin(Deed::Backup).await.expect("a row");
    begin(Deed::Drill).await.expect("another row");
    let row = system.read(|snap| queries::run(snap, first.id)).expect("a read").expect("the row");
    assert_eq!(row.outcome, Outcome::Running);
    drop(system);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_by_a_person_says_through_what_and_by_which_request() {
    let hq = TestHq::start().await;
    hq.owner().form(&format!("{PAGE}/run"), &[]).await;
    let program = hq.api().await;
    done(&hq, Deed::Backup, 1).await;
    let begun = program.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    done(&hq, Deed::Backup, 2).await;
    let system = &hq.running().app.system;
    let entries = system.entries_after(0, 1_000).expect("the feed");
    let table = system.schema().named("backup_runs").expect("a table").number;
    let made = |entry: &&std::sync::Arc<store::Entry>| {
        entry.changes.iter().any(|one| one.table == table && one.op == store::Op::Insert)
    };
    let ways: Vec<_> = entries.iter().filter(made).map(|one| (one.actor, one.cause)).collect();
    let [(page, why), (api, because)] = ways[..] else { panic!("{ways:?}") };
    assert!(matches!(page, Actor::Person { via: Via::SignIn(_), .. }), "{page:?}");
    assert!(matches!(api, Actor::Person { via: Via::Token(_), .. }), "{api:?}");
    assert!(
        matches!((why, because), (Cause::Request(_), Cause::Request(_))),
        "{why:?} {because:?}"
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_workspace_cannot_be_opened_only_who_keeps_hq_sees_to_backups() {
    let hq = Setup::default().anew().start().await;
    let (owner, other) = (hq.owner(), hq.another("Olga", Some(Role::Owner)).await);
    assert_eq!(owner.get("/api/v1/backups").await.status, 200);
    assert_eq!(other.get("/api/v1/backups").await.status, 200);
    let broken = Broken {
        slug: "northwind".to_owned(),
        reason: "it is damaged".to_owned(),
        restore: true,
        people: Vec::new(),
    };
    hq.running().app.broken.write().push(broken);
    assert_eq!(owner.get("/api/v1/backups").await.status, 200, "a backup is to bring it back");
    let refused = other.get("/api/v1/backups").await;
    assert_eq!(refused.json()["code"], "not_all_workspaces", "{}", refused.text);
    hq.running().app.broken.write().clear();
    assert_eq!(other.get("/api/v1/backups").await.status, 200);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_made_from_the_page_and_checked_there() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let page = owner.get(PAGE).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("No backups yet") && page.text.contains("same disk"));
    assert!(page.text.contains("never contain the master key"), "{}", page.text);
    let asked = owner.form(&format!("{PAGE}/run"), &[]).await;
    assert_eq!(asked.location(), Some(PAGE));
    let made = done(&hq, Deed::Backup, 1).await;
    let id = made[0].backup.clone().expect("a backup");
    owner.form(&format!("{PAGE}/{id}/verify"), &[]).await;
    done(&hq, Deed::Verify, 1).await;
    let page = owner.get(PAGE).await;
    assert!(page.text.contains(&id) && page.text.contains("Intact"), "{}", page.text);
    owner.form(&format!("{PAGE}/drill"), &[]).await;
    let drill = done(&hq, Deed::Drill, 1).await;
    let note = drill[0].note.clone().unwrap_or_default();
    assert_eq!(drill[0].outcome, Outcome::Done, "{note}");
    assert!(note.contains("1 workspaces opened") && note.contains("rows"), "{note}");
    assert!(!hq.data().join("backups/drill").exists());
    hq.finish().await;
}

/// Changes a byte of every chunk.
fn damage(hq: &TestHq) {
    let chunks = hq.data().join("backups/local/chunks");
    for shelf in fs::read_dir(&chunks).expect("pieces") {
        for piece in fs::read_dir(shelf.expect("a shelf").path()).expect("a shelf") {
            let path = piece.expect("a piece").path();
            let mut bytes = fs::read(&path).expect("a piece");
            bytes[20] ^= 1;
            fs::write(&path, bytes).expect("a piece");
        }
    }
}

/// Notices about backups, newest first.
async fn told(person: &Person) -> Vec<(String, String)> {
    let items = person.get("/api/v1/notifications").await.json()["items"].clone();
    let items = items.as_array().expect("a list").clone();
    let of_backups = items.iter().filter(|one| one["kind"] == "backup_failed");
    let text = |one: &Value, field: &str| one[field].as_str().expect("words").to_owned();
    of_backups.map(|one| (text(one, "title"), text(one, "body"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_after_a_workspace_is_told_of_a_failure_once_for_all_in_a_row() {
    let mut hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let app = hq.running().app.clone();
    let run = |deed| job::run(&app, BackupRequest::commanded(deed));
    run(Deed::Backup).await.expect("a backup");
    assert!(told(&mira).await.is_empty());
    damage(&hq);
    for _ in 0..2 {
        run(Deed::Drill).await.expect_err("it is damaged");
        let told = told(&mira).await;
        let [(title, why)] = &told[..] else { panic!("once: {told:?}") };
        assert_eq!(title, "Restore drill failed");
        assert!(!why.is_empty() && !why.contains("Whoever"), "{why}");
    }
    assert!(told(&tom).await.is_empty(), "who looks after nothing is not told");
    // A success followed by a new failure gives a new notice.
    run(Deed::Backup).await.expect("it is written anew");
    run(Deed::Drill).await.expect("it can be restored");
    hq.advance(Duration::from_secs(3_600)).await;
    damage(&hq);
    run(Deed::Drill).await.expect_err("it is damaged");
    assert_eq!(told(&mira).await.len(), 2);

    // An interrupted job is reported at the next start; within minutes it would be merged with the drill's notice.
    hq.advance(Duration::from_secs(3_600)).await;
    let (by, now) = ((Actor::System(Part::Timer), Cause::Timer), hq.now());
    let begin = move |tx: &mut WriteTx<'_>| {
        rules::begin(tx, Deed::Backup, Trigger::Schedule, String::new(), now)
    };
    app.system.write(by.0, by.1, begin).await.expect("a row");
    drop(app);
    hq.restart().await;
    let (ws, mira) = (hq.ws(), hq.owner());
    let mut feed = ws.store.watch();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            feed.borrow_and_update();
            if told(&mira).await.iter().any(|(title, _)| title == "Backup failed") {
                return;
            }
            feed.changed().await.expect("the store is open");
        }
    });
    waited.await.expect("told in time");
    assert_eq!(told(&mira).await.len(), 3);
    drop(ws);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_shows_on_the_page_and_in_the_api_until_it_is_mended() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    api.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    done(&hq, Deed::Backup, 1).await;
    damage(&hq);
    let asked = api.post("/api/v1/backups", &json!({ "deed": "drill" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let drill = done(&hq, Deed::Drill, 1).await;
    assert_eq!(drill[0].outcome, Outcome::Failed);
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("Restore drill failed"), "{}", page.text);
    assert!(page.text.contains("Damaged"), "the backup itself is shown as damaged");
    work::agent(&hq, "Ada").await;
    let home = owner.get("/w/marlow-cargo/").await;
    assert!(home.text.contains("Restore drill failed"), "the dashboard says so");
    let list = api.get("/api/v1/backups").await.json();
    assert!(list["trouble"]["note"].as_str().expect("words").contains("damaged"), "{list}");
    // The next backup writes damaged chunks again.
    for deed in [Deed::Backup, Deed::Drill] {
        api.post("/api/v1/backups", &json!({ "deed": deed })).await;
        done(&hq, deed, 2).await;
    }
    assert_eq!(api.get("/api/v1/backups").await.json()["trouble"], Value::Null);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_was_missed_is_made_up_for_once_and_old_ones_go() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    settings(&api, |body| {
        (body["daily"], body["weekly"], body["monthly"]) = (2.into(), 0.into(), 0.into());
    })
    .await;
    let next = api.get("/api/v1/backups").await.json()["next_at"].clone();
    assert_eq!(next, "2026-11-21T02:30:00Z", "03:30 in Berlin");
    hq.advance(Duration::from_secs(15 * 3600)).await;
    done(&hq, Deed::Backup, 1).await;
    hq.advance_unnoticed(Duration::from_secs(5 * 86_400));
    hq.restart().await;
    let runs = done(&hq, Deed::Backup, 2).await;
    assert_eq!(runs.len(), 2, "five days were missed, one backup makes up for them");
    for n in 3..5 {
        hq.advance(Duration::from_secs(86_400)).await;
        done(&hq, Deed::Backup, n).await;
    }
    let kept = hq.running().app.system.read(|snap| queries::kept(snap)).expect("a list");
    assert_eq!(kept.len(), 2, "two days are kept");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_that_are_made_by_hand_are_tried_once_a_week_where_they_lie() {
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    let hq = TestHq::start().await;
    let disks = tempfile::tempdir().expect("disks");
    let (place, away) = (disks.path().join("usb"), disks.path().join("drawer"));
    let target = place.display().to_string();
    settings(&hq.api().await, |body| {
        (body["schedule"], body["target"]) = ("off".into(), target.clone().into());
    })
    .await;
    let app = hq.running().app.clone();
    let due = || {
        let due = app.system.read(|snap| queries::next_drill(snap, &target, hq.now()));
        due.expect("a read")
    };
    assert_eq!(due(), None, "there is nothing to try");
    let made = job::run(&app, BackupRequest::commanded(Deed::Backup)).await.expect("a backup");
    let week = jiff::SignedDuration::from_hours(7 * 24);
    assert_eq!(due(), Some(made.started_at + week));
    hq.advance(WEEK).await;
    let drills = done(&hq, Deed::Drill, 1).await;
    assert_eq!((drills[0].outcome, drills[0].trigger), (Outcome::Done, Trigger::Schedule));
    assert_eq!(drills[0].backup, made.backup);

    // A backup that is due while its disk is away is no failure, and is made up for.
    fs::rename(&place, &away).expect("unmounted");
    hq.advance(WEEK).await;
    assert!(!queries::lies_there(&app).expect("a look"));
    assert!(due().is_some_and(|at| at <= hq.now()));
    fs::rename(&away, &place).expect("mounted");
    hq.advance(Duration::from_secs(60)).await;
    let drills = done(&hq, Deed::Drill, 2).await;
    assert!(drills.iter().all(|run| run.outcome == Outcome::Done), "{drills:?}");
    assert_eq!(drills.len(), 2);
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_far_ahead_and_is_set_back_puts_no_backup_off() {
    const LONG: Duration = Duration::from_secs(400 * 86_400);
    let hq = TestHq::start().await;
    let api = hq.api().await;
    settings(&api, |_| {}).await;
    hq.advance(Duration::from_secs(15 * 3600)).await;
    done(&hq, Deed::Backup, 1).await;
    hq.advance(LONG).await;
    done(&hq, Deed::Backup, 2).await;
    hq.set_back(LONG).await;
    // The session has expired after more than a year.
    let app = &hq.running().app;
    let next = || {
        let next = app.system.read(|snap| {
            let settings = queries::settings(snap)?;
            queries::next_backup(snap, &settings, &queries::zone(app, &settings), hq.now())
        });
        next.expect("a readable store").expect("a schedule").to_string()
    };
    assert_eq!(next(), "2026-11-22T02:30:00Z", "the next night by this clock");
    hq.advance(Duration::from_secs(86_400)).await;
    let runs = done(&hq, Deed::Backup, 3).await;
    assert!(runs.iter().all(|run| run.outcome == Outcome::Done), "{runs:?}");
    assert_eq!((next().as_str(), runs.len()), ("2026-11-23T02:30:00Z", 3), "and once each night");
    hq.finish().await;
}

/// Number of failure notices to administrators.
fn times_told(hq: &TestHq) -> usize {
    let all = hq.ws().store.read(|snap| snap.list::<Notification>(&Range::all()));
    let all = all.expect("what was told");
    all.iter().filter(|one| one.kind == NoticeKind::BackupFailed).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_under_a_clock_that_ran_ahead_hides_nothing_that_comes_after() {
    // Before a drill is due.
    const AHEAD: Duration = Duration::from_secs(6 * 86_400);
    let mut hq = TestHq::start().await;
    settings(&hq.api().await, |body| body["schedule"] = "off".into()).await;
    let app = hq.running().app.clone();
    let run = |deed| job::run(&app, BackupRequest::commanded(deed));
    run(Deed::Backup).await.expect("a backup");
    hq.advance(AHEAD).await;
    damage(&hq);
    run(Deed::Drill).await.expect_err("it is damaged");
    assert_eq!(times_told(&hq), 1);
    drop(app);

    // The clock is right again; later records have earlier times and ids.
    hq.set_back(AHEAD).await;
    hq.restart().await;
    let app = hq.running().app.clone();
    let run = |deed| job::run(&app, BackupRequest::commanded(deed));
    let trouble = || {
        let place = queries::usual_place(&app).expect("a place");
        let trouble = app.system.read(|snap| queries::trouble(snap, &place));
        trouble.expect("a read").map(|run| run.deed)
    };
    assert_eq!(trouble(), Some(Deed::Drill));
    run(Deed::Backup).await.expect("it is written anew");
    run(Deed::Drill).await.expect("it can be restored");
    assert_eq!(trouble(), None, "the last one went well");
    let proof = app.system.read(|snap| queries::proof(snap)).expect("a read");
    assert_eq!(proof.and_then(|run| run.proof()), Some(true));
    damage(&hq);
    run(Deed::Drill).await.expect_err("it is damaged");
    assert_eq!((trouble(), times_told(&hq)), (Some(Deed::Drill), 2), "that is news");
    run(Deed::Drill).await.expect_err("it is damaged still");
    assert_eq!(times_told(&hq), 2, "once for all in a row");
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_backup_and_the_last_drill_are_told_however_much_was_done_since() {
    let hq = TestHq::start().await;
    let app = hq.running().app.clone();
    for deed in [Deed::Backup, Deed::Drill] {
        job::run(&app, BackupRequest::commanded(deed)).await.expect("it works");
    }
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let now = hq.now();
    let many = move |tx: &mut WriteTx<'_>| {
        for _ in 0..30 {
            let run = rules::begin(tx, Deed::Verify, Trigger::Schedule, String::new(), now)?;
            rules::end(tx, run.id, Ok(Ended::default()))?;
        }
        Ok::<_, BackupsError>(())
    };
    app.system.write(by.0, by.1, many).await.expect("rows");
    let page = hq.owner().get(PAGE).await;
    assert!(!page.text.contains("none yet"), "{}", page.text);
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_gone_is_told_and_tried_again() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let disk = tempfile::tempdir().expect("a disk");
    let place = disk.path().join("not-a-folder");
    fs::write(&place, "in the way").expect("a file");
    settings(&api, |body| body["target"] = place.display().to_string().into()).await;
    hq.advance(Duration::from_secs(15 * 3600)).await;
    let failed = done(&hq, Deed::Backup, 1).await;
    let note = failed[0].note.clone().unwrap_or_default();
    assert!(note.contains("nothing was lost, check it and try again"), "{note}");
    assert!(owner.get(PAGE).await.text.contains("Backup failed"));
    fs::remove_file(&place).expect("it was there");
    hq.advance(Duration::from_secs(3601)).await;
    let mended = done(&hq, Deed::Backup, 2).await;
    assert_eq!(mended[0].outcome, Outcome::Done, "{:?}", mended[0].note);
    assert!(!owner.get(PAGE).await.text.contains("Backup failed"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_faults_of_the_settings_are_shown_at_once_and_secrets_never() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let good = [("schedule", "daily"), ("zone", ""), ("weekly", "4"), ("monthly", "6")];
    let bad = [
        ("time", "25 past"),
        ("daily", "many"),
        ("target", "sftp://host"),
        ("encrypt", "on"),
        ("passphrase", "short"),
    ];
    let reply = owner.form(PAGE, &[&good[..], &bad[..]].concat()).await;
    assert_eq!(reply.status, 422);
    for words in [
        "Write the time as 9:30",
        "Enter a number",
        "at least 12 characters",
        "only folders and s3:// addresses are supported",
    ] {
        assert!(reply.text.contains(words), "{words}: {}", reply.text);
    }
    let words = "three boats in a quiet harbour";
    let more = [("time", "04:15"), ("daily", "7"), ("encrypt", "on"), ("passphrase", words)];
    let bad = [&good[..], &more[..], &[("target", "s3://x?region=y")]].concat();
    let reply = owner.form(PAGE, &bad).await;
    assert_eq!(reply.status, 422);
    for words in ["Enter the bucket&#39;s access key", "Enter the bucket&#39;s secret key"] {
        assert!(reply.text.contains(words), "{words}");
    }
    let fine = [&good[..], &more[..]].concat();
    let reply = owner.form(PAGE, &fine).await;
    assert_eq!(reply.location(), Some(PAGE), "{}", reply.text);
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("04:15") && !page.text.contains(words));
    // The passphrase of the settings opens the backups.
    owner.form(&format!("{PAGE}/run"), &[]).await;
    let made = done(&hq, Deed::Backup, 1).await;
    assert_eq!(made[0].outcome, Outcome::Done, "{:?}", made[0].note);
    let head = fs::read_to_string(hq.data().join("backups/local/hq-backups.json")).expect("a head");
    assert!(head.contains("\"key\""), "{head}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_administers_every_workspace_sees_backups() {
    let hq = TestHq::start().await;
    let member = hq.another("Eve", Some(Role::Member)).await;
    assert_eq!(member.get(PAGE).await.status, 403);
    let admin = hq.another("Ada", Some(Role::Admin)).await;
    assert!(admin.get(PAGE).await.text.contains("Schedule and target"));
    hq.finish().await;
}
