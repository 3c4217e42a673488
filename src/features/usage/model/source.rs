//! The daily roll-up by what the calls were made for: what began the run, and what the call is for
//! within it. Made by the same consumer as the days.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::runs::model::Run;
use kernel::CallKind;
use store::{Class, Read, ReadExt, Record, StoreError, Table};

use super::Usage;
use super::day::{Roll, Sums, day_in};

/// Days by what the calls were made for.
pub const SOURCES: Table = Table::new(181, "usage_sources");
/// The source of tests of connections.
pub const TESTS: &str = "test";
/// The source of calls whose run is not there.
pub const OTHER: &str = "other";

/// Day and source, kind of call.
pub type SourceKey = ((u32, String), u8);

/// What the calls of one day and one kind came to that had one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSource {
    /// The date in the workspace's zone, as days since 1970.
    pub day: u32,
    /// What began the runs: the word of a [`kernel::RunTrigger`], [`TESTS`] or [`OTHER`].
    pub source: String,
    /// What the calls were for.
    pub kind: CallKind,
    /// How much it was.
    pub sums: Sums,
}

impl UsageSource {
    /// One call by itself.
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
