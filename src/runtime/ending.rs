//! How a run ends: a response without tool calls, a limit, a stop, a budget.

use std::sync::atomic::Ordering;

use features::runs::model::Body;
use features::usage::queries::budgets::Lack;
use kernel::{Outcome, RunTrigger, Thinking};
use providers::error::{ErrorClass, ProviderError};
use providers::model::{Reply, StopReason};

use super::command::calls::{CallPaid, CutOff};
use super::command::ends::{Ended, LastWord, NotKept, Rested, Said, Stopped};
use super::command::orders::RunPutDown;
use super::journal::Unkept;
use super::model_call::Answer;
use super::port::Port;
use super::turn::{Step, Turn};
use super::{BY, EngineError, commit};

const CUT_CALL: &str = "Your last answer was cut off at the output token limit, so its last call \
    may be incomplete. Write long files in several calls.";
/// How often a cut-off response is continued.
const GOES_ON: u32 = 2;

/// The text so far of a response that was cut off at the output limit.
#[derive(Debug, Default)]
pub(super) struct CutWords {
    text: String,
    times: u32,
}

/// A reached limit of a run: one more call without tools, then the run ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitReached {
    /// One of `calls`, `tools`, `time`, `cost`, `tokens`, `loop`.
    pub which: &'static str,
    is_notified: bool,
}

impl LimitReached {
    pub(super) fn new(which: &'static str) -> Self {
        Self { which, is_notified: false }
    }

    /// The limit of a run's budget.
    pub(super) fn of(lack: &Lack) -> Self {
        Self::new(used_up(lack))
    }

    /// The same, marked as known to the model if `notified` is this limit.
    pub(super) fn notified_before(self, notified: Option<&str>) -> Self {
        Self { is_notified: self.is_notified || notified == Some(self.which), ..self }
    }

    /// The notice to the model; returned once.
    pub(super) fn notice(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.is_notified, true) {
            return None;
        }
        Some(limit_words(self.which))
    }

    /// The limit that a notice is about.
    pub(super) fn named_in(notice: &str) -> Option<&'static str> {
        LIMITS.into_iter().find(|which| limit_words(which) == notice)
    }

    /// The notice was not sent after all.
    pub(super) fn retract_notice(&mut self) {
        self.is_notified = false;
    }
}

/// The words of all limits.
const LIMITS: [&str; 6] = ["calls", "tools", "time", "cost", "tokens", "loop"];

fn limit_words(which: &str) -> String {
    let why = match which {
        "loop" => "You keep making the same calls without making progress".to_owned(),
        which => format!("You have reached this run's limit ({which})"),
    };
    format!(
        "{why}. Summarize in a few lines what is done and what is left. You can't use tools any \
         more."
    )
}

/// The unit of an exhausted budget of a run.
pub(super) fn used_up(lack: &Lack) -> &'static str {
    if lack.tokens { "tokens" } else { "cost" }
}

impl Said {
    fn of(reply: &Reply, offered: &[providers::model::ToolDef]) -> Self {
        let text = reply.text();
        match reply.stop {
            StopReason::Refusal => Self::Refusal,
            StopReason::Pause => Self::Pause,
            StopReason::ContextFull => Self::Full,
            StopReason::ToolUse => Self::Shaped,
            _ if text.trim().is_empty() => Self::Nothing,
            _ if is_call_in_words(&text, offered.iter().map(|tool| tool.name.as_str())) => {
                Self::Shaped
            }
            StopReason::MaxTokens => Self::Cut,
            _ => Self::Something,
        }
    }
}

/// Returns `true` if a text is only a tool call in another model's syntax.
fn is_call_in_words<'n>(text: &str, mut names: impl Iterator<Item = &'n str>) -> bool {
    let text = text.trim();
    if text.starts_with("<tool_call>") || text.starts_with("<function_call>") {
        return true;
    }
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).unwrap_or(text);
    let inner = inner.strip_suffix("```").unwrap_or(inner).trim();
    let Ok(serde_json::Value::Object(map)) = serde_json::from_str(inner) else { return false };
    let named = map.get("name").or_else(|| map.get("tool")).and_then(|name| name.as_str());
    let has_arguments = map.contains_key("arguments") || map.contains_key("parameters");
    has_arguments && named.is_some_and(|named| names.any(|name| name == named))
}

impl Turn {
    /// Returns `true` if a cut-off response may be continued. An API client is told that the response was cut off, and
    /// may have set the limit on purpose.
    fn may_go_on(&self) -> bool {
        self.setting.trigger != RunTrigger::Api
            && self.ends.wrap_up.is_none()
            && self.ends.cut.times < GOES_ON
    }

    /// The last call of a cut-off response may be incomplete; the next call warns the model.
    pub(super) fn cut_in_a_call(&mut self, reply: &Reply) {
        if reply.stop == StopReason::MaxTokens {
            self.ends.warned = Some(CUT_CALL.to_owned());
        }
    }

    /// The summary of a run that a limit ends without a final text.
    pub(super) fn left_at(&self, which: &str, why: &str) -> String {
        format!(
            "It reached its limit ({which}) after {} model calls and {} tool calls. {why}",
            self.talk.calls, self.talk.journal.steps
        )
    }

    /// Handles a response without tool calls. It ends the run, unless a message has arrived or something is missing.
    pub(super) async fn last_word(
        &mut self,
        answer: Answer,
        parts: Body,
    ) -> Result<Step, EngineError> {
        let kind = Said::of(&answer.reply, &self.talk.request.tools);
        if kind == Said::Nothing && self.ends.nudged && self.another_may_answer() {
            return self.without_words(answer, parts).await;
        }
        if kind == Said::Full {
            self.mend(ErrorClass::ContextTooLong);
        }
        let committed = commit::files(&mut self.talk.journal).await?;
        let text = answer.reply.text();
        if kind == Said::Nothing && answer.reply.stop == StopReason::MaxTokens {
            // Thinking used up the output limit.
            self.talk.request.thinking = Thinking::None;
        }
        let limit = self.ends.wrap_up.map(|limit| limit.which);
        let kind = if kind == Said::Cut && !self.may_go_on() { Said::Something } else { kind };
        let end = match limit {
            Some(which) if text.trim().is_empty() => {
                self.left_at(which, "The model gave no closing message.")
            }
            _ => format!("{}{text}", self.ends.cut.text),
        };
        if kind == Said::Cut {
            self.ends.cut = CutWords { text: end.clone(), times: self.ends.cut.times + 1 };
        } else {
            self.ends.cut = CutWords::default();
        }
        let (event, paid) = (answer.event(parts), answer.paid());
        let last = LastWord {
            paid,
            answer: event,
            committed,
            effective: self.talk.journal.effective,
            limit: limit.map(str::to_owned),
            aside: self.setting.aside,
            said: kind,
            nudged: self.ends.nudged,
            end,
        };
        let step = self.talk.journal.apply(last).await?;
        self.ends.nudged = matches!(kind, Said::Nothing | Said::Shaped | Said::Full);
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(step)
    }

    /// The model sent an empty response twice: switch to the next candidate.
    async fn without_words(&mut self, answer: Answer, parts: Body) -> Result<Step, EngineError> {
        let event = Some((answer.event(parts), String::new()));
        self.talk.journal.apply(CallPaid { paid: answer.paid(), said: event }).await?;
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        self.ends.nudged = false;
        let text = "it answered twice without text or a call";
        self.fail_over(&ProviderError::new(ErrorClass::EmptyAnswer, text)).await
    }

    /// Handles a response that cannot be stored. It is paid anyway. The model is told once; the second time the run
    /// ends.
    pub(super) async fn not_kept(
        &mut self,
        answer: Answer,
        why: Unkept,
    ) -> Result<Step, EngineError> {
        let committed = commit::files(&mut self.talk.journal).await?;
        let (call, paid) = (answer.call, answer.paid());
        let limit = self.ends.wrap_up.map(|limit| limit.which.to_owned());
        let may_retry = !self.ends.nudged;
        let not_kept = NotKept { call, paid, why, committed, limit, again: may_retry };
        let step = self.talk.journal.apply(not_kept).await?;
        self.ends.nudged = true;
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(step)
    }

    /// Ends the run as stopped by a person. During a shutdown the run is left to the next start.
    pub(super) async fn stopped(
        &mut self,
        cut_off: Option<Box<CutOff>>,
    ) -> Result<Step, EngineError> {
        let ending = self.talk.journal.ws.halt().is_cancelled();
        let rests = self.setting.rests.load(Ordering::Relaxed);
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        let committed = if ending { None } else { commit::files(&mut self.talk.journal).await? };
        let effective = self.talk.journal.effective;
        let cut_off = cut_off.map(|cut_off| *cut_off);
        let stopped = Stopped { cut_off, committed, effective, ending, rests };
        self.talk.journal.apply(stopped).await?;
        Ok(if rests { Step::Waits } else { Step::Over })
    }

    /// Returns the run to the queue until work is resumed or HQ has restarted.
    pub(super) async fn rest(&mut self) -> Result<Step, EngineError> {
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        if !self.talk.begun {
            if self.setting.run.is_taken_up() {
                let run = self.talk.journal.run;
                self.talk.journal.ws.order(BY, RunPutDown { run }).await?;
            }
            return Ok(Step::Waits);
        }
        let closing = self.talk.journal.ws.app.closing.is_cancelled();
        let behind = self.is_behind();
        let committed = commit::files(&mut self.talk.journal).await?;
        let effective = self.talk.journal.effective;
        self.talk.journal.apply(Rested { committed, effective, closing, behind }).await?;
        Ok(Step::Waits)
    }

    /// Commits files and ends the run.
    pub(super) async fn end(
        &mut self,
        outcome: Outcome,
        summary: &str,
    ) -> Result<Step, EngineError> {
        let committed = commit::files(&mut self.talk.journal).await?;
        let summary = summary.to_owned();
        self.talk.journal.apply(Ended { committed, outcome, summary }).await?;
        Ok(Step::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::is_call_in_words;

    #[test]
    fn calls_in_words_are_told_from_answers() {
        let is_call = |text: &str| is_call_in_words(text, ["read", "work_done"].into_iter());
        assert!(is_call("<tool_call>{\"name\":\"x\"}</tool_call>"));
        assert!(is_call("```json\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n```"));
        assert!(is_call("{\"tool\":\"work_done\",\"parameters\":{}}"));
        assert!(!is_call("{\"name\":\"Mira\",\"arguments\":\"none\"}"));
        assert!(!is_call("I would call read with {\"path\": \"a\"}."));
        assert!(!is_call("{\"name\": \"read\"}"));
    }
}
