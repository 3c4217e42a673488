//! Budgets: limits of a payer per period, notices about them, and runs that wait for them.
//!
//! Some limits are stored in older records: an agent's monthly money limit in the agent, the workspace's monthly and
//! per-run money limits in the settings. `queries::budgets` merges them. The per-run limit also has a row here once a
//! person has chosen it.

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
pub const BUDGET_NOTICES: Table = Table::new(165, "budget_notices");
/// Runs that wait for a budget.
pub const BUDGET_WAITS: Table = Table::new(166, "budget_waits");

/// Default warning level in percent.
pub const SOFT_PCT: u8 = 80;

pub type BudgetKey = (Payer, Period);

/// Limits of a payer for a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub payer: Payer,
    pub period: Period,
    /// Micro-dollars; `None` for no limit.
    pub limit_micros: Option<i64>,
    /// Tokens sent and received on any route; `None` for no limit.
    pub limit_tokens: Option<i64>,
    /// Warning level in percent.
    pub soft_pct: u8,
    /// Whether calls that could exceed the limit are refused; otherwise the budget only warns.
    pub hard: bool,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Whether the money limit is a default: the initial limit per run, or a sub-agent's share. Computed when the
    /// budget is read.
    #[serde(skip)]
    pub usual: bool,
}

impl Budget {
    /// A hard budget without limits.
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

    /// Whether it has a limit.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.limit_micros.is_some() || self.limit_tokens.is_some()
    }

    /// Whether a person has set it, so that it has its own record.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.updated_at != Timestamp::UNIX_EPOCH
    }

    /// Whether it limits single runs. A run that reaches such a limit ends; others wait.
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

/// Records a notice about a budget, so that it is not sent twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetNotice {
    pub payer: Payer,
    pub period: Period,
    /// First day of the period, in days since 1970.
    pub first_day: u32,
    /// Money and token limits at the time. A changed limit can be reached again.
    pub limits: (Option<i64>, Option<i64>),
    /// Whether the budget stops calls; otherwise it was a warning.
    pub reached: bool,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Set when a person dismissed the notice.
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

/// What a run that waits for a budget needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWait {
    pub run: RunId,
    /// Payer of the tightest budget.
    pub payer: Payer,
    pub period: Period,
    /// Maximum cost of the next call in micro-dollars.
    pub micros: i64,
    /// Maximum tokens of the next call.
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
