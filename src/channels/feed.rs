//! Waiting for changes of some tables.

use std::sync::Arc;

use store::{Entry, Table};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Waits until a row of one of the tables changes. Returns `false` at the end of the feed.
pub(crate) async fn changed(feed: &mut Receiver<Arc<Entry>>, tables: &[Table]) -> bool {
    let is_one = |number: u16| tables.iter().any(|table| table.number == number);
    loop {
        match feed.recv().await {
            Ok(entry) if entry.changes.iter().any(|change| is_one(change.table)) => return true,
            Ok(_) => {}
            // The change may be among the entries that were missed.
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
