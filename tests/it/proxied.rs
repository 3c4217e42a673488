//! Debian's nginx between primary and host, configured as in the manual, with TLS of a private authority and its
//! default idle timeouts.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use link::frame::{Frame, Goodbye};
use link::{LinkError, Pace, Purpose, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use support::hq::TestHq;
use support::model::Turn;
use support::office::{KEY, Office};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::away::{Shop, done, names, was_done};
use super::hosts::{Host, Talk, holds, joins, print, tap, token, until};
use super::partitions::line::Line;

/// Debian's path; the folder is rarely in `PATH`.
const NGINX: &str = "/usr/sbin/nginx";
const MANUAL: &str = include_str!("../../docs/gateways.md");
/// How long nginx waits for data from the primary by default.
const USUAL: Duration = Duration::from_secs(60);
/// Letters per line of a PEM certificate.
const PEM_LINE: usize = 64;
/// Occurs in the data sent between the two.
const CANARY: &str = "canary-of-the-proxy-51c3";

/// nginx, ended together with its folder.
struct Nginx {
    /// URL of the primary through the proxy.
    url: String,
    /// File with the certificate of its authority.
    roots: String,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Proxies a primary, with an additional line of configuration.
    async fn start(home: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = support::free_address();
        let path = |name: &str| folder.path().join(name).to_str().expect("letters").to_owned();
        let roots = path("roots.pem");
        certify(&roots, &path("home.pem"), &path("home.key"));
        let server = documented(address, home);
        // Temporary folders for long request bodies: nginx needs all of them.
        let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let kept = kept.map(|name| format!("{name}_temp_path {};\n", path(name))).concat();
        let (pid, pem, key) = (path("pid"), path("home.pem"), path("home.key"));
        let config = format!(
            "daemon off;\nmaster_process off;\npid {pid};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {kept}ssl_certificate {pem};\nssl_certificate_key {key};\n{more}\n{server}}}\n"
        );
        std::fs::write(path("nginx.conf"), config).expect("written");
        let child = Command::new(NGINX)
            .args(["-p", &path(""), "-c", &path("nginx.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is there: `scripts/setup.sh test` installs it");
        let url = format!("https://localhost:{}", address.port());
        let nginx = Self { url, roots, child, _folder: folder };
        until("nginx listens", async || TcpStream::connect(address).await.is_ok()).await;
        nginx
    }

    fn trust(&self) -> Trust {
        let pem = std::fs::read_to_string(&self.roots).expect("a certificate");
        Trust::only(&pem).expect("roots")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // ok: it may have ended by itself, as expected here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server block of the manual with these addresses, otherwise unchanged.
fn documented(address: SocketAddr, home: &str) -> String {
    let (_, example) = MANUAL.split_once("nginx:\n\n```\n").expect("the manual has an example");
    let (example, _) = example.split_once("```").expect("it ends");
    let home = format!("proxy_pass {home};");
    let listen = format!("listen {address} ssl;");
    [
        ("listen 443 ssl;", listen.as_str()),
        ("server_name hq.example.com;", "server_name localhost;"),
        ("proxy_pass http://127.0.0.1:8080;", &home),
    ]
    .iter()
    .fold(example.to_owned(), |config, (theirs, ours)| {
        assert!(config.contains(theirs), "{theirs}: {config}");
        config.replace(theirs, ours)
    })
}

/// Writes an authority's certificate, and one for `localhost` issued by it, with its key.
fn certify(roots: &str, own: &str, own_key: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    for (path, kind, der) in [
        (roots, "CERTIFICATE", root.der().to_vec()),
        (own, "CERTIFICATE", leaf.der().to_vec()),
        (own_key, "PRIVATE KEY", key.serialize_der()),
    ] {
        std::fs::write(path, pem(kind, &der)).expect("written");
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let coded = STANDARD.encode(der);
    let lines = (0..coded.len()).step_by(PEM_LINE);
    let lines = lines.map(|from| &coded[from..coded.len().min(from + PEM_LINE)]);
    let body: Vec<&str> = lines.collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", body.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_joins_and_an_agent_works_there_through_nginx_which_sees_nothing_of_it() {
    let office = Office::open().await;
    // The decrypted traffic passes through here.
    let (behind, tapped) = tap(office.hq.running().address).await;
    let line = Line::to(&behind).await;
    let nginx = Nginx::start(&line.address, "").await;
    let settings = [("SSL_CERT_FILE", nginx.roots.as_str())];
    let shop = Shop::joined(office, line, &nginx.url, &settings).await;
    let office = &shop.office;
    office.model.follow(vec![
        Turn::call("task_get", json!({})),
        Turn::call("comment_add", json!({ "body": format!("I begin with {CANARY}.") })),
        Turn::call("write", json!({ "path": "bells.md", "content": CANARY })),
        done(),
    ]);
    let task = office.task(&format!("Count {CANARY}"), &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert_eq!(names(&calls), ["task_get", "comment_add", "write", "work_done"], "{calls:?}");
    assert_eq!(office.file(&shop.ada, "bells.md").as_deref(), Some(CANARY));
    // Any git can read the uploaded commits.
    let (repo, copy) =
        (office.ws().folder.join("agents.git"), tempfile::tempdir().expect("a folder"));
    let (from, to) = (repo.to_str().expect("letters"), copy.path().join("ada"));
    git(&["--git-dir", from, "fsck", "--strict", "--full"]);
    git(&["clone", "-q", "--branch", "agent/ada", from, to.to_str().expect("letters")]);
    assert_eq!(std::fs::read_to_string(to.join("bells.md")).expect("it is there"), CANARY);
    shop.close().await;

    until("what passed is over", async || 2 <= tapped.lock().len()).await;
    let all = tapped.lock().clone();
    assert!(10_000 < all.iter().map(Vec::len).sum::<usize>(), "something passed");
    let is_there = |words: &str| all.iter().any(|bytes| holds(bytes, words.as_bytes()));
    for words in [CANARY, KEY, "comment_add", "work_done"] {
        assert!(!is_there(words), "nginx reads {words}");
    }
    assert!(is_there("/gateway/link?home="), "what is in clear would have been found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_on_which_both_say_that_they_are_there_outlives_the_patience_of_nginx() {
    let pace = Pace::default();
    assert!(pace.ping * 3 < USUAL, "two words may be lost before nginx loses its patience");

    let hq = TestHq::start().await;
    let nginx = Nginx::start(&hq.url(), "proxy_read_timeout 3s;").await;
    let (trust, print) = (nginx.trust(), print(&hq).await);
    let links = async |host: &Host, label: &str, pace: Pace| {
        let (token, _) = token(&hq, label).await;
        let at = (nginx.url.as_str(), &trust);
        let linked = host.knock_at(at, &print, joins(&token), pace).await;
        let mut talk = Talk::of(linked.expect("it is let in through nginx"));
        assert!(matches!(talk.next().await, Frame::Welcome(_)));
        talk
    };
    let (one, other) = (Host::new(), Host::new());
    let quick = Pace { ping: Duration::from_millis(150), ..pace };
    let talk = links(&one, "Talks", quick).await;
    let id = talk.admitted.gateway;

    // nginx closes an idle link twice in a row, and each time that takes longer than the permitted silence.
    let mut silent = links(&other, "Silent", pace).await;
    assert_eq!(ended(&mut silent).await, LinkError::Cut);
    let known = Purpose::Known { gateway: silent.admitted.gateway };
    let again = other.knock_at((nginx.url.as_str(), &trust), &print, known, pace).await;
    let mut silent = Talk::of(again.expect("it is let in once more"));
    assert_eq!(ended(&mut silent).await, LinkError::Cut);

    let is_linked = || hq.ws().app.hosts.is_linked(hq.ws().id, id);
    assert!(is_linked(), "who talks is linked still");
    talk.say(Frame::Goodbye(Goodbye { why: "stopping".to_owned() })).await;
    until("its goodbye is not heard", async || !is_linked()).await;

    // A certificate of another authority is not accepted as the primary's.
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let own = own.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
    let stranger = Trust::only(&pem("CERTIFICATE", own.der())).expect("roots");
    let (token, _) = token(&hq, "Fooled").await;
    let at = (nginx.url.as_str(), &stranger);
    let refused = one.knock_at(at, &print, joins(&token), pace).await.expect_err("another");
    assert!(matches!(refused, LinkError::Certificate { .. }), "{refused}");
    drop(nginx);
    hq.finish().await;
}

/// Runs `git` without user settings.
fn git(arguments: &[&str]) {
    let done = Command::new("git")
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is there");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Ignores all frames until the link has ended; returns the reason.
async fn ended(talk: &mut Talk) -> LinkError {
    loop {
        if let Err(error) = talk.hears().await {
            return error;
        }
    }
}
