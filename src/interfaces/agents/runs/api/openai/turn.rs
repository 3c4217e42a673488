//! A queued request and its end. Waits for the end of its run without polling and reads the response from the session.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;

use app::Ws;
use features::runs::model::{
    BROKEN_OFF, Body, EventKind, INPUTS, Input, InputState, RUNS, Run, SessionEvent,
};
use features::runs::queries::client::{self, Handed};
use features::runs::queries::steps;
use features::runs::rules;
use features::usage::model::{BY_RUN, Usage};
use features::workspace::model::MEMBERS;
use kernel::key::KeyBuf;
use kernel::{Event, InputId, Outcome, RunId, RunState, WaitFor};
use providers::error::ErrorClass;
use providers::model::Part;
use store::{Entry, Range, Read, ReadExt, StoreError};
use web::session::{Alive, Person};

use super::error::ChatError;

/// How many of the newest events are searched for a failed call.
const NEWEST: usize = 32;

/// A request that waits for its response.
pub(super) struct Turn {
    pub ws: Ws,
    pub input: InputId,
    pub run: RunId,
    /// The first event of the run that belongs to the request, and the number of model calls before it.
    pub since: (u32, u32),
    /// Whether the request has a key, so that a repeat finds the same run.
    pub keyed: bool,
    /// Whether the state has not been read yet. The run of a repeated request may have ended before.
    pub unseen: bool,
    /// Whether calls of client tools are a valid response.
    pub takes_calls: bool,
    /// Whether only such calls are a valid response.
    pub wants_calls: bool,
    /// The model call whose text was streamed last. Streamed text cannot be withdrawn.
    pub sent_step: Option<u32>,
    pub entries: Receiver<Arc<Entry>>,
    pub accounts: watch::Receiver<u64>,
    pub alive: Alive,
}

impl Turn {
    /// Waits until the run has ended or waits for the client.
    ///
    /// # Errors
    /// The request was withdrawn, the budget is exhausted, the caller lost access, or the process is stopping.
    pub async fn ended(&mut self) -> Result<Run, ChatError> {
        if std::mem::take(&mut self.unseen)
            && let Some(run) = self.read_state()?
        {
            return Ok(run);
        }
        loop {
            let halt = self.ws.halt();
            let entry = tokio::select! {
                biased;
                changed = self.accounts.changed() => {
                    changed.map_err(|_| closing())?;
                    self.check()?;
                    continue;
                }
                () = halt.cancelled() => {
                    // Archiving a workspace halts it too, perhaps after the check above.
                    self.check()?;
                    return Err(closing());
                }
                entry = self.entries.recv() => entry,
            };
            let look = match entry {
                Ok(entry) => {
                    if entry.changes.iter().any(|change| change.table == MEMBERS.number) {
                        self.check()?;
                    }
                    self.concerns(&entry)
                }
                Err(RecvError::Lagged(_)) => {
                    self.check()?;
                    true
                }
                Err(RecvError::Closed) => return Err(closing()),
            };
            if look && let Some(run) = self.read_state()? {
                return Ok(run);
            }
        }
    }

    /// Re-checks the access of the caller.
    ///
    /// # Errors
    /// The caller has lost access.
    pub fn check(&self) -> Result<(), ChatError> {
        match (self.alive.0)() {
            true => Ok(()),
            false => Err(shut_out()),
        }
    }

    /// Refuses to stream text of a new model call if the call whose text was streamed broke off. The text of a repeated
    /// call would follow the beginning of the broken one.
    ///
    /// # Errors
    /// The streamed call did not complete.
    pub fn check_told(&self) -> Result<(), ChatError> {
        let Some(step) = self.sent_step else { return Ok(()) };
        let events = self.ws.read(|snap| -> Result<_, StoreError> {
            match snap.get::<Run>(self.run)? {
                Some(run) => steps::events_of(snap, &run),
                None => Ok(Vec::new()),
            }
        })?;
        let is_whole = |event: &SessionEvent| match &event.kind {
            EventKind::Assistant { call, stop, .. } => *call == step && stop != BROKEN_OFF,
            _ => false,
        };
        let own = events.iter().filter(|event| self.since.0 <= event.n);
        if own.rev().any(is_whole) { Ok(()) } else { Err(self.cut_off()) }
    }

    /// Whether the call whose text was streamed has failed, according to the newest events.
    fn is_cut_off(&self) -> Result<bool, StoreError> {
        let Some(step) = self.sent_step else { return Ok(false) };
        let newest: Vec<SessionEvent> = self.ws.read(|snap| {
            let Some(run) = snap.get::<Run>(self.run)? else { return Ok(Vec::new()) };
            snap.list(&Range::prefix(KeyBuf::of(&run.session)).reverse().limit(NEWEST))
        })?;
        let failed = |event: &SessionEvent| {
            event.run == Some(self.run)
                && matches!(event.kind, EventKind::CallFailed { call, .. } if call == step)
        };
        Ok(newest.iter().any(failed))
    }

    fn cut_off(&self) -> ChatError {
        let message = match self.keyed {
            true => {
                "this answer was cut off and is being requested again; send the same \
                     Idempotency-Key again for the full answer"
            }
            false => "this answer was cut off and is incomplete: ask again",
        };
        ChatError::new(StatusCode::BAD_GATEWAY, "answer_broke_off", message)
    }

    /// Whether a feed entry may have ended the turn.
    fn concerns(&self, entry: &Entry) -> bool {
        let (run, input) = (KeyBuf::of(&self.run), KeyBuf::of(&self.input));
        let ours = [(RUNS.number, run.bytes()), (INPUTS.number, input.bytes())];
        entry.changes.iter().any(|c| ours.contains(&(c.table, c.key.as_slice())))
            || entry
                .events
                .iter()
                .any(|e| matches!(e, Event::RunEnded { run, .. } if *run == self.run))
    }

    /// Reads the state of the turn. A message that a run did not read moves on to the next run.
    fn read_state(&mut self) -> Result<Option<Run>, ChatError> {
        if self.is_cut_off()? {
            return Err(self.cut_off());
        }
        let found = self.ws.read(|snap| -> Result<_, StoreError> {
            let input = snap.get::<Input>(self.input)?;
            let run = match input.as_ref().map(|input| &input.state) {
                Some(InputState::Assigned(run) | InputState::Consumed(run)) => *run,
                _ => self.run,
            };
            Ok((input.map(|input| input.state), snap.get::<Run>(run)?))
        })?;
        let (Some(state), Some(run)) = found else { return Err(gone()) };
        if matches!(state, InputState::Cancelled | InputState::Dropped(_) | InputState::Overflowed)
        {
            return Err(gone());
        }
        self.run = run.id;
        if state == InputState::Accepted && run.state == RunState::Ended {
            // Other inputs come first; this input has no run yet.
            return Ok(None);
        }
        if run.state == RunState::Ended {
            return Ok(Some(run));
        }
        if self.takes_calls && run.waits_for_client() {
            return Ok(Some(run));
        }
        match run.waiting.as_ref() {
            Some(waiting) if waiting.waits_for == WaitFor::Budget => {
                let message = format!("{}; raise the budget or wait", waiting.detail);
                let status = StatusCode::TOO_MANY_REQUESTS;
                Err(ChatError::new(status, "insufficient_quota", message).for_good())
            }
            Some(waiting) if waiting.waits_for == WaitFor::Provider && !run.is_held() => {
                let text = "all models are paused after failures; ask again later";
                let error = ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text);
                let left = waiting.until.map(|at| at.duration_since(self.ws.app.clock.now()));
                let seconds = left.and_then(|left| u64::try_from(left.as_secs()).ok());
                Err(match seconds {
                    Some(seconds) => error.ends_in(seconds.max(1)),
                    None => error,
                })
            }
            _ => Ok(None),
        }
    }
}

impl Turn {
    /// The response of a run that has ended or waits for the client.
    ///
    /// # Errors
    /// States why there is no response.
    pub fn answer(&self, run: &Run) -> Result<Answer, ChatError> {
        let answer = Answer::read(&self.ws, run, self.since);
        let lasts = |error: ChatError| if self.keyed { error.for_good() } else { error };
        let answer = answer.map_err(lasts)?;
        if self.wants_calls && answer.calls.is_empty() {
            let text = "the model didn't call a tool, although `tool_choice` requires one";
            let error = ChatError::new(StatusCode::BAD_GATEWAY, "no_tool_call", text);
            return Err(error.for_good());
        }
        Ok(answer)
    }
}

/// The process is stopping or about to stop.
pub(super) fn closing() -> ChatError {
    let message = "work has stopped here; ask again in a moment";
    ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
}

fn shut_out() -> ChatError {
    let message = "this request is no longer allowed: its sign-in, token or membership has ended, \
                   or the workspace was archived";
    ChatError::new(StatusCode::UNAUTHORIZED, "access_ended", message).for_good()
}

fn gone() -> ChatError {
    ChatError::new(StatusCode::CONFLICT, "cancelled", "the message was withdrawn")
}

/// Stops the run of a disconnected client, unless disarmed.
pub(super) struct StopOnDrop {
    ws: Ws,
    who: Person,
    run: Option<RunId>,
}

impl StopOnDrop {
    /// Guards a run that was started for this request only.
    pub fn new(ws: Ws, who: Person, run: RunId) -> Self {
        Self { ws, who, run: Some(run) }
    }

    /// The request is complete.
    pub fn disarm(&mut self) {
        self.run = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        let (ws, who) = (self.ws.clone(), self.who.clone());
        let by = Some(who.account);
        let stop = async move {
            let stopped = ws.write(&who, move |tx| rules::request_stop(tx, run, by)).await;
            if let Err(error) = stopped {
                tracing::debug!(run.id = %run, "a run whose client left was not stopped: {error}");
            }
        };
        self.ws.app.clone().spawn("stop after a client left", stop);
    }
}

/// The response of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The last text of the model.
    pub text: String,
    /// The tool calls that the client must carry out.
    pub calls: Vec<ClientCall>,
    /// `stop`, `tool_calls`, `length` or `content_filter`.
    pub finish: &'static str,
    pub spent: Spent,
}

/// A call of a client tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientCall {
    pub id: String,
    /// The tool's name as the client knows it.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// Tokens of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    /// Input tokens, including cached ones.
    pub input: u64,
    /// Of the input tokens, those read from the cache.
    pub cached: u64,
    /// Output tokens, including reasoning.
    pub output: u64,
    /// Of the output tokens, those for reasoning.
    pub reasoning: u64,
}

impl Answer {
    fn read(ws: &Ws, run: &Run, (first, before): (u32, u32)) -> Result<Self, ChatError> {
        let (mut events, mut used, calls) = ws.read(|snap| -> Result<_, StoreError> {
            let used: Vec<Usage> =
                snap.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run.id)).limit(1_000))?;
            Ok((steps::events_of(snap, run)?, used, calls_of(snap, run)?))
        })?;
        events.retain(|event| first <= event.n);
        used.retain(|usage| before < usage.call);
        let (mut text, mut stopped, mut sent, mut received) = (String::new(), String::new(), 0, 0);
        for event in events {
            if let EventKind::Assistant { parts, stop, input_tokens, output_tokens, .. } =
                event.kind
            {
                if stopped == BROKEN_OFF {
                    // The call was repeated, so its text is discarded.
                    text.clear();
                }
                sent += input_tokens;
                received += output_tokens;
                let answer = words(ws, &parts);
                if !answer.trim().is_empty() {
                    (text, stopped) = (answer, stop);
                }
            }
        }
        let spent = spent(&used, sent, received);
        let cut_short = stopped.contains("max_tokens") || stopped.contains("length");
        let finish = match run.outcome.as_ref().unwrap_or(&Outcome::Done) {
            Outcome::Done if !calls.is_empty() => "tool_calls",
            Outcome::Done | Outcome::NoOutcome | Outcome::Snoozed { .. } => {
                if stopped.contains("refusal") {
                    "content_filter"
                } else if cut_short {
                    "length"
                } else {
                    "stop"
                }
            }
            Outcome::Limit { .. } if !text.is_empty() => "length",
            outcome => return Err(failed(outcome)),
        };
        Ok(Self { text, calls, finish, spent })
    }
}

/// The calls that a run waits for, under the client's tool names.
fn calls_of(tx: &dyn Read, run: &Run) -> Result<Vec<ClientCall>, StoreError> {
    let handed = client::handed(tx, run)?;
    let demand = match handed.is_empty() {
        true => None,
        false => client::find_request(tx, run)?.map(|(_, demand)| demand),
    };
    let as_known = |Handed { id, call }: Handed| {
        let own = demand.as_ref().map_or(call.name.as_str(), |demand| demand.own_name(&call.name));
        ClientCall { id, name: own.to_owned(), arguments: call.arguments.clone() }
    };
    Ok(handed.into_iter().map(as_known).collect())
}

/// The text of a model response.
fn words(ws: &Ws, parts: &Body) -> String {
    let parsed: Option<Vec<Part>> = match parts {
        Body::Inline(text) => serde_json::from_str(text).ok(),
        Body::Blob { id, .. } => {
            ws.blobs.get(*id, 32 << 20).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
        }
    };
    let texts = parsed.unwrap_or_default().into_iter().filter_map(|part| match part {
        Part::Text { text } => Some(text),
        _ => None,
    });
    texts.collect()
}

fn spent(used: &[Usage], sent: u64, received: u64) -> Spent {
    let sum = |of: fn(&Usage) -> u64| used.iter().map(of).sum::<u64>();
    let (input, output) = match used.is_empty() {
        true => (sent, received),
        false => (sum(|u| u.input + u.cache_read + u.cache_write), sum(|u| u.output)),
    };
    Spent { input, cached: sum(|u| u.cache_read), output, reasoning: sum(|u| u.reasoning) }
}

/// Why a run gave no response.
fn failed(outcome: &Outcome) -> ChatError {
    let internal = |code: &str, text: String| {
        ChatError::new(StatusCode::INTERNAL_SERVER_ERROR, code, text).for_good()
    };
    match outcome {
        Outcome::Stopped { .. } => {
            ChatError::new(StatusCode::CONFLICT, "stopped", "the run was stopped")
        }
        Outcome::Limit { which } if matches!(which.as_str(), "cost" | "tokens") => {
            let text = format!("the run's {which} limit was reached");
            ChatError::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", text).for_good()
        }
        Outcome::Limit { which } => {
            internal("limit", format!("the {which} limit was reached before an answer"))
        }
        Outcome::Failed { code, reason } => by_class(code, reason.clone()),
        other => {
            internal(other.word(), format!("the run ended without an answer: {}", other.word()))
        }
    }
}

/// The HTTP status for a class of provider errors.
fn by_class(class: &str, reason: String) -> ChatError {
    let (status, code, for_good) = match class {
        "rate_limit" => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", false),
        "overloaded" => (StatusCode::SERVICE_UNAVAILABLE, class, false),
        "billing" | "budget" => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", true),
        "context_too_long" => (StatusCode::BAD_REQUEST, "context_length_exceeded", true),
        "content_refused" => (StatusCode::BAD_REQUEST, "content_filter", true),
        "auth" | "auth_permanent" | "sign_in_needed" | "model_not_found" | "invalid_request"
        | "replay_invalid" | "no_provider" => (StatusCode::BAD_GATEWAY, class, true),
        "server_error" | "network" | "timeout" | "interrupted" | "garbage" | "empty_answer" => {
            (StatusCode::BAD_GATEWAY, class, false)
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, class, true),
    };
    // Only administrators may see the provider's own message.
    let known = ErrorClass::named(class).filter(|_| status != StatusCode::BAD_REQUEST);
    let message = known.map_or(reason, |class| class.advice().to_owned());
    let error = ChatError::new(status, code, message);
    if for_good { error.for_good() } else { error }
}

#[cfg(test)]
mod tests {
    use super::{ErrorClass, by_class, failed};
    use kernel::Outcome;

    #[test]
    fn every_end_without_an_answer_has_a_status() {
        let status = |outcome: &Outcome| failed(outcome).status.as_u16();
        assert_eq!(status(&Outcome::Stopped { by: None }), 409);
        assert_eq!(status(&Outcome::Limit { which: "cost".into() }), 429);
        assert_eq!(status(&Outcome::Limit { which: "time".into() }), 500);
        assert_eq!(status(&Outcome::CrashLoop), 500);
        for (class, status) in
            [("rate_limit", 429), ("overloaded", 503), ("auth", 502), ("content_refused", 400)]
        {
            assert_eq!(by_class(class, String::new()).status, status, "{class}");
        }
        for class in ErrorClass::ALL {
            let error = by_class(class.word(), "key sk-1 of acme".to_owned());
            let is_plain = error.status == 400 || !error.message.contains("acme");
            assert!(is_plain && error.status != 500, "{}: {error:?}", class.word());
        }
    }
}
