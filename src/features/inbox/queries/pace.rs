//! Whether an item may be begun now, by the hours and the limit of its agent.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::inbox::model::Item;
use crate::inbox::model::pace::{Pace, Quiet};
use crate::runs::queries as runs;
use crate::workspace::model::Settings;
use kernel::{AgentId, Priority, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::parts::Choice;
use web::{format, time};

use super::order::{QUIET_HOURS, RATE_LIMIT};

/// How many items an agent begins within an hour, unless people chose otherwise.
pub const PER_HOUR: u16 = 30;
/// For how long what a person asked for is begun in spite of quiet hours and limits.
const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// In how much time that many are begun.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Days of the week as fields name them.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// How many runs of an agent are looked at together.
const PAGE: usize = 100;
/// How many are looked at for one hour.
const MOST: usize = 3_000;

/// What people have chosen for an agent, if anything.
pub fn of(tx: &dyn Read, agent: AgentId) -> Result<Pace, StoreError> {
    Ok(tx.get::<Pace>(agent)?.unwrap_or(Pace { agent, quiet: None, per_hour: None }))
}

/// The zone that quiet hours are told in.
pub fn zone(tx: &dyn Read, quiet: &Quiet) -> Result<String, StoreError> {
    Ok(match &quiet.zone {
        Some(zone) => zone.clone(),
        None => tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |own| own.zone),
    })
}

/// What people have chosen in one sentence: "Quiet from 22:00 to 7:00, Europe/Berlin. At most 12 items
/// an hour."; empty when all is as usual.
pub fn words(tx: &dyn Read, pace: &Pace) -> Result<String, StoreError> {
    let mut words = Vec::new();
    if let Some(quiet) = &pace.quiet {
        words.push(format!("Quiet from {}, {}.", quiet.hours.words(), zone(tx, quiet)?));
    }
    words.extend(pace.per_hour.map(|most| {
        format!("At most {} an hour.", format::count(u64::from(most), "item", "items"))
    }));
    Ok(words.join(" "))
}

/// How many items an agent may begin within an hour.
#[must_use]
pub fn most(pace: &Pace) -> u16 {
    pace.per_hour.unwrap_or(PER_HOUR).max(1)
}

/// The fields with which people choose.
pub struct Fields {
    /// Days on which quiet hours begin, by their field.
    pub days: Vec<Choice>,
    /// When they begin; empty for no quiet hours.
    pub from: String,
    /// When they end.
    pub until: String,
    /// Zones, the workspace's first.
    pub zones: Vec<Choice>,
    /// How many items; empty for the usual number.
    pub per_hour: String,
    /// The usual number.
    pub usual: String,
}

/// The fields of an agent.
pub fn fields(tx: &dyn Read, agent: AgentId) -> Result<Fields, StoreError> {
    let pace = of(tx, agent)?;
    let own = pace.quiet.as_ref().and_then(|quiet| quiet.zone.clone()).unwrap_or_default();
    let usual = tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |own| own.zone);
    let mut zones = vec![Choice::new("", format!("The workspace's: {usual}"), own.is_empty())];
    zones.extend(time::zones(&own));
    let chosen = pace.quiet.as_ref().map(|quiet| quiet.hours.days.numbers()).unwrap_or_default();
    let days = (1_u8..)
        .zip(DAYS)
        .map(|(number, name)| Choice::new(format!("day_{number}"), name, chosen.contains(&number)));
    let (from, until) = pace.quiet.map(|quiet| quiet.hours.typed()).unwrap_or_default();
    Ok(Fields {
        days: days.collect(),
        from,
        until,
        zones,
        per_hour: pace.per_hour.map_or_else(String::new, |most| most.to_string()),
        usual: PER_HOUR.to_string(),
    })
}

/// The end of the quiet hours that a moment lies in.
pub fn quiet_until(
    tx: &dyn Read,
    pace: &Pace,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(quiet) = &pace.quiet else { return Ok(None) };
    let zone = TimeZone::get(&zone(tx, quiet)?).unwrap_or(TimeZone::UTC);
    Ok(quiet.hours.end(&zone, now))
}

/// When an agent may begin again, if it has begun as many as it may within an hour.
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
            // One from a time to come was made before the clock was set back.
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

/// Whether a person has just asked for an item, or wants it begun whatever the hour.
#[must_use]
pub fn is_asked(item: &Item, now: Timestamp) -> bool {
    // Not what seems to lie ahead because the clock was set back.
    let fresh = |at: Timestamp| now.duration_since(at).abs() < FRESH;
    item.pressed || item.asked_at.is_some_and(fresh)
}

/// What holds an item by itself: quiet hours, if it is not urgent and no person has just asked for it,
/// or that enough was begun lately.
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
        let item = |priority, asked: Option<SignedDuration>, pressed| Item {
            priority,
            asked_at: asked.map(|ago| now - ago),
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
        let asked = Item { asked_at: Some(now), ..item };
        assert_eq!(holds(&asked, true, true, now), None);
        assert_eq!(holds(&Item { pressed: true, ..agents }, true, true, now), None);
    }
}
