//! All browsers of the program, one per agent: created at first use, few running at once, monitored together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::BrowserError;
use crate::launch::{Browser, Tended};
use crate::live_view::{Driver, Stage, Take, Watcher};
use crate::setup::Setup;

/// Maximum number of running browsers.
pub const MOST_RUNNING: usize = 2;

/// How long a person waits for control.
const WAITS: Duration = Duration::from_secs(5);

/// Workspace and agent of a browser.
pub type Key = (Uuid, Uuid);

/// The last use of a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    pub tab: u32,
    /// The run that used it.
    pub run: Uuid,
}

struct Place {
    browser: Browser,
    /// Held by the acting caller.
    turn: Arc<tokio::sync::Mutex<()>>,
    last: Option<Last>,
    /// State of the live view.
    stage: Arc<Stage>,
}

/// Browsers by workspace and agent.
#[derive(Default)]
pub struct Browsers(Mutex<HashMap<Key, Place>>);

impl Browsers {
    /// The agent's browser, if it was created.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Browser> {
        self.0.lock().get(&key).map(|place| place.browser.clone())
    }

    /// The agent's browser, created if needed. It starts at its first use.
    pub fn of(&self, key: Key, make: impl FnOnce() -> Setup) -> Browser {
        let mut all = self.0.lock();
        let place = all.entry(key).or_insert_with(|| Place {
            browser: Browser::new(make()),
            turn: Arc::default(),
            last: None,
            stage: Arc::default(),
        });
        place.browser.clone()
    }

    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.0.lock().keys().copied().collect()
    }

    /// Waits for exclusive use of a browser; the guard keeps others from acting. `None` if there is no such browser.
    pub async fn turn(&self, key: Key) -> Option<OwnedMutexGuard<()>> {
        let turn = self.0.lock().get(&key).map(|place| Arc::clone(&place.turn))?;
        Some(turn.lock_owned().await)
    }

    #[must_use]
    pub fn last(&self, key: Key) -> Option<Last> {
        self.0.lock().get(&key).and_then(|place| place.last)
    }

    /// The last run that used each tab.
    #[must_use]
    pub fn runs(&self, key: Key) -> BTreeMap<u32, Uuid> {
        self.get(key).map(|browser| browser.runs()).unwrap_or_default()
    }

    /// Records a use.
    pub fn note(&self, key: Key, last: Last) {
        if let Some(place) = self.0.lock().get_mut(&key) {
            place.last = Some(last);
            place.browser.note_run(last.tab, last.run);
            place.stage.work_in(last.tab);
        }
    }

    #[must_use]
    pub fn stage(&self, key: Key) -> Option<Arc<Stage>> {
        self.0.lock().get(&key).map(|place| Arc::clone(&place.stage))
    }

    /// Creates a watcher of a browser.
    #[must_use]
    pub fn watch(&self, key: Key, who: Uuid) -> Option<Watcher> {
        let (stage, browser) = {
            let all = self.0.lock();
            let place = all.get(&key)?;
            (Arc::clone(&place.stage), place.browser.clone())
        };
        Some(Watcher::new(stage, browser, who))
    }

    /// Gives a person control once the agent's current act has ended.
    ///
    /// # Errors
    /// When somebody else is in control, or the browser no longer exists.
    pub async fn take_wheel(
        &self,
        key: Key,
        driver: Driver,
        how: Take,
    ) -> Result<(), BrowserError> {
        let (stage, turn) = {
            let all = self.0.lock();
            let place = all.get(&key).ok_or(BrowserError::Ended)?;
            (Arc::clone(&place.stage), Arc::clone(&place.turn))
        };
        stage.may_be_taken(&driver)?;
        if let Some(passed) = stage.pass_to(&driver, how) {
            return passed;
        }
        let _wanted = stage.want();
        match tokio::time::timeout(WAITS, turn.lock_owned()).await {
            Ok(turn) => {
                stage.may_be_taken(&driver)?;
                stage.give(driver, turn);
                Ok(())
            }
            // Somebody else was faster.
            Err(_elapsed) => {
                let late = BrowserError::TimedOut { method: "taking control", within: WAITS };
                stage.pass_to(&driver, how).unwrap_or(Err(late))
            }
        }
    }

    /// Takes control from people who were idle for too long; returns them.
    pub fn take_idle_wheels(&self) -> Vec<(Key, Driver)> {
        let stages: Vec<(Key, Arc<Stage>)> = {
            let all = self.0.lock();
            all.iter().map(|(key, place)| (*key, Arc::clone(&place.stage))).collect()
        };
        let idle = |(key, stage): (Key, Arc<Stage>)| Some((key, stage.hand_back(None, "")?));
        stages.into_iter().filter_map(idle).collect()
    }

    /// Stops other browsers until this one may run: first those without an act, of these the longest unused.
    pub async fn make_room(&self, key: Key) {
        let mut others: Vec<_> = {
            let all = self.0.lock();
            all.iter()
                .filter(|(other, place)| **other != key && place.browser.is_running())
                .map(|(_, place)| {
                    let is_busy = place.turn.try_lock().is_err();
                    (is_busy, place.browser.used(), place.browser.clone())
                })
                .collect()
        };
        others.sort_by_key(|(is_busy, used, _)| (*is_busy, *used));
        let too_many = (others.len() + 1).saturating_sub(MOST_RUNNING);
        for (_, _, browser) in others.into_iter().take(too_many) {
            browser.stop().await;
        }
    }

    /// Monitors all browsers. Call this every few seconds.
    pub async fn tend(&self) {
        let all: Vec<(Key, Browser, Arc<Stage>)> = {
            let all = self.0.lock();
            let one = |(key, place): (&Key, &Place)| {
                (*key, place.browser.clone(), Arc::clone(&place.stage))
            };
            all.iter().map(one).collect()
        };
        let each = all.into_iter().map(|((_, agent), browser, stage)| async move {
            stage.settle(&browser).await;
            match browser.tend().await {
                Tended::Ended(why) => {
                    tracing::warn!(agent.id = %agent, "ended the browser of agent {agent}: {why}");
                }
                Tended::Idle => {
                    tracing::info!(agent.id = %agent, "stopped the idle browser of agent {agent}");
                }
                Tended::Stopped | Tended::Fine(_) => {}
            }
        });
        future::join_all(each).await;
    }

    /// Stops a browser and removes it from the list; its files stay.
    pub async fn forget(&self, key: Key) {
        let place = self.0.lock().remove(&key);
        if let Some(place) = place {
            place.browser.stop().await;
        }
    }

    /// Stops and removes the browsers of a workspace.
    pub async fn forget_of(&self, workspace: Uuid) {
        let keys = self.keys().into_iter().filter(|(of, _)| *of == workspace);
        future::join_all(keys.map(|key| self.forget(key))).await;
    }

    pub async fn stop_all(&self) {
        let all: Vec<Browser> = {
            let all = self.0.lock();
            all.values().map(|place| place.browser.clone()).collect()
        };
        future::join_all(all.iter().map(Browser::stop)).await;
    }
}
