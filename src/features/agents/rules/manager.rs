//! Whom an agent reports to.

use crate::kernel::AccountId;
use crate::store::{StoreError, WriteTx};

use super::super::queries;

/// Lets the agents that report to one member report to another, archived ones too. Says how many.
///
/// # Errors
/// When the store fails.
pub fn hand_over(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: AccountId,
) -> Result<usize, StoreError> {
    let agents = queries::reporting_to(tx, from)?;
    let count = agents.len();
    for mut agent in agents {
        agent.reports_to = Some(to);
        agent.updated_at = tx.now();
        tx.put(&agent)?;
    }
    Ok(count)
}
