//! Budgets that apply to a call, and their current state.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::runs::model::{Child, Run};
use crate::usage::model::budget::{Budget, BudgetNotice, SOFT_PCT};
use crate::usage::model::grant::RunGrant;
use crate::usage::model::{
    AGENT_DAY, AGENT_MONTH, MONTH, PAYER_DAY, RUN_COST, Reservation, TOKEN_DAY, day_of,
};
use crate::workspace::model::{RUN_CAP_MICROS, Settings};
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::time::month_of;
use kernel::{AgentId, Payer, Period, RunId, Timestamp};
use providers::bound::Left;
use store::{Range, Read, ReadExt, StoreError};
use web::format;
use web::parts::Tone;

use super::held::Held;
use super::payers::{payers, whose};
use super::reservations;

/// State of one limit, in micro-dollars or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub limit: i64,
    /// Spent.
    pub booked: i64,
    /// Reserved for running calls.
    pub reserved: i64,
}

impl Level {
    /// Remaining amount; negative if the limit is exceeded.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.limit.saturating_sub(self.booked).saturating_sub(self.reserved)
    }

    /// Whether nothing is left, or less than `needed`.
    #[must_use]
    pub fn is_short_of(&self, needed: i64) -> bool {
        self.left() <= 0 || self.left() < needed
    }

    /// Spent share in percent. For a limit of 0, any spending is at least 100.
    #[must_use]
    pub fn percent(&self) -> i64 {
        let share = i128::from(self.booked.max(0)) * 100 / i128::from(self.limit.max(1));
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}

/// State of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub budget: Budget,
    /// Money limit in micro-dollars, if any.
    pub micros: Option<Level>,
    /// Token limit, if any.
    pub tokens: Option<Level>,
}

impl Standing {
    /// Spent share in percent; the higher of both limits.
    #[must_use]
    pub fn percent(&self) -> i64 {
        let both = self.micros.iter().chain(&self.tokens);
        both.map(Level::percent).max().unwrap_or(0)
    }

    /// `ok`, `warned` or `reached`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.is_used_up(), self.is_warm()) {
            (true, _) => "reached",
            (false, true) => "warned",
            (false, false) => "ok",
        }
    }

    /// Usage of the limit with the higher share: `$32.10 of $40`.
    #[must_use]
    pub fn words(&self) -> String {
        let money = self.micros.map(|level| {
            let words =
                format!("{} of {}", format::money(level.booked), format::limit(level.limit));
            (level.percent(), words)
        });
        let tokens = self.tokens.map(|level| {
            let count = |n: i64| format::tokens(n.max(0).unsigned_abs());
            let words = format!("{} of {} tokens", count(level.booked), count(level.limit));
            (level.percent(), words)
        });
        let most = money.into_iter().chain(tokens).max_by_key(|(percent, _)| *percent);
        most.map_or_else(|| "no limit".to_owned(), |(_, words)| words)
    }

    /// Usage for lists. A limit per run belongs to no particular run, so only the maximum is shown.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = self.words();
        match words.split_once(" of ") {
            Some((_, most)) if self.budget.period == Period::Run => format!("at most {most}"),
            _ => words,
        }
    }

    /// Spent share for a bar, 0 to 100.
    #[must_use]
    pub fn share(&self) -> u8 {
        u8::try_from(self.percent().clamp(0, 100)).unwrap_or(100)
    }

    #[must_use]
    pub fn tone(&self) -> Tone {
        match self.state() {
            "reached" => Tone::Danger,
            "warned" => Tone::Warn,
            _ => Tone::Ok,
        }
    }

    /// Whether a limit is used up and anything was spent.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        let mut both = self.micros.iter().chain(&self.tokens);
        both.any(|level| level.limit <= level.booked && 0 < level.booked)
    }

    /// Whether the spent share has reached the warning level.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        let spent = self.micros.iter().chain(&self.tokens).any(|level| 0 < level.booked);
        spent && i64::from(self.budget.soft_pct) <= self.percent()
    }
}

/// Why a budget cannot pay a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// The tightest budget.
    pub budget: Budget,
    pub name: String,
    /// Whether tokens are short; otherwise money is.
    pub tokens: bool,
    /// State of that limit.
    pub level: Level,
    /// Maximum cost or tokens of the call.
    pub needed: i64,
}

impl Lack {
    /// Micro-dollars and tokens that the call needs.
    #[must_use]
    pub fn needs(&self) -> (i64, i64) {
        if self.tokens { (0, self.needed) } else { (self.needed, 0) }
    }
}

/// The budgets of a payer, ordered by period.
pub fn of(tx: &dyn Read, payer: Payer) -> Result<Vec<Budget>, StoreError> {
    let mut all: Vec<Budget> = tx.list(&Range::prefix(KeyBuf::of(&payer)))?;
    match payer {
        Payer::Workspace => {
            let settings = tx.get::<Settings>(())?;
            let month = settings.as_ref().and_then(|settings| settings.budget_micros);
            lay_over(&mut all, (payer, Period::Month), month, None);
            let chosen = |row: &Budget| row.period == Period::Run && row.limit_micros.is_some();
            let is_chosen = all.iter().any(chosen);
            let cap = settings.map(|settings| settings.run_cap_micros).filter(|cap| 0 < *cap);
            lay_over(&mut all, (payer, Period::Run), cap, None);
            if let Some(each) = all.iter_mut().find(|budget| budget.period == Period::Run) {
                // Older workspaces did not record the choice: an amount other than the default was chosen.
                each.usual = !is_chosen && each.limit_micros == Some(RUN_CAP_MICROS);
            }
        }
        Payer::Agent(id) => {
            if let Some(agent) = tx.get::<Agent>(id)? {
                let soft = Some(agent.budget_soft_pct);
                lay_over(&mut all, (payer, Period::Month), agent.budget_micros, soft);
            }
        }
        Payer::Run(id) if all.is_empty() => {
            // A sub-agent's share, unless a person has set another limit.
            all.extend(tx.get::<Child>(id)?.map(|child| Budget {
                limit_micros: child.limit_micros,
                limit_tokens: child.limit_tokens,
                usual: true,
                ..Budget::new(payer, Period::Total)
            }));
        }
        Payer::Task(_) | Payer::Run(_) | Payer::Stream(_) | Payer::Routine(_) => {}
    }
    all.retain(Budget::limits);
    all.sort_by_key(|budget| budget.period);
    Ok(all)
}

/// Merges in the money limit of a budget that is stored in another record.
fn lay_over(
    all: &mut Vec<Budget>,
    (payer, period): (Payer, Period),
    micros: Option<i64>,
    soft_pct: Option<u8>,
) {
    match all.iter_mut().find(|budget| budget.period == period) {
        Some(budget) => {
            budget.limit_micros = micros;
            budget.soft_pct = soft_pct.unwrap_or(budget.soft_pct);
        }
        None if micros.is_some() => all.push(Budget {
            limit_micros: micros,
            soft_pct: soft_pct.unwrap_or(SOFT_PCT),
            ..Budget::new(payer, period)
        }),
        None => {}
    }
}

/// The budget of a payer for one period, if it has a limit.
pub fn one(tx: &dyn Read, payer: Payer, period: Period) -> Result<Option<Budget>, StoreError> {
    Ok(of(tx, payer)?.into_iter().find(|budget| budget.period == period))
}

/// State of the payers' budgets. Limits per run are included once for each paying run. A run's own limit replaces
/// them.
pub fn standings(
    tx: &dyn Read,
    payers: &[Payer],
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    standings_beside(tx, payers, now, None)
}

/// Like [`standings`] for run `own`, whose grant is not counted as reserved.
pub fn standings_beside(
    tx: &dyn Read,
    payers: &[Payer],
    now: Timestamp,
    own: Option<RunId>,
) -> Result<Vec<Standing>, StoreError> {
    let mut runs = Vec::new();
    for payer in payers.iter().filter(|payer| matches!(payer, Payer::Run(_))) {
        runs.push((*payer, one(tx, *payer, Period::Total)?));
    }
    let mut wanted = Vec::new();
    for payer in payers {
        for budget in of(tx, *payer)? {
            if budget.period != Period::Run {
                wanted.push((budget, *payer));
                continue;
            }
            for (run, own) in &runs {
                let mut budget = budget.clone();
                if let Some(own) = own {
                    budget.limit_micros =
                        budget.limit_micros.filter(|_| own.limit_micros.is_none());
                    budget.limit_tokens =
                        budget.limit_tokens.filter(|_| own.limit_tokens.is_none());
                }
                wanted.push((budget, *run));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = reservations(tx, now)?;
    let own = own.map(RunGrant::held_as);
    all.retain(|held| Some(held.id) != own);
    let held = Held { of: payers, all: &all, now };
    wanted.into_iter().map(|(budget, spender)| standing(tx, budget, spender, &held)).collect()
}

fn standing(
    tx: &dyn Read,
    budget: Budget,
    spender: Payer,
    held: &Held<'_>,
) -> Result<Standing, StoreError> {
    let (now, reserved) = (held.now, held.reserved(spender));
    let aside = held.set_aside(tx, spender)?;
    let micros = match budget.limit_micros {
        Some(limit) => Some(Level {
            limit,
            booked: spent(tx, spender, budget.period, now)?,
            reserved: reserved.0.saturating_add(aside.0),
        }),
        None => None,
    };
    let tokens = match budget.limit_tokens {
        Some(limit) => Some(Level {
            limit,
            booked: tokens(tx, spender, budget.period, now)?,
            reserved: reserved.1.saturating_add(aside.1),
        }),
        None => None,
    };
    Ok(Standing { budget, micros, tokens })
}

/// Amount that a payer spent in the current period, in micro-dollars.
pub fn spent(
    tx: &dyn Read,
    payer: Payer,
    period: Period,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let (first, today) = (period.first_day(now), day_of(now));
    Ok(match payer {
        Payer::Workspace => match period {
            Period::Month => tx.sum(MONTH, &KeyBuf::of(&month_of(now)))?,
            Period::Day | Period::Week => add(tx.sums(AGENT_DAY, &days(None, first, today))?),
            Period::Total | Period::Run => add(tx.sums(MONTH, &Range::all())?),
        },
        Payer::Agent(agent) => match period {
            Period::Month => tx.sum(AGENT_MONTH, &KeyBuf::of(&month_of(now)).with(&agent))?,
            Period::Day | Period::Week => {
                let mut sum = 0_i64;
                for day in first..=today {
                    sum = sum.saturating_add(tx.sum(AGENT_DAY, &KeyBuf::of(&day).with(&agent))?);
                }
                sum
            }
            Period::Total | Period::Run => {
                let mut all = tx.sums(AGENT_MONTH, &Range::all())?;
                all.retain(|(key, _)| {
                    decode::<(u32, AgentId)>(key).is_some_and(|(_, one)| one == agent)
                });
                add(all)
            }
        },
        Payer::Run(run) => {
            let below = add(tx.sums(PAYER_DAY, &days(Some(payer), first, today))?);
            tx.sum(RUN_COST, &KeyBuf::of(&run))?.saturating_add(below)
        }
        Payer::Task(_) | Payer::Stream(_) | Payer::Routine(_) => {
            add(tx.sums(PAYER_DAY, &days(Some(payer), first, today))?)
        }
    })
}

/// Tokens that a payer used in the current period.
pub fn tokens(
    tx: &dyn Read,
    payer: Payer,
    period: Period,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let range = days(Some(payer), period.first_day(now), day_of(now));
    Ok(add(tx.sums(TOKEN_DAY, &range)?))
}

/// Key range of these days, including the last.
fn days(payer: Option<Payer>, first: u32, last: u32) -> Range {
    let key = |day: u32| match payer {
        Some(payer) => KeyBuf::of(&payer).with(&day),
        None => KeyBuf::of(&day),
    };
    Range::between(key(first), key(last.saturating_add(1)))
}

fn add(sums: Vec<(Vec<u8>, i64)>) -> i64 {
    sums.into_iter().fold(0, |sum, (_, n)| sum.saturating_add(n))
}

/// What the tightest hard budgets can still pay.
#[must_use]
pub fn left(standings: &[Standing]) -> Left {
    let hard = || standings.iter().filter(|standing| standing.budget.hard);
    let least = |of: fn(&Standing) -> Option<Level>| {
        let least = hard().filter_map(of).map(|level| level.left()).min();
        least.map(|left| u64::try_from(left).unwrap_or(0))
    };
    Left { micros: least(|one| one.micros), tokens: least(|one| one.tokens) }
}

/// The tightest hard budget that cannot pay the call; `None` if all can.
pub fn lack(
    tx: &dyn Read,
    standings: &[Standing],
    micros: i64,
    tokens: i64,
) -> Result<Option<Lack>, StoreError> {
    let hard = || standings.iter().filter(|standing| standing.budget.hard);
    let money = hard().filter_map(|one| Some((one, one.micros?, false, micros)));
    let words = hard().filter_map(|one| Some((one, one.tokens?, true, tokens)));
    let short = |kind: &(&Standing, Level, bool, i64)| kind.1.left() < kind.3;
    // Money first: it is the more useful reason if both are short.
    let tightest = money.filter(short).min_by_key(|one| one.1.left());
    let tightest = tightest.or_else(|| words.filter(short).min_by_key(|one| one.1.left()));
    let Some((one, level, tokens, needed)) = tightest else { return Ok(None) };
    let name = name(tx, &one.budget)?;
    Ok(Some(Lack { budget: one.budget.clone(), name, tokens, level, needed }))
}

/// What the limits of a run still allow, in micro-dollars and tokens; `None` without a limit.
pub fn left_of_run(
    tx: &dyn Read,
    agent: AgentId,
    run: RunId,
    now: Timestamp,
) -> Result<Left, StoreError> {
    let mut all = standings_beside(tx, &payers(tx, agent, run)?, now, Some(run))?;
    all.retain(|one| one.budget.is_of_run());
    Ok(left(&all))
}

/// Display name of a budget: `Ada's budget of this month`.
pub fn name(tx: &dyn Read, budget: &Budget) -> Result<String, StoreError> {
    let words = budget.period.words();
    Ok(match (budget.payer, budget.period) {
        (Payer::Workspace, Period::Run) => "the limit per run".to_owned(),
        (Payer::Agent(id), Period::Run) => {
            format!("the limit per run of {}", whose(tx, Payer::Agent(id))?)
        }
        (Payer::Task(_) | Payer::Stream(_) | Payer::Routine(_), Period::Run) => {
            format!("the limit per run for {}", whose(tx, budget.payer)?)
        }
        (Payer::Run(_), _) => "this run's limit".to_owned(),
        (Payer::Task(_) | Payer::Stream(_) | Payer::Routine(_), Period::Total) => {
            format!("{}'s budget", whose(tx, budget.payer)?)
        }
        (payer, _) => format!("{}'s budget {words}", whose(tx, payer)?),
    })
}

/// All budgets: the workspace's, agents' by name, then those of tasks, runs, streams and routines.
pub fn all(tx: &dyn Read) -> Result<Vec<Budget>, StoreError> {
    let mut budgets = of(tx, Payer::Workspace)?;
    let mut people = agents::all(tx)?;
    people.extend(agents::archived(tx)?);
    for agent in people {
        budgets.extend(of(tx, Payer::Agent(agent.id))?);
    }
    let rows: Vec<Budget> = tx.list(&Range::all())?;
    let others = |row: &Budget| !matches!(row.payer, Payer::Workspace | Payer::Agent(_));
    budgets.extend(rows.into_iter().filter(others));
    Ok(budgets)
}

/// State of one budget by itself. A limit per run counts as unspent.
pub fn standing_of(tx: &dyn Read, budget: Budget, now: Timestamp) -> Result<Standing, StoreError> {
    standing_among(tx, budget, &reservations(tx, now)?, now)
}

/// State of several budgets, each by itself.
pub fn standings_of(
    tx: &dyn Read,
    budgets: Vec<Budget>,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let held = reservations(tx, now)?;
    budgets.into_iter().map(|budget| standing_among(tx, budget, &held, now)).collect()
}

/// State of one budget by itself, given all current reservations.
fn standing_among(
    tx: &dyn Read,
    budget: Budget,
    all: &[Reservation],
    now: Timestamp,
) -> Result<Standing, StoreError> {
    if budget.period == Period::Run {
        let level = |limit| Level { limit, booked: 0, reserved: 0 };
        let (micros, tokens) = (budget.limit_micros.map(level), budget.limit_tokens.map(level));
        return Ok(Standing { budget, micros, tokens });
    }
    let payer = budget.payer;
    standing(tx, budget, payer, &Held { of: &[payer], all, now })
}

/// Whether every budget that a run waits for can pay a call with these maximum costs and tokens. Limits per run are
/// excluded: a run that reaches one ends.
pub fn can_pay(
    tx: &dyn Read,
    run: &Run,
    (micros, tokens): (i64, i64),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let payers = payers(tx, run.agent, run.id)?;
    let mut all = standings(tx, &payers, now)?;
    all.retain(|one| !one.budget.is_of_run());
    let left = left(&all);
    let fits = |left: Option<u64>, needed: i64| {
        left.is_none_or(|left| u64::try_from(needed).unwrap_or(0) <= left)
    };
    Ok(fits(left.micros, micros) && fits(left.tokens, tokens))
}

/// The used-up hard budget of the agent or the workspace. While there is one, no work begins.
pub fn over_budget(
    tx: &dyn Read,
    agent: AgentId,
    now: Timestamp,
) -> Result<Option<Standing>, StoreError> {
    let standings = standings(tx, &[Payer::Workspace, Payer::Agent(agent)], now)?;
    let over = standings.into_iter().filter(|one| one.budget.hard && one.is_used_up());
    Ok(over.max_by_key(|one| one.budget.period.ends(now).unwrap_or(Timestamp::MAX)))
}

/// Whether a person has set a hard money limit among these. The default limit per run and a sub-agent's share do not
/// count.
#[must_use]
pub fn is_limited(standings: &[Standing]) -> bool {
    let limits = |one: &Standing| one.budget.hard && !one.budget.usual && one.micros.is_some();
    standings.iter().any(limits)
}

/// Unseen budget notices of current periods.
pub fn notices(tx: &dyn Read, now: Timestamp) -> Result<Vec<BudgetNotice>, StoreError> {
    let mut all: Vec<BudgetNotice> = tx.list(&Range::all())?;
    all.retain(|notice| {
        notice.seen_at.is_none() && notice.first_day == notice.period.first_day(now)
    });
    Ok(all)
}
