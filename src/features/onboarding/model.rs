//! The onboarding record. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Actor, Part, StreamId, Timestamp, TypedId};
use store::{Class, Record, Table};

/// Onboarding state of the workspace (one row).
pub const ONBOARDING: Table = Table::new(280, "onboarding");

/// Onboarding steps after creating the account, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Purpose of the workspace.
    Work,
    /// Software found on this machine.
    Machine,
    /// Model connection.
    Model,
    /// First agent.
    Agent,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 4] = [Self::Work, Self::Machine, Self::Model, Self::Agent];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Machine => "machine",
            Self::Model => "model",
            Self::Agent => "agent",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Machine => "Machine",
            Self::Model => "Model",
            Self::Agent => "First agent",
        }
    }

    /// Parses a URL word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }

    /// The next step. `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| self < *step)
    }

    /// The previous step. `None` before the first.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|step| *step < self)
    }
}

/// Purpose of a workspace. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Find customers and write to them.
    Reach,
    /// Manage clients and operations.
    Run,
    /// Hire people.
    Hire,
    /// Create content.
    Publish,
    /// Answer questions.
    Research,
    /// Organise one's own work.
    Organized,
    /// No purpose chosen; nothing is prepared.
    Explore,
    /// Like [`Self::Reach`], for contacts before there is a deal.
    Outreach,
}

/// Onboarding state. A workspace without this row was founded before onboarding existed or through the API; its
/// onboarding counts as finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboarding {
    /// Current step.
    pub step: Step,
    /// `true` if the owner created the first account of this server in the previous step.
    pub is_first: bool,
    /// `None` until chosen.
    pub intent: Option<Intent>,
    /// Words of the prepared kinds. Distinguishes what a later HQ version still has to prepare from what a person
    /// deleted.
    pub prepared: Vec<String>,
    /// Streams created for the purpose.
    pub streams: Vec<StreamId>,
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub done_at: Option<Timestamp>,
}

impl Record for Onboarding {
    type Id = ();
    const TABLE: Table = ONBOARDING;
    /// Undoing the preparation does not change the current step.
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

/// People who dismissed the suggestions after onboarding.
pub const MISSIONS_AWAY: Table = Table::new(281, "missions_away");

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

/// Consent to web search without an account (one row).
pub const KEYLESS_ANSWERS: Table = Table::new(477, "keyless_answers");

/// Whether agents may search the web at free services without an account. Admins are asked while there is no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeylessAnswer {
    pub is_allowed: bool,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for KeylessAnswer {
    type Id = ();
    const TABLE: Table = KEYLESS_ANSWERS;
    const CLASS: Class = Class::Local;
    fn id(&self) {}
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self { is_allowed: true, by: Actor::System(Part::Setup), at }
    }
}
