//! How a run comes to its end: an answer without tool calls, a limit, a stop, a budget.

use std::sync::atomic::Ordering;

use features::runs::model::{Body, CallStatus, EventKind};
use features::runs::queries as runs;
use features::runs::rules::{self, Pause, Pen, halt};
use features::usage::queries::budgets::Lack;
use features::usage::rules::{self as money, UsageError};
use kernel::{Outcome, RunTrigger, Thinking, WaitFor};
use providers::error::ErrorClass;
use providers::model::{Reply, StopReason};
use store::WriteTx;
use tool::RunEnd;

use super::journal::{Unkept, save};
use super::model_call::{Answer, CutOff};
use super::tools::work;
use super::turn::{Step, Turn};
use super::{BY, EngineError, commit};

const REMINDER: &str = "You ended without saying what became of the work. Call work_done or work_fail now, or find work_snooze with tool_search.";
const ASLEEP: &str = "You ended, and nothing would ever take this task up again. Call work_done and say with task_state what becomes of it, or work_fail.";
const EMPTY: &str = "Your answer was empty. Answer, or call a tool.";
const SHAPED: &str = "You wrote a tool call as text, so nothing was done. Call the tool itself.";
const CUT: &str = "The conversation had become too long, so older parts were left out. Go on.";

const GO_ON: &str = "Your answer was cut off at the limit of output tokens. Go on exactly where it stopped, and repeat nothing.";
const CUT_CALL: &str = "Your last answer was cut off at the limit of output tokens, so its last call may not be whole. Write long files in several calls.";
/// Why a run stands still that was put back because the program was about to end.
const CLOSING: &str = "HQ was stopped";
/// How often an answer that is cut off is gone on with.
const GOES_ON: u32 = 2;

/// An answer that was cut off at the output limit, as far as it came.
#[derive(Debug, Default)]
pub(super) struct CutWords {
    said: String,
    times: u32,
}

/// A limit of a run that was reached: one more call without tools, then it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitReached {
    /// Which: `calls`, `tools`, `time`, `cost`, `tokens`, `loop`.
    pub which: &'static str,
    told: bool,
}

impl LimitReached {
    pub(super) fn new(which: &'static str) -> Self {
        Self { which, told: false }
    }

    /// The one of a budget of the run.
    pub(super) fn of(lack: &Lack) -> Self {
        Self::new(used_up(lack))
    }

    /// The same; its model was told of this limit already, if it is the one of `told`.
    pub(super) fn told_before(self, told: Option<&str>) -> Self {
        Self { told: self.told || told == Some(self.which), ..self }
    }

    /// What the model is told, once.
    pub(super) fn notice(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(limit_words(self.which))
    }

    /// The limit that a notice tells of.
    pub(super) fn told_in(notice: &str) -> Option<&'static str> {
        LIMITS.into_iter().find(|which| limit_words(which) == notice)
    }

    /// It was not told after all.
    pub(super) fn untold(&mut self) {
        self.told = false;
    }
}

/// All limits of a run, by their words.
const LIMITS: [&str; 6] = ["calls", "tools", "time", "cost", "tokens", "loop"];

fn limit_words(which: &str) -> String {
    let why = match which {
        "loop" => "You keep making the same calls without getting further".to_owned(),
        which => format!("You have reached this run's limit ({which})"),
    };
    format!(
        "{why}. Say in a few lines what is done and what is left. No tools can be used any more."
    )
}

/// What a budget of a run has no more of.
fn used_up(lack: &Lack) -> &'static str {
    if lack.tokens { "tokens" } else { "cost" }
}

/// What an answer without tool calls is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Something,
    /// The same, cut off at the output limit.
    Cut,
    Nothing,
    /// A tool call written as text.
    Shaped,
    Refusal,
    /// The provider wants the same conversation again.
    Pause,
    /// The window was full.
    Full,
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

/// Whether a text is nothing but a call in the dialects of models that were not taught this one.
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

/// What an answer without tool calls leads to.
enum Next {
    GoOn(Option<&'static str>),
    End(Outcome),
}

impl Turn {
    /// Whether an answer that was cut off is gone on with. A program that asks is told that it was cut, and may have
    /// wanted just that.
    fn may_go_on(&self) -> bool {
        self.setting.trigger != RunTrigger::Api
            && self.ends.wrap_up.is_none()
            && self.ends.cut.times < GOES_ON
    }

    /// A call in an answer that was cut off may lack its end: the model is told what to do about it.
    pub(super) fn cut_in_a_call(&mut self, reply: &Reply) {
        if reply.stop == StopReason::MaxTokens {
            self.ends.warned = Some(CUT_CALL.to_owned());
        }
    }

    /// Where a run stands that a limit ends without a word of its model.
    pub(super) fn left_at(&self, which: &str, why: &str) -> String {
        format!(
            "It reached its limit ({which}) after {} calls of its model and {} of its tools. {why}",
            self.talk.calls, self.talk.journal.steps
        )
    }

    /// An answer without tool calls: the end, unless somebody has said something meanwhile or
    /// something is missing.
    pub(super) async fn last_word(
        &mut self,
        answer: Answer,
        parts: Body,
    ) -> Result<Step, EngineError> {
        let said = Said::of(&answer.reply, &self.talk.request.tools);
        if said == Said::Full {
            self.mend(ErrorClass::ContextTooLong);
        }
        let committed = commit::files(&mut self.talk.journal).await?;
        let text = answer.reply.text();
        if said == Said::Nothing && answer.reply.stop == StopReason::MaxTokens {
            // All of it went into thinking.
            self.talk.request.thinking = Thinking::None;
        }
        let limit = self.ends.wrap_up.map(|limit| limit.which);
        let said = if said == Said::Cut && !self.may_go_on() { Said::Something } else { said };
        let end = match limit {
            Some(which) if text.trim().is_empty() => {
                self.left_at(which, "The model had no last word.")
            }
            _ => format!("{}{text}", self.ends.cut.said),
        };
        if said == Said::Cut {
            self.ends.cut = CutWords { said: end.clone(), times: self.ends.cut.times + 1 };
        } else {
            self.ends.cut = CutWords::default();
        }
        let event = answer.event(parts);
        let paid = answer.paid();
        let (effective, nudged, aside) =
            (self.talk.journal.effective, self.ends.nudged, self.setting.aside);
        let step = self
            .talk
            .journal
            .write(move |tx, mut pen| {
                paid.write(tx)?;
                pen.append(tx, event)?;
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.run.effective |= effective;
                let next = match limit {
                    Some(which) => Next::End(Outcome::Limit { which: which.to_owned() }),
                    // It has no tools, so words are all that can come.
                    None if aside && said != Said::Cut && !end.trim().is_empty() => {
                        Next::End(Outcome::Done)
                    }
                    None if !runs::queue::heard(tx, pen.session.id, pen.run.id)?.is_empty() => {
                        Next::GoOn(None)
                    }
                    None => next(tx, &mut pen, said, nudged, &end)?,
                };
                match next {
                    Next::GoOn(notice) => {
                        if let Some(text) = notice {
                            pen.append(tx, EventKind::Notice { text: text.to_owned() })?;
                        }
                        save(tx, pen).map(|appended| (Step::Next, appended))
                    }
                    Next::End(outcome) => {
                        let appended = std::mem::take(&mut pen.appended);
                        pen.end(tx, outcome, &end)?;
                        Ok((Step::Over, appended))
                    }
                }
            })
            .await?;
        self.ends.nudged = matches!(said, Said::Nothing | Said::Shaped | Said::Full);
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(step)
    }

    /// An answer that cannot be kept is paid all the same. The model is told once; a second time the run
    /// ends.
    pub(super) async fn not_kept(
        &mut self,
        answer: Answer,
        why: Unkept,
    ) -> Result<Step, EngineError> {
        let committed = commit::files(&mut self.talk.journal).await?;
        let (call, paid) = (answer.call, answer.paid());
        let limit = self.ends.wrap_up.map(|limit| limit.which);
        let again = !self.ends.nudged;
        let step = self
            .talk
            .journal
            .write(move |tx, mut pen| {
                paid.write(tx)?;
                let (class, message) = (why.word().to_owned(), why.told());
                pen.append(tx, EventKind::CallFailed { call, class, message, retry_at: None })?;
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                let outcome = match limit {
                    Some(which) => Outcome::Limit { which: which.to_owned() },
                    None if again => {
                        let text = format!("This did not work: {}. {}", why.told(), why.advice());
                        pen.append(tx, EventKind::Notice { text })?;
                        return save(tx, pen).map(|appended| (Step::Next, appended));
                    }
                    None => Outcome::Failed { code: why.word().to_owned(), reason: why.told() },
                };
                let appended = std::mem::take(&mut pen.appended);
                pen.end(tx, outcome, "")?;
                Ok((Step::Over, appended))
            })
            .await?;
        self.ends.nudged = true;
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(step)
    }

    /// Ends the run as stopped by the person who asked; a program that ends leaves it to its next
    /// start.
    pub(super) async fn stopped(
        &mut self,
        cut_off: Option<Box<CutOff>>,
    ) -> Result<Step, EngineError> {
        let ending = self.talk.journal.ws.halt().is_cancelled();
        let rests = self.setting.rests.load(Ordering::Relaxed);
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        let committed = if ending { None } else { commit::files(&mut self.talk.journal).await? };
        let effective = self.talk.journal.effective;
        self.talk
            .journal
            .write(move |tx, mut pen| {
                if let Some(cut_off) = cut_off {
                    cut_off.write(tx, &mut pen)?;
                }
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.run.effective |= effective;
                match &pen.run.stop {
                    None if ending => {
                        pen.requeue(tx)?;
                    }
                    None if rests => {
                        halt::rest(tx, pen)?;
                    }
                    stop => {
                        let by = stop.as_ref().and_then(|stop| stop.by);
                        pen.close_calls(tx, CallStatus::Stopped, "the run was stopped")?;
                        pen.end(tx, Outcome::Stopped { by }, "")?;
                    }
                }
                Ok(((), Vec::new()))
            })
            .await?;
        Ok(if rests { Step::Waits } else { Step::Over })
    }

    /// Takes no further step until somebody lets work go on, or the program has begun anew: the run goes
    /// back to the queue.
    pub(super) async fn rest(&mut self) -> Result<Step, EngineError> {
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        if !self.talk.begun {
            if self.setting.run.is_taken_up() {
                let run = self.talk.journal.run;
                self.talk.journal.ws.write(&BY, move |tx| rules::put_down(tx, run)).await?;
            }
            return Ok(Step::Waits);
        }
        let closing = self.talk.journal.ws.app.closing.is_cancelled();
        let committed = commit::files(&mut self.talk.journal).await?;
        let effective = self.talk.journal.effective;
        self.talk
            .journal
            .write(move |tx, mut pen| {
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.run.effective |= effective;
                if closing {
                    pen.append(tx, EventKind::Interrupted { what: CLOSING.to_owned() })?;
                    pen.requeue(tx)?;
                } else {
                    halt::rest(tx, pen)?;
                }
                Ok(((), Vec::new()))
            })
            .await?;
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
        self.talk
            .journal
            .write(move |tx, mut pen| {
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.end(tx, outcome, &summary)?;
                Ok(((), Vec::new()))
            })
            .await?;
        Ok(Step::Over)
    }
}

fn next(
    tx: &mut WriteTx<'_>,
    pen: &mut Pen,
    said: Said,
    nudged: bool,
    text: &str,
) -> Result<Next, EngineError> {
    let failed =
        |code: &str, reason: String| Next::End(Outcome::Failed { code: code.to_owned(), reason });
    Ok(match said {
        Said::Nothing if nudged => {
            failed("empty_answer", "The model gave no answer, twice.".to_owned())
        }
        Said::Full if nudged => {
            failed("context_too_long", "The conversation is too long for this model.".to_owned())
        }
        // In a chat the person reads it as the answer.
        Said::Refusal if pen.run.item.is_none() && !text.trim().is_empty() => {
            Next::End(Outcome::Done)
        }
        Said::Refusal => {
            let words = if text.trim().is_empty() { "it gave no reason" } else { text.trim() };
            failed("content_refused", format!("The model declined to answer: {words}"))
        }
        Said::Nothing => Next::GoOn(Some(EMPTY)),
        Said::Cut => Next::GoOn(Some(GO_ON)),
        Said::Shaped if !nudged => Next::GoOn(Some(SHAPED)),
        Said::Full => Next::GoOn(Some(CUT)),
        Said::Pause => Next::GoOn(None),
        Said::Something | Said::Shaped => plain_end(tx, pen)?,
    })
}

/// A plain end of turn. A chat needs no more. Work is done if it changed something and the task
/// will not fall asleep; otherwise the model is reminded once.
fn plain_end(tx: &mut WriteTx<'_>, pen: &mut Pen) -> Result<Next, EngineError> {
    let Some(item) = pen.run.item else { return Ok(Next::End(Outcome::Done)) };
    let asleep = work::would_sleep(tx, &pen.run, item)?;
    if pen.run.effective && !asleep {
        return Ok(Next::End(Outcome::Done));
    }
    if pen.run.reminded {
        return Ok(Next::End(Outcome::NoOutcome));
    }
    pen.run.reminded = true;
    Ok(Next::GoOn(Some(if pen.run.effective { ASLEEP } else { REMINDER })))
}

/// Ends a run that has used up what it may cost, or lets it wait for a budget. Answers whether it
/// waits.
pub(super) fn park(
    tx: &mut WriteTx<'_>,
    pen: Pen,
    lack: Box<Lack>,
    limit: Option<&'static str>,
) -> Result<bool, EngineError> {
    if lack.budget.is_of_run() {
        let which = limit.unwrap_or_else(|| used_up(&lack)).to_owned();
        pen.end(tx, Outcome::Limit { which }, &UsageError::OverBudget(lack).to_string())?;
        return Ok(false);
    }
    let (detail, until) = money::wait(tx, pen.run.id, &lack)?;
    let needs_micros = Some(lack.needs().0);
    pen.wait(tx, Pause { waits_for: WaitFor::Budget, detail, needs_micros, until })?;
    Ok(true)
}

/// How a run ends that a tool ends, and what it says of it.
pub(super) fn outcome_of(end: &RunEnd) -> (Outcome, String) {
    match end {
        RunEnd::Done { summary, .. } => (Outcome::Done, summary.clone()),
        RunEnd::Failed { reason } => {
            (Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() }, reason.clone())
        }
        RunEnd::Snoozed { until, reason } => (Outcome::Snoozed { until: *until }, reason.clone()),
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
