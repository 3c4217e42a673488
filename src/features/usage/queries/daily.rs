//! Reads of the daily totals, including calls that the consumer has not processed yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

use crate::usage::model::day::{DayKey, DayZone, FORMAT, Roll, UsageDay, day_in};
use crate::usage::model::source::{SourceKey, UsageSource};
use crate::usage::model::{USAGE, Usage};
use crate::usage::period::Month;
use crate::workspace::model::Settings;
use app::Ws;
use kernel::UsageId;
use kernel::key::KeyBuf;
use kernel::key::decode;
use store::consumer::{dead_letters, rebuilding, state};
use store::{Entry, Op, Range, Read, ReadExt, Record as _, Snap, StoreError, feed};

/// Number of the consumer.
pub const DAILY: u16 = 1;
pub const NAME: &str = "usage-days";
/// Maximum number of feed entries after the cursor that a read adds.
const TAIL: usize = 1_000;

/// Totals of calls by day.
#[derive(Debug)]
pub struct Rolled {
    /// One row per day, agent, model, task, stream, routine and machine, in this order.
    pub days: Vec<UsageDay>,
    /// One row per day, source and kind of call.
    pub sources: Vec<UsageSource>,
    /// Time zone of the days.
    pub zone: TimeZone,
    /// Number of feed entries missing from the totals, because the consumer is stopped or rebuilding.
    pub behind: u64,
    /// Number of entries that the consumer gave up; their calls are missing from the totals.
    pub given_up: usize,
}

/// Keys of the calls inserted by a feed entry.
pub fn made(entry: &Entry) -> impl Iterator<Item = &[u8]> {
    let made = entry.changes.iter().filter(|c| c.table == USAGE.number && c.op == Op::Insert);
    made.map(|change| change.key.as_slice())
}

/// Adds a row to the row with the same key.
pub fn merge<R: Roll>(rows: &mut BTreeMap<R::Id, R>, mut more: R) {
    match rows.entry(more.id()) {
        Slot::Occupied(mut there) => *there.get_mut().sums() += *more.sums(),
        Slot::Vacant(free) => {
            free.insert(more);
        }
    }
}

/// Time zone of the daily totals.
pub fn zone(read: &dyn Read) -> Result<TimeZone, StoreError> {
    let name = match read.get::<DayZone>(())? {
        Some(kept) => Some(kept.zone),
        None => read.get::<Settings>(())?.map(|settings| settings.zone),
    };
    Ok(name.and_then(|name: String| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC))
}

/// Totals of these days (since 1970, in the workspace's zone): the stored rows, plus the calls after the consumer's
/// cursor unless there are too many.
pub fn rolled(ws: &Ws, snap: &Snap<'_>, days: RangeInclusive<u32>) -> Result<Rolled, StoreError> {
    let zone = zone(snap)?;
    let range = Range::between(KeyBuf::of(days.start()), KeyBuf::of(&days.end().saturating_add(1)));
    let kept: Vec<UsageDay> = snap.list(&range)?;
    let mut all: BTreeMap<DayKey, UsageDay> = kept.into_iter().map(|day| (day.id(), day)).collect();
    let kept: Vec<UsageSource> = snap.list(&range)?;
    let mut sources: BTreeMap<SourceKey, UsageSource> =
        kept.into_iter().map(|source| (source.id(), source)).collect();

    let now = state(snap, DAILY)?;
    let known = now.incarnation == ws.store.incarnation();
    let cursor = if known { now.cursor } else { 0 };
    let tail = feed::entries(snap, ws.store.schema(), cursor, TAIL + 1)?;
    // Without the consumer's cursor it is unknown which calls the days include.
    let is_whole = snap.get::<DayZone>(())?.is_none_or(|kept| kept.format == FORMAT);
    let countable = known && is_whole && rebuilding(snap, DAILY)?.is_none() && tail.len() <= TAIL;
    let behind = match countable {
        true => 0,
        false => ws.store.head().seq.saturating_sub(cursor).max(1),
    };
    for key in tail.iter().filter(|_| countable).flat_map(made) {
        let usage = decode::<UsageId>(key).map(|id| snap.get::<Usage>(id)).transpose()?.flatten();
        let usage = usage.filter(|usage| days.contains(&day_in(usage.at, &zone)));
        if let Some(usage) = usage {
            merge(&mut all, UsageDay::of(&usage, &zone));
            merge(&mut sources, UsageSource::of(snap, &usage, &zone)?);
        }
    }
    let given_up = dead_letters(snap, DAILY)?.len();
    let (days, sources) = (all.into_values().collect(), sources.into_values().collect());
    Ok(Rolled { days, sources, zone, behind, given_up })
}

/// Billed micro-dollars of these days.
#[must_use]
pub fn billed(days: &[UsageDay]) -> i64 {
    days.iter().fold(0_i64, |sum, day| sum.saturating_add(day.sums.billed_micros))
}

/// Projected cost of `days` days if the first `past` days cost `spent`.
#[must_use]
pub fn at_pace(spent: i64, past: u32, days: u32) -> i64 {
    let whole = i128::from(spent) * i128::from(days) / i128::from(past.max(1));
    i64::try_from(whole).unwrap_or(i64::MAX)
}

/// Projected cost of the current month.
pub fn forecast(ws: &Ws, snap: &Snap<'_>, month: Month, today: u32) -> Result<i64, StoreError> {
    let first = month.first_day();
    let days = rolled(ws, snap, first..=today)?.days;
    Ok(at_pace(billed(&days), today + 1 - first, month.days()))
}
