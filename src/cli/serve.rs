//! `hq serve`: starts the server, says where it is, and ends it well.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use app::config::Config;
use crypto::redact::{RedactWriter, Redactor};
use runtime::Limits;
use server::Parts;

use super::{Common, OK, USAGE, complain, say};

/// Threads of the runtime.
const THREADS: std::ops::RangeInclusive<usize> = 2..=4;
/// Threads for what blocks.
const BLOCKING: usize = 32;
/// The stack of a thread, in bytes. What is not used of it takes no memory; what a build without optimisation keeps there is
/// several times as much as in a release.
const STACK: usize = 8 << 20;

/// Flags of `hq serve`.
#[derive(Args)]
pub struct Serve {
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The address that people use, if it differs
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The master key's file, if it isn't in the data folder
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<String>,
    /// Start without accounts if system.redb is lost and has no backup: HQ asks for a new owner and adopts the
    /// existing workspaces
    #[arg(long, alias = "begin-anew")]
    start_fresh: bool,
}

impl Serve {
    fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("listen", &self.listen),
            ("public_url", &self.public_url),
            ("master_key_file", &self.master_key_file),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// Runs the server until it is asked to end; gives the exit code.
pub fn run(common: &Common, serve: Serve) -> u8 {
    let config = match common.config(serve.flags()) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    if let Err(error) = replica::folder::check_for_home(&config.data) {
        return failed(&error);
    }
    let redactor = Arc::new(Redactor::new());
    if let Err(error) = log_to_stderr(&config.log, common.json, &redactor) {
        return failed(&error);
    }
    match runtime() {
        Ok(runtime) => {
            runtime.block_on(serve_until_told(config, (redactor, serve.start_fresh), common.json))
        }
        Err(error) => failed(&error),
    }
}

/// The async runtime of a server.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(*THREADS.start(), *THREADS.end()))
        .max_blocking_threads(BLOCKING)
        .thread_name("hq")
        .thread_stack_size(STACK)
        .enable_all()
        .build()
}

async fn serve_until_told(
    config: Config,
    (redactor, start_fresh): (Arc<Redactor>, bool),
    as_json: bool,
) -> u8 {
    if rustix::process::geteuid().is_root() && std::process::id() != 1 {
        tracing::warn!("HQ runs as root; a separate user limits what agents can do");
    }
    // Heard from the beginning: the first process of a container is not ended by a signal that it
    // does not listen to.
    let mut ending = match Ending::listen() {
        Ok(ending) => ending,
        Err(error) => return failed(&format!("couldn't listen for signals: {error}")),
    };
    let runs = Limits { active: config.max_active, ..Limits::default() };
    let parts = Parts { redactor, runs, start_fresh, ..Parts::default() };
    let running = match server::start(config, parts).await {
        Ok(running) => running,
        Err(error) => return failed(&error),
    };
    if as_json {
        let ready = json!({ "url": running.url, "setup_link": running.setup_link });
        say(&ready.to_string());
    } else {
        say(&format!("HQ is ready at {}", running.url));
        if let Some(link) = &running.setup_link {
            say(&format!("Set up HQ: {link}"));
        }
    }
    ending.wait().await;
    let patience = running.app.config.end_within;
    let seconds = patience.as_secs();
    tracing::info!(
        "stopping: no new work starts, and agents have {seconds} s to finish; a second \
         signal stops at once"
    );
    tokio::select! {
        settled = running.settle(patience) => if !settled {
            tracing::info!("agents are still working; their work continues after the next start");
        },
        () = ending.wait() => tracing::info!("second signal: stopping at once"),
    }
    running.stop().await;
    OK
}

/// The two signals that ask HQ to end.
pub struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When the system lets nobody hear them.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Whether either has come.
    pub async fn is_told(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.wait() => true,
            // What the system has already delivered is heard before this comes back.
            () = tokio::task::yield_now() => false,
        }
    }
}

fn failed(error: &dyn Display) -> u8 {
    complain(&error.to_string());
    USAGE
}

/// The log goes to standard error, with live secrets taken out.
pub fn log_to_stderr(levels: &str, json: bool, redactor: &Arc<Redactor>) -> Result<(), String> {
    let filter = EnvFilter::try_new(own_names(levels))
        .map_err(|error| format!("HQ_LOG = \"{levels}\": {error}; try info or warn"))?;
    let writer = Redacted(Arc::clone(redactor));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let log = log.with_ansi(colours);
    let set = if json { log.json().try_init() } else { log.try_init() };
    set.map_err(|error| error.to_string())
}

/// What HQ wrote to the log once came under the name of one package, `hq::store`; what was set for that still means it.
fn own_names(levels: &str) -> String {
    let plain = |part: &str| part.strip_prefix("hq::").unwrap_or(part).to_owned();
    levels.split(',').map(|part| plain(part.trim())).collect::<Vec<_>>().join(",")
}

struct Redacted(Arc<Redactor>);

impl<'w> MakeWriter<'w> for Redacted {
    type Writer = RedactWriter<io::Stderr>;
    fn make_writer(&'w self) -> Self::Writer {
        self.0.writer(io::stderr())
    }
}
