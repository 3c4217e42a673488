//! The record of a set-up. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, StreamId, Timestamp, TypedId};
use store::{Class, Record, Table};

/// How far the set-up of the workspace is (one row).
pub const ONBOARDING: Table = Table::new(280, "onboarding");

/// The steps that follow the account, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What the workspace is for.
    Work,
    /// What HQ finds on its machine.
    Machine,
    /// What agents think with.
    Model,
    /// Who is hired first.
    Agent,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Work, Self::Machine, Self::Model, Self::Agent];

    /// Its word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Machine => "machine",
            Self::Model => "model",
            Self::Agent => "agent",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Machine => "Machine",
            Self::Model => "Model",
            Self::Agent => "First agent",
        }
    }

    /// The step with this word in addresses.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }

    /// The step after it; none after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| self < *step)
    }

    /// The step before it; none before the first.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|step| *step < self)
    }
}

/// What a workspace is for. New ones go to the end: the layout counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Customers are found and written to.
    Reach,
    /// Clients and operations are looked after.
    Run,
    /// People are hired.
    Hire,
    /// Content is made.
    Publish,
    /// Questions are answered.
    Research,
    /// Somebody's own work is kept in order.
    Organized,
    /// Nothing was said: nothing is prepared.
    Explore,
    /// As [`Self::Reach`], where contacts begin before there is a deal.
    Outreach,
}

/// The set-up of a workspace. A workspace without this row was founded before there were steps, or by a program: its
/// set-up is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboarding {
    /// The step that is open.
    pub step: Step,
    /// Whether its owner made the account of this server in the step before.
    pub is_first: bool,
    /// What the workspace is for, once that is said.
    pub intent: Option<Intent>,
    /// What was prepared, by the words of its kinds. What a later program prepares for the same intent is told apart
    /// by it from what a person took away.
    pub prepared: Vec<String>,
    /// The streams that were made for the intent.
    pub streams: Vec<StreamId>,
    /// When it began.
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// Since when it is over.
    #[serde(with = "millisecond::optional")]
    pub done_at: Option<Timestamp>,
}

impl Record for Onboarding {
    type Id = ();
    const TABLE: Table = ONBOARDING;
    /// An undo of what was prepared leaves the place in the steps as it is.
    const CLASS: Class = Class::Local;
    fn id(&self) {}
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            step: Step::Model,
            is_first: true,
            intent: Some(Intent::Run),
            prepared: vec!["streams".into()],
            streams: vec![StreamId::from_bytes([20; 16])],
            begun_at: at,
            done_at: Some(at),
        }
    }
}

/// People who have put away what is worth a try after the set-up.
pub const MISSIONS_AWAY: Table = Table::new(281, "missions_away");

/// Somebody has put away what is worth a try after the set-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionAway {
    pub account: AccountId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for MissionAway {
    type Id = AccountId;
    const TABLE: Table = MISSIONS_AWAY;
    const CLASS: Class = Class::Local;
    fn id(&self) -> AccountId {
        self.account
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self { account: AccountId::from_bytes([3; 16]), at }
    }
}
