//! Reads of the onboarding state.

use super::model::{Intent, KeylessAnswer, MissionAway, Onboarding};
use super::presets::{self, Preset};
use super::rules::{COLLECTION, CONTACTS};
use crate::agents::queries as agents;
use crate::tasks::model::BY_NUMBER;
use kernel::AccountId;
use store::{Range, Read, ReadExt, StoreError};

/// Onboarding state, unless it is finished.
pub fn open(tx: &dyn Read) -> Result<Option<Onboarding>, StoreError> {
    Ok(tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_none()))
}

/// Preset of a finished onboarding with the kinds that are not prepared yet. `None` if there are none.
pub fn owed(tx: &dyn Read) -> Result<Option<(&'static Preset, Vec<&'static str>)>, StoreError> {
    let Some(over) = tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_some()) else {
        return Ok(None);
    };
    let Some(intent) = over.intent else { return Ok(None) };
    let done = [CONTACTS, COLLECTION]
        .into_iter()
        .filter(|kind| over.prepared.iter().any(|one| one == kind));
    let (preset, done): (_, Vec<_>) = (presets::of(intent), done.collect());
    let owes = (preset.contacts.is_some() && !done.contains(&CONTACTS))
        || (preset.collection.is_some() && !done.contains(&COLLECTION));
    Ok(owes.then_some((preset, done)))
}

/// Suggested first task for an agent of this template, with a placeholder in brackets: the task of the purpose if it
/// suggests this template, else the template's own.
pub fn first_task(tx: &dyn Read, template: &str) -> Result<&'static str, StoreError> {
    let intent = tx.get::<Onboarding>(())?.and_then(|one| one.intent);
    let first = &presets::of(intent.unwrap_or(Intent::Explore)).agent;
    let own = agents::first_task(template).filter(|_| template != first.template);
    Ok(own.unwrap_or(first.task))
}

/// The placeholder of a suggested task, with its brackets.
#[must_use]
pub fn gap(task: &str) -> Option<&str> {
    let start = task.find('[')?;
    let end = start + task.get(start..)?.find(']')?;
    task.get(start..=end)
}

/// Returns `true` if the owner should be led to onboarding instead of an empty dashboard: it is unfinished and there is
/// no agent.
pub fn leads(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(open(tx)?.is_some() && agents::all(tx)?.is_empty())
}

/// Returns `true` if suggestions are shown to this person: onboarding is finished and they were not dismissed.
pub fn shows_mission(read: &dyn Read, who: AccountId) -> Result<bool, StoreError> {
    let is_over = read.get::<Onboarding>(())?.is_some_and(|one| one.done_at.is_some());
    Ok(is_over && read.get::<MissionAway>(who)?.is_none())
}

/// Returns `true` if the workspace has no tasks.
pub fn is_untouched(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(BY_NUMBER, &Range::all().limit(1))? == 0)
}

/// Makers of the free search services, as the consent question names them.
pub const KEYLESS_MAKERS: &str = "Parallel, Firecrawl and Tavily";

/// Returns `true` if nobody has decided yet whether agents may search at services without an account.
pub fn asks_keyless(read: &dyn Read) -> Result<bool, StoreError> {
    Ok(read.get::<KeylessAnswer>(())?.is_none())
}
