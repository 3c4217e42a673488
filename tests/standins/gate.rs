//! Holds calls of an app back until a test lets them go.

use tokio::sync::watch;

/// Open at first.
#[derive(Default)]
pub struct Gate {
    /// Number of calls that came since it was closed; `None` while it is open.
    held: watch::Sender<Option<usize>>,
}

impl Gate {
    pub fn close(&self) {
        self.held.send_replace(Some(0));
    }

    pub fn open(&self) {
        self.held.send_replace(None);
    }

    /// Waits while it is closed.
    pub async fn pass(&self) {
        let mut held = self.held.subscribe();
        self.held.send_if_modified(|held| held.as_mut().map(|count| *count += 1).is_some());
        // ok: the sender lives as long as `self`.
        let _ = held.wait_for(Option::is_none).await;
    }

    /// Waits until a call is held back.
    pub async fn wait_held(&self) {
        let mut held = self.held.subscribe();
        // ok: the sender lives as long as `self`.
        let _ = held.wait_for(|held| held.is_none_or(|count| 0 < count)).await;
    }
}
