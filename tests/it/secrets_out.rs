//! Credential proxy: requests with placeholder tokens, and hosts that never get the key.

use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use features::agents::model::Agent;
use features::agents::rules as agents;
use features::connections::model::Wire;
use kernel::RunId;
use net::client::ClientParts;
use net::guard::{Exceptions, Lookup, Resolver};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use runtime::Trusted;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::confine::{PORTS, landlock_abi};
use serde_json::{Value, json};
use support::hq::{Person, Setup, everything_in};
use support::model::Turn;
use support::office::Office;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use vault::model::{SecretId, Way};

/// Hosts of these tests, which all lead to one server.
const HOSTS: [&str; 2] = ["site.test", "other.test"];
const VALUE: &str = "canary/5b1e+never=seen";
const OTHER: &str = "canary/77c0+of=another";

/// Resolver of these names to this machine.
struct Names;

impl Exceptions for Names {
    fn host(&self, host: &str, _port: u16) -> bool {
        HOSTS.contains(&host)
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.host(host, 0) && address.is_loopback()
    }
}

impl Resolver for Names {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A TLS server that echoes the `X-Key` header.
struct Site {
    port: u16,
    /// Root certificate that its certificate is valid under.
    root: String,
    heads: mpsc::Receiver<String>,
    task: JoinHandle<()>,
}

async fn site() -> Site {
    let (acceptor, root) = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, heads) = mpsc::channel(64);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, tell) = (acceptor.clone(), tell.clone());
            tokio::spawn(async move {
                // ok, here and below: a client that is gone needs no response
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = say_back(stream, tell).await;
                }
            });
        }
    });
    Site { port, root, heads, task }
}

fn acceptor() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = pem(params.self_signed(&key).expect("a root").der());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(HOSTS.map(str::to_owned)).expect("names");
    let leaf = params.signed_by(&key, &issuer).expect("a certificate");
    let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], secret)
        .expect("a certificate");
    (TlsAcceptor::from(Arc::new(config)), root)
}

fn pem(der: &[u8]) -> String {
    let coded = STANDARD.encode(der);
    let lines = coded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    let body: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

async fn say_back(mut stream: TlsStream<TcpStream>, tell: mpsc::Sender<String>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let said = head.lines().find_map(|line| line.strip_prefix("X-Key: ")).unwrap_or_default();
    let body = format!("you said {said}\n");
    let _ = tell.send(head).await;
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// An office with a key for each of two hosts.
struct Bed {
    office: Office,
    site: Site,
    api: Person,
    /// Key of the first host.
    key: SecretId,
}

impl Bed {
    /// `None` where programs cannot be restricted to the proxy, or there is no program to try it with.
    #[expect(clippy::print_stdout, reason = "a test that cannot run here says why")]
    async fn new() -> Option<Self> {
        if landlock_abi() < PORTS {
            println!("skipped: this kernel cannot tell ports apart");
            return None;
        }
        if Command::new("curl").arg("--version").output().is_err() {
            println!("skipped: there is no curl");
            return None;
        }
        let site = site().await;
        let way = Arc::new(Names);
        let http = ClientParts { resolver: way.clone(), exceptions: way, ..ClientParts::default() };
        let trusted = Trusted { roots: Some(site.root.clone()), port: site.port };
        let setup = Setup::default().http(http).trusted(trusted);
        let office = Office::with(setup, Wire::OpenaiChat, "mock").await;
        let api = office.hq.api().await;
        let key = added(&api, json!({ "key": "SHOP_KEY", "value": VALUE, "hosts": ["site.test"] }));
        let key = key.await["id"].as_str().expect("an id").parse().expect("an id");
        let other = json!({ "key": "OTHER_KEY", "value": OTHER, "hosts": ["other.test"] });
        added(&api, other).await;
        Some(Self { office, site, api, key })
    }

    /// An agent whose programs have network access.
    async fn agent(&self, name: &str) -> Agent {
        let agent = self.office.agent_with(name, |new| new.exec = true).await;
        let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
        self.office.change(agent.id, on).await
    }

    /// A command that sends this value as its key.
    fn sends(&self, key: &str, host: &str) -> String {
        let port = self.site.port;
        format!("curl -sS -w ' %{{http_code}}' -H \"X-Key: {key}\" https://{host}:{port}/a")
    }

    /// Output of the agent's programs that run these calls, one after the other.
    async fn prints(&self, agent: &Agent, calls: Vec<Value>) -> (RunId, Vec<String>) {
        for call in calls {
            self.office.model.push(Turn::call("exec", call));
        }
        self.office.model.push(Turn::text("Done."));
        let run = self.office.say(agent, "Try it").await;
        self.office.ended(run).await;
        let printed = self.office.results(run).into_iter().map(|(.., text)| text);
        (run, printed.collect())
    }
}

async fn added(api: &Person, mut body: Value) -> Value {
    body["name"] = body["key"].clone();
    let made = api.post("/api/v1/secrets", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_sends_a_key_that_it_never_has_to_its_host_alone() {
    let Some(mut bed) = Bed::new().await else { return };
    let ada = bed.agent("Ada").await;
    let first = format!("printenv SHOP_KEY > kept; {}", bed.sends("$SHOP_KEY", "site.test"));
    let elsewhere = bed.sends("$SHOP_KEY", "other.test");
    let calls = vec![
        json!({ "command": first, "secrets": ["SHOP_KEY"] }),
        json!({ "command": elsewhere }),
        json!({ "command": "printenv; cat \"$CURL_CA_BUNDLE\" > roots; echo x >> \"$CURL_CA_BUNDLE\"" }),
    ];
    let (run, printed) = bed.prints(&ada, calls).await;
    let head = bed.site.heads.recv().await.expect("a request");
    assert!(head.contains(&format!("X-Key: {VALUE}\r\n")), "the host has the value");
    let kept = bed.office.file(&ada, "kept").expect("a file");
    let word = kept.trim();
    assert!(word.starts_with("hqs_"), "{word}");
    let back = format!("you said {word}");
    assert!(printed[0].contains(&back) && printed[0].contains(" 200"), "{}", printed[0]);
    let told = format!("the placeholder of SHOP_KEY isn't for other.test:{}", bed.site.port);
    assert!(printed[1].contains(&told) && printed[1].contains(" 403"), "{}", printed[1]);
    for name in ["SHOP_KEY=hqs_", "OTHER_KEY=hqs_", "GIT_SSL_CAINFO=", "NODE_USE_ENV_PROXY=1"] {
        assert!(printed[2].contains(name), "{name}: {}", printed[2]);
    }
    let roots = bed.office.file(&ada, "roots").expect("a file");
    assert!(roots.contains(&bed.site.root) && !roots.ends_with("x\n"), "none writes it");

    // The stand-in of another run is not accepted, not even for its own host.
    let bob = bed.agent("Bob").await;
    let (_, printed) =
        bed.prints(&bob, vec![json!({ "command": bed.sends(word, "site.test") })]).await;
    assert!(printed[0].contains("a placeholder is unknown"), "{}", printed[0]);
    // Nor is that of an ended run accepted in a later run of the same agent.
    let (_, printed) =
        bed.prints(&ada, vec![json!({ "command": bed.sends(word, "site.test") })]).await;
    assert!(printed[0].contains("a placeholder is unknown"), "{}", printed[0]);
    assert!(bed.site.heads.try_recv().is_err(), "the host heard of one request alone");

    let key = bed.key;
    let used = bed
        .office
        .until("its use", move |snap| Ok(vault::queries::uses(snap, key, 9)?.into_iter().next()));
    let used = used.await;
    assert_eq!((used.run, used.way, used.host.as_str()), (run, Way::StandIn, "site.test"));
    for seen in bed.office.model.requests() {
        assert!(
            !seen.raw.contains(VALUE) && !seen.raw.contains("[secret:SHOP_KEY"),
            "{}",
            seen.raw
        );
    }
    bed.site.task.abort();
    let data = bed.office.hq.data();
    let look = move || {
        let all = everything_in(&data);
        let holds = |word: &str| all.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(holds("hqs_") && !holds(VALUE) && !holds(OTHER), "a value lies in the data folder");
    };
    bed.office.hq.finish_keeping(look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_removed_is_not_sent_for_programs_that_run_already() {
    let Some(mut bed) = Bed::new().await else { return };
    let ada = bed.agent("Ada").await;
    let sends = bed.sends("$SHOP_KEY", "site.test");
    let command = format!("{sends}; until [ -e go ]; do sleep 0.05; done; {sends}");
    let call = json!({ "command": command, "yieldMs": 120_000 });
    bed.office.model.push(Turn::call("exec", call)).push(Turn::text("Done."));
    let run = bed.office.say(&ada, "Try it").await;
    let head = bed.site.heads.recv().await.expect("a request");
    assert!(head.contains(VALUE));
    let gone = bed.api.call("DELETE", "/api/v1/secrets/SHOP_KEY").await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let go = bed.office.ws().agent_folder(&ada.slug).join("go");
    std::fs::write(go, "").expect("a file");
    bed.office.ended(run).await;
    let printed = bed.office.results(run).remove(0).2;
    assert!(printed.contains("SHOP_KEY was removed") && printed.contains(" 403"), "{printed}");
    assert!(bed.site.heads.try_recv().is_err(), "nothing was passed on");
    bed.site.task.abort();
    bed.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_nothing_could_swap_for_have_no_stand_in_and_are_told() {
    let Some(bed) = Bed::new().await else { return };
    let web = json!({ "key": "WEB_KEY", "value": "of-requests-1", "hosts": ["site.test"], "way": "requests" });
    added(&bed.api, web).await;
    let otto = bed.office.agent_with("Otto", |new| new.exec = true).await;
    let calls = vec![
        json!({ "command": "printenv" }),
        json!({ "command": "true", "secrets": ["SHOP_KEY"] }),
        json!({ "command": "true", "secrets": ["WEB_KEY"] }),
    ];
    let (_, printed) = bed.prints(&otto, calls).await;
    assert!(
        !printed[0].contains("SHOP_KEY") && !printed[0].contains("CURL_CA_BUNDLE"),
        "{}",
        printed[0]
    );
    assert!(printed[1].contains("SHOP_KEY has no placeholder here"), "{}", printed[1]);
    assert!(printed[2].contains("WEB_KEY isn't for programs"), "{}", printed[2]);
    bed.site.task.abort();
    bed.office.hq.finish().await;
}
