//! Backups to S3, against a small server that verifies every signature and pages its lists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use backup::{Address, BackupError, Means, Meter, Repository, S3Keys, make, open_target, verify};
use crypto::keyring::Secret;
use hmac::{Hmac, KeyInit, Mac};
use net::message::Policy;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::source;
use support::hq::TestHq;

const KEY: (&str, &str) = ("AKIATEST", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY");
const REGION: &str = "eu-test-1";
/// Number of names per page of a listing.
const PAGE: usize = 5;

/// A server with the part of S3 that backups need.
struct Mock {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    lists: AtomicUsize,
    /// Number of writes that still succeed; then the server is full.
    left: Mutex<Option<usize>>,
    busy: AtomicUsize,
    /// Every page of a listing is the first page.
    stuck: AtomicBool,
}

impl Mock {
    async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    fn place(&self, prefix: &str) -> String {
        format!("s3://backups/{prefix}?endpoint={}&region={REGION}", self.address)
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Signature that a request must have, according to SigV4.
fn signature(method: &Method, uri: &Uri, host: &str) -> Option<(String, String)> {
    let query = uri.query()?;
    let value =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")[..]));
    let given = value("X-Amz-Signature")?.to_owned();
    let mut pairs: Vec<_> =
        query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    pairs.sort_unstable();
    let date = value("X-Amz-Date")?;
    let scope = format!("{}/{REGION}/s3/aws4_request", &date[..8]);
    let credential = format!("{}/{scope}", KEY.0).replace('/', "%2F");
    if value("X-Amz-Credential")? != credential {
        return None;
    }
    let request = format!(
        "{method}\n{}\n{}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        uri.path(),
        pairs.join("&")
    );
    let digest = hex::encode(Sha256::digest(request.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let mut key = hmac(format!("AWS4{}", KEY.1).as_bytes(), &date[..8]);
    for part in [REGION, "s3", "aws4_request"] {
        key = hmac(&key, part);
    }
    Some((given, hex::encode(hmac(&key, &text))))
}

fn refuse(status: StatusCode, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    (status, body).into_response()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("");
    match signature(&method, &uri, host) {
        Some((given, wanted)) if given == wanted => {}
        _ => return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
    }
    // Now and then the server is briefly busy.
    if shared.busy.fetch_add(1, Ordering::SeqCst) % 17 == 3 {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    let Some(name) = uri.path().strip_prefix("/backups") else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchBucket");
    };
    let name = name.trim_start_matches('/').to_owned();
    let mut objects = shared.objects.lock();
    match method {
        Method::PUT => {
            if let Some(left) = &mut *shared.left.lock() {
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => return refuse(StatusCode::INSUFFICIENT_STORAGE, "QuotaExceeded"),
                }
            }
            objects.insert(name, body.to_vec());
            StatusCode::OK.into_response()
        }
        Method::DELETE => {
            objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ if name.is_empty() => {
            shared.lists.fetch_add(1, Ordering::SeqCst);
            let query = uri.query().unwrap_or("");
            list(&objects, query, shared.stuck.load(Ordering::SeqCst)).into_response()
        }
        _ => match objects.get(&name) {
            Some(bytes) => bytes.clone().into_response(),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
    }
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str, stuck: bool) -> String {
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let after = query.get("continuation-token").filter(|_| !stuck).cloned().unwrap_or_default();
    let mut fitting =
        objects.iter().filter(|(name, _)| name.starts_with(&prefix) && **name > after);
    let page: Vec<_> = fitting.by_ref().take(PAGE).collect();
    let more = fitting.next().is_some();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult \
                    xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url\
                    </EncodingType>"
        .to_owned();
    for (name, bytes) in &page {
        text += &format!(
            "<Contents><Key>{name}</Key><LastModified>2026-11-20T11:00:00.000Z</LastModified>\
             <ETag>\"x\"</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            bytes.len()
        );
    }
    text += &format!("<IsTruncated>{more}</IsTruncated>");
    if let (true, Some((last, _))) = (more, page.last()) {
        text += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    text + "</ListBucketResult>"
}

/// Opens or creates a repository at a mock server, on a thread that may block.
async fn with_repo<T: Send + 'static>(
    hq: &TestHq,
    place: &str,
    secret: &str,
    policy: Policy,
    work: impl FnOnce(&Repository) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let app = hq.running().app.clone();
    let (place, secret) = (place.to_owned(), secret.to_owned());
    let done = tokio::task::spawn_blocking(move || {
        let address: Address = place.parse()?;
        let keys = S3Keys { id: KEY.0.to_owned(), secret: Secret::new(secret) };
        let means = Means { http: app.http.clone(), clock: Arc::clone(&app.clock), policy };
        let target = open_target(&address, Some(keys), &means)?;
        work(&Repository::open_or_begin(target, None, app.clock.now())?)
    });
    done.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_signed_for_listed_in_pages_and_read_back() {
    let hq = TestHq::start().await;
    let mock = Mock::start().await;
    // 40 different large files: 40 pieces, eight pages.
    for n in 0..40u32 {
        let noise: Vec<u8> = (0..70_000u32).map(|at| (at * (n + 7) / 3) as u8).collect();
        hq.ws().blobs.put(&noise).expect("a blob");
    }
    let from = source(&hq);
    let place = mock.place("office/one");
    let (first, second) = with_repo(&hq, &place, KEY.1, Policy::Trusted, move |repo| {
        let first = make(repo, &from, &Meter::default())?;
        let second = make(repo, &from, &Meter::default())?;
        let checked = verify(repo, &second, None, &Meter::default())?;
        assert!(checked.faults.is_empty(), "{:?}", checked.faults);
        Ok((first, second))
    })
    .await
    .expect("two backups");
    assert!(first.new_bytes > 5_000, "{}", first.new_bytes);
    // A consumer may have saved its position meanwhile.
    assert!(second.new_bytes < 2_500, "all else was found in the lists: {}", second.new_bytes);
    assert!(mock.shared.lists.load(Ordering::SeqCst) > 12, "lists come in pages of {PAGE}");
    let objects = mock.shared.objects.lock().clone();
    assert!(objects.keys().all(|name| name.starts_with("office/one/")), "{:?}", objects.keys());
    assert!(!objects.keys().any(|name| name.contains("running/")), "no marker is left");
    assert!(!hq.data().join("backups/spool").exists(), "nothing is left aside");

    // An endless listing is rejected.
    mock.shared.stuck.store(true, Ordering::SeqCst);
    let from = source(&hq);
    let endless = with_repo(&hq, &place, KEY.1, Policy::Trusted, move |repo| {
        make(repo, &from, &Meter::default())
    });
    let endless = endless.await.expect_err("half a list").to_string();
    assert!(endless.contains("never ends"), "{endless}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_a_full_bucket_and_a_private_address_say_what_to_do() {
    let hq = TestHq::start().await;
    let mock = Mock::start().await;
    let place = mock.place("");
    let wrong = with_repo(&hq, &place, "another", Policy::Trusted, |_| Ok(())).await;
    let wrong = wrong.expect_err("refused").to_string();
    assert!(wrong.contains("403 SignatureDoesNotMatch") && wrong.contains("check the key"));
    let private = with_repo(&hq, &place, KEY.1, Policy::Guarded, |_| Ok(())).await;
    let private = private.expect_err("refused").to_string();
    assert!(private.contains("n't on the public internet") || private.contains("isn't allowed"));
    assert!(mock.shared.objects.lock().is_empty());
    let from = source(&hq);
    *mock.shared.left.lock() = Some(4);
    let full = with_repo(&hq, &place, KEY.1, Policy::Trusted, move |repo| {
        make(repo, &from, &Meter::default())
    });
    let full = full.await.expect_err("full").to_string();
    assert!(full.contains("is full") && full.contains("free some space"), "{full}");
    *mock.shared.left.lock() = None;
    let from = source(&hq);
    let ids = with_repo(&hq, &place, KEY.1, Policy::Trusted, move |repo| {
        assert!(repo.ids()?.is_empty(), "what was cut off is no backup");
        make(repo, &from, &Meter::default())?;
        repo.ids()
    });
    assert_eq!(ids.await.expect("a list").len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_reach_a_bucket_and_keep_its_key_to_themselves() {
    let hq = TestHq::start().await;
    let mock = Mock::start().await;
    let api = hq.api().await;
    let mut body = api.get("/api/v1/backups/settings").await.json();
    body["target"] = mock.place("hq").into();
    body["access_key"] = KEY.0.into();
    body["s3_secret"] = KEY.1.into();
    body["reach"] = "private".into();
    let saved = api.json("PUT", "/api/v1/backups/settings", &body).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    assert!(!saved.text.contains(KEY.1));
    let mut feed = hq.running().app.system.watch();
    let begun = api.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let path = format!("/api/v1/backups/runs/{}", begun.json()["id"].as_str().expect("an id"));
    let run = loop {
        let run = api.get(&path).await.json();
        if run["outcome"] != "running" {
            break run;
        }
        let changed = tokio::time::timeout(std::time::Duration::from_secs(20), feed.changed());
        changed.await.expect("in time").expect("open");
    };
    assert_eq!(run["outcome"], "done", "{run}");
    let page = hq.owner().get("/w/marlow-cargo/settings/backups").await;
    assert!(page.text.contains("s3://backups/hq") && !page.text.contains(KEY.1));
    hq.finish().await;
}
