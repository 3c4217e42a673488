//! A complete HQ in the test process: real port, temporary folder, manual clock. Tests use it over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use app::config::Config;
use app::consumers::Consumers;
use crypto::token::{Token, TokenKind};
use features::tasks::queries::relations;
use features::users::model::Account;
use features::users::rules::NewSignIn;
use features::workspace::model::Member;
use features::{inbox, runs, users};
use jiff::SignedDuration;
use kernel::id::SeededIds;
use kernel::time::{ManualClock, SystemClock};
use kernel::{Actor, Cause, Clock as _, Part, Role, Timestamp};
use net::client::ClientParts;
use reqwest::StatusCode;
use runtime::{Limits, Trusted};
use server::listen::Patience;
use server::{Parts, Running};
use store::consumer::standing;
use store::{Faults, NoFaults};
use tempfile::TempDir;
use tool::Layers;

mod founded;
mod person;
mod reply;
mod socket;

use founded::Founded;
pub use person::Person;
pub use reply::{Events, Message, Reply};
pub use socket::{Heard, Socket};

/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);
/// Name, mail address and password of the owner.
pub const OWNER: (&str, &str, &str) =
    ("Mira Lindqvist", "mira@marlow.example", "a bicycle bell in the fog");
/// Start time of tests: noon on a Friday.
const NOON: &str = "2026-11-20T12:00:00Z";

type Change = Box<dyn Fn(&mut Config) + Send>;

/// Prepares the data folder before the server starts.
type Fill = Box<dyn FnOnce(&Path) + Send>;

/// Deviations of a test's HQ from the default.
#[derive(Default)]
pub struct Setup {
    config: Vec<Change>,
    http: Option<ClientParts>,
    patience: Patience,
    runs: Limits,
    trusted: Trusted,
    layers: Layers,
    consumers: Option<Box<dyn Fn() -> Consumers + Send + Sync>>,
    faults: Option<Arc<dyn Faults>>,
    data: Option<Fill>,
    real_time: bool,
    anew: bool,
    early: bool,
}

impl Setup {
    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl Fn(&mut Config) + Send + 'static) -> Self {
        self.config.push(Box::new(change));
        self
    }

    /// Uses an existing data folder.
    #[must_use]
    pub fn data(mut self, fill: impl FnOnce(&Path) + Send + 'static) -> Self {
        self.data = Some(Box::new(fill));
        self
    }

    /// Replaces parts of the HTTP client: resolver, exceptions of its guard.
    #[must_use]
    pub fn http(mut self, parts: ClientParts) -> Self {
        self.http = Some(parts);
        self
    }

    /// Changes the timeouts for slow clients.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Changes the limits of runs.
    #[must_use]
    pub fn runs(mut self, limits: Limits) -> Self {
        self.runs = limits;
        self
    }

    /// Adds hosts that the programs' proxy trusts.
    #[must_use]
    pub fn trusted(mut self, trusted: Trusted) -> Self {
        self.trusted = trusted;
        self
    }

    /// Adds tools of connected servers.
    #[must_use]
    pub fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// Adds consumers.
    #[must_use]
    pub fn consumers(mut self, make: impl Fn() -> Consumers + Send + Sync + 'static) -> Self {
        self.consumers = Some(Box::new(make));
        self
    }

    /// Injects disk faults.
    #[must_use]
    pub fn faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Runs the set-up instead of copying a prepared folder: master key and ids are unique.
    #[must_use]
    pub fn anew(mut self) -> Self {
        self.anew = true;
        self
    }

    /// Uses the real time if it is later than the tests' start time: a restore writes with the real time.
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// Starts it without an owner.
    pub async fn unowned(mut self) -> TestHq {
        let fill = self.data.take();
        let mut hq = self.made();
        if let Some(fill) = fill {
            fill(&hq.data());
        }
        hq.start_server().await;
        hq
    }

    /// Creates an HQ with an empty folder.
    fn made(self) -> TestHq {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let noon: Timestamp = NOON.parse().expect("a moment");
        let begins = match (self.real_time, self.early) {
            (true, _) => noon.max(SystemClock.now()),
            (_, true) => noon - SignedDuration::from_secs(1),
            _ => noon,
        };
        let clock = Arc::new(ManualClock::at(begins));
        TestHq { folder, clock, running: None, owner: None, setup: self, starts: 0 }
    }

    /// Starts it with Mira as the owner of the workspace Marlow Cargo.
    pub async fn start(self) -> TestHq {
        let usual = self.config.is_empty() && self.data.is_none() && self.faults.is_none();
        if !usual || self.anew || self.real_time || self.consumers.is_some() {
            return self.set_up().await;
        }
        let founded = Founded::get().await;
        let mut hq = self.made();
        founded.fill(&hq.data());
        hq.starts = 1;
        hq.start_server().await;
        hq.owner = Some(founded.owner(hq.url()));
        hq
    }

    /// Starts it on an empty folder and runs the set-up.
    async fn set_up(self) -> TestHq {
        let mut hq = self.unowned().await;
        let page = hq.nobody();
        let link = hq.running().setup_link.clone().expect("nobody owns it yet");
        let token = link.split_once("token=").expect("a token in the link").1;
        let (name, email, password) = OWNER;
        let form = [
            ("token", token),
            ("name", name),
            ("email", email),
            ("password", password),
            ("workspace", "Marlow Cargo"),
            ("zone", "Europe/Berlin"),
        ];
        let reply = page.form("/setup", &form).await;
        assert_eq!(reply.location(), Some("/w/marlow-cargo/"), "{}", reply.text);
        hq.owner = Some(page);
        hq
    }
}

/// A running HQ.
pub struct TestHq {
    folder: TempDir,
    clock: Arc<ManualClock>,
    running: Option<Running>,
    owner: Option<Person>,
    setup: Setup,
    starts: u64,
}

impl TestHq {
    /// Starts the default: set up, Mira signed in.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    async fn start_server(&mut self) {
        web::assets::install(bundle::get);
        let mut config = Config::for_folder(&self.data());
        // The test clock stands still, so rate limits per minute would never reset while a test polls.
        config.limits.api_per_minute = 0;
        self.setup.config.iter().for_each(|change| change(&mut config));
        self.starts += 1;
        let parts = Parts {
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(7 * self.starts)),
            jail_program: crate::hq_program(),
            runs: self.setup.runs,
            trusted: self.setup.trusted.clone(),
            layers: self.setup.layers.clone(),
            http: self.setup.http.take().unwrap_or_default(),
            patience: self.setup.patience,
            consumers: self
                .setup
                .consumers
                .as_ref()
                .map_or_else(server::consumers::all, |make| make()),
            faults: self.setup.faults.clone().unwrap_or_else(|| Arc::new(NoFaults)),
            ..Parts::default()
        };
        self.running = Some(server::start(config, parts).await.expect("HQ starts"));
    }

    /// Restarts it on the same folder; sessions persist.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops it; the folder remains for another program.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        assert!(running.stop().await, "all tasks end in time");
    }

    /// Starts it again after [`Self::stop`].
    pub async fn start_again(&mut self) {
        self.start_server().await;
        let base = self.url();
        if let Some(owner) = &mut self.owner {
            owner.base = base;
        }
    }

    /// Stops it and checks that no task is left running.
    pub async fn finish(mut self) {
        let running = self.running.take().expect("it runs");
        assert!(running.stop().await, "all tasks end in time");
    }

    /// Stops it and calls `look` before the folder is deleted.
    pub async fn finish_keeping(mut self, look: impl FnOnce()) {
        self.stop().await;
        look();
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.running().address)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn ws(&self) -> Ws {
        self.running().app.workspaces.read().first().expect("a workspace").clone()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Mira's browser.
    pub fn owner(&self) -> Person {
        self.owner.clone().expect("it is set up")
    }

    /// A browser without cookies.
    pub fn nobody(&self) -> Person {
        Person::new(self.url())
    }

    /// An API client with a new token of Mira's with these scopes.
    pub async fn token(&self, scopes: &[&str]) -> Person {
        let body = serde_json::json!({ "name": "Test", "scopes": scopes, "days": 30 });
        let mut made = self.owner().post("/api/v1/tokens", &body).await;
        if made.status == StatusCode::FORBIDDEN {
            self.prove().await;
            made = self.owner().post("/api/v1/tokens", &body).await;
        }
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let token = made.json()["token"].as_str().expect("a token").to_owned();
        self.nobody().with("authorization", &format!("Bearer {token}"))
    }

    /// Mira confirms her identity with her password.
    pub async fn prove(&self) {
        let body = serde_json::json!({ "password": OWNER.2 });
        let proved = self.owner().post("/api/v1/proof", &body).await;
        assert_eq!(proved.status, StatusCode::OK, "{}", proved.text);
    }

    /// An API client with a token with all scopes.
    pub async fn api(&self) -> Person {
        self.token(&["read", "write", "chat", "review", "agents", "browser", "admin"]).await
    }

    /// The browser of another account, a member of the workspace if `role` is given.
    pub async fn another(&self, name: &str, role: Option<Role>) -> Person {
        let running = self.running();
        let cookie = Token::issue(TokenKind::SignIn);
        let (hash, called) = (cookie.hash(), name.to_owned());
        let made = running.app.system.write(Actor::System(Part::Setup), Cause::Setup, move |tx| {
            let email = format!("{}@marlow.example", called.to_lowercase());
            let account = Account {
                id: tx.new_id(),
                email,
                name: called,
                zone: None,
                created_at: tx.now(),
                disabled_at: None,
            };
            tx.put(&account)?;
            let new =
                NewSignIn { hash, address: "test".into(), agent: "test".into(), device: None };
            users::rules::sign_in(tx, account.id, new)?;
            Ok::<_, users::rules::UsersError>(account)
        });
        let account = made.await.expect("an account");
        if let Some(role) = role {
            let by = (Actor::System(Part::Setup), Cause::Setup);
            let put = move |tx: &mut store::WriteTx<'_>| {
                tx.put(&Member {
                    account: account.id,
                    name: account.name.clone(),
                    handle: account.name.to_lowercase(),
                    email: account.email,
                    role,
                    created_at: tx.now(),
                    left_at: None,
                })
            };
            self.ws().write(&by, put).await.expect("a member");
        }
        let person = self.nobody();
        person.keep(&format!("hq={}", cookie.reveal()));
        person
    }

    /// Advances the clock and wakes everything that waits for it.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance_ms(i64::try_from(by.as_millis()).expect("a short time"));
        self.running().app.clock_moved.notify_waiters();
        tokio::task::yield_now().await;
    }

    /// Sets the clock back and wakes everything that waits for it.
    pub async fn set_back(&self, by: Duration) {
        self.clock.advance_ms(-i64::try_from(by.as_millis()).expect("a short time"));
        self.running().app.clock_moved.notify_waiters();
        tokio::task::yield_now().await;
    }

    /// Jumps the wall clock ahead without elapsed time, and wakes everything that waits for it.
    pub async fn jump(&self, by: Duration) {
        self.clock.jump_ms(i64::try_from(by.as_millis()).expect("a short time"));
        self.running().app.clock_moved.notify_waiters();
        tokio::task::yield_now().await;
    }

    /// Advances the clock without waking anything.
    pub fn advance_unnoticed(&self, by: Duration) {
        self.clock.advance_ms(i64::try_from(by.as_millis()).expect("a short time"));
    }

    /// Waits until the usage roll-up has processed all entries.
    pub async fn counted(&self) {
        self.caught_up(|name| name == "usage-days").await;
    }

    /// Waits until all consumers have processed all entries.
    pub async fn followed(&self) {
        self.caught_up(|_| true).await;
    }

    async fn caught_up(&self, is_meant: fn(&str) -> bool) {
        let all = server::consumers::all();
        let late = || {
            let store = &self.ws().store;
            let meant = all.all().iter().filter(|one| is_meant(one.name()));
            let mut standings = meant.map(|one| standing(store, &**one).expect("a read"));
            standings.find(|now| {
                now.behind != 0 || now.rebuilding.is_some() || now.state.incarnation == 0
            })
        };
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let waited = tokio::time::timeout(PATIENCE, async {
            while late().is_some() {
                tick.tick().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{:?}", late()));
    }

    /// Waits until no agent works and no work is due.
    pub async fn settle(&self) {
        let ws = self.ws();
        let mut feed = ws.store.watch();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            feed.borrow_and_update();
            if self.is_at_rest(&ws) {
                return;
            }
            let waited = tokio::time::timeout_at(end, feed.changed()).await;
            waited.expect("agents come to rest in time").expect("the store is open");
        }
    }

    fn is_at_rest(&self, ws: &Ws) -> bool {
        let now = self.now();
        let quiet: Result<bool, store::StoreError> = ws.read(|snap| {
            let live = runs::queries::live(snap)?;
            let busy = live.iter().any(|run| run.state != kernel::RunState::Waiting);
            for item in inbox::queries::due(snap, now, 100)? {
                // Items that wait for other tasks are due but do not start.
                let waits = match item.task.filter(|_| item.waits_for_blockers()) {
                    Some(task) => !relations::open_blockers(snap, task)?.is_empty(),
                    None => false,
                };
                // Likewise items held by quiet hours or a limit.
                let held = item
                    .held_reason
                    .as_deref()
                    .is_some_and(|why| inbox::queries::order::HELD_BY_ITSELF.contains(&why));
                if !waits && !held {
                    return Ok(false);
                }
            }
            Ok(!busy)
        });
        quiet.expect("the store can be read")
    }
}

/// Contents of all files below a folder, to search for forbidden data. Files that a running program deletes meanwhile
/// are skipped.
pub fn everything_in(folder: &Path) -> Vec<u8> {
    assert!(folder.is_dir(), "there is no folder {}", folder.display());
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in unless_gone(std::fs::read_dir(folder)).into_iter().flatten() {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                all.extend(unless_gone(std::fs::read(path)).unwrap_or_default());
            }
        }
    }
    all
}

/// The result; `None` if the file was deleted meanwhile.
fn unless_gone<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("it cannot be read: {error}"),
    }
}
