//! Runs that restart at a step of another run, for pages and programs. This module is part of `server` because it
//! combines undo, inbox and runs.
//!
//! If requested, changes of the old run after the step are undone first. Then work, conversation and run are created
//! in one transaction. After a crash in between, the changes stay undone, and a repeated request finds nothing left
//! to undo.

pub mod api;
mod asked;
pub mod pages;
mod preview;

use app::{App, Ws};
use features::history::queries::error::HistoryError;
use features::history::queries::guard::Undoer;
use features::history::queries::outlook::Outlook;
use features::history::queries::scope::Wanted;
use features::history::undo;
use features::inbox::rules::{self as inbox, InboxError};
use features::runs::model::{BranchWhy, Run};
use features::runs::queries::between::Between;
use features::runs::queries::onward::words;
use features::runs::queries::{self as runs, talk};
use features::runs::rules::RunError;
use features::runs::rules::onward;
use features::runs::rules::retry::{self as rules, Again};
use features::usage::queries::{budgets, cap};
use features::usage::rules::UsageError;
use features::usage::rules::budgets::{self as money, BudgetRequest as Limit};
use interfaces_agents::runs::done_after;
use kernel::{FieldError, InputId, Payer, Period, Problem, ProblemKind, RunId, Thinking};
use store::undo::Basis;
use store::{ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::idempotency::Once;
use web::session::Person;

/// Parameters of a restart.
#[derive(Clone, Debug)]
pub struct RetryRequest {
    pub of: RunId,
    pub why: BranchWhy,
    /// The step, as on its page; `None` for the beginning.
    pub step: Option<String>,
    /// Overrides the model.
    pub model: Option<String>,
    /// Overrides the thinking level.
    pub thinking: Option<Thinking>,
    /// Whether to undo the old run's changes after the step; the inner value is the basis of a preview.
    pub undo: Option<Option<Basis>>,
}

/// Why a run cannot restart.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Money(#[from] UsageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AgainError {
    fn problem(&self) -> &dyn Problem {
        match self {
            Self::Run(error) => error,
            Self::History(error) => error,
            Self::Inbox(error) => error,
            Self::Money(error) => error,
            Self::Store(error) => error,
        }
    }
}

impl Problem for AgainError {
    fn code(&self) -> &'static str {
        self.problem().code()
    }
    fn kind(&self) -> ProblemKind {
        self.problem().kind()
    }
    fn fields(&self) -> Vec<FieldError> {
        self.problem().fields()
    }
}

/// What to undo first: nothing, the current changes, or exactly those of a preview.
///
/// # Errors
/// When the basis is malformed.
fn undo_basis(undo: bool, basis: Option<&str>) -> Result<Option<Option<Basis>>, HistoryError> {
    let parsed = basis.filter(|text| !text.is_empty()).map(str::parse::<Basis>).transpose();
    let basis = parsed.map_err(|_| HistoryError::BadBasis)?;
    Ok(undo.then_some(basis))
}

/// Restarts a run. Completes even if the caller disconnects.
///
/// # Errors
/// When the run cannot restart, or something changed since the preview of the undo.
pub async fn begin(
    app: &App,
    ws: &Ws,
    who: &Person,
    wish: RetryRequest,
    once: Once,
) -> Result<RunId, AgainError> {
    let (ws, who) = (ws.clone(), who.clone());
    let work = async move { begin_now(&ws, &who, wish, once).await };
    app.see_through("begin a run again", work).await?
}

async fn begin_now(
    ws: &Ws,
    who: &Person,
    wish: RetryRequest,
    once: Once,
) -> Result<RunId, AgainError> {
    if let Some(run) = ws.read(|snap| once.answered(snap))? {
        return Ok(run);
    }
    let RetryRequest { of, why, step, model, thinking, undo: back } = wish;
    // Checked before anything is undone.
    let requested = step.clone();
    let (run, cut) = ws.read(|snap| rules::check(snap, of, (why, requested.as_deref())))?;
    let mut undone = false;
    if let (Some(basis), BranchWhy::Retry) = (back, why) {
        let wanted = Wanted::Since(of, cut.upto);
        if !is_nothing(ws, who, &wanted).await? {
            undo::undo(ws, who, (wanted, basis), Once::without_key()).await?;
            undone = true;
        }
    }
    let from = cut.upto;
    let between =
        ws.read_blocking(move |ws| ws.read(|snap| Between::read(snap, &run, from))).await?;
    let write = move |tx: &mut WriteTx<'_>| {
        let source = tx.get::<Run>(of)?.ok_or_else(|| RunError::NotFound(of.to_string()))?;
        rules::is_workable(tx, &source)?;
        let note = between.note(&source, undone);
        let item = match source.item {
            Some(item) => Some(inbox::restart(tx, item, why == BranchWhy::Retry)?),
            None => None,
        };
        let new = Again { of, why, step, model, thinking, note };
        let (_, run) = rules::begin(tx, new, item)?;
        if let Some(item) = item {
            inbox::lease(tx, item, run.id)?;
        }
        Ok::<_, AgainError>(run.id)
    };
    ws.write(who, once.run(write)).await
}

/// Continues an interrupted run in a new run with the same permissions and limits. `wish` is an additional message to
/// the agent.
///
/// # Errors
/// When the run cannot continue.
pub async fn go_on(
    ws: &Ws,
    who: &Person,
    (of, wish): (RunId, String),
    once: Once,
) -> Result<RunId, AgainError> {
    let by = who.account;
    let write = move |tx: &mut WriteTx<'_>| {
        let (source, _) = onward::check(tx, of, by)?;
        let note = words(&source, cap::of_run(tx, &source)?).note;
        let text = match wish.trim() {
            "" => note,
            wish => format!("{note}\n\n{wish}"),
        };
        let run = onward::begin(tx, of, (by, text))?;
        if let Some(item) = run.item {
            inbox::retry(tx, item)?;
            inbox::lease(tx, item, run.id)?;
        }
        // A separate limit belongs to the work, which continues.
        if let Some(own) = budgets::one(tx, Payer::Run(of), Period::Total)? {
            let (payer, period) = (Payer::Run(run.id), Period::Total);
            let (limit_micros, limit_tokens) = (own.limit_micros, own.limit_tokens);
            let (soft_pct, hard) = (own.soft_pct, own.hard);
            money::set(tx, Limit { payer, period, limit_micros, limit_tokens, soft_pct, hard })?;
        }
        Ok::<_, AgainError>(run.id)
    };
    ws.write(who, once.run(write)).await
}

/// Undoes what was done after a message that is about to be resent, newest first. Returns whether anything was
/// undone.
///
/// # Errors
/// When the message cannot be resent, or the undo is rejected.
async fn take_back(
    app: &App,
    ws: &Ws,
    who: &Person,
    (message, expected): (InputId, Option<String>),
) -> Result<bool, AgainError> {
    let (ws, who) = (ws.clone(), who.clone());
    let work = async move {
        let mut undone = false;
        for (run, event) in done_after(&ws, &who, message, expected).await?.into_iter().rev() {
            let wanted = Wanted::Since(run, event);
            if !is_nothing(&ws, &who, &wanted).await? {
                undo::undo(&ws, &who, (wanted, None), Once::without_key()).await?;
                undone = true;
            }
        }
        Ok::<_, AgainError>(undone)
    };
    app.see_through("take back what a message led to", work).await?
}

/// Whether there is nothing to undo.
async fn is_nothing(ws: &Ws, who: &Person, wanted: &Wanted) -> Result<bool, HistoryError> {
    let by = Undoer::of(ws, who)?;
    let wanted = wanted.clone();
    let look = move |ws: &Ws| {
        ws.read(|snap| {
            let outlook = Outlook::of(snap, ws.store.schema(), &wanted, &by)?;
            Ok::<_, HistoryError>(outlook.is_nothing())
        })
    };
    ws.read_blocking(look).await
}

/// The run with this name, if the person may see it.
fn find(ws: &Ws, who: &Person, name: &str) -> Result<Run, PageError> {
    let found = ws.read(|snap| -> Result<_, StoreError> {
        match runs::by_name(snap, name)? {
            Some(run) if talk::may_see_run(snap, &run, who.account, who.role)? => Ok(Some(run)),
            _ => Ok(None),
        }
    })?;
    found.ok_or_else(|| PageError::not_found("This run"))
}
