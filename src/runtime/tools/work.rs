//! The tools that end a run with an item.

use std::borrow::Cow;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use features::agents::model::Agent;
use features::agents::queries::lines;
use features::claims::model::Claim;
use features::claims::queries::{self as proof, Checked, Submission};
use features::claims::rules as claims;
use features::inbox::model::Item;
use features::inbox::queries as inbox;
use features::runs::model::{CallStatus, EventKind, Run, SessionEvent};
use features::runs::queries as runs;
use features::tasks::model::Task;
use features::tasks::queries::open_ends::OpenEnds;
use features::tasks::queries::relations;
use features::tasks::rules as tasks;
use kernel::{
    AgentId, Assignee, Can, ItemId, ItemKind, Manager, TaskId, TaskState, TaskStatus, Timestamp,
};
use store::{Read, ReadExt, StoreError, WriteTx};
use tool::{Effect, Group, RunEnd, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

use super::escalate::TaskEscalate;

/// The longest snooze.
const MAX_SNOOZE: SignedDuration = SignedDuration::from_hours(24 * 60);

/// Ends the run: the work is done.
pub(crate) struct WorkDone;

/// What `work_done` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct DoneArgs {
    /// What was done, in one or two sentences.
    summary: String,
    /// What happens to the task.
    task_state: Option<TaskState>,
    #[serde(default)]
    #[schemars(schema_with = "Claim::list")]
    claims: Vec<Claim>,
}

impl WriteTool for WorkDone {
    type Args = DoneArgs;
    type Ready = Checked;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("work_done"),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed("End this run: the work is done."),
    };

    async fn ready(&self, cx: &ToolCx, args: &DoneArgs) -> Result<Checked, ToolError> {
        let (claims, text) = (args.claims.clone(), args.summary.clone());
        let submission = Submission { claims, title: String::new(), text };
        proof::checked(cx, &Self::SPEC.name, submission).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: DoneArgs,
        checked: Checked,
    ) -> Result<ToolOutput, ToolError> {
        let task_state = args.task_state.unwrap_or(TaskState::Leave);
        prove(cx, tx, task_state, checked)?;
        if let Some(task) = cx.task {
            leave_task(cx, tx, task, (task_state, &args.summary))?;
        }
        let summary = args.summary.trim().to_owned();
        Ok(ToolOutput::text("The run is over.").ending(RunEnd::Done { summary, task_state }))
    }
}

/// Stores the evidence for the work. A run that has delivered with claims need not repeat them, and one that hands its
/// task on claims nothing.
fn prove(
    cx: &ToolCx,
    tx: &mut WriteTx<'_>,
    state: TaskState,
    checked: Checked,
) -> Result<(), ToolError> {
    let task = match cx.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let has_delivered = proof::of_run(tx, cx.run)?.iter().any(|check| !check.claims.is_empty());
    let is_done = !matches!(state, TaskState::Blocked | TaskState::HandedOver);
    let counts = !checked.claims.is_empty() || is_done && !has_delivered && task.is_some();
    let required = match task {
        Some(task) => counts && claims::is_required(tx, &task)?,
        None => false,
    };
    if required {
        claims::demand(&checked)?;
    }
    if counts || !checked.untouched.is_empty() {
        let place = claims::Place { run: cx.run, step: cx.step, version: None, required };
        claims::keep(tx, place, checked)?;
    }
    Ok(())
}

/// Applies the requested task state. A task of the agent must not be left without a next step; the error says how to
/// continue it.
fn leave_task(
    cx: &ToolCx,
    tx: &mut WriteTx<'_>,
    id: TaskId,
    (state, summary): (TaskState, &str),
) -> Result<(), ToolError> {
    let Some(task) = tx.get::<Task>(id)?.filter(|task| is_own(task, cx.agent)) else {
        return Ok(());
    };
    let refused = |message: &str| Err(ToolError::refused("task_state", message));
    match state {
        TaskState::Complete => {
            tasks::complete(tx, id)?;
        }
        TaskState::Blocked if !is_awaited(tx, cx, &task)? => {
            return refused(
                "nothing would ever continue the task: name the task that must end first \
                 (task_update with blocked_by), ask your manager (task_escalate) or someone else \
                 who can help (ask_person), come back later (work_snooze), or end with work_fail \
                 and say what would help, which a person will see",
            );
        }
        TaskState::Blocked => {
            tasks::lines::block(tx, id, cx.agent, summary)?;
        }
        TaskState::InReview if OpenEnds::of(tx, id)?.in_review.is_empty() => {
            return refused(
                "nothing on this task waits for review: submit it with deliverable_submit first, \
                 or use complete",
            );
        }
        TaskState::InReview => {}
        TaskState::HandedOver if OpenEnds::of(tx, id)?.parts.is_empty() => {
            return refused(
                "the task is still assigned to you: assign it to whoever continues (task_update \
                 with assignee), or delegate part of it (task_delegate)",
            );
        }
        TaskState::HandedOver => {}
        TaskState::Leave => {
            let (Some(run), Some(item)) = (tx.get::<Run>(cx.run)?, cx.item) else { return Ok(()) };
            if would_sleep(tx, &run, item)? {
                return Err(ToolError::refused(
                    "task_state_missing",
                    format!(
                        "set task_state for \"{}\": complete, in_review (after \
                         deliverable_submit), blocked (by another task, or after task_escalate), \
                         or handed_over; nothing else would ever continue it",
                        task.title
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Returns `true` if something will resume the task: a blocker, a part, a review, another item or run, or a manager who
/// learns of the block.
fn is_awaited(tx: &dyn Read, cx: &ToolCx, task: &Task) -> Result<bool, StoreError> {
    let id = task.id;
    if !OpenEnds::of(tx, id)?.is_empty() || !relations::open_blockers(tx, id)?.is_empty() {
        return Ok(true);
    }
    let items = inbox::open_of_task(tx, id)?;
    let live = runs::live_on_task(tx, id)?;
    let other = live.iter().any(|run| run.id != cx.run && run.item.is_some());
    if other || items.iter().any(|item| Some(item.id) != cx.item) {
        return Ok(true);
    }
    // A managing agent learns of blocked tasks; a person has to be asked.
    let agent = tx.get::<Agent>(cx.agent)?;
    let above = agent.map(|agent| lines::manager(tx, &agent)).transpose()?.flatten();
    if above.and_then(Manager::agent).is_some() {
        return Ok(true);
    }
    match tx.get::<Run>(cx.run)? {
        Some(run) => is_asked(tx, &run, task),
        None => Ok(false),
    }
}

/// Returns `true` if a blocked task was escalated: by this run, or by an escalation that is still open.
fn is_asked(tx: &dyn Read, run: &Run, task: &Task) -> Result<bool, StoreError> {
    if task.status != TaskStatus::Blocked {
        return Ok(false);
    }
    let items = inbox::open_of_task(tx, task.id)?;
    if items.iter().any(|item| item.kind == ItemKind::TaskEscalation) {
        return Ok(true);
    }
    let has_escalated = |event: &SessionEvent| match &event.kind {
        EventKind::ToolFinished { name, status, .. } => {
            *status == CallStatus::Ok && *name == TaskEscalate::SPEC.name
        }
        _ => false,
    };
    Ok(runs::events_of_run(tx, run, usize::MAX)?.iter().any(has_escalated))
}

fn is_own(task: &Task, agent: AgentId) -> bool {
    let own = task.assignee == Some(Assignee::Agent(agent));
    task.status.is_open() && task.archived_at.is_none() && own
}

/// Returns `true` if the end of this run would leave its assignment without anything to resume it: no pending review,
/// open part, other item or other run.
pub(crate) fn would_sleep(tx: &dyn Read, run: &Run, item: ItemId) -> Result<bool, StoreError> {
    let assigned = tx.get::<Item>(item)?.is_some_and(|item| {
        matches!(
            item.kind,
            ItemKind::TaskAssignment
                | ItemKind::TaskReassignment
                | ItemKind::BlockerResolved
                | ItemKind::StartNow
        )
    });
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let Some(task) = task.filter(|task| assigned && is_own(task, run.agent)) else {
        return Ok(false);
    };
    if !OpenEnds::of(tx, task.id)?.is_empty()
        || !relations::open_blockers(tx, task.id)?.is_empty()
        || is_asked(tx, run, &task)?
    {
        return Ok(false);
    }
    let other = |item_of: &Item| item_of.agent == run.agent && item_of.id != item;
    if inbox::open_of_task(tx, task.id)?.iter().any(other) {
        return Ok(false);
    }
    let live = runs::live_on_task(tx, task.id)?;
    Ok(!live.iter().any(|one| one.agent == run.agent && one.id != run.id))
}

/// Ends the run: the work cannot be done.
pub(crate) struct WorkFail;

/// What `work_fail` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct FailArgs {
    /// Why, and what would help.
    reason: String,
}

impl WriteTool for WorkFail {
    type Args = FailArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("work_fail"),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed("End this run: the work can't be done."),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: FailArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let reason = args.reason.trim().to_owned();
        if reason.is_empty() {
            return Err(ToolError::refused("invalid_args", "say why"));
        }
        if let Some(task) = cx.task
            && let Some(own) = tx.get::<Task>(task)?
            && own.status == TaskStatus::InProgress
            && is_own(&own, cx.agent)
        {
            tasks::lines::block(tx, task, cx.agent, &reason)?;
        }
        Ok(ToolOutput::text("The run is over.").ending(RunEnd::Failed { reason }))
    }
}

/// Ends the run: the work continues later.
pub(crate) struct WorkSnooze;

/// What `work_snooze` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SnoozeArgs {
    /// Minutes from now.
    minutes: Option<i64>,
    /// Or a time, such as 2026-11-21T09:00:00Z.
    until: Option<String>,
    /// What it waits for.
    reason: String,
}

impl WriteTool for WorkSnooze {
    type Args = SnoozeArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("work_snooze"),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed("End this run and continue the work later."),
    };

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SnoozeArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let now = tx.now();
        let until = match (args.minutes, args.until) {
            (Some(minutes), None) => now + SignedDuration::from_mins(minutes.clamp(1, 86_400)),
            (None, Some(text)) => text.trim().parse::<Timestamp>().map_err(|_| {
                ToolError::refused("invalid_args", "write until as 2026-11-21T09:00:00Z")
            })?,
            _ => {
                return Err(ToolError::refused("invalid_args", "give either minutes or until"));
            }
        };
        if until <= now || until > now + MAX_SNOOZE {
            return Err(ToolError::refused("invalid_args", "use a time within the next 60 days"));
        }
        let reason = args.reason.trim().to_owned();
        let output = ToolOutput::text("The run is over; the work continues later.");
        Ok(output.ending(RunEnd::Snoozed { until, reason }))
    }
}
