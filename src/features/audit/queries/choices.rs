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
    ("backup.made", "Backup created"),
    ("browser.wheel", "Browser control changed"),
    ("consumer.changed", "Consumer paused, resumed or moved"),
    ("counting.reset", "Token counting reset"),
    ("input.queued", "Message sent to agent"),
    ("item.ended", "Inbox item closed"),
    ("item.enqueued", "Inbox item added"),
    ("member.handed_over", "Work handed over"),
    ("notice.given", "Notification sent"),
    ("routine.fired", "Routine ran"),
    ("row", "Record changed"),
    ("run.answered", "Run wait ended"),
    ("run.asks", "Run waits for a person"),
    ("runs.taken_up", "Runs continued after a restart"),
    ("session.compaction_asked", "Compaction requested"),
    ("store.mended", "Store repaired"),
    ("store.restored", "Workspace restored"),
    ("subagent.ended", "Sub-agent ended"),
    ("subagent.spawned", "Sub-agent created"),
    ("task.start_asked", "Task start requested"),
    ("undo.applied", "Change undone"),
    ("work.halted", "Work paused"),
];

/// Event kinds.
#[must_use]
pub fn events(chosen: Option<&str>) -> Vec<Choice> {
    let any = Choice::new("", "Anything", chosen.is_none());
    let label = |name: &str| match EVENTS.iter().find(|(word, _)| *word == name) {
        Some((_, label)) => (*label).to_owned(),
        None => sentence(&name.replace(['.', '_'], " ")).trim_end_matches('.').to_owned(),
    };
    let all = cards::event_names().map(|name| Choice::new(name, label(name), chosen == Some(name)));
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
