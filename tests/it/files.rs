//! Files on tasks: sent by forms and programs, fetched in parts, shown only where that is safe.

use std::path::PathBuf;
use std::time::Duration;

use hq::server::listen::Patience;
use hq::store::BlobId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::hq::{Reply, Setup, TestHq};
use crate::support::program::run_json;

const FILES: &str = "/api/v1/tasks/MC-1/files";
const PDF: &[u8] = b"%PDF-1.7 an offer, and what it costs";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n only its beginning counts here";

async fn with_task(setup: Setup) -> TestHq {
    let hq = setup.start().await;
    let made = hq.owner().form("/w/marlow-cargo/tasks", &[("title", "Compare prices")]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    hq
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend_from_slice(
            b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
        );
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\"\r\nContent-Type: text/html\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    body
}

const FORM: &str = "multipart/form-data; boundary=x";
const BYTES: &str = "application/octet-stream";

/// The file of a blob.
fn path(hq: &TestHq, sha: &str) -> PathBuf {
    hq.ws().folder.join("blobs").join(&sha[..2]).join(&sha[2..])
}

fn code(reply: &Reply) -> (u16, Value) {
    (reply.status.as_u16(), reply.json()["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_adds_looks_at_and_removes_files() {
    let hq = with_task(Setup::default()).await;
    let mira = hq.owner();
    let page = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    let action = page.attr("#task-files form", "action");
    assert_eq!(page.attr("#task-files form", "enctype"), "multipart/form-data");
    let evil = b"<script>alert(1)</script>";
    let sent = form(&[("offer\u{202e}.pdf", PDF), ("C:\\up\\logo.png", PNG), ("x.html", evil)]);
    let reply = mira.bytes("POST", &action, FORM, sent).await;
    assert_eq!(reply.location(), Some("/w/marlow-cargo/tasks/MC-1#task-files"), "{}", reply.text);
    let page = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(page.texts("#task-files li .title"), ["offer.pdf", "logo.png", "x.html"]);
    let hrefs = page.attrs("#task-files li .title", "href");
    assert_eq!(page.attrs("#task-files li img", "src"), [format!("{}/content", hrefs[1])]);

    let shown = mira.get(&hrefs[1]).await;
    assert_eq!(shown.attr(".preview img", "src"), format!("{}/content", hrefs[1]));
    let image = mira.get(&format!("{}/content", hrefs[1])).await;
    assert_eq!(image.header("content-type"), Some("image/png"));
    assert_eq!(image.header("x-content-type-options"), Some("nosniff"));
    assert!(image.header("content-security-policy").is_some_and(|p| p.starts_with("sandbox")));
    let pdf = mira.get(&format!("{}/content", hrefs[0])).await;
    assert_eq!(pdf.header("content-type"), Some("application/pdf"));
    assert!(pdf.header("content-disposition").is_some_and(|d| d.starts_with("inline;")));
    assert!(pdf.header("content-security-policy").is_some_and(|p| !p.contains("script")));
    let page = mira.get(&format!("{}/content", hrefs[2])).await;
    assert_eq!(page.header("content-type"), Some(BYTES), "never a page of ours");
    assert!(page.header("content-disposition").is_some_and(|d| d.starts_with("attachment;")));
    let download = mira.get(&format!("{}/content?download=1", hrefs[1])).await;
    assert_eq!(download.header("content-type"), Some(BYTES));

    let gone = mira.form(&format!("{}/delete", hrefs[2]), &[]).await;
    assert_eq!(gone.location(), Some("/w/marlow-cargo/tasks/MC-1#task-files"));
    assert_eq!(mira.get(&hrefs[2]).await.status, StatusCode::NOT_FOUND);
    let none = mira.bytes("POST", &action, FORM, form(&[("", b"")])).await;
    assert_eq!(none.status, StatusCode::SEE_OTHER, "an empty picker is no fault: {}", none.text);
    let broken = mira.bytes("POST", &action, FORM, b"--x\r\nContent-Dis".to_vec()).await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    let left = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(left.texts("#task-files li .title"), ["offer.pdf", "logo.png"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_sends_a_file_once_and_fetches_parts_of_it() {
    let hq = with_task(Setup::default()).await;
    let api = hq.api().await;
    let keyed = api.clone().with("idempotency-key", "f-1");
    // Larger than what a key's digest may buffer.
    let large: Vec<u8> = (0..3_000_000u32).map(|n| b'a' + (n % 26) as u8).collect();
    let address = format!("{FILES}?name=Preise%20%C3%BC.csv");
    let made = keyed.bytes("POST", &address, BYTES, large.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let again = keyed.bytes("POST", &address, BYTES, large.clone()).await;
    assert_eq!(again.json(), made.json(), "a repeat is the same file");
    let other = keyed.bytes("POST", &address, BYTES, b"other".to_vec()).await;
    assert_eq!(code(&other), (409, json!("idempotency_conflict")));
    let file = made.json();
    assert_eq!((&file["name"], &file["size"]), (&json!("Preise ü.csv"), &json!(3_000_000)));
    assert_eq!(file["sha256"], BlobId::of(&large).to_string());
    assert_eq!(api.get(FILES).await.json()["items"].as_array().map(Vec::len), Some(1));

    let id = file["id"].as_str().expect("an id");
    let address = format!("/api/v1/files/{id}");
    let whole = api.get(&address).await;
    assert_eq!(whole.text.as_bytes(), large);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let tag = whole.header("etag").expect("a tag").to_owned();
    let part = api.clone().with("range", "bytes=26-51").get(&address).await;
    assert_eq!((part.status.as_u16(), part.text.as_str()), (206, "abcdefghijklmnopqrstuvwxyz"));
    assert_eq!(part.header("content-range"), Some("bytes 26-51/3000000"));
    assert_eq!(part.header("content-length"), Some("26"));
    let last = api.clone().with("range", "bytes=-2").get(&address).await;
    assert_eq!(last.text.as_bytes(), &large[2_999_998..]);
    let beyond = api.clone().with("range", "bytes=3000000-").get(&address).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), Some("bytes */3000000"));
    let same = api.clone().with("range", "bytes=0-0").with("if-range", &tag).get(&address).await;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    let old =
        api.clone().with("range", "bytes=0-0").with("if-range", "\"old\"").get(&address).await;
    assert_eq!((old.status.as_u16(), old.text.len()), (200, 3_000_000), "another file: the whole");
    let known = api.clone().with("if-none-match", &tag).get(&address).await;
    assert_eq!((known.status.as_u16(), known.text.len()), (304, 0));

    // A task takes no JSON for a file, and no file for JSON.
    let wrong = keyed.bytes("POST", "/api/v1/tasks", BYTES, b"{}".to_vec()).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reader = hq.token(&["read"]).await;
    assert_eq!(reader.bytes("POST", FILES, BYTES, vec![1]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(api.call("DELETE", &address).await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&api.get(&address).await), (404, json!("file_not_found")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_cut_off_leaves_nothing() {
    let hq = with_task(Setup::default().config(|config| config.limits.upload_mb = 1)).await;
    let api = hq.api().await;
    let over = vec![b'x'; (1 << 20) + 1];
    let address = format!("{FILES}?name=x");
    let refused = api.bytes("POST", &address, BYTES, over.clone()).await;
    assert_eq!(code(&refused), (413, json!("file_too_large")), "before it is read");
    // Without a length it is found out on the way.
    let chunked = api.streamed(&address, BYTES, vec![over[..over.len() / 2].to_vec(); 3]).await;
    assert_eq!(code(&chunked), (413, json!("file_too_large")));
    let (mira, action) = (hq.owner(), "/w/marlow-cargo/tasks/MC-1/files");
    let page = mira.bytes("POST", action, FORM, form(&[("a", &over)])).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let whole = api.bytes("POST", &address, BYTES, over[1..].to_vec()).await;
    assert_eq!(whole.status, StatusCode::CREATED, "exactly the limit");
    let tmp = hq.ws().folder.join("blobs/tmp");
    assert_eq!(std::fs::read_dir(tmp).expect("a folder").count(), 0, "no rest of any of them");
    assert_eq!(api.get(FILES).await.json()["items"].as_array().map(Vec::len), Some(1));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sender_is_cut_off_and_a_steady_one_is_not() {
    let patience = Patience { body: Duration::from_millis(200), ..Patience::default() };
    let hq = with_task(Setup::default().patience(patience)).await;
    let api = hq.api().await;
    let stuck = api.stuck(&format!("{FILES}?name=x"), BYTES, b"a few bytes".to_vec()).await;
    assert_eq!(stuck.status, StatusCode::REQUEST_TIMEOUT, "{}", stuck.text);
    let tmp = hq.ws().folder.join("blobs/tmp");
    assert_eq!(std::fs::read_dir(tmp).expect("a folder").count(), 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_is_said_plainly_and_found_by_doctor() {
    let hq = with_task(Setup::default()).await;
    let api = hq.api().await;
    let made = api.bytes("POST", &format!("{FILES}?name=a.pdf"), BYTES, PDF.to_vec()).await.json();
    let (id, sha) = (made["id"].as_str().expect("an id"), made["sha256"].as_str().expect("a name"));
    std::fs::remove_file(path(&hq, sha)).expect("a file");
    let lost = api.get(&format!("/api/v1/files/{id}")).await;
    assert_eq!(code(&lost), (410, json!("file_missing")));
    let page = hq.owner().get(&format!("/w/marlow-cargo/files/{id}/content")).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text.contains("missing on the server"), "{}", page.text);
    let task = hq.owner().get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(task.status, StatusCode::OK, "nothing else breaks");
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_hq"));
    let output = crate::support::program::run(&binary, &hq.data(), &["doctor", "blobs"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("1 missing") && said.contains(sha) && said.contains("task_files"),
        "{said}"
    );
    let sent = api.bytes("POST", &format!("{FILES}?name=b.pdf"), BYTES, PDF.to_vec()).await;
    assert_eq!(sent.status, StatusCode::CREATED, "sending it again mends it");
    let found = run_json(&binary, &hq.data(), &["doctor", "blobs"]);
    assert_eq!(found[0]["report"]["missing"], 0);
    hq.finish().await;
}
