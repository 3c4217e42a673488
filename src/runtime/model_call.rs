//! One model call: money reserved and the call noted before it, the answer and its cost after it.

use std::time::Instant;

use crate::features::runs::model::{Body, EventKind};
use crate::features::runs::rules::Pen;
use crate::features::usage::queries as usage;
use crate::features::usage::rules::{self as money, Admitted, Ask, Spent, UsageError};
use crate::kernel::Timestamp;
use crate::live::BlockKind;
use crate::net::retry::{self, Next};
use crate::providers::bound::{Purpose, Ratio, Size, lost};
use crate::providers::error::{ErrorClass, ProviderError};
use crate::providers::model::{ChatRequest, Delta, Received, Reply, ToolChoice, Usage};
use crate::store::WriteTx;

use super::EngineError;
use super::chosen::Chosen;
use super::journal::{Journal, save};
use super::turn::Turn;

/// What became of a call.
pub(super) enum Called {
    /// The model has answered.
    Answered(Box<Answer>),
    /// It failed; the run may try again from this moment.
    Retry(Timestamp),
    /// It failed for good.
    Failed(ProviderError),
    /// A person stopped the run.
    Stopped,
}

/// An answer that is not written down yet.
pub(super) struct Answer {
    pub reply: Reply,
    pub admitted: Admitted,
    pub spent: Spent,
    pub call: u32,
    pub millis: u64,
}

impl Answer {
    /// The assistant's event.
    pub(super) fn event(&self, parts: Body) -> EventKind {
        EventKind::Assistant {
            call: self.call,
            parts,
            stop: stop_word(&self.reply).to_owned(),
            input_tokens: self.spent.tokens.input_total(),
            output_tokens: self.spent.tokens.output,
            billed_micros: self.spent.billed_micros,
            millis: self.millis,
        }
    }
}

fn stop_word(reply: &Reply) -> &'static str {
    use crate::providers::model::StopReason as S;
    match reply.stop {
        S::End => "end",
        S::ToolUse => "tool_use",
        S::MaxTokens => "max_tokens",
        S::StopSequence => "stop_sequence",
        S::Refusal => "refusal",
        S::Pause => "pause",
        S::ContextFull => "context_full",
    }
}

/// The question to the budgets for one call.
pub(super) struct Question {
    pub chosen: Chosen,
    pub size: Size,
    pub max_output: u32,
    pub wrap_up: bool,
}

impl Question {
    /// Reserves the money and notes that the call begins.
    pub(super) fn ask(
        &self,
        tx: &mut WriteTx<'_>,
        pen: &mut Pen,
    ) -> Result<(u32, Admitted), EngineError> {
        let mut size = self.size;
        for kind in &pen.appended {
            // What was read into the conversation by this very transaction is sent too.
            match kind {
                EventKind::Input { text, .. } => size.bytes += text.head().len() as u64 + 64,
                EventKind::Notice { text } => size.bytes += text.len() as u64 + 64,
                _ => {}
            }
        }
        let call = pen.run.calls + 1;
        let ask = Ask {
            agent: pen.run.agent,
            run: pen.run.id,
            call,
            model: &self.chosen.known,
            size,
            max_output: self.max_output,
            purpose: if self.wrap_up { Purpose::WrapUp } else { Purpose::Step },
        };
        let admitted = money::admit(tx, &ask)?;
        pen.append(
            tx,
            EventKind::CallStarted {
                call,
                provider: self.chosen.provider.name().to_owned(),
                model: self.chosen.model.clone(),
                reserved_micros: admitted.micros,
            },
        )?;
        Ok((call, admitted))
    }
}

impl Turn {
    /// The request as it stands; its messages are the conversation so far.
    pub(super) fn request(&self, wrap_up: bool) -> ChatRequest {
        let mut request = ChatRequest::new(self.chosen.model.clone(), self.agent.max_output);
        request.system.clone_from(&self.system);
        request.messages = self.journal.history.messages();
        request.tools.clone_from(&self.tools);
        request.thinking = self.chosen.thinking;
        request.metadata.cache_key = Some(self.session.to_string());
        if wrap_up {
            request.tool_choice = ToolChoice::None;
        }
        request
    }

    /// Makes the call that was admitted.
    pub(super) async fn call(
        &mut self,
        call: u32,
        admitted: Admitted,
        wrap_up: bool,
    ) -> Result<Called, EngineError> {
        let mut request = self.request(wrap_up);
        request.max_output = admitted.bound.max_output;
        let size = Size::of(&request);
        let started = Instant::now();
        let mut received = Received::default();
        let outcome = {
            let (hub, run) = (&self.journal.ws.live, self.journal.run);
            let mut sink = |delta: Delta| {
                received.push(&delta);
                match &delta {
                    Delta::Text(text) => hub.push(run, call, BlockKind::Text, text),
                    Delta::Thinking(text) => hub.push(run, call, BlockKind::Thinking, text),
                    _ => {}
                }
            };
            tokio::select! {
                reply = self.chosen.provider.stream(&request, &mut sink) => Some(reply),
                () = self.cancel.cancelled() => None,
                () = tokio::time::sleep(super::turn::MAX_CALL) => Some(Err(ProviderError::new(
                    ErrorClass::Timeout,
                    "the model did not finish its answer in time",
                ))),
            }
        };
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Some(Ok(reply)) => {
                let tokens = reply.usage.unwrap_or_else(|| self.guess(size, &received));
                let spent = self.spent(&admitted, tokens, &reply.model, Some(size));
                Ok(Called::Answered(Box::new(Answer { reply, admitted, spent, call, millis })))
            }
            Some(Err(error)) => self.failed(call, admitted, size, error, &received).await,
            None => {
                let tokens = self.guess(size, &received);
                let spent = self.spent(&admitted, tokens, "", None);
                self.journal
                    .write(move |tx, mut pen| {
                        money::book_lost(tx, admitted.reservation, spent)?;
                        pen.append(
                            tx,
                            EventKind::CallFailed {
                                call,
                                class: "stopped".to_owned(),
                                message: "stopped while the model was answering".to_owned(),
                                retry_at: None,
                            },
                        )?;
                        save(tx, pen).map(|appended| ((), appended))
                    })
                    .await?;
                Ok(Called::Stopped)
            }
        }
    }

    /// What is booked when the provider did not count.
    fn guess(&self, size: Size, received: &Received) -> Usage {
        let ratio = Ratio::default();
        let input = size.tokens(&self.chosen.known, ratio);
        received.usage.unwrap_or_else(|| lost(input, received.bytes, ratio))
    }

    fn spent(&self, admitted: &Admitted, tokens: Usage, model: &str, size: Option<Size>) -> Spent {
        let model = if model.is_empty() { self.chosen.model.as_str() } else { model };
        Spent {
            connection: self.chosen.connection,
            provider: self.chosen.provider.name().to_owned(),
            model: model.to_owned(),
            tokens,
            billed_micros: usage::bill(&admitted.model, &tokens),
            size,
        }
    }

    /// Writes down a failed call: its money, and whether it is tried again.
    async fn failed(
        &mut self,
        call: u32,
        admitted: Admitted,
        size: Size,
        error: ProviderError,
        received: &Received,
    ) -> Result<Called, EngineError> {
        self.failures += 1;
        let again = match error.again(self.failures, retry::random()) {
            Next::Wait(pause) if !error.has_content() && received.is_empty() => {
                Some(self.journal.ws.app.clock.now() + pause)
            }
            _ => None,
        };
        // A refused request costs nothing; one that broke off may be billed.
        let unknown = error.status.is_none_or(|status| status < 400)
            && !matches!(error.class, ErrorClass::Network | ErrorClass::RateLimit);
        let tokens = self.guess(size, received);
        let spent = self.spent(&admitted, tokens, "", None);
        let (class, message) = (error.class.word().to_owned(), error.message.clone());
        self.journal
            .write(move |tx, mut pen| {
                if unknown {
                    money::book_lost(tx, admitted.reservation, spent)?;
                } else {
                    money::release(tx, admitted.reservation)?;
                }
                pen.append(tx, EventKind::CallFailed { call, class, message, retry_at: again })?;
                save(tx, pen).map(|appended| ((), appended))
            })
            .await?;
        self.journal.ws.live.finish(self.journal.run);
        Ok(match again {
            Some(at) => Called::Retry(at),
            None => Called::Failed(error),
        })
    }
}

/// Books the calls that a crash cut off: nobody knows what they came to.
pub(super) async fn book_cut_off(
    journal: &mut Journal,
    chosen: &Chosen,
) -> Result<(), EngineError> {
    let run = journal.run;
    let (connection, provider) = (chosen.connection, chosen.provider.name().to_owned());
    let model = chosen.model.clone();
    journal
        .write(move |tx, pen| {
            for held in usage::unsettled(tx, run)? {
                let spent = Spent {
                    connection,
                    provider: provider.clone(),
                    model: model.clone(),
                    tokens: Usage::default(),
                    billed_micros: Some(held.input_micros),
                    size: None,
                };
                match money::book_lost(tx, held.id, spent) {
                    Ok(_) | Err(UsageError::Settled(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            save(tx, pen).map(|appended| ((), appended))
        })
        .await
}
