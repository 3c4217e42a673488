//! Long polling: repeats a read after each commit until there is a result, the time is over, or HQ stops.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use app::{App, Ws};
use web::error::ApiError;
use web::session::Alive;

/// A pending request.
pub(super) struct Poll<'a> {
    app: &'a App,
    alive: &'a Alive,
    head: watch::Receiver<u64>,
    /// Changes of the accounts store, which can affect access.
    accounts: watch::Receiver<u64>,
    end: Instant,
    /// When to stop reading the backlog.
    enough: Instant,
}

impl<'a> Poll<'a> {
    pub(super) fn new(app: &'a App, ws: &Ws, alive: &'a Alive, wait: Duration) -> Self {
        let (head, accounts, begun) = (ws.store.watch(), app.system.watch(), Instant::now());
        Self { app, alive, head, accounts, end: begun + wait, enough: begun + app.look }
    }

    /// Call before each read: later commits then trigger another read.
    pub(super) fn mark_seen(&mut self) {
        self.head.borrow_and_update();
    }

    /// Whether to respond without a result. `is_behind` states that the read did not reach the head of the feed.
    pub(super) fn is_over(&self, is_behind: bool) -> bool {
        let over = if is_behind { self.enough } else { self.end } <= Instant::now();
        over || self.app.stopping.is_cancelled()
    }

    /// Waits until another read may give a result.
    ///
    /// # Errors
    /// The caller has lost access.
    pub(super) async fn more(&mut self, is_behind: bool) -> Result<(), ApiError> {
        if !is_behind {
            tokio::select! {
                _ = self.head.changed() => {}
                _ = self.accounts.changed() => {}
                () = tokio::time::sleep_until(self.end) => {}
                () = self.app.stopping.cancelled() => {}
            }
            self.enough = Instant::now() + self.app.look;
        }
        if (self.alive.0)() { Ok(()) } else { Err(ApiError::unauthorized()) }
    }
}
