//! A change by a workspace tool: its effect and its result are one transaction.
//!
//! The command names the tool and its arguments. The primary looks the tool up and prepares the change before the
//! transaction, because reads, hashes and blobs have no place in it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crypto::redact::Spot;
use features::runs::model::{Body, CallStatus, EventKind, Input};
use features::runs::queries as runs;
use features::runs::rules::{Pause, RunWriter};
use kernel::text::head_tail;
use kernel::{ApprovalId, Outcome};
use store::WriteTx;
use tool::registry::Commit;
use tool::{AnyTool, Lease, MAX_OUTPUT, Registry, RunEnd, ToolCx, ToolError, ToolOutput, ToolWait};

use super::calls::not_halted;
use super::journal::{keep, spend};
use super::{CommandContext, Entry, EntryResult, Place, save};
use crate::EngineError;
use crate::calls::{SKIPPED, since};
use crate::toolbox::{ENDS, PARKS, WAITS};
use crate::tools::progress;
use crate::turn::Step;

/// A prepared change of a workspace tool.
pub struct Ready {
    cx: ToolCx,
    change: Commit,
    start: Instant,
}

impl Ready {
    /// Prepares the change of a workspace tool; `None` if the tool is of another kind.
    ///
    /// # Errors
    /// If the tool refuses the call.
    pub async fn of(
        tools: &Registry,
        name: &str,
        cx: ToolCx,
        lease: Lease,
    ) -> Result<Option<Self>, ToolError> {
        let start = Instant::now();
        let Some(AnyTool::Write(tool)) = tools.get(name).map(|entry| &entry.tool) else {
            return Ok(None);
        };
        let change = tool.ready(&cx, lease).await?;
        Ok(Some(Self { cx, change, start }))
    }

    /// A refused change; the error becomes its result.
    #[must_use]
    pub fn refusing(cx: ToolCx, error: ToolError) -> Self {
        Self { cx, change: Box::new(|_, _| Err(error)), start: Instant::now() }
    }

    /// Sets the start time.
    #[must_use]
    pub fn since(self, start: Instant) -> Self {
        Self { start, ..self }
    }
}

/// Applies a call of a workspace tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolMade {
    /// The provider's id of the call.
    pub call_id: String,
    pub name: String,
    /// The checked arguments as canonical JSON.
    pub arguments: String,
    /// The approval on which the call is made.
    pub approved: Option<ApprovalId>,
    /// The commit of changed files, if the tool may end the run.
    pub committed: Option<EventKind>,
    /// The run has changed something.
    pub effective: bool,
}

impl ToolMade {
    /// Returns `true` if the tool ends its run or makes it wait.
    #[must_use]
    pub fn ends(name: &str) -> bool {
        [ENDS, PARKS].iter().any(|names| names.contains(&name))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// The text for the model.
    pub text: String,
    pub is_error: bool,
    /// What the run does next.
    pub left: Step,
    /// Tools that the session has from now on.
    pub load: Vec<String>,
}

impl Entry for ToolMade {
    type Answer = Made;
    const PLACE: Place = Place::Home;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        writer: RunWriter,
        mut context: CommandContext,
    ) -> Result<EntryResult<Made>, EngineError> {
        let ready = context.tool.take();
        let Ready { cx, change, start } =
            ready.ok_or(EngineError::Broken("a tool was not made ready before its change"))?;
        not_halted(tx, &writer)?;
        spend(tx, self.approved)?;
        // Messages to a run that is about to end are read first.
        let heard = runs::queue::heard(tx, writer.session.id, writer.run.id)?;
        // Messages of sub-agents are what this tool waits for.
        let counts = |input: &Input| self.name != WAITS || input.is_from_outside();
        let spoken = Self::ends(&self.name) && heard.iter().any(counts);
        // A refusal becomes the result; an internal failure stays an error.
        let output = if spoken {
            ToolOutput::error(SKIPPED)
        } else {
            match tx.attempt(|tx| change(&cx, tx)) {
                Ok(output) => output,
                Err(error) => error.into_output()?,
            }
        };
        // Reopened, because the tool may have changed the run and its session.
        let mut writer = context.writer(tx)?;
        writer.run.effective |= self.effective;
        if let Some(committed) = self.committed {
            writer.append(tx, committed)?;
        }
        let redactor = &cx.ws.app.redactor;
        if let Some(ToolWait { waits_for, detail, until, .. }) = output.wait {
            writer.run.activity = self.name;
            let appended = std::mem::take(&mut writer.appended);
            let detail = redactor.text(&detail).into_owned();
            writer.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
            let made =
                Made { text: String::new(), is_error: false, left: Step::Waits, load: Vec::new() };
            return Ok((made, appended));
        }
        keep(&mut writer, output.load.clone());
        let text = redactor.masked(Spot::Tools, &output.text).into_owned();
        let text = head_tail(&text, MAX_OUTPUT - 64, "\n[…]\n");
        let is_progress = self.name == progress::NAME;
        writer.run.effective |= !output.is_error && output.end.is_none() && !is_progress;
        writer.run.activity = match is_progress && !output.is_error {
            // The first line of the progress text, above the plan.
            true => text.lines().next().unwrap_or_default().to_owned(),
            false => self.name.clone(),
        };
        let status = match (spoken, output.is_error) {
            (true, _) => CallStatus::Skipped,
            (false, true) => CallStatus::Error,
            (false, false) => CallStatus::Ok,
        };
        let finished = EventKind::ToolFinished {
            step: writer.run.steps + 1,
            call_id: self.call_id,
            name: self.name,
            status,
            result: Body::Inline(text.clone()),
            millis: since(start),
            paths: Vec::new(),
            seq: tx.seq().ok(),
        };
        writer.append(tx, finished)?;
        let made = |left, load| Made { text, is_error: output.is_error, left, load };
        match &output.end {
            Some(end) => {
                let appended = std::mem::take(&mut writer.appended);
                let (outcome, summary) = outcome_of(end);
                writer.end(tx, outcome, &summary)?;
                Ok((made(Step::Over, Vec::new()), appended))
            }
            None => save(tx, writer, made(Step::Next, output.load)),
        }
    }
}

/// The outcome and the summary of a run that a tool ends.
fn outcome_of(end: &RunEnd) -> (Outcome, String) {
    match end {
        RunEnd::Done { summary, .. } => (Outcome::Done, summary.clone()),
        RunEnd::Failed { reason } => {
            (Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() }, reason.clone())
        }
        RunEnd::Snoozed { until, reason } => (Outcome::Snoozed { until: *until }, reason.clone()),
    }
}
