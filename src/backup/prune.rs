//! Which backups are kept, and removing what no kept one names.

use std::collections::{BTreeSet, HashSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use kernel::Timestamp;

use super::BackupError;
use super::manifest::Manifest;
use super::progress::{Meter, Phase};
use super::repo::{Owner, Repository, Work, is_whole, manifest_path, piece_path};

/// What retention knows of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub id: String,
    /// When it was taken, by the clock of then.
    pub at: Timestamp,
    /// The order of making.
    pub serial: u64,
    /// Whether nothing is known to be wrong with it, and every workspace is in it.
    pub good: bool,
}

/// A year and a day, week or month in it.
type Period = (i16, i16);

/// How many backups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Of so many days the last good one each, or the last where none is good.
    pub daily: u16,
    /// Of so many weeks the last one each.
    pub weekly: u16,
    /// Of so many months the last one each.
    pub monthly: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { daily: 7, weekly: 4, monthly: 6 }
    }
}

impl Retention {
    /// Which of these backups are kept. Always: the one made last, the last one with which nothing is
    /// wrong, and all of the day before. Days, weeks (from Monday) and months are those of the zone.
    ///
    /// Clocks jump, so "last" goes by the order of making. What is dated after the one made last was
    /// made by a clock that ran ahead, or this one has fallen back: nobody can say which, so it stays
    /// and takes no place of others.
    #[must_use]
    pub fn keep(self, backups: &[Taken], zone: &TimeZone) -> BTreeSet<String> {
        let mut newest: Vec<_> = backups.iter().collect();
        newest.sort_by(|a, b| (b.serial, b.at, &b.id).cmp(&(a.serial, a.at, &a.id)));
        let Some(last) = newest.first().map(|one| one.at) else { return BTreeSet::new() };
        let mut kept: BTreeSet<String> =
            newest.first().into_iter().map(|one| one.id.clone()).collect();
        kept.extend(newest.iter().find(|one| one.good).map(|one| one.id.clone()));
        // Whoever makes a second one within a day has a reason.
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

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The backups that are gone.
    pub backups: Vec<String>,
    /// Pieces that are gone.
    pub pieces: u64,
    /// Their bytes at the target.
    pub bytes: u64,
    /// Backups whose manifest cannot be read, each with the reason: while there is one no piece goes.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

/// Removes backups of these master keys that are not kept, then the pieces that none of the others names.
/// Nothing younger than `since`, nothing of another master key, and nothing at all while another HQ
/// makes a backup here. Blocking.
///
/// # Errors
/// When the target cannot be asked, or another HQ is at work there.
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
        // What a damaged manifest names is not known, and may still be wanted.
        for (id, error) in damaged {
            tracing::warn!(%error, "nothing is tidied up at {}", repo.place());
            // Else it has gone just now.
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

/// Puts a backup aside whose manifest cannot be read, so that tidying up goes on without it. Its pieces stay:
/// those that no other backup names go when it is tidied up the next time. Blocking.
///
/// # Errors
/// When there is none, it can be read, or another HQ is at work there.
pub fn forget(
    repo: &Repository,
    owner: &Owner,
    id: &str,
    now: Timestamp,
) -> Result<(), BackupError> {
    let _begun = repo.begin(Work::Prune, owner, now)?;
    let (place, wanted) = (repo.place().to_owned(), id.to_owned());
    // The name comes from outside: only one that was listed is joined to a path.
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
        // The clock fell back by years: what is made then is kept, and so is all that was there.
        all.push(taken(20, "2001-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(ids(&all).len(), 21);
        // It is right again: the usual ones, and the strange one goes by its date.
        all.push(taken(21, today));
        let kept = ids(&all);
        assert!(kept.contains(&"021".to_owned()) && kept.contains(&"019".to_owned()), "{kept:?}");
        assert!(!kept.contains(&"002".to_owned()), "{kept:?}");
        // It runs ahead for ten days, then it is right: the ten take no day of the others.
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
        // Of the second but last day both go by the rules; the whole one stays.
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
