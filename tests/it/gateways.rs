//! Gateways: joining, downloads of the join command, notices to people.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crypto::token::{Token, TokenKind};
use features::runs::model::Run;
use features::usage::model::Usage;
use gateways::error::GatewayError;
use gateways::health::Health;
use gateways::lately::Lately;
use gateways::model::{Beat, Facts, Gateway, GatewayToken, Load, Status, local};
use gateways::queries;
use gateways::rules::{self, Judgement, NewToken, Refusal};
use kernel::{Actor, Cause, GatewayId, Part, Role, RunId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt as _, Record as _, StoreError};
use support::hq::{OWNER, Person, Setup, TestHq};
use support::model::{Tokens, Turn};
use support::office::Office;
use support::work;

use super::hosts::until;

const ALL: &str = "/api/v1/gateways";
const TOKENS: &str = "/api/v1/gateways/tokens";
const PAGES: &str = "/w/marlow-cargo/settings/gateways";
const MINE: [u8; 32] = [7; 32];
const OTHER: [u8; 32] = [8; 32];
/// Actor of admission decisions, who gets no notices.
const LINK: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

async fn act<T: Send + 'static>(
    hq: &TestHq,
    body: impl FnOnce(&mut store::WriteTx<'_>) -> Result<T, GatewayError> + Send + 'static,
) -> T {
    hq.ws().write(&work::owner(hq), body).await.expect("it is done")
}

async fn token(hq: &TestHq, label: &str) -> (Token, GatewayToken) {
    let token = Token::issue(TokenKind::Gateway);
    let new = NewToken {
        public: token.id().to_owned(),
        hash: token.hash(),
        label: label.to_owned(),
        labels: vec!["gpu".to_owned()],
        minutes: None,
    };
    let made = act(hq, move |tx| rules::mint(tx, new)).await;
    (token, made)
}

async fn join(hq: &TestHq, token: &Token, key: [u8; 32]) -> Judgement {
    let again = Token::parse(TokenKind::Gateway, token.reveal()).expect("a token");
    let judge =
        move |tx: &mut store::WriteTx<'_>| rules::judge_join(tx, &again, key, &Facts::default());
    hq.ws().write(&LINK, judge).await.expect("it is judged")
}

async fn joined(hq: &TestHq, label: &str, key: [u8; 32]) -> GatewayId {
    let (token, _) = token(hq, label).await;
    match join(hq, &token, key).await {
        Judgement::Welcome { gateway, .. } => gateway,
        Judgement::Refused(why) => panic!("{why}"),
    }
}

async fn titles(person: &Person) -> Vec<String> {
    let all = person.get("/api/v1/notifications").await.json();
    let all = all["items"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| one["title"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_one_machine_in_and_another_one_raises_an_alarm_once() {
    let hq = TestHq::start().await;
    let (first, made) = token(&hq, "Workshop NAS").await;
    let Judgement::Welcome { gateway, is_new: true } = join(&hq, &first, MINE).await else {
        panic!("it is let in");
    };
    let again = Judgement::Welcome { gateway, is_new: false };
    assert_eq!(join(&hq, &first, MINE).await, again, "the same key, the same answer");
    for _ in 0..2 {
        let refused = Judgement::Refused(Refusal::UsedToken);
        assert_eq!(join(&hq, &first, OTHER).await, refused);
    }
    let row: GatewayToken = hq.ws().read(|snap| queries::token_by_id(snap, made.id)).expect("it");
    assert_eq!((row.refused, row.gateway), (2, Some(gateway)));
    let all: Vec<Gateway> = work::all(&hq);
    assert_eq!(all.len(), 1, "nobody else became one");
    assert_eq!(all[0].slug, "workshop-nas");
    assert_eq!(all[0].labels, ["gpu"]);
    // The second alarm is counted, without another notice.
    assert_eq!(titles(&hq.owner()).await, ["Another machine tried to join as Workshop NAS"]);
    // A second token of a known machine creates no second gateway.
    let (second, _) = token(&hq, "Another name").await;
    assert_eq!(join(&hq, &second, MINE).await, again);
    // A duplicate name gets a number.
    joined(&hq, "Workshop NAS", OTHER).await;
    let slugs = hq.ws().read(|snap| queries::gateways(snap)).expect("all");
    let slugs: Vec<&str> = slugs.iter().map(|one| one.slug.as_str()).collect();
    assert_eq!(slugs, ["local", "workshop-nas", "workshop-nas-2"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_over_withdrawn_or_unknown_lets_nobody_in() {
    let hq = TestHq::start().await;
    let refused = |why| Judgement::Refused(why);
    let strange = Token::issue(TokenKind::Gateway);
    assert_eq!(join(&hq, &strange, MINE).await, refused(Refusal::UnknownToken));
    let (late, _) = token(&hq, "Late").await;
    let (used, _) = token(&hq, "Used").await;
    assert!(matches!(join(&hq, &used, OTHER).await, Judgement::Welcome { .. }));
    hq.advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(join(&hq, &late, MINE).await, refused(Refusal::ExpiredToken));
    let same = join(&hq, &used, OTHER).await;
    assert!(matches!(same, Judgement::Welcome { is_new: false, .. }), "a re-run after the time");
    let (gone, row) = token(&hq, "Gone").await;
    act(&hq, move |tx| rules::revoke_token(tx, row.id)).await;
    assert_eq!(join(&hq, &gone, MINE).await, refused(Refusal::RevokedToken));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_machine_is_let_in_by_its_key_until_it_is_revoked_or_removed() {
    let hq = TestHq::start().await;
    let id = joined(&hq, "GPU", MINE).await;
    let judge = |key| act(&hq, move |tx| rules::judge_known(tx, id, key));
    assert_eq!(judge(MINE).await, Judgement::Welcome { gateway: id, is_new: false });
    assert_eq!(judge(OTHER).await, Judgement::Refused(Refusal::OtherKey));
    let one: Gateway = hq.ws().read(|snap| queries::gateway_by_id(snap, id)).expect("it");
    assert!(one.strange_at.is_some(), "a strange key is on record");
    act(&hq, move |tx| rules::revoke(tx, id)).await;
    assert_eq!(judge(MINE).await, Judgement::Refused(Refusal::RevokedGateway));
    let (fresh, _) = token(&hq, "GPU").await;
    assert_eq!(join(&hq, &fresh, MINE).await, Judgement::Refused(Refusal::RevokedGateway));
    let (ws, by) = (hq.ws(), work::owner(&hq));
    let beat = ws.write(&by, move |tx| rules::beat(tx, id, &Load::default()));
    assert!(beat.await.is_err(), "nothing is taken from it");
    act(&hq, move |tx| rules::remove(tx, id)).await;
    assert_eq!(judge(MINE).await, Judgement::Refused(Refusal::UnknownGateway));
    let beats: Vec<Beat> = work::all(&hq);
    assert!(beats.is_empty(), "what it said went with it: {beats:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_of_five_minutes_is_told_and_so_is_the_return_but_not_a_goodbye() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let id = joined(&hq, "Workshop", MINE).await;
    let by = (Actor::Gateway(id), Cause::Timer);
    let ws = hq.ws();
    let beat = || ws.write(&by, move |tx| rules::beat(tx, id, &Load::default()));
    let standing = || {
        let now = hq.now();
        let read = ws.read(|snap| {
            let one = queries::gateway_by_id(snap, id)?;
            Ok::<_, GatewayError>(queries::standing(snap, &one, now)?)
        });
        read.expect("it")
    };
    assert_eq!(standing().health, Health::NoSignal);
    ws.write(&by, move |tx| rules::hello(tx, id, &Facts::default())).await.expect("let in");
    let before = ws.store.head().seq;
    beat().await.expect("heard");
    assert_eq!(ws.store.head().seq, before, "a beat stands in no feed");
    hq.advance(Duration::from_secs(91)).await;
    assert_eq!(standing().health, Health::Stale);
    hq.advance(Duration::from_secs(4 * 60)).await;
    until("the silence is not told", async || !titles(&owner).await.is_empty()).await;
    assert_eq!(titles(&owner).await, ["Workshop has been offline for 5 minutes"]);
    beat().await.expect("heard");
    assert_eq!(titles(&owner).await[0], "Workshop is back online");
    assert_eq!(standing().health, Health::Healthy);
    ws.write(&by, move |tx| rules::goodbye(tx, id)).await.expect("heard");
    hq.advance(Duration::from_secs(60 * 60)).await;
    assert_eq!(standing().health, Health::Sleeping);
    let began = hq.now() - jiff::SignedDuration::from_hours(9);
    assert!(!act(&hq, move |tx| rules::tell_silence(tx, id, began)).await, "no alarm");
    assert_eq!(titles(&owner).await.len(), 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_is_one_like_any_other_and_stays() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    work::agent(&hq, "Ada").await;
    let all = api.get(ALL).await.json();
    let here = &all["items"][0];
    assert_eq!((&here["slug"], &here["label"]), (&json!("local"), &json!("This machine")), "{all}");
    assert_eq!((&here["health"], &here["local"]), (&json!("healthy"), &json!(true)));
    assert_eq!(here["agents"], json!(["ada"]));
    assert!(0 < here["load"]["disk_total"].as_u64().expect("a disk"), "{here}");
    let body =
        json!({ "label": "Office", "labels": ["Region=EU"], "address": "https://hq.example.com" });
    let changed = api.json("PATCH", &format!("{ALL}/local"), &body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let changed = changed.json();
    assert_eq!((&changed["slug"], &changed["labels"]), (&json!("local"), &json!(["region=eu"])));
    for (field, wrong) in [
        ("label", json!("")),
        ("label", json!("x".repeat(81))),
        ("labels", json!(["no label"])),
        ("address", json!("javascript:alert(1)")),
    ] {
        let refused = api.json("PATCH", &format!("{ALL}/local"), &json!({ field: wrong })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.text);
        assert!(refused.text.contains(field), "{}", refused.text);
    }
    for refused in [
        api.call("DELETE", &format!("{ALL}/local")).await,
        api.post(&format!("{ALL}/local/pause"), &json!({})).await,
        api.post(&format!("{ALL}/local/revoke"), &json!({})).await,
    ] {
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    }
    assert_eq!(api.get(&format!("{ALL}/nowhere")).await.status, StatusCode::NOT_FOUND);
    let member = hq.another("Tom", Some(Role::Member)).await;
    for path in [ALL, TOKENS, PAGES] {
        assert_eq!(member.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    // Without a public address there is no join command; the page says what to set.
    let refused = api.post(TOKENS, &json!({ "label": "GPU" })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("public_url"), "{}", refused.text);
    let page = hq.owner().get(&format!("{PAGES}/new")).await;
    assert!(page.text.contains("public_url") && !page.text.contains("Create command"));
    hq.restart().await;
    let page = hq.owner().get(PAGES).await;
    assert!(page.text.contains("Office") && page.text.contains("Ada"), "{}", page.text);
    let row: Result<_, StoreError> = hq.ws().read(|snap| snap.get::<Gateway>(local()));
    assert!(row.expect("a readable store").is_some());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_changed_paused_and_removed_on_its_page() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let id = joined(&hq, "Workshop", MINE).await;
    act(&hq, move |tx| rules::ready(tx, id)).await;
    let list = owner.get(PAGES).await;
    assert!(
        list.text.contains("Workshop") && list.text.contains("Ready for agents"),
        "{}",
        list.text
    );
    let one = format!("{PAGES}/workshop");
    let page = owner.get(&one).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let typed = [("label", "Yard"), ("labels", "gpu, arm"), ("address", "https://yard.example")];
    assert_eq!(owner.form(&one, &typed).await.status, StatusCode::SEE_OTHER);
    let page = owner.get(&one).await;
    assert!(page.text.contains("Yard") && page.text.contains("https://yard.example"));
    let bad = owner.form(&one, &[("label", "Yard"), ("address", "yard")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.text.contains("Enter an address"), "{}", bad.text);
    let status = || {
        let one = hq.ws().read(|snap| queries::gateway_by_id(snap, id)).expect("it");
        one.status
    };
    assert_eq!(owner.form(&format!("{one}/pause"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(status(), Status::Paused);
    let told = owner.get(PAGES).await.text;
    let undo = told.split('"').find(|word| word.contains("/undo/entry/")).expect("a way back");
    owner.form(undo, &[]).await;
    assert_eq!(status(), Status::Ready, "a pause is taken back");
    let api = hq.api().await;
    let revoked = api.post(&format!("{ALL}/workshop/revoke"), &json!({})).await;
    assert_eq!(revoked.json()["status"], "revoked", "{}", revoked.text);
    let seq = hq.ws().store.head().seq;
    owner.form(&format!("/w/marlow-cargo/undo/entry/{seq}"), &[]).await;
    assert_eq!(status(), Status::Revoked, "whom HQ lets in is not what an undo decides");
    assert_eq!(
        api.post(&format!("{ALL}/workshop/resume"), &json!({})).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(owner.form(&format!("{one}/remove"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(owner.get(&one).await.status, StatusCode::NOT_FOUND);
    // The gateway of the used token is gone, and the list still works.
    let list = owner.get(PAGES).await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.text);
    assert!(!list.text.contains("Joined: Workshop"), "{}", list.text);
    let rows: Vec<GatewayToken> = work::all(&hq);
    let steps = owner.clone().htmx("waits").get(&format!("{PAGES}/tokens/{}", rows[0].id)).await;
    assert_eq!(steps.status, StatusCode::OK, "{}", steps.text);
    assert!(steps.text.contains("Removed. This command"), "{}", steps.text);
    hq.finish().await;
}

/// Mira at an HQ with a public address.
async fn public(address: &'static str) -> (TestHq, Person) {
    let setup = Setup::default().config(move |config| config.public_url = Some(address.to_owned()));
    let hq = setup.start().await;
    let owner = hq.nobody();
    let form = [("email", OWNER.1), ("password", OWNER.2), ("next", "")];
    let signed = owner.form("/login", &form).await;
    assert!(signed.status.is_redirection(), "{}", signed.text);
    (hq, owner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_is_shown_once_and_the_page_walks_with_the_machine() {
    let (hq, owner) = public("https://hq.example.com").await;
    let bad = owner.form(PAGES, &[("label", "GPU"), ("minutes", "4")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.text.contains("Enter 5 to 60 minutes"), "{}", bad.text);
    let form = [("label", "GPU"), ("labels", "gpu"), ("minutes", "15"), ("once", "k1")];
    let made = owner.form(PAGES, &form).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let line = made.text_of("details[open] code");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..6], ["curl", "-fsSL", "https://hq.example.com/join", "|", "sh", "-s"]);
    assert_eq!((words[6], words[7], words[9]), ("--", "--token", "--fingerprint"));
    assert_eq!(words.len(), 11, "nothing else: {line}");
    let secret = words[8];
    assert!(!owner.get(PAGES).await.text.contains(secret), "shown once");
    let twice = owner.form(PAGES, &form).await;
    assert!(
        twice.text.contains("You sent this form twice") && !twice.text.contains("hq_gw_"),
        "{}",
        twice.text
    );
    let rows: Vec<GatewayToken> = work::all(&hq);
    assert_eq!(rows.len(), 1, "one form, one token");
    assert_eq!(made.texts(".waits > li").len(), 4);
    let at = format!("{PAGES}/tokens/{}", rows[0].id);
    let seen =
        async |owner: &Person| owner.clone().htmx("waits").get(&at).await.texts("li[data-done]");
    assert!(seen(&owner).await.is_empty());

    // The machine downloads the program, joins, gets its snapshot, and is ready.
    let program = hq.nobody().with("x-hq-join", secret).call("HEAD", "/join/program").await;
    assert_eq!(program.status, StatusCode::OK);
    assert_eq!(program.header("x-hq-sha256").map(str::len), Some(64));
    assert_eq!(seen(&owner).await.len(), 1);
    let token = Token::parse(TokenKind::Gateway, secret).expect("a token");
    let Judgement::Welcome { gateway, .. } = join(&hq, &token, MINE).await else {
        panic!("it is let in");
    };
    assert_eq!(seen(&owner).await.len(), 2);
    act(&hq, move |tx| rules::snapshot(tx, gateway)).await;
    assert_eq!(seen(&owner).await.len(), 3);
    act(&hq, move |tx| rules::ready(tx, gateway)).await;
    assert_eq!(seen(&owner).await.len(), 4);

    // Wrong tokens are throttled, and a correct one must then wait, too.
    for _ in 0..3 {
        let wrong = hq.nobody().with("x-hq-join", "hq_gw_wrong").get("/join/program").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{}", wrong.text);
    }
    let slowed = hq.nobody().with("x-hq-join", secret).get("/join/program").await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_is_posix_and_a_dry_run_does_nothing() {
    let (hq, _) = public("https://hq.example.com").await;
    let script = hq.nobody().get("/join").await;
    assert_eq!(script.status, StatusCode::OK, "{}", script.text);
    assert!(script.text.starts_with("#!/bin/sh") && !script.text.contains("@HOME@"));
    assert!(script.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let page = hq.nobody().with("accept", "text/html").get("/join").await;
    assert_eq!(page.status, StatusCode::GONE, "who opens it in a browser has no invitation");
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        let mut child = Command::new("sh")
            .args(args)
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = child.stdin.take().expect("a pipe");
        // ok: a shell that exits early closes its input
        let _ = input.write_all(script.text.as_bytes());
        drop(input);
        child.wait_with_output().expect("an end")
    };
    let checked = run(&["-n", "/dev/stdin"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let full =
        ["-s", "--", "--token", "hq_gw_x", "--fingerprint", "7K3M-AAAA", "--labels", "gpu,a=b"];
    let dry = run(&[&full[..], &["--dry-run", "--data", "/nowhere/gw"]].concat());
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.status.success(), "{said} {}", String::from_utf8_lossy(&dry.stderr));
    assert!(said.contains("would fetch: https://hq.example.com/join/program"), "{said}");
    assert!(said.contains("--token-file /nowhere/gw/join.token"), "{said}");
    assert!(!said.contains("hq_gw_x"), "the token stands in no line of a command: {said}");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!((left, std::path::Path::new("/nowhere").exists()), (0, false), "nothing is done");
    for wrong in [
        vec!["-s", "--", "--dry-run"],
        vec!["-s", "--", "--token", "a;b", "--fingerprint", "x", "--dry-run"],
        vec!["-s", "--", "--what"],
    ] {
        let refused = run(&wrong);
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}");
        assert!(!refused.stderr.is_empty());
    }
    // Without a public address, the script prints the reason and exits.
    let private = TestHq::start().await;
    let refusal = private.nobody().get("/join").await;
    assert!(refusal.text.contains("exit 1"), "{}", refusal.text);
    private.finish().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_plain_http_a_machine_joins_by_hand_alone() {
    let (hq, owner) = public("http://10.0.0.7:8080").await;
    let made = owner.form(PAGES, &[("label", "NAS"), ("minutes", "15")]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert!(made.text.contains("join.token") && !made.text.contains("curl"), "{}", made.text);
    let rows: Vec<GatewayToken> = work::all(&hq);
    let script = hq.nobody().get("/join").await;
    assert!(script.text.contains("exit 1"), "{}", script.text);
    let fresh = owner.post(TOKENS, &json!({ "label": "B" })).await;
    assert_eq!(fresh.status, StatusCode::CREATED, "{}", fresh.text);
    let fresh = fresh.json();
    assert_eq!(fresh["command"], json!(null), "{fresh}");
    let secret = fresh["secret"].as_str().expect("a token");
    let program = hq.nobody().with("x-hq-join", secret).get("/join/program").await;
    assert_eq!(program.status, StatusCode::CONFLICT, "{}", program.text);
    // Both show the same workspace key, also after a restart of HQ.
    let print = fresh["fingerprint"].as_str().expect("a fingerprint");
    assert!(made.text.contains(print), "{print}");
    let revoked = owner.form(&format!("{PAGES}/tokens/{}/revoke", rows[0].id), &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER);
    let all = owner.get(TOKENS).await.json();
    let states: Vec<&str> = all["items"]
        .as_array()
        .expect("all")
        .iter()
        .filter_map(|one| one["state"].as_str())
        .collect();
    assert_eq!(states, ["open", "revoked"], "{all}");
    hq.finish().await;
}

const RUNS: &str = "/w/marlow-cargo/runs";
const USAGE: &str = "/w/marlow-cargo/settings/usage";

/// An office whose agent Ada worked on this machine, then had a run with costs on a machine that never called, which
/// was taken back, and worked here again.
async fn been_away() -> (Office, GatewayId, RunId) {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let tokens = Tokens { input: 1_000, cache_read: 0, cache_write: 0, output: 100 };
    office.model.push(Turn::text("Here.").usage(tokens));
    let first = office.say(&ada, "Where are you?").await;
    assert_eq!(office.ended(first).await.gateway, None);
    let alone = office.hq.owner().get(RUNS).await;
    assert!(alone.texts("select[name=gateway]").is_empty(), "there is nothing to choose from");

    let there = joined(&office.hq, "GPU box", MINE).await;
    let id = ada.id;
    act(&office.hq, move |tx| rules::bind(tx, id, there)).await;
    let away = office.say(&ada, "And now?").await;
    let run: Run = office.get(away);
    assert_eq!(run.gateway, Some(there));
    let name = run.name();
    let call = Usage {
        agent: Some(run.agent),
        run: Some(run.id),
        task: None,
        connection: None,
        billed_micros: Some(2_000),
        gateway: run.gateway,
        ..Usage::sample()
    };
    office.act(move |tx| tx.put(&Usage { id: tx.new_id(), at: tx.now(), ..call })).await;
    let api = office.hq.api().await;
    let taken = api.post(&format!("/api/v1/runs/{name}/take-back"), &json!({})).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text);
    act(&office.hq, move |tx| rules::bind(tx, id, local())).await;
    office.model.push(Turn::text("Here again.").usage(tokens));
    let last = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(last).await.gateway, None);
    assert_eq!(office.get::<Run>(away).gateway, Some(there), "it was there all the same");
    office.hq.counted().await;
    (office, there, away)
}

/// Names of runs with their gateways.
async fn runs(api: &Person, query: &str) -> Vec<(String, String)> {
    let all = api.get(&format!("/api/v1/runs?{query}")).await;
    assert_eq!(all.status, StatusCode::OK, "{}", all.text);
    let word = |run: &Value, key: &str| run[key].as_str().expect("a word").to_owned();
    let all = all.json();
    let items = all["items"].as_array().expect("a list").iter();
    items.map(|run| (word(run, "name"), word(run, "gateway"))).collect()
}

fn named(runs: &[(&str, &str)]) -> Vec<(String, String)> {
    runs.iter().map(|(name, gateway)| ((*name).to_owned(), (*gateway).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_keep_the_machine_that_they_were_on_and_are_found_by_it() {
    let (office, there, _) = been_away().await;
    let (hq, api, owner) = (&office.hq, office.hq.api().await, office.hq.owner());
    let away = named(&[("R-2", "gpu-box")]);
    for said in ["gpu-box", "GPU%20box", &there.to_string()] {
        assert_eq!(runs(&api, &format!("gateway={said}")).await, away, "{said}");
    }
    let here = named(&[("R-3", "local"), ("R-1", "local")]);
    assert_eq!(runs(&api, "gateway=local").await, here);
    assert_eq!(runs(&api, "gateway=local&agent=ada&state=ended").await, here);
    assert_eq!(runs(&api, "").await.len(), 3);
    let refused = api.get("/api/v1/runs?gateway=attic").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["field"], "gateway", "{}", refused.text);
    assert!(refused.text.contains("local, gpu-box"), "it says which there are: {}", refused.text);

    let links = async |query: &str| {
        let page = owner.get(&format!("{RUNS}?{query}")).await;
        let links = page.attrs("main a", "href");
        let of = |n: u8| links.contains(&format!("{RUNS}/R-{n}"));
        ([of(1), of(2), of(3)], page.texts("select[name=gateway] option"))
    };
    let machines = ["All machines", "This machine", "GPU box"].map(str::to_owned).to_vec();
    assert_eq!(links("").await, ([true; 3], machines.clone()));
    assert_eq!(links("gateway=gpu-box").await, ([false, true, false], machines.clone()));
    assert_eq!(links("gateway=local").await, ([true, false, true], machines.clone()));
    assert_eq!(links("gateway=attic").await, ([false; 3], machines));
    for (run, is_told) in [("R-1", false), ("R-2", true)] {
        let facts = owner.get(&format!("{RUNS}/{run}")).await.texts(".run-facts dt");
        assert_eq!(facts.contains(&"Machine".to_owned()), is_told, "{run}: {facts:?}");
    }
    let export = api.get("/api/v1/runs/R-2/export").await;
    let first = export.text.lines().next().expect("a line");
    assert!(first.contains(r#""gateway":"gpu-box""#), "{first}");

    // A removed machine stays selectable by id if agents have worked on it, under its former name. Others are not
    // offered.
    let spare = joined(hq, "Spare", OTHER).await;
    for id in [there, spare] {
        act(hq, move |tx| rules::remove(tx, id)).await;
    }
    let run = api.get("/api/v1/runs/R-2").await.json();
    assert_eq!(run["gateway"], json!(there), "{run}");
    let page = owner.get(&format!("{RUNS}/R-2")).await;
    assert!(page.text_of(".run-facts").contains("GPU box, removed"), "{}", page.text);
    let (word, away) = (there.to_string(), named(&[("R-2", &there.to_string())]));
    assert_eq!(runs(&api, &format!("gateway={word}")).await, away);
    assert_eq!(runs(&api, "gateway=local").await, here);
    let machines = ["All machines", "This machine", "GPU box, removed"].map(str::to_owned).to_vec();
    assert_eq!(links("").await, ([true; 3], machines.clone()));
    assert_eq!(links(&format!("gateway={word}")).await, ([false, true, false], machines));
    let page = owner.get(&format!("{RUNS}?gateway={word}")).await;
    assert_eq!(page.attrs("select[name=gateway] option[selected]", "value").concat(), word);
    assert!(page.text_of("#runs").contains("GPU box, removed"), "{}", page.text);
    let refused = api.get(&format!("/api/v1/runs?gateway={spare}")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let report = owner.get(&format!("{USAGE}?by=gateway&range=7")).await;
    let href = format!("{RUNS}?gateway={word}");
    assert!(report.attrs("a", "href").contains(&href), "{}", report.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_cost_is_summed_up_by_the_machine_that_they_were_on() {
    let (office, there, away) = been_away().await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    assert_eq!(office.usage(away).len(), 1);
    let report = api.get("/api/v1/usage/report?by=gateway&range=7").await.json();
    let line = |n: usize| {
        let item = &report["items"][n];
        (item["key"].clone(), item["name"].clone(), item["sums"]["billed_micros"].clone())
    };
    assert_eq!(line(0), (json!("local"), json!("This machine"), json!(9_000)), "{report}");
    assert_eq!(line(1), (json!(there), json!("GPU box"), json!(2_000)), "{report}");
    let page = owner.get(&format!("{USAGE}?by=gateway&range=7")).await;
    let links = page.attrs("a", "href");
    assert!(links.contains(&format!("{RUNS}?gateway=gpu-box")), "{links:?}");
    assert_eq!(page.text_of("#calls"), "Calls by machine");
    let by = |links: &[String]| links.iter().any(|link| link.contains("by=gateway"));
    assert!(by(&owner.get(USAGE).await.attrs(".seg a", "href")), "once there are two machines");
    for file in ["days", "calls"] {
        let text = owner.get(&format!("/api/v1/usage/{file}.csv?range=7")).await.text;
        let on = |word: &str| text.lines().filter(|line| line.ends_with(word)).count();
        assert_eq!(on(",gateway"), 1, "{text}");
        assert_eq!(on(",gpu-box"), 1, "{text}");
        assert!(0 < on(",local"), "{text}");
    }

    let one = api.get(&format!("{ALL}/gpu-box")).await.json();
    let did = |one: &Value| (one["runs_30_days"].clone(), one["billed_30_days_micros"].clone());
    assert_eq!(did(&one), (json!(1), json!(2_000)), "{one}");
    let own = api.get(&format!("{ALL}/local")).await.json();
    assert_eq!(did(&own), (json!(2), json!(9_000)), "{own}");
    let page = owner.get(&format!("{PAGES}/gpu-box")).await;
    let links = page.attrs(".sees a", "href");
    let wanted = [format!("{RUNS}?gateway=gpu-box"), format!("{USAGE}?range=30&by=gateway")];
    assert_eq!(links, wanted, "{}", page.text);
    assert_eq!(page.texts(".sees dd")[..2], ["1", "$0.0020"], "{}", page.text);
    office.hq.advance(Duration::from_secs(31 * 24 * 60 * 60)).await;
    let ws = office.ws();
    let lately = ws.read(|snap| Lately::read(&ws, snap)).expect("a readable store");
    assert_eq!((lately.runs(there), lately.billed(there)), (0, 0), "that is long ago");
    office.hq.finish().await;
}
