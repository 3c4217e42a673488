//! Files of tasks: upload by forms and programs, range requests, safe display only.

use std::path::PathBuf;
use std::time::Duration;

use features::agents::rules::{pause, resume};
use kernel::Outcome;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::listen::Patience;
use store::BlobId;

use support::PDF_WITH_WORDS;
use support::hq::{Reply, Setup, TestHq};
use support::model::Turn;
use support::office::Office;
use support::program::run_json;

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

/// Path of a blob's file.
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
    let action = page.attr(".adds .sender", "action");
    assert_eq!(page.attr(".adds .sender", "enctype"), "multipart/form-data");
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
    // HQ's own pages may frame it, others may not.
    let policy =
        |reply: &Reply| reply.header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy(&pdf).contains("frame-ancestors 'self'"), "{}", policy(&pdf));
    assert_eq!(pdf.header("x-frame-options"), Some("SAMEORIGIN"));
    assert!(policy(&image).contains("frame-ancestors 'none'"), "{}", policy(&image));
    assert_eq!(image.header("x-frame-options"), Some("DENY"));
    let shown = mira.get(&hrefs[0]).await;
    assert_eq!(shown.attr(".preview object", "data"), format!("{}/content", hrefs[0]));
    assert!(policy(&shown).contains("object-src 'self'"), "{}", policy(&shown));
    assert!(shown.text_of(".preview object").contains("in a new tab"), "for who has no viewer");
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
    // Larger than the buffer for idempotency digests.
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

    // Content types of tasks and files are not interchangeable.
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
    // Without a length, the limit is detected while reading.
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
async fn an_upload_that_breaks_off_in_the_middle_leaves_nothing() {
    use tokio::io::AsyncWriteExt as _;
    let hq = with_task(Setup::default()).await;
    let (api, folder) = (hq.api().await, hq.ws().folder.join("blobs"));
    let bytes = |folder: &std::path::Path| {
        let all = walkdir(folder);
        all.into_iter().filter(|path| path.is_file()).count()
    };
    let before = bytes(&folder);
    let address = hq.url().trim_start_matches("http://").to_owned();
    let mut line = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    let head = format!(
        "POST {FILES}?name=x HTTP/1.1\r\nHost: {address}\r\nAuthorization: {}\r\nContent-Type: {BYTES}\r\nContent-Length: 100000\r\n\r\n",
        api.header("authorization"),
    );
    line.write_all(head.as_bytes()).await.expect("the head is sent");
    line.write_all(&[7; 50_000]).await.expect("half of it is sent");
    line.flush().await.expect("it is on its way");
    drop(line);
    assert_eq!(api.get(FILES).await.json()["items"], json!([]));
    // After all running uploads have ended.
    hq.finish_keeping(|| assert_eq!(bytes(&folder), before, "nothing half stays")).await;
}

/// All files below a folder.
fn walkdir(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path.clone());
            }
            found.push(path);
        }
    }
    found
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
    let output = support::program::run(&binary, &hq.data(), &["doctor", "blobs"]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_answered_as_the_standard_says() {
    let hq = with_task(Setup::default()).await;
    let api = hq.api().await;
    let ten = b"0123456789".to_vec();
    let made = api.bytes("POST", &format!("{FILES}?name=a.txt"), BYTES, ten).await.json();
    let address = format!("/api/v1/files/{}", made["id"].as_str().expect("an id"));
    for (range, status, text, said) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=-0", 416, "", Some("bytes */10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("bytes=99-100", 416, "", Some("bytes */10")),
        // Several ranges, invalid ranges and other units give the whole file, which is always permitted.
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("bytes=5-2", 200, "0123456789", None),
        ("bytes=a-b", 200, "0123456789", None),
        ("bytes=", 200, "0123456789", None),
        ("lines=1-2", 200, "0123456789", None),
    ] {
        let reply = api.clone().with("range", range).get(&address).await;
        let body = if reply.status == 416 { "" } else { reply.text.as_str() };
        assert_eq!((reply.status.as_u16(), body), (status, text), "{range}");
        assert_eq!(reply.header("content-range"), said, "{range}");
    }
    // HEAD gives headers without a body; a date condition never matches a file without a date.
    let head = api.call("HEAD", &address).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some("10"));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert!(head.header("etag").is_some());
    let dated =
        api.clone().with("range", "bytes=0-0").with("if-range", "Fri, 20 Nov 2026 12:00:00 GMT");
    assert_eq!(dated.get(&address).await.text, "0123456789");
    let weak = format!("W/\"{}\"", made["sha256"].as_str().expect("a hash"));
    let weak = api.clone().with("range", "bytes=0-0").with("if-range", &weak).get(&address).await;
    assert_eq!(weak.status, StatusCode::OK, "a weak tag does not fit a part");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_run_in_our_origin_never_does_and_no_name_breaks_a_header() {
    let hq = with_task(Setup::default()).await;
    let (api, mira) = (hq.api().await, hq.owner());
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>".to_vec();
    let html = b"<!doctype html><script>alert(1)</script>".to_vec();
    // Starts like an image and is a page for clients that guess.
    let both = [&b"GIF89a"[..], b"<script>alert(1)</script>"].concat();
    for (name, content, in_place) in
        [("a.svg", svg, false), ("a.html", html, false), ("a.gif", both, true)]
    {
        let made = api.bytes("POST", &format!("{FILES}?name={name}"), "text/html", content).await;
        let id = made.json()["id"].as_str().unwrap_or_else(|| panic!("{}", made.text)).to_owned();
        for address in
            [format!("/w/marlow-cargo/files/{id}/content"), format!("/api/v1/files/{id}")]
        {
            let reply =
                if address.starts_with("/api") { api.get(&address) } else { mira.get(&address) };
            let reply = reply.await;
            let kind = reply.header("content-type").expect("a kind");
            assert!(kind == BYTES || in_place && kind == "image/gif", "{name}: {kind}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{name}");
            let policy = reply.header("content-security-policy").expect("a policy");
            assert!(policy.starts_with("sandbox;") && policy.contains("default-src 'none'"));
            let inline =
                reply.header("content-disposition").is_some_and(|d| d.starts_with("inline"));
            assert_eq!(inline, in_place && !address.starts_with("/api"), "{name} {address}");
        }
    }
    for (given, kept, told) in [
        (
            "Angebot%20%C3%9C%20%E6%97%A5%E6%9C%AC.pdf",
            "Angebot Ü 日本.pdf",
            "%E6%97%A5%E6%9C%AC.pdf",
        ),
        ("a%22b%5Cc%0D%0ASet-Cookie:%20x=1.pdf", "", "a"),
        ("..%2F..%2Fetc%2Fpasswd", "passwd", "passwd"),
    ] {
        let made = api.bytes("POST", &format!("{FILES}?name={given}"), BYTES, PDF.to_vec()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let (id, name) = (made.json()["id"].clone(), made.json()["name"].clone());
        assert!(kept.is_empty() || name == kept, "{name}");
        let reply = api.get(&format!("/api/v1/files/{}", id.as_str().expect("an id"))).await;
        let said = reply.header("content-disposition").expect("a name").to_owned();
        assert!(said.is_ascii() && said.contains(told), "{said}");
        assert!(!said.contains(['\r', '\n']) && reply.header("set-cookie").is_none(), "{said}");
        // A plain quoted name, and the full name encoded.
        assert_eq!(said.matches('"').count(), 2, "{said}");
        assert!(said.contains("filename*=UTF-8''"), "{said}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_come_and_go_are_told_in_the_feed_the_history_and_open_pages() {
    let hq = with_task(Setup::default()).await;
    let (api, mira) = (hq.api().await, hq.owner());
    let page = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    let region = page.attr("#task-files", "hx-trigger");
    let made = api.bytes("POST", &format!("{FILES}?name=offer.pdf"), BYTES, PDF.to_vec()).await;
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let ws = hq.ws();
    let last = |n: usize| {
        let all = ws.store.entries_after(0, 1_000).expect("entries");
        all[all.len() - n].clone()
    };
    let entry = last(1);
    assert_eq!(entry.events[0].name(), "file.added");
    let told = api.get(&format!("/api/v1/history/task_files/{id}")).await.json();
    assert_eq!(
        (&told["items"][0]["op"], &told["items"][0]["seq"]),
        (&json!("insert"), &json!(entry.seq))
    );
    let activity = mira.get("/w/marlow-cargo/activity").await;
    assert!(activity.text.contains("offer.pdf") && activity.text.contains("added"));
    let page = mira.get(&format!("/w/marlow-cargo/files/{id}")).await;
    let history = mira.get(&page.attr(".history-fold a", "href")).await;
    assert!(history.text_of(".page-head").contains("offer.pdf"), "{}", history.text);
    let told = history.text_of("#history");
    assert!(told.contains("Mira") && told.contains("application/pdf"), "{told}");
    assert!(!told.contains("Blob"), "the name of the content says nothing to people: {told}");
    // The region of an open page refreshes with its task.
    let task = ws.read(|snap| {
        use store::ReadExt as _;
        snap.list::<features::tasks::model::Task>(&store::Range::all())
    });
    let task = task.expect("tasks")[0].id.to_string();
    assert!(region.contains(&format!("hq:tasks:{task}")), "{region}");
    assert!(entry.roots.iter().any(|root| root.table == 20), "{:?}", entry.roots);
    assert_eq!(
        api.call("DELETE", &format!("/api/v1/files/{id}")).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(last(1).events[0].name(), "file.removed");
    let activity = mira.get("/w/marlow-cargo/activity").await;
    assert!(activity.text.contains("removed"), "the name is known after it has gone");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_reads_the_files_of_its_task_and_adds_its_own() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let call = |name: &str, args: Value| Turn::call(name, args);
    office.model.push(call("tool_search", json!({ "query": "file_list file_read file_attach" })));
    office.model.push(call("file_list", json!({})));
    office.model.push(call("file_read", json!({ "file": "prices.csv", "offset": 2, "limit": 1 })));
    office.model.push(call("file_read", json!({ "file": "logo.png" })));
    office.model.push(call("file_read", json!({ "file": "nothing" })));
    office.model.push(call("write", json!({ "path": "out/result.md", "content": "# Cheaper\n" })));
    office.model.push(call("file_attach", json!({ "path": "out/result.md" })));
    office.model.push(call("file_attach", json!({ "path": "../escape" })));
    office.model.push(call("file_read", json!({ "file": "offer.pdf" })));
    office.model.push(call("file_read", json!({ "file": "dump.bin" })));
    office.model.push(call("file_read", json!({ "file": "list.pdf" })));
    office.model.push(call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let id = ada.id;
    office.act(move |tx| pause(tx, id)).await;
    let task = office.task("Compare prices", &ada).await;
    let api = office.hq.api().await;
    let pdf = b"%PDF-1.7\nonly its beginning counts here";
    for (name, content) in [
        ("prices.csv", &b"a;1\nb;2\nc;3\n"[..]),
        ("logo.png", PNG),
        ("offer.pdf", pdf),
        ("dump.bin", &[0xff; 2_048]),
        ("list.pdf", PDF_WITH_WORDS),
    ] {
        let sent =
            api.bytes("POST", &format!("{FILES}?name={name}"), BYTES, content.to_vec()).await;
        assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    }
    office.act(move |tx| resume(tx, id)).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{:?}", office.results(run.id));
    let results: Vec<String> =
        office.results(run.id).into_iter().map(|(_, _, text)| text).collect();
    assert!(results[1].contains("prices.csv") && results[1].contains("image/png"), "{results:?}");
    assert_eq!(results[2], "2\tb;2\n[3 lines; continue with offset 3]");
    let refusals = [
        (3, "logo.png", "image/png", PNG.len(), "ask in a comment what it shows"),
        (
            8,
            "offer.pdf",
            "a PDF without text",
            pdf.len(),
            "ask in a comment for its text as a file",
        ),
        (9, "dump.bin", "not text", 2_048, "ask in a comment for its content as text"),
    ];
    for (n, name, what, bytes, hint) in refusals {
        let size = if bytes < 1_024 { format!("{bytes} B") } else { "2.0 KB".to_owned() };
        let said = format!("\"{name}\" is {what} ({size}) and only text is read; {hint}");
        assert!(results[n].contains("not_text") && results[n].contains(&said), "{}", results[n]);
    }
    let there = "available: prices.csv, logo.png, offer.pdf, dump.bin, list.pdf";
    assert!(results[4].contains(there), "{}", results[4]);
    assert_eq!(results[10], "1\tMango 3 EUR\n2\tPlum 4 EUR\n");
    assert!(results[6].contains("Added \"result.md\""), "{}", results[6]);
    assert!(results[7].contains("Error"), "{}", results[7]);
    let there = api.get(FILES).await.json();
    assert_eq!(there["items"][5]["name"], "result.md");
    assert_eq!(there["items"][5]["by"]["name"], "Ada");
    let first = &office.model.requests()[0];
    assert!(!first.tools().iter().any(|name| name.starts_with("file_")), "beyond the core");
    office.hq.finish().await;
}
