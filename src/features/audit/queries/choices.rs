//! Options of the audit filters.

use crate::cards;
use crate::tasks::queries::people::People;
use kernel::AccountId;
use store::{Read, StoreError};
use web::form::sentence;
use web::parts::Choice;

use super::ask::CAUSES;

/// Actors.
#[must_use]
pub fn whose(people: &People, me: AccountId, chosen: Option<&str>) -> Vec<Choice> {
    let fixed = [
        ("", "Anyone"),
        ("people", "All people"),
        ("agents", "All agents"),
        ("system", "HQ itself"),
    ];
    let mut all: Vec<Choice> = fixed
        .iter()
        .map(|(value, label)| Choice::new(*value, *label, chosen.unwrap_or_default() == *value))
        .collect();
    let each = people.choices(None, me).into_iter().filter(|one| !one.value.is_empty());
    all.extend(each.map(|one| {
        let is = chosen == Some(one.value.as_str());
        Choice { chosen: is, ..one }
    }));
    all
}

/// Labels of events whose names would not read well.
const EVENTS: &[(&str, &str)] = &[
    ("account.factor_changed", "Sign-in method changed"),
    ("account.signed_in", "Signed in"),
    ("account.signed_out", "Signed out"),
    ("agent.moved", "Agent switched to another template"),
    ("agent.succeeded", "Agent’s work handed over"),
    ("approval.answered", "Approval request answered"),
    ("backup.made", "Backup created"),
    ("browser.wheel", "Browser control changed"),
    ("budget.reached", "Budget used up"),
    ("budget.warned", "Budget nearly used up"),
    ("consumer.changed", "Consumer paused, resumed or moved"),
    ("counting.reset", "Token counting reset"),
    ("input.queued", "Message sent to agent"),
    ("item.ended", "Inbox item closed"),
    ("item.enqueued", "Inbox item added"),
    ("job.input_sent", "Input sent to program"),
    ("member.handed_over", "Member’s work handed over"),
    ("notice.given", "Notification sent"),
    ("routine.fired", "Routine ran"),
    ("row", "Record changed"),
    ("run.answered", "Run resumed after waiting"),
    ("run.asks", "Run waiting for a person"),
    ("runs.taken_up", "Runs continued after a restart"),
    ("session.compaction_asked", "Conversation compaction requested"),
    ("store.mended", "Store repaired"),
    ("store.restored", "Workspace restored"),
    ("subagent.ended", "Sub-agent ended"),
    ("subagent.spawned", "Sub-agent created"),
    ("task.escalated", "Task escalated to manager"),
    ("task.start_asked", "Task start requested"),
    ("undo.applied", "Change undone"),
    ("work.halted", "Work paused"),
    ("workspace.added", "Workspace created"),
    ("workspace.removed", "Workspace deleted"),
    ("workspace.state_changed", "Workspace archived or restored"),
];

/// Names of nouns whose words would not read well.
const NOUNS: &[(&str, &str)] = &[
    ("agent_place", "agent placement"),
    ("browser_policy", "browser rules"),
    ("job", "program"),
    ("knowledge", "knowledge item"),
    ("knowledge_mark", "knowledge version mark"),
    ("knowledge_suggestion", "suggested knowledge"),
    ("model_choice", "semantic search model"),
    ("source_item", "source page"),
    ("suggestion", "suggested value"),
    ("vector_source", "semantic search connection"),
];

/// The label of an event: the noun and what happened to it.
fn event_label(name: &str) -> String {
    if let Some((_, label)) = EVENTS.iter().find(|(word, _)| *word == name) {
        return (*label).to_owned();
    }
    let (noun, act) = name.split_once('.').unwrap_or((name, ""));
    let noun = NOUNS.iter().find(|(word, _)| *word == noun).map_or(noun, |(_, label)| *label);
    let words = format!("{noun} {act}").replace('_', " ");
    sentence(words.trim()).trim_end_matches('.').to_owned()
}

/// Event kinds.
#[must_use]
pub fn events(chosen: Option<&str>) -> Vec<Choice> {
    let any = Choice::new("", "Anything", chosen.is_none());
    let choice = |name: &'static str| Choice::new(name, event_label(name), chosen == Some(name));
    let all = cards::event_names().map(choice);
    // A selected combination of several kinds stays selected.
    let several =
        chosen.filter(|text| !text.is_empty() && !cards::event_names().any(|name| name == *text));
    let several = several.map(|text| Choice::new(text, text, true));
    std::iter::once(any).chain(several).chain(all).collect()
}

/// Causes.
#[must_use]
pub fn causes(chosen: Option<&str>) -> Vec<Choice> {
    let any = Choice::new("", "Any cause", chosen.is_none());
    let all = CAUSES.iter().map(|(word, label)| Choice::new(*word, *label, chosen == Some(*word)));
    // A selected single cause stays selected.
    let one =
        chosen.filter(|text| !text.is_empty() && !CAUSES.iter().any(|(word, _)| word == text));
    let one = one.map(|text| Choice::new(text, text, true));
    std::iter::once(any).chain(one).chain(all).collect()
}

/// Routines, by name.
pub fn routines(read: &dyn Read, chosen: Option<&str>) -> Result<Vec<Choice>, StoreError> {
    let mut all = vec![Choice::new("", "Any", chosen.is_none())];
    for one in crate::routines::queries::all(read)? {
        let id = one.id.to_string();
        let is = chosen == Some(id.as_str())
            || chosen.is_some_and(|text| text.eq_ignore_ascii_case(&one.name));
        all.push(Choice::new(id, one.name, is));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{EVENTS, NOUNS, event_label, events};

    #[test]
    fn events_have_plain_labels_of_their_own() {
        let mut labels: Vec<String> = events(None).into_iter().map(|one| one.label).collect();
        for label in &labels {
            assert!(!label.contains(['.', '_']) && !label.contains("job"), "{label}");
            assert!(label.starts_with(char::is_uppercase), "{label}");
        }
        let all = labels.len();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), all, "two events have the same label");
        assert_eq!(event_label("job.stop_requested"), "Program stop requested");
        assert_eq!(event_label("master_key.changed"), "Master key changed");
    }

    #[test]
    fn labels_are_sorted_by_name() {
        assert!(EVENTS.is_sorted() && NOUNS.is_sorted());
    }
}
