//! Reads of a set-up.

use super::model::Onboarding;
use crate::agents::queries as agents;
use crate::tasks::model::BY_NUMBER;
use store::{Range, ReadExt, StoreError};

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

/// Whether the workspace has no task at all.
///
/// # Errors
/// When the store fails.
pub fn is_untouched(tx: &impl ReadExt) -> Result<bool, StoreError> {
    Ok(tx.len(BY_NUMBER, &Range::all().limit(1))? == 0)
}
