//! Errors of usage rules and their messages.

use jiff::tz::TimeZone;

use crate::usage::queries::budgets::Lack;
use kernel::{FieldError, Problem, ProblemKind, ReservationId, RunId, Timestamp};
use store::StoreError;
use web::format::grouped;

use super::budgets::{MAX_BUDGET, MAX_TOKENS};

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("{}; raise it or choose a cheaper model", lacks(.0))]
    OverBudget(Box<Lack>),
    /// The host is disconnected and the run's grant cannot pay the call.
    #[error("this run has used up its offline allowance")]
    Ungranted,
    #[error("reservation {0} is already settled")]
    Settled(ReservationId),
    #[error("run {0} does not exist")]
    NoRun(RunId),
    #[error("this {0} doesn't exist; check its name")]
    NoPayer(&'static str),
    #[error("the workspace is not set up yet")]
    NoWorkspace,
    #[error("enter a budget between $0.00 and {}", dollars(MAX_BUDGET))]
    BadAmount { field: &'static str },
    #[error("enter a budget of at most {MAX_TOKENS} tokens")]
    BadTokens,
    /// Warning level out of range.
    #[error("enter a warning level from 1 to 100 percent")]
    BadShare,
    /// The payer cannot have a budget for this period.
    #[error("{0}")]
    BadPeriod(&'static str),
    #[error("this budget doesn't exist; set it first")]
    NoBudget,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Example: `the next call may cost $0.30; $0.12 of $40.00 is left (Ada's budget of this month)`.
fn lacks(lack: &Lack) -> String {
    let Lack { name, level, needed, tokens, .. } = lack;
    match tokens {
        true => {
            let count = |n: i64| grouped(n.max(0).unsigned_abs());
            let (left, limit, needed) = (count(level.left()), count(level.limit), count(*needed));
            format!(
                "the next call can take {needed} tokens, but {left} of {limit} are left \
                ({name})"
            )
        }
        false => {
            let (left, limit) = (dollars(level.left()), dollars(level.limit));
            let needed = dollars(*needed);
            format!("the next call can cost {needed}, but {left} of {limit} is left ({name})")
        }
    }
}

/// Why a run waits, and until when.
pub(super) fn waits(lack: &Lack, until: Option<Timestamp>) -> String {
    let day = until.map(|at| at.to_zoned(TimeZone::UTC).strftime("%-d %B").to_string());
    let until = day.map_or_else(String::new, |day| format!("on {day} or "));
    let lacks = kernel::text::capitalized(&lacks(lack));
    format!("{lacks}; resumes automatically {until}when the budget is raised")
}

fn dollars(micros: i64) -> String {
    let cents = micros.max(0).saturating_add(5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}

impl Problem for UsageError {
    fn code(&self) -> &'static str {
        match self {
            Self::OverBudget(_) => "over_budget",
            Self::Ungranted => "grant_used_up",
            Self::Settled(_) => "call_settled",
            Self::NoRun(_) => "run_not_found",
            Self::NoPayer(_) => "payer_not_found",
            Self::NoWorkspace => "workspace_not_set_up",
            Self::BadAmount { .. } | Self::BadTokens | Self::BadPeriod(_) => "budget_invalid",
            Self::BadShare => "budget_share_invalid",
            Self::NoBudget => "budget_not_found",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::OverBudget(_) | Self::Ungranted | Self::Settled(_) | Self::NoWorkspace => {
                ProblemKind::Conflict
            }
            Self::NoRun(_) | Self::NoPayer(_) | Self::NoBudget => ProblemKind::NotFound,
            Self::BadAmount { .. } | Self::BadTokens | Self::BadShare | Self::BadPeriod(_) => {
                ProblemKind::Invalid
            }
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::BadAmount { field } => *field,
            Self::BadTokens => "limit_tokens",
            Self::BadShare => "soft_pct",
            Self::BadPeriod(_) => "period",
            _ => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}
