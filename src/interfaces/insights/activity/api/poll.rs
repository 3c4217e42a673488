//! A long poll: looks again at each commit until there is something, the time is over, or HQ ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use app::{App, Ws};
use web::error::ApiError;
use web::session::Alive;

/// One request that waits.
pub(super) struct Poll<'a> {
    app: &'a App,
    alive: &'a Alive,
    head: watch::Receiver<u64>,
    /// Who may see what can change with the accounts alone.
    accounts: watch::Receiver<u64>,
    end: Instant,
    /// When it has looked long enough at what lies behind.
    enough: Instant,
}

impl<'a> Poll<'a> {
    pub(super) fn new(app: &'a App, ws: &Ws, alive: &'a Alive, wait: Duration) -> Self {
        let (head, accounts, begun) = (ws.store.watch(), app.system.watch(), Instant::now());
        Self { app, alive, head, accounts, end: begun + wait, enough: begun + app.look }
    }

    /// Before each look: what is committed from here on is looked at again.
    pub(super) fn look(&mut self) {
        self.head.borrow_and_update();
    }

    /// Whether an answer goes out that holds nothing. Who is behind has not seen all that there is yet.
    pub(super) fn is_over(&self, is_behind: bool) -> bool {
        let over = if is_behind { self.enough } else { self.end } <= Instant::now();
        over || self.app.stopping.is_cancelled()
    }

    /// Waits until there may be more to see.
    ///
    /// # Errors
    /// When what let the request in does so no more.
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
