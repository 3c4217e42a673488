//! Retention of backups, and removal of unreferenced chunks.

use std::collections::{BTreeSet, HashSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use kernel::Timestamp;

use super::BackupError;
use super::manifest::Manifest;
use super::progress::{Meter, Phase};
use super::repo::{Owner, Repository, Work, is_whole, manifest_path, piece_path};

/// A backup as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub id: String,
    /// Time by the clock of that moment.
    pub at: Timestamp,
    /// Order of creation.
    pub serial: u64,
    /// Complete and not known to be damaged.
    pub good: bool,
}

/// A year, and a day, week or month in it.
type Period = (i16, i16);

/// Number of backups to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Days for which the last good backup is kept, or the last one if none is good.
    pub daily: u16,
    /// Weeks, likewise.
    pub weekly: u16,
    /// Months, likewise.
    pub monthly: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { daily: 7, weekly: 4, monthly: 6 }
    }
}

impl Retention {
    /// Ids of the backups to keep. Always kept: the latest, the latest good one, and all within 24 hours before the
    /// latest. Days, weeks (from Monday) and months are those of the zone.
    ///
    /// "Latest" refers to the order of creation, since clocks may jump. A backup dated after the latest one was made by
    /// a clock that ran ahead, or the clock has been set back. This cannot be decided, so it is kept and takes no place
    /// of others.
    #[must_use]
    pub fn keep(self, backups: &[Taken], zone: &TimeZone) -> BTreeSet<String> {
        let mut newest: Vec<_> = backups.iter().collect();
        newest.sort_by(|a, b| (b.serial, b.at, &b.id).cmp(&(a.serial, a.at, &a.id)));
        let Some(last) = newest.first().map(|one| one.at) else { return BTreeSet::new() };
        let mut kept: BTreeSet<String> =
            newest.first().into_iter().map(|one| one.id.clone()).collect();
        kept.extend(newest.iter().find(|one| one.good).map(|one| one.id.clone()));
        // A second backup within a day was made for a reason.
        let is_fresh = |at: Timestamp| last < at || last.duration_since(at).as_hours() < 24;
        kept.extend(newest.iter().filter(|one| is_fresh(one.at)).map(|one| one.id.clone()));
        newest.retain(|one| one.at <= last);
        newest.sort_by(|a, b| (b.at, b.serial, &b.id).cmp(&(a.at, a.serial, &a.id)));
        let day = |at: Timestamp| {
            let date = at.to_zoned(zone.clone()).date();
            (date.year(), date.day_of_year())
        };
        let week = |at: Timestamp| {
            let week = at.to_zoned(zone.clone()).date().iso_week_date();
            (week.year(), i16::from(week.week()))
        };
        let month = |at: Timestamp| {
            let date = at.to_zoned(zone.clone()).date();
            (date.year(), i16::from(date.month()))
        };
        let rules: [(u16, &dyn Fn(Timestamp) -> Period); 3] =
            [(self.daily, &day), (self.weekly, &week), (self.monthly, &month)];
        for (count, period) in rules {
            let mut chosen: Vec<(Period, &Taken)> = Vec::new();
            for &one in &newest {
                let now = period(one.at);
                if chosen.last().is_none_or(|(current, _)| *current != now) {
                    if usize::from(count) <= chosen.len() {
                        break;
                    }
                    chosen.push((now, one));
                } else if let Some((_, taken)) = chosen.last_mut()
                    && !taken.good
                    && one.good
                {
                    *taken = one;
                }
            }
            kept.extend(chosen.into_iter().map(|(_, taken)| taken.id.clone()));
        }
        kept
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub backups: Vec<String>,
    /// Number of deleted chunks.
    pub pieces: u64,
    /// Stored bytes of deleted chunks.
    pub bytes: u64,
    /// Backups with unreadable manifests, each with the reason. While there are any, no chunk is deleted.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

/// Deletes backups of these master keys that are not to be kept, then the chunks that no remaining backup references.
/// Never deletes anything younger than `since` or of another master key, and nothing while another HQ makes a backup at
/// this target. Blocking.
///
/// # Errors
/// If the target fails, or another HQ is at work there.
pub fn prune(
    repo: &Repository,
    (owner, own): (&Owner, &[String]),
    keep: &dyn Fn(&[Taken]) -> BTreeSet<String>,
    since: Timestamp,
    meter: &Meter,
) -> Result<Pruned, BackupError> {
    meter.enter(Phase::Pruning);
    let _begun = repo.begin(Work::Prune, owner, since)?;
    let there = repo.pieces()?;
    let (mut all, mut others) = (Vec::new(), Vec::new());
    let damaged = repo.each_manifest(&mut |manifest| {
        if own.contains(&manifest.key_id) {
            let good = manifest.is_complete() && is_whole(&manifest, &there);
            let Manifest { id, taken_at: at, serial, .. } = manifest;
            all.push(Taken { id, at, serial, good });
        } else {
            others.push(manifest.id);
        }
        Ok(())
    })?;
    let kept = keep(&all);
    let mut pruned = Pruned::default();
    let (stay, go): (Vec<Taken>, Vec<Taken>) =
        all.into_iter().partition(|one| kept.contains(&one.id));
    for Taken { id, .. } in go {
        repo.target.delete(&manifest_path(&id))?;
        pruned.backups.push(id);
    }
    if !damaged.is_empty() {
        // The chunks of a damaged manifest are unknown and may still be needed.
        for (id, error) in damaged {
            tracing::warn!(%error, "nothing is tidied up at {}", repo.place());
            // Other errors mean that the backup was deleted just now.
            if let BackupError::Damaged { why, .. } = error {
                pruned.unreadable.push(format!("{id} ({why})"));
            }
        }
        return Ok(pruned);
    }
    let mut named = HashSet::new();
    for id in stay.into_iter().map(|one| one.id).chain(others) {
        for part in repo.manifest(&id)?.parts {
            named.extend(part.all_chunks().map(|piece| piece.0.clone()));
        }
    }
    for (name, (size, modified)) in there {
        if !named.contains(&name) && modified < since {
            meter.add(0)?;
            repo.target.delete(&piece_path(&name))?;
            pruned.pieces += 1;
            pruned.bytes += size;
        }
    }
    Ok(pruned)
}

/// Moves a backup with an unreadable manifest aside, so that pruning can continue. Its unreferenced chunks are deleted
/// with the next pruning. Blocking.
///
/// # Errors
/// If the backup does not exist or is readable, or another HQ is at work there.
pub fn forget(
    repo: &Repository,
    owner: &Owner,
    id: &str,
    now: Timestamp,
) -> Result<(), BackupError> {
    let _begun = repo.begin(Work::Prune, owner, now)?;
    let (place, wanted) = (repo.place().to_owned(), id.to_owned());
    // The id is external input: only listed ids are used in a path.
    if !repo.ids()?.contains(&wanted) {
        return Err(BackupError::NoBackup { place, wanted });
    }
    match repo.manifest(id) {
        Ok(_) => Err(BackupError::Readable { place, id: wanted }),
        Err(BackupError::Damaged { .. }) => repo.target.set_aside(&manifest_path(id)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Retention, Taken};
    use jiff::tz::TimeZone;

    fn taken(serial: u64, at: jiff::Timestamp) -> Taken {
        Taken { id: format!("{serial:03}"), at, serial, good: true }
    }

    fn ids(all: &[Taken]) -> Vec<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        Retention::default().keep(all, &zone).into_iter().collect()
    }

    #[test]
    fn a_clock_that_jumps_takes_no_backup_that_is_needed() {
        let today: jiff::Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let day = jiff::SignedDuration::from_hours(24);
        let mut all: Vec<_> =
            (0..20u64).map(|n| taken(n, today - day * (20 - i32::try_from(n).unwrap()))).collect();
        let usual = ids(&all);
        assert!(!usual.contains(&"002".to_owned()), "{usual:?}");
        // The clock jumps back by years: new and existing backups are kept.
        all.push(taken(20, "2001-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(ids(&all).len(), 21);
        // The clock is right again: the usual backups are kept; the odd one is treated by its date.
        all.push(taken(21, today));
        let kept = ids(&all);
        assert!(kept.contains(&"021".to_owned()) && kept.contains(&"019".to_owned()), "{kept:?}");
        assert!(!kept.contains(&"002".to_owned()), "{kept:?}");
        // The clock runs ahead for ten days and is then right: those backups take no places of others.
        let ahead = jiff::SignedDuration::from_hours(24 * 365 * 4);
        all.extend((22..32u64).map(|n| taken(n, today + ahead + day * i32::try_from(n).unwrap())));
        all.push(taken(32, today + day));
        let kept = ids(&all);
        for id in ["032", "021", "019", "018", "017", "016", "015"] {
            assert!(kept.contains(&id.to_owned()), "{id} of {kept:?}");
        }
    }

    #[test]
    fn what_lacks_something_takes_no_day_from_what_is_whole() {
        let start: jiff::Timestamp = "2026-01-01T02:30:00Z".parse().unwrap();
        let mut all = Vec::new();
        for day in 0..9i64 {
            let at = start + jiff::SignedDuration::from_hours(24 * day);
            let serial = u64::try_from(day).unwrap() * 2;
            all.push(taken(serial, at));
            let later = at + jiff::SignedDuration::from_hours(2);
            all.push(Taken { good: false, ..taken(serial + 1, later) });
        }
        let kept = ids(&all);
        // Both are of the last day but one; the complete one is kept.
        assert!(kept.contains(&"012".to_owned()), "{kept:?}");
        assert!(!kept.contains(&"013".to_owned()), "{kept:?}");
        assert!(kept.contains(&"017".to_owned()), "the last one stays in any case: {kept:?}");
    }

    #[test]
    fn the_last_good_one_stays_when_newer_ones_are_damaged() {
        let start: jiff::Timestamp = "2026-01-01T02:30:00Z".parse().unwrap();
        let all: Vec<_> = (0..40)
            .map(|n| {
                let at = start + jiff::SignedDuration::from_hours(24 * 9 * n);
                let n = u64::try_from(n).unwrap();
                Taken { good: n < 3, ..taken(n, at) }
            })
            .collect();
        assert!(ids(&all).contains(&"002".to_owned()));
    }

    #[test]
    fn days_weeks_and_months_are_kept_and_the_newest_always() {
        let start: jiff::Timestamp = "2026-01-01T02:30:00Z".parse().unwrap();
        let all: Vec<_> = (0..320)
            .map(|day| {
                let at = start + jiff::SignedDuration::from_hours(24 * day);
                taken(u64::try_from(day).unwrap(), at)
            })
            .collect();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let kept = Retention::default().keep(&all, &zone);
        let kept: Vec<_> = kept.iter().map(String::as_str).collect();
        // Day 319 is 16 November 2026, a Monday.
        assert_eq!(
            kept,
            [
                "180", "211", "242", "272", "303", // ends of June to October
                "304", "311", "313", "314", "315", "316", "317", "318", "319"
            ]
        );
        let none = Retention { daily: 0, weekly: 0, monthly: 0 }.keep(&all, &zone);
        assert_eq!(none.into_iter().collect::<Vec<_>>(), ["319"]);
        assert!(Retention::default().keep(&[], &zone).is_empty());
    }
}
