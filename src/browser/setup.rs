//! What a browser is started with: its folder, its limits, its jail and its arguments.
//!
//! The program runs in the jail: it writes to its own folder and reaches one port. The host's shell places the ends of
//! the pipes at the numbers that Chromium looks for (3 and 4), whatever HQ itself has inherited under them.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbox::confine;
use sandbox::job::Job;
use sandbox::policy::{Limits, Network, OwnNetwork, Policy, Ports, WithoutLandlock};
use sandbox::spawn::{Command, Input, Output, Spawner};

/// Debian's Chromium itself. The script of this name in `/usr/bin` reads more of the host than the jail shows.
pub const PROGRAM: &str = "/usr/lib/chromium/chromium";

/// Puts what it reads from and writes to where Chromium looks for it, and becomes Chromium.
const PLACE_PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// The folder that it starts in, in few characters: it makes a socket there, whose path may have 107.
const SCRATCH: &str = "/proc/self/cwd";
const SHELL: &str = "/bin/sh";
/// More than a browser with eight tabs has.
const MAX_PROCESSES: usize = 200;
/// Caches and databases of the profile are never larger, in bytes a file.
const MAX_FILE: u64 = 1 << 30;

/// Read by Chromium besides what every program may read, where it is there.
const READABLE: &[&str] = &["/etc/chromium", "/etc/chromium.d", "/etc/fonts"];

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    // The jail refuses the namespaces that Chromium's own sandbox is made of, and stands in for it.
    "--no-sandbox",
    "--test-type",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--enable-automation",
    "--deny-permission-prompts",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-hang-monitor",
    "--disable-quic",
    "--disable-sync",
    "--disable-features=AutofillServerCommunication,BackForwardCache,DialMediaRouteProvider,HttpsUpgrades,MediaRouter,\
     OptimizationHints,Translate",
    // There is a mouse, although no device shows it: `:hover` counts.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,\
     availablePointerTypes=4",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
];

/// Serves the way out of a browser that was started: what listens in its own network, or the port on this machine where
/// it has none.
pub type ServeWay = Arc<dyn Fn(Option<TcpListener>, &Job) + Send + Sync>;

/// What a browser is started with.
#[derive(Clone)]
pub struct Setup {
    /// Starts it in the jail.
    pub spawner: Spawner,
    /// Chromium; usually [`PROGRAM`].
    pub program: PathBuf,
    /// The browser's own folder; profile, downloads and uploads lie in it.
    pub folder: PathBuf,
    /// Folders that stay unreadable although they lie below one of the system.
    pub concealed: Vec<PathBuf>,
    /// The port of the way out on this machine; without one it reaches nothing.
    pub way_out: Option<u16>,
    /// Serves that, also in a network of the browser's own; without it the browser shares the network of the machine.
    pub serve_way: Option<ServeWay>,
    /// What happens on a kernel without Landlock.
    pub without_landlock: WithoutLandlock,
    /// Width and height of a page, in pixels.
    pub window: (u32, u32),
    /// All downloads together, in bytes.
    pub max_downloads: u64,
    /// Memory of all its processes, in bytes; above it is started anew.
    pub max_memory: u64,
    /// It is stopped when nobody used it for so long.
    pub idle: Duration,
}

/// Where the mark of a running browser lies below its folder.
#[must_use]
pub fn runs_in(folder: &Path) -> PathBuf {
    folder.join("run")
}

/// The same of all browsers in a folder, where there is such a folder.
#[must_use]
pub fn all_runs_in(browsers: &Path) -> Vec<PathBuf> {
    // ok: where there is no such folder, no browser has run.
    let folders = fs::read_dir(browsers).into_iter().flatten().flatten();
    folders.map(|folder| runs_in(&folder.path())).collect()
}

impl Setup {
    /// Usual limits.
    #[must_use]
    pub fn new(spawner: Spawner, folder: PathBuf) -> Self {
        Self {
            spawner,
            program: PROGRAM.into(),
            folder,
            concealed: Vec::new(),
            way_out: None,
            serve_way: None,
            without_landlock: WithoutLandlock::Refuse,
            window: (1280, 800),
            max_downloads: 500 << 20,
            max_memory: 1536 << 20,
            idle: Duration::from_mins(10),
        }
    }

    /// Where downloads lie.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    /// Where files lie that are given to pages. The browser reads them and cannot change them.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.folder.join("profile")
    }

    /// Where it starts, and keeps what it needs while it runs.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Where the mark of the running browser lies; nothing in the jail can write here.
    pub(crate) fn runs(&self) -> PathBuf {
        runs_in(&self.folder)
    }

    fn policy(&self) -> Policy {
        let there = READABLE.iter().map(PathBuf::from).filter(|path| path.exists());
        Policy {
            cwd: self.scratch(),
            writable: vec![self.profile(), self.downloads(), self.scratch()],
            readable: there.chain([self.uploads()]).collect(),
            concealed: self.concealed.clone(),
            network: self.way_out.map_or(Network::Off, |port| {
                Network::On(Ports { connect: vec![port], no_udp: true, no_interfaces: true })
            }),
            own_network: match self.serve_way {
                None => OwnNetwork::Unconnected,
                Some(_) if confine::PORTS <= confine::landlock_abi() => OwnNetwork::Served,
                Some(_) => OwnNetwork::Required,
            },
            unix_sockets: true,
            limits: Limits {
                file_bytes: Some(self.max_downloads.max(MAX_FILE)),
                ..Limits::default()
            },
            without_landlock: self.without_landlock,
            landlock_ceiling: None,
            parent: None,
        }
    }

    pub(crate) fn command(&self, errors: PathBuf) -> Command {
        let mut command = Command::new(SHELL, self.policy());
        let (width, height) = self.window;
        let mut profile = OsString::from("--user-data-dir=");
        profile.push(self.profile());
        command.args = ["-c", PLACE_PIPES, "sh"].map(OsString::from).into();
        command.args.push(self.program.clone().into());
        command.args.extend(ARGUMENTS.iter().map(OsString::from));
        command.args.push(profile);
        command.args.push(format!("--window-size={width},{height}").into());
        if let Some(port) = self.way_out {
            // Names are looked up behind the way out; addresses of this machine go through it as well.
            command.args.push(format!("--proxy-server=http://127.0.0.1:{port}").into());
            command.args.push("--proxy-bypass-list=<-loopback>".into());
        }
        command.env = Command::base_env(&self.profile(), Path::new(SCRATCH));
        command.stdin = Input::Pipe;
        command.stdout = Output::Pipe;
        command.stderr = Output::File(errors);
        command.max_processes = MAX_PROCESSES;
        command
    }
}
