//! The daily roll-up as a durable consumer: each model call that the feed tells of is added to its day,
//! in the transaction that moves the cursor. When the workspace gets another time zone its days begin
//! at another moment, so all of them are made anew.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::tz::TimeZone;

use crate::features::usage::model::day::{DayKey, DayZone, UsageDay};
use crate::features::usage::model::{USAGE, Usage};
use crate::features::usage::queries::daily::{DAILY, NAME, made, merge};
use crate::features::workspace::model::{SETTINGS, Settings};
use crate::kernel::UsageId;
use crate::store::consumer::{Consume, ConsumeError, Unlike};
use crate::store::key::decode;
use crate::store::{Entry, Range, Read, ReadExt, Record as _, StoreError, WriteTx, record};

/// The consumer.
pub struct Daily;

impl Consume for Daily {
    fn number(&self) -> u16 {
        DAILY
    }

    fn name(&self) -> &'static str {
        NAME
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
        let days: Vec<UsageDay> = tx.list(&Range::all().limit(limit))?;
        for day in &days {
            tx.delete::<UsageDay>(day.id())?;
        }
        if days.len() < limit && tx.get::<DayZone>(())?.is_some() {
            tx.delete::<DayZone>(())?;
        }
        Ok(days.len() < limit)
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
        let kept: Vec<UsageDay> = read.list(&Range::all())?;
        let zone = read.get::<DayZone>(())?.and_then(|kept| TimeZone::get(&kept.zone).ok());
        let mut right = sums(read, cursor, &zone.unwrap_or(TimeZone::UTC))?;
        let mut unlike = Vec::new();
        for mut day in kept {
            let wanted = right.remove(&day.id());
            // The list price is that of the catalogue at the time, which may be another by now.
            day.sums.list_micros = wanted.as_ref().map_or(0, |wanted| wanted.sums.list_micros);
            match wanted {
                Some(wanted) if wanted == day => {}
                Some(wanted) => unlike.push(Unlike {
                    of: name(&day),
                    what: format!("is {:?} and should be {:?}", day.sums, wanted.sums),
                }),
                None => {
                    let what = "stands for calls that are not there".to_owned();
                    unlike.push(Unlike { of: name(&day), what });
                }
            }
        }
        let missing = |day: &UsageDay| Unlike { of: name(day), what: "is missing".to_owned() };
        unlike.extend(right.values().map(missing));
        Ok(unlike)
    }
}

fn name(day: &UsageDay) -> String {
    format!("day {} of agent {} with {} {}", day.day, day.agent, day.provider, day.model)
}

/// The zone that days are of. It is that of the settings when the first day is kept.
///
/// # Errors
/// `StartOver` when the settings have another one now.
fn zone(tx: &mut WriteTx<'_>) -> Result<TimeZone, ConsumeError> {
    let settings = tx.get::<Settings>(())?;
    let wanted = settings.map_or_else(|| "UTC".to_owned(), |settings| settings.zone);
    match tx.get::<DayZone>(())? {
        Some(kept) if kept.zone == wanted => {}
        Some(_) => return Err(ConsumeError::StartOver),
        None => tx.put(&DayZone { zone: wanted.clone() })?,
    }
    Ok(TimeZone::get(&wanted).unwrap_or(TimeZone::UTC))
}

fn add(tx: &mut WriteTx<'_>, usage: &Usage) -> Result<(), ConsumeError> {
    let zone = zone(tx)?;
    let mut day = UsageDay::of(usage, &zone);
    if let Some(before) = tx.get::<UsageDay>(day.id())? {
        day.sums += before.sums;
    }
    Ok(tx.put(&day)?)
}

/// What all calls come to that were noted up to an entry.
fn sums(
    read: &dyn Read,
    cursor: u64,
    zone: &TimeZone,
) -> Result<BTreeMap<DayKey, UsageDay>, StoreError> {
    let mut days: BTreeMap<DayKey, UsageDay> = BTreeMap::new();
    let mut bad = None;
    read.raw_scan(USAGE.number, &Range::all(), &mut |_, value| {
        match record::read::<Usage>(value) {
            Ok((usage, rev)) if rev <= cursor => merge(&mut days, UsageDay::of(&usage, zone)),
            Ok(_) => {}
            Err(error) => bad = Some(error),
        }
        if bad.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bad.map_or(Ok(days), |error| Err(error.into()))
}
