//! Cost of this month by day and by agent.

use askama::Template;

use features::usage::model::{USAGE, day_of};
use features::usage::queries as usage;
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Face, Tone, percent};

use features::dashboard::queries::DashboardContext;

/// Maximum number of agents listed.
const NAMED: usize = 5;
/// A budget gets a bar from this percentage on; below, it needs no attention.
const FROM: u8 = 50;
/// Dimensions of the chart: width, top and bottom.
const WIDTH: f64 = 296.0;
const TOP: f64 = 12.0;
const GROUND: f64 = 112.0;

/// An agent's cost.
struct Bar {
    face: Face,
    name: String,
    /// Share of its budget, from `FROM` on.
    percent: Option<u8>,
    tone: Tone,
    cost: String,
    limit: String,
}

/// The chart of the month.
struct Chart {
    area: String,
    stroke: String,
    ahead: String,
    now: (String, String),
    limit: String,
    first: String,
    last: String,
    said: String,
}

#[derive(Template)]
#[template(path = "dashboard/_spend.html")]
pub(super) struct Spend {
    live: Live,
    month: String,
    total: String,
    of: String,
    chip: Option<(&'static str, Tone)>,
    progress: Option<u8>,
    chart: Option<Chart>,
    /// Whether the month has any cost.
    is_spent: bool,
    bars: Vec<Bar>,
}

pub(super) fn read(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Spend, StoreError> {
    // Budgets count days and months in UTC.
    let today = scene.now.to_zoned(jiff::tz::TimeZone::UTC);
    let total = usage::month_total(tx, scene.now)?;
    let limit = scene.settings.as_ref().and_then(|settings| settings.budget_micros);
    let (day, days) = (today.day(), today.days_in_month());
    let pace = total / i64::from(day.max(1)) * i64::from(days);
    let first = today.first_of_month().ok().and_then(|first| first.start_of_day().ok());
    let first = first.map_or(scene.now, |first| first.timestamp());
    let sums = usage::by_day(tx, first, scene.now)?;
    let chart = (0 < total && 1 < day).then(|| {
        let month = today.strftime("%b").to_string();
        let first_day = day_of(first);
        let daily: Vec<i64> = (0..u32::try_from(day).unwrap_or(1))
            .map(|n| sums.get(&(first_day + n)).copied().unwrap_or(0))
            .collect();
        chart(&daily, days, limit, pace, &month)
    });
    let chip = limit.filter(|limit| 0 < *limit).map(|limit| match total {
        total if limit <= total => ("Used up", Tone::Danger),
        _ if limit < pace => ("Over at this pace", Tone::Warn),
        _ => ("On track", Tone::Ok),
    });
    Ok(Spend {
        live: Live::new(scene.ws.url("")).table(USAGE.name),
        month: today.strftime("%B").to_string(),
        total: format::money(total),
        is_spent: 0 < total,
        of: limit.map(|limit| format!("of {}", format::money(limit))).unwrap_or_default(),
        chip,
        progress: limit.filter(|_| chart.is_none()).map(|limit| share(total, limit)),
        chart,
        bars: bars(tx, scene)?,
    })
}

fn share(part: i64, whole: i64) -> u8 {
    percent(u64::try_from(part).unwrap_or(0), u64::try_from(whole).unwrap_or(0))
}

fn bars(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Vec<Bar>, StoreError> {
    let spent = usage::by_agent(tx, scene.now)?;
    let mut bars = Vec::new();
    for (id, sum) in spent.into_iter().take(NAMED) {
        let Some(agent) = scene.agent(id) else { continue };
        let limit = agent.budget_micros.filter(|limit| 0 < *limit);
        let percent = limit.map(|limit| share(sum, limit));
        bars.push(Bar {
            face: scene.called.face(agent),
            name: scene.called.name(agent),
            percent: percent.filter(|percent| FROM <= *percent),
            tone: match limit {
                Some(limit) if limit <= sum => Tone::Danger,
                Some(_) if Some(agent.budget_soft_pct) <= percent => Tone::Warn,
                _ => Tone::Brand,
            },
            cost: format::money(sum),
            limit: limit.map(|limit| format!(" / {}", format::money(limit))).unwrap_or_default(),
        });
    }
    Ok(bars)
}

/// The cumulative cost as a line, with a projection.
fn chart(daily: &[i64], days: i8, limit: Option<i64>, pace: i64, month: &str) -> Chart {
    let total: i64 = daily.iter().sum();
    let most = limit.unwrap_or(0).max(pace).max(total).max(1);
    // A month's cost is far below the range that an f64 represents exactly.
    #[expect(clippy::cast_precision_loss, reason = "the picture has a few hundred pixels")]
    let y = |micros: i64| GROUND - (GROUND - TOP) * micros as f64 / most as f64;
    let step = WIDTH / f64::from(days.max(1));
    let mut sum = 0;
    let mut points = vec![format!("0 {GROUND}")];
    let mut x = 0.0;
    for micros in daily {
        sum += micros;
        x += step;
        points.push(format!("{x:.1} {:.1}", y(sum)));
    }
    let stroke = format!("M{}", points.join(" "));
    Chart {
        area: format!("{stroke} L{x:.1} {GROUND} Z"),
        ahead: format!("M{x:.1} {:.1}L{WIDTH} {:.1}", y(sum), y(pace)),
        now: (format!("{x:.1}"), format!("{:.1}", y(sum))),
        limit: limit.map(|limit| format!("{:.1}", y(limit))).unwrap_or_default(),
        first: format!("1 {month}"),
        last: format!("{days} {month}"),
        said: format!(
            "{} so far, about {} by month-end",
            format::money(total),
            format::money(pace)
        ),
        stroke,
    }
}

#[cfg(test)]
mod tests {
    use super::chart;

    #[test]
    fn the_line_rises_from_the_ground_to_what_was_spent() {
        let chart = chart(&[0, 1_000_000, 1_000_000], 30, Some(20_000_000), 20_000_000, "Nov");
        assert!(
            chart.stroke.starts_with("M0 112 9.9 112.0 19.7 107.0 29.6 102.0"),
            "{}",
            chart.stroke
        );
        assert_eq!(chart.limit, "12.0");
        assert!(chart.ahead.ends_with("L296 12.0"));
    }
}
