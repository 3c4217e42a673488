//! The wheel: one person at a time acts in a browser in the place of its agent.

use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::Stage;
use crate::BrowserError;
use crate::page::Page;
use crate::screencast::Input;

/// Whoever does nothing for so long has left it.
pub(crate) const IDLE: Duration = Duration::from_mins(5);
/// How long an act of the agent may go on when somebody wants the wheel.
const ENDS_WITHIN: Duration = Duration::from_millis(800);

/// Somebody who has the wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Whose account.
    pub who: Uuid,
    /// The name for others.
    pub name: String,
}

/// How the wheel is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Only from the agent.
    Free,
    /// Also from somebody else.
    Over,
}

/// What whoever had the wheel leaves to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The name of the last who had it.
    pub name: String,
    /// What they say of it.
    pub note: String,
    /// The tab that they left.
    pub tab: Option<u32>,
}

pub(super) struct Wheel {
    pub(super) driver: Driver,
    used: Instant,
    /// Keeps the agent from acting.
    turn: OwnedMutexGuard<()>,
}

impl Stage {
    /// Whether this person has the wheel.
    #[must_use]
    pub fn drives(&self, who: Uuid) -> bool {
        self.state.lock().wheel.as_ref().is_some_and(|wheel| wheel.driver.who == who)
    }

    /// Resolves when somebody wants the wheel, as soon as the agent has had time to end what it does.
    pub async fn interrupted(&self) {
        let mut bell = self.bell.subscribe();
        loop {
            bell.borrow_and_update();
            if 0 < self.state.lock().wanted {
                tokio::time::sleep(ENDS_WITHIN).await;
                return;
            }
            // ok: the sender is held here
            bell.changed().await.ok();
        }
    }

    /// Whether somebody has the wheel or waits for it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        0 < state.wanted || state.wheel.is_some()
    }

    /// What was left since the agent asked last; told once.
    #[must_use]
    pub fn take_handed(&self) -> Option<Handed> {
        self.state.lock().handed.take()
    }

    /// Says to the agent that somebody has acted without the wheel: what it knows of the page may be old.
    pub fn leave_word(&self, name: &str) {
        self.change(|state| {
            let tab = state.tab;
            let new = || Handed { name: name.to_owned(), note: String::new(), tab };
            state.handed.get_or_insert_with(new);
        });
    }

    /// Says that somebody waits for the wheel, until it is dropped.
    pub(crate) fn want(&self) -> Wanted<'_> {
        self.change(|state| state.wanted += 1);
        Wanted(self)
    }

    /// Gives the wheel to somebody.
    pub(crate) fn give(&self, driver: Driver, turn: OwnedMutexGuard<()>) {
        self.change(|state| {
            state.doing.clear();
            state.aim = None;
            state.wheel = Some(Wheel { driver, used: Instant::now(), turn });
        });
    }

    /// Whether the wheel may be taken: in the dark only by who types.
    pub(crate) fn may_be_taken(&self, driver: &Driver) -> Result<(), BrowserError> {
        match &self.state.lock().dark {
            Some(dark) if dark.by != Some(driver.who) => Err(BrowserError::Hidden),
            _ => Ok(()),
        }
    }

    /// Passes the wheel on, if somebody else has it; answers whether this one has it now, or who else does.
    pub(crate) fn pass_to(&self, driver: &Driver, how: Take) -> Option<Result<(), BrowserError>> {
        self.change(|state| {
            let wheel = state.wheel.as_mut()?;
            let is_other = wheel.driver.who != driver.who;
            if is_other && how == Take::Free {
                return Some(Err(BrowserError::HumanInControl(wheel.driver.name.clone())));
            }
            (wheel.driver, wheel.used) = (driver.clone(), Instant::now());
            Some(Ok(()))
        })
    }

    /// Lets the agent go on. `who` is whose wheel it has to be; with nobody, that of whoever was idle for too long.
    pub fn hand_back(&self, who: Option<Uuid>, note: &str) -> Option<Driver> {
        self.change(|state| {
            let is_theirs = |wheel: &mut Wheel| match who {
                Some(who) => wheel.driver.who == who,
                None => IDLE <= wheel.used.elapsed(),
            };
            let Wheel { driver, turn, .. } = state.wheel.take_if(is_theirs)?;
            state.handed = Some(Handed {
                name: driver.name.clone(),
                note: note.trim().to_owned(),
                tab: state.tab,
            });
            drop(turn);
            Some(driver)
        })
    }

    /// Takes note that somebody uses the wheel, if they have it.
    ///
    /// # Errors
    /// When they do not.
    pub fn steer(&self, who: Uuid) -> Result<(), BrowserError> {
        let mut state = self.state.lock();
        match state.wheel.as_mut().filter(|wheel| wheel.driver.who == who) {
            Some(wheel) => {
                wheel.used = Instant::now();
                Ok(())
            }
            None => Err(BrowserError::NotDriving),
        }
    }

    /// Does in a page what whoever has the wheel does. It is dark before the first letter of a credential.
    ///
    /// # Errors
    /// When somebody else has the wheel, or the page does not take it.
    pub async fn input(&self, page: &Page, who: Uuid, input: &Input) -> Result<(), BrowserError> {
        self.steer(who)?;
        page.acts_for(who);
        if input.writes() {
            self.guard(page, who).await?;
        }
        page.input(input).await?;
        if input.may_move_focus() {
            // ok: the page may be on its way to the next
            self.guard(page, who).await.ok();
        }
        Ok(())
    }
}

/// Somebody waits for the wheel.
pub(crate) struct Wanted<'s>(&'s Stage);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.wanted -= 1);
    }
}
