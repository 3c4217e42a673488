//! Reads of backups: settings, run history, schedules, trouble and permissions.

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
    BackupRun, BackupSettings, CachedBackup, Deed, KnownPlace, Outcome, Restoration, Schedule,
    Trigger,
};

/// Retry delay after a failed scheduled backup.
const RETRY: SignedDuration = SignedDuration::from_hours(1);
/// How long the page shows a full restore.
const NEWS: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Interval of restore drills.
const DRILL_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Stored settings, or the defaults.
pub fn settings(read: &dyn Read) -> Result<BackupSettings, StoreError> {
    if let Some(settings) = read.get::<BackupSettings>(())? {
        return Ok(settings);
    }
    // Without stored settings, backups are due since the first workspace was created.
    let first = users::workspaces(read)?.into_iter().map(|ws| ws.created_at).min();
    Ok(BackupSettings::usual(first.unwrap_or(Timestamp::MAX)))
}

/// Target address from these settings.
///
/// # Errors
/// If the address is invalid.
pub fn address(app: &App, settings: &BackupSettings) -> Result<Address, BackupError> {
    match settings.target.as_str() {
        "" => Ok(Address::Folder(app.config.data.join("backups").join("local"))),
        given => given.parse(),
    }
}

/// Display name of the settings target, as used in run rows. Empty if the address is invalid.
pub fn usual_place(app: &App) -> Result<String, StoreError> {
    let settings = app.system.read(|snap| settings(snap))?;
    Ok(address(app, &settings).map_or_else(|_| String::new(), |address| address.to_string()))
}

/// Returns a closure that reads the current workspace list from the system store at each call.
#[must_use]
pub fn listed(system: &Store) -> Listed {
    let system = system.clone();
    Arc::new(move || {
        let rows = system.read(|snap| users::workspaces(snap))?;
        Ok(rows.into_iter().map(|row| row.slug).collect())
    })
}

/// The cached backups that still exist at the settings target, and the number of backups there that are not cached yet.
/// For a bucket, returns the cached list unchanged: a page does not wait for the network.
#[must_use]
pub fn lying(
    app: &App,
    settings: &BackupSettings,
    mut seen: Vec<CachedBackup>,
) -> (Vec<CachedBackup>, usize) {
    let Ok(Address::Folder(folder)) = address(app, settings) else { return (seen, 0) };
    let Ok(all) = Folder::new(folder).list(MANIFESTS) else { return (seen, 0) };
    let there: BTreeSet<&str> =
        all.iter().filter_map(|one| one.name.strip_prefix(MANIFESTS)).collect();
    seen.retain(|one| there.contains(one.id.as_str()));
    let more = there.len() - seen.len();
    (seen, more)
}

/// What is known of a target from earlier backups.
pub fn place(read: &dyn Read, address: &Address) -> Result<Option<KnownPlace>, StoreError> {
    read.get(address.to_string())
}

/// Rejects a target that is not the known one: it is empty or holds another repository.
///
/// # Errors
/// `PlaceGone` or `OtherPlace`, or an error of the target.
pub fn same_place(known: &KnownPlace, target: &dyn Target) -> Result<(), BackupError> {
    let place = target.place().to_owned();
    match Repository::id_at(target)? {
        None => Err(BackupError::PlaceGone { place }),
        Some(id) if known.repositories.contains(&id) => Ok(()),
        Some(_) => Err(BackupError::OtherPlace { place }),
    }
}

/// Returns why the settings folder is not the known target. `None` if it is, or if the target is no folder: a page does
/// not wait for the network.
pub fn lost_place(app: &App, settings: &BackupSettings) -> Result<Option<BackupError>, StoreError> {
    let Ok(Address::Folder(folder)) = address(app, settings) else { return Ok(None) };
    let known = app.system.read(|snap| place(snap, &Address::Folder(folder.clone())))?;
    let lost = known.and_then(|known| same_place(&known, &Folder::new(folder)).err());
    Ok(lost.filter(|error| {
        matches!(error, BackupError::PlaceGone { .. } | BackupError::OtherPlace { .. })
    }))
}

/// Parses an address and checks that backups of this HQ may go there.
///
/// # Errors
/// If the address is invalid or inside the data directory.
pub fn checked_address(app: &App, given: &str) -> Result<Address, BackupError> {
    let address: Address = given.parse()?;
    if let Some(folder) = address.folder() {
        apart(folder, &app.config.data)?;
    }
    Ok(address)
}

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

/// Runs, newest first in write order. Ids and timestamps depend on the clock, so a run recorded by a fast clock would
/// otherwise stay the newest until the time has passed.
pub fn runs(read: &dyn Read, limit: usize) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = Vec::new();
    for run in read.list::<BackupRun>(&Range::all())? {
        all.extend(read.get_rev::<BackupRun>(run.id)?);
    }
    all.sort_by_key(|(run, rev)| std::cmp::Reverse((*rev, run.id)));
    Ok(all.into_iter().take(limit).map(|(run, _)| run).collect())
}

/// Runs that started by `now`, newest first by start time.
fn runs_until(read: &dyn Read, now: Timestamp) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = runs(read, usize::MAX)?;
    all.retain(|run| run.started_at <= now);
    all.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    Ok(all)
}

/// Runs at a target, newest first. Runs elsewhere neither fix nor cause trouble here.
fn runs_at(read: &dyn Read, place: &str) -> Result<Vec<BackupRun>, StoreError> {
    let mut all = runs(read, usize::MAX)?;
    all.retain(|run| run.is_at(place));
    Ok(all)
}

pub fn run(read: &dyn Read, id: JobId) -> Result<Option<BackupRun>, StoreError> {
    read.get(id)
}

/// Cached backups at the target, newest first.
pub fn kept(read: &dyn Read) -> Result<Vec<CachedBackup>, StoreError> {
    read.list(&Range::all().reverse())
}

/// The last full restore, for 14 days.
pub fn restored(read: &dyn Read, now: Timestamp) -> Result<Option<Restoration>, StoreError> {
    let last = read.list::<Restoration>(&Range::all().reverse().limit(1))?.pop();
    Ok(last.filter(|one| now.duration_since(one.at) < NEWS))
}

/// Start of the last complete backup at a target.
pub fn last_made(read: &dyn Read, place: &str) -> Result<Option<Timestamp>, StoreError> {
    let all = runs_at(read, place)?;
    let made = all.iter().find(|run| run.is_made());
    Ok(made.map(|run| run.started_at))
}

/// Time of the next scheduled backup, or `None` without a schedule. Rows from the future, written before a clock was
/// set back, are ignored.
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
    // An hourly retry seldom brings back a missing workspace, and the reason is reported.
    if last.outcome != Outcome::Failed || last.is_incomplete() {
        return Ok(usual);
    }
    // A later success at this target, whoever requested it, counts as well.
    let written = runs(read, usize::MAX)?;
    let mut since = written.iter().take_while(|run| run.id != last.id);
    let is_there = |run: &&BackupRun| run.place == last.place || last.place.is_empty();
    let made = |run: &&BackupRun| run.is_made();
    let mended = since.any(|run| made(&run) && is_there(&run));
    let ended_at = last.ended_at.filter(|at| *at <= now);
    let retry_at = ended_at.unwrap_or(last.started_at) + RETRY;
    Ok(if mended { usual } else { Some(usual.map_or(retry_at, |usual| usual.min(retry_at))) })
}

/// First scheduled time of day after a moment. A time that is skipped by a clock change is moved to the end of the gap.
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

/// Time of the next restore drill. `None` until a complete backup was made at this target. Drills also run with the
/// schedule off, because manual or external backups must be restorable too.
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

/// Returns `true` if a complete backup is at the settings target, as far as known without opening the repository: an
/// unplugged disk is no failure. May block for a while.
pub fn lies_there(app: &App) -> Result<bool, StoreError> {
    let (settings, kept) =
        app.system.read(|snap| Ok::<_, StoreError>((settings(snap)?, kept(snap)?)))?;
    let (there, unread) = lying(app, &settings, kept);
    Ok(0 < unread || there.iter().any(|one| one.missing().is_empty()))
}

/// The run to show in banners and health, or `None` if backups at this target are fine.
pub fn trouble(read: &dyn Read, place: &str) -> Result<Option<BackupRun>, StoreError> {
    let all = runs_at(read, place)?;
    let worst = [Deed::Backup, Deed::Drill, Deed::Verify].into_iter().find_map(|deed| {
        all.iter()
            .find(|run| run.deed == deed && run.outcome != Outcome::Running)
            .filter(|run| run.outcome == Outcome::Failed)
    });
    Ok(worst.or_else(|| last_stuck(&all)).cloned())
}

/// The run that recorded that pruning is blocked by an unreadable manifest. `None` once a prune succeeded or the backup
/// was put aside.
pub fn stuck(read: &dyn Read, place: &str) -> Result<Option<BackupRun>, StoreError> {
    Ok(last_stuck(&runs_at(read, place)?).cloned())
}

fn last_stuck(all: &[BackupRun]) -> Option<&BackupRun> {
    let went_on = |run: &BackupRun| {
        matches!(run.deed, Deed::Prune | Deed::Forget) && run.outcome == Outcome::Done
    };
    all.iter().find(|run| run.is_stuck() || went_on(run)).filter(|run| run.is_stuck())
}

/// The last restore drill that compared HQ's data with its hashes.
pub fn proof(read: &dyn Read) -> Result<Option<BackupRun>, StoreError> {
    Ok(runs(read, usize::MAX)?.into_iter().find(|run| run.proof().is_some()))
}

/// The latest failure at a target, followed by the consecutive failures before it. `None` if the last run succeeded or
/// there was none.
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

/// Returns `true` if a backup failed because another HQ keeps its backups at this target. The user must confirm that
/// both share it.
#[must_use]
pub fn is_shared(failed: &BackupRun, place: &str) -> bool {
    let others = BackupError::Others { place: String::new() };
    failed.deed == Deed::Backup
        && failed.place == place
        && failed.code.as_deref() == Some(others.code())
}

/// Returns `true` if the account administers every workspace, because backups hold all of them. The admins of a
/// workspace that cannot be opened are unknown; then the owner of this HQ may manage backups, because a backup is what
/// restores the workspace.
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
