//! After a crash or a wait: settles what the run left unfinished before it continues.
//!
//! A planned call that never started is made now. A file tool is settled by the hashes of its files. An external tool
//! is never repeated: the model is told that its outcome is unknown.

use std::collections::{BTreeSet, HashSet};

use app::Ws;
use features::runs::model::{Body, CallStatus, EventKind, Run};
use features::runs::queries::{self, Begun, client};
use features::runs::rules::link;
use kernel::{AgentId, RunId, RunState, Timestamp};
use sandbox::left_over;
use store::StoreError;
use tool::AnyTool;

use super::command::First;
use super::command::journal::Settling;
use super::command::orders::{RunHungUp, RunRecovered, RunsTakenUp};
use super::journal::blocking;
use super::port::Port;
use super::toolbox::Call;
use super::tools::exec;
use super::turn::{Step, Turn};
use super::{BY, EngineError, alive, commit, file_calls, jobs, remote};

/// Why runs of the previous process were interrupted.
const RESTARTED: &str = "HQ was restarted";
const UNKNOWN: &str = "Error(interrupted_unknown): interrupted by a restart; this may or may not \
    have happened. Check before you do it again.";

/// Resumes the run and settles its open calls.
pub(super) async fn settle(turn: &mut Turn) -> Result<Step, EngineError> {
    let (chosen, home) = (&turn.chooser.chosen, &turn.chooser.home);
    let first = First {
        item: None,
        again: None,
        // The chosen model, not the current candidate: a budget wait ends when the choice changes.
        connection: home.connection,
        model: home.model.clone(),
        answers: chosen.model.clone(),
        source: chosen.source,
        thinking: chosen.thinking,
        thinking_source: chosen.thinking_source,
        request_bytes: 0,
        parts: Vec::new(),
    };
    let open = turn.talk.journal.apply_first(Some(Box::new(first)), Settling {}, None).await?;
    turn.talk.begun = true;
    let mut unsettled = Vec::new();
    for call in open {
        let made = Call::of((&call.id, &call.name, &call.arguments));
        let settled = match call.started {
            None => false,
            // It continues after the answer to its server's question, or a sign-in.
            Some(begun) if turn.asked_at(begun.step)?.is_some() => false,
            Some(begun) if begun.files.is_empty() => {
                unknown(turn, &made, begun.step, Vec::new()).await?;
                true
            }
            Some(begun) if !turn.plans_files(&made) => stored(turn, &made, begun).await?,
            Some(begun) => file_calls::settle(turn, &made, begun).await?,
        };
        if !settled {
            unsettled.push(made);
        }
    }
    if unsettled.is_empty() { Ok(Step::Next) } else { turn.run_tools(unsettled).await }
}

/// Settles a call that was storing the files of its result. Returns `false` if it must be made again because it only
/// reads.
async fn stored(turn: &mut Turn, call: &Call, begun: Begun) -> Result<bool, EngineError> {
    let paths: Vec<String> = begun.files.into_iter().map(|mark| mark.path).collect();
    turn.talk.journal.paths.extend(paths.iter().cloned());
    let entry = turn.setting.tools.get(&call.name);
    if entry.is_some_and(|entry| matches!(entry.tool, AnyTool::Read(_))) {
        return Ok(false);
    }
    unknown(turn, call, begun.step, paths).await?;
    Ok(true)
}

/// Settles an external tool: only its output so far is known. Its file changes are unknown, too, so the run's commit
/// includes every changed file.
async fn unknown(
    turn: &mut Turn,
    call: &Call,
    step: u32,
    paths: Vec<String>,
) -> Result<(), EngineError> {
    let job = exec::job_folder(&turn.talk.journal.ws, turn.talk.journal.run, step);
    let read = job.clone();
    let so_far = blocking(move || exec::so_far(&read)).await?;
    let text = match so_far {
        Some(output) => format!("{UNKNOWN}\nIts output so far:\n{output}"),
        None => UNKNOWN.to_owned(),
    };
    turn.talk.journal.unsure = true;
    finish(turn, call, step, CallStatus::Unknown, text, paths).await?;
    blocking(move || left_over::clear(&job)).await
}

pub(super) async fn finish(
    turn: &mut Turn,
    call: &Call,
    step: u32,
    status: CallStatus,
    text: String,
    paths: Vec<String>,
) -> Result<(), EngineError> {
    let result: Body = turn.talk.journal.body(step, (text, None), turn.max_result()).await?;
    turn.talk
        .journal
        .append(vec![EventKind::ToolFinished {
            step,
            call_id: call.id.clone(),
            name: call.name.clone(),
            status,
            result,
            millis: 0,
            paths,
            seq: None,
        }])
        .await
}

/// Runs that end with the connection of their API client, which the end of the previous process has cut. Read before
/// new requests are accepted, because those have a connection.
pub(super) fn cut_off(ws: &Ws) -> HashSet<RunId> {
    let found = ws.read(|snap| {
        let mut all = HashSet::new();
        for run in queries::live(snap)? {
            if client::is_bound(snap, &run)? {
                all.insert(run.id);
            }
        }
        Ok::<_, StoreError>(all)
    });
    found.unwrap_or_else(|error| {
        // In this case they continue like other runs.
        tracing::warn!(%error, "it is not known whose programs were cut off");
        HashSet::new()
    })
}

/// At start: ends leftover programs, ends runs whose API clients were disconnected, and requeues interrupted runs or
/// gives them up. Returns the runs that existed and continue.
pub(super) async fn recover(
    ws: &Ws,
    cut_off: &HashSet<RunId>,
) -> Result<HashSet<RunId>, EngineError> {
    end_left_over(ws).await?;
    let lost = jobs::recover(ws).await?;
    if lost > 0 {
        tracing::info!(lost, "{lost} jobs were lost with the last life");
    }
    for run in cut_off.iter().copied() {
        match ws.order(BY, RunHungUp { run }).await {
            Ok(ended) => commit_end(ws, &ended).await,
            Err(error) => {
                tracing::error!(run.id = %run, %error, "run {run} could not be ended");
            }
        }
    }
    let mut live = ws.read(|snap| queries::live(snap))?;
    // Runs on hosts continue there.
    let places = ws.read(|snap| remote::places(ws, snap))?;
    live.retain(|run| !places.contains_key(&run.agent));
    let (going, begun) = recover_all(ws, live, alive::last(ws).await).await;
    alive::keep(ws);
    if 0 < begun {
        ws.order(BY, RunsTakenUp { count: begun }).await?;
    }
    for run in commit::broken_off(ws)? {
        commit::left(ws, run).await;
    }
    // The output of other runs' programs is no longer needed.
    let live = ws.read(|snap| queries::live(snap))?.into_iter().map(|run| run.id).collect();
    let jobs = ws.jobs_folder();
    blocking(move || exec::sweep(&jobs, &live)).await?;
    Ok(going)
}

/// The same on a host, for its agents.
pub(super) async fn recover_away(
    ws: &Ws,
    agents: &BTreeSet<AgentId>,
) -> Result<HashSet<RunId>, EngineError> {
    end_left_over(ws).await?;
    let mut live = ws.read(|snap| queries::live(snap))?;
    live.retain(|run| agents.contains(&run.agent));
    let (going, _) = recover_all(ws, live, alive::last(ws).await).await;
    alive::keep(ws);
    Ok(going)
}

/// Ends programs that the previous process left behind.
async fn end_left_over(ws: &Ws) -> Result<(), EngineError> {
    let (jobs, browsers) = (ws.jobs_folder(), ws.browsers_folder());
    // A person may have opened a browser since the start.
    let begun: Vec<_> = ws.app.sandbox.jobs().iter().map(|job| job.mark().clone()).collect();
    let ended = blocking(move || {
        let runs = browser::setup::all_runs_in(&browsers);
        let of_browsers: usize = runs.iter().map(|runs| left_over::end_all_but(runs, &begun)).sum();
        left_over::end_all(&jobs) + of_browsers
    });
    let ended = ended.await?;
    if 0 < ended {
        tracing::info!(ended, "ended {ended} processes that the last life left behind");
    }
    Ok(())
}

/// Requeues those of these runs that were working, or gives them up. Returns the runs that continue, and how many of
/// them had started.
async fn recover_all(
    ws: &Ws,
    live: Vec<Run>,
    alive_at: Option<Timestamp>,
) -> (HashSet<RunId>, u32) {
    let left =
        |run: &Run| run.is_at_work() || run.state == RunState::Queued || link::is_waiting(run);
    let (mut going, mut begun) = (HashSet::new(), 0);
    for run in live.into_iter().filter(left) {
        // A run that cannot be resumed does not block the others; the dispatcher retries it with each pass.
        match recover_one(ws, run.id, (RESTARTED, alive_at)).await {
            Ok(run) => {
                going.extend(run.is_live().then_some(run.id));
                begun += u32::from(run.is_live() && run.started_at.is_some());
            }
            Err(error) => {
                tracing::error!(run.id = %run.id, %error, "run {} could not be recovered", run.id);
            }
        }
    }
    (going, begun)
}

/// Resumes one run. Calls with an unknown result are booked now, because the run may have to wait for long.
pub(super) async fn recover_one(
    ws: &Ws,
    id: RunId,
    (what, alive_at): (&'static str, Option<Timestamp>),
) -> Result<Run, EngineError> {
    let away = ws.upstream.is_some();
    let order = RunRecovered { run: id, what: what.to_owned(), away, alive_at };
    let run = ws.order(BY, order).await?;
    commit_end(ws, &run).await;
    Ok(run)
}

/// Commits the file changes of a run that has ended.
async fn commit_end(ws: &Ws, run: &Run) {
    if !run.is_live() {
        commit::left(ws, run.id).await;
    }
}
