//! What a person chooses from to filter entries.

use crate::features::tasks::queries::people::People;
use crate::kernel::{AccountId, Event};
use crate::web::form::sentence;
use crate::web::parts::Choice;

/// Everybody who does something.
#[must_use]
pub fn whose(people: &People, me: AccountId, chosen: Option<&str>) -> Vec<Choice> {
    let fixed = [
        ("", "Anybody"),
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

/// Everything that happens.
#[must_use]
pub fn events(chosen: Option<&str>) -> Vec<Choice> {
    let any = Choice::new("", "Anything", chosen.is_none());
    let label = |name: &str| {
        let words = name.replace(['.', '_'], " ");
        sentence(&words).trim_end_matches('.').to_owned()
    };
    let all =
        Event::NAMES.iter().map(|name| Choice::new(*name, label(name), chosen == Some(*name)));
    std::iter::once(any).chain(all).collect()
}
