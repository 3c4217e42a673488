//! Waiting for changes by other writers.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use store::{Entry, Table};

/// Waits for a change in one of these tables, or until entries were missed. Returns `false` when the store is closed.
pub(super) async fn changed(feed: &mut Receiver<Arc<Entry>>, tables: &[Table]) -> bool {
    let is_one = |number: u16| tables.iter().any(|table| table.number == number);
    loop {
        match feed.recv().await {
            Ok(entry) if entry.changes.iter().any(|change| is_one(change.table)) => {
                return true;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
