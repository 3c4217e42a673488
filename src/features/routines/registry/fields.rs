//! Fields of events: names, labels and types.

use entity::Type;

/// A field that conditions and templates can use.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub of: Type,
}

pub(super) const fn text(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::Text }
}

pub(super) const fn list(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::List }
}

pub(super) const fn number(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::Number }
}

pub(super) const fn yes_no(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::YesNo }
}

pub(super) const fn moment(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::Moment }
}

pub(super) const fn clock(name: &'static str, label: &'static str) -> Field {
    Field { name, label, of: Type::Clock }
}

pub(super) const fn words(
    name: &'static str,
    label: &'static str,
    words: &'static [&'static str],
) -> Field {
    Field { name, label, of: Type::Words(words) }
}

pub(super) const fn ranked(
    name: &'static str,
    label: &'static str,
    words: &'static [&'static str],
) -> Field {
    Field { name, label, of: Type::Ranked(words) }
}

pub(super) const STATUSES: &[&str] =
    &["todo", "in_progress", "blocked", "done", "cancelled", "missed"];
pub(super) const PRIORITIES: &[&str] = &["low", "medium", "high", "urgent"];
pub(super) const VERDICTS: &[&str] = &["approved", "changes_requested", "rejected"];
const DAYS: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const KINDS: &[&str] = &["person", "agent", "system"];
pub(super) const ROLES: &[&str] = &["owner", "admin", "member", "viewer"];
pub(super) const AGENT_STATUSES: &[&str] =
    &["provisioning", "ready", "paused", "error", "hibernating"];

/// Fields of every event.
pub(super) const COMMON: &[Field] = &[
    text("actor", "who did it"),
    words("actor_kind", "whether a person, an agent or the system did it", KINDS),
    words("weekday", "the day of the week", DAYS),
    clock("time", "the time of day"),
    number("budget_left", "the agent’s remaining budget in dollars"),
    text("url", "the address"),
];
/// Fields of every event about a task.
pub(super) const TASK: &[Field] = &[
    text("task", "the task’s number"),
    text("title", "the task’s title"),
    text("description", "the task’s description"),
    words("status", "the task’s status", STATUSES),
    ranked("priority", "the task’s priority", PRIORITIES),
    text("assignee", "the task’s assignee"),
    number("due_in_days", "days until the task is due"),
    moment("due", "when the task is due"),
    moment("start", "when the task can start"),
    text("creator", "the task’s creator"),
    text("parent", "the parent task"),
    text("stream", "the task’s stream"),
    list("labels", "the task’s labels"),
    text("model", "the task’s model"),
    text("thinking", "the task’s thinking level"),
];
/// Former values of a task.
pub(super) const FORMER_TASK: &[Field] = &[
    text("old_title", "the former title"),
    text("old_description", "the former description"),
    words("old_status", "the former status", STATUSES),
    ranked("old_priority", "the former priority", PRIORITIES),
    text("old_assignee", "the former assignee"),
    moment("old_due", "the former due date"),
    moment("old_start", "the former start date"),
    text("old_parent", "the former parent task"),
    text("old_stream", "the former stream"),
    text("old_model", "the former model"),
    text("old_thinking", "the former thinking level"),
    moment("old_archived", "when it was archived"),
];
/// Fields of every record change.
pub(super) const CHANGED: &[Field] = &[list("changed", "the fields that changed")];
/// Fields of every record event.
pub(super) const RECORD: &[Field] = &[text("title", "the name")];
pub(super) const STATUS_CHANGE: &[Field] =
    &[words("old", "the old status", STATUSES), words("new", "the new status", STATUSES)];
pub(super) const PRIORITY_CHANGE: &[Field] =
    &[ranked("old", "the old priority", PRIORITIES), ranked("new", "the new priority", PRIORITIES)];
pub(super) const WHOSE_CHANGE: &[Field] =
    &[text("old", "the old assignee"), text("new", "the new assignee")];
pub(super) const DUE_CHANGE: &[Field] =
    &[moment("old", "the old due date"), moment("new", "the new due date")];
pub(super) const COMMENT: &[Field] =
    &[text("text", "the text"), list("mentions", "who is mentioned")];
pub(super) const DELIVERED: &[Field] = &[text("deliverable", "the deliverable’s title")];
pub(super) const DECIDED: &[Field] = &[
    text("deliverable", "the deliverable’s title"),
    words("verdict", "the verdict", VERDICTS),
    text("text", "the note"),
];
pub(super) const AGENT: &[Field] = &[
    text("agent", "the agent"),
    text("reason", "what went wrong"),
    text("title", "what it worked on"),
    text("run", "the run"),
];
pub(super) const STANDING: &[Field] = &[
    text("agent", "the agent"),
    text("reason", "why"),
    words("old", "the old status", AGENT_STATUSES),
    words("new", "the new status", AGENT_STATUSES),
];
pub(super) const ONLY_AGENT: &[Field] = &[text("agent", "the agent")];
pub(super) const RUN: &[Field] = &[
    text("agent", "the agent"),
    text("run", "the run"),
    text("title", "what it works on"),
    text("task", "the task’s number"),
];
pub(super) const OUTCOME: &[Field] =
    &[text("outcome", "how it ended"), text("reason", "the result, in the agent’s words")];
pub(super) const ITEM: &[Field] = &[
    text("agent", "the agent"),
    text("kind", "the kind of the item"),
    text("state", "the item’s state"),
    ranked("priority", "the item’s priority", PRIORITIES),
    text("task", "the task’s number"),
    text("reason", "what went wrong"),
];
pub(super) const MEMBER: &[Field] = &[text("title", "the member’s name")];
pub(super) const ROLE_CHANGE: &[Field] =
    &[words("old", "the old role", ROLES), words("new", "the new role", ROLES)];
pub(super) const BUDGET: &[Field] =
    &[text("title", "whose budget it is"), text("period", "the budget’s period")];
