//! Commands that end a run or make it wait. Other runs, messages and tasks depend on them, so only the primary writes
//! them. The exception is a short wait in which the run keeps its slot.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use features::runs::model::{CallStatus, Elicitation, EventKind, Input, Park};
use features::runs::queries as runs;
use features::runs::rules::{Pause, RunWriter, halt, park};
use features::trust::queries as approvals;
use features::trust::rules::{self as trust, NewApproval};
use features::usage::queries::budgets::Lack;
use features::usage::rules::{self as money, UsageError};
use kernel::{Outcome, Timestamp, WaitFor};
use store::WriteTx;

use super::calls::{CutOff, Paid, not_halted};
use super::{CommandContext, Entry, EntryResult, Place, save};
use crate::EngineError;
use crate::ending::used_up;
use crate::journal::Unkept;
use crate::tools::work;
use crate::turn::Step;

const REMINDER: &str = "You ended without reporting a result. Call work_done or work_fail now, or \
    find work_snooze with tool_search.";
const ASLEEP: &str = "You ended, and nothing would ever continue this task. Call work_done with \
    task_state to set what happens to it, or work_fail.";
const EMPTY: &str = "Your answer was empty. Answer, or call a tool.";
const SHAPED: &str = "You wrote a tool call as text, so nothing was done. Call the tool itself.";
const CUT: &str = "The conversation had become too long, so older parts were left out. Continue.";
const GO_ON: &str = "Your answer was cut off at the output token limit. Continue exactly where it \
    stopped, without repeating anything.";
/// The reason of a run that was requeued because of a shutdown.
const CLOSING: &str = "HQ was stopped";
/// The reason for reloading a run whose host is linked again.
const CUT_OFF: &str = "its machine was offline for a while and is connected again";

/// The kind of a response without tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Text.
    Something,
    /// Text that was cut off at the output limit.
    Cut,
    /// No text.
    Nothing,
    /// A tool call written as text.
    Shaped,
    Refusal,
    /// The provider wants the same conversation again.
    Pause,
    /// The context window was full.
    Full,
}

/// What follows a response without tool calls.
enum Next {
    GoOn(Option<&'static str>),
    End(Outcome),
}

/// A response without tool calls. It ends the run, unless a message has arrived or something is missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastWord {
    pub paid: Paid,
    pub answer: EventKind,
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    /// The run has changed something.
    pub effective: bool,
    /// The limit that ends the run.
    pub limit: Option<String>,
    /// The run answers a side question.
    pub aside: bool,
    pub said: Said,
    /// The model was already told that its last response was unusable.
    pub nudged: bool,
    /// The final text, if the run ends.
    pub end: String,
}

impl Entry for LastWord {
    type Answer = Step;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<Step>, EngineError> {
        let Self { paid, answer, committed, effective, limit, aside, said: kind, nudged, end } =
            self;
        paid.write(tx)?;
        writer.append(tx, answer)?;
        if let Some(committed) = committed {
            writer.append(tx, committed)?;
        }
        writer.run.effective |= effective;
        let next = match limit {
            Some(which) => Next::End(Outcome::Limit { which }),
            // A side question has no tools, so text is the only possible answer.
            None if aside && kind != Said::Cut && !end.trim().is_empty() => {
                Next::End(Outcome::Done)
            }
            None if !runs::queue::heard(tx, writer.session.id, writer.run.id)?.is_empty() => {
                Next::GoOn(None)
            }
            None => next(tx, &mut writer, kind, nudged, &end)?,
        };
        match next {
            Next::GoOn(notice) => {
                if let Some(text) = notice {
                    writer.append(tx, EventKind::Notice { text: text.to_owned() })?;
                }
                save(tx, writer, Step::Next)
            }
            Next::End(outcome) => {
                let appended = std::mem::take(&mut writer.appended);
                writer.end(tx, outcome, &end)?;
                Ok((Step::Over, appended))
            }
        }
    }
}

fn next(
    tx: &mut WriteTx<'_>,
    writer: &mut RunWriter,
    kind: Said,
    nudged: bool,
    text: &str,
) -> Result<Next, EngineError> {
    let failed =
        |code: &str, reason: String| Next::End(Outcome::Failed { code: code.to_owned(), reason });
    Ok(match kind {
        Said::Nothing if nudged => {
            failed("empty_answer", "The model returned an empty answer twice.".to_owned())
        }
        Said::Full if nudged => {
            failed("context_too_long", "The conversation is too long for this model.".to_owned())
        }
        // In a chat the person reads the refusal as the answer.
        Said::Refusal if writer.run.item.is_none() && !text.trim().is_empty() => {
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
        Said::Something | Said::Shaped => plain_end(tx, writer)?,
    })
}

/// A normal end of turn. It ends a chat. It ends work that changed something and whose task has a next step; otherwise
/// the model is reminded once.
fn plain_end(tx: &mut WriteTx<'_>, writer: &mut RunWriter) -> Result<Next, EngineError> {
    let Some(item) = writer.run.item else { return Ok(Next::End(Outcome::Done)) };
    let asleep = work::would_sleep(tx, &writer.run, item)?;
    if writer.run.effective && !asleep {
        return Ok(Next::End(Outcome::Done));
    }
    if writer.run.reminded {
        return Ok(Next::End(Outcome::NoOutcome));
    }
    writer.run.reminded = true;
    Ok(Next::GoOn(Some(if writer.run.effective { ASLEEP } else { REMINDER })))
}

/// A response that cannot be stored. It is paid anyway. The model is told once; the second time the run ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotKept {
    pub call: u32,
    pub paid: Paid,
    pub why: Unkept,
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    /// The limit that ends the run.
    pub limit: Option<String>,
    /// This is the first time.
    pub again: bool,
}

impl Entry for NotKept {
    type Answer = Step;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<Step>, EngineError> {
        let Self { call, paid, why, committed, limit, again: may_retry } = self;
        paid.write(tx)?;
        let (class, message) = (why.word().to_owned(), why.describe());
        writer.append(tx, EventKind::CallFailed { call, class, message, retry_at: None })?;
        if let Some(committed) = committed {
            writer.append(tx, committed)?;
        }
        let outcome = match limit {
            Some(which) => Outcome::Limit { which },
            None if may_retry => {
                let text = format!("This did not work: {}. {}", why.describe(), why.advice());
                writer.append(tx, EventKind::Notice { text })?;
                return save(tx, writer, Step::Next);
            }
            None => Outcome::Failed { code: why.word().to_owned(), reason: why.describe() },
        };
        let appended = std::mem::take(&mut writer.appended);
        writer.end(tx, outcome, "")?;
        Ok((Step::Over, appended))
    }
}

/// A run was cut off by a person's stop, by a pause, or by a shutdown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// The model call that was cut off.
    pub cut_off: Option<CutOff>,
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    /// The run has changed something.
    pub effective: bool,
    /// HQ is shutting down.
    pub ending: bool,
    /// The run is to continue later.
    pub rests: bool,
}

impl Entry for Stopped {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        if let Some(cut_off) = self.cut_off {
            cut_off.write(tx, &mut writer)?;
        }
        if let Some(committed) = self.committed {
            writer.append(tx, committed)?;
        }
        writer.run.effective |= self.effective;
        match &writer.run.stop {
            None if self.ending => {
                writer.requeue(tx)?;
            }
            None if self.rests => {
                halt::rest(tx, writer)?;
            }
            stop => {
                let by = stop.as_ref().and_then(|stop| stop.by);
                writer.close_calls(tx, CallStatus::Stopped, "the run was stopped")?;
                writer.end(tx, Outcome::Stopped { by }, "")?;
            }
        }
        Ok(((), Vec::new()))
    }
}

/// A run takes no further step and returns to the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rested {
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    /// The run has changed something.
    pub effective: bool,
    /// HQ is shutting down; otherwise work is paused.
    pub closing: bool,
    /// The run continues at once from the primary's state, because its host was offline.
    #[serde(default)]
    pub behind: bool,
}

impl Entry for Rested {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        if let Some(committed) = self.committed {
            writer.append(tx, committed)?;
        }
        writer.run.effective |= self.effective;
        if self.closing || self.behind {
            let what = if self.closing { CLOSING } else { CUT_OFF };
            writer.append(tx, EventKind::Interrupted { what: what.to_owned() })?;
            writer.requeue(tx)?;
        } else {
            halt::rest(tx, writer)?;
        }
        Ok(((), Vec::new()))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    pub outcome: Outcome,
    pub summary: String,
}

impl Entry for Ended {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        if let Some(committed) = self.committed {
            writer.append(tx, committed)?;
        }
        writer.end(tx, self.outcome, &self.summary)?;
        Ok(((), Vec::new()))
    }
}

/// No budget can pay the next call. The run's own cap ends the run. For a monthly budget it waits until the budget is
/// raised or the month ends. Returns whether it waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BudgetLacked {
    /// Unwritten events: a model switch and a commit.
    pub events: Vec<EventKind>,
    pub lack: Box<Lack>,
    /// The budget has a default amount: no record sets it.
    pub usual: bool,
    /// The limit that the run has reached before.
    pub limit: Option<String>,
}

impl Entry for BudgetLacked {
    type Answer = bool;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<bool>, EngineError> {
        let Self { events, mut lack, usual, limit } = self;
        lack.budget.usual = usual;
        for event in events {
            writer.append(tx, event)?;
        }
        writer.read_inputs(tx)?;
        if lack.budget.is_of_run() {
            let which = limit.unwrap_or_else(|| used_up(&lack).to_owned());
            let why = UsageError::OverBudget(lack).to_string();
            writer.end(tx, Outcome::Limit { which }, &why)?;
            return Ok((false, Vec::new()));
        }
        let (detail, until) = money::wait(tx, writer.run.id, &lack)?;
        let needs_micros = Some(lack.needs().0);
        writer.wait(tx, Pause { waits_for: WaitFor::Budget, detail, needs_micros, until })?;
        Ok((true, Vec::new()))
    }
}

/// A run waits in its slot until a candidate's cooldown ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Unwritten events.
    pub events: Vec<EventKind>,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
    /// One sentence.
    pub detail: String,
}

impl Entry for Held {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        for event in self.events {
            writer.append(tx, event)?;
        }
        writer.hold(tx, self.until, self.detail);
        save(tx, writer, ())
    }
}

/// A run waits without a slot until a candidate's cooldown ends, or until something changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parked {
    /// Unwritten events.
    pub events: Vec<EventKind>,
    /// The latest end of the wait.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    /// One sentence.
    pub detail: String,
}

impl Entry for Parked {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        let Self { events, until, detail } = self;
        for event in events {
            writer.append(tx, event)?;
        }
        let pause = Pause { waits_for: WaitFor::Provider, detail, needs_micros: None, until };
        writer.wait(tx, pause)?;
        Ok(((), Vec::new()))
    }
}

/// Tool calls are handed to the API client, and the run waits for their results unless a message has arrived. Returns
/// whether it waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandedOut {
    /// The commit of changed files.
    pub committed: Option<EventKind>,
    /// The run has changed something.
    pub effective: bool,
    /// The tool of the first call.
    pub activity: String,
    /// What the run waits for, in one sentence.
    pub detail: String,
    /// The latest end of the wait.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl Entry for HandedOut {
    type Answer = bool;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<bool>, EngineError> {
        let Self { committed, effective, activity, detail, until } = self;
        if let Some(committed) = committed {
            writer.append(tx, committed)?;
        }
        writer.run.effective |= effective;
        let heard = runs::queue::heard(tx, writer.session.id, writer.run.id)?;
        if heard.iter().any(Input::is_from_outside) {
            return save(tx, writer, false);
        }
        writer.run.activity = activity;
        let appended = std::mem::take(&mut writer.appended);
        let (waits_for, until) = (WaitFor::External, Some(until));
        writer.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
        Ok((true, appended))
    }
}

/// Calls and their run wait for approvals, unless the first call has been answered. Returns whether the run waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApprovalsAsked {
    /// The provider's id of the call at which the run waits.
    pub call_id: String,
    /// The tool of that call.
    pub activity: String,
    /// What the run waits for, in one sentence.
    pub detail: String,
    /// The latest end of the wait.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    /// The approvals that are not requested yet.
    pub new: Vec<NewApproval>,
}

impl Entry for ApprovalsAsked {
    type Answer = bool;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<bool>, EngineError> {
        let Self { call_id, activity, detail, until, new } = self;
        not_halted(tx, &writer)?;
        let known = approvals::of_call(tx, writer.run.id, &call_id)?;
        if new.is_empty() && known.is_some_and(|one| one.answer.is_some()) {
            return Ok((false, Vec::new()));
        }
        let (run, agent) = (writer.run.id, writer.run.agent);
        for one in new {
            // A run may only request approvals for itself, whatever its host sends.
            trust::ask(tx, NewApproval { run, agent, ..one })?;
        }
        writer.run.activity = activity;
        let appended = std::mem::take(&mut writer.appended);
        let waits_for = WaitFor::Approval;
        writer.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
        Ok((true, appended))
    }
}

/// A server asks a person during a call, and the run waits for the answer. Without a question it waits for a sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerAsked {
    /// The number of the call.
    pub step: u32,
    /// The tool.
    pub activity: String,
    /// What the run waits for, in one sentence.
    pub detail: String,
    /// The latest end of the wait.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    pub question: String,
    pub options: Vec<String>,
    pub asked: Elicitation,
}

impl Entry for ServerAsked {
    type Answer = ();
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        let Self { step, activity, detail, until, question, options, asked } = self;
        let (run, agent, at) = (writer.run.id, writer.run.agent, tx.now());
        let asked = Some(asked);
        let wish = Park {
            run,
            step,
            agent,
            question,
            options,
            until,
            task: None,
            at,
            over_at: None,
            asked,
        };
        let waits_for = if wish.is_for_sign_in() { WaitFor::SignIn } else { WaitFor::Question };
        park::ask_for_server(tx, wish)?;
        writer.run.activity = activity;
        let appended = std::mem::take(&mut writer.appended);
        writer.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
        Ok(((), appended))
    }
}
