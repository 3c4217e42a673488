//! The daily roll-up as a durable consumer: each model call that the feed tells of is added to its day,
//! in the transaction that moves the cursor. When the workspace gets another time zone its days begin
//! at another moment, so all of them are made anew.

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

/// How long calls gather: a run makes one after the other.
const GATHER: Duration = Duration::from_millis(100);

/// The consumer.
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

    /// Whoever asks for days adds the calls behind the cursor.
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
        // Days of an older program have no sources before they are made anew.
        if is_whole {
            unlike.extend(differing(read, sources)?);
        }
        Ok(unlike)
    }
}

/// Removes rows; says whether none is left.
fn clear<R: Roll>(tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, StoreError> {
    let rows: Vec<R> = tx.list(&Range::all().limit(limit))?;
    for row in &rows {
        tx.delete::<R>(row.id())?;
    }
    Ok(rows.len() < limit)
}

/// The rows that are not as the calls make them.
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
        // The list price is that of the catalogue at the time, which may be another by now.
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

/// The zone that days are of. It is that of the settings when the first day is kept.
///
/// # Errors
/// `StartOver` when the settings have another one now, or less was kept of the days so far.
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

/// Adds a row to the one of its kind.
fn put<R: Roll>(tx: &mut WriteTx<'_>, mut row: R) -> Result<(), StoreError> {
    if let Some(mut before) = tx.get::<R>(row.id())? {
        *row.sums() += *before.sums();
    }
    tx.put(&row)
}

/// Days and sources.
type Both = (BTreeMap<DayKey, UsageDay>, BTreeMap<SourceKey, UsageSource>);

/// What all calls come to that were noted up to an entry.
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
