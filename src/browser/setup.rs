//! Parameters of a browser: its folder, limits, jail and command line.
//!
//! The program runs in the jail: it writes to its own folder and can reach one port. The host's shell moves the pipes
//! to file descriptors 3 and 4, where Chromium expects them, whatever HQ has inherited there.

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

/// Debian's Chromium binary. The script of the same name in `/usr/bin` reads files that the jail hides.
pub const PROGRAM: &str = "/usr/lib/chromium/chromium";

/// Moves stdin and stdout to the descriptors that Chromium uses, and executes Chromium.
const PLACE_PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// A short path for the working folder: Chromium creates a socket there, whose path is limited to 107 characters.
const SCRATCH: &str = "/proc/self/cwd";
const SHELL: &str = "/bin/sh";
/// More processes than a browser with eight tabs has.
const MAX_PROCESSES: usize = 200;
/// Maximum size of a file in the profile in bytes.
const MAX_FILE: u64 = 1 << 30;

/// Paths that Chromium may read in addition to those of every program, if they exist.
const READABLE: &[&str] = &["/etc/chromium", "/etc/chromium.d", "/etc/fonts"];

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    // The jail refuses the namespaces of Chromium's own sandbox and replaces it.
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
    // Declares a mouse, although no device has one, so that `:hover` works.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,\
     availablePointerTypes=4",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
];

/// Serves the egress proxy of a started browser: on the listener in its own network, or on the port of this machine
/// without one.
pub type ServeWay = Arc<dyn Fn(Option<TcpListener>, &Job) + Send + Sync>;

#[derive(Clone)]
pub struct Setup {
    /// Starts the browser in the jail.
    pub spawner: Spawner,
    /// Path of Chromium; usually [`PROGRAM`].
    pub program: PathBuf,
    /// The browser's own folder with profile, downloads and uploads.
    pub folder: PathBuf,
    /// Folders that stay unreadable although a system folder contains them.
    pub concealed: Vec<PathBuf>,
    /// Port of the egress proxy on this machine; without it the browser has no network.
    pub way_out: Option<u16>,
    /// Serves the proxy in the browser's own network; without it the browser shares the network of the machine.
    pub serve_way: Option<ServeWay>,
    pub without_landlock: WithoutLandlock,
    /// Width and height of a page in pixels.
    pub window: (u32, u32),
    /// Total size of all downloads in bytes.
    pub max_downloads: u64,
    /// Memory of all processes in bytes; above it the browser is restarted.
    pub max_memory: u64,
    /// The browser is stopped after this time without use.
    pub idle: Duration,
}

/// Where the marker of a running browser is stored below its folder.
#[must_use]
pub fn runs_in(folder: &Path) -> PathBuf {
    folder.join("run")
}

/// The same for all browsers in a folder.
#[must_use]
pub fn all_runs_in(browsers: &Path) -> Vec<PathBuf> {
    // ok: without the folder no browser has run.
    let folders = fs::read_dir(browsers).into_iter().flatten().flatten();
    folders.map(|folder| runs_in(&folder.path())).collect()
}

impl Setup {
    /// Creates a setup with the usual limits.
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

    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    /// The folder of files for pages. The browser can only read it.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.folder.join("profile")
    }

    /// Working folder with temporary files of a running browser.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// The folder with the marker of the running browser; not writable from the jail.
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
            // The proxy resolves names; loopback addresses go through it as well.
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
