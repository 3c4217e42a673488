//! Starts programs in the jail. A single thread starts all of them for the server's lifetime, because the parent-death
//! signal is tied to the starting thread, and a pool thread may end at any time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStderr, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use kernel::env_names;
use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use tokio::sync::{Notify, oneshot};

use super::SandboxError;
use super::cgroup::{Group, Groups, MemoryLimit, Missing};
use super::jail;
use super::job::{Job, JobEnd, Outcome, Shared, State, StopReason};
use super::kill::{self, SessionMark};
use super::left_over;
use super::own_network::Place;
use super::policy::Policy;
use super::space::{Looks, Room};
use super::spare::{Begun, Order, Sealed, Spare};
use super::streams::{Given, Streams};
use super::watch::Watch;

/// The program that HQ starts as its helper: itself.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// Stack size of this module's small threads.
pub(super) const STACK: usize = 256 * 1024;

/// How long a spare helper waits for the next program.
const KEPT_READY: Duration = Duration::from_secs(20);

/// A program to start.
#[derive(Clone, Debug)]
pub struct Command {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Arguments. Other users of the host can read them: no secrets.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    pub policy: Policy,
    pub stdin: Input,
    pub stdout: Output,
    /// May be the same file as `stdout`.
    pub stderr: Output,
    /// Output limit in bytes for all output files together. The program is ended when it exceeds the limit.
    pub output_cap: u64,
    /// The program is ended after this time.
    pub timeout: Option<Duration>,
    /// Process limit of the session. The program is ended when it exceeds the limit.
    pub max_processes: usize,
    /// Disk limit of the writable folders. The program is ended when it exceeds the limit. `None` disables the check.
    pub room: Option<Room>,
    /// What happens to processes that the program leaves behind.
    pub children: Children,
    /// Folder in which the session is recorded as soon as it exists, so that the next start of HQ finds it even if HQ
    /// is killed right after this start.
    pub noted_in: Option<PathBuf>,
}

impl Command {
    /// A program with this policy, without input, output or time limit.
    #[must_use]
    pub fn new(program: impl Into<OsString>, policy: Policy) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            policy,
            stdin: Input::Nothing,
            stdout: Output::Nothing,
            stderr: Output::Nothing,
            output_cap: 64 << 20,
            timeout: None,
            max_processes: 128,
            room: None,
            children: Children::End,
            noted_in: None,
        }
    }

    /// The environment of every program: `PATH` and its two own folders.
    #[must_use]
    pub fn base_env(home: &Path, scratch: &Path) -> Vec<(OsString, OsString)> {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        [
            ("PATH", OsStr::new(path)),
            ("HOME", home.as_os_str()),
            ("TMPDIR", scratch.as_os_str()),
            ("LANG", OsStr::new("C.UTF-8")),
            ("HQ_SHELL", OsStr::new("exec")),
            // Programs start no session of their own, so git runs maintenance before it exits, not in the background.
            ("GIT_CONFIG_COUNT", OsStr::new("2")),
            ("GIT_CONFIG_KEY_0", OsStr::new("gc.autoDetach")),
            ("GIT_CONFIG_VALUE_0", OsStr::new("false")),
            ("GIT_CONFIG_KEY_1", OsStr::new("maintenance.autoDetach")),
            ("GIT_CONFIG_VALUE_1", OsStr::new("false")),
        ]
        .map(|(name, value)| (name.into(), value.to_owned()))
        .into()
    }
}

/// Standard input of a program.
#[derive(Clone, Debug)]
pub enum Input {
    /// Empty.
    Nothing,
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
    /// A pipe, returned in [`Started`].
    Pipe,
}

/// Standard output or error of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Discarded.
    Nothing,
    /// A new file in an existing folder. Its content outlives the program and HQ.
    File(PathBuf),
    /// A pipe, returned in [`Started`].
    Pipe,
}

/// What happens to processes that are left when the first one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// They are ended too.
    End,
    /// They continue until the job is stopped, under the same limits.
    Keep,
}

/// A started program with the requested pipes.
pub struct Started {
    pub job: Job,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    /// Listener of the egress port in the program's own network, if it has one. The server of this listener drops it
    /// when no process of the program is left.
    pub way_out: Option<TcpListener>,
}

/// Starts programs. Clones share one thread. When the last clone is dropped, all programs are killed.
#[derive(Clone)]
pub struct Spawner(Arc<Inner>);

struct Inner {
    program: PathBuf,
    requests: mpsc::Sender<Request>,
    watch: Arc<Watch>,
    helpers: Arc<Helpers>,
}

/// State of the helpers.
#[derive(Default)]
struct Helpers {
    /// Process id of the spare helper; 0 if there is none.
    ready: AtomicI32,
    /// Helpers stay in the host's network, because one that left it was unusable.
    share: AtomicBool,
    /// Helpers stay in HQ's control group.
    ungrouped: AtomicBool,
    /// The parent of the control groups; set before the first program is started.
    groups: OnceLock<Result<Arc<Groups>, Missing>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watch.close();
    }
}

enum Request {
    /// Start a program.
    Start(Box<Command>, oneshot::Sender<Result<Started, SandboxError>>),
    /// Determine whether programs get networks of their own.
    Look(oneshot::Sender<bool>),
}

impl Spawner {
    /// Starts the three threads. `jail_program` is [`OWN_PROGRAM`], or the built program in tests.
    pub fn new(jail_program: PathBuf) -> Result<Self, SandboxError> {
        let watch = Arc::new(Watch::default());
        let (requests, incoming) = mpsc::channel::<Request>();
        let seen = Arc::clone(&watch);
        let program = jail_program.clone();
        let helpers = Arc::new(Helpers::default());
        let shared = Arc::clone(&helpers);
        thread::Builder::new()
            .name("hq-spawn".into())
            .stack_size(STACK)
            .spawn(move || serve(&jail_program, &seen, &incoming, &shared))
            .map_err(SandboxError::Thread)?;
        let looker = Arc::clone(&watch);
        thread::Builder::new()
            .name("hq-space".into())
            .stack_size(STACK)
            .spawn(move || looker.run_space())
            .map_err(SandboxError::Thread)?;
        let watcher = Arc::clone(&watch);
        thread::Builder::new()
            .name("hq-watch".into())
            .stack_size(STACK)
            .spawn(move || watcher.run())
            .map_err(SandboxError::Thread)?;
        Ok(Self(Arc::new(Inner { program, requests, watch, helpers })))
    }

    /// Starts a program. If the future is dropped before the program has started, the program is stopped again.
    pub async fn spawn(&self, command: Command) -> Result<Started, SandboxError> {
        self.ask(command)?.await.map_err(|_closed| SandboxError::Closed)?
    }

    /// Starts a program from a blocking thread. Not for async code.
    pub fn spawn_blocking(&self, command: Command) -> Result<Started, SandboxError> {
        self.ask(command)?.blocking_recv().map_err(|_closed| SandboxError::Closed)?
    }

    /// Path of the helper program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.0.program
    }

    /// Process id of the spare helper.
    #[must_use]
    pub fn helper_ahead(&self) -> Option<i32> {
        Some(self.0.helpers.ready.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Returns `true` if this machine supports separate networks for programs. Determined by trying.
    pub async fn has_own_networks(&self) -> bool {
        self.query_networks().await.unwrap_or(false) // ok: if nothing can be started any more, there are none
    }

    /// Like [`Spawner::has_own_networks`], from a blocking thread. Not for async code.
    #[must_use]
    pub fn has_own_networks_blocking(&self) -> bool {
        self.query_networks().blocking_recv().unwrap_or(false) // ok: as above
    }

    fn query_networks(&self) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.requests.send(Request::Look(reply)).ok(); // ok: the caller then gets a closed channel
        answer
    }

    /// Simulates a machine without network namespaces. For tests of the fallback.
    pub fn share_networks(&self) {
        self.0.helpers.share.store(true, Ordering::Release);
    }

    /// Simulates a machine without control groups. For tests of the fallback.
    pub fn share_control_group(&self) {
        self.0.helpers.ungrouped.store(true, Ordering::Release);
    }

    /// The memory limit of programs in control groups, or why they have none. Known once a program was started.
    pub(super) fn control_groups(&self) -> Result<Option<MemoryLimit>, Missing> {
        let helpers = &self.0.helpers;
        if helpers.ungrouped.load(Ordering::Acquire) {
            return Err(Missing::Unwanted);
        }
        match helpers.groups.get() {
            Some(Ok(groups)) => Ok(groups.memory()),
            Some(Err(missing)) => Err(*missing),
            None => Err(Missing::NotMounted),
        }
    }

    /// All programs with running processes.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.0.watch.jobs()
    }

    /// Stops everything and waits at most two seconds.
    pub async fn shutdown(&self) {
        let jobs = self.jobs();
        for job in &jobs {
            job.stop(StopReason::Shutdown);
        }
        let all = async {
            for job in &jobs {
                job.wait().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), all).await.is_err() {
            tracing::warn!("some programs have not ended yet; they end with HQ");
        }
    }

    fn ask(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Started, SandboxError>>, SandboxError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Start(Box::new(command), reply);
        self.0.requests.send(request).map_err(|_closed| SandboxError::Closed)?;
        Ok(answer)
    }
}

/// The starting thread. Whoever has started a program is likely to start another soon. A spare helper for it is
/// prepared meanwhile, and ends if unused.
fn serve(
    jail_program: &Path,
    watch: &Arc<Watch>,
    requests: &mpsc::Receiver<Request>,
    helpers: &Helpers,
) {
    let mut spare: Option<Spare> = None;
    helpers.groups.get_or_init(|| Groups::set_up().map(Arc::new));
    loop {
        let next = match &spare {
            Some(_) => requests.recv_timeout(KEPT_READY),
            None => requests.recv().map_err(RecvTimeoutError::from),
        };
        helpers.ready.store(0, Ordering::Release);
        let request = match next {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                spare = None;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let shares = helpers.share.load(Ordering::Acquire);
        spare = spare.filter(|waiting| waiting.shares() == shares);
        let (command, reply) = match request {
            Request::Start(command, reply) => (command, reply),
            Request::Look(reply) => {
                spare = spare.or_else(|| helpers.helper(jail_program, shares).ok()); // ok: then it has none
                let place = spare.as_mut().and_then(|waiting| waiting.place().ok()); // ok: as above
                reply.send(place == Some(Place::Own)).ok(); // ok: the caller has gone
                continue;
            }
        };
        let started = start(jail_program, watch, helpers, spare.take(), *command);
        if let Err(Ok(unwanted)) = reply.send(started) {
            unwanted.job.stop(StopReason::Stopped);
        }
        match Spare::start(jail_program, helpers.share.load(Ordering::Acquire), helpers.groups()) {
            Ok(started) => {
                helpers.ready.store(started.pid(), Ordering::Release);
                spare = Some(started);
            }
            Err(error) => tracing::debug!("no helper ahead of the next program: {error}"),
        }
    }
}

impl Helpers {
    fn groups(&self) -> Option<&Arc<Groups>> {
        self.groups.get()?.as_ref().ok().filter(|_| !self.ungrouped.load(Ordering::Acquire))
    }

    /// Starts a helper. If a helper that left the host's network is unusable, no further helper leaves it.
    fn helper(&self, jail_program: &Path, shares: bool) -> io::Result<Spare> {
        let mut spare = Spare::start(jail_program, shares, self.groups())?;
        if spare.place()? != Place::Unusable {
            return Ok(spare);
        }
        tracing::warn!(
            "this machine gives programs a network of their own that is of no use (AppArmor may \
             restrict user namespaces); they share the network of the machine"
        );
        self.share.store(true, Ordering::Release);
        let mut spare = Spare::start(jail_program, true, self.groups())?;
        spare.place()?;
        Ok(spare)
    }

    /// Gives an order to the spare helper, or to a new one.
    fn begin(
        &self,
        spare: Option<Spare>,
        jail_program: &Path,
        order: &Sealed,
        given: &Given,
    ) -> io::Result<Begun> {
        let ahead = spare.filter(|_| order.is_short());
        if let Some(begun) = ahead.and_then(|spare| spare.give(order, given)) {
            return Ok(begun);
        }
        let shares = order.shares || self.share.load(Ordering::Acquire);
        let helper = self.helper(jail_program, shares)?;
        helper.give(order, given).ok_or_else(|| io::Error::other("the helper has ended"))
    }
}

fn start(
    jail_program: &Path,
    watch: &Arc<Watch>,
    helpers: &Helpers,
    spare: Option<Spare>,
    command: Command,
) -> Result<Started, SandboxError> {
    check_env(&command.env)?;
    let _starting = watch.starting();
    let mut policy = command.policy;
    policy.parent = Some(process::id());
    let looks = Looks::begin(command.room, policy.writable.clone(), watch.past());
    // `/dev/stdout` resolves to the file's path.
    for output in [&command.stdout, &command.stderr] {
        if let Output::File(path) = output {
            policy.writable.push(path.clone());
        }
    }
    let order = Order { policy, program: command.program, args: command.args, env: command.env };
    let order = order.sealed().map_err(SandboxError::Policy)?;
    let to_error = |source| SandboxError::Start { program: jail_program.to_owned(), source };
    let Streams { given, mut stdin, stdout, stderr, files, complaints } =
        Streams::open(&command.stdin, &command.stdout, &command.stderr, to_error)?;
    let Begun { child, way_out, group } =
        helpers.begin(spare, jail_program, &order, &given).map_err(to_error)?;
    drop(given);
    let mark = match SessionMark::of(child.id().cast_signed()) {
        Ok(mark) => mark,
        Err(error) => return Err(abandon(child, jail_program, error)),
    };
    if let Some(job) = &command.noted_in
        && let Err(error) = left_over::note(job, &mark)
    {
        kill::end(&mark, group.as_ref(), kill::PATIENCE);
        return Err(abandon(child, jail_program, error));
    }
    let now = Instant::now();
    let shared = Arc::new(Shared {
        mark,
        group,
        started: now,
        deadline: command.timeout.map(|time| now + time),
        files,
        output_cap: command.output_cap,
        max_processes: command.max_processes,
        looks: Mutex::new(looks),
        state: Mutex::new(State::default()),
        ending: Mutex::new(()),
        changed: Condvar::new(),
        notify: Notify::new(),
    });
    if let Input::Bytes(bytes) = command.stdin
        && let Some(pipe) = stdin.take()
        && let Err(error) = feed(pipe, bytes)
    {
        return Err(abandon(child, jail_program, error));
    }
    let children = command.children;
    let waited = Arc::clone(&shared);
    let id = child.id();
    let waiting = thread::Builder::new()
        .name("hq-wait".into())
        .stack_size(STACK)
        .spawn(move || wait(&waited, child, children, complaints.as_ref()));
    if let Err(error) = waiting {
        // The closure owned the child. It is ended by its mark and reaped by process id.
        kill::end(&shared.mark, shared.group.as_ref(), kill::PATIENCE);
        if let Some(pid) = Pid::from_raw(id.cast_signed()) {
            // ok: nothing to do if it cannot be reaped
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).ok();
        }
        return Err(SandboxError::Thread(error));
    }
    watch.add(Arc::clone(&shared));
    Ok(Started { job: Job(shared), stdin, stdout, stderr, way_out })
}

/// Refuses variables that affect the helper before it is confined.
fn check_env(env: &[(OsString, OsString)]) -> Result<(), SandboxError> {
    for (name, _) in env {
        let text = name.to_string_lossy();
        if text.is_empty() || text.contains('=') || env_names::is_loader(&text) {
            return Err(SandboxError::ForbiddenVariable(text.into_owned()));
        }
    }
    Ok(())
}

/// Kills a child that nothing waits for.
fn abandon(mut child: Child, program: &Path, source: io::Error) -> SandboxError {
    child.kill().ok(); // ok: it has ended already
    child.wait().ok(); // ok: as above
    SandboxError::Start { program: program.to_owned(), source }
}

fn feed(mut pipe: ChildStdin, bytes: Vec<u8>) -> io::Result<()> {
    thread::Builder::new().name("hq-stdin".into()).stack_size(STACK).spawn(move || {
        pipe.write_all(&bytes).ok(); // ok: the program did not read all input
    })?;
    Ok(())
}

/// Waits for the first process, ends the processes it left behind, and reports the end. The process is reaped last, so
/// that its id, which is also the session id, is not reused.
fn wait(shared: &Shared, mut child: Child, children: Children, complaints: Option<&File>) {
    if let Some(pid) = Pid::from_raw(shared.mark.session) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), look) {}
    }
    let running_children = match children {
        Children::End => {
            shared.end_session(Duration::ZERO);
            0
        }
        Children::Keep => shared.members().len(),
    };
    let outcome = match child.wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Outcome::Code(code),
            (None, signal) => Outcome::Signal(signal.unwrap_or_default()),
        },
        Err(error) => {
            tracing::error!(job.pid = shared.mark.session, "the end of a program is lost: {error}");
            Outcome::Signal(0)
        }
    };
    if shared.state.lock().reason == Some(StopReason::TooMuchOutput) {
        cut(&shared.files, shared.output_cap);
    }
    let not_started = (outcome == Outcome::Code(i32::from(jail::NOT_SET_UP)))
        .then(|| complaints.and_then(own_complaint))
        .flatten();
    let (reason, ended_children) = {
        let state = shared.state.lock();
        (state.reason, state.ended_children)
    };
    shared.finish(JobEnd {
        outcome,
        reason,
        not_started,
        out_of_memory: shared.group.as_ref().and_then(Group::out_of_memory),
        ended_children,
        running_children,
        duration_ms: u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
}

/// Truncates what was written beyond the limit before it was noticed.
fn cut(files: &[File], cap: u64) {
    for file in files {
        let done = file
            .metadata()
            .and_then(|meta| if meta.len() <= cap { Ok(()) } else { file.set_len(cap) });
        if let Err(error) = done {
            tracing::warn!("the output of a program cannot be cut: {error}");
        }
    }
}

/// The helper's own error message, if the helper failed.
fn own_complaint(file: &File) -> Option<String> {
    let mut bytes = [0; 4096];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
    Some(text.strip_prefix(jail::PREFIX)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_would_load_code_into_the_helper_is_refused() {
        for name in ["LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "", "A=B"]
        {
            let env = [(name.into(), "x".into())];
            assert!(
                matches!(check_env(&env), Err(SandboxError::ForbiddenVariable(_))),
                "{name} was allowed"
            );
        }
        assert!(check_env(&[("PATH".into(), "/bin".into()), ("MODE".into(), "x".into())]).is_ok());
    }
}
