//! What an agent spent this month, for its overview.

use jiff::civil::Date;

use features::agents::model::Agent;
use features::dashboard::queries::spend_day;
use features::usage::model::day_of;
use features::usage::queries as usage;
use kernel::Timestamp;
use kernel::display;
use store::{Snap, StoreError};
use web::format;
use web::parts::Tone;

use super::When;
use super::list::budget;

pub(super) struct Day {
    pub at: u32,
    pub top: u32,
    pub height: u32,
    pub is_now: bool,
}

pub(super) struct BudgetView {
    pub title: String,
    pub spent: String,
    pub limit: String,
    pub percent: u8,
    pub text: String,
    pub label: String,
    pub tone: Tone,
    pub pace: String,
    pub days: Vec<Day>,
    pub days_label: String,
    pub from: String,
    pub today: String,
}

/// What an agent spent this month, by day.
pub(super) fn budget_view(
    snap: &Snap<'_>,
    when: &When,
    agent: &Agent,
) -> Result<BudgetView, StoreError> {
    let spent = usage::agent_month(snap, agent.id, when.now)?;
    let today = usage::agent_day(snap, agent.id, when.now)?;
    let (limit, percent, tone) = budget(agent, spent);
    // Budgets count days and months in UTC, so a budget ends at the same time for everyone.
    let date = when.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = days(snap, agent, date, day_of(when.now))?;
    Ok(BudgetView {
        title: format!("Spent in {}", date.strftime("%B")),
        spent: format::money(spent),
        text: match agent.budget_micros {
            Some(_) => format!("{percent} %"),
            None => String::new(),
        },
        label: match agent.budget_micros {
            Some(_) => format!("{percent} percent of the budget used"),
            None => "No budget".to_owned(),
        },
        limit,
        percent,
        tone,
        pace: pace(agent, spent, date),
        days,
        days_label: format!("Spent by day, 1 to {} {}", date.day(), date.strftime("%B")),
        from: display::day_of_year(date.first_of_month()),
        today: format!("{} {}", spend_day(when.now, &when.zone), format::money(today)),
    })
}

/// Projected cost at the end of the month.
fn pace(agent: &Agent, spent: i64, date: Date) -> String {
    if spent <= 0 {
        return "Nothing spent yet.".to_owned();
    }
    let (day, days) = (i64::from(date.day()), i64::from(date.days_in_month()));
    let end = spent / day * days;
    let at_pace = format!("On track for {} this month.", format::money(end));
    match agent.budget_micros {
        Some(limit) if limit <= spent => "Limit reached.".to_owned(),
        Some(limit) if limit < end => {
            let on = (limit * day / spent).min(days);
            format!("{at_pace} It stops around the {on}.")
        }
        _ => at_pace,
    }
}

fn days(snap: &Snap<'_>, agent: &Agent, date: Date, today: u32) -> Result<Vec<Day>, StoreError> {
    let first = today + 1 - u32::from(date.day().unsigned_abs());
    let mut sums = Vec::new();
    for day in first..=today {
        let at = Timestamp::from_second(i64::from(day) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
        sums.push(usage::agent_day(snap, agent.id, at)?);
    }
    let most = sums.iter().copied().max().unwrap_or(0).max(1);
    let bars = sums.into_iter().enumerate().map(|(n, sum)| {
        let height = u32::try_from(22 * sum.max(0) / most).unwrap_or(0).max(2);
        let n = u32::try_from(n).unwrap_or(0);
        Day { at: n * 20, top: 24 - height, height, is_now: first + n == today }
    });
    Ok(bars.collect())
}
