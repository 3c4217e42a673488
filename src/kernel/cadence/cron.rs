//! Cron lines of five fields, as cron(5) of Vixie cron reads them. The search runs on the wall clock alone; what that
//! is in a zone is decided here, by the rules of the module above.

use std::str::FromStr;

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::instant;

/// A line that was read.
pub(super) struct Line {
    cron: Cron,
    /// Its hours begin with `*`, so it follows the elapsed time.
    elapsed: bool,
}

/// The fields in their order.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// Which field of a line is wrong.
fn wrong(fields: &[&str]) -> String {
    let fails = |(n, field): &(usize, &&str)| {
        let mut alone = ["*"; 5];
        alone[*n] = field;
        Cron::from_str(&alone.join(" ")).is_err()
    };
    match fields.iter().enumerate().find(fails) {
        Some((n, field)) => format!("`{field}` is no {}", FIELDS[n]),
        None => "these fields do not go together".to_owned(),
    }
}

impl Line {
    /// Reads a line; the error is for people.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() != 5 {
            let form = FIELDS.join(", ");
            return Err(format!("use five fields: {form}, such as `0 9 * * 1-5`"));
        }
        // The library's sign for "and" is not ours.
        if fields[4].starts_with('+') {
            return Err("a day of the week does not begin with `+`".to_owned());
        }
        // Days set in both fields mean either. A field that begins with `*` restricts the other one instead, also where
        // it has a step: `*/2` with a day of the week means both.
        let is_both = [fields[2], fields[4]].iter().any(|field| field.starts_with('*'));
        let parser = CronParser::builder().dom_and_dow(is_both).build();
        let cron = parser.parse(&fields.join(" ")).map_err(|_| wrong(&fields))?;
        Ok(Self { cron, elapsed: fields[1].starts_with('*') })
    }

    /// What it means, as the library says it: long, and of every line.
    pub(super) fn described(&self) -> String {
        self.cron.describe().trim_end_matches('.').to_owned()
    }

    /// The first occurrence after a moment.
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

    /// Looks with the offset that holds at the moment, as far as it holds.
    fn by_offset(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        loop {
            let found = zone.to_offset(from);
            let at = found.to_timestamp(self.after(found.to_datetime(from))?).ok()?;
            // Changes that keep the offset (only the name differs) are none.
            let change = zone.following(from).find(|change| change.offset() != found);
            let change = change.map(|change| change.timestamp()).filter(|change| *change <= at);
            let Some(change) = change else { return Some(at) };
            // Again from the change on, and the moment of the change itself may be one.
            let offset = zone.to_offset(change);
            let wall = offset.to_datetime(change);
            if self.cron.is_time_matching(&wall).unwrap_or(false) {
                return Some(change);
            }
            from = change;
        }
    }
}
