//! After a crash or a wait: what the run left unfinished is settled before it goes on.
//!
//! A call that was planned and never begun is made now. A file tool is settled by the hash of its
//! file. An external tool is never repeated: the model is told that its outcome is unknown.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::features::runs::model::{Body, CallStatus, EventKind, FileMark, Run};
use crate::features::runs::rules;
use crate::kernel::{Actor, Cause, Part};
use crate::providers::model::Part as Said;
use crate::store::ReadExt;

use super::EngineError;
use super::journal::{blocking, save};
use super::model_call;
use super::toolbox::Call;
use super::turn::Turn;

const UNKNOWN: &str =
    "interrupted by a restart: this may or may not have happened. Look before you do it again.";

/// Begins the run anew and settles what was left open.
pub(super) async fn settle(turn: &mut Turn) -> Result<(), EngineError> {
    let run = turn.journal.run;
    let chosen = turn.chosen.clone();
    let (actor, cause) = (turn.journal.actor(), turn.journal.cause());
    let epoch = turn
        .journal
        .ws
        .store
        .write(actor, cause, move |tx| {
            let mut pen = rules::begin(tx, run)?;
            let (attempt, thinking) = (pen.run.attempt, chosen.thinking);
            (pen.run.connection, pen.run.model) = (chosen.connection, chosen.model.clone());
            pen.append(
                tx,
                EventKind::RunStarted { attempt, model: chosen.model, thinking, request_bytes: 0 },
            )?;
            let epoch = pen.run.epoch;
            save(tx, pen)?;
            Ok::<u64, EngineError>(epoch)
        })
        .await?;
    turn.journal.epoch = epoch;
    turn.begun = true;
    model_call::book_cut_off(&mut turn.journal, &turn.chosen.clone()).await?;
    let left = left_open(turn)?;
    let mut again = Vec::new();
    for open in left {
        match open.started {
            None => again.push(open.call),
            Some(EventKind::ToolStarted { file: Some(mark), step, .. }) => {
                if !settle_file(turn, &open.call, step, mark).await? {
                    again.push(open.call);
                }
            }
            Some(EventKind::ToolStarted { step, .. }) => {
                let text = UNKNOWN.to_owned();
                finish(turn, &open.call, step, CallStatus::Unknown, text, Vec::new()).await?;
            }
            Some(_) => {}
        }
    }
    if !again.is_empty() {
        turn.run_tools(again).await?;
    }
    Ok(())
}

/// A call of the last assistant message that has no result.
struct Open {
    call: Call,
    started: Option<EventKind>,
}

fn left_open(turn: &Turn) -> Result<Vec<Open>, EngineError> {
    let run = turn.journal.run;
    let events = turn.journal.ws.read(|snap| {
        let run = snap.get::<Run>(run)?.ok_or(EngineError::Broken("the run is gone"))?;
        let events = crate::features::runs::queries::events_of_run(snap, &run, usize::MAX)?;
        Ok::<_, EngineError>(events)
    })?;
    let Some(last) = events.iter().rposition(|e| matches!(e.kind, EventKind::Assistant { .. }))
    else {
        return Ok(Vec::new());
    };
    let EventKind::Assistant { parts, .. } = &events[last].kind else { return Ok(Vec::new()) };
    let parts: Vec<Said> = serde_json::from_str(parts.head()).unwrap_or_default();
    let mut finished = BTreeSet::new();
    let mut started = Vec::new();
    for event in &events[last..] {
        match &event.kind {
            EventKind::ToolFinished { call_id, .. } => {
                finished.insert(call_id.clone());
            }
            EventKind::ToolStarted { call_id, .. } => started.push((call_id.clone(), &event.kind)),
            _ => {}
        }
    }
    let calls = parts.into_iter().filter_map(|part| match part {
        Said::ToolCall { id, name, arguments } => Some(Call { id, name, arguments }),
        _ => None,
    });
    Ok(calls
        .filter(|call| !finished.contains(&call.id))
        .map(|call| Open {
            started: started.iter().find(|(id, _)| *id == call.id).map(|(_, k)| (*k).clone()),
            call,
        })
        .collect())
}

/// Settles a file tool by the hash of its file. Answers false when it has to run again.
async fn settle_file(
    turn: &mut Turn,
    call: &Call,
    step: u32,
    mark: FileMark,
) -> Result<bool, EngineError> {
    let folder = turn.journal.ws.agent_folder(&turn.agent.slug);
    let path = mark.path.clone();
    let now = blocking(move || {
        super::tools::folder::read(&folder, &path, u64::MAX)
            .ok()
            .map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)))
    })
    .await?;
    if now == mark.after {
        let text = format!("{} was written before the restart.", mark.path);
        finish(turn, call, step, CallStatus::Ok, text, vec![mark.path]).await?;
        return Ok(true);
    }
    if now == mark.before {
        return Ok(false);
    }
    let text = format!("{} was changed by somebody else meanwhile; read it first.", mark.path);
    finish(turn, call, step, CallStatus::Error, text, Vec::new()).await?;
    Ok(true)
}

async fn finish(
    turn: &mut Turn,
    call: &Call,
    step: u32,
    status: CallStatus,
    text: String,
    paths: Vec<String>,
) -> Result<(), EngineError> {
    turn.journal
        .append(vec![EventKind::ToolFinished {
            step,
            call_id: call.id.clone(),
            name: call.name.clone(),
            status,
            result: Body::Inline(text),
            millis: 0,
            paths,
            seq: None,
        }])
        .await
}

/// At start: programs that the last life left behind are ended, and runs that were working go back
/// to the queue, or are given up after three crashes.
pub(super) async fn recover(ws: &crate::app::Ws) -> Result<usize, EngineError> {
    let agents = ws.folder.join("agents");
    let ended = blocking(move || crate::sandbox::left_over::end_all(&agents)).await?;
    if ended > 0 {
        tracing::info!(ended, "ended {ended} processes that the last life left behind");
    }
    use crate::features::runs::queries;
    use crate::kernel::RunState;
    let live = ws.read(|snap| queries::live(snap))?;
    let mut count = 0;
    for run in live.into_iter().filter(|run| run.state == RunState::Running) {
        let (actor, cause) = (Actor::System(Part::Engine), Cause::Timer);
        ws.store.write(actor, cause, move |tx| rules::recover(tx, run.id).map(|_| ())).await?;
        count += 1;
    }
    Ok(count)
}
