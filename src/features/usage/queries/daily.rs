//! Reads of the daily roll-up, with the calls that its consumer has not come to yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

use crate::app::Ws;
use crate::features::usage::model::day::{DayKey, DayZone, UsageDay};
use crate::features::usage::model::{USAGE, Usage};
use crate::features::workspace::model::Settings;
use crate::kernel::UsageId;
use crate::store::consumer::{dead_letters, rebuilding, state};
use crate::store::key::decode;
use crate::store::{Entry, KeyBuf, Op, Range, ReadExt, Record as _, Snap, StoreError, feed};

/// The number of the consumer.
pub const DAILY: u16 = 1;
/// Its name.
pub const NAME: &str = "usage-days";
/// The most entries behind the consumer's cursor that are added while somebody looks.
const TAIL: usize = 1_000;

/// Days of calls.
#[derive(Debug)]
pub struct Rolled {
    /// One for each day, agent, model and task, in this order.
    pub days: Vec<UsageDay>,
    /// The zone that the days are of.
    pub zone: TimeZone,
    /// How many entries of the feed are not in the figures: the consumer stands still or begins anew.
    pub behind: u64,
    /// How many entries the consumer gave up; calls in them are not in the figures.
    pub given_up: usize,
}

/// The calls that an entry tells of, by key.
pub fn made(entry: &Entry) -> impl Iterator<Item = &[u8]> {
    let made = entry.changes.iter().filter(|c| c.table == USAGE.number && c.op == Op::Insert);
    made.map(|change| change.key.as_slice())
}

/// Adds a day to those of its kind.
pub fn merge(days: &mut BTreeMap<DayKey, UsageDay>, more: UsageDay) {
    match days.entry(more.id()) {
        Slot::Occupied(mut there) => there.get_mut().sums += more.sums,
        Slot::Vacant(free) => {
            free.insert(more);
        }
    }
}

/// The zone that days of calls are of.
///
/// # Errors
/// When the disk fails.
pub fn zone(read: &impl ReadExt) -> Result<TimeZone, StoreError> {
    let name = match read.get::<DayZone>(())? {
        Some(kept) => Some(kept.zone),
        None => read.get::<Settings>(())?.map(|settings| settings.zone),
    };
    Ok(name.and_then(|name: String| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC))
}

/// What was called on these days (since 1970, in the workspace's zone): what is kept of them and the
/// calls behind the consumer's cursor, unless there are too many.
///
/// # Errors
/// When the disk fails.
pub fn rolled(ws: &Ws, snap: &Snap<'_>, days: RangeInclusive<u32>) -> Result<Rolled, StoreError> {
    let zone = zone(snap)?;
    let range = Range::between(KeyBuf::of(days.start()), KeyBuf::of(&days.end().saturating_add(1)));
    let kept: Vec<UsageDay> = snap.list(&range)?;
    let mut all: BTreeMap<DayKey, UsageDay> = kept.into_iter().map(|day| (day.id(), day)).collect();

    let now = state(snap, DAILY)?;
    let known = now.incarnation == ws.store.incarnation();
    let cursor = if known { now.cursor } else { 0 };
    let tail = feed::entries(snap, ws.store.schema(), cursor, TAIL + 1)?;
    // Without its own cursor nothing says which calls are among the days already.
    let countable = known && rebuilding(snap, DAILY)?.is_none() && tail.len() <= TAIL;
    let behind = match countable {
        true => 0,
        false => ws.store.head().seq.saturating_sub(cursor).max(1),
    };
    for key in tail.iter().filter(|_| countable).flat_map(made) {
        let usage = decode::<UsageId>(key).map(|id| snap.get::<Usage>(id)).transpose()?.flatten();
        let day = usage.map(|usage| UsageDay::of(&usage, &zone));
        if let Some(day) = day.filter(|day| days.contains(&day.day)) {
            merge(&mut all, day);
        }
    }
    let given_up = dead_letters(snap, DAILY)?.len();
    Ok(Rolled { days: all.into_values().collect(), zone, behind, given_up })
}
