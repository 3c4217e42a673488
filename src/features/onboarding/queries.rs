//! Reads of a set-up.

use super::model::{Intent, MissionAway, Onboarding};
use super::presets::{self, Preset};
use super::rules::{COLLECTION, CONTACTS};
use crate::agents::queries as agents;
use crate::tasks::model::BY_NUMBER;
use kernel::AccountId;
use store::{Range, Read, ReadExt, StoreError};

/// The set-up of the workspace while it is not over.
pub fn open(tx: &dyn Read) -> Result<Option<Onboarding>, StoreError> {
    Ok(tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_none()))
}

/// What the kind of work of a set-up that is over brings along and was not prepared yet, with the words of what was.
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

/// The first task that suits an agent of a template, with a place in brackets to be filled in: where the kind of work
/// suggests that template, the task that belongs to the work, else the template's own.
pub fn first_task(tx: &dyn Read, template: &str) -> Result<&'static str, StoreError> {
    let intent = tx.get::<Onboarding>(())?.and_then(|one| one.intent);
    let hire = &presets::of(intent.unwrap_or(Intent::Explore)).hire;
    let own = agents::first_task(template).filter(|_| template != hire.template);
    Ok(own.unwrap_or(hire.task))
}

/// Whether the owner is led to the steps in place of an empty dashboard: while they are open and nobody is hired.
pub fn leads(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(open(tx)?.is_some() && agents::all(tx)?.is_empty())
}

/// Whether somebody is shown what is worth a try: after a set-up in steps, until they put it away.
pub fn shows_mission(read: &dyn Read, who: AccountId) -> Result<bool, StoreError> {
    let is_over = read.get::<Onboarding>(())?.is_some_and(|one| one.done_at.is_some());
    Ok(is_over && read.get::<MissionAway>(who)?.is_none())
}

/// Whether the workspace has no task at all.
pub fn is_untouched(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(BY_NUMBER, &Range::all().limit(1))? == 0)
}
