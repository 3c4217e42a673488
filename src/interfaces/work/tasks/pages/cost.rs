//! The cost of a task beside its properties: all calls for it and its parts, compared with its budgets.

use askama::Template;

use super::show::live;
use features::tasks::model::Task;
use features::tasks::queries::view_context::ViewContext;
use features::usage::queries::budgets::{self, Standing};
use features::usage::queries::payers::lasting;
use features::usage::queries::purse::notes;
use features::usage::queries::waiting;
use kernel::{Can, Payer, Period};
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::Tone;

/// The cost of a task.
#[derive(Default)]
pub(super) struct Cost {
    pub(super) live: Live,
    /// Amount spent and limit: `$0.68 of $5`.
    pub(super) spent: String,
    /// Number of tokens in words; may be empty.
    pub(super) tokens: String,
    /// Share of the budget in percent, with its tone; `None` without a budget.
    pub(super) share: Option<(u8, Tone)>,
    /// Notes on its budgets, one line each.
    pub(super) notes: Vec<String>,
    /// Address and payer of "set a budget"; `None` if the person may not.
    pub(super) set: Option<(String, String)>,
    /// Whether there is anything to show: cost, a limit, or the possibility of either.
    pub(super) shown: bool,
}

/// The cost alone, for its refresh.
#[derive(Template)]
#[template(path = "tasks/_cost.html")]
pub(super) struct CostPart {
    pub(super) cost: Cost,
}

/// The cost of a task.
pub(super) fn cost(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Cost, StoreError> {
    let (payer, now) = (Payer::Task(task.id), scene.today.now);
    let spent = budgets::spent(&read, payer, Period::Total, now)?;
    let tokens = budgets::tokens(&read, payer, Period::Total, now)?.max(0).unsigned_abs();
    let all = budgets::standings_of(&read, budgets::of(&read, payer)?, now)?;
    let (whole, others): (Vec<Standing>, Vec<Standing>) =
        all.into_iter().partition(|one| one.budget.period == Period::Total);
    let waits = waiting::all(&read)?;
    let mut lines: Vec<String> = whole.iter().map(|one| notes(one, &waits)).collect();
    lines.extend(
        others.iter().map(|one| format!("{} {}", one.describe(), one.budget.period.words())),
    );
    lines.retain(|line| !line.is_empty());
    let whole = whole.first();
    let may_set = scene.access.may(Can::Agents) && task.archived_at.is_none();
    let has_agent = task.assignee.is_some_and(|who| who.agent().is_some());
    Ok(Cost {
        live: live(scene, task, "cost").table("usage").table("budgets").debounced(),
        spent: whole.map_or_else(|| format::money(spent), Standing::words),
        tokens: match tokens {
            0 => String::new(),
            some => format!("{} tokens", format::tokens(some)),
        },
        share: whole.map(|one| (one.share(), one.tone())),
        shown: 0 < spent || 0 < tokens || has_agent || whole.is_some() || !lines.is_empty(),
        notes: lines,
        set: may_set.then(|| (scene.ws.url("settings/usage/budgets"), lasting(payer))),
    })
}
