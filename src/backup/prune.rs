//! Which backups are kept, and removing what no kept one names.

use std::collections::{BTreeSet, HashSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;

use super::BackupError;
use super::manifest::Manifest;
use super::progress::{Meter, Phase};
use super::repo::{Owner, Repository, Work, piece_path};

/// A backup and when it was taken.
pub type Taken = (String, Timestamp);
/// A year and a day, week or month in it.
type Period = (i16, i16);

/// How many backups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Of so many days the last one each.
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
    /// Which of these backups are kept; the newest and all of the day before it always are. Days, weeks (from Monday) and months
    /// are those of the zone.
    #[must_use]
    pub fn keep(self, backups: &[Taken], zone: &TimeZone) -> BTreeSet<String> {
        let mut newest: Vec<_> = backups.iter().collect();
        newest.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        // Whoever makes a second one within a day has a reason.
        let last = newest.first().map_or(Timestamp::MAX, |(_, at)| *at);
        let is_fresh = |at: Timestamp| last.duration_since(at).as_hours() < 24;
        let mut kept: BTreeSet<String> =
            newest.iter().filter(|(_, at)| is_fresh(*at)).map(|(id, _)| id.clone()).collect();
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
            let mut seen = HashSet::new();
            for (id, at) in &newest {
                if usize::from(count) <= seen.len() && !seen.contains(&period(*at)) {
                    break;
                }
                if seen.insert(period(*at)) {
                    kept.insert(id.clone());
                }
            }
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
}

/// Removes backups that are not kept, then the pieces that none of the others names. Nothing younger
/// than `since`, and nothing at all while another HQ makes a backup here. Blocking.
///
/// # Errors
/// When the target cannot be asked, or another HQ is at work there.
pub fn prune(
    repo: &Repository,
    owner: &Owner,
    keep: &dyn Fn(&[Taken]) -> BTreeSet<String>,
    since: Timestamp,
    meter: &Meter,
) -> Result<Pruned, BackupError> {
    meter.enter(Phase::Pruning);
    let _begun = repo.begin(Work::Prune, owner, since)?;
    let (manifests, damaged) = repo.manifests()?;
    let all: Vec<_> = manifests.iter().map(|m| (m.id.clone(), m.taken_at)).collect();
    let kept = keep(&all);
    let mut pruned = Pruned::default();
    let (stay, go): (Vec<&Manifest>, Vec<&Manifest>) =
        manifests.iter().partition(|manifest| kept.contains(&manifest.id));
    for manifest in go {
        repo.target.delete(&format!("manifests/{}", manifest.id))?;
        pruned.backups.push(manifest.id.clone());
    }
    if !damaged.is_empty() {
        // What a damaged manifest names is not known, and may still be wanted.
        for error in damaged {
            tracing::warn!(%error, "nothing is tidied up at {}", repo.place());
        }
        return Ok(pruned);
    }
    let named: HashSet<&str> = stay
        .iter()
        .flat_map(|manifest| &manifest.parts)
        .flat_map(|part| part.all_chunks())
        .map(|piece| piece.0.as_str())
        .collect();
    for (name, (size, modified)) in repo.pieces()? {
        if !named.contains(name.as_str()) && modified < since {
            meter.add(0)?;
            repo.target.delete(&piece_path(&name))?;
            pruned.pieces += 1;
            pruned.bytes += size;
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::Retention;
    use jiff::tz::TimeZone;

    #[test]
    fn days_weeks_and_months_are_kept_and_the_newest_always() {
        let start: jiff::Timestamp = "2026-01-01T02:30:00Z".parse().unwrap();
        let all: Vec<_> = (0..320)
            .map(|day| {
                let at = start + jiff::SignedDuration::from_hours(24 * day);
                (format!("{day:03}"), at)
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
