//! Process-wide state of provider connections: a lock per account, so that only one task refreshes its tokens, and
//! what was learned about its server and models.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use kernel::ConnectionId;
use providers::Lessons;
use providers::account::Ways;
use providers::quota::Gauge;

/// Shared state of one account.
#[derive(Default)]
pub struct Account {
    /// Held during a token refresh, until the new tokens are stored.
    pub turn: tokio::sync::Mutex<()>,
    /// Protocol of each model.
    pub ways: Arc<Ways>,
    /// Remaining quota.
    pub gauge: Gauge,
    /// Server address and what was learned about this server.
    taught: Mutex<(String, Lessons)>,
}

impl Account {
    /// What was learned about the server at this address. Starts empty when the address changes.
    #[must_use]
    pub fn lessons(&self, address: &str) -> Lessons {
        let mut taught = self.taught.lock();
        if taught.0 != address {
            *taught = (address.to_owned(), Lessons::default());
        }
        taught.1.clone()
    }

    /// Forgets what was learned about the server.
    pub fn forget_lessons(&self) {
        self.taught.lock().1.forget();
    }
}

/// Accounts of the process by connection.
pub struct Accounts {
    all: Mutex<HashMap<ConnectionId, Arc<Account>>>,
    begun: watch::Sender<u64>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { all: Mutex::default(), begun: watch::Sender::new(0) }
    }
}

impl Accounts {
    /// Shared state of a connection's account.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Arc<Account> {
        Arc::clone(self.all.lock().entry(connection).or_default())
    }

    /// Announces that a sign-in started or ended.
    pub fn nudge(&self) {
        self.begun.send_modify(|n| *n += 1);
    }

    /// Notifies about sign-ins that start or end.
    #[must_use]
    pub fn nudges(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Accounts;
    use kernel::{ConnectionId, TypedId};

    #[test]
    fn there_is_one_turn_at_an_account() {
        let accounts = Accounts::default();
        let id = |n| ConnectionId::from_bytes([n; 16]);
        assert!(Arc::ptr_eq(&accounts.of(id(1)), &accounts.of(id(1))));
        assert!(!Arc::ptr_eq(&accounts.of(id(1)), &accounts.of(id(2))));
    }
}
