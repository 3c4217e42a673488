//! Sources of skill packages: files and indexes of sites, repositories, and what a source cannot reach.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use kernel::Problem as _;
use net::client::ClientParts;
use net::guard::{Exceptions, SystemResolver};
use parking_lot::Mutex;
use reach::skills::FetchError;
use reach::skills::fetch::{Fetched, Found, fetch, fetch_entry};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use skill::Source;
use support::hq::{Setup, TestHq};
use tempfile::TempDir;

use crate::skills::zip_of;

const SKILL: &str = "---\nname: NAME\ndescription: Fills forms\n---\n# Forms\n";

/// Opens this machine by its address.
struct Here;

impl Exceptions for Here {
    fn host(&self, host: &str, _port: u16) -> bool {
        host == "127.0.0.1"
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        host == "127.0.0.1" && address.is_loopback()
    }
}

/// A site with repositories and files, which notes each request.
#[derive(Clone)]
struct Site {
    folder: Arc<TempDir>,
    seen: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let site = Self { folder, seen: Arc::default(), port };
        let router = Router::new().fallback(serve).with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    fn source(&self, rest: &str) -> Source {
        Source::parse(&format!("http://127.0.0.1:{}/{rest}", self.port)).expect("a source")
    }

    fn git(&self, arguments: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(self.path("forms.git"))
            .output()
            .expect("git");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A repository with two packages, and much that belongs to none of them.
    fn repository(&self) {
        for (path, text) in [
            ("README.md", "Skills"),
            ("skills/pdf/SKILL.md", &SKILL.replace("NAME", "pdf")),
            ("skills/pdf/scripts/fill.sh", "#!/bin/sh\necho one\n"),
            ("skills/csv/SKILL.md", &SKILL.replace("NAME", "csv")),
            ("deep/er/skills/odd/SKILL.md", &SKILL.replace("NAME", "odd")),
            (".gitattributes", "* filter=evil export-ignore\n"),
        ] {
            self.write(&format!("forms.git/{path}"), text);
        }
        let script = self.path("forms.git/skills/pdf/scripts/fill.sh");
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("a mode");
        // Outside of the packages, so it does not matter.
        symlink("/etc/passwd", self.path("forms.git/linked")).expect("a link");
        self.write("forms.git/large.bin", vec![7; 21 << 20]);
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "-m", "One"]);
        self.git(&["tag", "-a", "v1", "-m", "One"]);
        self.write("forms.git/skills/pdf/scripts/fill.sh", "#!/bin/sh\necho two\n");
        self.git(&["commit", "--quiet", "-a", "-m", "Two"]);
    }
}

async fn serve(
    State(site): State<Site>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    site.seen.lock().push(format!("{method} {uri}"));
    if path.starts_with("/private.git/") {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")]).into_response();
    }
    if path.starts_with("/moved.git/") {
        let rest = uri.to_string().replace("/moved.git/", "/forms.git/");
        return Redirect::temporary(&format!("http://localhost:{}{rest}", site.port))
            .into_response();
    }
    if path == "/inward.zip" {
        return Redirect::temporary("http://10.0.0.1/secret.zip").into_response();
    }
    if path.contains(".git/") {
        let served = tokio::task::spawn_blocking(move || {
            http_backend(site.folder.path(), &method, &uri, &headers, &body)
        });
        return served.await.expect("an answer");
    }
    match fs::read(site.path(path.trim_start_matches('/'))) {
        Ok(bytes) => bytes.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Git's own server, over CGI.
fn http_backend(
    root: &Path,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (repository, rest) = uri.path().split_once(".git/").expect("a repository");
    let mut program = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("{repository}.git/.git/{rest}"))
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend");
    program.stdin.take().expect("a pipe").write_all(body).expect("a request");
    let output = program.wait_with_output().expect("an answer").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = Response::new(output[end + 4..].to_vec().into());
    for line in head.lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        match name {
            "Status" => *response.status_mut() = value[..3].parse().expect("a status"),
            _ => {
                let name: axum::http::HeaderName = name.parse().expect("a name");
                response.headers_mut().insert(name, value.parse().expect("a value"));
            }
        }
    }
    response
}

async fn scene() -> (TestHq, Site) {
    let (resolver, exceptions) = (Arc::new(SystemResolver), Arc::new(Here));
    let http = ClientParts { resolver, exceptions, ..ClientParts::default() };
    (Setup::default().http(http).start().await, Site::start().await)
}

async fn packages(hq: &TestHq, source: &Source) -> Fetched {
    match fetch(&hq.ws(), source).await {
        Ok(Found::Packages(found)) => found,
        other => panic!("{source}: {other:?}"),
    }
}

async fn refused(hq: &TestHq, source: &Source) -> FetchError {
    fetch(&hq.ws(), source).await.expect_err("it is refused")
}

fn zip(name: &str) -> Vec<u8> {
    zip_of(&[("SKILL.md", &SKILL.replace("NAME", name))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_of_a_repository_are_read_without_a_checkout() {
    let (hq, site) = scene().await;
    site.repository();
    let found = packages(&hq, &site.source("forms.git")).await;
    let names: Vec<_> = found.packages.iter().map(|one| one.folder.as_str()).collect();
    assert_eq!(names, ["skills/csv", "skills/pdf"]);
    assert_eq!(found.commit.as_deref().map(str::len), Some(40));
    let script = found.packages[1].file("scripts/fill.sh").expect("a script");
    assert!(script.is_executable && script.text().unwrap().contains("two"), "{script:?}");
    let folder = packages(&hq, &site.source("forms.git#skills/pdf")).await;
    assert_eq!(folder.packages[0].hash, found.packages[1].hash);
    assert_eq!(folder.packages[0].folder, "skills/pdf");
    assert_eq!(folder.packages.len(), 1);
    // A tag, and the commit that it names.
    let tagged = packages(&hq, &site.source("forms.git#skills/pdf@v1")).await;
    assert_ne!(tagged.commit, found.commit);
    let text = tagged.packages[0].file("scripts/fill.sh").unwrap().text().unwrap();
    assert!(text.contains("one"), "{text}");
    let commit = tagged.commit.clone().unwrap();
    let pinned = packages(&hq, &site.source(&format!("forms.git#skills/pdf@{commit}"))).await;
    assert_eq!(pinned, tagged);
    // Nothing is left on the disk.
    let left = hq.ws().folder.join("skills").join("read");
    hq.finish_keeping(move || {
        let left = fs::read_dir(left).into_iter().flatten().count();
        assert_eq!(left, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_cannot_be_read_says_why() {
    let (hq, site) = scene().await;
    site.repository();
    for (rest, part) in [
        ("forms.git#@nope", "no such branch"),
        ("forms.git#nope", "no folder nope"),
        ("private.git", "isn't public"),
        ("gone.git", "isn't public"),
        // Only the host of the repository is reachable.
        ("moved.git", "403"),
    ] {
        let error = refused(&hq, &site.source(rest)).await;
        assert!(matches!(error, FetchError::Git { .. }), "{rest}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(part) && !text.contains('@'), "{rest}: {text}");
    }
    // The guard allows this address, but not this name.
    let hidden = Source::parse(&format!("http://localhost:{}/forms.git", site.port)).unwrap();
    let before = site.seen.lock().len();
    assert_eq!(refused(&hq, &hidden).await.code(), "skill_git");
    assert_eq!(site.seen.lock().len(), before);
    symlink("/etc/passwd", site.path("forms.git/skills/pdf/linked")).unwrap();
    site.git(&["add", "."]);
    site.git(&["commit", "--quiet", "-m", "Linked"]);
    assert_eq!(refused(&hq, &site.source("forms.git")).await.code(), "skill_link");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_and_files_of_a_site_are_read_through_the_guard() {
    let (hq, site) = scene().await;
    site.write("pdf.zip", zip("pdf"));
    site.write("csv/SKILL.md", SKILL.replace("NAME", "csv"));
    site.write("page.zip", "<!doctype html>");
    let found = packages(&hq, &site.source("pdf.zip")).await;
    assert_eq!((found.packages[0].name.as_str(), found.commit), ("pdf", None));
    assert_eq!(packages(&hq, &site.source("csv/SKILL.md")).await.packages[0].name, "csv");
    let local = site.path("csv").display().to_string();
    let local = Source::parse(&local).unwrap();
    assert_eq!(packages(&hq, &local).await.packages[0].name, "csv");
    assert_eq!(refused(&hq, &site.source("page.zip")).await.code(), "skill_not_archive");
    assert_eq!(refused(&hq, &site.source("gone.zip")).await.code(), "skill_source_status");
    let inward = refused(&hq, &site.source("inward.zip")).await;
    assert!(matches!(inward, FetchError::Net(_)), "{inward:?}");
    let private = Source::parse("https://10.0.0.1/a.zip").unwrap();
    assert!(matches!(refused(&hq, &private).await, FetchError::Net(_)));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_of_an_index_are_those_whose_digest_it_names() {
    let (hq, site) = scene().await;
    assert_eq!(refused(&hq, &site.source("")).await.code(), "skill_no_index");
    let (archive, text) = (zip("pdf"), SKILL.replace("NAME", "csv"));
    let digest = |bytes: &[u8]| format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let index = json!({
        "$schema": "https://schemas.agentskills.io/discovery/0.2.0/schema.json",
        "skills": [
            { "name": "pdf", "type": "archive", "description": "Forms", "url": "pdf.zip", "digest": digest(&archive) },
            { "name": "csv", "type": "skill-md", "description": "Tables", "url": "/csv.md", "digest": digest(text.as_bytes()) },
        ],
    });
    site.write(".well-known/agent-skills/index.json", index.to_string());
    site.write(".well-known/agent-skills/pdf.zip", &archive);
    site.write("csv.md", text.replace("Forms", "Other"));
    let Found::Index(index) = fetch(&hq.ws(), &site.source("")).await.unwrap() else {
        panic!("an index")
    };
    let pdf = fetch_entry(&hq.ws(), &index.entries[0]).await.unwrap();
    assert_eq!(pdf.name, "pdf");
    let changed = fetch_entry(&hq.ws(), &index.entries[1]).await.unwrap_err();
    assert_eq!(changed.code(), "skill_digest");
    site.write("csv.md", &text);
    assert_eq!(fetch_entry(&hq.ws(), &index.entries[1]).await.unwrap().name, "csv");
    hq.finish().await;
}
