//! Words for the states and ends of runs, the same on every page.

use crate::connections::queries::turns;
use crate::inbox::model::Item;
use crate::runs::model::{
    CallStatus, CompactionWhy, Input, InputState, ModelSource, Run, SummaryBy, TAKEN_BACK,
};
use kernel::{ItemKind, Outcome, QueueMode, RunState, RunTrigger, Thinking, WaitFor};
use store::{Read, StoreError};

/// A state word that the style sheet colours, with the word for people.
#[must_use]
pub fn state(run: &Run) -> (&'static str, &'static str) {
    match (run.state, &run.outcome) {
        (RunState::Queued, _) => ("queued", "Queued"),
        (RunState::Running, _) if run.stop.is_some() => ("working", "Stopping"),
        (RunState::Running, _) => ("working", "Working"),
        (RunState::Waiting, _) => ("waiting", "Waiting"),
        (RunState::Ended, Some(outcome)) => (outcome.word(), end(outcome)),
        (RunState::Ended, None) => ("done", "Done"),
    }
}

/// How a run ended, in one or two words.
#[must_use]
pub fn end(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "Done",
        Outcome::Failed { code, .. } if code == TAKEN_BACK => "Taken back",
        Outcome::Failed { .. } => "Failed",
        Outcome::Snoozed { .. } => "Goes on later",
        Outcome::Stopped { .. } => "Stopped",
        Outcome::NoOutcome => "No outcome",
        Outcome::Limit { .. } => "Limit reached",
        Outcome::Interrupted => "Interrupted",
        Outcome::CrashLoop => "Crashed",
    }
}

/// Whether an end needs a person's eye.
#[must_use]
pub fn is_bad(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Done | Outcome::Snoozed { .. } | Outcome::Stopped { .. })
}

/// Why a run ended as it did, in a sentence; nothing when it ended well.
#[must_use]
pub fn reason(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Done | Outcome::Stopped { .. } | Outcome::Snoozed { .. } => return None,
        Outcome::Failed { reason, .. } => reason.clone(),
        Outcome::NoOutcome => {
            "The run ended without an outcome: the agent did not say what became of the work."
                .to_owned()
        }
        Outcome::Limit { which } => match which.as_str() {
            "calls" => "The most model calls of one run were made.".to_owned(),
            "tools" => "The most tool calls of one run were made.".to_owned(),
            "time" => "The longest time of one run was reached.".to_owned(),
            "cost" => {
                "The next model call could have cost more than was left of the limit of this run."
                    .to_owned()
            }
            "tokens" => "The most tokens of one run were used.".to_owned(),
            "loop" => "The agent repeated the same call again and again.".to_owned(),
            other => format!("The limit of {other} was reached."),
        },
        Outcome::Interrupted => {
            "HQ was away for too long; the run was too old to go on.".to_owned()
        }
        Outcome::CrashLoop => {
            "HQ broke off three times while this run worked, before a step was done.".to_owned()
        }
    })
}

/// What a run was started by, in words that follow "started by".
#[must_use]
pub fn cause(run: &Run, item: Option<&Item>) -> &'static str {
    match (run.trigger, item.map(|item| item.kind)) {
        (RunTrigger::Chat, _) => "a chat message",
        (RunTrigger::Api, _) => "an API call",
        (RunTrigger::Child, _) => "another run, for a part of its work",
        (RunTrigger::Item, Some(ItemKind::TaskAssignment)) => "an assignment",
        (RunTrigger::Item, Some(ItemKind::TaskReassignment)) => "a reassignment",
        (RunTrigger::Item, Some(ItemKind::TaskCommentMention)) => "a mention",
        (RunTrigger::Item, Some(ItemKind::TaskComment)) => "a comment",
        (RunTrigger::Item, Some(ItemKind::DeliverableReview)) => "a review",
        (RunTrigger::Item, Some(ItemKind::AgentMessage)) => "a colleague’s message",
        (RunTrigger::Item, Some(ItemKind::DelegationResult)) => "delegated work that came back",
        (RunTrigger::Item, Some(ItemKind::BlockerResolved)) => "the end of what it waited for",
        (RunTrigger::Item, Some(ItemKind::StartNow)) => "somebody who wants it begun",
        (RunTrigger::Item, Some(ItemKind::RoutineSchedule)) => "a routine",
        (RunTrigger::Item, Some(ItemKind::RoutineEvent)) => "a routine, after an event",
        (RunTrigger::Item, Some(ItemKind::TaskOverdue)) => "a due date that has passed",
        (RunTrigger::Item, Some(ItemKind::TaskEscalation)) => {
            "a task that somebody below it is stuck with"
        }
        (RunTrigger::Item, None) => "work",
    }
}

/// Why a run does not go on now, in one sentence, and where a person can help: a path of the
/// workspace with the words of its button.
#[must_use]
pub fn waits(run: &Run) -> Option<(String, Option<(&'static str, &'static str)>)> {
    let waiting = run.waiting.as_ref()?;
    let door = match waiting.waits_for {
        WaitFor::Budget => Some(("settings/usage", "Budgets")),
        WaitFor::Provider => Some(("settings/connections", "Connections")),
        WaitFor::Approval => Some(("approvals", "Decide")),
        WaitFor::Question
        | WaitFor::Browser
        | WaitFor::Child
        | WaitFor::Timer
        | WaitFor::External
        | WaitFor::Link => None,
    };
    let mut text = format!("Waits for {}", waiting.waits_for.label());
    if !waiting.detail.is_empty() {
        text.push_str(": ");
        text.push_str(waiting.detail.trim_end_matches('.'));
    }
    if !text.ends_with(['?', '!', '…']) {
        text.push('.');
    }
    Some((text, door))
}

/// What a message does while a run works, in words.
#[must_use]
pub fn mode(mode: QueueMode) -> &'static str {
    match mode {
        QueueMode::Steer => "Steer: read at the next step",
        QueueMode::Followup => "Afterwards: a turn of its own",
        QueueMode::Collect => "Collect: one turn with others",
        QueueMode::Interrupt => "Interrupt: stop and do this",
    }
}

/// What becomes of a message that nobody has read: `run` works or waits in its session, `held` is
/// why its agent does not work.
#[must_use]
pub fn waits_as(input: &Input, run: Option<&Run>, held: Option<&str>) -> String {
    let begun = run.is_some_and(|run| run.started_at.is_some());
    let rests = run.is_some_and(|run| begun && run.state == RunState::Waiting);
    let text = match &input.state {
        InputState::Dropped(why) => return format!("Not read: {why}"),
        InputState::Overflowed => {
            return "Not read: too many messages waited. The next turn hears of it in one line"
                .to_owned();
        }
        InputState::Assigned(_) if begun => "Read at the next step",
        InputState::Assigned(_) => match (held, run.map(|run| run.state)) {
            (Some("workspace_paused"), _) => "Kept until work goes on",
            (Some("agent_paused"), _) => "Kept until the agent resumes",
            (Some(_), _) => "Kept until the agent can work",
            (None, Some(RunState::Waiting)) => "Collected until it is quiet",
            (None, _) => "Starting",
        },
        _ => match input.mode {
            QueueMode::Steer if rests => "Read when the run goes on",
            QueueMode::Steer => "Read at the next step",
            QueueMode::Followup => "Waits for its own turn",
            QueueMode::Collect => "Collected for the next turn",
            QueueMode::Interrupt => "Comes next: the run is being stopped",
        },
    };
    text.to_owned()
}

/// Who chose the model.
#[must_use]
pub fn source(source: ModelSource) -> &'static str {
    match source {
        ModelSource::Message => "this message",
        ModelSource::Session => "this conversation",
        ModelSource::Task => "the task",
        ModelSource::Routine => "the routine",
        ModelSource::Agent => "the agent",
        ModelSource::Workspace => "the workspace",
        ModelSource::Fallback => "nobody",
    }
}

/// The same for programs.
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

/// How much a run thinks, who chose that, and what its model makes of it; nothing of a run that has
/// not begun.
pub fn thinking(tx: &dyn Read, run: &Run) -> Result<Option<String>, StoreError> {
    let Some(by) = run.thinking_source else { return Ok(None) };
    let used = used(&turns::levels(tx, run.connection, &run.model)?, run.thinking);
    let mut text = format!("{}, chosen by {}", run.thinking.word(), source(by));
    if used != run.thinking {
        text.push_str(&format!("; used {}", used.word()));
    }
    Ok(Some(text))
}

/// The level that a model with these uses when another is asked for: no more than that, if it can.
fn used(levels: &[Thinking], asked: Thinking) -> Thinking {
    if levels.contains(&asked) {
        return asked;
    }
    if asked == Thinking::None {
        return levels.first().copied().unwrap_or(asked);
    }
    let thinks = || levels.iter().copied().filter(|level| *level != Thinking::None);
    let below = thinks().rfind(|level| (*level as u8) < asked as u8);
    below.or_else(|| thinks().next()).unwrap_or(Thinking::None)
}

/// What is said of a model call of this class that nothing was wrong with: its run was stopped meanwhile.
#[must_use]
pub fn cut_off(class: &str) -> Option<&'static str> {
    (class == "stopped").then_some("Stopped while it was answering.")
}

/// Whether a model is the built-in one without AI.
#[must_use]
pub fn is_practice(model: &str) -> bool {
    model.starts_with("practice")
}

/// How a tool call ended, on the wire.
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

/// Why a conversation is compacted, on the wire.
#[must_use]
pub fn compaction_cause(why: CompactionWhy) -> &'static str {
    match why {
        CompactionWhy::Asked => "asked",
        CompactionWhy::Full => "full",
        CompactionWhy::Overflow => "overflow",
    }
}

/// Who wrote a summary, on the wire.
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
        for (levels, asked, is) in [
            (&[None, Low, Medium, High, Max][..], Max, Max),
            (&[None][..], High, None),
            (&[None, High][..], Low, High),
            (&[None, High][..], Max, High),
            (&[Low, Medium, High][..], None, Low),
            (&[Low, Medium, High][..], Max, High),
            (&[None, Low, Medium][..], High, Medium),
            (&[][..], High, None),
        ] {
            assert_eq!(used(levels, asked), is, "{asked:?} of {levels:?}");
        }
    }
}
