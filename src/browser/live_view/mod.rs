//! What people see of a browser and what they do in it: one cast for all who watch, one wheel, and the dark.
//!
//! Nobody makes pictures while nobody watches. While a credential is typed, pictures go to whoever types it and to
//! nobody else, and no picture that was made in the dark is shown when it ends: each picture has the number of the
//! light that it was made in.

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

/// What all who watch a browser, or act in it, share.
#[derive(Default)]
pub struct Stage {
    state: Mutex<State>,
    bell: channel::Sender<u64>,
    pictures: channel::Sender<Option<Arc<Shown>>>,
    /// Held by the one of those who watch that takes the pictures for all.
    cast: tokio::sync::Mutex<Option<watch::Running>>,
    watchers: AtomicUsize,
    /// Held while fields are looked at.
    settling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The tab at work.
    tab: Option<u32>,
    wheel: Option<wheel::Wheel>,
    /// How many people wait for the wheel.
    wanted: u32,
    handed: Option<Handed>,
    dark: Option<Dark>,
    /// How often it became dark or light.
    light: u64,
    doing: String,
    /// Where it is about to press.
    aim: Option<Spot>,
    /// What acts were allowed with.
    expected: expect::All,
    /// Downloads that began with an act that was allowed to begin them, the newest last.
    agreed: Vec<String>,
}

/// How things stand, for one who looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The tab at work.
    pub tab: Option<u32>,
    /// Who has the wheel; nobody when the agent drives.
    pub driver: Option<Driver>,
    /// Why it is dark; nothing in the light.
    pub dark: Option<Why>,
    /// Who sees all the same, because they type.
    pub typed_by: Option<Uuid>,
    /// What the agent is about to do, in words; empty when it does nothing.
    pub doing: String,
    /// Where in the tab at work it does so.
    pub aim: Option<Spot>,
}

/// The agent does something.
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
    /// How things stand.
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

    /// Says which tab is worked in.
    pub fn work_in(&self, tab: u32) {
        self.change(|state| state.tab = Some(tab));
    }

    /// Says what the agent does and where, until the guard goes.
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
