//! Filter keys of tasks.

use kernel::filter::{Key, Kind, Words};

/// All keys, in the order in which a query is written.
pub const KEYS: &[Key] = &[
    Key::of("status", Kind::Words(STATUSES), "Where it stands"),
    Key::of("is", Kind::Words(BEINGS), "In this state"),
    Key::of(
        "assignee",
        Kind::Names(&[("me", "Me"), ("none", "Nobody"), ("any", "Somebody"), ("hq", "HQ")]),
        "Who has it",
    ),
    Key::of("creator", Kind::Names(&[("me", "Me"), ("hq", "HQ")]), "Who made it"),
    Key::of("watcher", Kind::Names(&[("me", "Me")]), "Who follows it"),
    Key::of("agent-state", Kind::Words(AGENT_STATES), "What its agent does"),
    Key::of("stream", Kind::Names(NONE_OR_ANY), "The stream it is in"),
    Key::of("label", Kind::Names(NONE_OR_ANY), "A label on it"),
    Key::of("priority", Kind::Words(PRIORITIES), "How urgent it is"),
    Key::of("due", Kind::Date, "When it is due"),
    Key::of("start", Kind::Date, "When it may begin"),
    Key::of("created", Kind::Date, "When it was made"),
    Key::of("updated", Kind::Date, "When it last changed"),
    Key::of("done", Kind::Date, "When it was done"),
    Key::of(
        "parent",
        Kind::Names(&[("none", "Of its own"), ("any", "A part of another")]),
        "What it is a part of",
    ),
    Key::of("series", Kind::Names(NONE_OR_ANY), "The recurring task it comes from"),
    Key::of("template", Kind::Names(NONE_OR_ANY), "The template it was made from"),
    Key::of("collection", Kind::Later("Collections are not here yet"), ""),
    Key::of("has", Kind::Words(BELONGINGS), "With something"),
    Key::of("waiting", Kind::Names(&[("me", "Me"), ("any", "Anybody")]), "Who has to act"),
    Key::of("blocks", Kind::Names(NONE_OR_ANY), "The task that waits for it"),
    Key::of("blocked-by", Kind::Names(NONE_OR_ANY), "The task it waits for"),
    Key::of("cost", Kind::Number, "What it cost, in dollars"),
    Key::of("id", Kind::Number, "Its number"),
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
    ("unread", "With unread news"),
];
const BELONGINGS: Words = &[
    ("deliverable", "Delivered work"),
    ("attachment", "A file"),
    ("comment", "A comment"),
    ("subtasks", "Subtasks"),
    ("run", "A run"),
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
