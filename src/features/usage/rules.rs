//! All writes of money: reserve before a call, settle after it, book what nobody saw the end of.

use jiff::SignedDuration;

use crate::features::runs::model::Run;
use crate::features::workspace::model::Settings;
use crate::kernel::{
    AgentId, ConnectionId, FieldError, Problem, ProblemKind, ReservationId, RunId,
};
use crate::providers::bound::{self, Bound, Purpose, Size};
use crate::providers::catalog::{self, Model};
use crate::providers::model::Usage as Tokens;
use crate::store::{Range, ReadExt, StoreError, WriteTx};

use super::model::{Reservation, SeenRatio, Usage};
use super::queries::{self, Budget};

/// How long a provider may still be writing after HQ lost the connection: so long the rest of a
/// lost call's reservation stays.
pub const LINGER: SignedDuration = SignedDuration::from_mins(10);
/// The largest budget that can be set, in micro-dollars (ten million dollars).
pub const MAX_BUDGET: i64 = 10_000_000_000_000;

/// What a rule of money refuses.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A budget cannot pay the call.
    #[error(
        "{budget} has {} left of {} and the next call may cost {}; raise it or choose a cheaper model",
        dollars(*left), dollars(*limit), dollars(*needed)
    )]
    OverBudget {
        /// The tightest one.
        budget: Budget,
        /// Its limit in micro-dollars.
        limit: i64,
        /// What is left of it in micro-dollars.
        left: i64,
        /// What the call may cost in micro-dollars.
        needed: i64,
    },
    /// The call was settled already.
    #[error("reservation {0} is settled already")]
    Settled(ReservationId),
    /// No such run.
    #[error("run {0} does not exist")]
    NoRun(RunId),
    /// There are no settings yet.
    #[error("the workspace is not set up yet")]
    NoWorkspace,
    /// An amount that cannot be a budget.
    #[error("a budget is between $0.00 and {}", dollars(MAX_BUDGET))]
    BadAmount {
        /// The field.
        field: &'static str,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn dollars(micros: i64) -> String {
    let cents = micros.max(0).saturating_add(5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}

impl Problem for UsageError {
    fn code(&self) -> &'static str {
        match self {
            Self::OverBudget { .. } => "over_budget",
            Self::Settled(_) => "call_settled",
            Self::NoRun(_) => "run_not_found",
            Self::NoWorkspace => "workspace_not_set_up",
            Self::BadAmount { .. } => "budget_invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::OverBudget { .. } | Self::Settled(_) | Self::NoWorkspace => ProblemKind::Conflict,
            Self::NoRun(_) => ProblemKind::NotFound,
            Self::BadAmount { .. } => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::BadAmount { field } => vec![FieldError::new(*field, self.to_string())],
            _ => Vec::new(),
        }
    }
}

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callee {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// The agent.
    pub agent: AgentId,
    /// The run.
    pub run: RunId,
    /// The number of the call within the run.
    pub call: u32,
    /// Who is asked.
    pub callee: Callee,
    /// The most that it may cost, in micro-dollars.
    pub bound_micros: i64,
    /// What its input alone costs, for a call whose end is never known.
    pub input_micros: i64,
}

/// Holds back the most that a call may cost.
///
/// # Errors
/// `OverBudget` with the tightest budget when booked + reserved + bound > limit.
pub fn reserve(tx: &mut WriteTx<'_>, call: Reserve) -> Result<ReservationId, UsageError> {
    sweep(tx)?;
    let now = tx.now();
    let bound = call.bound_micros.max(0);
    if let Some(tightest) = queries::tightest(tx, call.agent, Some(call.run), now)?
        && tightest.left() < bound
    {
        return Err(UsageError::OverBudget {
            budget: tightest.budget,
            limit: tightest.limit,
            left: tightest.left(),
            needed: bound,
        });
    }
    let reservation = Reservation {
        id: tx.new_id(),
        agent: call.agent,
        run: call.run,
        call: call.call,
        connection: call.callee.connection,
        provider: call.callee.provider,
        model: call.callee.model,
        micros: bound,
        input_micros: call.input_micros.clamp(0, bound),
        at: now,
        release_at: None,
    };
    tx.put(&reservation)?;
    Ok(reservation.id)
}

/// A call that the engine would like to make.
pub struct Ask<'a> {
    /// The agent.
    pub agent: AgentId,
    /// The run.
    pub run: RunId,
    /// The number of the call within the run.
    pub call: u32,
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: &'a str,
    /// What is known of the model, with its price as the connection has it.
    pub model: &'a Model,
    /// How large the request is.
    pub size: Size,
    /// The most output tokens that the agent is set to.
    pub max_output: u32,
    /// An ordinary step, or the last words of a run that has reached a limit.
    pub purpose: Purpose,
}

/// A call that may be made.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What is held back for it.
    pub reservation: ReservationId,
    /// The most input and output tokens; `bound.max_output` is what to send as the output limit.
    pub bound: Bound,
    /// What is held back, in micro-dollars.
    pub micros: i64,
    /// The model with the price that counts: settle with it.
    pub model: Model,
}

/// Computes the bound of a call from what the tightest budget can still pay, and reserves it.
///
/// # Errors
/// `OverBudget` when not even a short answer can be paid.
pub fn admit(tx: &mut WriteTx<'_>, ask: &Ask<'_>) -> Result<Admitted, UsageError> {
    sweep(tx)?;
    let model = queries::as_counted(tx, ask.agent, ask.model.clone())?;
    let ratio = queries::ratio(tx, &model.id)?;
    let left = queries::left(tx, ask.agent, ask.run, tx.now())?;
    let input = ask.size.tokens(&model, ratio);
    let bound = match bound::bound(&model, input, ask.max_output, left, ask.purpose) {
        Ok(bound) => bound,
        Err(small) => return Err(too_small(tx, ask, small)?),
    };
    let micros = whole(bound.micros.unwrap_or(0));
    let dearest = Tokens { cache_write: input, ..Tokens::default() };
    let as_input = Tokens { input, ..Tokens::default() };
    let input_micros = queries::bill(&model, &dearest).max(queries::bill(&model, &as_input));
    let reservation = reserve(
        tx,
        Reserve {
            agent: ask.agent,
            run: ask.run,
            call: ask.call,
            callee: Callee {
                connection: ask.connection,
                provider: ask.provider.to_owned(),
                model: ask.model.id.clone(),
            },
            bound_micros: micros,
            input_micros: input_micros.unwrap_or(0),
        },
    )?;
    Ok(Admitted { reservation, bound, micros, model })
}

fn too_small(
    tx: &WriteTx<'_>,
    ask: &Ask<'_>,
    small: bound::TooSmall,
) -> Result<UsageError, UsageError> {
    let tightest = queries::tightest(tx, ask.agent, Some(ask.run), tx.now())?;
    let needed = whole(small.needed_micros.unwrap_or(0));
    Ok(match tightest {
        Some(s) => {
            UsageError::OverBudget { budget: s.budget, limit: s.limit, left: s.left(), needed }
        }
        // Without a budget a call is never too dear; this says the least that is true.
        None => UsageError::OverBudget { budget: Budget::Run, limit: 0, left: 0, needed },
    })
}

fn whole(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What the provider counted, or what is guessed.
    pub tokens: Tokens,
    /// Whether the provider counted it.
    pub counted: bool,
    /// What it cost, in micro-dollars; none when no price is known.
    pub billed_micros: Option<i64>,
    /// How large the request was, to learn how many tokens its bytes really were.
    pub size: Option<Size>,
}

/// Books what a call cost and gives back what was held for it.
///
/// # Errors
/// `Settled` when the reservation is gone.
pub fn settle(
    tx: &mut WriteTx<'_>,
    reservation: ReservationId,
    spent: Spent,
) -> Result<Usage, UsageError> {
    let held = held(tx, reservation)?;
    learn(tx, &held.model, &spent)?;
    let certain = if spent.counted { Certain::Reported } else { Certain::Estimated };
    let usage = book(tx, &held, spent, certain)?;
    tx.delete::<Reservation>(held.id)?;
    Ok(usage)
}

/// Gives back what was held for a call that the provider refused or that never began: nothing was
/// spent.
///
/// # Errors
/// `Settled` when the reservation is gone.
pub fn release(tx: &mut WriteTx<'_>, reservation: ReservationId) -> Result<(), UsageError> {
    let held = held(tx, reservation)?;
    tx.delete::<Reservation>(held.id)?;
    Ok(())
}

/// Books a call whose end nobody knows: its input as estimated and the output that had come. The
/// rest of what was held stays for [`LINGER`], because the provider may still be writing.
///
/// # Errors
/// `Settled` when the reservation is gone.
pub fn book_lost(
    tx: &mut WriteTx<'_>,
    reservation: ReservationId,
    spent: Spent,
) -> Result<Usage, UsageError> {
    let mut held = held(tx, reservation)?;
    let billed = match spent.billed_micros {
        Some(billed) => Some(billed.max(held.input_micros)),
        None => (held.micros > 0).then_some(held.input_micros),
    };
    let spent = Spent { billed_micros: billed, ..spent };
    let usage = book(tx, &held, spent, Certain::Estimated)?;
    held.micros = held.micros.saturating_sub(billed.unwrap_or(0)).max(0);
    held.input_micros = 0;
    if held.micros == 0 {
        tx.delete::<Reservation>(held.id)?;
    } else {
        held.release_at = Some(tx.now() + LINGER);
        tx.put(&held)?;
    }
    Ok(usage)
}

/// Books the calls of a run of which nobody saw the end: a crash, or a stop that could not wait for
/// it.
///
/// # Errors
/// When the store refuses.
pub fn book_left(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    for held in queries::unsettled(tx, run)? {
        // A free model stays free; without a known price the cost stays unknown.
        let priced = held.micros > 0 || catalog::describe(&held.model).price.is_some();
        let spent = Spent {
            connection: held.connection,
            provider: held.provider,
            model: held.model,
            tokens: Tokens::default(),
            counted: false,
            billed_micros: priced.then_some(held.input_micros),
            size: None,
        };
        book_lost(tx, held.id, spent)?;
    }
    Ok(())
}

/// A reservation of a call that still runs; one that only lingers is settled.
fn held(tx: &WriteTx<'_>, id: ReservationId) -> Result<Reservation, UsageError> {
    tx.get::<Reservation>(id)?
        .filter(|held| held.release_at.is_none())
        .ok_or(UsageError::Settled(id))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certain {
    Reported,
    Estimated,
}

fn book(
    tx: &mut WriteTx<'_>,
    held: &Reservation,
    spent: Spent,
    certain: Certain,
) -> Result<Usage, UsageError> {
    let run = tx.get::<Run>(held.run)?.ok_or(UsageError::NoRun(held.run))?;
    let usage = Usage {
        id: tx.new_id(),
        agent: Some(held.agent),
        run: Some(held.run),
        call: held.call,
        task: run.task,
        connection: spent.connection,
        provider: spent.provider,
        model: spent.model,
        input: spent.tokens.input,
        cache_read: spent.tokens.cache_read,
        cache_write: spent.tokens.cache_write,
        output: spent.tokens.output,
        reasoning: spent.tokens.reasoning,
        billed_micros: spent.billed_micros.map(|micros| micros.max(0)),
        estimated: certain == Certain::Estimated,
        at: tx.now(),
    };
    tx.put(&usage)?;
    Ok(usage)
}

/// Raises the ratio of a model when a request had more tokens than its bytes let expect.
/// Kept under the name that was asked for, by which it is looked up: a router answers with another.
fn learn(tx: &mut WriteTx<'_>, asked: &str, spent: &Spent) -> Result<(), UsageError> {
    let Some(size) = spent.size else { return Ok(()) };
    let model = catalog::describe(asked);
    let pictures = size.images.saturating_mul(u64::from(model.image_tokens));
    let words = spent.tokens.input_total().saturating_sub(pictures);
    let known = queries::ratio(tx, &model.id)?;
    let seen = known.observe(size.bytes, words);
    if seen > known {
        tracing::warn!(
            model = model.id,
            permille = seen.permille(),
            "a request had more tokens than expected"
        );
        tx.put(&SeenRatio { model: model.id, permille: seen.permille() })?;
    }
    Ok(())
}

/// Removes reservations that only lingered and are over.
fn sweep(tx: &mut WriteTx<'_>) -> Result<(), UsageError> {
    let now = tx.now();
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    for over in all.into_iter().filter(|r| r.is_over(now)) {
        tx.delete::<Reservation>(over.id)?;
    }
    Ok(())
}

/// Limits of the whole workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A month, in micro-dollars; none for no limit.
    pub month_micros: Option<i64>,
    /// A run, in micro-dollars; 0 for no limit.
    pub run_micros: i64,
}

/// Sets what the workspace may spend.
///
/// # Errors
/// `BadAmount` for an amount below zero or above [`MAX_BUDGET`].
pub fn set_limits(tx: &mut WriteTx<'_>, limits: Limits) -> Result<(), UsageError> {
    let fits = |micros: i64| (0..=MAX_BUDGET).contains(&micros);
    if !limits.month_micros.is_none_or(fits) {
        return Err(UsageError::BadAmount { field: "month" });
    }
    if !fits(limits.run_micros) {
        return Err(UsageError::BadAmount { field: "run" });
    }
    let mut settings = tx.get::<Settings>(())?.ok_or(UsageError::NoWorkspace)?;
    settings.budget_micros = limits.month_micros;
    settings.run_cap_micros = limits.run_micros;
    tx.put(&settings)?;
    Ok(())
}

#[cfg(test)]
mod tests;
