//! `exec`: a program in the jail, with the agent's folder and nothing else.
//!
//! Output goes to a file in the job's folder, so what was written survives a crash. The session of
//! each job is recorded there, so that the next start can end what is left. A program may write to
//! its output and to nothing else in there, and the folder goes as soon as the result is written
//! down.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::Ws;
use crate::features::agents::model::Agent;
use crate::features::workspace::model::Settings;
use crate::kernel::{Can, RunId};
use crate::sandbox::job::{Job, JobEnd, Outcome, StopReason};
use crate::sandbox::left_over;
use crate::sandbox::output;
use crate::sandbox::policy::{Network, Policy, WithoutLandlock};
use crate::sandbox::spawn::{Command, Output, Spawner};
use crate::store::ReadExt;
use crate::tool::{ActTool, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec};

/// The file in a job's folder that takes what its program writes.
const OUTPUT: &str = "output.txt";
/// Time-out in seconds unless asked.
const SECONDS: u64 = 120;
/// The longest that can be asked for.
const MAX_SECONDS: u64 = 600;
/// How long after its time-out a program may take to end before it is left behind.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of the output is kept on disk.
const OUTPUT_CAP: u64 = 16 * 1024 * 1024;
/// How much of each end of the output is read back: all of it, unless more was written than is kept.
const READ_BACK: usize = 8 * 1024 * 1024 + 256 * 1024;
/// How much of each end of an interrupted program's output is told.
const SO_FAR: usize = 4 * 1024;

/// Runs a program.
pub(crate) struct Exec {
    sandbox: Spawner,
    /// One permit for each program that runs: they use the processor, unlike runs that wait for
    /// models.
    turns: tokio::sync::Semaphore,
}

impl Exec {
    /// Programs started by this spawner, so many at once.
    pub(crate) fn new(sandbox: Spawner, programs: usize) -> Self {
        Self { sandbox, turns: tokio::sync::Semaphore::new(programs) }
    }
}

/// Where the job of a call keeps its output and its mark.
pub(crate) fn job_folder(ws: &Ws, run: RunId, step: u32) -> PathBuf {
    ws.jobs_folder().join(format!("{run}-{step}"))
}

/// Removes the folders of jobs whose run does not go on. Blocking.
pub(crate) fn sweep(jobs: &Path, live: &BTreeSet<RunId>) {
    left_over::sweep(jobs, |name| {
        let run = name.rsplit_once('-').and_then(|(run, _)| run.parse::<RunId>().ok());
        run.is_some_and(|run| live.contains(&run))
    });
}

/// What an interrupted program had written. Blocking.
pub(crate) fn so_far(job: &Path) -> Option<String> {
    // ok: without a file nothing was written.
    let excerpt = output::excerpt(&job.join(OUTPUT), SO_FAR, SO_FAR).ok()?;
    Some(excerpt.text()).filter(|text| !text.trim().is_empty())
}

/// A program that runs; it does not outlive whoever waits for it.
struct Running(Job);

impl Drop for Running {
    fn drop(&mut self) {
        // Changes nothing when it has ended, as it has unless the wait was given up.
        self.0.stop(StopReason::Stopped);
    }
}

/// What `exec` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// A command line for `sh`.
    command: String,
    /// Seconds until it is ended (120; at most 600).
    timeout: Option<u64>,
}

impl ActTool for Exec {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: "exec",
        group: Group::Machine,
        needs: Can::Write,
        effect: Effect::Exec,
        about: "Run a shell command in your sandboxed folder.",
    };

    async fn act(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let facts = cx.ws.read(|snap| {
            let agent = snap.get::<Agent>(cx.agent)?;
            Ok::<_, crate::store::StoreError>((agent, snap.get::<Settings>(())?))
        })?;
        let (Some(agent), settings) = facts else {
            return Err(ToolError::refused("agent_gone", "the agent does not exist any more"));
        };
        if !agent.exec {
            return Err(ToolError::refused("exec_off", "you may not run programs"));
        }
        let _turn = tokio::select! {
            turn = self.turns.acquire() => turn,
            () = cx.cancel.cancelled() => {
                return Err(ToolError::refused("stopped", "stopped before the program began"));
            }
        };
        let scratch = cx.ws.agent_scratch(&agent.slug);
        let folder = job_folder(&cx.ws, cx.run, cx.step);
        let out = folder.join(OUTPUT);
        let prepared = folder.clone();
        // What a step has left that runs again after a crash is not its own.
        let made = tokio::task::spawn_blocking(move || left_over::make(&prepared));
        io(made.await.map_err(std::io::Error::other).flatten(), "the job's folder")?;
        let seconds = args.timeout.unwrap_or(SECONDS).clamp(1, MAX_SECONDS);
        let mut policy = Policy::for_agent(&cx.folder, &scratch, &cx.ws.app.config.data);
        if agent.network {
            policy.network = Network::to_ports([80, 443]);
        }
        if settings.is_some_and(|s| s.exec_without_jail) {
            policy.without_landlock = WithoutLandlock::Start;
        }
        let mut command = Command::new("/bin/sh", policy);
        command.args = vec![OsString::from("-c"), OsString::from(&args.command)];
        command.env = Command::base_env(&cx.folder, &scratch);
        command.stdout = Output::File(out.clone());
        command.stderr = Output::File(out);
        command.output_cap = OUTPUT_CAP;
        command.timeout = Some(Duration::from_secs(seconds));
        let job = self.sandbox.spawn(command).await?.job;
        let running = Running(job.clone());
        io(left_over::note(&folder, job.mark()), "the job's mark")?;
        let end = tokio::select! {
            end = job.wait_for(Duration::from_secs(seconds) + PATIENCE) => end,
            () = cx.cancel.cancelled() => {
                job.stop(StopReason::Stopped);
                Some(job.wait().await)
            }
        };
        let Some(end) = end else {
            return Ok(ToolOutput::error(format!(
                "[it does not end, although its time was up after {seconds} s; it is left behind]"
            )));
        };
        drop(running);
        left_over::forget(&folder);
        let text = read_back(job).await?;
        Ok(report(&end, &text, seconds))
    }
}

fn io<T>(result: std::io::Result<T>, what: &str) -> Result<T, ToolError> {
    result.map_err(|error| ToolError::Failed {
        code: "storage_failed",
        message: format!("{what} could not be written: {error}"),
    })
}

async fn read_back(job: Job) -> Result<String, ToolError> {
    let read = tokio::task::spawn_blocking(move || job.excerpt(READ_BACK, READ_BACK));
    match read.await {
        Ok(Ok(excerpt)) => Ok(excerpt.text()),
        Ok(Err(error)) => io(Err(error), "the output"),
        Err(_) => Err(ToolError::Failed { code: "internal", message: "reading panicked".into() }),
    }
}

/// What the model reads: how it ended, then the output.
fn report(end: &JobEnd, text: &str, seconds: u64) -> ToolOutput {
    if let Some(why) = &end.not_started {
        return ToolOutput::error(format!("not started: the sandbox could not be set up: {why}"));
    }
    let how = match (end.reason, end.outcome) {
        (Some(StopReason::TimedOut), _) => format!("ended after {seconds} s (time-out)"),
        (Some(StopReason::Stopped | StopReason::Shutdown), _) => "stopped".to_owned(),
        (Some(StopReason::TooManyProcesses), _) => "ended: too many processes".to_owned(),
        (Some(StopReason::TooMuchOutput), _) => "ended: too much output".to_owned(),
        (None, Outcome::Code(code)) => format!("exit code {code}"),
        (None, Outcome::Signal(signal)) => format!("ended by signal {signal}"),
    };
    let body = format!("[{how}]\n{text}");
    if end.is_success() { ToolOutput::text(body) } else { ToolOutput::error(body) }
}
