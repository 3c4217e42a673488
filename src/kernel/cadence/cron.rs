//! Cron lines of five fields with the semantics of cron(5) of Vixie cron. The library searches wall-clock times only.
//! This module maps them to moments of a zone by the rules of the parent module.

use std::str::FromStr;

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::instant;

/// A parsed cron line.
pub(super) struct Line {
    cron: Cron,
    /// The hours begin with `*`, so the line follows elapsed time.
    elapsed: bool,
}

/// Field names, in order.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// Error message that names the invalid field.
fn wrong(fields: &[&str]) -> String {
    let fails = |(n, field): &(usize, &&str)| {
        let mut alone = ["*"; 5];
        alone[*n] = field;
        Cron::from_str(&alone.join(" ")).is_err()
    };
    match fields.iter().enumerate().find(fails) {
        Some((n, field)) => format!("`{field}` isn't a valid {}", FIELDS[n]),
        None => "these fields don't work together".to_owned(),
    }
}

impl Line {
    /// Parses a line. The error message is for people.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() != 5 {
            let form = FIELDS.join(", ");
            return Err(format!("use five fields: {form}, such as `0 9 * * 1-5`"));
        }
        // The library's syntax for "and" is not supported.
        if fields[4].starts_with('+') {
            return Err("a day of the week does not begin with `+`".to_owned());
        }
        // Days set in both fields mean either. A field that begins with `*`, also with a step, restricts the other
        // instead: `*/2` with a day of the week means both.
        let is_both = [fields[2], fields[4]].iter().any(|field| field.starts_with('*'));
        let parser = CronParser::builder().dom_and_dow(is_both).build();
        let cron = parser.parse(&fields.join(" ")).map_err(|_| wrong(&fields))?;
        Ok(Self { cron, elapsed: fields[1].starts_with('*') })
    }

    /// The library's description: verbose, but available for every line.
    pub(super) fn described(&self) -> String {
        self.cron.describe().trim_end_matches('.').to_owned()
    }

    /// The first occurrence after `after`.
    pub(super) fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        if self.elapsed { self.by_offset(zone, after) } else { self.by_wall(zone, after) }
    }

    fn after(&self, wall: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&wall, false).ok()
    }

    fn by_wall(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut wall = zone.to_datetime(after);
        loop {
            wall = self.after(wall)?;
            let at = instant(zone, wall)?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// Searches with the current UTC offset until the offset changes.
    fn by_offset(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        loop {
            let found = zone.to_offset(from);
            let at = found.to_timestamp(self.after(found.to_datetime(from))?).ok()?;
            // Ignore transitions that change only the zone's abbreviation.
            let change = zone.following(from).find(|change| change.offset() != found);
            let change = change.map(|change| change.timestamp()).filter(|change| *change <= at);
            let Some(change) = change else { return Some(at) };
            // Continue from the transition, which may itself be an occurrence.
            let offset = zone.to_offset(change);
            let wall = offset.to_datetime(change);
            if self.cron.is_time_matching(&wall).unwrap_or(false) {
                return Some(change);
            }
            from = change;
        }
    }
}
