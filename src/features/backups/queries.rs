//! Reads of backups: settings, what was done, what is due.

pub mod damaged;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::users::queries as users;
use crate::workspace::queries as workspace;
use app::{App, Ws};
use backup::{Address, BackupError, Folder, Listed, MANIFESTS, Repository, Target, apart};
use kernel::{AccountId, JobId, Problem as _, Role, Timestamp};
use store::{Range, Read, ReadExt, Store, StoreError};

use super::model::{
    BackupRun, BackupSettings, Deed, Kept, KnownPlace, Outcome, Restoration, Schedule, Trigger,
};

/// After a failure of its own it tries again so soon.
const RETRY: SignedDuration = SignedDuration::from_hours(1);
/// How long a restore is told on the page.
const NEWS: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How often a backup is restored to see that it can be.
const DRILL_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How backups are made.
pub fn settings(read: &dyn Read) -> Result<BackupSettings, StoreError> {
    if let Some(settings) = read.get::<BackupSettings>(())? {
        return Ok(settings);
    }
    // Nothing was set: since the first workspace there is something to keep.
    let first = users::workspaces(read)?.into_iter().map(|ws| ws.created_at).min();
    Ok(BackupSettings::usual(first.unwrap_or(Timestamp::MAX)))
}

/// Where backups go by these settings.
///
/// # Errors
/// When the address is none.
pub fn address(app: &App, settings: &BackupSettings) -> Result<Address, BackupError> {
    match settings.target.as_str() {
        "" => Ok(Address::Folder(app.config.data.join("backups").join("local"))),
        given => given.parse(),
    }
}

/// The same in words, as rows of what was done name it; empty when it is none.
pub fn usual_place(app: &App) -> Result<String, StoreError> {
    let settings = app.system.read(|snap| settings(snap))?;
    Ok(address(app, &settings).map_or_else(|_| String::new(), |address| address.to_string()))
}

/// Tells which workspaces the accounts know at each time that it is asked.
#[must_use]
pub fn listed(system: &Store) -> Listed {
    let system = system.clone();
    Arc::new(move || {
        let rows = system.read(|snap| users::workspaces(snap))?;
        Ok(rows.into_iter().map(|row| row.slug).collect())
    })
}

/// Of the backups that were seen those that still lie at the place of the settings, and how many lie there
/// that were not seen yet. Of a bucket what was seen last: a page does not wait for a network.
#[must_use]
pub fn lying(app: &App, settings: &BackupSettings, mut seen: Vec<Kept>) -> (Vec<Kept>, usize) {
    let Ok(Address::Folder(folder)) = address(app, settings) else { return (seen, 0) };
    let Ok(all) = Folder::new(folder).list(MANIFESTS) else { return (seen, 0) };
    let there: BTreeSet<&str> =
        all.iter().filter_map(|one| one.name.strip_prefix(MANIFESTS)).collect();
    seen.retain(|one| there.contains(one.id.as_str()));
    let more = there.len() - seen.len();
    (seen, more)
}

/// What is known of a place from the backups that were made there.
pub fn place(read: &dyn Read, address: &Address) -> Result<Option<KnownPlace>, StoreError> {
    read.get(address.to_string())
}

/// Refuses a place that is not the one where backups were made before: empty, or with others in it.
///
/// # Errors
/// `PlaceGone` or `OtherPlace`; or when the target cannot be asked.
pub fn same_place(known: &KnownPlace, target: &dyn Target) -> Result<(), BackupError> {
    let place = target.place().to_owned();
    match Repository::id_at(target)? {
        None => Err(BackupError::PlaceGone { place }),
        Some(id) if known.repositories.contains(&id) => Ok(()),
        Some(_) => Err(BackupError::OtherPlace { place }),
    }
}

/// Why the folder of the settings is not the one where backups were made before; none when it is, or
/// when it is no folder: a page does not wait for a network.
pub fn lost_place(app: &App, settings: &BackupSettings) -> Result<Option<BackupError>, StoreError> {
    let Ok(Address::Folder(folder)) = address(app, settings) else { return Ok(None) };
    let known = app.system.read(|snap| place(snap, &Address::Folder(folder.clone())))?;
    let lost = known.and_then(|known| same_place(&known, &Folder::new(folder)).err());
    Ok(lost.filter(|error| {
        matches!(error, BackupError::PlaceGone { .. } | BackupError::OtherPlace { .. })
    }))
}

/// The address that somebody writes, if backups of this HQ may go there.
///
/// # Errors
/// When it is none, or lies in the data folder.
pub fn checked_address(app: &App, given: &str) -> Result<Address, BackupError> {
    let address: Address = given.parse()?;
    if let Some(folder) = address.folder() {
        apart(folder, &app.config.data)?;
    }
    Ok(address)
}

/// The time zone of the schedule.
#[must_use]
pub fn zone(app: &App, settings: &BackupSettings) -> TimeZone {
    let first = || {
        let all: Vec<Ws> = app.workspaces.read().clone();
        let ws = all.first()?;
        // ok: a workspace that cannot be read has no zone either.
        Some(ws.read(|snap| workspace::settings(snap)).ok()??.zone)
    };
    let name = settings.zone.clone().or_else(first);
    name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
}

/// What was done, newest first. That is the order in which it was written: ids and moments are those of
/// clocks, and what a clock that ran ahead has noted would be the newest for as long as it was wrong.
pub fn runs(read: &dyn Read, limit: usize) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = Vec::new();
    for run in read.list::<BackupRun>(&Range::all())? {
        all.extend(read.get_rev::<BackupRun>(run.id)?);
    }
    all.sort_by_key(|(run, rev)| std::cmp::Reverse((*rev, run.id)));
    Ok(all.into_iter().take(limit).map(|(run, _)| run).collect())
}

/// What was done until now, newest first by the clock.
fn runs_until(read: &dyn Read, now: Timestamp) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = runs(read, usize::MAX)?;
    all.retain(|run| run.started_at <= now);
    all.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    Ok(all)
}

/// What was done at a place, newest first. What is done elsewhere mends nothing here, and what fails there
/// is no trouble here.
fn runs_at(read: &dyn Read, place: &str) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = runs(read, usize::MAX)?;
    all.retain(|run| run.is_at(place));
    Ok(all)
}

/// One time that something was done.
pub fn run(read: &dyn Read, id: JobId) -> Result<Option<BackupRun>, StoreError> {
    read.get(id)
}

/// The backups at the target as they were seen last, newest first.
pub fn kept(read: &dyn Read) -> Result<Vec<Kept>, StoreError> {
    read.list(&Range::all().reverse())
}

/// The last restore of everything, while it is news.
pub fn restored(read: &dyn Read, now: Timestamp) -> Result<Option<Restoration>, StoreError> {
    let last = read.list::<Restoration>(&Range::all().reverse().limit(1))?.pop();
    Ok(last.filter(|one| now.duration_since(one.at) < NEWS))
}

/// When the last complete backup was made at a place.
pub fn last_made(read: &dyn Read, place: &str) -> Result<Option<Timestamp>, StoreError> {
    let all = runs_at(read, place)?;
    let made = all.iter().find(|run| run.is_made());
    Ok(made.map(|run| run.started_at))
}

/// When the next scheduled backup is due; none when there is no schedule. What is noted of a time yet to
/// come, before a clock was set back, puts nothing off.
pub fn next_backup(
    read: &dyn Read,
    settings: &BackupSettings,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    if settings.schedule == Schedule::Off || settings.changed_at == Timestamp::MAX {
        return Ok(None);
    }
    let changed_at = Some(settings.changed_at).filter(|at| *at <= now);
    let changed_at = changed_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let all = runs_until(read, now)?;
    let last = all.iter().find(|run| run.deed == Deed::Backup && run.trigger == Trigger::Schedule);
    let Some(last) = last.filter(|run| changed_at <= run.started_at) else {
        return Ok(next_at(settings, zone, changed_at));
    };
    let usual = next_at(settings, zone, last.started_at);
    // What one lacks an hour brings back seldom; the reason is told.
    if last.outcome != Outcome::Failed || last.is_incomplete() {
        return Ok(usual);
    }
    // A success there since then, by whoever asked, is as good.
    let written = runs(read, usize::MAX)?;
    let mut since = written.iter().take_while(|run| run.id != last.id);
    let is_there = |run: &&BackupRun| run.place == last.place || last.place.is_empty();
    let made = |run: &&BackupRun| run.is_made();
    let mended = since.any(|run| made(&run) && is_there(&run));
    let ended_at = last.ended_at.filter(|at| *at <= now);
    let again = ended_at.unwrap_or(last.started_at) + RETRY;
    Ok(if mended { usual } else { Some(usual.map_or(again, |usual| usual.min(again))) })
}

/// The first time of day after a moment. A time that a change of the clocks leaves out is taken as
/// soon as it is over.
fn next_at(settings: &BackupSettings, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let hour = i8::try_from(settings.hour).unwrap_or(3);
    let time = Time::new(hour, i8::try_from(settings.minute).unwrap_or(30), 0, 0).ok()?;
    let mut date = after.to_zoned(zone.clone()).date();
    for _ in 0..3 {
        let at = date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp();
        if after < at {
            return Some(at);
        }
        date = date.checked_add(1.day()).ok()?;
    }
    None
}

/// When the next restore drill is due; none while no complete backup was made at this place. Who makes them by
/// hand, or has another program make them, is to know as well that they can be restored.
pub fn next_drill(
    read: &dyn Read,
    place: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let all = runs_until(read, now)?;
    let made = |run: &&BackupRun| run.is_made() && run.is_at(place);
    let Some(first) = all.iter().rev().find(made) else { return Ok(None) };
    let last = all.iter().find(|run| run.is_due_drill());
    Ok(Some(last.map_or(first.started_at, |run| run.started_at) + DRILL_EVERY))
}

/// Whether a complete backup lies at the place of the settings, as far as that can be told without opening it:
/// the disk may lie in a drawer, and that is no failure. May take a while.
pub fn lies_there(app: &App) -> Result<bool, StoreError> {
    let (settings, kept) =
        app.system.read(|snap| Ok::<_, StoreError>((settings(snap)?, kept(snap)?)))?;
    let (there, unread) = lying(app, &settings, kept);
    Ok(0 < unread || there.iter().any(|one| one.missing().is_empty()))
}

/// What is wrong with backups at a place, for banners and health; empty when all is well.
pub fn trouble(read: &dyn Read, place: &str) -> Result<Option<BackupRun>, StoreError> {
    let all = runs_at(read, place)?;
    let worst = [Deed::Backup, Deed::Drill, Deed::Verify].into_iter().find_map(|deed| {
        all.iter()
            .find(|run| run.deed == deed && run.outcome != Outcome::Running)
            .filter(|run| run.outcome == Outcome::Failed)
    });
    Ok(worst.or_else(|| last_stuck(&all)).cloned())
}

/// That nothing is tidied up at a place because a manifest cannot be read, as it was noted; none when it was
/// tidied up since, or that backup was put aside.
pub fn stuck(read: &dyn Read, place: &str) -> Result<Option<BackupRun>, StoreError> {
    Ok(last_stuck(&runs_at(read, place)?).cloned())
}

fn last_stuck(all: &[BackupRun]) -> Option<&BackupRun> {
    let went_on = |run: &BackupRun| {
        matches!(run.deed, Deed::Prune | Deed::Forget) && run.outcome == Outcome::Done
    };
    all.iter().find(|run| run.is_stuck() || went_on(run)).filter(|run| run.is_stuck())
}

/// The last restore drill that compared what HQ keeps with its hashes.
pub fn proof(read: &dyn Read) -> Result<Option<BackupRun>, StoreError> {
    Ok(runs(read, usize::MAX)?.into_iter().find(|run| run.proof().is_some()))
}

/// What failed last at a place, and all of these failures in a row, that one first. None when it went
/// well, or was never done.
pub fn failing(
    read: &dyn Read,
    deed: Deed,
    place: &str,
) -> Result<Option<(BackupRun, Vec<JobId>)>, StoreError> {
    let mut ended = runs_at(read, place)?;
    ended.retain(|run| run.deed == deed && run.outcome != Outcome::Running);
    let failed = |run: &&BackupRun| run.outcome == Outcome::Failed;
    let in_a_row: Vec<JobId> = ended.iter().take_while(failed).map(|run| run.id).collect();
    let last = ended.into_iter().next().filter(|_| !in_a_row.is_empty());
    Ok(last.map(|last| (last, in_a_row)))
}

/// Whether a backup failed because another HQ keeps its own at this place: somebody is to say whether
/// both are to share it.
#[must_use]
pub fn is_shared(failed: &BackupRun, place: &str) -> bool {
    let others = BackupError::Others { place: String::new() };
    failed.deed == Deed::Backup
        && failed.place == place
        && failed.code.as_deref() == Some(others.code())
}

/// Whether this person administers every workspace: backups hold them all. Who administers one that
/// cannot be opened is not known; who keeps this HQ may then, since a backup is to bring it back.
pub fn may_manage(app: &App, account: AccountId) -> Result<bool, StoreError> {
    if !app.broken.read().is_empty() && !damaged::keeps(app, account)? {
        return Ok(false);
    }
    let all = app.ask_each(|ws| ws.read(|snap| workspace::member(snap, account)))?;
    let manages = |role| matches!(role, Role::Owner | Role::Admin);
    Ok(all.iter().all(|(_, member)| member.as_ref().is_some_and(|member| manages(member.role))))
}

#[cfg(test)]
mod tests {
    use super::next_at;
    use crate::backups::model::BackupSettings;
    use jiff::tz::TimeZone;

    #[test]
    fn the_next_time_of_day_is_found_across_changes_of_the_clocks() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut settings = BackupSettings::usual("2026-01-01T00:00:00Z".parse().unwrap());
        let next = |settings: &BackupSettings, after: &str| {
            next_at(settings, &zone, after.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(next(&settings, "2026-11-20T12:00:00Z"), "2026-11-21T02:30:00Z");
        assert_eq!(next(&settings, "2026-11-21T02:29:59Z"), "2026-11-21T02:30:00Z");
        assert_eq!(next(&settings, "2026-11-21T02:30:00Z"), "2026-11-22T02:30:00Z");
        // 02:30 does not exist on 29 March 2026.
        settings.hour = 2;
        assert_eq!(next(&settings, "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
    }
}
