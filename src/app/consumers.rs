//! The durable consumers of the feed. Each has one task per workspace, woken by the feed. `server` runs them; pages
//! show their state.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use store::StoreError;
use store::consumer::{Consume, Standing};

use crate::Ws;

/// The first pause before a failed entry is retried.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause doubles with each retry, at most this many times.
const DOUBLINGS: u32 = 7;

/// A custom feed follower, such as the one that updates vectors outside the store. It uses dead letters like a
/// consumer.
#[derive(Clone)]
pub struct Follower {
    /// Its number and name, and the handler for retried dead letters.
    pub letters: Arc<dyn Consume>,
    /// Its state; `None` if there is nothing to follow.
    pub standing: fn(&Ws) -> Result<Option<Standing>, StoreError>,
}

pub struct Consumers {
    all: Vec<Arc<dyn Consume>>,
    followers: Vec<Follower>,
    pause: Duration,
    nudges: watch::Sender<u64>,
}

impl Default for Consumers {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Consumers {
    /// Registers consumers.
    ///
    /// # Panics
    /// When a number or name is used twice. This is a programming error that must stop the first start.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Consume>>) -> Self {
        for (at, one) in all.iter().enumerate() {
            let other = all[..at]
                .iter()
                .find(|other| other.number() == one.number() || other.name() == one.name());
            assert!(other.is_none(), "the consumer {} is registered twice", one.name());
        }
        Self { all, followers: Vec::new(), pause: PAUSE, nudges: watch::Sender::new(0) }
    }

    /// Adds custom followers.
    #[must_use]
    pub fn beside(mut self, followers: Vec<Follower>) -> Self {
        self.followers = followers;
        self
    }

    /// Sets the first pause.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Consume>] {
        &self.all
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Consume>> {
        self.all.iter().find(|one| one.name() == name)
    }

    /// Custom followers.
    #[must_use]
    pub fn followers(&self) -> &[Follower] {
        &self.followers
    }

    #[must_use]
    pub fn follower(&self, name: &str) -> Option<&Follower> {
        self.followers.iter().find(|one| one.letters.name() == name)
    }

    /// Wakes all consumers after a person moved or resumed one, which is no feed entry.
    pub fn nudge(&self) {
        self.nudges.send_modify(|n| *n += 1);
    }

    /// Notifies about [`Consumers::nudge`].
    #[must_use]
    pub fn nudges(&self) -> watch::Receiver<u64> {
        self.nudges.subscribe()
    }

    /// Pause after this many tries of an entry.
    #[must_use]
    pub fn pause_after(&self, tries: u32) -> Duration {
        self.pause * 2_u32.pow(tries.saturating_sub(1).min(DOUBLINGS))
    }
}

#[cfg(test)]
mod tests {
    use super::Consumers;
    use std::time::Duration;

    #[test]
    fn the_pause_between_tries_doubles_and_has_an_end() {
        let all = Consumers::default().pausing(Duration::from_millis(100));
        let waits: Vec<_> = (1..=4).map(|n| all.pause_after(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800]);
        assert_eq!(all.pause_after(500), all.pause_after(8));
    }
}
