//! Runs of one day, counted by one query for the dashboard, the list of agents and the list of runs. A run belongs to
//! the day on which it was created, in the zone of the person who looks. Sub-agents' runs count.

use crate::runs::model::Run;
use jiff::tz::TimeZone;
use kernel::{AccountId, Outcome, Role, Timestamp};
use store::{Read, StoreError};
use web::format;

use super::talk;

/// Maximum number of runs to examine.
const MOST: usize = 2_000;
/// Number of runs to read at once; a divisor of [`MOST`].
const PAGE: usize = 100;

/// Runs created since a time that a person may see.
#[derive(Clone, Debug, Default)]
pub struct Created {
    /// Newest first.
    pub runs: Vec<Run>,
    /// `true` if there are more than were examined.
    pub beyond: bool,
}

impl Created {
    /// Reads the runs created at or after `from`.
    pub fn since(
        tx: &dyn Read,
        from: Timestamp,
        (account, role): (AccountId, Role),
    ) -> Result<Self, StoreError> {
        let (mut all, mut after) = (Self::default(), None::<Vec<u8>>);
        for _ in 0..MOST / PAGE {
            let page = super::all(tx, after.as_deref(), PAGE)?;
            let is_full = page.len() == PAGE;
            for hit in page {
                if hit.record.created_at < from {
                    return Ok(all);
                }
                if talk::may_see_run(tx, &hit.record, account, role)? {
                    all.runs.push(hit.record);
                }
                after = Some(hit.key);
            }
            if !is_full {
                return Ok(all);
            }
        }
        all.beyond = true;
        Ok(all)
    }

    /// Number of runs that ended well.
    #[must_use]
    pub fn done(&self) -> u64 {
        let done = self.runs.iter().filter(|run| run.outcome == Some(Outcome::Done));
        done.count() as u64
    }

    /// Number of runs, such as "13" or "2,000+".
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = format::grouped(self.runs.len() as u64);
        if self.beyond {
            text.push('+');
        }
        text
    }

    /// What is counted, after the number.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        if self.runs.len() == 1 && !self.beyond { "run today" } else { "runs today" }
    }

    /// "13 runs today"
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {}", self.short(), self.noun())
    }
}

/// Start of today in a zone.
#[must_use]
pub fn midnight(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let start = now.to_zoned(zone.clone()).start_of_day();
    start.map_or(now, |start| start.timestamp())
}
