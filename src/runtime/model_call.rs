//! One model call. The money is reserved and the call is recorded before it, the response and its cost after it.

use std::time::{Duration, Instant};

use tracing::Instrument;

use app::live::{BlockKind, Hub};
use crypto::redact::{RedactStream, Spot};
use features::connections::cooldown::Candidate;
use features::runs::model::{BROKEN_OFF, Body, EventKind};
use features::usage::queries as usage;
use features::usage::rules::{Admitted, Spent};
use kernel::time::from_ms;
use kernel::{CallKind, RunId, Timestamp};
use net::retry::{self, Backoff, Next};
use providers::Sink;
use providers::bound::{Size, cut_off};
use providers::error::{ErrorClass, ProviderError};
use providers::model::{ChatRequest, Delta, Received, Reply, StopReason, ToolChoice, Usage};

use super::EngineError;
use super::chosen::Chosen;
use super::command::calls::{Begun, CallFailed, CallPaid, CutOff, Paid, Question, QuestionBegun};
use super::journal::Journal;
use super::turn::Turn;

pub(super) mod review; // review by a model before people are asked

/// The result of a call.
pub(super) enum Called {
    Answered(Box<Answer>),
    /// The call failed and may be retried.
    Retry {
        /// The time of the failure.
        from: Timestamp,
        /// The earliest time of the retry.
        at: Timestamp,
    },
    /// The call failed for good.
    Failed(ProviderError),
    /// The call was cut off: a person stopped the run, or the program ends.
    Stopped(Box<CutOff>),
}

/// The result of a side question, which is no part of the conversation.
pub(super) enum Aside {
    /// A paid response.
    Said(Box<Reply>, Spent),
    /// No response: no budget can pay it, or no candidate answers.
    Silent,
    /// The candidate failed and another one is selected: ask again.
    Other,
    /// The question was cut off during an attempt or between two: a person stopped the run, or the program ends.
    Stopped(Option<Box<CutOff>>),
}

/// The result of one attempt at a side question.
enum Tried {
    Came(Aside),
    /// The same candidate may be asked again from `at` on.
    Again {
        from: Timestamp,
        at: Timestamp,
    },
    Failed(ProviderError),
}

/// A failed call that is not written yet.
struct Broken {
    call: u32,
    millis: u64,
    size: Size,
    error: ProviderError,
    /// The time limit for one response has passed.
    is_late: bool,
}

/// A response that is not written yet.
pub(super) struct Answer {
    pub reply: Reply,
    pub admitted: Admitted,
    pub spent: Spent,
    pub call: u32,
    pub millis: u64,
    /// The candidate, if it has recorded failures to clear.
    pub well: Option<Candidate>,
}

impl Answer {
    /// The event of the response.
    pub(super) fn event(&self, parts: Body) -> EventKind {
        EventKind::Assistant {
            call: self.call,
            parts,
            stop: stop_word(self.reply.stop).to_owned(),
            input_tokens: self.spent.tokens.input_total(),
            output_tokens: self.spent.tokens.output,
            billed_micros: self.spent.billed_micros,
            millis: self.millis,
        }
    }

    /// The cost, once the response itself was taken.
    pub(super) fn paid(self) -> Paid {
        let Self { admitted, spent, well, .. } = self;
        Paid { reservation: admitted.reservation, spent, well }
    }
}

/// Returns `true` if a complete response has neither text nor calls.
pub(super) fn says_nothing(reply: &Reply) -> bool {
    matches!(reply.stop, StopReason::End | StopReason::StopSequence)
        && reply.calls().next().is_none()
        && reply.text().trim().is_empty()
}

fn stop_word(stop: StopReason) -> &'static str {
    match stop {
        StopReason::End => "end",
        StopReason::ToolUse => "tool_use",
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Refusal => "refusal",
        StopReason::Pause => "pause",
        StopReason::ContextFull => "context_full",
    }
}

impl Turn {
    /// Makes the admitted call. The request borrows the messages of the conversation.
    pub(super) async fn call(
        &mut self,
        call: u32,
        admitted: Admitted,
    ) -> Result<Called, EngineError> {
        self.fit_pictures().await;
        let (provider, model) = (self.chooser.chosen.provider.name(), &self.chooser.chosen.model);
        self.talk.request.of_others = self.talk.journal.history.of_others(provider, model);
        self.talk.request.messages = self.talk.journal.history.take();
        self.talk.request.max_output = admitted.bound.max_output;
        self.talk.request.blind = !self.chooser.chosen.known.vision;
        self.talk.request.no_tools = !self.chooser.chosen.known.tools;
        self.talk.request.tool_choice = match &self.setting.client {
            _ if self.ends.wrap_up.is_some() || self.setting.aside => ToolChoice::None,
            Some(client) => client.choice(&self.talk.request),
            None => ToolChoice::Auto,
        };
        let size = self.talk.fixed.and(Size::of_messages(&self.talk.request.messages));
        let started = Instant::now();
        let within = self.setting.engine.limits.answer_within(self.time_left());
        let (mut received, mut is_late) = (Received::default(), false);
        let outcome = {
            let mut live = Live::of(&self.talk.journal, call);
            let mut sink = |delta: Delta| {
                received.push(&delta);
                live.push(&delta);
            };
            let asking = self.stream(&mut sink);
            let outcome = tokio::select! {
                reply = asking.instrument(self.span(call)) => Some(reply),
                () = self.setting.cancel.cancelled() => None,
                () = tokio::time::sleep(within) => {
                    is_late = true;
                    let text = "the model didn't finish its answer in time";
                    Some(Err(ProviderError::new(ErrorClass::Timeout, text)))
                }
            };
            live.finish();
            outcome
        };
        self.talk.journal.history.put_back(std::mem::take(&mut self.talk.request.messages));
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Some(Ok(reply)) => {
                let tokens = reply.usage.unwrap_or_else(|| self.guess(&admitted, size, &received));
                let known = reply.usage.map(|_| size);
                let spent = self.spent(&admitted, tokens, (&reply.model, reply.sooner), known);
                let well = if says_nothing(&reply) { None } else { self.answered_well() };
                let answer = Answer { reply, admitted, spent, call, millis, well };
                Ok(Called::Answered(Box::new(answer)))
            }
            Some(Err(error)) => {
                let broken = Broken { call, millis, size, error, is_late };
                self.failed(broken, admitted, &received).await
            }
            None => {
                let spent = self.spent_so_far(&admitted, size, &received);
                let piece = self.piece(&received, "stopped", (call, millis, &spent));
                Ok(Called::Stopped(Box::new(CutOff {
                    call,
                    reservation: admitted.reservation,
                    spent,
                    piece,
                })))
            }
        }
    }

    /// Sends the request. A model that cannot guarantee the requested output format is not called.
    async fn stream(&self, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let Chosen { provider, model, .. } = &self.chooser.chosen;
        if let Some(format) = &self.talk.request.format
            && !provider.takes_format(model, format)
        {
            let text = format!(
                "{model} doesn't support the output format that the program \
                requires"
            );
            let error = ProviderError::new(ErrorClass::InvalidRequest, text);
            return Err(ProviderError { sent: false, ..error });
        }
        provider.stream(&self.talk.request, sink).await
    }

    /// The tracing span of the call.
    fn span(&self, call: u32) -> tracing::Span {
        tracing::info_span!("call", run = %self.setting.run.name(), call)
    }

    /// Asks the model a side question. Its stream is not shown. Its cost is booked like that of any call of the run.
    /// After a transient failure the candidate is tried once more; then the next one has to be asked.
    pub(super) async fn aside(
        &mut self,
        request: &ChatRequest,
        limit: Duration,
    ) -> Result<Aside, EngineError> {
        let mut last = false;
        loop {
            match self.try_aside(request, limit, last).await? {
                Tried::Came(aside) => return Ok(aside),
                Tried::Again { from, at } => {
                    let app = self.talk.journal.ws.app.clone();
                    tokio::select! {
                        () = app.sleep_from(from, at) => last = true,
                        () = self.setting.cancel.cancelled() => return Ok(Aside::Stopped(None)),
                    }
                }
                Tried::Failed(error) => {
                    let other = self.next_answers(&error).await?;
                    return Ok(if other { Aside::Other } else { Aside::Silent });
                }
            }
        }
    }

    async fn try_aside(
        &mut self,
        request: &ChatRequest,
        limit: Duration,
        last: bool,
    ) -> Result<Tried, EngineError> {
        let size = Size::of(request);
        let question = Question {
            connection: self.chooser.chosen.connection,
            provider: self.chooser.chosen.provider.name().to_owned(),
            model: self.chooser.chosen.model.clone(),
            known: self.chooser.chosen.known.clone(),
            size,
            max_output: request.max_output,
            heeds_limit: self.heeds_limit(),
            percent: 100,
            kind: CallKind::Compaction,
            id: Some(self.talk.journal.new_id()),
            admitted: None,
        };
        let begun = self.talk.journal.apply(QuestionBegun { question }).await;
        let (call, admitted) = match begun {
            Ok(Begun { call, admitted, .. }) => (call, admitted),
            // The next step sees that work is paused.
            Err(EngineError::Usage(_) | EngineError::Halted) => {
                return Ok(Tried::Came(Aside::Silent));
            }
            Err(error) => return Err(error),
        };
        self.talk.calls = call;
        let no_tools = !self.chooser.chosen.known.tools;
        let request =
            ChatRequest { max_output: admitted.bound.max_output, no_tools, ..request.clone() };
        let mut received = Received::default();
        let mut sink = |delta: Delta| received.push(&delta);
        let asking = self.chooser.chosen.provider.stream(&request, &mut sink);
        let outcome = tokio::select! {
            reply = asking.instrument(self.span(call)) => Some(reply),
            () = self.setting.cancel.cancelled() => None,
            () = tokio::time::sleep(limit.min(self.setting.engine.limits.answer)) => Some(Err(
                ProviderError::new(ErrorClass::Timeout, "the model took too long"),
            )),
        };
        match outcome {
            Some(Ok(reply)) => {
                let tokens = reply.usage.unwrap_or_else(|| self.guess(&admitted, size, &received));
                let known = reply.usage.map(|_| size);
                let spent = self.spent(&admitted, tokens, (&reply.model, reply.sooner), known);
                let (reservation, well) = (admitted.reservation, self.answered_well());
                let paid = Paid { reservation, spent: spent.clone(), well };
                self.talk.journal.apply(CallPaid { paid, said: None }).await?;
                Ok(Tried::Came(Aside::Said(Box::new(reply), spent)))
            }
            Some(Err(error)) => {
                let from = self.talk.journal.ws.app.clock.now();
                // Nobody saw the partial response, so it is retried like a missing one.
                let pause = match !last && self.is_worth_asking_again(&error) {
                    true => Backoff::TRANSIENT.next(1, error.retry_after, retry::random()),
                    false => Next::GiveUp(None),
                };
                let at = match pause {
                    Next::Wait(pause) => Some(later(from.as_millisecond(), pause)),
                    Next::GiveUp(_) => None,
                };
                // Nobody has seen any of the response.
                let spent = self.spent_so_far(&admitted, size, &received);
                let cut_off =
                    CutOff { call, reservation: admitted.reservation, spent, piece: None };
                let error = self.note_failure(cut_off, error, &received, at).await?;
                Ok(at.map_or(Tried::Failed(error), |at| Tried::Again { from, at }))
            }
            None => {
                let spent = self.spent_so_far(&admitted, size, &received);
                // Nobody has seen any of the response.
                let cut_off = Box::new(CutOff {
                    call,
                    reservation: admitted.reservation,
                    spent,
                    piece: None,
                });
                Ok(Tried::Came(Aside::Stopped(Some(cut_off))))
            }
        }
    }

    /// Returns `true` if the current candidate observes the output limit of a call.
    pub(super) fn heeds_limit(&self) -> bool {
        self.chooser.chosen.provider.heeds_limit(&self.chooser.chosen.model)
    }

    /// After a failed call: returns `true` if the call showed for the first time that no output limit applies. It is
    /// then retried with the maximum output reserved.
    pub(super) fn has_no_limit(&mut self) -> bool {
        !self.heeds_limit() && !std::mem::replace(&mut self.chooser.unlimited, true)
    }

    /// The estimated usage if the provider reported none.
    fn guess(&self, admitted: &Admitted, size: Size, received: &Received) -> Usage {
        let ratio = admitted.ratio;
        let input = size.tokens(&self.chooser.chosen.known, ratio);
        cut_off(received.usage, input, received.bytes, ratio)
    }

    /// The cost of a broken-off call, from the provider's count if there is one, else estimated.
    fn spent_so_far(&self, admitted: &Admitted, size: Size, received: &Received) -> Spent {
        let tokens = self.guess(admitted, size, received);
        let known = received.usage.filter(|counted| 0 < counted.input_total()).map(|_| size);
        self.spent(admitted, tokens, ("", None), known)
    }

    /// The cost to book. The response tells the model and whether it was a priority call. `size` is that of the request
    /// if the provider counted its tokens.
    fn spent(
        &self,
        admitted: &Admitted,
        tokens: Usage,
        (model, sooner): (&str, Option<bool>),
        size: Option<Size>,
    ) -> Spent {
        let priced = admitted.priced(sooner, self.chooser.chosen.fast_percent.unwrap_or(100));
        let model = if model.is_empty() { self.chooser.chosen.model.as_str() } else { model };
        let tokens = usage::believed_tokens(tokens);
        Spent {
            connection: self.chooser.chosen.connection,
            provider: self.chooser.chosen.provider.name().to_owned(),
            model: model.to_owned(),
            tokens,
            counted: size.is_some(),
            billed_micros: usage::believed(usage::bill(&priced, &tokens)),
            size,
        }
    }

    /// Records a failed call: its cost, its partial text, and whether it is retried. No call of a partial response was
    /// executed, so a retry repeats nothing.
    async fn failed(
        &mut self,
        broken: Broken,
        admitted: Admitted,
        received: &Received,
    ) -> Result<Called, EngineError> {
        let Broken { call, millis, size, mut error, is_late } = broken;
        self.ends.failures += 1;
        if error.received.is_none() {
            error = error.with_received(received.clone());
        }
        // A response that used up the time limit would do so again.
        let endless = is_late && (error.has_content() || !received.is_empty());
        let now = self.talk.journal.ws.app.clock.now();
        let retry_at = match error.next_attempt(self.ends.failures, retry::random()) {
            Next::Wait(pause) if !endless && self.may_ask_again(&error) => {
                Some(later(now.as_millisecond(), pause))
            }
            _ => None,
        };
        let spent = self.spent_so_far(&admitted, size, received);
        let piece = self.piece(received, BROKEN_OFF, (call, millis, &spent));
        let cut_off = CutOff { call, reservation: admitted.reservation, spent, piece };
        let error = self.note_failure(cut_off, error, received, retry_at).await?;
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(match retry_at {
            Some(at) => Called::Retry { from: now, at },
            None => Called::Failed(error),
        })
    }

    /// Books and records a failed call after its partial text. The run waits until `retry_at`.
    async fn note_failure(
        &mut self,
        cut_off: CutOff,
        mut error: ProviderError,
        received: &Received,
        retry_at: Option<Timestamp>,
    ) -> Result<ProviderError, EngineError> {
        error.message =
            self.talk.journal.ws.app.redactor.masked(Spot::Errors, &error.message).into_owned();
        // A refused or unsent request costs nothing; a broken-off one may be billed.
        let is_free = !error.sent && !error.has_content() && received.is_empty();
        let (class, message) = (error.class.word().to_owned(), error.message.clone());
        let failed = CallFailed { cut_off, is_free, class, message, again: retry_at };
        self.talk.journal.apply(failed).await?;
        if retry_at.is_some() {
            self.talk.journal.pauses();
        }
        Ok(error)
    }
}

/// The end of a pause in whole milliseconds, rounded up, because times are stored in milliseconds.
fn later(now_ms: i64, pause: Duration) -> Timestamp {
    let ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
    from_ms(now_ms.saturating_add(ms))
}

/// Streams the response to viewers, with secrets masked.
struct Live<'a> {
    hub: &'a Hub,
    run: RunId,
    call: u32,
    text: RedactStream,
    thinking: RedactStream,
}

impl<'a> Live<'a> {
    fn of(journal: &'a Journal, call: u32) -> Self {
        let redactor = &journal.ws.app.redactor;
        let (text, thinking) = (redactor.stream(), redactor.stream());
        Self { hub: &journal.ws.live, run: journal.run, call, text, thinking }
    }

    fn push(&mut self, delta: &Delta) {
        let (kind, clean) = match delta {
            Delta::Text(text) => (BlockKind::Text, self.text.push(text.as_bytes())),
            Delta::Thinking(text) => (BlockKind::Thinking, self.thinking.push(text.as_bytes())),
            _ => return,
        };
        self.show(kind, &clean);
    }

    /// Sends what was held back because it could have become a secret.
    fn finish(self) {
        let Self { hub, run, call, text, thinking } = self;
        for (kind, rest) in [(BlockKind::Thinking, thinking), (BlockKind::Text, text)] {
            let rest = rest.finish();
            if !rest.is_empty() {
                hub.push(run, call, kind, &String::from_utf8_lossy(&rest));
            }
        }
    }

    fn show(&self, kind: BlockKind, clean: &[u8]) {
        if !clean.is_empty() {
            self.hub.push(self.run, self.call, kind, &String::from_utf8_lossy(clean));
        }
    }
}
