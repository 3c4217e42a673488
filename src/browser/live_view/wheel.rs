//! Manual control: one person at a time acts in a browser in place of its agent.

use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::Stage;
use crate::BrowserError;
use crate::page::Page;
use crate::screencast::Input;

/// Idle time after which a person loses control.
pub(crate) const IDLE: Duration = Duration::from_mins(5);
/// How long an act of the agent may continue when a person requests control.
const ENDS_WITHIN: Duration = Duration::from_millis(800);

/// A person in control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The account.
    pub who: Uuid,
    /// The name shown to others.
    pub name: String,
}

/// How control is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Only from the agent.
    Free,
    /// Also from another person.
    Over,
}

/// What the last person in control leaves to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Name of the last person in control.
    pub name: String,
    /// Their note.
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
    /// Whether this person is in control.
    #[must_use]
    pub fn drives(&self, who: Uuid) -> bool {
        self.state.lock().wheel.as_ref().is_some_and(|wheel| wheel.driver.who == who)
    }

    /// Resolves when a person requests control, after a grace time for the agent's current act.
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

    /// Whether a person is in control or waits for it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        0 < state.wanted || state.wheel.is_some()
    }

    /// Takes what was left for the agent; returned once.
    #[must_use]
    pub fn take_handed(&self) -> Option<Handed> {
        self.state.lock().handed.take()
    }

    /// Informs the agent of an act by somebody without control: its view of the page may be outdated.
    pub fn leave_word(&self, name: &str) {
        self.change(|state| {
            let tab = state.tab;
            let new = || Handed { name: name.to_owned(), note: String::new(), tab };
            state.handed.get_or_insert_with(new);
        });
    }

    /// Registers a request for control until the result is dropped.
    pub(crate) fn want(&self) -> Wanted<'_> {
        self.change(|state| state.wanted += 1);
        Wanted(self)
    }

    /// Gives control to a person.
    pub(crate) fn give(&self, driver: Driver, turn: OwnedMutexGuard<()>) {
        self.change(|state| {
            state.doing.clear();
            state.aim = None;
            state.wheel = Some(Wheel { driver, used: Instant::now(), turn });
        });
    }

    /// Checks that control may be taken: during a capture pause only by the person who types.
    pub(crate) fn may_be_taken(&self, driver: &Driver) -> Result<(), BrowserError> {
        match &self.state.lock().dark {
            Some(dark) if dark.by != Some(driver.who) => Err(BrowserError::Hidden),
            _ => Ok(()),
        }
    }

    /// Transfers control if a person already has it; returns the result, or `None` if nobody has it.
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

    /// Returns control to the agent. `who` must be in control; `None` matches a person who was idle for too long.
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

    /// Records activity of the person in control.
    ///
    /// # Errors
    /// When they are not in control.
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

    /// Sends input of the person in control to a page. Pauses capture before the first character of a credential.
    ///
    /// # Errors
    /// When `who` is not in control, or the page does not accept the input.
    pub async fn input(&self, page: &Page, who: Uuid, input: &Input) -> Result<(), BrowserError> {
        self.steer(who)?;
        page.acts_for(who);
        if input.writes() {
            self.guard(page, who).await?;
        }
        page.input(input).await?;
        if input.may_move_focus() {
            // ok: the page may be about to leave
            self.guard(page, who).await.ok();
        }
        Ok(())
    }
}

/// A pending request for control.
pub(crate) struct Wanted<'s>(&'s Stage);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.wanted -= 1);
    }
}
