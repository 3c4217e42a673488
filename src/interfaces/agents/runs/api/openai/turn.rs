//! A question that was asked, and how it ends: waits for the end of its run without polling and
//! reads the answer from the session.

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

/// So many of the newest events are looked through for the end of a call.
const NEWEST: usize = 32;

/// A question that waits for its answer.
pub(super) struct Turn {
    pub ws: Ws,
    pub input: InputId,
    pub run: RunId,
    /// The first event of the run that belongs to it, and how many model calls came before.
    pub since: (u32, u32),
    /// Whether it has a key: whoever repeats it finds the same run.
    pub keyed: bool,
    /// Whether nobody has looked yet how it stands: the run of a repeat may have come to its end before.
    pub unseen: bool,
    /// Whether calls of the client's tools are an answer to it.
    pub takes_calls: bool,
    /// Whether only they are.
    pub wants_calls: bool,
    /// The model call whose words a stream has told last. They cannot be taken back.
    pub told: Option<u32>,
    pub entries: Receiver<Arc<Entry>>,
    pub accounts: watch::Receiver<u64>,
    pub alive: Alive,
}

impl Turn {
    /// The run, once it has ended or waits for the client.
    ///
    /// # Errors
    /// When the question was taken back, nothing can be paid, who asked may not hear the answer any
    /// more, or the program ends.
    pub async fn ended(&mut self) -> Result<Run, ChatError> {
        if std::mem::take(&mut self.unseen)
            && let Some(run) = self.look()?
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
                    // An archived workspace halts, too, perhaps after its change was looked for above.
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
            if look && let Some(run) = self.look()? {
                return Ok(run);
            }
        }
    }

    /// Refuses when what let the question in does not any more.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self) -> Result<(), ChatError> {
        match (self.alive.0)() {
            true => Ok(()),
            false => Err(shut_out()),
        }
    }

    /// Refuses to tell words of another call when the one did not come to its end whose words were told: the answer to a
    /// call that is made again would stand behind the beginning of a former one.
    ///
    /// # Errors
    /// When it did not.
    pub fn check_told(&self) -> Result<(), ChatError> {
        let Some(told) = self.told else { return Ok(()) };
        let events = self.ws.read(|snap| -> Result<_, StoreError> {
            match snap.get::<Run>(self.run)? {
                Some(run) => steps::events_of(snap, &run),
                None => Ok(Vec::new()),
            }
        })?;
        let is_whole = |event: &SessionEvent| match &event.kind {
            EventKind::Assistant { call, stop, .. } => *call == told && stop != BROKEN_OFF,
            _ => false,
        };
        let own = events.iter().filter(|event| self.since.0 <= event.n);
        if own.rev().any(is_whole) { Ok(()) } else { Err(self.cut_off()) }
    }

    /// Whether the call has failed whose words were told, as far as the newest events say.
    fn is_cut_off(&self) -> Result<bool, StoreError> {
        let Some(told) = self.told else { return Ok(false) };
        let newest: Vec<SessionEvent> = self.ws.read(|snap| {
            let Some(run) = snap.get::<Run>(self.run)? else { return Ok(Vec::new()) };
            snap.list(&Range::prefix(KeyBuf::of(&run.session)).reverse().limit(NEWEST))
        })?;
        let failed = |event: &SessionEvent| {
            event.run == Some(self.run)
                && matches!(event.kind, EventKind::CallFailed { call, .. } if call == told)
        };
        Ok(newest.iter().any(failed))
    }

    fn cut_off(&self) -> ChatError {
        let message = match self.keyed {
            true => {
                "this answer broke off and is asked for anew; send the same Idempotency-Key again for \
                     all of it"
            }
            false => "this answer broke off; what came of it is not the answer: ask again",
        };
        ChatError::new(StatusCode::BAD_GATEWAY, "answer_broke_off", message)
    }

    /// Whether an entry may have ended the turn.
    fn concerns(&self, entry: &Entry) -> bool {
        let (run, input) = (KeyBuf::of(&self.run), KeyBuf::of(&self.input));
        let ours = [(RUNS.number, run.bytes()), (INPUTS.number, input.bytes())];
        entry.changes.iter().any(|c| ours.contains(&(c.table, c.key.as_slice())))
            || entry
                .events
                .iter()
                .any(|e| matches!(e, Event::RunEnded { run, .. } if *run == self.run))
    }

    /// Looks how the turn stands. A message that a run did not read goes on with the next run.
    fn look(&mut self) -> Result<Option<Run>, ChatError> {
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
            // Others come first; its own run is not there yet.
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
                let text = "everybody who could answer rests after failures; ask again later";
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
    /// What a run answered that has ended or waits for the client.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub fn answer(&self, run: &Run) -> Result<Answer, ChatError> {
        let answer = Answer::read(&self.ws, run, self.since);
        let lasts = |error: ChatError| if self.keyed { error.for_good() } else { error };
        let answer = answer.map_err(lasts)?;
        if self.wants_calls && answer.calls.is_empty() {
            let text = "the model called none of `tools`, although `tool_choice` asks for it";
            let error = ChatError::new(StatusCode::BAD_GATEWAY, "no_tool_call", text);
            return Err(error.for_good());
        }
        Ok(answer)
    }
}

/// The program ends, or is about to.
pub(super) fn closing() -> ChatError {
    let message = "work here has stopped; ask again in a moment";
    ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
}

fn shut_out() -> ChatError {
    let message = "this call is not let in any more: its sign-in, token or membership has ended, \
                   or the workspace was archived";
    ChatError::new(StatusCode::UNAUTHORIZED, "access_ended", message).for_good()
}

fn gone() -> ChatError {
    ChatError::new(StatusCode::CONFLICT, "cancelled", "the message was taken back")
}

/// Stops the run of a call whose client has gone, unless it was told not to.
pub(super) struct StopOnDrop {
    ws: Ws,
    who: Person,
    run: Option<RunId>,
}

impl StopOnDrop {
    /// Watches over a run that was made for one call alone.
    pub fn new(ws: Ws, who: Person, run: RunId) -> Self {
        Self { ws, who, run: Some(run) }
    }

    /// The call is over.
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

/// What a run answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The last words of the model.
    pub text: String,
    /// The calls that the client is to carry out.
    pub calls: Vec<ClientCall>,
    /// `stop`, `tool_calls`, `length` or `content_filter`.
    pub finish: &'static str,
    /// Tokens.
    pub spent: Spent,
}

/// A call of a tool of the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientCall {
    pub id: String,
    /// The tool, as the client knows it.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

/// Tokens of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    /// Sent to the model, with what it had in its cache.
    pub input: u64,
    /// Of them, those from its cache.
    pub cached: u64,
    /// What it said and thought.
    pub output: u64,
    /// Of them, what it thought.
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
                    // It was asked for again: what had come of it is no answer.
                    text.clear();
                }
                sent += input_tokens;
                received += output_tokens;
                let said = words(ws, &parts);
                if !said.trim().is_empty() {
                    (text, stopped) = (said, stop);
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

/// The calls for which a run waits, as its client knows them.
fn calls_of(tx: &dyn Read, run: &Run) -> Result<Vec<ClientCall>, StoreError> {
    let handed = client::handed(tx, run)?;
    let demand = match handed.is_empty() {
        true => None,
        false => client::asked(tx, run)?.map(|(_, demand)| demand),
    };
    let as_known = |Handed { id, call }: Handed| {
        let own = demand.as_ref().map_or(call.name.as_str(), |demand| demand.own_name(&call.name));
        ClientCall { id, name: own.to_owned(), arguments: call.arguments.clone() }
    };
    Ok(handed.into_iter().map(as_known).collect())
}

/// The words of an answer of the model.
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

/// Why a run gave no answer.
fn failed(outcome: &Outcome) -> ChatError {
    let internal = |code: &str, text: String| {
        ChatError::new(StatusCode::INTERNAL_SERVER_ERROR, code, text).for_good()
    };
    match outcome {
        Outcome::Stopped { .. } => {
            ChatError::new(StatusCode::CONFLICT, "stopped", "the run was stopped")
        }
        Outcome::Limit { which } if matches!(which.as_str(), "cost" | "tokens") => {
            let text = format!("the limit of {which} for one run was reached");
            ChatError::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", text).for_good()
        }
        Outcome::Limit { which } => {
            internal("limit", format!("the limit of {which} was reached before an answer"))
        }
        Outcome::Failed { code, reason } => by_class(code, reason.clone()),
        other => {
            internal(other.word(), format!("the run ended without an answer: {}", other.word()))
        }
    }
}

/// The status for a class of provider error.
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
    // What the provider itself said is for those who manage it.
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
            let told = error.status == 400 || !error.message.contains("acme");
            assert!(told && error.status != 500, "{}: {error:?}", class.word());
        }
    }
}
