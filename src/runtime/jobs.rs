//! Programs that continue beside their agents (jobs). A job is watched until it ends, ended on request, and recorded as
//! lost after a crash. The records are in `features/jobs`; only the process handles are here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use parking_lot::Mutex;
use regex::Regex;
use tokio::sync::oneshot;

use app::Ws;
use crypto::redact::Spot;
use features::agents::model::Agent;
use features::jobs::model::{JOBS, Job, JobOutcome, JobOutput, OUTPUT};
use features::jobs::queries;
use features::jobs::rules::{Finished, JobError, NewJob};
use features::runs::queries::taint;
use kernel::text::ellipsis;
use kernel::{Actor, AgentId, Cause, JobId, RunId, WorkspaceId};
use sandbox::input::Stdin;
use sandbox::job::{Job as Program, JobEnd, Outcome, StopReason};
use sandbox::{left_over, output};
use store::{ReadExt, StoreError};
use tool::{ToolCx, reduce, untrusted};

use super::command::orders::{JobBegun, JobFinished, JobSettled, SessionTold};
use super::feed::changed;
use super::journal::blocking;
use super::port::Port;
use super::tools::folder;
use super::{BY, EngineError, remote};

/// Most bytes kept of each end of an output. Covers the whole output unless the program wrote more than its limit.
pub(super) const READ_BACK: usize = 8 * 1024 * 1024 + 256 * 1024;
/// How long a program may take to end during shutdown.
const PATIENCE: Duration = Duration::from_secs(2);
/// Interval for checking whether processes that a program left behind still run, and for retries.
const LOOK: Duration = Duration::from_secs(1);

/// Most new bytes searched at once.
const AT_ONCE: u64 = 256 * 1024;
/// A line that is longer without an end is dropped, in bytes.
const LONG: usize = 64 * 1024;

/// The running jobs of all workspaces.
#[derive(Clone, Default)]
pub struct Jobs(Arc<Mutex<HashMap<JobId, Arc<Live>>>>, Busy);

/// Calls whose jobs are being recorded as running or lost; no other task settles them meanwhile.
type Busy = Arc<Mutex<HashSet<(RunId, u32)>>>;

pub(crate) struct Live {
    ws: WorkspaceId,
    agent: AgentId,
    run: RunId,
    step: u32,
    folder: PathBuf,
    pub(crate) program: Program,
    pub(crate) stdin: Arc<Stdin>,
    /// How much of the output its agent has read.
    pub(crate) heard: Mutex<Heard>,
    /// The state of the agent's folder when the job was detached; present if its output counted as untrusted then.
    before: Option<folder::Marks>,
    /// Counts the agent's requests to be notified of a line; only the newest is active.
    wishes: AtomicU32,
}

/// How much of a job's output an agent has read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// Offset of the next unread byte.
    pub(crate) offset: u64,
    /// How often there was no new output.
    pub(crate) nothing: u32,
}

/// A program that its agent detaches.
pub(crate) struct Leaving {
    pub(crate) program: Program,
    pub(crate) stdin: Stdin,
    pub(crate) folder: PathBuf,
    pub(crate) command: String,
    /// Seconds until the program is ended.
    pub(crate) timeout_secs: u32,
    /// How long the program has run.
    pub(crate) since: Duration,
    /// Bytes of output that its agent has read.
    pub(crate) heard: u64,
}

impl Jobs {
    /// Records a program as a running job and watches it, even if the calling run no longer waits. A program that
    /// cannot be recorded is ended.
    pub(crate) async fn adopt(&self, cx: &ToolCx, leaving: Leaving) -> Result<Job, JobError> {
        let (own, to, program) = (self.clone(), cx.clone(), leaving.program.clone());
        let (tell, answer) = oneshot::channel();
        let of = (cx.run, cx.step);
        self.1.lock().insert(of);
        cx.ws.spawn("a job that begins", async move {
            let halt = to.ws.halt();
            let begun = tokio::select! {
                biased;
                begun = own.begin(&to, leaving) => begun,
                // The next start finds the record, if there is one.
                () = halt.cancelled() => Err(JobError::Store(StoreError::Closed)),
            };
            own.1.lock().remove(&of);
            if begun.is_err() {
                program.stop(StopReason::Stopped);
            }
            // ok: the record has the result.
            let _ = tell.send(begun);
        });
        let gone = |_| JobError::Store(StoreError::Closed);
        answer.await.map_err(gone)?
    }

    async fn begin(&self, cx: &ToolCx, leaving: Leaving) -> Result<Job, JobError> {
        let new = NewJob {
            agent: cx.agent,
            run: cx.run,
            step: cx.step,
            session: cx.session,
            command: cx.ws.app.redactor.text(&leaving.command).into_owned(),
            timeout_secs: leaving.timeout_secs,
            since: SignedDuration::try_from(leaving.since).unwrap_or_default(),
        };
        let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
        let root = cx.folder.clone();
        let before = match cx.ws.read(|snap| taint::is_of_job(snap, cx.agent, cx.session))? {
            true => {
                let marks = blocking(move || folder::marks(&root)).await;
                Some(marks.map_err(|error| StoreError::Failed(error.to_string()))?)
            }
            false => None,
        };
        let job = cx.ws.order(by, JobBegun { new }).await?;
        let live = Arc::new(Live {
            ws: cx.ws.id,
            agent: cx.agent,
            run: cx.run,
            step: cx.step,
            folder: leaving.folder,
            program: leaving.program,
            stdin: Arc::new(leaving.stdin),
            heard: Mutex::new(Heard { offset: leaving.heard, nothing: 0 }),
            before,
            wishes: AtomicU32::new(0),
        });
        cx.ws.inputs.add(job.id, Arc::clone(&live.stdin));
        self.0.lock().insert(job.id, Arc::clone(&live));
        // A stop may have been requested before the handle was registered, and no event repeats it.
        if let Err(error) = self.heed(&cx.ws) {
            tracing::error!(%error, "whether job {} is to end could not be read", job.number);
        }
        let (jobs, ws, id) = (self.clone(), cx.ws.clone(), job.id);
        cx.ws.spawn("job", async move { jobs.watch(ws, id, live).await });
        Ok(job)
    }

    pub(crate) fn get(&self, id: JobId) -> Option<Arc<Live>> {
        self.0.lock().get(&id).cloned()
    }

    /// Notifies the job's conversation once, of the next line that matches. The end of the job is reported in any case.
    pub(crate) fn look_out(
        &self,
        ws: &Ws,
        job: &Job,
        live: Arc<Live>,
        wanted: Regex,
    ) -> std::io::Result<()> {
        let (own, number, id) = (ws.clone(), job.number, job.id);
        let (agent, session) = (job.agent, job.session);
        let wish = live.wishes.fetch_add(1, Ordering::SeqCst) + 1;
        let mut news = News { offset: live.program.written()?.0, begun: String::new() };
        ws.spawn("look-out for a job", async move {
            let halt = own.halt();
            loop {
                tokio::select! {
                    () = halt.cancelled() => return,
                    _ = live.program.wait() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                if live.wishes.load(Ordering::SeqCst) != wish {
                    return;
                }
                let (at, fits) = (Arc::clone(&live), wanted.clone());
                let read = blocking(move || {
                    let line = news.next(&at.program, &fits);
                    (news, line)
                });
                let Ok((read, line)) = read.await else { return };
                news = read;
                match line {
                    Ok(None) => {}
                    Ok(Some(line)) => {
                        let line = own.app.redactor.masked(Spot::Tools, &line).into_owned();
                        let line = ellipsis(&line, 500);
                        // ok: output counts as untrusted if this cannot be read.
                        let is_untrusted = own.read(|snap| taint::is_of_job(snap, agent, session));
                        let line = match is_untrusted {
                            Ok(false) => line,
                            _ => untrusted::wrap(&untrusted::id_of(&format!("{id}/{wish}")), &line),
                        };
                        let text = format!("[Program {number} wrote: {line}]");
                        let written = own.order(BY, SessionTold { session, text });
                        if let Err(error) = written.await {
                            tracing::warn!(%error, "a line of job {number} could not be told");
                        }
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "what job {number} writes could not be read");
                        return;
                    }
                }
            }
        });
        Ok(())
    }

    /// Returns `true` if the program of this call is a running job.
    pub(super) fn holds(&self, run: RunId, step: u32) -> bool {
        let begins = self.1.lock().contains(&(run, step));
        begins || self.0.lock().values().any(|live| live.run == run && live.step == step)
    }

    async fn watch(self, ws: Ws, id: JobId, live: Arc<Live>) {
        let halt = ws.halt();
        tokio::select! {
            end = live.program.wait() => {
                ws.inputs.remove(id);
                // The folder has the only copy of the output, so it stays until the output is stored.
                while let Err(error) = ended(&ws, id, &live, &end).await {
                    if wait_to_retry(&ws, (id, live.agent), &error).await {
                        continue;
                    }
                    if halt.is_cancelled() {
                        self.0.lock().remove(&id);
                        return;
                    }
                    // The record is gone, so nobody can read the output.
                    break;
                }
                if end.running_children > 0 {
                    self.wait_for_rest(&ws, id, &live).await;
                }
            }
            () = halt.cancelled() => {
                // The next start finds the record and the output.
                live.program.stop(StopReason::Shutdown);
                live.program.wait_for(PATIENCE).await;
                ws.inputs.remove(id);
                self.0.lock().remove(&id);
                return;
            }
        }
        self.0.lock().remove(&id);
        let folder = live.folder.clone();
        if let Err(error) = blocking(move || left_over::clear(&folder)).await {
            tracing::warn!(%error, "the folder of job {id} could not be removed");
        }
    }

    /// Waits for processes that a program has left behind.
    async fn wait_for_rest(&self, ws: &Ws, id: JobId, live: &Live) {
        let halt = ws.halt();
        while live.program.processes() > 0 {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = halt.cancelled() => {
                    live.program.stop(StopReason::Shutdown);
                    return;
                }
            }
        }
        while let Err(error) = settle(ws, id).await {
            if !wait_to_retry(ws, (id, live.agent), &error).await {
                return;
            }
        }
    }

    /// Stops the jobs of a workspace whose stop was requested. A host also stops the jobs of agents that have left it.
    fn heed(&self, ws: &Ws) -> Result<(), StoreError> {
        let mine: Vec<(JobId, Arc<Live>)> = {
            let all = self.0.lock();
            let mine = all.iter().filter(|(_, live)| live.ws == ws.id);
            mine.map(|(id, live)| (*id, Arc::clone(live))).collect()
        };
        let agents = ws.upstream.as_ref().map(|up| up.agents());
        for (id, live) in mine {
            let is_here = agents.as_ref().is_none_or(|agents| agents.contains(&live.agent));
            let is_wanted = match ws.read(|snap| snap.get::<Job>(id))? {
                Some(job) => job.stop.is_none() && job.goes_on(),
                // The record may not have reached the mirror yet.
                None => agents.is_some(),
            };
            if !(is_here && is_wanted) {
                live.program.stop(StopReason::Stopped);
            }
        }
        Ok(())
    }

    /// Carries out stop requests until the program ends.
    pub(super) async fn serve(self, ws: Ws) {
        let mut feed = ws.store.subscribe();
        let halt = ws.halt();
        loop {
            if let Err(error) = self.heed(&ws) {
                tracing::error!(%error, "jobs could not be looked through");
            }
            tokio::select! {
                () = halt.cancelled() => return,
                open = changed(&mut feed, &[JOBS]) => if !open { return },
            }
        }
    }
}

impl Jobs {
    /// On a host, after leftovers of the previous process were ended: carries out stop requests of the primary, and
    /// records jobs as lost that the primary believes to be running but that are not here.
    pub(super) async fn serve_away(self, ws: Ws) {
        let Some(up) = ws.upstream.clone() else { return };
        let (mut moves, halt) = (up.moves(), ws.halt());
        loop {
            if let Err(error) = self.heed(&ws) {
                tracing::error!(%error, "jobs could not be looked through");
            }
            match self.lost(&ws, &up.agents()) {
                Ok(lost) => lost.into_iter().for_each(|job| self.settle_lost(&ws, job)),
                Err(error) => tracing::error!(%error, "lost jobs could not be looked for"),
            }
            tokio::select! {
                () = halt.cancelled() => return,
                moved = moves.changed() => if moved.is_err() { return },
            }
        }
    }

    /// Jobs of these agents that the mirror lists as running but that do not run here.
    fn lost(&self, ws: &Ws, agents: &BTreeSet<AgentId>) -> Result<Vec<Job>, StoreError> {
        let mut all = ws.read(|snap| queries::running(snap, None))?;
        let (live, busy) = (self.0.lock(), self.1.lock());
        all.retain(|job| {
            let is_known = live.contains_key(&job.id) || busy.contains(&(job.run, job.step));
            agents.contains(&job.agent) && !is_known
        });
        Ok(all)
    }

    /// Records a job as lost, however long the link is down.
    fn settle_lost(&self, ws: &Ws, job: Job) {
        let (own, to, of) = (self.clone(), ws.clone(), (job.run, job.step));
        self.1.lock().insert(of);
        ws.spawn("a job that was lost", async move {
            let halt = to.halt();
            let settled = async {
                while let Err(error) = lose(&to, &job).await {
                    if !wait_to_retry(&to, (job.id, job.agent), &error).await {
                        break;
                    }
                }
            };
            tokio::select! {
                () = halt.cancelled() => {}
                () = settled => {}
            }
            own.1.lock().remove(&of);
        });
    }
}

/// The output of a program, line by line.
struct News {
    offset: u64,
    /// A line whose end has not arrived.
    begun: String,
}

impl News {
    /// The first complete new line that matches. If more than [`AT_ONCE`] bytes are new, the older ones are skipped.
    fn next(&mut self, program: &Program, wanted: &Regex) -> std::io::Result<Option<String>> {
        let len = program.written()?.0;
        if self.offset + AT_ONCE < len {
            (self.offset, self.begun) = (len - AT_ONCE, String::new());
        }
        let (text, next) = program.output_from(self.offset, AT_ONCE as usize)?;
        self.offset = next;
        self.begun.push_str(&text);
        let Some(end) = self.begun.rfind('\n') else {
            if LONG < self.begun.len() {
                self.begun.clear();
            }
            return Ok(None);
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        let lines = reduce::plain(&whole);
        Ok(lines.lines().find(|line| wanted.is_match(line)).map(str::to_owned))
    }
}

pub(super) fn outcome_of(end: &JobEnd) -> JobOutcome {
    if let Some(why) = &end.not_started {
        return JobOutcome::NotStarted(why.clone());
    }
    if let (Some(why), None, false) = (end.out_of_memory, end.reason, end.is_success()) {
        return JobOutcome::OutOfMemory(why.describe());
    }
    match (end.reason, end.outcome) {
        (Some(StopReason::TimedOut), _) => JobOutcome::TimedOut,
        (Some(StopReason::Stopped | StopReason::Shutdown), _) => JobOutcome::Stopped,
        (Some(StopReason::TooManyProcesses), _) => JobOutcome::TooManyProcesses,
        (Some(StopReason::TooMuchOutput), _) => JobOutcome::TooMuchOutput,
        (Some(StopReason::TooMuchDisk), _) => JobOutcome::TooMuchDisk,
        (None, Outcome::Code(code)) => JobOutcome::Exited(code),
        (None, Outcome::Signal(signal)) => JobOutcome::Signalled(signal),
    }
}

/// Waits after a job could not be written, for example because the disk is full. Returns `false` if a retry is
/// pointless: HQ is shutting down (the next start finds the job), the job is gone, or its agent has left this host.
async fn wait_to_retry(ws: &Ws, (id, agent): (JobId, AgentId), error: &EngineError) -> bool {
    let is_here = ws.upstream.as_ref().is_none_or(|up| up.agents().contains(&agent));
    if !is_here || ws.read(|snap| snap.get::<Job>(id)).is_ok_and(|job| job.is_none()) {
        return false;
    }
    tracing::warn!(%error, "job {id} could not be written down yet");
    let halt = ws.halt();
    tokio::select! {
        () = tokio::time::sleep(LOOK) => true,
        () = halt.cancelled() => false,
    }
}

async fn settle(ws: &Ws, id: JobId) -> Result<(), EngineError> {
    let settled = ws.order(BY, JobSettled { id }).await;
    settled.map_err(|error| EngineError::Tool(error.to_string()))
}

async fn ended(ws: &Ws, id: JobId, live: &Live, end: &JobEnd) -> Result<(), EngineError> {
    let program = live.program.clone();
    let read = blocking(move || program.excerpt(READ_BACK, READ_BACK)).await?;
    let (output, tail) = keep(ws, read?.text()).await?;
    let detached = u32::try_from(end.running_children).unwrap_or(u32::MAX);
    let outcome = outcome_of(end);
    if ws.upstream.is_some() {
        note_end(&live.folder, &outcome).await?;
    }
    let paths = written_by(ws, id, live).await?;
    finish(ws, id, Finished { outcome, output, tail, detached }, paths).await
}

/// Files that a program may have written and that need an untrusted label. If the conversation became untrusted only
/// while the program ran, these are all files changed since its start.
async fn written_by(ws: &Ws, id: JobId, live: &Live) -> Result<Vec<String>, EngineError> {
    let is_untrusted = ws.read(|snap| match snap.get::<Job>(id)? {
        Some(job) => taint::is_of_job(snap, job.agent, job.session),
        // The record may not be in the mirror; assume untrusted.
        None => Ok(true),
    })?;
    let Some(root) = root_of(ws, live.agent)?.filter(|_| is_untrusted) else {
        return Ok(Vec::new());
    };
    let (before, folder) = (live.before.clone(), live.folder.clone());
    let changed = blocking(move || match before {
        Some(before) => folder::changed(&before, &folder::marks(&root)),
        None => folder::changed_with(&root, &folder),
    });
    changed.await
}

/// The folder of an agent, if the agent exists.
fn root_of(ws: &Ws, agent: AgentId) -> Result<Option<PathBuf>, StoreError> {
    let agent = ws.read(|snap| snap.get::<Agent>(agent))?;
    Ok(agent.map(|agent| ws.agent_folder(&agent.slug)))
}

/// Stores the outcome beside the output, because the primary may receive it only after the next start of this host.
async fn note_end(folder: &Path, outcome: &JobOutcome) -> Result<(), EngineError> {
    let noted = serde_json::to_vec(outcome).map_err(std::io::Error::other);
    let folder = folder.to_owned();
    let kept = blocking(move || left_over::note_end(&folder, &noted?)).await?;
    if let Err(error) = kept {
        tracing::warn!(%error, "how a program ended is not kept");
    }
    Ok(())
}

/// The stored outcome of a program that is no longer watched, if there is one. Blocking.
fn noted_end(folder: &Path) -> Option<JobOutcome> {
    // ok: an unreadable outcome counts as none.
    serde_json::from_slice(&left_over::noted_end(folder)?).ok()
}

async fn finish(ws: &Ws, id: JobId, end: Finished, paths: Vec<String>) -> Result<(), EngineError> {
    let noted = ws.order(BY, JobFinished { id, end, paths }).await;
    noted.map_err(|error| EngineError::Tool(error.to_string()))
}

/// Stores an output with secrets removed. Returns the stored output and its tail.
async fn keep(ws: &Ws, text: String) -> Result<(Option<JobOutput>, String), EngineError> {
    if text.is_empty() {
        return Ok((None, text));
    }
    let text = ws.app.redactor.masked(Spot::Tools, &text).into_owned();
    let (blobs, len) = (ws.clone(), text.len() as u64);
    let (id, text) = blocking(move || (blobs.blobs.put(text.as_bytes()), text)).await?;
    Ok((Some(JobOutput { id: id?, len }), text))
}

/// Records interrupted jobs as lost after a crash, with their output. Their processes are already ended. Jobs on other
/// hosts continue there.
pub(super) async fn recover(ws: &Ws) -> Result<usize, EngineError> {
    let (mut left, places) = ws.read(|snap| {
        Ok::<_, StoreError>((queries::running(snap, None)?, remote::places(ws, snap)?))
    })?;
    left.retain(|job| !places.contains_key(&job.agent));
    for job in &left {
        lose(ws, job).await?;
    }
    Ok(left.len())
}

/// Records a job that is no longer watched as lost, or with its noted outcome, together with its output.
async fn lose(ws: &Ws, job: &Job) -> Result<(), EngineError> {
    let id = job.id;
    if !job.is_running() {
        return settle(ws, id).await;
    }
    let folder = ws.jobs_folder().join(job.folder());
    let place = folder.clone();
    let root = root_of(ws, job.agent)?;
    let read = blocking(move || {
        // ok: without a file nothing was written.
        let text =
            output::excerpt(&place.join(OUTPUT), READ_BACK, READ_BACK).map(|read| read.text());
        // Files that the program changed while it was watched.
        let paths = root.map(|root| folder::changed_with(&root, &place)).unwrap_or_default();
        (text.unwrap_or_default(), noted_end(&place).unwrap_or(JobOutcome::Lost), paths)
    });
    let (text, outcome, paths) = read.await?;
    let (output, tail) = keep(ws, text).await?;
    finish(ws, id, Finished { outcome, output, tail, detached: 0 }, paths).await?;
    blocking(move || left_over::clear(&folder)).await
}
