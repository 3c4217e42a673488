//! `exec`: runs a program in the jail, with the agent's folder and nothing else.
//!
//! Output goes to a file in the job's folder and survives a crash. The program's process session is recorded there, so
//! that the next start can end what is left of it. In that folder a program can write only to its output. A long
//! program becomes a job with a record of its own. Otherwise the folder is removed as soon as the result is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::child;
use crate::jobs::{Jobs, Leaving, READ_BACK};
use crate::stand_ins::Trusted;
use crate::way_out::{Way, WayOut};
use crate::withdrawn::{self, BegunWith};
use app::Ws;
use features::agents::model::Agent;
use features::agents::packages;
use features::jobs::model::{OUTPUT, folder_of};
use features::workspace::model::Settings;
use kernel::{Can, RunId};
use sandbox::confine;
use sandbox::input::Stdin;
use sandbox::job::{Job, JobEnd, Outcome, StopReason};
use sandbox::left_over;
use sandbox::output;
use sandbox::policy::{Network, OwnNetwork, Policy, WithoutLandlock};
use sandbox::space::Room;
use sandbox::spawn::{Children, Command, Input, Output, Spawner, Started};
use store::ReadExt;
use tool::reduce::{self, Reduced};
use tool::{ActTool, Aliases, Effect, Group, Slot, ToolCx, ToolError, ToolOutput, ToolSpec};

use super::fetch::hosts_of;
use super::folder;
use super::heard::Hears;
use super::identity::Before;
use super::secrets::{self, Noting};

/// Default timeout in seconds.
const SECONDS: u64 = 1_800;
/// Maximum timeout in seconds: a day.
const MAX_SECONDS: u64 = 24 * 60 * 60;
/// Default time that the agent waits for a program, in milliseconds.
const YIELD: u64 = 10_000;
/// Maximum of that time, in milliseconds.
const MAX_YIELD: u64 = 120_000;
/// How long a background program is watched first, so that an immediate failure is reported with the call.
const GLANCE: Duration = Duration::from_millis(200);
/// Interval for checking whether the link is up again.
const LOOK: Duration = Duration::from_secs(1);
/// Most bytes of output on disk.
const OUTPUT_CAP: u64 = 16 * 1024 * 1024;
/// Bytes of each end of the output so far that are reported.
const SO_FAR: usize = 4 * 1024;
/// Longest command line in bytes; the kernel accepts no longer one.
const MAX_COMMAND: usize = 100 * 1024;
/// Most bytes of a call's variables together.
const MAX_ENV: usize = 100 * 1024;
/// Most variables that a call may set.
const MAX_VARIABLES: usize = 64;
/// Variables that a call may not set.
const FIXED: &[&str] = &["PATH", "HOME", "TMPDIR", "CDPATH", "BASH_ENV"];

pub(crate) struct Exec {
    sandbox: Spawner,
    jobs: Jobs,
    way_out: WayOut,
    /// One permit per program that an agent waits for. Programs use the processor, unlike runs that wait for models.
    turns: Arc<Semaphore>,
}

impl Exec {
    /// At most `programs` programs run at once; long ones become jobs.
    pub(crate) fn new(sandbox: Spawner, jobs: Jobs, programs: usize, trusted: Trusted) -> Self {
        let turns = Arc::new(Semaphore::new(programs));
        Self { sandbox, jobs, way_out: WayOut::trusting(trusted), turns }
    }
}

/// The folder with the output and the session mark of a call's program.
pub(crate) fn job_folder(ws: &Ws, run: RunId, step: u32) -> PathBuf {
    ws.jobs_folder().join(folder_of(run, step))
}

/// Removes the folders of programs whose run is not live. Blocking.
pub(crate) fn sweep(jobs: &Path, live: &BTreeSet<RunId>) {
    left_over::sweep(jobs, |name| {
        let run = name.rsplit_once('-').and_then(|(run, _)| run.parse::<RunId>().ok());
        run.is_some_and(|run| live.contains(&run))
    });
}

/// The output of an interrupted program. Blocking.
pub(crate) fn so_far(job: &Path) -> Option<String> {
    // ok: without a file nothing was written.
    let excerpt = output::excerpt(&job.join(OUTPUT), SO_FAR, SO_FAR).ok()?;
    Some(excerpt.text()).filter(|text| !text.trim().is_empty())
}

/// A running program. It is stopped when its caller stops waiting, unless it became a job.
struct Running(Option<Job>);

impl Drop for Running {
    fn drop(&mut self) {
        // No effect on a program that has ended, the normal case.
        if let Some(job) = &self.0 {
            job.stop(StopReason::Stopped);
        }
    }
}

/// What `exec` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Args {
    /// A command line for `sh`.
    pub(super) command: String,
    /// Folder to run in.
    pub(super) workdir: Option<String>,
    /// Variables.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// Names of secrets.
    secrets: Option<Vec<String>>,
    /// Leave it running; `process` follows it.
    background: Option<bool>,
    /// Milliseconds to wait before it is left running (10000).
    yield_ms: Option<u64>,
    /// Time limit in seconds (1800).
    timeout_seconds: Option<u64>,
}

/// The parsed options of a call.
struct Wanted {
    seconds: u64,
    wait: Duration,
    children: Children,
    stdin: Input,
}

impl Wanted {
    fn of(args: &Args) -> Self {
        let seconds = match args.timeout_seconds {
            None => SECONDS,
            Some(0) => MAX_SECONDS,
            Some(seconds) => seconds.min(MAX_SECONDS),
        };
        let wait = Duration::from_millis(args.yield_ms.unwrap_or(YIELD).clamp(10, MAX_YIELD));
        match args.background {
            Some(true) => {
                Self { seconds, wait: GLANCE, children: Children::Keep, stdin: Input::Pipe }
            }
            _ => Self { seconds, wait, children: Children::End, stdin: Input::Nothing },
        }
    }
}

impl ActTool for Exec {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("exec"),
        group: Group::Machine,
        needs: Can::Write,
        effect: Effect::Exec,
        about: Cow::Borrowed(
            "Run a shell command in your sandboxed folder. A long one keeps running.",
        ),
    };
    const ALIASES: Aliases = &[
        ("cmd", "command"),
        ("cwd", "workdir"),
        ("timeout", "timeoutSeconds"),
        ("timeout_seconds", "timeoutSeconds"),
        ("yield_ms", "yieldMs"),
        ("run_in_background", "background"),
    ];

    async fn slot(&self, cx: &ToolCx) -> Result<Slot, ToolError> {
        tokio::select! {
            slot = Slot::of(&self.turns) => Ok(slot),
            () = cx.cancel.cancelled() => {
                Err(ToolError::refused("aborted", "stopped before the program started"))
            }
        }
    }

    async fn act(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let wanted = Wanted::of(&args);
        check_command(&args.command)?;
        let folder = job_folder(&cx.ws, cx.run, cx.step);
        let Program { command, hears, noting, way } =
            program(cx, &args, &wanted, &folder, &self.way_out).await?;
        let before = Before::of(cx).await?;
        let begun = BegunWith::of(&command.policy.network, way.is_some());
        let began = Instant::now();
        let Started { job, stdin, way_out, .. } = self.sandbox.spawn(command).await?;
        if let Some(way) = way {
            way.serve(way_out, &job);
        }
        withdrawn::end_then(cx, begun, job.clone());
        let mut running = Running(Some(job.clone()));
        let end = tokio::select! {
            end = waited_for(cx, &job, wanted.wait) => end,
            () = cx.cancel.cancelled() => {
                job.stop(StopReason::Stopped);
                Some(job.wait().await)
            }
        };
        // The use of secrets is recorded before the result.
        let left_out = noting.left_out();
        noting.noted().await;
        let Some(end) = end else {
            let (text, heard) = so_far_of(&job).await?;
            let text = hears.marked_whole(cx, text);
            let leaving = Leaving {
                program: job,
                stdin: io(Stdin::new(stdin), "the program's input")?,
                folder,
                command: args.command,
                timeout_secs: u32::try_from(wanted.seconds).unwrap_or(u32::MAX),
                since: began.elapsed(),
                heard,
            };
            // From here on the job registry owns the program.
            running.0 = None;
            let left = self.jobs.adopt(cx, leaving).await?;
            let mut output = ToolOutput::text(format!(
                "[running as program {number}; you are notified when it ends; process with id \
                 {number} follows it, writes to it or ends it]\n{text}{left_out}",
                number = left.number
            ));
            // The tool that follows jobs.
            output.load.push("process".to_owned());
            return Ok(output);
        };
        drop(running);
        left_over::forget(&folder);
        let put_back = before.put_back(cx).await?;
        let printed = read_back(job, args.command).await?.marked(cx, &hears);
        let mut output = report(&end, printed, wanted.seconds, &cx.result_name());
        output.text.push_str(&put_back);
        output.text.push_str(&left_out);
        Ok(output)
    }
}

/// Waits for the end of a program, at most `wait`. While a host is offline it cannot record a job, so it keeps waiting
/// until the link is up.
async fn waited_for(cx: &ToolCx, job: &Job, wait: Duration) -> Option<JobEnd> {
    let end = job.wait_for(wait).await;
    let Some(up) = cx.ws.upstream.as_ref().filter(|_| end.is_none()) else { return end };
    while !up.is_linked() {
        if let Some(end) = job.wait_for(LOOK).await {
            return Some(end);
        }
    }
    None
}

/// A program that is ready to start.
struct Program {
    command: Command,
    hears: Hears,
    /// The record that it uses secrets.
    noting: Noting,
    way: Option<Way>,
}

/// Prepares the program of a call.
async fn program(
    cx: &ToolCx,
    args: &Args,
    wanted: &Wanted,
    job: &Path,
    way_out: &WayOut,
) -> Result<Program, ToolError> {
    let facts = cx.ws.read(|snap| {
        let agent = snap.get::<Agent>(cx.agent)?;
        Ok::<_, store::StoreError>((agent, snap.get::<Settings>(())?))
    })?;
    let (Some(mut agent), settings) = facts else {
        return Err(ToolError::refused("denied", "the agent no longer exists"));
    };
    child::narrow(cx.child.as_ref(), &mut agent);
    if !agent.exec {
        return Err(ToolError::refused("denied", "you can't run programs"));
    }
    let scratch = cx.ws.agent_scratch(&agent.slug);
    let (out, prepared) = (job.join(OUTPUT), job.to_owned());
    // A step that is repeated after a crash discards the remains of its first attempt.
    let made = tokio::task::spawn_blocking(move || left_over::make(&prepared));
    io(made.await.map_err(std::io::Error::other).flatten(), "the job's folder")?;
    let mut policy = Policy::for_agent(&cx.folder, &scratch, &cx.ws.app.config.data);
    if cx.child.is_some() {
        // Only the parent run writes to the folder; programs of a sub-agent cannot.
        policy.writable = vec![scratch.clone()];
        policy.readable.push(cx.folder.clone());
    }
    let skills = packages_of(cx).await?;
    policy.readable.extend(skills.iter().map(|package| package.folder.clone()));
    if let Some(workdir) = &args.workdir {
        policy.cwd = workdir_of(cx, workdir).await?;
    }
    let (given, mut way) = (vault::given(&cx.ws, cx.agent)?, None);
    if agent.network {
        policy.network = Network::to_ports([80, 443]);
        // A kernel that cannot filter ports confines a program to the proxy only in its own network namespace.
        // Otherwise the network is either open or closed, as a person has set it.
        let tells_ports = confine::PORTS <= confine::abi_for(&policy);
        if tells_ports || cx.ws.app.sandbox.has_own_networks().await {
            let open = io(way_out.of(cx, &given).await, "the way out of programs")?;
            policy.network = Network::through(open.port);
            policy.own_network =
                if tells_ports { OwnNetwork::Served } else { OwnNetwork::Required };
            policy.readable.extend(open.roots().map(Path::to_owned));
            way = Some(open);
        } else if hosts_of(cx)?.are_listed() {
            // A list of hosts cannot be enforced, so the network stays closed.
            policy.network = Network::Off;
        }
    }
    if settings.is_some_and(|s| s.exec_without_jail) {
        policy.without_landlock = WithoutLandlock::Start;
    }
    let mut command = Command::new("/bin/sh", policy);
    command.args = vec![OsString::from("-c"), OsString::from(&args.command)];
    command.env = Command::base_env(&cx.folder, &scratch);
    command.env.extend(way.iter().flat_map(Way::env));
    if !skills.is_empty() {
        let folder = packages::folder(&cx.ws).into_os_string();
        command.env.push((packages::VARIABLE.into(), folder));
    }
    let own = variables(args)?;
    let named = args.secrets.as_deref().unwrap_or_default();
    let (secrets, noting) = secrets::of(cx, named, given, way.as_ref()).await?;
    for given in secrets {
        if own.iter().all(|(name, _)| **name != given.key) {
            command.env.push((given.key.into(), given.value));
        }
    }
    for (name, value) in own {
        command.env.push((name.into(), value.into()));
    }
    command.stdin = wanted.stdin.clone();
    command.stdout = Output::File(out.clone());
    command.stderr = Output::File(out);
    command.output_cap = OUTPUT_CAP;
    command.room = Some(Room::default());
    command.timeout = Some(Duration::from_secs(wanted.seconds));
    command.children = wanted.children;
    command.noted_in = Some(job.to_owned());
    let hears = Hears::of_call(cx, args, &agent).await?;
    Ok(Program { command, hears, noting, way })
}

/// The agent's skill packages, which its programs may read.
async fn packages_of(cx: &ToolCx) -> Result<Vec<packages::Package>, ToolError> {
    let (ws, agent) = (cx.ws.clone(), cx.agent);
    folder::blocking(move || Ok(packages::of(&ws, agent))).await
}

/// Refuses a command line that the shell cannot take.
fn check_command(command: &str) -> Result<(), ToolError> {
    if command.contains('\0') {
        return Err(ToolError::refused("invalid_args", "command: contains a zero byte"));
    }
    if MAX_COMMAND < command.len() {
        let text = format!(
            "a command line can have at most {MAX_COMMAND} bytes; write it to a file and run that"
        );
        return Err(ToolError::refused("too_large", text));
    }
    Ok(())
}

/// The variables of a call. Refuses those that decide which programs run, and where.
fn variables(args: &Args) -> Result<Vec<(&String, &String)>, ToolError> {
    let given: Vec<_> = args.env.iter().flatten().collect();
    let wrong = |name: &str| {
        let upper = name.to_uppercase();
        FIXED.contains(&upper.as_str()) || upper.starts_with("HQ_") || name.contains('\0')
    };
    if let Some((name, _)) = given.iter().find(|(name, _)| wrong(name)) {
        return Err(ToolError::refused("denied", format!("you can't set the variable {name}")));
    }
    if given.len() > MAX_VARIABLES || given.iter().any(|(_, value)| value.contains('\0')) {
        return Err(ToolError::refused("invalid_args", "env: too many variables, or a zero byte"));
    }
    if MAX_ENV < given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() {
        return Err(ToolError::refused("too_large", "env: put long values in a file"));
    }
    Ok(given)
}

/// The folder to run in: the agent's folder or one below it.
async fn workdir_of(cx: &ToolCx, written: &str) -> Result<PathBuf, ToolError> {
    let (root, written) = (cx.folder.clone(), written.to_owned());
    folder::blocking(move || {
        let files = folder::open(&root)?;
        let path = folder::relative(&files, &written).map_err(|error| match error {
            ToolError::Refused { code, message } => ToolError::refused(
                code,
                format!("{message}; programs run in {} or below", root.display()),
            ),
            error => error,
        })?;
        match files.list(&path)? {
            Some(_) => Ok(root.join(path)),
            None => Err(ToolError::refused(
                "not_found",
                format!("there is no folder {path} in your folder {}", root.display()),
            )),
        }
    })
    .await
}

fn io<T>(result: std::io::Result<T>, what: &str) -> Result<T, ToolError> {
    result.map_err(|error| ToolError::Failed {
        code: "storage_failed",
        message: format!("couldn't write {what}: {error}"),
    })
}

/// The output of a program.
struct Printed {
    raw: String,
    /// The shortened output for the model, if it is shorter.
    reduced: Option<Reduced>,
}

impl Printed {
    fn marked(self, cx: &ToolCx, hears: &Hears) -> Self {
        let reduced = self.reduced.map(|reduced| Reduced {
            text: hears.marked_whole(cx, reduced.text),
            left_out: reduced.left_out,
        });
        Self { raw: hears.marked_whole(cx, self.raw), reduced }
    }
}

async fn read_back(job: Job, command: String) -> Result<Printed, ToolError> {
    let read = tokio::task::spawn_blocking(move || {
        let raw = job.excerpt(READ_BACK, READ_BACK)?.text();
        let reduced = reduce::reduce(&command, &raw);
        Ok::<_, std::io::Error>(Printed { raw, reduced })
    });
    match read.await {
        Ok(read) => io(read, "the output"),
        Err(_) => Err(ToolError::Failed { code: "internal", message: "reading panicked".into() }),
    }
}

/// The last output of a running program, and the total number of bytes.
async fn so_far_of(job: &Job) -> Result<(String, u64), ToolError> {
    let job = job.clone();
    let read = tokio::task::spawn_blocking(move || job.excerpt(SO_FAR, SO_FAR));
    match read.await {
        Ok(read) => io(read, "the output")
            .map(|excerpt| (reduce::plain(&excerpt.text()).into_owned(), excerpt.total)),
        Err(_) => Err(ToolError::Failed { code: "internal", message: "reading panicked".into() }),
    }
}

/// The text for the model: how the program ended, then its output. If the model sees less than all, the whole output is
/// stored under `name`.
fn report(end: &JobEnd, printed: Printed, seconds: u64, name: &str) -> ToolOutput {
    if let Some(why) = &end.not_started {
        return ToolOutput::error(format!(
            "Error(sandbox): not started: couldn't set up the sandbox: {why}"
        ));
    }
    let how = match (end.reason, end.outcome) {
        (Some(StopReason::TimedOut), _) => format!("ended after {seconds} s (time-out)"),
        (Some(StopReason::Stopped | StopReason::Shutdown), _) => "stopped".to_owned(),
        (Some(StopReason::TooManyProcesses), _) => "ended: too many processes".to_owned(),
        (Some(StopReason::TooMuchOutput), _) => "ended: too much output".to_owned(),
        (Some(StopReason::TooMuchDisk), _) => {
            "ended: used too much disk space; delete what you don't need".to_owned()
        }
        (None, Outcome::Code(code)) => format!("exit code {code}"),
        (None, Outcome::Signal(signal)) => format!("ended by signal {signal}"),
    };
    let how = match end.out_of_memory {
        Some(why) => format!("{how}; {}", why.describe()),
        None => how,
    };
    let left = match end.ended_children {
        0 => "",
        _ => "; its remaining child processes were ended; background: true keeps them",
    };
    let left = if end.reason.is_none() { left } else { "" };
    let Printed { raw, reduced } = printed;
    let (note, text, whole) = match reduced {
        None => (String::new(), raw, None),
        Some(Reduced { text, left_out: 0 }) => (String::new(), text, None),
        Some(Reduced { text, left_out }) => {
            let note =
                format!("; {left_out} repetitive lines are left out, path \"{name}\" has all");
            (note, text, Some(format!("[{how}{left}]\n{raw}")))
        }
    };
    let body = format!("[{how}{left}{note}]\n{text}");
    let output = if end.is_success() { ToolOutput::text(body) } else { ToolOutput::error(body) };
    ToolOutput { whole, ..output }
}
