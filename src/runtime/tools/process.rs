//! `process`: follows and controls the programs that the agent left running.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::orders::{JobCleared, JobStopped};
use crate::fetch_blobs;
use crate::jobs::{Jobs, Live};
use crate::port::Port;
use crypto::redact::Spot;
use features::jobs::model::Job;
use features::jobs::queries;
use features::jobs::typing::{self, TerminalInput};
use features::runs::queries::talk;
use kernel::text::ellipsis;
use kernel::{Actor, Can, Cause};
use store::{Read, StoreError};
use tool::globs::{self, Expression};
use tool::reduce;
use tool::{ActTool, Aliases, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec};

use super::heard::Hears;

/// Default time that `poll` waits for new output, in milliseconds.
const WAIT: u64 = 10_000;
/// Maximum of that time.
const MAX_WAIT: u64 = 30_000;
/// Interval of checks while it waits.
const LOOK: Duration = Duration::from_millis(100);
/// Most new bytes of one poll.
const MAX_NEW: usize = 30_000;
/// Default number of lines of `log`.
const LINES: usize = 200;
/// A program without output for this long, whose input is open, seems to wait for input.
const QUIET: Duration = Duration::from_secs(15);
/// How long an ended job stays in the list.
const KEPT: SignedDuration = SignedDuration::from_mins(30);
/// Most jobs in the list.
const LISTED: usize = 50;
/// How long the tool waits for a stopped program to end.
const STOPS_WITHIN: Duration = Duration::from_secs(3);

pub(crate) struct Process {
    jobs: Jobs,
}

impl Process {
    pub(crate) fn new(jobs: Jobs) -> Self {
        Self { jobs }
    }
}

/// What `process` does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    List,
    Poll,
    Log,
    Write,
    Watch,
    Kill,
    Clear,
}

/// What `process` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    action: Action,
    /// Number of the job.
    id: Option<u32>,
    /// poll: milliseconds to wait for output (10000).
    timeout: Option<u64>,
    /// log: first line, from 1; default: the last lines.
    offset: Option<usize>,
    /// log: number of lines (200).
    limit: Option<usize>,
    /// write: text for its input.
    data: Option<String>,
    /// write: end its input.
    eof: Option<bool>,
    /// watch: be notified of the next line that matches this regular expression.
    pattern: Option<String>,
}

impl ActTool for Process {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("process"),
        group: Group::Machine,
        needs: Can::Write,
        effect: Effect::Exec,
        about: Cow::Borrowed("Follow, write to and end the programs that you left running."),
    };
    const ALIASES: Aliases =
        &[("sessionId", "id"), ("session_id", "id"), ("job", "id"), ("input", "data")];

    async fn act(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        if matches!(args.action, Action::List) {
            return self.list(cx);
        }
        let job = find(cx, args.id)?;
        match args.action {
            Action::List => self.list(cx),
            Action::Poll => self.poll(cx, job, args.timeout).await,
            Action::Log => log(cx, job, args.offset, args.limit).await,
            Action::Write => self.write(cx, &job, args.data, args.eof),
            Action::Watch => self.watch(cx, &job, args.pattern.as_deref()),
            Action::Kill => self.kill(cx, job).await,
            Action::Clear => clear(cx, job).await,
        }
    }
}

/// Returns `true` if a run may follow a job of its agent. Jobs of a person's conversation belong to that conversation.
/// A sub-agent follows only its own, because its parent's jobs may have wider access.
fn is_for(cx: &ToolCx, tx: &dyn Read, job: &Job) -> Result<bool, StoreError> {
    match cx.child {
        Some(_) => Ok(job.session == cx.session),
        None => talk::may_tell_of(tx, cx.session, job.session),
    }
}

/// A job of this agent by its number.
fn find(cx: &ToolCx, number: Option<u32>) -> Result<Job, ToolError> {
    let Some(number) = number else {
        return Err(ToolError::refused("invalid_args", "id is missing: give the program's number"));
    };
    let found = cx.ws.read(|snap| {
        let job = queries::by_name(snap, &number.to_string())?;
        match job.filter(|job| job.agent == cx.agent) {
            Some(job) if is_for(cx, snap, &job)? => Ok(Some(job)),
            _ => Ok::<_, StoreError>(None),
        }
    })?;
    found.ok_or_else(|| {
        let text = format!("you have no program {number}; action list shows yours");
        ToolError::refused("not_found", text)
    })
}

impl Process {
    fn list(&self, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
        let jobs = cx.ws.read(|snap| {
            let mut permitted = Vec::new();
            for job in queries::of_agent(snap, cx.agent, 2 * LISTED)? {
                if is_for(cx, snap, &job)? {
                    permitted.push(job);
                }
            }
            Ok::<_, StoreError>(permitted)
        })?;
        let now = cx.ws.app.clock.now();
        let listed = |job: &&Job| {
            let young = job.ended_at.is_none_or(|at| now.duration_since(at) < KEPT);
            young && job.cleared_at.is_none()
        };
        let mut out = String::new();
        for job in jobs.iter().filter(listed).take(LISTED) {
            let how = match &job.outcome {
                Some(outcome) => outcome.describe(),
                None => self.state(job),
            };
            let command = ellipsis(job.command.lines().next().unwrap_or_default(), 80);
            // ok: writing to a String cannot fail.
            let _ = writeln!(out, "{}: {how}, {} s: {command}", job.number, job.seconds(now));
        }
        Ok(ToolOutput::text(if out.is_empty() { "no programs".to_owned() } else { out }))
    }

    /// Describes a running job.
    fn state(&self, job: &Job) -> String {
        let quiet = self.jobs.get(job.id).is_some_and(|live| waits(&live));
        if quiet { "running, may be waiting for input".to_owned() } else { "running".to_owned() }
    }

    async fn poll(
        &self,
        cx: &ToolCx,
        job: Job,
        timeout: Option<u64>,
    ) -> Result<ToolOutput, ToolError> {
        let Some(live) = self.jobs.get(job.id).filter(|_| job.is_running()) else {
            let job = find(cx, Some(job.number))?;
            let how = job.outcome.as_ref().map_or("running".to_owned(), |end| end.describe());
            let rest = end_of(cx, &job, MAX_NEW).await;
            let rest = Hears::of_job(cx, &job)?.marked(cx, rest);
            return Ok(ToolOutput::text(format!("[{how}]\n{rest}")));
        };
        let wait = Duration::from_millis(timeout.unwrap_or(WAIT).min(MAX_WAIT));
        let news = async {
            let known = live.heard.lock().offset;
            while live.program.written().is_ok_and(|(len, _)| len <= known) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(wait, news) => {}
            _ = live.program.wait() => {}
            () = cx.cancel.cancelled() => return Err(ToolError::refused("aborted", "stopped")),
        }
        let (text, nothing) = news_of(&live).await?;
        let how = match live.program.end() {
            Some(end) => crate::jobs::outcome_of(&end).describe(),
            None if waits(&live) => "running; may be waiting for input: use write".to_owned(),
            None if nothing > 2 => {
                "running; no new output for a while: do something else, you are notified when it \
                 ends"
                    .to_owned()
            }
            None => "running".to_owned(),
        };
        let text = cx.ws.app.redactor.masked(Spot::Tools, &reduce::plain(&text)).into_owned();
        let text = Hears::of_job(cx, &job)?.marked(cx, text);
        Ok(ToolOutput::text(format!("[{how}]\n{text}")))
    }

    fn write(
        &self,
        cx: &ToolCx,
        job: &Job,
        data: Option<String>,
        eof: Option<bool>,
    ) -> Result<ToolOutput, ToolError> {
        let input = TerminalInput { text: data.unwrap_or_default(), end: eof == Some(true) };
        let taken = typing::write(&cx.ws, job, &input)?;
        if let Some(live) = self.jobs.get(job.id) {
            live.heard.lock().nothing = 0;
        }
        Ok(ToolOutput::text(format!("written, {taken} bytes")))
    }

    fn watch(
        &self,
        cx: &ToolCx,
        job: &Job,
        pattern: Option<&str>,
    ) -> Result<ToolOutput, ToolError> {
        let wrong = |why: String| ToolError::refused("invalid_args", format!("pattern: {why}"));
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let pattern = pattern.ok_or_else(|| wrong("give a pattern for the line".to_owned()))?;
        let wanted = globs::words(pattern, Expression::Regular).map_err(wrong)?;
        let Some(live) = self.jobs.get(job.id).filter(|_| job.is_running()) else {
            let text = format!("program {} has ended; log shows its output", job.number);
            return Err(ToolError::refused("unavailable", text));
        };
        self.jobs.look_out(&cx.ws, job, live, wanted).map_err(|error| ToolError::Failed {
            code: "storage_failed",
            message: format!("the output could not be read: {error}"),
        })?;
        Ok(ToolOutput::text(
            "You will be notified of the next matching line and when the program \
            ends. Continue with something else.",
        ))
    }

    async fn kill(&self, cx: &ToolCx, job: Job) -> Result<ToolOutput, ToolError> {
        let (id, live) = (job.id, self.jobs.get(job.id));
        // A host ends the program at once, whether or not the primary can record it now.
        if cx.ws.upstream.is_none() || live.is_none() {
            let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
            cx.ws.order(by, JobStopped { id }).await?;
        }
        let ended = match live {
            Some(live) => {
                live.program.stop(sandbox::job::StopReason::Stopped);
                live.program.wait_for(STOPS_WITHIN).await.is_some()
            }
            None => true,
        };
        Ok(ToolOutput::text(if ended { "ended" } else { "asked to end; poll it" }))
    }
}

/// Returns `true` if a program seems to wait for input.
fn waits(live: &Live) -> bool {
    live.stdin.is_open() && live.program.written().is_ok_and(|(_, quiet)| quiet > QUIET)
}

/// The output since the last read, and how often in a row there was none.
async fn news_of(live: &Arc<Live>) -> Result<(String, u32), ToolError> {
    let offset = live.heard.lock().offset;
    let at = Arc::clone(live);
    let read = tokio::task::spawn_blocking(move || {
        let (len, _) = at.program.written()?;
        let from = offset.max(len.saturating_sub(MAX_NEW as u64));
        let (text, next) = at.program.output_from(from, MAX_NEW)?;
        Ok::<_, std::io::Error>((text, from - offset, next))
    });
    let failed = |message: String| ToolError::Failed { code: "storage_failed", message };
    let (text, skipped, next) = read
        .await
        .map_err(|_| failed("reading panicked".to_owned()))?
        .map_err(|error| failed(format!("the output could not be read: {error}")))?;
    let mut heard = live.heard.lock();
    heard.nothing = if next == offset { heard.nothing + 1 } else { 0 };
    heard.offset = next;
    let text = match skipped {
        0 => text,
        bytes => format!("[{bytes} earlier bytes skipped; log has them]\n{text}"),
    };
    Ok((text, heard.nothing))
}

/// The last output of a job.
async fn end_of(cx: &ToolCx, job: &Job, most: usize) -> String {
    bring_output(cx, job).await;
    let (ws, job) = (cx.ws.clone(), job.clone());
    let read = tokio::task::spawn_blocking(move || queries::written(&ws, &job, None, most));
    reduce::plain(&read.await.unwrap_or_default().text).into_owned()
}

/// Fetches a stored output from the primary if it is not here.
async fn bring_output(cx: &ToolCx, job: &Job) {
    fetch_blobs::bring(&cx.ws, job.output.iter().map(|output| output.id).collect()).await;
}

async fn log(
    cx: &ToolCx,
    job: Job,
    offset: Option<usize>,
    limit: Option<usize>,
) -> Result<ToolOutput, ToolError> {
    // Line numbers count from the first line of the whole output.
    let text = match offset {
        Some(_) => {
            bring_output(cx, &job).await;
            let (ws, job) = (cx.ws.clone(), job.clone());
            let whole = tokio::task::spawn_blocking(move || {
                reduce::plain(&queries::whole(&ws, &job)).into_owned()
            });
            whole.await.unwrap_or_default()
        }
        None => end_of(cx, &job, queries::MAX_READ).await,
    };
    let lines: Vec<&str> = text.lines().collect();
    let count = limit.unwrap_or(LINES).clamp(1, 2_000);
    let start = match offset {
        Some(offset) => offset.saturating_sub(1).min(lines.len()),
        None => lines.len().saturating_sub(count),
    };
    let end = (start + count).min(lines.len());
    let shown = Hears::of_job(cx, &job)?.marked(cx, lines[start..end].join("\n"));
    let words = match (offset, end - start) {
        (_, 0) => "[no lines]".to_owned(),
        (Some(_), _) => format!("[lines {} to {end} of {}]", start + 1, lines.len()),
        (None, count) => format!("[the last {count} lines]"),
    };
    Ok(ToolOutput::text(format!("{shown}\n{words}")))
}

async fn clear(cx: &ToolCx, job: Job) -> Result<ToolOutput, ToolError> {
    let id = job.id;
    let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
    cx.ws.order(by, JobCleared { id }).await?;
    Ok(ToolOutput::text("removed from the list"))
}
