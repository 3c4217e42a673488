//! Budgets: what a payer may spend in a period, what was told of it, and who waits for one.
//!
//! Two of them stand elsewhere, where they stood before there were others: the money of an agent's
//! month in the agent, the money of the workspace's month and of each run in the settings.
//! `queries::budgets` puts them together. What each run may cost has a row here as soon as somebody has
//! chosen it.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::routines::model::Routine;
use crate::runs::model::Run;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use kernel::{AgentId, Payer, Period, RunId, TaskId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const BUDGETS: Table = Table::new(164, "budgets");
/// What people were told of budgets.
pub const BUDGET_NOTICES: Table = Table::new(165, "budget_notices");
/// Runs that wait for a budget.
pub const BUDGET_WAITS: Table = Table::new(166, "budget_waits");

/// At which share of a budget a person is warned unless somebody says otherwise, in percent.
pub const SOFT_PCT: u8 = 80;

/// Who pays, and in which period.
pub type BudgetKey = (Payer, Period);

/// What a payer may spend in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Who pays.
    pub payer: Payer,
    pub period: Period,
    /// The most money, in micro-dollars; none for no limit.
    pub limit_micros: Option<i64>,
    /// The most tokens, sent and received, on whatever route; none for no limit.
    pub limit_tokens: Option<i64>,
    /// At which share of it a person is warned, in percent.
    pub soft_pct: u8,
    /// Whether no call starts that could pass it; else it only warns.
    pub hard: bool,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Whether its money is nobody's choice: what each run may cost where a workspace begins, or a sub-agent's
    /// share. Found out when it is read.
    #[serde(skip)]
    pub usual: bool,
}

impl Budget {
    /// A hard budget without any limit yet.
    #[must_use]
    pub fn new(payer: Payer, period: Period) -> Self {
        Self {
            payer,
            period,
            limit_micros: None,
            limit_tokens: None,
            soft_pct: SOFT_PCT,
            hard: true,
            updated_at: Timestamp::UNIX_EPOCH,
            usual: false,
        }
    }

    /// Whether it limits anything.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.limit_micros.is_some() || self.limit_tokens.is_some()
    }

    /// Whether it stands in a record of its own, as a person has set it.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.updated_at != Timestamp::UNIX_EPOCH
    }

    /// Whether it is what one run may cost: a run that reaches it ends, all others wait.
    #[must_use]
    pub fn is_of_run(&self) -> bool {
        self.period == Period::Run || matches!(self.payer, Payer::Run(_))
    }
}

impl Record for Budget {
    type Id = BudgetKey;
    const TABLE: Table = BUDGETS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> BudgetKey {
        (self.payer, self.period)
    }
    fn refs(&self, refs: &mut Refs) {
        payer_refs(self.payer, refs);
    }
    fn root(&self) -> Root {
        match self.payer {
            Payer::Workspace => Root::of::<Settings>(()),
            Payer::Agent(id) => Root::of::<Agent>(id),
            Payer::Task(id) => Root::of::<Task>(id),
            Payer::Run(id) => Root::of::<Run>(id),
            Payer::Stream(id) => Root::of::<Stream>(id),
            Payer::Routine(id) => Root::of::<Routine>(id),
        }
    }
    fn sample() -> Self {
        Self {
            payer: Payer::Task(TaskId::from_bytes([2; 16])),
            period: Period::Total,
            limit_micros: Some(5_000_000),
            limit_tokens: Some(2_000_000),
            soft_pct: 80,
            hard: true,
            updated_at: kernel::time::from_ms(1_700_000_000_000),
            usual: false,
        }
    }
}

fn payer_refs(payer: Payer, refs: &mut Refs) {
    match payer {
        Payer::Workspace => {}
        Payer::Agent(id) => refs.to::<Agent>(1, Some(id), OnDelete::Cascade),
        Payer::Task(id) => refs.to::<Task>(2, Some(id), OnDelete::Cascade),
        Payer::Run(id) => refs.to::<Run>(3, Some(id), OnDelete::Cascade),
        Payer::Stream(id) => refs.to::<Stream>(4, Some(id), OnDelete::Cascade),
        Payer::Routine(id) => refs.to::<Routine>(5, Some(id), OnDelete::Cascade),
    }
}

/// That a person was told how a budget stands, so that nobody is told twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetNotice {
    /// Who pays.
    pub payer: Payer,
    pub period: Period,
    /// The first day of the period that it is about, in days since 1970.
    pub first_day: u32,
    /// The limits that it is about, money and tokens: another limit may be reached again.
    pub limits: (Option<i64>, Option<i64>),
    /// Whether the budget stops calls; else it was a warning.
    pub reached: bool,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Since when nobody wants to see it any more.
    #[serde(with = "millisecond::optional")]
    pub seen_at: Option<Timestamp>,
}

impl Record for BudgetNotice {
    type Id = BudgetKey;
    const TABLE: Table = BUDGET_NOTICES;
    const CLASS: Class = Class::Work;
    fn id(&self) -> BudgetKey {
        (self.payer, self.period)
    }
    fn refs(&self, refs: &mut Refs) {
        payer_refs(self.payer, refs);
    }
    fn sample() -> Self {
        Self {
            payer: Payer::Agent(AgentId::from_bytes([5; 16])),
            period: Period::Month,
            first_day: 19_662,
            limits: (Some(40_000_000), None),
            reached: false,
            at: kernel::time::from_ms(1_700_000_000_000),
            seen_at: Some(kernel::time::from_ms(1_700_000_100_000)),
        }
    }
}

/// What a run that waits for a budget needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWait {
    pub run: RunId,
    /// Who pays the tightest budget.
    pub payer: Payer,
    pub period: Period,
    /// What the next call may cost, in micro-dollars.
    pub micros: i64,
    /// What the next call may take, in tokens.
    pub tokens: i64,
}

impl Record for BudgetWait {
    type Id = RunId;
    const TABLE: Table = BUDGET_WAITS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> RunId {
        self.run
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        Self {
            run: RunId::from_bytes([8; 16]),
            payer: Payer::Agent(AgentId::from_bytes([5; 16])),
            period: Period::Month,
            micros: 120_000,
            tokens: 14_000,
        }
    }
}
