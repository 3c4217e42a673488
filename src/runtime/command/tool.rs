//! The change of a workspace tool: its effect and its result are one transaction.
//!
//! The command names the tool and its arguments; who applies it looks the tool up by that name and makes the change ready
//! before the transaction, because what it reads, hashes or stores as blobs has no place in there.

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
use super::{Done, Entry, Place, Within, save};
use crate::EngineError;
use crate::calls::{SKIPPED, since};
use crate::toolbox::{ENDS, PARKS, WAITS};
use crate::tools::progress;
use crate::turn::Step;

/// The change of a workspace tool, made ready for the transaction.
pub struct Ready {
    cx: ToolCx,
    change: Commit,
    start: Instant,
}

impl Ready {
    /// Looks a workspace tool up by its name and makes its change ready; none when it is of another kind.
    ///
    /// # Errors
    /// What the tool refuses.
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

    /// A change that the tool refuses: that becomes its result.
    #[must_use]
    pub fn refusing(cx: ToolCx, error: ToolError) -> Self {
        Self { cx, change: Box::new(|_, _| Err(error)), start: Instant::now() }
    }

    /// The same, begun before.
    #[must_use]
    pub fn since(self, start: Instant) -> Self {
        Self { start, ..self }
    }
}

/// A workspace tool is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolMade {
    /// The provider's id of the call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments as they were weighed, as canonical JSON.
    pub arguments: String,
    /// The yes on which it is made.
    pub approved: Option<ApprovalId>,
    /// The commit of what the run changed in files, when the tool may end it.
    pub committed: Option<EventKind>,
    /// Whether the run has changed anything.
    pub effective: bool,
}

impl ToolMade {
    /// Whether the tool ends its run or lets it wait.
    #[must_use]
    pub fn ends(name: &str) -> bool {
        [ENDS, PARKS].iter().any(|names| names.contains(&name))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// What the model reads.
    pub text: String,
    /// Whether it is an error.
    pub is_error: bool,
    /// What becomes of the run.
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
        pen: RunWriter,
        mut within: Within,
    ) -> Result<Done<Made>, EngineError> {
        let ready = within.tool.take();
        let Ready { cx, change, start } =
            ready.ok_or(EngineError::Broken("a tool was not made ready before its change"))?;
        not_halted(tx, &pen)?;
        spend(tx, self.approved)?;
        // What is said to a run that is about to end is heard before it ends.
        let heard = runs::queue::heard(tx, pen.session.id, pen.run.id)?;
        // What its sub-agents say is what it waits for.
        let counts = |input: &Input| self.name != WAITS || input.is_from_outside();
        let spoken = Self::ends(&self.name) && heard.iter().any(counts);
        // What the tool refuses becomes its result; a failure of the program stays one.
        let output = if spoken {
            ToolOutput::error(SKIPPED)
        } else {
            match tx.attempt(|tx| change(&cx, tx)) {
                Ok(output) => output,
                Err(error) => error.into_output()?,
            }
        };
        // Opened again: what the tool did may have touched the run and its session.
        let mut pen = within.pen(tx)?;
        pen.run.effective |= self.effective;
        if let Some(committed) = self.committed {
            pen.append(tx, committed)?;
        }
        let redactor = &cx.ws.app.redactor;
        if let Some(ToolWait { waits_for, detail, until }) = output.wait {
            pen.run.activity = self.name;
            let appended = std::mem::take(&mut pen.appended);
            let detail = redactor.text(&detail).into_owned();
            pen.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
            let made =
                Made { text: String::new(), is_error: false, left: Step::Waits, load: Vec::new() };
            return Ok((made, appended));
        }
        keep(&mut pen, output.load.clone());
        let text = redactor.masked(Spot::Tools, &output.text).into_owned();
        let text = head_tail(&text, MAX_OUTPUT - 64, "\n[…]\n");
        let is_progress = self.name == progress::NAME;
        pen.run.effective |= !output.is_error && output.end.is_none() && !is_progress;
        pen.run.activity = match is_progress && !output.is_error {
            // Of a plan, what stands above it.
            true => text.lines().next().unwrap_or_default().to_owned(),
            false => self.name.clone(),
        };
        let status = match (spoken, output.is_error) {
            (true, _) => CallStatus::Skipped,
            (false, true) => CallStatus::Error,
            (false, false) => CallStatus::Ok,
        };
        let finished = EventKind::ToolFinished {
            step: pen.run.steps + 1,
            call_id: self.call_id,
            name: self.name,
            status,
            result: Body::Inline(text.clone()),
            millis: since(start),
            paths: Vec::new(),
            seq: tx.seq().ok(),
        };
        pen.append(tx, finished)?;
        let made = |left, load| Made { text, is_error: output.is_error, left, load };
        match &output.end {
            Some(end) => {
                let appended = std::mem::take(&mut pen.appended);
                let (outcome, summary) = outcome_of(end);
                pen.end(tx, outcome, &summary)?;
                Ok((made(Step::Over, Vec::new()), appended))
            }
            None => save(tx, pen, made(Step::Next, output.load)),
        }
    }
}

/// How a run ends that a tool ends, and what it says of it.
fn outcome_of(end: &RunEnd) -> (Outcome, String) {
    match end {
        RunEnd::Done { summary, .. } => (Outcome::Done, summary.clone()),
        RunEnd::Failed { reason } => {
            (Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() }, reason.clone())
        }
        RunEnd::Snoozed { until, reason } => (Outcome::Snoozed { until: *until }, reason.clone()),
    }
}
