//! Real programs through the proxy: curl, git, Python and Node, where installed.

#![expect(clippy::print_stderr, reason = "a test that cannot run here says why")]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::report::Report;
use crate::serve::{self, Way};
use crate::tests::{Bed, HOST, Seen, Site, ok, secret, until};

const KEY: &str = "the-real-key-of-git";

/// A proxy that terminates every tunnel, with its report.
struct Proxy {
    url: String,
    report: Arc<Report>,
}

async fn proxy(bed: Arc<Bed>, site: &Site) -> Proxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let report = Arc::new(Report::default());
    let (reports, address) = (Arc::clone(&report), site.address);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (bed, reports) = (Arc::clone(&bed), Arc::clone(&reports));
            tokio::spawn(async move {
                let head = until(&mut client, "\r\n\r\n").await;
                assert!(head.starts_with("CONNECT api.site.test:443 "), "{head}");
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let way: Way<'_> = bed.way();
                let ended =
                    serve::serve(client, &way, || TcpStream::connect(address), &reports).await;
                if let Err(error) = ended {
                    eprintln!("a tunnel ended: {error}");
                }
            });
        }
    });
    Proxy { url, report }
}

/// Runs a program that uses the proxy and trusts the authority; `None` if it is not installed.
async fn run(bed: &Bed, proxy: &Proxy, folder: &Path, words: &[&str]) -> Option<Output> {
    let roots = folder.join("roots.pem");
    std::fs::write(&roots, bed.authority.pem()).unwrap();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env_clear();
    for name in ["PATH", "PYENV_ROOT", "LD_LIBRARY_PATH"] {
        #[expect(clippy::disallowed_methods, reason = "the programs are found by it")]
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &proxy.url);
    }
    for name in [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
    ] {
        command.env(name, &roots);
    }
    command.env("HOME", folder).env("GIT_TERMINAL_PROMPT", "0").env("NODE_USE_ENV_PROXY", "1");
    match command.output().await {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {} does not run here ({error})", words[0]);
            None
        }
    }
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// A host that requires a key and returns it.
fn closed(seen: &Seen) -> Vec<u8> {
    let line =
        seen.head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: "));
    match line {
        Some(line) if line.ends_with(KEY) => ok("", &format!("welcome, {line}\n")),
        _ => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

#[tokio::test]
async fn curl_sends_a_key_that_it_does_not_have() {
    let bed = Arc::new(Bed::today(vec![secret("KEY", KEY, &[])]));
    let site = bed.site(closed).await;
    let proxy = proxy(Arc::clone(&bed), &site).await;
    let folder = tempfile::tempdir().unwrap();
    let (token, url) = (bed.token("KEY"), format!("https://{HOST}/x"));
    let header = format!("Authorization: Bearer {token}");
    let Some(output) =
        run(&bed, &proxy, folder.path(), &["curl", "-sS", "-H", &header, &url, &url]).await
    else {
        return;
    };
    assert_eq!(text(&output), format!("welcome, {header}\n").repeat(2));
    // A large body, for which curl waits for 100 Continue, and a placeholder in a body.
    let big = folder.path().join("big");
    for (content, status) in
        [("x".repeat(3_000_000), "401"), ("x".repeat(2_000_000) + &token, "403")]
    {
        std::fs::write(&big, content).unwrap();
        let words = ["curl", "-sS", "-o", "out", "-w", "%{http_code}", "-T", "big", &url];
        let output = run(&bed, &proxy, folder.path(), &words).await.unwrap();
        assert!(text(&output).starts_with(status), "{}", text(&output));
    }
    let refused = std::fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(refused, "HQ: the placeholder of KEY can't be in the body; send it in a header\n");
    assert_eq!((proxy.report.uses()[0].count, proxy.report.refusals().len()), (2, 1));
}

#[tokio::test]
async fn git_clones_with_a_key_that_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Arc::new(Bed::today(vec![secret("KEY", KEY, &[])]));
    let site = bed.site(|_| ok("", "")).await;
    let outside = proxy(Arc::clone(&bed), &site).await;
    for words in [
        &["git", "init", "-q", "-b", "main", "work"][..],
        &[
            "git",
            "-C",
            "work",
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@a.test",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        ],
        &["git", "clone", "-q", "--bare", "work", "served.git"],
        &["git", "-C", "served.git", "update-server-info"],
    ] {
        let Some(output) = run(&bed, &outside, folder.path(), words).await else { return };
        assert!(output.status.success(), "{}", text(&output));
    }
    let served = folder.path().to_owned();
    let site = bed
        .site(move |seen| {
            let basic = STANDARD.encode(format!("x-access-token:{KEY}"));
            if !seen.head.contains(&format!("Authorization: Basic {basic}\r\n")) {
                return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            let path = seen.head.split([' ', '?']).nth(1).unwrap().trim_start_matches('/');
            match std::fs::read(served.join(path)) {
                Ok(bytes) => [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).as_bytes(), &bytes].concat(),
                Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            }
        })
        .await;
    let proxy = proxy(Arc::clone(&bed), &site).await;
    let token = bed.token("KEY");
    let in_url = format!("https://x-access-token:{token}@{HOST}/served.git");
    let header = format!(
        "http.extraHeader=Authorization: Basic {}",
        STANDARD.encode(format!("x-access-token:{token}"))
    );
    let url = format!("https://{HOST}/served.git");
    for words in [
        &["git", "clone", "-q", &in_url, "one"][..],
        &["git", "-c", &header, "clone", "-q", &url, "two"],
    ] {
        let output = run(&bed, &proxy, folder.path(), words).await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    for copy in ["one", "two"] {
        let log = run(&bed, &proxy, folder.path(), &["git", "-C", copy, "log", "--format=%s"])
            .await
            .unwrap();
        assert_eq!(text(&log), "first\n");
        let config = std::fs::read_to_string(folder.path().join(copy).join(".git/config")).unwrap();
        assert!(!config.contains(KEY));
    }
    assert!(proxy.report.uses()[0].count > 2 && proxy.report.refusals().is_empty());
}

#[tokio::test]
async fn python_and_node_send_a_key_that_they_do_not_have() {
    let bed = Arc::new(Bed::today(vec![secret("KEY", KEY, &[])]));
    let site = bed.site(closed).await;
    let proxy = proxy(Arc::clone(&bed), &site).await;
    let folder = tempfile::tempdir().unwrap();
    let header = format!("Bearer {}", bed.token("KEY"));
    let url = format!("https://{HOST}/x");
    let library = format!(
        "import urllib.request as u; print(u.urlopen(u.Request('{url}', headers={{'Authorization': '{header}'}})).read().decode())"
    );
    let requests = format!(
        "import requests; print(requests.get('{url}', headers={{'Authorization': '{header}'}}).text)"
    );
    // Node's fetch supports proxies from version 24, so the tunnel is opened manually.
    let node = format!(
        "const https = require('https'); const proxy = new URL('{}');
        const tunnel = {{host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: '{HOST}:443'}};
        require('http').request(tunnel).on('connect', (_, socket) => {{
            const ask = {{host: '{HOST}', path: '/x', headers: {{Authorization: '{header}'}}, agent: false, socket}};
            ask.createConnection = () => require('tls').connect({{socket, servername: '{HOST}'}});
            https.get(ask, answer => answer.pipe(process.stdout));
        }}).end();",
        proxy.url,
    );
    for (words, lacks) in [
        (["python3", "-c", &library], "No module"),
        (["python3", "-c", &requests], "No module named 'requests'"),
        (["node", "-e", &node], "no such option"),
    ] {
        let Some(output) = run(&bed, &proxy, folder.path(), &words).await else { continue };
        let printed = text(&output);
        if printed.contains(lacks) {
            eprintln!("skipped: {} lacks what this takes", words[0]);
            continue;
        }
        assert!(printed.contains(&format!("welcome, Authorization: {header}")), "{printed}");
    }
    assert!(proxy.report.refusals().is_empty());
}

#[tokio::test]
async fn pip_asks_an_index_with_a_key_that_it_does_not_have() {
    let bed = Arc::new(Bed::today(vec![secret("KEY", KEY, &[])]));
    let site = bed
        .site(|seen| match seen.head.contains(&STANDARD.encode(format!("me:{KEY}"))) {
            true => ok("Content-Type: text/html\r\n", "<a href=\"thing-1.0.tar.gz\">thing</a>"),
            false => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec(),
        })
        .await;
    let proxy = proxy(Arc::clone(&bed), &site).await;
    let folder = tempfile::tempdir().unwrap();
    let index = format!("https://me:{}@{HOST}/simple", bed.token("KEY"));
    let words = ["python3", "-m", "pip", "index", "versions", "thing", "--index-url", &index];
    let Some(output) = run(&bed, &proxy, folder.path(), &words).await else { return };
    let printed = text(&output);
    if printed.contains("No module named pip") || printed.contains("unknown command") {
        eprintln!("skipped: there is no pip here that can ask");
        return;
    }
    assert!(printed.contains("thing (1.0)"), "{printed}");
    assert!(!proxy.report.uses().is_empty() && proxy.report.refusals().is_empty());
}
