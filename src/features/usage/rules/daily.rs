//! Durable consumer for the daily totals. Each call in the feed is added to its day in the transaction that moves the
//! cursor. A change of the workspace's time zone moves the day boundaries, so all days are rebuilt.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::usage::model::day::{DayKey, DayZone, FORMAT, Roll, UsageDay};
use crate::usage::model::source::{SourceKey, UsageSource};
use crate::usage::model::{USAGE, Usage};
use crate::usage::queries::daily::{DAILY, NAME, made, merge};
use crate::workspace::model::{SETTINGS, Settings};
use kernel::UsageId;
use kernel::key::decode;
use store::consumer::{Consume, ConsumeError, Unlike};
use store::{Entry, Range, Read, ReadExt, StoreError, WriteTx, record};

/// Batching delay: a run makes several calls in a row.
const GATHER: Duration = Duration::from_millis(100);

pub struct Daily;

impl Consume for Daily {
    fn number(&self) -> u16 {
        DAILY
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, entry: &Entry) -> bool {
        entry.changes.iter().any(|change| change.table == SETTINGS.number)
            || made(entry).next().is_some()
    }

    /// Readers add the calls after the cursor themselves.
    fn gathers(&self) -> Duration {
        GATHER
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        if entry.changes.iter().any(|change| change.table == SETTINGS.number) {
            zone(tx)?;
        }
        for key in made(entry) {
            let id = decode::<UsageId>(key);
            if let Some(usage) = id.map(|id| tx.get::<Usage>(id)).transpose()?.flatten() {
                add(tx, &usage)?;
            }
        }
        Ok(())
    }

    fn tables(&self) -> &'static [u16] {
        const TABLES: [u16; 2] = [SETTINGS.number, USAGE.number];
        &TABLES
    }

    fn repeats(&self) -> bool {
        false
    }

    fn clear(&self, tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, ConsumeError> {
        let gone = clear::<UsageDay>(tx, limit)? && clear::<UsageSource>(tx, limit)?;
        if gone && tx.get::<DayZone>(())?.is_some() {
            tx.delete::<DayZone>(())?;
        }
        Ok(gone)
    }

    fn row(
        &self,
        tx: &mut WriteTx<'_>,
        (table, _): (u16, &[u8]),
        value: &[u8],
    ) -> Result<(), ConsumeError> {
        if table == SETTINGS.number {
            return zone(tx).map(drop);
        }
        let (usage, _) = record::read::<Usage>(value).map_err(StoreError::from)?;
        add(tx, &usage)
    }

    fn compare(&self, read: &dyn Read, cursor: u64) -> Result<Vec<Unlike>, StoreError> {
        let kept = read.get::<DayZone>(())?;
        let is_whole = kept.as_ref().is_none_or(|kept| kept.format == FORMAT);
        let zone = kept.and_then(|kept| TimeZone::get(&kept.zone).ok());
        let (days, sources) = sums(read, cursor, &zone.unwrap_or(TimeZone::UTC))?;
        let mut unlike = differing(read, days)?;
        // Days of an older version have no sources until they are rebuilt.
        if is_whole {
            unlike.extend(differing(read, sources)?);
        }
        Ok(unlike)
    }
}

/// Deletes up to `limit` rows; returns `true` when none are left.
fn clear<R: Roll>(tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, StoreError> {
    let rows: Vec<R> = tx.list(&Range::all().limit(limit))?;
    for row in &rows {
        tx.delete::<R>(row.id())?;
    }
    Ok(rows.len() < limit)
}

/// Rows that differ from those computed from the calls.
fn differing<R: Roll>(
    read: &dyn Read,
    mut right: BTreeMap<R::Id, R>,
) -> Result<Vec<Unlike>, StoreError> {
    let kept: Vec<R> = read.list(&Range::all())?;
    let mut unlike = Vec::new();
    for mut row in kept {
        let wanted = right.remove(&row.id());
        let of = row.what();
        let Some(mut wanted) = wanted else {
            let what = "stands for calls that are not there".to_owned();
            unlike.push(Unlike { of, what });
            continue;
        };
        // The catalogue may have changed since the rows were written.
        row.sums().list_micros = wanted.sums().list_micros;
        if wanted != row {
            let what = format!("is {:?} and should be {:?}", row.sums(), wanted.sums());
            unlike.push(Unlike { of, what });
        }
    }
    let missing = |row: &R| Unlike { of: row.what(), what: "is missing".to_owned() };
    unlike.extend(right.values().map(missing));
    Ok(unlike)
}

/// The time zone of the days. Taken from the settings when the first day is stored.
///
/// # Errors
/// `StartOver` if the settings have another zone now, or the rows have an older format.
fn zone(tx: &mut WriteTx<'_>) -> Result<TimeZone, ConsumeError> {
    let settings = tx.get::<Settings>(())?;
    let wanted = settings.map_or_else(|| "UTC".to_owned(), |settings| settings.zone);
    match tx.get::<DayZone>(())? {
        Some(kept) if kept.zone == wanted && kept.format == FORMAT => {}
        Some(_) => return Err(ConsumeError::StartOver),
        None => tx.put(&DayZone { zone: wanted.clone(), format: FORMAT })?,
    }
    Ok(TimeZone::get(&wanted).unwrap_or(TimeZone::UTC))
}

fn add(tx: &mut WriteTx<'_>, usage: &Usage) -> Result<(), ConsumeError> {
    let zone = zone(tx)?;
    let source = UsageSource::of(tx, usage, &zone)?;
    put(tx, UsageDay::of(usage, &zone))?;
    Ok(put(tx, source)?)
}

/// Adds a row to the stored row with the same key.
fn put<R: Roll>(tx: &mut WriteTx<'_>, mut row: R) -> Result<(), StoreError> {
    if let Some(mut before) = tx.get::<R>(row.id())? {
        *row.sums() += *before.sums();
    }
    tx.put(&row)
}

/// Days and sources.
type Both = (BTreeMap<DayKey, UsageDay>, BTreeMap<SourceKey, UsageSource>);

/// Totals of all calls recorded up to the cursor.
fn sums(read: &dyn Read, cursor: u64, zone: &TimeZone) -> Result<Both, StoreError> {
    let (mut days, mut sources) = Both::default();
    let mut bad = None;
    read.raw_scan(USAGE.number, &Range::all(), &mut |_, value| {
        let taken = match record::read::<Usage>(value) {
            Ok((usage, rev)) if rev <= cursor => {
                merge(&mut days, UsageDay::of(&usage, zone));
                UsageSource::of(read, &usage, zone).map(|source| merge(&mut sources, source))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                bad = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    bad.map_or(Ok((days, sources)), Err)
}
