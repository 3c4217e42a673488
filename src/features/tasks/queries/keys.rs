//! Filter keys of tasks.

use kernel::filter::{Key, Kind, Words};

/// All keys, in the order in which a query is written.
pub const KEYS: &[Key] = &[
    Key::of("status", Kind::Words(STATUSES), "Status"),
    Key::of("is", Kind::Words(BEINGS), "State"),
    Key::of(
        "assignee",
        Kind::Names(&[("me", "Me"), ("none", "Unassigned"), ("any", "Anyone"), ("hq", "HQ")]),
        "Assignee",
    ),
    Key::of("creator", Kind::Names(&[("me", "Me"), ("hq", "HQ")]), "Created by"),
    Key::of("watcher", Kind::Names(&[("me", "Me")]), "Followed by"),
    Key::of("agent-state", Kind::Words(AGENT_STATES), "State of its agent"),
    Key::of("stream", Kind::Names(NONE_OR_ANY), "Stream"),
    Key::of("label", Kind::Names(NONE_OR_ANY), "Label"),
    Key::of("priority", Kind::Words(PRIORITIES), "Priority"),
    Key::of("due", Kind::Date, "Due date"),
    Key::of("start", Kind::Date, "Start date"),
    Key::of("created", Kind::Date, "Created date"),
    Key::of("updated", Kind::Date, "Last changed"),
    Key::of("done", Kind::Date, "Completed date"),
    Key::of("parent", Kind::Names(&[("none", "No parent"), ("any", "Any parent")]), "Parent task"),
    Key::of("series", Kind::Names(NONE_OR_ANY), "Recurring task"),
    Key::of("template", Kind::Names(NONE_OR_ANY), "Task template"),
    Key::of("collection", Kind::Later("Collections aren’t available yet"), ""),
    Key::of("has", Kind::Words(BELONGINGS), "Contains"),
    Key::of("waiting", Kind::Names(&[("me", "Me"), ("any", "Anyone")]), "Waiting for"),
    Key::of("blocks", Kind::Names(NONE_OR_ANY), "Blocks a task"),
    Key::of("blocked-by", Kind::Names(NONE_OR_ANY), "Blocked by a task"),
    Key::of("cost", Kind::Number, "Cost in dollars"),
    Key::of("id", Kind::Number, "Task number"),
];

const NONE_OR_ANY: Words = &[("none", "None"), ("any", "Any")];
const STATUSES: Words = &[
    ("todo", "To do"),
    ("in_progress", "In progress"),
    ("in_review", "In review"),
    ("blocked", "Blocked"),
    ("done", "Done"),
    ("cancelled", "Cancelled"),
    ("missed", "Missed"),
];
const PRIORITIES: Words =
    &[("urgent", "Urgent"), ("high", "High"), ("medium", "Medium"), ("low", "Low")];
const BEINGS: Words = &[
    ("open", "Open"),
    ("closed", "Closed"),
    ("overdue", "Overdue"),
    ("blocked", "Blocked"),
    ("in-review", "In review"),
    ("archived", "Archived"),
    ("mine", "Mine"),
    ("unread", "Unread"),
];
const BELONGINGS: Words = &[
    ("deliverable", "Delivered work"),
    ("attachment", "File"),
    ("comment", "Comment"),
    ("subtasks", "Subtasks"),
    ("run", "Run"),
];
const AGENT_STATES: Words = &[
    ("working", "Working"),
    ("ready", "Ready"),
    ("paused", "Paused"),
    ("error", "Needs attention"),
    ("hibernating", "Asleep"),
    ("provisioning", "Setting up"),
];

#[cfg(test)]
mod tests {
    use super::{KEYS, PRIORITIES, STATUSES};
    use crate::tasks::queries::standing;
    use kernel::filter::Kind;
    use kernel::{Priority, TaskStatus};

    #[test]
    fn every_status_and_priority_can_be_asked_for() {
        let words = |all: &[(&str, &str)]| {
            all.iter()
                .map(|(word, label)| ((*word).to_owned(), (*label).to_owned()))
                .collect::<Vec<_>>()
        };
        let own = |(word, label): (&str, &str)| (word.to_owned(), label.to_owned());
        let mut statuses: Vec<_> =
            TaskStatus::ALL.iter().map(|one| own((one.word(), one.label()))).collect();
        // In review follows in progress, like its group.
        statuses.insert(2, own(standing::review()));
        assert_eq!(words(STATUSES), statuses);
        let priorities: Vec<_> = Priority::ALL
            .iter()
            .rev()
            .map(|one| (one.word().to_owned(), one.label().to_owned()))
            .collect();
        assert_eq!(words(PRIORITIES), priorities);
    }

    #[test]
    fn what_is_not_here_yet_says_so_in_a_sentence() {
        for key in KEYS {
            if let Kind::Later(what) = key.kind {
                assert!(what.starts_with(char::is_uppercase), "{}", key.name);
            } else {
                assert!(!key.about.is_empty(), "{}", key.name);
            }
        }
    }
}
