//! What happens to money when something else changes.

use crate::kernel::Event;
use crate::store::WriteTx;

use super::rules::{self, UsageError};

/// Handles one event.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), UsageError> {
    match event {
        // A run that was ended over a call's head leaves nothing held back for it.
        Event::RunEnded { run, .. } => {
            rules::book_left(tx, *run)?;
            rules::wait_over(tx, *run)
        }
        _ => Ok(()),
    }
}
