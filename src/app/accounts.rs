//! Connections to providers, as the process shares them: one turn at the account of each, so that no two ask its
//! maker for new tokens at the same time, and what was learned of its server and models.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use kernel::ConnectionId;
use providers::Lessons;
use providers::account::Ways;
use providers::quota::Gauge;

/// What is shared of one account.
#[derive(Default)]
pub struct Account {
    /// Held by whoever asks the maker for tokens, until the answer is kept.
    pub turn: tokio::sync::Mutex<()>,
    /// Over which protocol its models answer.
    pub ways: Arc<Ways>,
    /// What is left of what its account allows.
    pub gauge: Gauge,
    /// The address of its server, and what that has taught.
    taught: Mutex<(String, Lessons)>,
}

impl Account {
    /// What the server at this address has taught; another server has taught nothing yet.
    #[must_use]
    pub fn lessons(&self, address: &str) -> Lessons {
        let mut taught = self.taught.lock();
        if taught.0 != address {
            *taught = (address.to_owned(), Lessons::default());
        }
        taught.1.clone()
    }

    /// Forgets what its server has taught.
    pub fn forget_lessons(&self) {
        self.taught.lock().1.forget();
    }
}

/// All accounts of this process.
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
    /// What is shared of the account of a connection.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Arc<Account> {
        Arc::clone(self.all.lock().entry(connection).or_default())
    }

    /// Wakes whoever waits for sign-ins: one began or ended.
    pub fn nudge(&self) {
        self.begun.send_modify(|n| *n += 1);
    }

    /// Hears of sign-ins that begin and end.
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
