//! The durable consumers of this program: each has a task of its own in every workspace, woken by the
//! feed. `server` runs them; pages show where they stand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use store::StoreError;
use store::consumer::{Consume, Standing};

use crate::Ws;

/// The first pause before an entry that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause doubles with each try, up to this many times.
const DOUBLINGS: u32 = 7;

/// Somebody who follows the feed in a way of its own, such as what keeps vectors beside the store, and puts what it cannot
/// take to dead letters as a consumer does.
#[derive(Clone)]
pub struct Follower {
    /// Its dead letters: its number and name, and what is done when a person wants one tried again.
    pub letters: Arc<dyn Consume>,
    /// Where it stands; none where there is nothing to follow.
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
    /// These consumers. Numbers and names are never used twice.
    ///
    /// # Panics
    /// When they are: a mistake of the program's source that must be seen at the first start.
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

    /// The same with these followers beside them.
    #[must_use]
    pub fn beside(mut self, followers: Vec<Follower>) -> Self {
        self.followers = followers;
        self
    }

    /// The same with another first pause.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Consume>] {
        &self.all
    }

    /// The one of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Consume>> {
        self.all.iter().find(|one| one.name() == name)
    }

    /// Those who follow the feed in a way of their own.
    #[must_use]
    pub fn followers(&self) -> &[Follower] {
        &self.followers
    }

    /// The follower of this name.
    #[must_use]
    pub fn follower(&self, name: &str) -> Option<&Follower> {
        self.followers.iter().find(|one| one.letters.name() == name)
    }

    /// Wakes all of them: somebody moved one, or let it go on, which is no entry of the feed.
    pub fn nudge(&self) {
        self.nudges.send_modify(|n| *n += 1);
    }

    /// Hears nudges.
    #[must_use]
    pub fn nudges(&self) -> watch::Receiver<u64> {
        self.nudges.subscribe()
    }

    /// How long to wait after so many tries of an entry.
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
