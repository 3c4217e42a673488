//! Everything that an agents' machine receives and stores: decrypted frames, its folder, its log, and the traffic. The
//! primary is full of data that is irrelevant to it.

use std::collections::BTreeSet;
use std::path::Path;

use features::agents::model::Agent;
use gateways::model::Status;
use gateways::{queries, rules};
use git::history::LogQuery;
use git::{AgentsRepo, Branch};
use kernel::Role;
use link::frame::{Ack, Frame, Have};
use link::{Pace, Purpose, Trust};
use mirror::{Parcel, replication_policy};
use serde_json::{Value, json};
use store::codec;
use support::hq::everything_in;
use support::model::Turn;
use support::office::{KEY, Office};
use support::program::run_json;
use support::work;

use super::away::{self, BINARY, Shop, done, names, was_done};
use super::hosts::{Host, Talk, holds, joins, print, tap, token, until};
use super::partitions::line::Line;

/// Data that no host may receive: a secret, a title, messages and files of another agent, its knowledge, library pages
/// that no agent has in its context, customers, a person's address.
const THEIRS: [&str; 8] = [
    "canary-secret-of-bob-93d1",
    "canary-task-of-bob-07aa",
    "canary-comment-of-bob-5e10",
    "canary-file-of-bob-c44f",
    "canary-knowledge-of-bob-28b6",
    "canary-of-the-library-e901",
    "canary-customer-6fd2",
    "tom.lund@marlow.example",
];
/// A secret of the host's own agent: it is sent as a key and never stored.
const OWN_SECRET: &str = "canary-secret-of-ada-2b7c";
/// Work of the host's own agent: it is sent and stored.
const OWN: &str = "canary-own-work-d035";

async fn made(office: &Office, path: &str, body: Value) {
    work::made(&office.hq.api().await, path, body).await;
}

/// Puts all of that on the primary, with the traces that an agent's work leaves behind.
async fn fill(office: &Office) -> Agent {
    let [secret, title, words, file, known, library, customer, _] = THEIRS;
    office.price(3_000_000, 15_000_000).await;
    let bob = office.agent("Bob").await;
    // Only the names of a member are public; the address is derived from the name here.
    office.hq.another("Tom.Lund", Some(Role::Member)).await;
    let secret = json!({ "name": "His", "key": "HIS_KEY", "value": secret, "agents": ["bob"] });
    made(office, "secrets", secret).await;
    let known = json!({ "title": known, "text": known, "scope": "agent", "agents": ["bob"] });
    made(office, "knowledge", known).await;
    made(office, "knowledge", json!({ "title": library, "text": library })).await;
    made(office, "contacts", json!({ "name": customer })).await;
    office.model.follow(vec![
        Turn::call("comment_add", json!({ "body": words })),
        Turn::call("write", json!({ "path": "his.md", "content": file })),
        done(),
    ]);
    let task = office.task(title, &bob).await;
    let run = office.worked(task.id, 1).await;
    assert!(office.usage(run.id).iter().any(|one| one.billed_micros.is_some_and(|n| 0 < n)));
    bob
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut all = format!("{frame:?}").into_bytes();
    match frame {
        Frame::SnapshotRows(rows) => all.extend_from_slice(&rows.rows),
        Frame::Feed(feed) => all.extend_from_slice(&feed.steps),
        Frame::KeyPush(push) => all.extend_from_slice(&push.sealed),
        _ => {}
    }
    all
}

fn is_in(all: &[u8], words: &str) -> bool {
    all.windows(words.len()).any(|part| part == words.as_bytes())
}

/// Receives frames, acknowledging each parcel, until one matches.
async fn takes(talk: &mut Talk, is_last: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let mut all = Vec::new();
    loop {
        let frame = talk.next().await;
        match &frame {
            Frame::SnapshotEnd(end) => talk.say(Frame::Ack(Ack { seq: end.head })).await,
            Frame::Feed(feed) => talk.say(Frame::Ack(Ack { seq: feed.upto })).await,
            _ => {}
        }
        let is_over = is_last(&frame);
        all.push(frame);
        if is_over {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_frame_brings_a_host_what_is_no_concern_of_its_agents() {
    let office = Office::open().await;
    let bob = fill(&office).await;
    let ada = office.agent("Ada").await;
    let own = json!({ "name": "Hers", "key": "HER_KEY", "value": OWN_SECRET, "agents": ["ada"] });
    made(&office, "secrets", own).await;
    let (hq, ws) = (&office.hq, office.ws());
    let ((token, _), print, host) = (token(hq, "GPU box").await, print(hq).await, Host::new());
    let (mut talk, _) = host.links(&hq.url(), &print, joins(&token)).await;
    let gateway = talk.admitted.gateway;
    host.catches_up(hq, &mut talk).await;
    talk.beats().await;
    let status = || ws.read(|snap| queries::gateway_by_id(snap, gateway)).expect("it").status;
    until("it is ready", async || status() == Status::Ready).await;
    talk.sender.goodbye("stopping").await.expect("it leaves");
    until("it is gone", async || !ws.app.hosts.is_linked(ws.id, gateway)).await;
    let id = ada.id;
    office.act(move |tx| rules::bind(tx, id, gateway)).await;

    // The host links again with empty state, so that everything is sent again.
    let (trust, known) = (Trust::nobody().expect("no roots"), Purpose::Known { gateway });
    let linked = host.knock_at((&hq.url(), &trust), &print, known, Pace::default()).await;
    let mut talk = Talk::of(linked.expect("it is let in"));
    let have = codec::encode(&mirror::Have::default()).expect("bytes");
    talk.say(Frame::Have(Have { have: have.into() })).await;
    let (mut has_rows, mut has_keys) = (false, false);
    let mut frames = Vec::new();
    while !(has_rows && has_keys) {
        frames.extend(takes(&mut talk, |_| true).await);
        has_rows |= matches!(frames.last(), Some(Frame::SnapshotEnd(_)));
        has_keys |= matches!(
            frames.last(),
            Some(Frame::Control(order)) if order.body["do"] == "keys"
        );
    }
    // The same for later writes; Ada's are written last.
    let again = office.task(THEIRS[1], &bob).await;
    office.worked(again.id, 1).await;
    made(&office, "contacts", json!({ "name": THEIRS[6] })).await;
    let hers = json!({ "title": OWN, "text": OWN, "scope": "agent", "agents": ["ada"] });
    made(&office, "knowledge", hers).await;
    frames.extend(takes(&mut talk, |frame| is_in(&bytes_of(frame), OWN)).await);

    let mut tables = BTreeSet::new();
    for frame in &frames {
        let all = bytes_of(frame);
        for words in THEIRS {
            assert!(!is_in(&all, words), "{words} comes: {frame:?}");
        }
        for words in [KEY, OWN_SECRET] {
            let may = matches!(frame, Frame::KeyPush(_));
            assert!(may || !is_in(&all, words), "{words} comes as no key: {frame:?}");
        }
        let parcel = match frame {
            Frame::SnapshotRows(rows) => &rows.rows,
            Frame::Feed(feed) if !feed.steps.is_empty() => &feed.steps,
            _ => continue,
        };
        let parcel = Parcel::decode(parcel).expect("a parcel");
        assert_eq!(parcel.agents(), [ada.id], "they are told whose they are");
        tables.extend(parcel.puts().iter().map(|put| put.at.table));
    }
    let off: Vec<_> =
        tables.iter().filter(|table| replication_policy::of(**table).is_none()).collect();
    assert!(off.is_empty() && 5 < tables.len(), "off the list: {off:?} of {tables:?}");
    // What it needs has arrived: the search would have found the rest.
    for words in [KEY, OWN_SECRET, OWN] {
        assert!(frames.iter().any(|frame| is_in(&bytes_of(frame), words)), "{words} is missing");
    }
    talk.sender.goodbye("stopping").await.expect("it leaves");
    until("it is gone", async || !ws.app.hosts.is_linked(ws.id, gateway)).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_lies_on_a_machine_that_is_no_concern_of_its_agents_and_nothing_passes_in_clear() {
    let office = Office::open().await;
    fill(&office).await;
    let (behind, tapped) = tap(office.hq.running().address).await;
    let line = Line::to(&behind).await;
    let address = line.address.clone();
    let shop = Shop::joined(office, line, &address, &[]).await;
    let office = &shop.office;
    let own = json!({ "name": "Hers", "key": "HER_KEY", "value": OWN_SECRET, "agents": ["ada"] });
    made(office, "secrets", own).await;
    office.model.follow(vec![
        Turn::call("task_get", json!({})),
        Turn::call("exec", json!({ "command": "printf '%s' \"$HER_KEY\" | wc -c; env" })),
        Turn::call("write", json!({ "path": "own.md", "content": OWN })),
        Turn::call("comment_add", json!({ "body": OWN })),
        done(),
    ]);
    let task = office.task(OWN, &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    let said = names(&calls);
    assert_eq!(said, ["task_get", "exec", "write", "comment_add", "work_done"], "{calls:?}");
    let length = format!("{}\n", OWN_SECRET.len());
    assert!(calls[1].2.contains(&length), "it had its secret: {calls:?}");

    let status = run_json(Path::new(BINARY), shop.machine.path(), &["replica", "status"]);
    let rows = status["rows"].as_object().expect("rows by table");
    let allowed: BTreeSet<&str> =
        replication_policy::REPLICATED.iter().map(|line| line.table.name).collect();
    let off: Vec<_> = rows.keys().filter(|table| !allowed.contains(table.as_str())).collect();
    assert!(off.is_empty() && rows.contains_key("agents"), "off the list: {off:?} of {status}");
    // Its commits reach the primary after the end of the run.
    away::until("its files are not at home", || office.file(&shop.ada, "own.md").is_some()).await;
    // The host gets the name of a person who changes its files.
    let typed = json!({ "text": "by hand\n" });
    let saved = office.hq.owner().post("/api/v1/agents/ada/files/hand.md", &typed).await;
    assert!(saved.status.is_success(), "{}", saved.text);
    let (kept, log) = (everything_in(shop.machine.path()), shop.log());
    for words in THEIRS.iter().chain(&[KEY, OWN_SECRET]) {
        assert!(!is_in(&kept, words), "{words} lies on the machine");
    }
    assert!(is_in(&kept, OWN), "what lies there would have been found");
    // Agents' files are also stored packed: there is no branch but its own.
    let repo = AgentsRepo::open_or_init(&shop.machine.path().join("agents.git")).expect("a repo");
    let branches = repo.branches().expect("branches");
    let of_agents: Vec<&str> = branches.iter().map(Branch::as_str).collect();
    assert!(of_agents.contains(&"agent/ada"), "{of_agents:?}");
    assert!(!of_agents.contains(&"agent/bob"), "{of_agents:?}");
    let hers = Branch::agent("ada").expect("a branch");
    let commits = repo.log(&hers, &LogQuery { limit: 100, ..LogQuery::default() });
    let commits = commits.expect("commits");
    let by_hand = commits.iter().find(|one| one.author == "Mira Lindqvist").expect("a save");
    assert!(by_hand.email.ends_with("@people.hq"), "{by_hand:?}");
    let is_of_nobody = |email: &str| email.ends_with(".hq") || email == "hq@localhost";
    assert!(commits.iter().all(|one| is_of_nobody(&one.email)), "{commits:?}");
    for words in THEIRS.iter().chain(&[KEY, OWN_SECRET, OWN]) {
        assert!(!log.contains(words), "{words} stands in its log: {log}");
    }
    shop.close().await;

    until("what passed is over", async || 2 <= tapped.lock().len()).await;
    let all = tapped.lock().clone();
    for words in THEIRS.iter().chain(&[KEY, OWN_SECRET, OWN, "comment_add"]) {
        let is_there = all.iter().any(|bytes| holds(bytes, words.as_bytes()));
        assert!(!is_there, "{words} stands on the line");
    }
    assert!(all.iter().any(|bytes| holds(bytes, b"hq-link\x01")), "a handshake begins so");
}
