//! Start limits of an agent: quiet hours and items per hour.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::inbox::model::Item;
use crate::inbox::model::pace::{Pace, Quiet};
use crate::runs::queries as runs;
use crate::workspace::model::Settings;
use kernel::{AgentId, Priority, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::form::rev_of;
use web::parts::Choice;
use web::{format, time};

use super::order::{QUIET_HOURS, RATE_LIMIT};

/// Default limit of items per hour.
pub const PER_HOUR: u16 = 30;
/// How long a person's request ignores quiet hours and limits.
const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// Period of the limit.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Weekdays as form values.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Page size of the run scan.
const PAGE: usize = 100;
/// Maximum number of runs to scan for one hour.
const MOST: usize = 3_000;

/// Stored pace of an agent, or the defaults.
pub fn of(tx: &dyn Read, agent: AgentId) -> Result<Pace, StoreError> {
    Ok(tx.get::<Pace>(agent)?.unwrap_or(Pace { agent, quiet: None, per_hour: None }))
}

/// Time zone of quiet hours.
pub fn zone(tx: &dyn Read, quiet: &Quiet) -> Result<String, StoreError> {
    Ok(match &quiet.zone {
        Some(zone) => zone.clone(),
        None => tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |own| own.zone),
    })
}

/// Non-default settings as sentences, such as "Quiet from 22:00 to 7:00, Europe/Berlin. At most 12 items an hour.", or
/// empty.
pub fn words(tx: &dyn Read, pace: &Pace) -> Result<String, StoreError> {
    let mut words = Vec::new();
    if let Some(quiet) = &pace.quiet {
        words.push(format!("Quiet from {}, {}.", quiet.hours.words(), zone(tx, quiet)?));
    }
    words.extend(pace.per_hour.map(|most| {
        format!("At most {} per hour.", format::count(u64::from(most), "item", "items"))
    }));
    Ok(words.join(" "))
}

/// Limit of items per hour.
#[must_use]
pub fn most(pace: &Pace) -> u16 {
    pace.per_hour.unwrap_or(PER_HOUR).max(1)
}

/// Form fields.
pub struct Fields {
    /// Days on which quiet hours begin.
    pub days: Vec<Choice>,
    /// Start, or empty for no quiet hours.
    pub from: String,
    pub until: String,
    /// Zones, the workspace's first.
    pub zones: Vec<Choice>,
    /// Limit, or empty for the default.
    pub per_hour: String,
    /// Default limit.
    pub usual: String,
    /// Revision of the pace.
    pub rev: String,
}

/// Form fields for an agent.
pub fn fields(tx: &dyn Read, agent: AgentId) -> Result<Fields, StoreError> {
    let pace = of(tx, agent)?;
    let own = pace.quiet.as_ref().and_then(|quiet| quiet.zone.clone()).unwrap_or_default();
    let usual = tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |own| own.zone);
    let mut zones = vec![Choice::new("", format!("Workspace default: {usual}"), own.is_empty())];
    zones.extend(time::zones(&own));
    let chosen = pace.quiet.as_ref().map(|quiet| quiet.hours.days.numbers()).unwrap_or_default();
    let days = (1_u8..)
        .zip(DAYS)
        .map(|(number, name)| Choice::new(format!("day_{number}"), name, chosen.contains(&number)));
    let (from, until) = pace.quiet.map(|quiet| quiet.hours.form_values()).unwrap_or_default();
    Ok(Fields {
        days: days.collect(),
        from,
        until,
        zones,
        per_hour: pace.per_hour.map_or_else(String::new, |most| most.to_string()),
        usual: PER_HOUR.to_string(),
        rev: rev_of::<Pace>(tx, agent)?,
    })
}

/// End of the quiet hours that `now` is in.
pub fn quiet_until(
    tx: &dyn Read,
    pace: &Pace,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(quiet) = &pace.quiet else { return Ok(None) };
    let zone = TimeZone::get(&zone(tx, quiet)?).unwrap_or(TimeZone::UTC);
    Ok(quiet.hours.end(&zone, now))
}

/// Time at which the hourly limit allows the next start. `None` if it is not reached.
pub fn full_until(
    tx: &dyn Read,
    pace: &Pace,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let most = usize::from(most(pace));
    let (mut begun, mut seen) = (0, 0);
    let mut after: Option<Vec<u8>> = None;
    while seen < MOST {
        let page = runs::of_agent(tx, pace.agent, after.as_deref(), PAGE)?;
        let full = page.len() == PAGE;
        for hit in page {
            let (run, age) = (&hit.record, now.duration_since(hit.record.created_at));
            if WINDOW <= age {
                return Ok(None);
            }
            // A run from the future was created before the clock was set back.
            begun += usize::from(run.item.is_some() && SignedDuration::ZERO <= age);
            if begun == most {
                return Ok(Some(run.created_at + WINDOW));
            }
            seen += 1;
            after = Some(hit.key);
        }
        if !full {
            break;
        }
    }
    Ok(None)
}

/// Returns `true` if a person requested the item recently or wants it started now.
#[must_use]
pub fn is_asked(item: &Item, now: Timestamp) -> bool {
    // `abs` rejects moments that are far ahead because the clock was set back.
    let fresh = |at: Timestamp| now.duration_since(at).abs() < FRESH;
    item.pressed || item.asked_at.is_some_and(fresh)
}

/// Reason to hold an item: quiet hours, unless it is urgent or recently requested by a person, or the hourly limit.
#[must_use]
pub fn holds(item: &Item, quiet: bool, full: bool, now: Timestamp) -> Option<&'static str> {
    match (is_asked(item, now), item.priority) {
        (true, _) => None,
        (false, priority) if quiet && priority != Priority::Urgent => Some(QUIET_HOURS),
        (false, _) if full => Some(RATE_LIMIT),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{FRESH, Item, Priority, QUIET_HOURS, RATE_LIMIT, holds};
    use jiff::SignedDuration;
    use kernel::time::from_ms;
    use store::Record as _;

    #[test]
    fn quiet_hours_hold_what_is_neither_urgent_nor_just_asked_for() {
        let now = from_ms(1_700_000_000_000);
        let item = |priority, since: Option<SignedDuration>, pressed| Item {
            priority,
            asked_at: since.map(|ago| now - ago),
            pressed,
            ..Item::sample()
        };
        let (just, long_ago) = (Some(SignedDuration::ZERO), Some(FRESH));
        let held = |item: &Item| holds(item, true, false, now);
        assert_eq!(held(&item(Priority::High, None, false)), Some(QUIET_HOURS));
        assert_eq!(held(&item(Priority::High, long_ago, false)), Some(QUIET_HOURS));
        assert_eq!(held(&item(Priority::High, just, false)), None);
        assert_eq!(held(&item(Priority::Urgent, None, false)), None);
        assert_eq!(held(&item(Priority::Low, None, true)), None);
    }

    #[test]
    fn a_limit_holds_also_what_is_urgent_but_not_what_a_person_wants() {
        let now = from_ms(1_700_000_000_000);
        let item = Item { priority: Priority::Urgent, pressed: false, ..Item::sample() };
        let agents = Item { asked_at: None, ..item.clone() };
        assert_eq!(holds(&agents, false, true, now), Some(RATE_LIMIT));
        assert_eq!(holds(&agents, true, true, now), Some(RATE_LIMIT));
        assert_eq!(holds(&agents, false, false, now), None);
        let urgent = Item { asked_at: Some(now), ..item };
        assert_eq!(holds(&urgent, true, true, now), None);
        assert_eq!(holds(&Item { pressed: true, ..agents }, true, true, now), None);
    }
}
