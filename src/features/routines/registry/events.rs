//! Table of the named events with their fields, and the mapping from feed events to happenings.

use super::fields::*;
use super::{Change, Happening, Kind, Subject, kind};
use kernel::{AgentStatus, Event, TaskField, Verdict};

/// Expands to one event [`Kind`].
macro_rules! event {
    ($word:expr, $label:expr, $group:expr, $fields:expr $(,)?) => {
        Kind { word: $word, label: $label, group: $group, fields: $fields, row: None }
    };
}

const TASKS: &str = "Tasks";
const WORK: &str = "Comments and deliverables";
const AGENTS: &str = "Agents and runs";
const PEOPLE: &str = "People";
const HOUSE: &str = "The workspace";

/// All event kinds, in form order.
pub(super) const ALL: &[Kind] = &[
    event!("task.created", "a task is created", TASKS, &[TASK, COMMON]),
    event!("task.status", "a task’s status changes", TASKS, &[STATUS_CHANGE, TASK, COMMON]),
    event!("task.assignee", "a task is assigned", TASKS, &[WHOSE_CHANGE, TASK, COMMON]),
    event!("task.priority", "a task’s priority changes", TASKS, &[PRIORITY_CHANGE, TASK, COMMON]),
    event!("task.due", "a task’s due date changes", TASKS, &[DUE_CHANGE, TASK, COMMON]),
    event!("task.labels", "a task’s labels change", TASKS, &[TASK, COMMON]),
    event!("task.relations", "a task’s relations change", TASKS, &[TASK, COMMON]),
    event!("task.archived", "a task is archived", TASKS, &[TASK, COMMON]),
    event!("task.restored", "an archived task is restored", TASKS, &[TASK, COMMON]),
    event!(
        "task.unblocked",
        "a task’s last blocker is resolved",
        TASKS,
        &[&[text("blocker", "the last blocker")], TASK, COMMON],
    ),
    event!(
        "task.escalated",
        "an agent escalates a task",
        TASKS,
        &[&[text("agent", "the agent"), text("text", "why")], TASK, COMMON],
    ),
    event!("task.start_asked", "someone requests a task to start", TASKS, &[TASK, COMMON]),
    event!("comment.added", "someone comments on a task", WORK, &[COMMENT, TASK, COMMON]),
    event!("mention.added", "someone is mentioned", WORK, &[COMMENT, TASK, COMMON]),
    event!("deliverable.submitted", "work is delivered", WORK, &[DELIVERED, TASK, COMMON]),
    event!("deliverable.decided", "delivered work is reviewed", WORK, &[DECIDED, TASK, COMMON]),
    event!("deliverable.approved", "delivered work is approved", WORK, &[DECIDED, TASK, COMMON]),
    event!(
        "deliverable.refused",
        "delivered work is rejected or changes are requested",
        WORK,
        &[DECIDED, TASK, COMMON],
    ),
    event!(
        "file.added",
        "a file is added to a task",
        WORK,
        &[&[text("file", "the file’s name")], TASK, COMMON],
    ),
    event!(
        "file.removed",
        "a file is removed from a task",
        WORK,
        &[&[text("file", "the file’s name")], TASK, COMMON],
    ),
    event!("agent.failed", "an agent’s run fails", AGENTS, &[AGENT, COMMON]),
    event!("agent.stalled", "an agent needs attention", AGENTS, &[AGENT, COMMON]),
    event!("agent.status", "an agent’s status changes", AGENTS, &[STANDING, COMMON]),
    event!("agent.archived", "an agent is archived", AGENTS, &[ONLY_AGENT, COMMON]),
    event!(
        "agent.files_changed",
        "a person changes an agent’s file",
        AGENTS,
        &[&[text("path", "the file")], ONLY_AGENT, COMMON],
    ),
    event!(
        "agent.message",
        "an agent messages another agent",
        AGENTS,
        &[
            &[
                text("agent", "the sending agent"),
                text("to", "the receiving agent"),
                text("text", "the text"),
            ],
            COMMON,
        ],
    ),
    event!("run.started", "a run starts", AGENTS, &[RUN, COMMON]),
    event!("run.ended", "a run ends", AGENTS, &[OUTCOME, RUN, COMMON]),
    event!(
        "run.asks",
        "a run waits for a person",
        AGENTS,
        &[&[text("waits_for", "what it waits for")], RUN, COMMON],
    ),
    event!("run.answered", "a run’s wait ends", AGENTS, &[RUN, COMMON]),
    event!(
        "approval.answered",
        "a person answers an approval",
        AGENTS,
        &[&[text("answer", "the answer")], RUN, COMMON],
    ),
    event!("run.stop_asked", "someone stops a run", AGENTS, &[RUN, COMMON]),
    event!("subagent.spawned", "a run creates a sub-agent", AGENTS, &[RUN, COMMON]),
    event!("subagent.ended", "a sub-agent ends", AGENTS, &[OUTCOME, RUN, COMMON]),
    event!("item.enqueued", "an agent gets an inbox item", AGENTS, &[ITEM, COMMON]),
    event!("item.ended", "an agent’s inbox item ends", AGENTS, &[ITEM, COMMON]),
    event!("input.queued", "someone messages an agent", AGENTS, &[ONLY_AGENT, COMMON]),
    event!(
        "session.compaction_asked",
        "someone compacts a conversation",
        AGENTS,
        &[ONLY_AGENT, COMMON],
    ),
    event!("job.ended", "a background program ends", AGENTS, &[RUN, COMMON]),
    event!("job.stop_asked", "someone stops a program", AGENTS, &[ONLY_AGENT, COMMON]),
    event!(
        "job.input_sent",
        "someone sends input to a program",
        AGENTS,
        &[ONLY_AGENT, &[number("bytes", "number of bytes")], COMMON],
    ),
    event!("member.joined", "someone joins the workspace", PEOPLE, &[MEMBER, COMMON]),
    event!("member.left", "someone leaves the workspace", PEOPLE, &[MEMBER, COMMON]),
    event!("member.role", "a member’s role changes", PEOPLE, &[ROLE_CHANGE, MEMBER, COMMON]),
    event!(
        "member.handed_over",
        "a member’s work is reassigned",
        PEOPLE,
        &[
            &[
                text("to", "the new owner"),
                number("tasks", "number of tasks"),
                number("agents", "number of agents"),
            ],
            MEMBER,
            COMMON,
        ],
    ),
    event!(
        "invite.created",
        "someone is invited",
        PEOPLE,
        &[&[words("role", "the role", ROLES)], COMMON],
    ),
    event!("invite.withdrawn", "an invitation is withdrawn", PEOPLE, &[COMMON]),
    event!("invite.accepted", "an invitation is accepted", PEOPLE, &[MEMBER, COMMON]),
    event!("budget.warned", "a budget reaches its warning level", HOUSE, &[BUDGET, COMMON],),
    event!("budget.reached", "a budget is used up", HOUSE, &[BUDGET, COMMON]),
    event!(
        "work.halted",
        "work is paused",
        HOUSE,
        &[&[text("agent", "the agent, if only one"), yes_no("now", "immediately")], COMMON],
    ),
    event!(
        "work.resumed",
        "work is resumed",
        HOUSE,
        &[&[text("agent", "the agent, if only one")], COMMON],
    ),
    event!(
        "runs.taken_up",
        "HQ restarts and runs continue",
        HOUSE,
        &[&[number("runs", "number of runs")], COMMON],
    ),
    event!(
        "routine.fired",
        "a routine runs",
        HOUSE,
        &[&[text("title", "the routine’s name"), text("agent", "the agent")], COMMON],
    ),
    event!("undo.applied", "something is undone", HOUSE, &[COMMON]),
    event!(
        "counting.reset",
        "a model’s learned token data is deleted",
        HOUSE,
        &[&[text("model", "the model")], COMMON],
    ),
    event!("record.redacted", "old versions of a record are deleted", HOUSE, &[COMMON]),
    event!(
        "consumer.changed",
        "a background task is paused, resumed or moved",
        HOUSE,
        &[&[text("act", "the action")], COMMON],
    ),
    event!(
        "store.mended",
        "the store’s derived data is repaired",
        HOUSE,
        &[&[number("rows", "number of rows")], COMMON],
    ),
    event!("store.restored", "this workspace is restored from a backup", HOUSE, &[COMMON]),
];

/// Classification of feed events for routines, or the reason why routines ignore them. The match is exhaustive, so
/// the compiler asks for every new event.
enum Area {
    Work,
    Agents,
    People,
    House,
    /// The row changes of its record cover the event.
    Rows,
    /// Only the people concerned are notified.
    Private,
    /// The event is in the system store, which has no routines.
    Elsewhere,
}

fn area(event: &Event) -> Area {
    match event {
        Event::TaskCreated { .. }
        | Event::TaskChanged { .. }
        | Event::TaskAssigned { .. }
        | Event::TaskStatusChanged { .. }
        | Event::TaskUnblocked { .. }
        | Event::TaskEscalated { .. }
        | Event::TaskStartAsked { .. }
        | Event::CommentAdded { .. }
        | Event::DeliverableSubmitted { .. }
        | Event::DeliverableReviewed { .. }
        | Event::FileAdded { .. }
        | Event::FileRemoved { .. } => Area::Work,
        Event::AgentStatusChanged { .. }
        | Event::AgentArchived { .. }
        | Event::AgentFilesChanged { .. }
        | Event::AgentMessageSent { .. }
        | Event::ItemEnqueued { .. }
        | Event::ItemEnded { .. }
        | Event::InputQueued { .. }
        | Event::RunStarted { .. }
        | Event::RunStopRequested { .. }
        | Event::RunEnded { .. }
        | Event::RunAsks { .. }
        | Event::RunAnswered { .. }
        | Event::ApprovalAnswered(..)
        | Event::WheelTurned(..)
        | Event::ChildSpawned { .. }
        | Event::ChildEnded { .. }
        | Event::CompactionAsked { .. }
        | Event::JobEnded { .. }
        | Event::JobStopRequested { .. }
        | Event::JobInputSent { .. } => Area::Agents,
        Event::MemberJoined { .. }
        | Event::MemberLeft { .. }
        | Event::MemberRoleChanged { .. }
        | Event::MemberHandedOver { .. }
        | Event::Invited { .. }
        | Event::InviteWithdrawn { .. }
        | Event::InviteAccepted { .. } => Area::People,
        Event::BudgetWarned { .. }
        | Event::BudgetReached { .. }
        | Event::WorkHalted { .. }
        | Event::WorkGoesOn { .. }
        | Event::RunsTakenUp(..)
        | Event::RoutineFired { .. }
        | Event::UndoApplied { .. }
        | Event::CountingReset { .. }
        | Event::RecordRedacted { .. }
        | Event::ConsumerChanged { .. }
        | Event::StoreMended { .. }
        | Event::Restored { .. } => Area::House,
        Event::AgentCreated { .. }
        | Event::ConnectionChanged { .. }
        | Event::BudgetChanged { .. }
        | Event::PriceChanged { .. }
        | Event::StreamCreated { .. }
        | Event::StreamChanged { .. }
        | Event::LabelCreated(_)
        | Event::LabelChanged(_)
        | Event::LabelDeleted { .. }
        | Event::Row { .. }
        | Event::AgentSucceeded { .. }
        | Event::AgentMoved(..)
        | Event::RoutineChanged { .. } => Area::Rows,
        Event::NoticeGiven { .. } => Area::Private,
        Event::SignedIn { .. }
        | Event::SignedOut { .. }
        | Event::TokenCreated { .. }
        | Event::TokenRevoked { .. }
        | Event::WorkspaceAdded { .. }
        | Event::WorkspaceStateChanged { .. }
        | Event::WorkspaceRemoved { .. }
        | Event::WorkspaceExported
        | Event::FactorChanged { .. }
        | Event::AccountDisabled { .. }
        | Event::AccountEnabled { .. }
        | Event::MasterKeyChanged(..)
        | Event::BackupMade { .. }
        | Event::BackupFailed { .. } => Area::Elsewhere,
    }
}

/// Happenings of a feed event.
#[must_use]
pub fn happenings(event: &Event) -> Vec<Happening> {
    let mut all = Vec::new();
    let mut add = |word: &str, subject: Subject, change: Change| {
        let found = kind(word);
        debug_assert!(found.is_some(), "{word} stands in no line");
        all.extend(found.map(|kind| Happening { kind, subject, change }));
    };
    match area(event) {
        Area::Work => of_work(event, &mut add),
        Area::Agents => of_agents(event, &mut add),
        Area::People => of_people(event, &mut add),
        Area::House => of_the_house(event, &mut add),
        Area::Rows | Area::Private | Area::Elsewhere => {}
    }
    all
}

/// Tasks, comments, deliverables and files.
fn of_work(event: &Event, add: &mut impl FnMut(&str, Subject, Change)) {
    match event {
        Event::TaskCreated { task, .. } => add("task.created", Subject::Task(*task), Change::None),
        Event::TaskStatusChanged { task, from, to, .. } => {
            add("task.status", Subject::Task(*task), Change::Words(from.word(), to.word()));
        }
        Event::TaskAssigned { task, from, to, .. } if from != to => {
            add("task.assignee", Subject::Task(*task), Change::Whose(*from, *to));
        }
        Event::TaskChanged { task, fields } => {
            for (field, word) in [
                (TaskField::Priority, "task.priority"),
                (TaskField::Due, "task.due"),
                (TaskField::Labels, "task.labels"),
                (TaskField::Relations, "task.relations"),
                // The task tells which of the two it is.
                (TaskField::Archived, "task.archived"),
                (TaskField::Archived, "task.restored"),
            ] {
                if fields.contains(&field) {
                    add(word, Subject::Task(*task), Change::Field(field));
                }
            }
        }
        Event::TaskUnblocked { task, by } => {
            let facts = vec![("blocker", by.to_string())];
            add("task.unblocked", Subject::Task(*task), Change::Facts(facts));
        }
        Event::TaskEscalated { task, agent, text, .. } => {
            let facts = vec![("agent", agent.to_string()), ("text", text.clone())];
            add("task.escalated", Subject::Task(*task), Change::Facts(facts));
        }
        Event::TaskStartAsked { task } => {
            add("task.start_asked", Subject::Task(*task), Change::None);
        }
        Event::CommentAdded { comment, task, .. } => {
            add("comment.added", Subject::Comment(*comment, *task), Change::None);
            // The comment tells whether it mentions anybody.
            add("mention.added", Subject::Comment(*comment, *task), Change::None);
        }
        Event::DeliverableSubmitted { deliverable, task, .. } => {
            let subject = Subject::Deliverable(*deliverable, *task);
            add("deliverable.submitted", subject, Change::None);
        }
        Event::DeliverableReviewed { deliverable, task, verdict, .. } => {
            let which = match verdict {
                Verdict::Approved => "deliverable.approved",
                Verdict::ChangesRequested | Verdict::Rejected => "deliverable.refused",
            };
            for word in ["deliverable.decided", which] {
                let subject = Subject::Deliverable(*deliverable, *task);
                add(word, subject, Change::Words("", verdict.word()));
            }
        }
        Event::FileAdded { task, name, .. } => {
            add("file.added", Subject::Task(*task), Change::Facts(vec![("file", name.clone())]));
        }
        Event::FileRemoved { task, name, .. } => {
            add("file.removed", Subject::Task(*task), Change::Facts(vec![("file", name.clone())]));
        }
        _ => {}
    }
}

/// Agents, their runs, items and programs.
fn of_agents(event: &Event, add: &mut impl FnMut(&str, Subject, Change)) {
    match event {
        Event::RunStarted { run, agent, .. } => {
            add("run.started", Subject::Agent(*agent, Some(*run)), Change::None);
        }
        Event::RunEnded { run, agent, outcome, .. } => {
            let subject = || Subject::Agent(*agent, Some(*run));
            if is_failure(outcome) {
                add("agent.failed", subject(), Change::Reason(outcome.clone()));
            }
            let facts = vec![("outcome", outcome.clone())];
            add("run.ended", subject(), Change::Facts(facts));
        }
        Event::RunStopRequested { run, .. } => {
            let facts = vec![("run", run.to_string())];
            add("run.stop_asked", Subject::Workspace, Change::Facts(facts));
        }
        Event::RunAsks { run, agent, waits_for } => {
            let facts = vec![("waits_for", waits_for.word().to_owned())];
            add("run.asks", Subject::Agent(*agent, Some(*run)), Change::Facts(facts));
        }
        Event::RunAnswered { run, agent, .. } => {
            add("run.answered", Subject::Agent(*agent, Some(*run)), Change::None);
        }
        Event::ApprovalAnswered(_, run, agent, answer) => {
            let facts = vec![("answer", answer.word().to_owned())];
            add("approval.answered", Subject::Agent(*agent, Some(*run)), Change::Facts(facts));
        }
        Event::ChildSpawned { run, agent, .. } => {
            add("subagent.spawned", Subject::Agent(*agent, Some(*run)), Change::None);
        }
        Event::ChildEnded { run, agent, outcome, .. } => {
            let facts = vec![("outcome", outcome.clone())];
            add("subagent.ended", Subject::Agent(*agent, Some(*run)), Change::Facts(facts));
        }
        Event::ItemEnqueued { item, agent } => {
            add("item.enqueued", Subject::Agent(*agent, None), Change::Item(*item));
        }
        Event::ItemEnded { item, agent, .. } => {
            add("item.ended", Subject::Agent(*agent, None), Change::Item(*item));
            // The item tells whether it failed.
            add("agent.stalled", Subject::Agent(*agent, None), Change::ItemFailed(*item));
        }
        Event::AgentStatusChanged { agent, from, to } => {
            let change = Change::Words(from.word(), to.word());
            add("agent.status", Subject::Agent(*agent, None), change);
            if *to == AgentStatus::Error {
                let why = Change::Reason(to.word().into());
                add("agent.stalled", Subject::Agent(*agent, None), why);
            }
        }
        Event::AgentArchived { agent } => {
            add("agent.archived", Subject::Agent(*agent, None), Change::None);
        }
        Event::AgentFilesChanged { agent, path, .. } => {
            let facts = vec![("path", path.clone())];
            add("agent.files_changed", Subject::Agent(*agent, None), Change::Facts(facts));
        }
        Event::AgentMessageSent { from, to, text, .. } => {
            let facts = vec![("to", to.to_string()), ("text", text.clone())];
            add("agent.message", Subject::Agent(*from, None), Change::Facts(facts));
        }
        // Conversations are private: no text is included.
        Event::InputQueued { agent, .. } => {
            add("input.queued", Subject::Agent(*agent, None), Change::None);
        }
        Event::CompactionAsked { agent, .. } => {
            add("session.compaction_asked", Subject::Agent(*agent, None), Change::None);
        }
        Event::JobEnded { agent, run, .. } => {
            add("job.ended", Subject::Agent(*agent, Some(*run)), Change::None);
        }
        Event::JobStopRequested { agent, .. } => {
            add("job.stop_asked", Subject::Agent(*agent, None), Change::None);
        }
        Event::JobInputSent { agent, bytes, .. } => {
            let facts = vec![("bytes", bytes.to_string())];
            add("job.input_sent", Subject::Agent(*agent, None), Change::Facts(facts));
        }
        _ => {}
    }
}

/// Members and invitations.
fn of_people(event: &Event, add: &mut impl FnMut(&str, Subject, Change)) {
    let here = || Subject::Workspace;
    match event {
        Event::MemberJoined { account } => {
            add("member.joined", Subject::Member(*account), Change::None);
        }
        Event::MemberLeft { account } => {
            add("member.left", Subject::Member(*account), Change::None);
        }
        Event::MemberRoleChanged { account, from, to } => {
            let change = Change::Words(from.word(), to.word());
            add("member.role", Subject::Member(*account), change);
        }
        Event::MemberHandedOver { account, to, tasks, agents } => {
            let facts = vec![
                ("to", to.to_string()),
                ("tasks", tasks.to_string()),
                ("agents", agents.to_string()),
            ];
            add("member.handed_over", Subject::Member(*account), Change::Facts(facts));
        }
        Event::Invited { role, .. } => {
            add("invite.created", here(), Change::Facts(vec![("role", role.word().to_owned())]));
        }
        Event::InviteWithdrawn { .. } => add("invite.withdrawn", here(), Change::None),
        Event::InviteAccepted { account, .. } => {
            add("invite.accepted", Subject::Member(*account), Change::None);
        }
        _ => {}
    }
}

/// Budgets and the workspace itself.
fn of_the_house(event: &Event, add: &mut impl FnMut(&str, Subject, Change)) {
    let here = || Subject::Workspace;
    match event {
        Event::BudgetWarned { payer, period } => {
            add("budget.warned", here(), Change::Budget(*payer, *period));
        }
        Event::BudgetReached { payer, period } => {
            add("budget.reached", here(), Change::Budget(*payer, *period));
        }
        Event::WorkHalted { agent, now } => {
            let now = ("now", if *now { "yes" } else { "no" }.to_owned());
            let whose = agent.iter().map(|agent| ("agent", agent.to_string()));
            add("work.halted", here(), Change::Facts(whose.chain([now]).collect()));
        }
        Event::WorkGoesOn { agent } => {
            let whose = agent.iter().map(|agent| ("agent", agent.to_string()));
            add("work.resumed", here(), Change::Facts(whose.collect()));
        }
        Event::RunsTakenUp(runs) => {
            add("runs.taken_up", here(), Change::Facts(vec![("runs", runs.to_string())]));
        }
        Event::RoutineFired { routine, agent, .. } => {
            let facts = vec![("title", routine.to_string()), ("agent", agent.to_string())];
            add("routine.fired", here(), Change::Facts(facts));
        }
        Event::UndoApplied { .. } => add("undo.applied", here(), Change::None),
        Event::CountingReset { model, .. } => {
            add("counting.reset", here(), Change::Facts(vec![("model", model.clone())]));
        }
        Event::RecordRedacted { .. } => add("record.redacted", here(), Change::None),
        Event::ConsumerChanged { act, .. } => {
            add("consumer.changed", here(), Change::Facts(vec![("act", act.clone())]));
        }
        Event::StoreMended { rows } => {
            add("store.mended", here(), Change::Facts(vec![("rows", rows.to_string())]));
        }
        Event::Restored { .. } => add("store.restored", here(), Change::None),
        _ => {}
    }
}

/// Returns `true` for an unsuccessful run outcome.
fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "done" | "stopped" | "snoozed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_stands_in_a_line() {
        let pieces = include_str!("events.rs").split("add(\"").skip(1);
        let words: Vec<&str> = pieces.filter_map(|rest| rest.split('"').next()).collect();
        assert!(40 < words.len(), "{words:?}");
        for word in words {
            assert!(kind(word).is_some(), "{word}");
        }
    }
}
