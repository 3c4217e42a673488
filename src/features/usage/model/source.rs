//! Daily totals by source: trigger of the run, and purpose of the call within it. The consumer of the daily totals
//! builds these rows too.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::runs::model::Run;
use kernel::CallKind;
use store::{Class, Read, ReadExt, Record, StoreError, Table};

use super::Usage;
use super::day::{Roll, Sums, day_in};

pub const SOURCES: Table = Table::new(181, "usage_sources");
/// Source of connection tests.
pub const TESTS: &str = "test";
/// Source of calls whose run is gone.
pub const OTHER: &str = "other";

/// Day and source, then kind of call.
pub type SourceKey = ((u32, String), u8);

/// Totals of the calls of one day, source and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSource {
    /// Date in the workspace's zone, as days since 1970.
    pub day: u32,
    /// Trigger of the runs: the word of a [`kernel::RunTrigger`], [`TESTS`] or [`OTHER`].
    pub source: String,
    pub kind: CallKind,
    pub sums: Sums,
}

impl UsageSource {
    /// The row of one call.
    pub fn of(read: &dyn Read, usage: &Usage, zone: &TimeZone) -> Result<Self, StoreError> {
        let run = usage.run.map(|run| read.get::<Run>(run)).transpose()?.flatten();
        let source = match run {
            Some(run) => run.trigger.word(),
            None if usage.kind == CallKind::Test => TESTS,
            None => OTHER,
        };
        Ok(Self {
            day: day_in(usage.at, zone),
            source: source.to_owned(),
            kind: usage.kind,
            sums: Sums::of(usage),
        })
    }
}

impl Record for UsageSource {
    type Id = SourceKey;
    const TABLE: Table = SOURCES;
    const CLASS: Class = Class::Derived;
    fn id(&self) -> SourceKey {
        ((self.day, self.source.clone()), self.kind as u8)
    }
    fn sample() -> Self {
        Self { day: 20_414, source: "item".into(), kind: CallKind::Step, sums: Sums::sample() }
    }
}

impl Roll for UsageSource {
    fn sums(&mut self) -> &mut Sums {
        &mut self.sums
    }
    fn what(&self) -> String {
        format!("day {} of {} ({})", self.day, self.source, self.kind)
    }
}
