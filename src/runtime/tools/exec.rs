//! `exec`: a program in the jail, with the agent's folder and nothing else.
//!
//! Output goes to files in the job's folder below the agent's scratch, so what was written survives
//! a crash. The session of each job is recorded there, so that the next start can end what is left.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::features::agents::model::Agent;
use crate::features::workspace::model::Settings;
use crate::kernel::Can;
use crate::sandbox::job::{JobEnd, Outcome, StopReason};
use crate::sandbox::left_over;
use crate::sandbox::output;
use crate::sandbox::policy::{Network, Policy, WithoutLandlock};
use crate::sandbox::spawn::{Command, Output, Spawner};
use crate::store::ReadExt;
use crate::tool::{ActTool, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec};

/// Time-out in seconds unless asked.
const SECONDS: u64 = 120;
/// The longest that can be asked for.
const MAX_SECONDS: u64 = 600;
/// How much of the output is kept on disk.
const OUTPUT_CAP: u64 = 16 * 1024 * 1024;
/// How much of each end of the output is read back.
const READ_BACK: usize = 256 * 1024;

/// Runs a program.
pub(crate) struct Exec {
    /// Starts it.
    pub sandbox: Spawner,
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
        let scratch = cx.ws.agent_scratch(&agent.slug);
        let folder = scratch.join("jobs").join(format!("{}-{}", cx.run, cx.step));
        let out = folder.join("output.txt");
        let prepared = folder.clone();
        io(tokio::fs::create_dir_all(&prepared).await, "the job's folder")?;
        // A step that runs again after a crash gets a new file: the old output is not its own.
        if tokio::fs::try_exists(&out).await.unwrap_or(false) {
            io(tokio::fs::remove_file(&out).await, "the old output")?;
        }
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
        command.stderr = Output::File(out.clone());
        command.output_cap = OUTPUT_CAP;
        command.timeout = Some(Duration::from_secs(seconds));
        let job = self.sandbox.spawn(command).await?.job;
        io(left_over::note(&folder, job.mark()), "the job's mark")?;
        let end = tokio::select! {
            end = job.wait() => end,
            () = cx.cancel.cancelled() => {
                job.stop(StopReason::Stopped);
                job.wait().await
            }
        };
        left_over::forget(&folder);
        let text = read_back(out).await?;
        Ok(report(&end, &text, seconds))
    }
}

fn io<T>(result: std::io::Result<T>, what: &str) -> Result<T, ToolError> {
    result.map_err(|error| ToolError::Failed {
        code: "storage_failed",
        message: format!("{what} could not be written: {error}"),
    })
}

async fn read_back(path: PathBuf) -> Result<String, ToolError> {
    let read = tokio::task::spawn_blocking(move || output::excerpt(&path, READ_BACK, READ_BACK));
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
