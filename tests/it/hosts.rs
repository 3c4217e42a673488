//! Primary's side of the link: admission, replication, and approvals while a host is linked. The host is made of the
//! link's client and a mirror.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crypto::token::{Token, TokenKind};
use features::tasks::model::Task;
use gateways::error::GatewayError;
use gateways::health::Health;
use gateways::identity::identity;
use gateways::model::{Gateway, GatewayToken, Status};
use gateways::queries;
use gateways::rules::{self, NewToken};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{AgentId, GatewayId};
use link::frame::{Ack, Beat, Control, Feed, Frame, Have, SnapshotRows, Welcome};
use link::{
    Admitted, Facts, Identity, Knock, LinkError, Linked, Pace, Pin, Purpose, Receiver, Sender,
    Session, Trust, WIRE,
};
use mirror::{At, Leads, Mirror, Parcel, Roots, Standing, digests, seen_by};
use parking_lot::Mutex;
use serde_json::json;
use store::{NoFaults, Options, Range, Read, ReadExt as _, Store, codec};
use support::hq::{Setup, TestHq};
use support::work;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const ALL: &str = "/api/v1/gateways";
const PAGES: &str = "/w/marlow-cargo/settings/gateways";
/// Canary in replicated data, and in data that no host may have.
const CANARY: &str = "canary-7d20";
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);
/// Read timeout between two checks.
const BREATH: Duration = Duration::from_millis(10);

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            tick.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

async fn act<T: Send + 'static>(
    hq: &TestHq,
    body: impl FnOnce(&mut store::WriteTx<'_>) -> Result<T, GatewayError> + Send + 'static,
) -> T {
    hq.ws().write(&work::owner(hq), body).await.expect("it is done")
}

pub(crate) async fn token(hq: &TestHq, label: &str) -> (Token, GatewayToken) {
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

pub(crate) fn joins(token: &Token) -> Purpose {
    Purpose::Join { token: token.reveal().to_owned().into() }
}

/// Fingerprint of the workspace, as in the join command.
pub(crate) async fn print(hq: &TestHq) -> String {
    identity(&hq.ws()).await.expect("a key").public().fingerprint()
}

fn gateway(hq: &TestHq, id: GatewayId) -> Gateway {
    hq.ws().read(|snap| queries::gateway_by_id(snap, id)).expect("it")
}

fn health(hq: &TestHq, id: GatewayId) -> Health {
    let (one, now) = (gateway(hq, id), hq.now());
    let read = hq.ws().read(|snap| queries::standing(snap, &one, now));
    read.expect("it").health
}

/// Creates a page in the workspace's knowledge, which every host has.
async fn page(hq: &TestHq, title: &str, text: &str) {
    let body = json!({ "title": title, "text": text, "scope": "workspace" });
    let made = hq.owner().post("/api/v1/knowledge", &body).await;
    assert!(made.status.is_success(), "{}", made.text);
}

/// A machine: its key and its mirror.
pub(crate) struct Host {
    identity: Identity,
    mirror: Mirror,
    /// Program start that it reports; empty for an older program.
    pub(crate) life: String,
    _folder: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            path: folder.path().join("replica.redb"),
            schema: server::schema::workspace().mirrored(),
            cache: 1 << 20,
            clock: Arc::new(ManualClock::at(from_ms(1_795_000_000_000))),
            ids: Arc::new(SeededIds::new(11)),
            reactor: None,
            faults: Arc::new(NoFaults),
        };
        let store = Store::open(options).expect("a mirror");
        let leads: Arc<Leads> = Arc::new(|_: &dyn Read, _: &At| Ok(false));
        let mirror = Mirror::new(store, leads).expect("a mirror");
        Self { identity: Identity::generate(), mirror, life: String::new(), _folder: folder }
    }

    pub(crate) async fn knock(
        &self,
        url: &str,
        print: &str,
        purpose: Purpose,
    ) -> Result<Linked, LinkError> {
        let (trust, pace) = (Trust::nobody()?, Pace::default());
        self.knock_at((url, &trust), print, purpose, pace).await
    }

    /// The same with certificate verification and another pace.
    pub(crate) async fn knock_at(
        &self,
        (url, trust): (&str, &Trust),
        print: &str,
        purpose: Purpose,
        pace: Pace,
    ) -> Result<Linked, LinkError> {
        let carrier = link::connect(&link::address(url, print), trust, pace).await?;
        let pin = Pin::Fingerprint(print.to_owned());
        let facts = Facts {
            name: "gpu-1".to_owned(),
            system: "Debian 13".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 8,
            life: self.life.clone(),
            ..Facts::default()
        };
        let knock = Knock {
            identity: &self.identity,
            pin: &pin,
            purpose,
            facts: &facts,
            version: "0.1.0",
            pace,
        };
        link::knock(carrier, knock).await
    }

    /// Links and reports its position; also returns the welcome.
    pub(crate) async fn links(&self, url: &str, print: &str, purpose: Purpose) -> (Talk, Welcome) {
        let linked = self.knock(url, print, purpose).await.expect("it is let in");
        let mut talk = Talk::of(linked);
        let Frame::Welcome(welcome) = talk.next().await else { panic!("it is welcomed first") };
        let have = codec::encode(&self.mirror.have().expect("a read")).expect("bytes");
        talk.say(Frame::Have(Have { have: have.into() })).await;
        (talk, welcome)
    }

    async fn lay(&self, bytes: &Bytes) {
        let parcel = Parcel::decode(bytes).expect("a parcel");
        self.mirror.lay(BTreeSet::<AgentId>::new(), parcel).await.expect("it is for this host");
    }

    /// Receives and applies a frame as a host does; returns it.
    async fn takes(&self, talk: &mut Talk) -> Frame {
        let frame = talk.next().await;
        self.took(&frame, talk).await;
        frame
    }

    /// Receives and applies frames until a condition holds.
    async fn takes_until(&self, talk: &mut Talk, what: &str, is_so: impl AsyncFn() -> bool) {
        let taken = timeout(PATIENCE, async {
            while !is_so().await {
                if let Ok(frame) = timeout(BREATH, talk.receiver.next()).await {
                    self.took(&frame.expect("the link stands"), talk).await;
                }
            }
        });
        taken.await.unwrap_or_else(|_| panic!("{what}"));
    }

    async fn took(&self, frame: &Frame, talk: &Talk) {
        match frame {
            Frame::SnapshotRows(SnapshotRows { rows, .. }) => self.lay(rows).await,
            Frame::SnapshotEnd(end) => talk.say(Frame::Ack(Ack { seq: end.head })).await,
            Frame::Feed(Feed { steps, upto, .. }) => {
                self.lay(steps).await;
                talk.say(Frame::Ack(Ack { seq: *upto })).await;
            }
            _ => {}
        }
    }

    /// Whether the mirror has exactly the host's scope.
    fn is_equal(&self, hq: &TestHq) -> bool {
        let ws = hq.ws();
        let roots = ws.read(|snap| Roots::of(snap, BTreeSet::new())).expect("a read");
        digests(self.mirror.store()).expect("a read") == seen_by(&ws.store, &roots).expect("a read")
    }

    /// Applies frames until the mirror is complete; returns the kinds of frames.
    pub(crate) async fn catches_up(&self, hq: &TestHq, talk: &mut Talk) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        let is_there = |host: &Self| {
            let follows = matches!(host.mirror.standing(), Ok(Standing::Following(..)));
            follows && host.is_equal(hq)
        };
        while !is_there(self) || kinds.last().is_some_and(|kind| *kind == "rows") {
            let kind = kind(&self.takes(talk).await);
            // Key messages may arrive in between.
            if kind != "other" {
                kinds.push(kind);
            }
        }
        kinds
    }
}

fn kind(frame: &Frame) -> &'static str {
    match frame {
        Frame::SnapshotBegin(_) => "begin",
        Frame::SnapshotRows(_) => "rows",
        Frame::SnapshotEnd(_) => "end",
        Frame::Feed(_) => "feed",
        _ => "other",
    }
}

/// A link of a host.
pub(crate) struct Talk {
    pub(crate) admitted: Admitted,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

impl Talk {
    pub(crate) fn of(linked: Linked) -> Self {
        let Session { sender, receiver, pump } = linked.session;
        tokio::spawn(pump.run());
        Self { admitted: linked.admitted, sender, receiver }
    }

    pub(crate) async fn hears(&mut self) -> Result<Frame, LinkError> {
        timeout(PATIENCE, self.receiver.next()).await.expect("something is said in time")
    }

    pub(crate) async fn next(&mut self) -> Frame {
        self.hears().await.expect("the link stands")
    }

    pub(crate) async fn say(&self, frame: Frame) {
        self.sender.send(frame).await.expect("the link stands");
    }

    pub(crate) async fn beats(&self) {
        let beat = Beat { cpu: 12, memory: 8, memory_used: 2, ..Beat::default() };
        self.say(Frame::Beat(beat)).await;
    }

    /// Skips frames until the primary's goodbye; returns its text.
    pub(crate) async fn is_closed(&mut self) -> String {
        loop {
            if let Frame::Goodbye(goodbye) = self.next().await {
                return goodbye.why;
            }
        }
    }
}

/// Code of a refusal.
pub(crate) fn code(refused: Result<Linked, LinkError>) -> String {
    match refused.expect_err("it is not let in") {
        LinkError::Refused(refusal) => refusal.code,
        other => panic!("{other}"),
    }
}

fn is_shut(error: &LinkError) -> bool {
    matches!(error, LinkError::NoSocket { status: 429, .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_joins_takes_its_snapshot_hears_what_changes_and_goes_on_after_a_cut() {
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    page(&hq, "Opening hours", "Monday to Friday").await;
    let secret = json!({ "title": format!("Task {CANARY}") });
    assert!(hq.owner().post("/api/v1/tasks", &secret).await.status.is_success());
    let ((token, _), print, host) = (token(&hq, "GPU").await, print(&hq).await, Host::new());
    let (mut talk, welcome) = host.links(&hq.url(), &print, joins(&token)).await;
    let id = talk.admitted.gateway;
    assert_eq!(
        (talk.admitted.label.as_str(), gateway(&hq, id).status),
        ("GPU", Status::Provisioning)
    );
    assert_eq!(
        (&welcome.settings["slug"], &welcome.settings["agents"]),
        (&json!("gpu"), &json!([]))
    );
    let came = host.catches_up(&hq, &mut talk).await;
    assert_eq!((came.first(), came.contains(&"end")), (Some(&"begin"), true), "{came:?}");
    until("the snapshot is on record", async || gateway(&hq, id).snapshot_at.is_some()).await;
    assert_eq!(gateway(&hq, id).status, Status::Provisioning, "it has not said how it is");
    talk.beats().await;
    until("it is ready", async || gateway(&hq, id).status == Status::Ready).await;
    assert_eq!(health(&hq, id), Health::Healthy);

    // Committed changes are sent, except those irrelevant for the host.
    page(&hq, "Closing hours", "Saturday").await;
    assert!(host.catches_up(&hq, &mut talk).await.contains(&"feed"));
    let tasks = host.mirror.store().read(|snap| snap.list::<Task>(&Range::all()));
    assert!(tasks.expect("a read").is_empty(), "no agent of this host has a task");
    let api = hq.api().await;
    let is_there = async || {
        let told = api.get(&format!("{ALL}/gpu")).await.json();
        let shown = hq.owner().get(&format!("{PAGES}/gpu")).await.text;
        let is_said = shown.contains("Connected <time") && shown.contains("up to date");
        told["link"]["behind"] == json!(0) && is_said
    };
    host.takes_until(&mut talk, "nothing is missing", is_there).await;
    let shown = hq.owner().get(&format!("{PAGES}/gpu")).await;
    assert!(shown.text.contains("Visible data"), "{}", shown.text);
    let scope = api.get(&format!("{ALL}/gpu/scope")).await.json();
    let tables: Vec<&str> = scope["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["table"].as_str())
        .collect();
    assert!(tables.contains(&"settings") && !tables.contains(&"tasks"), "{scope}");
    assert_eq!(api.get(&format!("{ALL}/local/scope")).await.status.as_u16(), 409);

    // After an abrupt cut, later changes are sent from the host's position.
    talk.sender.cut();
    drop(talk);
    until("the link is gone", async || hq.ws().app.hosts.linked(hq.ws().id, id).is_none()).await;
    page(&hq, "Holidays", "August").await;
    let known = Purpose::Known { gateway: id };
    let (mut talk, _) = host.links(&hq.url(), &print, known).await;
    let came = host.catches_up(&hq, &mut talk).await;
    assert!(!came.is_empty() && came.iter().all(|kind| *kind == "feed"), "{came:?}");
    talk.sender.goodbye("stopping").await.expect("it leaves");
    until("it sleeps", async || health(&hq, id) == Health::Sleeping).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_right_is_turned_away_and_three_failures_close_the_door() {
    let hq = TestHq::start().await;
    let (print, url) = (print(&hq).await, hq.url());
    let (host, other) = (Host::new(), Host::new());
    let (used, _) = token(&hq, "GPU").await;
    let (late, _) = token(&hq, "Late").await;
    let (gone, row) = token(&hq, "Gone").await;
    act(&hq, move |tx| rules::revoke_token(tx, row.id)).await;
    // For an unknown workspace there is no information and no handshake.
    let strange = other.knock(&url, "7K3M-AAAA", joins(&used)).await.expect_err("not here");
    assert!(matches!(strange, LinkError::NoSocket { status: 404, .. }), "{strange}");
    let (talk, _) = host.links(&url, &print, joins(&used)).await;
    let id = talk.admitted.gateway;
    assert_eq!(code(other.knock(&url, &print, joins(&used)).await), "token_used");
    assert_eq!(code(other.knock(&url, &print, joins(&gone)).await), "token_revoked");
    let lies = Purpose::Known { gateway: id };
    assert_eq!(code(other.knock(&url, &print, lies.clone()).await), "other_key");
    until("the door is closed", async || {
        other.knock(&url, &print, lies.clone()).await.is_err_and(|error| is_shut(&error))
    })
    .await;
    let told = hq.owner().get("/api/v1/notifications").await.text;
    // Repeated alarms of a gateway within a while are one notice with the latest text.
    assert!(told.contains("Another machine connected as GPU"), "{told}");
    assert!(told.contains("\"count\":2"), "{told}");
    assert!(gateway(&hq, id).strange_at.is_some());

    hq.advance(Duration::from_secs(16 * 60)).await;
    assert_eq!(code(other.knock(&url, &print, joins(&late)).await), "token_expired");
    // Machines with a known key are admitted regardless of others' failures.
    let (again, _) = host.links(&url, &print, joins(&used)).await;
    assert_eq!(again.admitted.gateway, id, "the same key, the same answer");
    drop((talk, again));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_proxy_strangers_close_the_door_to_strangers_alone() {
    let public = |config: &mut app::config::Config| {
        config.public_url = Some("https://hq.example.com".to_owned());
    };
    let hq = Setup::default().config(public).start().await;
    let (print, url) = (print(&hq).await, hq.url());
    let (host, other) = (Host::new(), Host::new());
    let ((first, _), (second, _)) = (token(&hq, "GPU").await, token(&hq, "NAS").await);
    let (talk, _) = host.links(&url, &print, joins(&first)).await;
    let known = Purpose::Known { gateway: talk.admitted.gateway };
    let strange = Token::issue(TokenKind::Gateway);
    until("the door is closed", async || {
        code(other.knock(&url, &print, joins(&strange)).await) == "rate_limited"
    })
    .await;
    assert_eq!(code(other.knock(&url, &print, joins(&second)).await), "rate_limited");
    let (again, _) = host.links(&url, &print, known).await;
    assert_eq!(again.admitted.gateway, talk.admitted.gateway);
    assert_eq!(code(other.knock(&url, &print, joins(&second)).await), "rate_limited");
    hq.advance(Duration::from_secs(5 * 60)).await;
    let (other, _) = other.links(&url, &print, joins(&second)).await;
    assert_eq!(other.admitted.label, "NAS");
    drop((talk, again, other));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_wire_and_frames_over_the_limit_are_refused_before_anything_is_proved() {
    let hq = TestHq::start().await;
    let address = link::address(&hq.url(), &print(&hq).await);
    let (trust, pace) = (Trust::nobody().expect("no roots"), Pace::default());
    // Hello of a newer protocol version: the refusal is signed and names the program to download.
    let version = b"9.0.0";
    let hello = [
        &b"hq-link\x01\x01"[..],
        &(WIRE + 1).to_be_bytes(),
        &u16::try_from(version.len()).expect("short").to_be_bytes(),
        version,
        &[7u8; 64],
    ]
    .concat();
    let mut carrier = link::connect(&address, &trust, pace).await.expect("it is heard");
    carrier.send(hello.into()).await.expect("it leaves");
    let answer = carrier.receive(link::MAX_UNPROVEN).await.expect("a refusal");
    let said = String::from_utf8_lossy(&answer);
    assert!(said.contains("wire_mismatch") && said.contains("Fetch HQ"), "{said}");
    // Unknown versions do not throttle the address; oversized messages do.
    for length in [link::MAX_SEALED + 1, link::MAX_UNPROVEN + 1, link::MAX_UNPROVEN + 1] {
        let mut carrier = link::connect(&address, &trust, pace).await.expect("it is heard");
        // ok: the primary may have closed the connection before
        let _ = carrier.send(vec![0; length].into()).await;
        assert!(carrier.receive(link::MAX_UNPROVEN).await.is_err(), "{length}");
    }
    until("the door is closed", async || {
        let knocked = link::connect(&address, &trust, pace).await;
        match knocked {
            Ok(mut carrier) => {
                // ok: this is no valid hello, which counts whether it arrives completely or not
                let _ = carrier.send(Bytes::from_static(b"no hello")).await;
                false
            }
            Err(error) => is_shut(&error),
        }
    })
    .await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_decide_counts_while_it_is_linked_and_the_newest_link_is_the_one() {
    let hq = TestHq::start().await;
    let ((token, _), print, host) = (token(&hq, "GPU").await, print(&hq).await, Host::new());
    let url = hq.url();
    let (mut talk, _) = host.links(&url, &print, joins(&token)).await;
    let id = talk.admitted.gateway;
    host.catches_up(&hq, &mut talk).await;
    talk.beats().await;
    until("it is ready", async || gateway(&hq, id).status == Status::Ready).await;
    let api = hq.api().await;
    for verb in ["pause", "resume"] {
        let done = api.post(&format!("{ALL}/gpu/{verb}"), &json!({})).await;
        assert!(done.status.is_success(), "{}", done.text);
        let order = loop {
            // Key messages may arrive at any time.
            if let Frame::Control(Control { body, .. }) = talk.next().await
                && body["do"] != "keys"
            {
                break body;
            }
        };
        assert_eq!(order, json!({ "do": verb }));
    }
    let known = Purpose::Known { gateway: id };
    let (mut newer, _) = host.links(&url, &print, known.clone()).await;
    assert_eq!(talk.is_closed().await, "replaced");
    assert!(hq.ws().app.hosts.linked(hq.ws().id, id).is_some(), "the newer one stands");
    let revoked = api.post(&format!("{ALL}/gpu/revoke"), &json!({})).await;
    assert!(revoked.status.is_success(), "{}", revoked.text);
    assert_eq!(newer.is_closed().await, "revoked");
    assert_eq!(code(host.knock(&url, &print, known).await), "gateway_revoked");
    until("the link is gone", async || hq.ws().app.hosts.linked(hq.ws().id, id).is_none()).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_starts_again_goes_on_with_the_snapshot_where_the_host_is() {
    let mut hq = TestHq::start().await;
    // So long that the text is in the row, and so many that the snapshot has several parts.
    let long = "All that there is to know of it. ".repeat(900);
    for n in 0..20 {
        page(&hq, &format!("Page {n}"), &long).await;
    }
    let ((token, _), print, host) = (token(&hq, "GPU").await, print(&hq).await, Host::new());
    let (mut talk, _) = host.links(&hq.url(), &print, joins(&token)).await;
    let id = talk.admitted.gateway;
    while kind(&host.takes(&mut talk).await) != "rows" {}
    let standing = host.mirror.standing().expect("a read");
    let Standing::Taking(_, _, place) = standing else { panic!("it has a part: {standing:?}") };
    // A host hangs up after a goodbye; HQ would wait for that for up to 10 s.
    let (_, word) = tokio::join!(hq.restart(), async move { talk.is_closed().await });
    assert_eq!(word, "stopping");
    let known = Purpose::Known { gateway: id };
    let (mut talk, _) = host.links(&hq.url(), &print, known).await;
    let first = loop {
        if let Frame::SnapshotRows(SnapshotRows { rows, .. }) = talk.next().await {
            break rows;
        }
    };
    let Ok(Parcel::Rows(piece)) = Parcel::decode(&first) else { panic!("a piece") };
    assert_eq!(piece.from, Some(place), "nothing is sent twice");
    host.lay(&first).await;
    let came = host.catches_up(&hq, &mut talk).await;
    assert!(!came.contains(&"begin"), "{came:?}");
    drop(talk);
    hq.finish().await;
}

/// Both directions of the traffic between host and primary.
pub(crate) type Tapped = Arc<Mutex<Vec<Vec<u8>>>>;

async fn copied(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, tapped: Tapped) {
    let (mut all, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        all.extend_from_slice(&piece[..n]);
        if to.write_all(&piece[..n]).await.is_err() {
            break;
        }
    }
    // ok: the other end may be gone
    let _ = to.shutdown().await;
    tapped.lock().push(all);
}

/// A recording proxy in front of an address.
pub(crate) async fn tap(to: SocketAddr) -> (String, Tapped) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let (url, tapped) =
        (format!("http://{}", listener.local_addr().expect("an address")), Tapped::default());
    let kept = Arc::clone(&tapped);
    tokio::spawn(async move {
        while let Ok((host, _)) = listener.accept().await {
            let Ok(home) = TcpStream::connect(to).await else { return };
            let ((host_in, host_out), (home_in, home_out)) = (host.into_split(), home.into_split());
            tokio::spawn(copied(host_in, home_out, Arc::clone(&kept)));
            tokio::spawn(copied(home_in, host_out, Arc::clone(&kept)));
        }
    });
    (url, tapped)
}

/// Whether `words` occur in `bytes`, plain or under the four-byte mask of client frames. At least eight letters: with
/// seven, only three are compared, which matches by chance in one of some hundred encrypted links.
pub(crate) fn holds(bytes: &[u8], words: &[u8]) -> bool {
    assert!(8 <= words.len(), "too short to be found only where it stands");
    let mask = |part: &[u8], at: usize| part[at] ^ words[at];
    bytes
        .windows(words.len())
        .any(|part| (4..words.len()).all(|at| mask(part, at) == mask(part, at - 4)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_in_clear() {
    let hq = TestHq::start().await;
    page(&hq, CANARY, CANARY).await;
    let label = "Label of the canary";
    let ((token, _), print, host) = (token(&hq, label).await, print(&hq).await, Host::new());
    let (url, tapped) = tap(hq.running().address).await;
    let (mut talk, _) = host.links(&url, &print, joins(&token)).await;
    assert_eq!(talk.admitted.label, label);
    host.catches_up(&hq, &mut talk).await;
    talk.beats().await;
    talk.sender.goodbye("stopping").await.expect("it leaves");
    drop(talk);
    until("both directions are over", async || 2 <= tapped.lock().len()).await;
    let all = tapped.lock().clone();
    let sealed: usize = all.iter().map(Vec::len).sum();
    assert!(1_000 < sealed, "something passed");
    // Short words would match random bytes under some mask.
    for words in [CANARY, label, token.reveal(), "knowledge", "Debian 13"] {
        for bytes in &all {
            assert!(!holds(bytes, words.as_bytes()), "{words} stands on the line");
        }
    }
    // Plain text would have been found.
    assert!(all.iter().any(|bytes| holds(bytes, b"hq-link\x01")), "a handshake begins so");
    hq.finish().await;
}
