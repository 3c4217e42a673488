//! All writes of backup settings and backup runs.

mod former;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::notifications::queries as notifications;
use backup::{Address, BackupError, Manifest};
use crypto::keyring::Sealed;
use crypto::passphrase::PassphraseError;
use kernel::{
    About, Cause, Event, FieldError, JobId, Notice, NoticeKind, Problem, ProblemKind, Timestamp,
};
use store::{Range, ReadExt, StoreError, WriteTx};

use super::model::{
    BackupRun, BackupSecret, BackupSettings, CachedBackup, Deed, Encryption, INCOMPLETE,
    KnownPlace, Outcome, PASSPHRASE, RECORD_DAMAGED, Restoration, S3_SECRET, STUCK, Trigger,
};
use super::queries;

/// Upper limit of each retention count.
const MOST_KEPT: u16 = 3650;

#[derive(Debug, thiserror::Error)]
pub enum BackupsError {
    #[error("{}", .0.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; "))]
    Fields(Vec<FieldError>),
    /// The caller does not administer all workspaces. Backups hold every workspace.
    #[error(
        "backups contain every workspace of this HQ, so you must administer all of them; while one \
            can't be opened, only the owner of this HQ can do this"
    )]
    NotAll,
    #[error("this backup run doesn't exist")]
    NotFound,
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A settings secret cannot be unsealed.
    #[error(
        "the backup {0} can't be opened with this master key; enter it again in Settings, Backups"
    )]
    Unreadable(&'static str),
    /// A check found damage.
    #[error("{0}")]
    Faults(String),
    /// Pruning is blocked by an unreadable manifest.
    #[error(
        "can't clean up {place}, so it fills up: the manifest of {which} is unreadable, so HQ \
            can't tell which data it needs; restore a good copy of that file in manifests/, or \
            give up the backup in Settings, Backups (in the API: POST /api/v1/backups/ID/forget)"
    )]
    Stuck {
        place: String,
        /// Unreadable backups, each with the reason.
        which: String,
    },
    /// Live data does not match its hashes.
    #[error(
        "{0} of HQ's entries and rows don't match their hashes: something outside HQ changed them; \
            Settings, Audit lists them"
    )]
    Record(u64),
    /// The history of agents' files is incomplete.
    #[error("the agent file history in {0}; run `hq doctor files` for details and repair")]
    Files(String),
    /// The history of agents' files in a backup is incomplete.
    #[error(
        "the agent file history in backup {0} is incomplete ({1}); run `hq doctor files` to repair \
            it here, then create a new backup"
    )]
    BackedUpFiles(String, String),
    /// The worker thread ended early.
    #[error("it was interrupted: {0}")]
    CutOff(String),
}

impl From<PassphraseError> for BackupsError {
    fn from(error: PassphraseError) -> Self {
        Self::Fields(vec![FieldError::new("passphrase", error.to_string())])
    }
}

impl Problem for BackupsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fields(_) => "invalid",
            Self::NotAll => "not_all_workspaces",
            Self::NotFound => "backup_run_not_found",
            Self::Backup(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Unreadable(_) => "backup_secret_unreadable",
            Self::Faults(_) => "backup_damaged",
            Self::Stuck { .. } => STUCK,
            Self::Record(_) => RECORD_DAMAGED,
            Self::Files(_) | Self::BackedUpFiles(..) => "agent_files_damaged",
            Self::CutOff(_) => "backup_cut_off",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Fields(_) => ProblemKind::Invalid,
            Self::NotAll => ProblemKind::Forbidden,
            Self::NotFound => ProblemKind::NotFound,
            Self::Backup(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Unreadable(_) | Self::Stuck { .. } => ProblemKind::Conflict,
            Self::Faults(_)
            | Self::Record(_)
            | Self::Files(_)
            | Self::BackedUpFiles(..)
            | Self::CutOff(_) => ProblemKind::Internal,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Fields(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }
}

/// Change of a secret in the settings.
#[derive(Clone, Debug, Default)]
pub enum NewSecret {
    #[default]
    Keep,
    /// Replace with this sealed value.
    Set(Sealed),
}

pub struct NewSettings {
    pub settings: BackupSettings,
    pub passphrase: NewSecret,
    pub s3_secret: NewSecret,
}

/// Replaces the backup settings.
///
/// # Errors
/// With every invalid field.
pub fn set_settings(tx: &mut WriteTx<'_>, new: NewSettings) -> Result<(), BackupsError> {
    let mut settings = new.settings;
    let mut wrong = Vec::new();
    let mut fault = |field: &str, message: &str| wrong.push(FieldError::new(field, message));
    if 23 < settings.hour || 59 < settings.minute {
        fault("time", "enter a time of day like 03:30");
    }
    if settings.zone.as_deref().is_some_and(|zone| TimeZone::get(zone).is_err()) {
        fault("zone", "enter a time zone like Europe/Berlin or UTC");
    }
    for (field, n) in
        [("daily", settings.daily), ("weekly", settings.weekly), ("monthly", settings.monthly)]
    {
        if MOST_KEPT < n {
            fault(field, "enter a number from 0 to 3650");
        }
    }
    if settings.daily == 0 && settings.weekly == 0 && settings.monthly == 0 {
        fault("daily", "keep at least one, such as 7 daily, 4 weekly and 6 monthly");
    }
    let has = |tx: &WriteTx<'_>, name: &str| tx.get::<BackupSecret>(name.to_owned());
    if !settings.target.is_empty() {
        match settings.target.parse::<Address>() {
            Ok(Address::Folder(path)) if !path.is_absolute() => {
                fault("target", "enter the full path of the folder, starting with /");
            }
            Ok(Address::Folder(_)) => {}
            Ok(Address::S3(_)) => {
                if settings.access_key.trim().is_empty() {
                    fault("access_key", "enter the bucket's access key");
                }
                if matches!(new.s3_secret, NewSecret::Keep) && has(tx, S3_SECRET)?.is_none() {
                    fault("s3_secret", "enter the bucket's secret key");
                }
            }
            Err(error) => fault("target", &error.to_string()),
        }
    }
    let no_passphrase = matches!(new.passphrase, NewSecret::Keep) && has(tx, PASSPHRASE)?.is_none();
    if settings.encryption == Encryption::Passphrase && no_passphrase {
        fault("passphrase", "enter a passphrase; no one can restore without it");
    }
    if !wrong.is_empty() {
        return Err(BackupsError::Fields(wrong));
    }
    settings.changed_at = tx.now();
    if queries::settings(tx)?.target != settings.target {
        // The cached list belongs to the former target.
        for seen in tx.list::<CachedBackup>(&Range::all())? {
            tx.delete::<CachedBackup>(seen.id)?;
        }
    }
    for (name, secret) in [(PASSPHRASE, new.passphrase), (S3_SECRET, new.s3_secret)] {
        if let NewSecret::Set(sealed) = secret {
            tx.put(&BackupSecret { name: name.to_owned(), sealed })?;
        }
    }
    tx.put(&settings)?;
    Ok(())
}

/// Records the start of a run with the wall clock. The store's own time stands still while a clock that was set back
/// catches up, and the next run is scheduled from this value.
pub fn begin(
    tx: &mut WriteTx<'_>,
    deed: Deed,
    trigger: Trigger,
    place: String,
    started_at: Timestamp,
) -> Result<BackupRun, StoreError> {
    for id in former::superfluous(&queries::runs(tx, usize::MAX)?, deed) {
        tx.delete::<BackupRun>(id)?;
    }
    let run = BackupRun {
        id: tx.new_id(),
        deed,
        trigger,
        place,
        started_at,
        ended_at: None,
        outcome: Outcome::Running,
        backup: None,
        bytes: 0,
        new_bytes: 0,
        note: None,
        code: None,
    };
    tx.put(&run)?;
    Ok(run)
}

/// Result of a successful run.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pub backup: Option<String>,
    pub bytes: u64,
    /// Bytes written or freed.
    pub new_bytes: u64,
    pub note: Option<String>,
    /// Workspaces that are listed but not in the backup. The backup exists but counts as incomplete.
    pub missing: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Failed {
    /// Stable error code.
    pub code: &'static str,
    /// What went wrong and what to do.
    pub words: String,
}

impl From<&BackupsError> for Failed {
    fn from(error: &BackupsError) -> Self {
        Self { code: error.code(), words: error.to_string() }
    }
}

/// Records the outcome of a run.
pub fn end(
    tx: &mut WriteTx<'_>,
    id: JobId,
    ended: Result<Ended, Failed>,
) -> Result<BackupRun, BackupsError> {
    let mut run = tx.get::<BackupRun>(id)?.ok_or(BackupsError::NotFound)?;
    run.ended_at = Some(tx.now());
    match ended {
        Ok(ended) => {
            run.outcome = Outcome::Done;
            (run.backup, run.note) = (ended.backup, ended.note);
            (run.bytes, run.new_bytes) = (ended.bytes, ended.new_bytes);
            if !ended.missing.is_empty() {
                let why = run.note.take().map(|note| format!(": {note}")).unwrap_or_default();
                let words = format!(
                    "it was created without {}{why}; the last complete backup stays until there's \
                        a newer one, and `hq restore` uses it",
                    ended.missing.join(", ")
                );
                run.outcome = Outcome::Failed;
                (run.note, run.code) = (Some(words), Some(INCOMPLETE.to_owned()));
            }
        }
        Err(Failed { code, words }) => {
            run.outcome = Outcome::Failed;
            (run.note, run.code) = (Some(words), Some(code.to_owned()));
        }
    }
    match (run.outcome, run.deed, &run.backup) {
        (Outcome::Done, Deed::Backup, Some(backup)) => {
            tx.emit(Event::BackupMade { backup: backup.clone() });
        }
        (Outcome::Failed, deed, _) => {
            let why = run.note.clone().unwrap_or_default();
            tx.emit(Event::BackupFailed { what: deed.label().to_owned(), why });
        }
        _ => {}
    }
    tx.put(&run)?;
    Ok(run)
}

/// Records a change of the pruning state: an unreadable manifest started or stopped blocking it. Writes nothing if the
/// state is unchanged.
pub fn note_tidied(
    tx: &mut WriteTx<'_>,
    place: String,
    now: Timestamp,
    stuck: Option<Failed>,
) -> Result<(), BackupsError> {
    let ended = match (queries::stuck(tx, &place)?, stuck) {
        (None, None) => return Ok(()),
        // Already recorded and reported.
        (Some(tidied), Some(failed)) if tidied.note.as_ref() == Some(&failed.words) => {
            return Ok(());
        }
        (_, Some(failed)) => Err(failed),
        (Some(_), None) => Ok(Ended {
            note: Some("every manifest is readable again".to_owned()),
            ..Ended::default()
        }),
    };
    let run = begin(tx, Deed::Prune, Trigger::Schedule, place, now)?;
    end(tx, run.id, ended).map(drop)
}

/// Replaces the cached list with the contents of the target. Earlier check results stay. A backup whose manifest cannot
/// be read is listed as damaged, even if its manifest was never readable.
pub fn note_kept(
    tx: &mut WriteTx<'_>,
    manifests: &[Manifest],
    unreadable: &[(String, String)],
) -> Result<(), StoreError> {
    for former in tx.list::<CachedBackup>(&Range::all())? {
        let is_there = manifests.iter().any(|manifest| manifest.id == former.id)
            || unreadable.iter().any(|(id, _)| *id == former.id);
        if !is_there {
            tx.delete::<CachedBackup>(former.id)?;
        }
    }
    for (id, fault) in unreadable {
        let former = tx.get::<CachedBackup>(id.clone())?;
        let mut kept = former.unwrap_or_else(|| CachedBackup {
            id: id.clone(),
            taken_at: moment_of(id).unwrap_or_else(|| tx.now()),
            bytes: 0,
            new_bytes: 0,
            workspaces: Vec::new(),
            app: String::new(),
            verified_at: None,
            fault: None,
        });
        kept.fault = CachedBackup::judged(&kept.missing(), Some(fault.clone()));
        kept.verified_at = None;
        tx.put(&kept)?;
    }
    for manifest in manifests {
        let former = tx.get::<CachedBackup>(manifest.id.clone())?;
        // Drop the "manifest cannot be read" fault, because the manifest is readable now.
        let damage =
            former.as_ref().filter(|kept| !kept.is_unreadable()).and_then(CachedBackup::damage);
        tx.put(&CachedBackup {
            id: manifest.id.clone(),
            taken_at: manifest.taken_at,
            bytes: manifest.bytes(),
            new_bytes: manifest.new_bytes,
            workspaces: manifest.workspaces.clone(),
            app: manifest.app.clone(),
            verified_at: former.as_ref().and_then(|kept| kept.verified_at),
            fault: CachedBackup::judged(&manifest.missing, damage.map(str::to_owned)),
        })?;
    }
    Ok(())
}

/// Time of a backup, parsed from its id.
fn moment_of(id: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%dT%H%M%S", id.get(..15)?).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Marks these backups as damaged.
pub fn note_damaged(tx: &mut WriteTx<'_>, ids: &[String], fault: &str) -> Result<(), StoreError> {
    for id in ids {
        note_checked(tx, id.clone(), Some(fault.to_owned()))?;
    }
    Ok(())
}

/// Records which repository is at a target after a backup.
pub fn note_place(
    tx: &mut WriteTx<'_>,
    address: String,
    repository: &str,
) -> Result<(), StoreError> {
    let former = tx.get::<KnownPlace>(address.clone())?;
    let mut repositories = former.map(|place| place.repositories).unwrap_or_default();
    if !repositories.iter().any(|id| id == repository) {
        repositories.push(repository.to_owned());
    }
    tx.put(&KnownPlace { address, repositories, last_at: tx.now() })
}

/// Forgets a target that was not moved along. The next backup may start a new repository there.
pub fn forget_place(tx: &mut WriteTx<'_>, address: &str) -> Result<(), StoreError> {
    tx.delete::<KnownPlace>(address.to_owned()).map(drop)
}

/// Completes the run row in a restored store. The store was read while its own backup was running, and that backup
/// succeeded.
pub fn end_restored(tx: &mut WriteTx<'_>, backup: &str, bytes: u64) -> Result<(), StoreError> {
    for mut run in tx.list::<BackupRun>(&Range::all())? {
        if run.deed == Deed::Backup && run.outcome == Outcome::Running {
            (run.outcome, run.ended_at) = (Outcome::Done, Some(tx.now()));
            (run.backup, run.bytes) = (Some(backup.to_owned()), bytes);
            run.note = Some("restored from this backup".to_owned());
            tx.put(&run)?;
        }
    }
    Ok(())
}

/// Marks runs of a killed process as failed. Call at start, when no job can be running.
pub fn end_cut_off(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let left = tx.list::<BackupRun>(&Range::all())?;
    for mut run in left.into_iter().filter(|run| run.outcome == Outcome::Running) {
        run.outcome = Outcome::Failed;
        run.ended_at = Some(tx.now());
        run.note = Some("HQ stopped in the middle".to_owned());
        tx.put(&run)?;
    }
    Ok(())
}

/// Notifies the admins of a workspace that a job fails. Skips it if they were already notified of one of these
/// consecutive failures. Notifications are matched by cause, not by time, because a clock may have been set back.
/// Returns whether it notified. The cause of the transaction is the failed job.
pub fn tell_failed(
    tx: &mut WriteTx<'_>,
    title: &str,
    in_a_row: &[JobId],
    why: &str,
) -> Result<bool, StoreError> {
    let (about, kind) = (About::Workspace, NoticeKind::BackupFailed);
    let of_these = |cause| matches!(cause, Cause::Job(job) if in_a_row.contains(&job));
    if notifications::was_told(tx, (about, kind), title, &of_these)? {
        return Ok(false);
    }
    tx.emit(Notice::new(kind, about, title).body(why).only().admins().event());
    Ok(true)
}

/// Records the result of a check.
pub fn note_checked(
    tx: &mut WriteTx<'_>,
    id: String,
    fault: Option<String>,
) -> Result<(), StoreError> {
    if let Some(mut kept) = tx.get::<CachedBackup>(id)? {
        kept.verified_at = if fault.is_none() { Some(tx.now()) } else { None };
        kept.fault = CachedBackup::judged(&kept.missing(), fault);
        tx.put(&kept)?;
    }
    Ok(())
}

/// Emits the first event of a restored store.
pub fn note_restored(tx: &mut WriteTx<'_>, backup: String, taken_at: Timestamp) {
    tx.emit(Event::Restored { backup, taken_at: taken_at.as_millisecond() });
}

pub struct NewRestoration {
    pub backup: String,
    pub taken_at: Timestamp,
    /// Point in time to which the restored data was rolled back.
    pub moment: Option<Timestamp>,
    pub workspaces: Vec<String>,
    /// Differences from the backup.
    pub notes: Vec<String>,
}

/// Records a full restore for the backup page.
pub fn note_restoration(tx: &mut WriteTx<'_>, new: NewRestoration) -> Result<(), StoreError> {
    let NewRestoration { backup, taken_at, moment, workspaces, notes } = new;
    tx.put(&Restoration {
        id: tx.new_id(),
        at: tx.now(),
        backup,
        taken_at,
        moment,
        workspaces,
        notes,
    })
}
