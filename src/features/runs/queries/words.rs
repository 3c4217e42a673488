//! Display words for run states and outcomes, the same on every page.

use crate::agents::queries::elsewhere;
use crate::connections::queries::turns;
use crate::inbox::model::Item;
use crate::runs::model::{
    CallStatus, CompactionWhy, Input, InputState, ModelSource, Run, SummaryBy, TAKEN_BACK,
};
use app::Ws;
use kernel::{ItemKind, Outcome, QueueMode, RunState, RunTrigger, Thinking, Timestamp, WaitFor};
use store::{Read, StoreError};
use web::parts::ShownState;

/// State of a run as shown everywhere. A waiting run says what it waits for.
#[must_use]
pub fn state(run: &Run) -> ShownState {
    let word = run.state.word();
    match (run.state, &run.outcome) {
        (RunState::Running, _) if run.stop.is_some() => ShownState::new(word, "Stopping", "stop"),
        (RunState::Queued | RunState::Running, _) => live(run.state),
        (RunState::Waiting, _) => waiting(run.waits_for()),
        (RunState::Ended, Some(outcome)) => outcome_state(outcome),
        (RunState::Ended, None) => outcome_state(&Outcome::Done),
    }
}

/// Like [`state`], but a running run whose machine gives no sign of life is stalled. For pages, which know the
/// connections of machines.
pub fn seen(ws: &Ws, tx: &dyn Read, run: &Run) -> Result<ShownState, StoreError> {
    let is_silent =
        run.state == RunState::Running && elsewhere::silent(ws, tx, run.agent)?.is_some();
    Ok(if is_silent { stalled() } else { state(run) })
}

/// State of a run without a sign of life.
#[must_use]
pub fn stalled() -> ShownState {
    ShownState::new("stalled", "Stalled", "warn")
}

/// State of a waiting run. Only a host stores that a run waits for its machine.
fn waiting(waits_for: Option<WaitFor>) -> ShownState {
    match waits_for {
        Some(WaitFor::Link) => stalled(),
        Some(what) => {
            let label = format!("Waiting for {}", what.label());
            ShownState { label, ..live(RunState::Waiting) }
        }
        None => live(RunState::Waiting),
    }
}

/// State of a run that has not ended, without details.
fn live(state: RunState) -> ShownState {
    let icon = if state == RunState::Running { "play" } else { "clock" };
    ShownState::new(state.word(), state.label(), icon)
}

/// Whether a run waits and a person can help. Waiting for a time or a sub-agent ends on its own.
#[must_use]
pub fn needs_person(run: &Run) -> bool {
    let on_its_own = matches!(run.waits_for(), Some(WaitFor::Timer | WaitFor::Child));
    run.state == RunState::Waiting && !on_its_own
}

/// All states of runs, in display order. A waiting run says more.
#[must_use]
pub fn states() -> Vec<ShownState> {
    let ends = [
        Outcome::Done,
        Outcome::Snoozed { until: Timestamp::UNIX_EPOCH },
        Outcome::NoOutcome,
        Outcome::Limit { which: String::new() },
        Outcome::Failed { code: String::new(), reason: String::new() },
        Outcome::Interrupted,
        Outcome::CrashLoop,
        Outcome::Stopped { by: None },
    ];
    let mut all = [RunState::Queued, RunState::Running, RunState::Waiting].map(live).to_vec();
    all.push(stalled());
    all.extend(ends.iter().map(outcome_state));
    all
}

/// State of a run with this outcome.
#[must_use]
pub fn outcome_state(outcome: &Outcome) -> ShownState {
    let icon = match outcome {
        Outcome::Done => "done",
        Outcome::Stopped { .. } => "stop",
        Outcome::Snoozed { .. } => "clock",
        Outcome::Failed { .. } | Outcome::CrashLoop => "missed",
        Outcome::NoOutcome | Outcome::Limit { .. } | Outcome::Interrupted => "warn",
    };
    ShownState::new(outcome.word(), end(outcome), icon)
}

/// Outcome in one or two words.
#[must_use]
pub fn end(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "Done",
        Outcome::Failed { code, .. } if code == TAKEN_BACK => "Taken back",
        Outcome::Failed { .. } => "Failed",
        Outcome::Snoozed { .. } => "Continues later",
        Outcome::Stopped { .. } => "Stopped",
        Outcome::NoOutcome => "No result",
        Outcome::Limit { .. } => "Limit reached",
        Outcome::Interrupted => "Interrupted",
        Outcome::CrashLoop => "Crashed",
    }
}

/// Verb for an unsuccessful outcome: "Ada failed", "Ada ended without a result".
#[must_use]
pub fn verb(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::NoOutcome => "ended without a result",
        Outcome::Limit { .. } => "reached a limit",
        Outcome::Interrupted => "was interrupted",
        _ => "failed",
    }
}

/// Whether an outcome needs a person's attention.
#[must_use]
pub fn is_bad(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Done | Outcome::Snoozed { .. } | Outcome::Stopped { .. })
}

/// Reason for an outcome, in one sentence; `None` if the run ended well.
#[must_use]
pub fn reason(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Done | Outcome::Stopped { .. } | Outcome::Snoozed { .. } => return None,
        Outcome::Failed { reason, .. } => reason.clone(),
        Outcome::NoOutcome => "The run ended without reporting a result.".to_owned(),
        Outcome::Limit { which } => match which.as_str() {
            "calls" => "The run reached its limit of model calls.".to_owned(),
            "tools" => "The run reached its limit of tool calls.".to_owned(),
            "time" => "The run reached its time limit.".to_owned(),
            "cost" => "The next model call could have exceeded the run’s cost limit.".to_owned(),
            "tokens" => "The run reached its token limit.".to_owned(),
            "loop" => "The agent repeated the same call again and again.".to_owned(),
            other => format!("The {other} limit was reached."),
        },
        Outcome::Interrupted => {
            "HQ was off for too long. The run was too old to continue.".to_owned()
        }
        Outcome::CrashLoop => {
            "HQ stopped three times during this run before a step was done.".to_owned()
        }
    })
}

/// Cause of a run, to follow "started by".
#[must_use]
pub fn cause(run: &Run, item: Option<&Item>) -> &'static str {
    match (run.trigger, item.map(|item| item.kind)) {
        (RunTrigger::Chat, _) => "Chat message",
        (RunTrigger::Api, _) => "API call",
        (RunTrigger::Child, _) => "Parent run",
        (RunTrigger::Item, Some(ItemKind::TaskAssignment)) => "Assignment",
        (RunTrigger::Item, Some(ItemKind::TaskReassignment)) => "Reassignment",
        (RunTrigger::Item, Some(ItemKind::TaskCommentMention)) => "Mention",
        (RunTrigger::Item, Some(ItemKind::TaskComment)) => "Comment",
        (RunTrigger::Item, Some(ItemKind::DeliverableReview)) => "Review",
        (RunTrigger::Item, Some(ItemKind::AgentMessage)) => "Agent message",
        (RunTrigger::Item, Some(ItemKind::DelegationResult)) => "Delegation result",
        (RunTrigger::Item, Some(ItemKind::BlockerResolved)) => "Blocker resolved",
        (RunTrigger::Item, Some(ItemKind::StartNow)) => "Start requested",
        (RunTrigger::Item, Some(ItemKind::RoutineSchedule)) => "Routine",
        (RunTrigger::Item, Some(ItemKind::RoutineEvent)) => "Routine event",
        (RunTrigger::Item, Some(ItemKind::TaskOverdue)) => "Overdue",
        (RunTrigger::Item, Some(ItemKind::TaskEscalation)) => "Escalation",
        (RunTrigger::Item, None) => "Work",
    }
}

/// Why a run waits, in one sentence, and where a person can help: a path in the workspace with its button text.
#[must_use]
pub fn waits(run: &Run) -> Option<(String, Option<(&'static str, &'static str)>)> {
    let waiting = run.waiting.as_ref()?;
    let door = match waiting.waits_for {
        WaitFor::Budget => Some(("settings/usage", "Budgets")),
        WaitFor::Provider => Some(("settings/connections", "Connections")),
        WaitFor::Approval => Some(("approvals", "Decide")),
        WaitFor::SignIn => Some(("settings/mcp-servers", "Sign in")),
        WaitFor::Question
        | WaitFor::Browser
        | WaitFor::Child
        | WaitFor::Timer
        | WaitFor::External
        | WaitFor::Link => None,
    };
    let mut text = format!("Waiting for {}", waiting.waits_for.label());
    if waiting.waits_for == WaitFor::SignIn && !waiting.detail.is_empty() {
        // The detail says the same and names the server.
        waiting.detail.trim_end_matches('.').clone_into(&mut text);
    } else if !waiting.detail.is_empty() {
        text.push_str(": ");
        text.push_str(waiting.detail.trim_end_matches('.'));
    }
    if !text.ends_with(['?', '!', '…']) {
        text.push('.');
    }
    Some((text, door))
}

/// Display text of a queue mode.
#[must_use]
pub fn mode(mode: QueueMode) -> &'static str {
    match mode {
        QueueMode::Steer => "Steer: read at the next step",
        QueueMode::Followup => "Afterwards: its own turn",
        QueueMode::Collect => "Collect: one turn with others",
        QueueMode::Interrupt => "Interrupt: stop and do this",
    }
}

/// State of an unread message. `run` is the active run of its session. `held` is the reason why its agent does not
/// work.
#[must_use]
pub fn waits_as(input: &Input, run: Option<&Run>, held: Option<&str>) -> String {
    let begun = run.is_some_and(|run| run.started_at.is_some());
    let rests = run.is_some_and(|run| begun && run.state == RunState::Waiting);
    let text = match &input.state {
        InputState::Dropped(why) => return format!("Not read: {why}"),
        InputState::Overflowed => {
            return "Not read: too many messages were queued. The next turn gets a one-line note"
                .to_owned();
        }
        InputState::Assigned(_) if begun => "Read at the next step",
        InputState::Assigned(_) => match (held, run.map(|run| run.state)) {
            (Some("workspace_paused"), _) => "Queued until work resumes",
            (Some("agent_paused"), _) => "Queued until the agent resumes",
            (Some(_), _) => "Queued until the agent can work",
            (None, Some(RunState::Waiting)) => "Collecting until it’s quiet",
            (None, _) => "Starting",
        },
        _ => match input.mode {
            QueueMode::Steer if rests => "Read when the run continues",
            QueueMode::Steer => "Read at the next step",
            QueueMode::Followup => "Queued for its own turn",
            QueueMode::Collect => "Collected for the next turn",
            QueueMode::Interrupt => "Next: the run is being stopped",
        },
    };
    text.to_owned()
}

/// Display text of the level at which the model was chosen.
#[must_use]
pub fn source(source: ModelSource) -> &'static str {
    match source {
        ModelSource::Message => "this message",
        ModelSource::Session => "this conversation",
        ModelSource::Task => "the task",
        ModelSource::Routine => "the routine",
        ModelSource::Agent => "the agent",
        ModelSource::Workspace => "the workspace",
        ModelSource::Fallback => "HQ",
    }
}

/// Like [`source`], for the API.
#[must_use]
pub fn source_word(source: ModelSource) -> &'static str {
    match source {
        ModelSource::Message => "message",
        ModelSource::Session => "session",
        ModelSource::Task => "task",
        ModelSource::Routine => "routine",
        ModelSource::Agent => "agent",
        ModelSource::Workspace => "workspace",
        ModelSource::Fallback => "default",
    }
}

/// Thinking level of a run, who chose it and the level that the model uses; `None` before the run begins.
pub fn thinking(tx: &dyn Read, run: &Run) -> Result<Option<String>, StoreError> {
    let Some(by) = run.thinking_source else { return Ok(None) };
    let used = used(&turns::levels(tx, run.connection, &run.model)?, run.thinking);
    let mut text = format!("{}, chosen by {}", run.thinking.word(), source(by));
    if used != run.thinking {
        text.push_str(&format!("; used {}", used.word()));
    }
    Ok(Some(text))
}

/// The level that a model with these `levels` uses: the highest supported level not above `requested`, if any.
fn used(levels: &[Thinking], requested: Thinking) -> Thinking {
    if levels.contains(&requested) {
        return requested;
    }
    if requested == Thinking::None {
        return levels.first().copied().unwrap_or(requested);
    }
    let thinks = || levels.iter().copied().filter(|level| *level != Thinking::None);
    let below = thinks().rfind(|level| (*level as u8) < requested as u8);
    below.or_else(|| thinks().next()).unwrap_or(Thinking::None)
}

/// Text for a model call that did not fail but was cut off because its run was stopped.
#[must_use]
pub fn cut_off(class: &str) -> Option<&'static str> {
    (class == "stopped").then_some("Stopped while it was answering.")
}

/// Whether the model is the built-in practice model without AI.
#[must_use]
pub fn is_practice(model: &str) -> bool {
    model.starts_with("practice")
}

/// API name of a call status.
#[must_use]
pub fn call(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Ok => "ok",
        CallStatus::Error => "error",
        CallStatus::Timeout => "timeout",
        CallStatus::Stopped => "stopped",
        CallStatus::Skipped => "skipped",
        CallStatus::Unknown => "unknown",
    }
}

/// API name of a compaction cause.
#[must_use]
pub fn compaction_cause(why: CompactionWhy) -> &'static str {
    match why {
        CompactionWhy::Asked => "asked",
        CompactionWhy::Full => "full",
        CompactionWhy::Overflow => "overflow",
    }
}

/// API name of a summary's author.
#[must_use]
pub fn summary_by(by: SummaryBy) -> &'static str {
    match by {
        SummaryBy::Model => "model",
        SummaryBy::Mended => "mended",
        SummaryBy::Extract => "extract",
    }
}

#[cfg(test)]
mod tests {
    use super::used;
    use kernel::Thinking::{High, Low, Max, Medium, None};

    #[test]
    fn a_level_that_a_model_does_not_have_becomes_one_that_it_has() {
        for (levels, requested, is) in [
            (&[None, Low, Medium, High, Max][..], Max, Max),
            (&[None][..], High, None),
            (&[None, High][..], Low, High),
            (&[None, High][..], Max, High),
            (&[Low, Medium, High][..], None, Low),
            (&[Low, Medium, High][..], Max, High),
            (&[None, Low, Medium][..], High, Medium),
            (&[][..], High, None),
        ] {
            assert_eq!(used(levels, requested), is, "{requested:?} of {levels:?}");
        }
    }
}
