//! The real program as a process: starts on a free port with a folder, can be killed and restarted. For crash, start
//! and command tests and benchmarks; other tests run the server in the test process.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `hq serve`, killed on drop.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    log: Arc<(Mutex<String>, Condvar)>,
    url: String,
    setup_link: Option<String>,
    before: Vec<String>,
    ready_after: Duration,
}

impl Program {
    /// Starts the program on `data` and waits until it reports that it is ready.
    pub fn start(binary: &Path, data: &Path) -> Self {
        Self::start_with(&mut command(binary, data, &["serve"]))
    }

    /// The same with a prepared command.
    pub fn start_with(command: &mut Command) -> Self {
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("a piped stdout"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|l| send.send(l)));
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (kept, stderr) = (log.clone(), child.stderr.take().expect("a piped stderr"));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = kept.0.lock().expect("no reader panics");
                text.push_str(&line);
                text.push('\n');
                kept.1.notify_all();
            }
        });
        let mut program = Self {
            child,
            lines,
            log,
            url: String::new(),
            setup_link: None,
            before: Vec::new(),
            ready_after: Duration::ZERO,
        };
        program.url = program.line_after("HQ is ready at ");
        program.ready_after = began.elapsed();
        program
    }

    /// Base URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Time from process start to readiness.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The one-time set-up link, printed if the folder is empty.
    pub fn setup_link(&mut self) -> String {
        if self.setup_link.is_none() {
            self.setup_link = Some(self.line_after("Set up HQ: "));
        }
        self.setup_link.clone().expect("found just now")
    }

    /// The rest of a line printed before readiness.
    pub fn said(&self, start: &str) -> String {
        let found = self.before.iter().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("it never said `{start}…`: {:?}", self.before)).to_owned()
    }

    pub fn log(&self) -> String {
        self.log.0.lock().expect("no reader panics").clone()
    }

    /// Waits until the log contains these words; returns the log.
    pub fn log_with(&self, words: &str) -> String {
        let log = self.log.0.lock().expect("no reader panics");
        let waited = self.log.1.wait_timeout_while(log, PATIENCE, |log| !log.contains(words));
        let (log, _) = waited.expect("no reader panics");
        assert!(log.contains(words), "`{words}` was never logged:\n{log}");
        log.clone()
    }

    /// Kills it without a warning, like a power failure.
    pub fn kill(mut self) {
        self.child.kill().expect("a process of ours can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Requests a normal stop and waits for it.
    pub fn stop(mut self) -> ExitStatus {
        self.ask_to_end();
        self.ended()
    }

    pub fn ask_to_end(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill -TERM works");
    }

    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("a process that was asked to end does")
    }

    /// The rest of the first output line with this start; set-up lines are kept.
    fn line_after(&mut self, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let ended = self.child.try_wait();
                panic!("no line `{start}…` (ended: {ended:?}); its log:\n{}", self.log());
            };
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
            if let Some(link) = line.strip_prefix("Set up HQ: ") {
                self.setup_link = Some(link.trim().to_owned());
            }
            self.before.push(line);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // ok: it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command of the program on this folder: `HQ_` variables removed, port 0.
#[expect(clippy::disallowed_methods, reason = "a child must not inherit settings of HQ")]
pub fn command(binary: &Path, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HQ_") {
            command.env_remove(name);
        }
    }
    command.env("HQ_DATA", data).env("HQ_LISTEN", "127.0.0.1:0").env("HQ_LOG", "warn");
    // Tests poll as often as they can, and practice runs need no pauses.
    for name in
        ["HQ_LIMITS_API_PER_MINUTE", "HQ_LIMITS_STREAMS_PER_SIGN_IN", "HQ_PRACTICE_PAUSE_MS"]
    {
        command.env(name, "0");
    }
    // Crashes must not pause runs.
    command.env("HQ_RUNS_PAUSE_AFTER_CRASHES", "0");
    command.args(arguments);
    command
}

/// Runs a command to its end.
pub fn run(binary: &Path, data: &Path, arguments: &[&str]) -> Output {
    command(binary, data, arguments).stdin(Stdio::null()).output().expect("the program starts")
}

/// Runs a command with `--json`, which must succeed; returns its output.
pub fn run_json(binary: &Path, data: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = run(binary, data, &[arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "hq {arguments:?} ended with {}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).expect("one JSON value on standard output")
}

/// Creates a join token; returns it with the workspace's fingerprint. The program must not be running: it is started
/// temporarily with a public address, without which it creates no tokens.
pub fn invite(binary: &Path, data: &Path, label: &str) -> (String, String) {
    let mut serve = command(binary, data, &["serve"]);
    let home = Program::start_with(serve.env("HQ_PUBLIC_URL", "http://10.0.0.7:8080"));
    let made = run_json(binary, data, &["gateway", "add", label]);
    assert!(home.stop().success(), "the program ends well");
    let word = |name: &str| made[name].as_str().expect("a word").to_owned();
    (word("secret"), word("fingerprint"))
}

/// Joins a machine with this folder as a gateway, at the primary's address, with a token and the workspace's
/// fingerprint.
pub fn join(binary: &Path, machine: &Path, home: &str, invitation: (&str, &str)) -> Program {
    Program::start_with(&mut joins(binary, machine, home, invitation))
}

/// The command of [`join`], for further settings.
pub fn joins(binary: &Path, machine: &Path, home: &str, (token, print): (&str, &str)) -> Command {
    std::fs::set_permissions(machine, Permissions::from_mode(0o700)).expect("its mode is changed");
    command(binary, machine, &["replica", "--join", home, "--fingerprint", print, "--token", token])
}

/// CPU time of a process in user and kernel mode; Linux counts it in hundredths of a second.
#[must_use]
pub fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a running process");
    // The program's name may contain spaces; later fields do not.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("a number of ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Proportional memory of a process (`Pss`), in KiB.
pub fn pss_kib(process: u32) -> u64 {
    let mut text = String::new();
    let path = PathBuf::from(format!("/proc/{process}/smaps_rollup"));
    let mut file = std::fs::File::open(path).expect("a running process");
    file.read_to_string(&mut text).expect("a readable summary");
    let line = text.lines().find(|line| line.starts_with("Pss:")).expect("a Pss line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}
