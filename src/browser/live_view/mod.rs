//! Live view and manual control of an agent's browser. Viewers share one screencast, one person can be in control, and
//! capture pauses while a credential is typed.
//!
//! Pictures are made only while somebody watches. During a pause only the person who types gets pictures, and none of
//! them is shown after it: each picture has the number of capture changes at its time.

mod dark;
mod expect;
mod watch;
mod wheel;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use tokio::sync::watch as channel;
use uuid::Uuid;

use crate::act::Spot;
use crate::screencast::Cast;
use dark::Dark;
pub use dark::Why;
pub use expect::Expected;
pub use watch::{Shown, Watcher};
pub use wheel::{Driver, Handed, Take};

/// State shared by all viewers and acting callers of a browser.
#[derive(Default)]
pub struct Stage {
    state: Mutex<State>,
    bell: channel::Sender<u64>,
    pictures: channel::Sender<Option<Arc<Shown>>>,
    /// Held by the viewer that receives pictures for all.
    cast: tokio::sync::Mutex<Option<watch::Running>>,
    watchers: AtomicUsize,
    /// Held while fields are checked.
    settling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The agent's tab.
    tab: Option<u32>,
    wheel: Option<wheel::Wheel>,
    /// Number of people who wait for control.
    wanted: u32,
    handed: Option<Handed>,
    dark: Option<Dark>,
    /// Number of times that capture was paused or resumed.
    light: u64,
    doing: String,
    /// Position of the next click.
    aim: Option<Spot>,
    /// What approved acts were approved for.
    expected: expect::All,
    /// Downloads started by an act that was allowed to, the newest last.
    agreed: Vec<String>,
}

/// Status of the live view, for a viewer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The agent's tab.
    pub tab: Option<u32>,
    /// The person in control; `None` while the agent acts.
    pub driver: Option<Driver>,
    /// Why capture is paused, if it is.
    pub dark: Option<Why>,
    /// The person who types and therefore sees the browser.
    pub typed_by: Option<Uuid>,
    /// The agent's current act in words; empty if idle.
    pub doing: String,
    /// Position of the act in the agent's tab.
    pub aim: Option<Spot>,
}

/// Guard of an act of the agent.
pub struct Doing<'s>(&'s Stage);

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.doing.clear();
            state.aim = None;
        });
    }
}

impl Stage {
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state.lock();
        Standing {
            tab: state.tab,
            driver: state.wheel.as_ref().map(|wheel| wheel.driver.clone()),
            dark: state.dark.as_ref().map(|dark| dark.why.clone()),
            typed_by: state.dark.as_ref().and_then(|dark| dark.by),
            doing: state.doing.clone(),
            aim: state.aim,
        }
    }

    /// Sets the agent's tab.
    pub fn work_in(&self, tab: u32) {
        self.change(|state| state.tab = Some(tab));
    }

    /// Sets the agent's current act and its position until the guard is dropped.
    #[must_use]
    pub fn doing(&self, words: &str, aim: Option<Spot>) -> Doing<'_> {
        self.change(|state| {
            words.clone_into(&mut state.doing);
            state.aim = aim;
        });
        Doing(self)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.bell.send_modify(|count| *count = count.wrapping_add(1));
        changed
    }
}
