//! Reads of a set-up.

use super::model::{MissionAway, Onboarding};
use crate::agents::queries as agents;
use crate::tasks::model::BY_NUMBER;
use kernel::AccountId;
use store::{Range, Read, ReadExt, StoreError};

/// The set-up of the workspace while it is not over.
///
/// # Errors
/// When the store fails.
pub fn open(tx: &impl ReadExt) -> Result<Option<Onboarding>, StoreError> {
    Ok(tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_none()))
}

/// Whether the owner is led to the steps in place of an empty dashboard: while they are open and nobody is hired.
///
/// # Errors
/// When the store fails.
pub fn leads(tx: &impl ReadExt) -> Result<bool, StoreError> {
    Ok(open(tx)?.is_some() && agents::all(tx)?.is_empty())
}

/// Whether somebody is shown what is worth a try: after a set-up in steps, until they put it away.
///
/// # Errors
/// When the store fails.
pub fn shows_mission(read: &dyn Read, who: AccountId) -> Result<bool, StoreError> {
    let is_over = read.get::<Onboarding>(())?.is_some_and(|one| one.done_at.is_some());
    Ok(is_over && read.get::<MissionAway>(who)?.is_none())
}

/// Whether the workspace has no task at all.
///
/// # Errors
/// When the store fails.
pub fn is_untouched(tx: &impl ReadExt) -> Result<bool, StoreError> {
    Ok(tx.len(BY_NUMBER, &Range::all().limit(1))? == 0)
}
