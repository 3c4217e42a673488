//! Runs that answer an API client. A run that waits for results of the client's own tools resumes with them, or ends
//! if none arrive. A run of a single call ends with the client's connection, unless the call asked it to stay.

use jiff::SignedDuration;

use crate::runs::model::{Body, CallStatus, Demand, EventKind, Input, InputState, Run, Session};
use crate::runs::queries::client::{self, Handed};
use crate::runs::queries::talk;
use kernel::text::head_tail;
use kernel::{Event, InputId, Outcome, RunId, RunState, Thinking};
use store::{BlobId, ReadExt, WriteTx};

use super::RunError;
use super::context;
use super::dropped;
use super::life;
use super::queue::NewInput;
use super::run_writer::RunWriter;

/// How long a run waits for results of an API client.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Maximum size of a result stored inline in its event, in bytes.
pub const MAX_INLINE: usize = 16 * 1024;

/// Reason for ending a run whose client was disconnected.
const CUT_OFF: &str = "HQ was restarted, which disconnected the calling program";

/// Result of a client tool call.
#[derive(Clone, Debug)]
pub struct ClientResult {
    /// Call id as the client knows it.
    pub id: String,
    pub text: String,
    /// The complete result if it is longer than [`MAX_INLINE`].
    pub whole: Option<BlobId>,
}

/// An API client's answer to a waiting run.
pub struct Answered {
    /// One result per call.
    pub results: Vec<ClientResult>,
    /// An additional message.
    pub message: Option<NewInput>,
    /// Options from here on; they replace the earlier ones.
    pub demand: Demand,
    /// Thinking level from here on.
    pub thinking: Option<Thinking>,
}

#[derive(Clone, Copy, Debug)]
pub struct Resumed {
    /// The message that the run answers.
    pub message: InputId,
    /// First event after the results.
    pub event: u32,
    /// Number of earlier model calls.
    pub calls: u32,
}

/// Gives a run the tool results that it waits for, and resumes it.
///
/// # Errors
/// `NoCalls` if the run waits for none, `MissingResult`, and if the additional message is invalid.
pub fn answer(tx: &mut WriteTx<'_>, id: RunId, answered: Answered) -> Result<Resumed, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    let Some((mut input, _)) = client::find_request(tx, &run)?.filter(|_| run.waits_for_client())
    else {
        return Err(RunError::NoCalls(run.name()));
    };
    let handed = client::handed(tx, &run)?;
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    let mut pen = RunWriter::of(run, session);
    for Handed { id, call } in handed {
        let found = answered.results.iter().find(|result| result.id == id);
        let result = found.ok_or(RunError::MissingResult(id))?;
        let step = pen.run.steps + 1;
        let finished = EventKind::ToolFinished {
            step,
            call_id: call.id,
            name: call.name,
            status: CallStatus::Ok,
            result: body(result, &format!("result:{}.{step}", pen.run.number)),
            millis: 0,
            paths: Vec::new(),
            seq: None,
        };
        pen.append(tx, finished)?;
    }
    let (event, calls) = (pen.session.events, pen.run.calls);
    if let Some(message) = answered.message {
        let message = Input {
            id: tx.new_id(),
            text: message.words()?,
            attached: message.attached,
            state: InputState::Assigned(id),
            demand: None,
            thinking: answered.thinking,
            fast: None,
            by: tx.by(),
            created_at: tx.now(),
            ..input.clone()
        };
        tx.put(&message)?;
    }
    (input.demand, input.thinking) = (Some(answered.demand), answered.thinking);
    tx.put(&input)?;
    (pen.run.state, pen.run.waiting) = (RunState::Queued, None);
    tx.emit(Event::RunAnswered { run: id, session: pen.session.id, agent: pen.run.agent });
    pen.save(tx)?;
    Ok(Resumed { message: input.id, event, calls })
}

fn body(result: &ClientResult, name: &str) -> Body {
    let Some(id) = result.whole else { return Body::Inline(result.text.clone()) };
    let len = result.text.len() as u64;
    let marker =
        format!("\n[… {len} bytes in total; read or search the rest with path \"{name}\" …]\n");
    let head = head_tail(&result.text, MAX_INLINE - marker.len(), &marker);
    Body::Blob { id, len, head }
}

/// Ends a run whose tool results did not arrive in time.
pub fn give_up(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), RunError> {
    let Some(run) = tx.get::<Run>(id)?.filter(Run::waits_for_client) else { return Ok(()) };
    let until = run.waiting.as_ref().and_then(|waiting| waiting.until);
    if until.is_some_and(|until| tx.now() < until) {
        return Ok(());
    }
    let why = "the calling program didn't return the results of its tools";
    life::force_end(tx, id, Outcome::Interrupted, why).map(drop)
}

/// Sets whether the run of a single API call ends with the client's connection. No effect in lasting sessions.
pub fn bind(tx: &mut WriteTx<'_>, id: RunId, bound: bool) -> Result<(), RunError> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let Some(mut session) = tx.get::<Session>(run.session)? else { return Ok(()) };
    if let Some(key) = talk::bound_key(&session.key, bound).filter(|key| *key != session.key) {
        session.key = key;
        tx.put(&session)?;
    }
    Ok(())
}

/// Ends a run whose client was disconnected by a restart, as if the client had hung up: the client would not receive
/// the answer, and its retry would repeat the work. A person may continue the run.
pub fn hang_up(tx: &mut WriteTx<'_>, id: RunId) -> Result<Run, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Ok(run);
    }
    context::withdraw(tx, run.session)?;
    dropped::drop_talk(tx, run.session, |_| true, CUT_OFF)?;
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    let (crashed, last) = (run.is_at_work() || run.is_taken_up(), session.last_at);
    let by = run.stop.as_ref().and_then(|stop| stop.by);
    let mut pen = RunWriter::of(run, session);
    if crashed {
        // Downtime is not work time.
        pen.rest(last);
    }
    pen.session.epoch += 1;
    pen.close_calls(tx, CallStatus::Unknown, "HQ was restarted before this was answered")?;
    pen.end(tx, Outcome::Stopped { by }, CUT_OFF)
}
