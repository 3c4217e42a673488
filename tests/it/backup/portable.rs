//! One workspace out into a file and in again as another.

use std::io::{Read, Write};

use hq::features::agents::model::Agent;
use hq::features::deliverables::model::Deliverable;
use hq::features::tasks::model::Task;
use hq::features::workspace::model::{Member, Settings};
use hq::kernel::AgentStatus;
use hq::store::schema::Kind;
use hq::store::{Class, Range, ReadExt as _, Record};
use serde_json::json;

use crate::support::model::Turn;
use crate::support::office::Office;

fn all<R: Record>(office: &Office, slug: &str) -> Vec<R> {
    let ws = office.hq.running().app.workspace(slug).expect("a workspace");
    ws.read(|snap| snap.list::<R>(&Range::all())).expect("readable")
}

#[test]
fn every_record_comes_back_from_its_json_byte_for_byte() {
    let schema = hq::server::schema::workspace();
    for info in schema.tables() {
        let (Kind::Record(class), Some(ops)) = (info.kind, &info.ops) else { continue };
        if matches!(class, Class::Sealed | Class::Derived) {
            continue;
        }
        let row = (ops.sample)().expect("a sample");
        let text = (ops.json)(&row).expect("JSON").to_string();
        let value = serde_json::from_str(&text).expect("JSON");
        let (_, again) =
            (ops.parse)(value).unwrap_or_else(|error| panic!("{}: {error}", info.name));
        assert_eq!(hex::encode(again), hex::encode(row), "{}", info.name);
    }
}

/// An office whose agent has delivered something.
async fn busy() -> Office {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let file = json!({ "path": "notes/offers.md", "content": "# Offers\n" });
    office.model.push(Turn::call("write", file));
    office.model.push(Turn::call(
        "work_done",
        json!({ "summary": "Compared the offers.", "task_state": "complete" }),
    ));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    office.hq.settle().await;
    office.ws().blobs.put(&[7; 200_000]).expect("a blob");
    office
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_exported_and_made_anew_under_another_name() {
    let office = busy().await;
    let api = office.hq.api().await;
    let file = api.get("/api/v1/export").await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type"), Some("application/zstd"));
    let bytes = reqwest_bytes(&office, "/w/marlow-cargo/settings/backups/export").await;
    let again = post_bytes(&office, "/api/v1/import", bytes.clone()).await;
    assert_eq!(again.0, 409, "{}", again.1);
    assert!(again.1.contains("there is a workspace marlow-cargo already"), "{}", again.1);
    let made = post_bytes(&office, "/api/v1/import?slug=second", bytes).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let made: serde_json::Value = serde_json::from_str(&made.1).expect("JSON");
    assert_eq!(made["slug"], "second");
    assert!(made["left_out"].to_string().contains("secrets are not exported"), "{made}");

    let (first, second) = ("marlow-cargo", "second");
    let titles = |slug| {
        all::<Task>(&office, slug).into_iter().map(|t| (t.number, t.title)).collect::<Vec<_>>()
    };
    assert_eq!(titles(first), titles(second));
    assert_eq!(all::<Deliverable>(&office, first), all::<Deliverable>(&office, second));
    assert_eq!(all::<Member>(&office, second).len(), 1, "the owner was in it already");
    let ids: Vec<_> = [first, second].map(|slug| all::<Settings>(&office, slug)[0].id).to_vec();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(made["workspace"], ids[1].to_string());
    let ada = &all::<Agent>(&office, second)[0];
    assert_eq!(ada.status, AgentStatus::Paused);
    let ws = office.hq.running().app.workspace(second).expect("it is open");
    let notes = ws.agent_folder(&ada.slug).join("notes/offers.md");
    assert_eq!(std::fs::read_to_string(notes).expect("her files"), "# Offers\n");
    let blob = hq::store::BlobId::of(&[7; 200_000]);
    assert_eq!(ws.blobs.get(blob, 1 << 20).expect("a blob").len(), 200_000);
    let page = office.hq.owner().get("/w/second/tasks?status=all").await;
    assert!(page.text.contains("Compare two offers"), "{}", page.text);
    assert!(
        !office
            .hq
            .data()
            .read_dir()
            .expect("a folder")
            .flatten()
            .any(|one| { one.file_name().to_string_lossy().starts_with("importing-") })
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_as_it_says_changes_nothing() {
    let office = busy().await;
    let bytes = reqwest_bytes(&office, "/w/marlow-cargo/settings/backups/export").await;
    let plain = zstd_all(&bytes);
    // A member that leaves its folder, one that nobody named, a byte that differs, a cut.
    let named = replaced(&plain, b"agents.bundle", b"../bundle.txt");
    let mut changed = plain.clone();
    let at = find(&plain, b"Compare two offers").expect("a title");
    changed[at] ^= 0x20;
    let half = plain[..plain.len() / 2].to_vec();
    for (what, bad, words) in [
        ("path", named, "no part of a workspace"),
        ("byte", changed, "another hash"),
        ("half", half, "no exported workspace, or it is damaged"),
        ("none", b"hello".to_vec(), "no exported workspace"),
    ] {
        let reply = post_bytes(&office, "/api/v1/import?slug=bad", packed(&bad)).await;
        assert!(reply.0 >= 400, "{what}: {}", reply.1);
        assert!(reply.1.contains(words), "{what}: {}", reply.1);
        assert!(!office.hq.data().join("workspaces/bad").exists(), "{what}");
    }
    assert_eq!(office.hq.running().app.workspaces.read().len(), 1);
    let slug = post_bytes(&office, "/api/v1/import?slug=../x", bytes).await;
    assert!(slug.1.contains("is no name for addresses"), "{}", slug.1);
    office.hq.finish().await;
}

async fn reqwest_bytes(office: &Office, path: &str) -> Vec<u8> {
    let reply = office.hq.owner().download(path).await;
    assert!(reply.len() > 1000);
    reply
}

async fn post_bytes(office: &Office, path: &str, bytes: Vec<u8>) -> (u16, String) {
    let token = office.hq.api().await;
    token.post_bytes(path, bytes).await
}

fn zstd_all(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::stream::Decoder::new(bytes).expect("zstd").read_to_end(&mut out).expect("zstd");
    out
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    out.write_all(bytes).expect("zstd");
    out.finish().expect("zstd")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Replaces every occurrence by something of the same length.
fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    assert_eq!(what.len(), with.len());
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = find(&out[at..], what) {
        out[at + found..at + found + what.len()].copy_from_slice(with);
        at += found + what.len();
    }
    out
}
