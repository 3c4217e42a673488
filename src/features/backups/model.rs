//! Backup records in `system.redb`: settings, secrets, run history, and a cache of the backups at the target. A
//! released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use backup::{MANIFESTS, Retention};
use crypto::keyring::Sealed;
use kernel::time::from_ms;
use kernel::{AccountId, JobId, Timestamp, TypedId};
use store::{Class, DecodeError, Record, Table, codec};

pub const SETTINGS: Table = Table::new(120, "backup_settings");
/// Sealed credentials for the target and the repository.
pub const SECRETS: Table = Table::new(121, "backup_secrets");
/// History of backups, checks, prunes and drills.
pub const RUNS: Table = Table::new(122, "backup_runs");
/// Cached list of the backups at the target, as of the last listing.
pub const KEPT: Table = Table::new(123, "backups_kept");
/// Targets where backups were made.
pub const PLACES: Table = Table::new(124, "backup_places");
pub const RESTORES: Table = Table::new(125, "restores");

/// Where requests to a target may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The public internet, through the guard.
    Public,
    /// Also the own network: an admin gave the address and says that it is theirs.
    Private,
}

/// Whether what is written is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Who can read the target can read the backups; what the stores seal stays sealed.
    Off,
    /// With a passphrase.
    Passphrase,
}

/// Whether backups are made by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Only when somebody asks.
    Off,
    /// Once a day.
    Daily,
}

/// Backup settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSettings {
    pub schedule: Schedule,
    /// Hour of the day, 0 to 23.
    pub hour: u8,
    pub minute: u8,
    /// IANA time zone. If `None`, the zone of the first workspace applies.
    pub zone: Option<String>,
    /// Target address. Empty means HQ's own folder.
    pub target: String,
    /// Access key id of an S3 bucket.
    pub access_key: String,
    pub reach: Reach,
    /// Number of days for which one backup each is kept.
    pub daily: u16,
    /// Number of weeks for which one backup each is kept.
    pub weekly: u16,
    /// Number of months for which one backup each is kept.
    pub monthly: u16,
    pub encryption: Encryption,
    /// Time of the last settings change. The schedule does not look further back.
    #[serde(with = "millisecond::required")]
    pub changed_at: Timestamp,
}

impl BackupSettings {
    /// Default settings: daily at 03:30 into HQ's own folder.
    #[must_use]
    pub fn usual(since: Timestamp) -> Self {
        let keep = Retention::default();
        Self {
            schedule: Schedule::Daily,
            hour: 3,
            minute: 30,
            zone: None,
            target: String::new(),
            access_key: String::new(),
            reach: Reach::Public,
            daily: keep.daily,
            weekly: keep.weekly,
            monthly: keep.monthly,
            encryption: Encryption::Off,
            changed_at: since,
        }
    }

    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention { daily: self.daily, weekly: self.weekly, monthly: self.monthly }
    }
}

impl Record for BackupSettings {
    type Id = ();
    const TABLE: Table = SETTINGS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self {
            zone: Some("Europe/Berlin".into()),
            target: "/mnt/usb".into(),
            ..Self::usual(from_ms(1_700_000_000_000))
        }
    }
}

/// Name of the secret that holds the repository passphrase.
pub const PASSPHRASE: &str = "passphrase";
/// Name of the secret that holds the S3 secret key.
pub const S3_SECRET: &str = "s3_secret";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSecret {
    pub name: String,
    /// The value, sealed with the master key.
    pub sealed: Sealed,
}

impl Record for BackupSecret {
    type Id = String;
    const TABLE: Table = SECRETS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> String {
        self.name.clone()
    }
    fn sample() -> Self {
        Self { name: PASSPHRASE.into(), sealed: Sealed::from_stored("enc:v2:00000000:a.b.c") }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A backup.
    Backup,
    /// Every hash of a backup was checked.
    Verify,
    /// What is not kept was removed.
    Prune,
    /// A backup was restored into a temporary folder, checked and removed.
    Drill,
    /// A backup whose manifest cannot be read was put aside.
    Forget,
}

impl Deed {
    /// Noun phrase for messages, such as "a backup".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Backup => "a backup",
            Self::Verify => "a backup check",
            Self::Prune => "a backup cleanup",
            Self::Drill => "a restore drill",
            Self::Forget => "giving up a backup",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Backup => "Backup",
            Self::Verify => "Check",
            Self::Prune => "Cleanup",
            Self::Drill => "Restore drill",
            Self::Forget => "Giving up",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// The schedule was due.
    Schedule,
    /// A person requested the run.
    Person(AccountId),
    /// A command on this machine started the run.
    Command,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is at work, or the program was killed in the middle.
    Running,
    /// All went well.
    Done,
    /// It failed.
    Failed,
}

/// One run of a backup, check, prune or drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRun {
    pub id: JobId,
    pub deed: Deed,
    pub trigger: Trigger,
    /// Display name of the target.
    pub place: String,
    #[serde(with = "millisecond::required")]
    pub started_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    pub outcome: Outcome,
    /// Id of the backup that was made, checked or restored.
    pub backup: Option<String>,
    pub bytes: u64,
    /// Bytes written to the target, or freed there.
    pub new_bytes: u64,
    /// Failure message, or a remark on a successful run.
    pub note: Option<String>,
    /// Stable error code.
    pub code: Option<String>,
}

/// Code of a backup that exists but lacks workspaces.
pub const INCOMPLETE: &str = "backup_incomplete";
/// Code of a prune that is blocked by an unreadable manifest.
pub const STUCK: &str = "backup_unreadable";
/// End of the note of a restore drill in which all of HQ's data matched its hashes.
pub const FITS: &str = "fit their hashes";
/// Code of a restore drill in which data did not match its hashes.
pub const RECORD_DAMAGED: &str = "record_damaged";

impl BackupRun {
    /// Returns `true` for a finished, complete backup.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.deed == Deed::Backup && self.outcome == Outcome::Done
    }

    /// Returns `true` for a scheduled drill. The next drill is scheduled from this run.
    #[must_use]
    pub fn is_due_drill(&self) -> bool {
        self.deed == Deed::Drill && self.trigger == Trigger::Schedule
    }

    /// Returns `true` for a backup that lacks listed workspaces.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.deed == Deed::Backup && self.code.as_deref() == Some(INCOMPLETE)
    }

    /// Returns `true` for a prune that is blocked by an unreadable manifest.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.deed == Deed::Prune && self.code.as_deref() == Some(STUCK)
    }

    /// Failure heading to put before the reason, such as "Backup failed".
    #[must_use]
    pub fn words(&self) -> String {
        let how = if self.is_incomplete() { "is incomplete" } else { "failed" };
        format!("{} {how}", self.deed.label())
    }

    /// Returns `true` if the run was at `place`, or ended before its place was known.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        self.place == place || self.place.is_empty()
    }

    /// Result of comparing HQ's data with its hashes: `Some(true)` if everything matched, `Some(false)` if something
    /// did not, `None` if this run made no comparison.
    #[must_use]
    pub fn proof(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Failed if self.code.as_deref() == Some(RECORD_DAMAGED) => Some(false),
            Outcome::Done if self.deed == Deed::Drill => {
                self.note.as_ref().filter(|note| note.ends_with(FITS)).map(|_| true)
            }
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct BackupRunV1 {
    id: JobId,
    deed: Deed,
    trigger: Trigger,
    place: String,
    #[serde(with = "millisecond::required")]
    started_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    ended_at: Option<Timestamp>,
    outcome: Outcome,
    backup: Option<String>,
    bytes: u64,
    new_bytes: u64,
    note: Option<String>,
}

impl From<BackupRunV1> for BackupRun {
    fn from(old: BackupRunV1) -> Self {
        Self {
            id: old.id,
            deed: old.deed,
            trigger: old.trigger,
            place: old.place,
            started_at: old.started_at,
            ended_at: old.ended_at,
            outcome: old.outcome,
            backup: old.backup,
            bytes: old.bytes,
            new_bytes: old.new_bytes,
            note: old.note,
            code: None,
        }
    }
}

impl Record for BackupRun {
    type Id = JobId;
    const TABLE: Table = RUNS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const WHEN_FULL: bool = true;
    fn id(&self) -> JobId {
        self.id
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<BackupRunV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: RUNS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = from_ms(1_700_000_000_000);
        Self {
            id: JobId::from_bytes([1; 16]),
            deed: Deed::Backup,
            trigger: Trigger::Schedule,
            place: "/mnt/usb".into(),
            started_at: at,
            ended_at: Some(at),
            outcome: Outcome::Done,
            backup: Some("20231114T221320Z-00aabb".into()),
            bytes: 1_000_000,
            new_bytes: 20_000,
            note: None,
            code: Some("backup_others".into()),
        }
    }
}

/// Cache entry for a backup at the target, as of the last listing. Pages read this cache. The target is authoritative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedBackup {
    /// Backup id.
    pub id: String,
    #[serde(with = "millisecond::required")]
    pub taken_at: Timestamp,
    pub bytes: u64,
    /// Bytes that this backup added to the target.
    pub new_bytes: u64,
    pub workspaces: Vec<String>,
    /// HQ version that made the backup.
    pub app: String,
    /// Time of the last check that found every hash correct.
    #[serde(with = "millisecond::optional")]
    pub verified_at: Option<Timestamp>,
    /// Missing workspaces, then the damage found by the last check. Read with `missing` and `damage`.
    pub fault: Option<String>,
}

/// Prefix of a fault that lists the missing workspaces.
const LACKS: &str = "it lacks ";

impl CachedBackup {
    /// Workspaces that were listed when the backup was made but are not in it.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let lacks = self.fault.as_deref().and_then(|fault| fault.strip_prefix(LACKS));
        let names = lacks.map(|lacks| lacks.split_once("; ").map_or(lacks, |(names, _)| names));
        names.map(|names| names.split(", ").map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Damage found by the last check.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        let fault = self.fault.as_deref()?;
        match fault.strip_prefix(LACKS) {
            Some(lacks) => lacks.split_once("; ").map(|(_, damage)| damage),
            None => Some(fault),
        }
    }

    /// Returns `true` if the manifest cannot be read. `damage` then starts with the manifest path.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.damage().is_some_and(|damage| damage.starts_with(MANIFESTS))
    }

    /// Joins missing workspaces and damage into one fault text.
    #[must_use]
    pub fn judged(missing: &[String], damage: Option<String>) -> Option<String> {
        let lacks = (!missing.is_empty()).then(|| format!("{LACKS}{}", missing.join(", ")));
        match (lacks, damage) {
            (Some(lacks), Some(damage)) => Some(format!("{lacks}; {damage}")),
            (lacks, damage) => lacks.or(damage),
        }
    }
}

impl Record for CachedBackup {
    type Id = String;
    const TABLE: Table = KEPT;
    const CLASS: Class = Class::Local;
    const WHEN_FULL: bool = true;
    fn id(&self) -> String {
        self.id.clone()
    }
    fn sample() -> Self {
        Self {
            id: "20231114T221320Z-00aabb".into(),
            taken_at: from_ms(1_700_000_000_000),
            bytes: 1_000_000,
            new_bytes: 20_000,
            workspaces: vec!["acme".into()],
            app: "0.1.0".into(),
            verified_at: Some(from_ms(1_700_000_100_000)),
            fault: None,
        }
    }
}

/// A target where backups were made, with the repositories seen there. Keeps an unmounted disk from being taken for a
/// new target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPlace {
    /// Address as entered.
    pub address: String,
    /// Repository ids. There is more than one if disks are swapped.
    pub repositories: Vec<String>,
    /// Time of the last backup at this target.
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
}

impl Record for KnownPlace {
    type Id = String;
    const TABLE: Table = PLACES;
    const CLASS: Class = Class::Local;
    const WHEN_FULL: bool = true;
    fn id(&self) -> String {
        self.address.clone()
    }
    fn sample() -> Self {
        Self {
            address: "/mnt/usb".into(),
            repositories: vec!["00aabbccddee".into()],
            last_at: from_ms(1_700_000_000_000),
        }
    }
}

/// A full restore, shown to the administrators of this HQ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// Sorts by time.
    pub id: JobId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub backup: String,
    #[serde(with = "millisecond::required")]
    pub taken_at: Timestamp,
    /// Point in time to which the restored data was rolled back.
    #[serde(with = "millisecond::optional")]
    pub moment: Option<Timestamp>,
    /// Names of the restored workspaces.
    pub workspaces: Vec<String>,
    /// Differences from the backup, as sentences.
    pub notes: Vec<String>,
}

impl Record for Restoration {
    type Id = JobId;
    const TABLE: Table = RESTORES;
    const CLASS: Class = Class::Log;
    fn id(&self) -> JobId {
        self.id
    }
    fn sample() -> Self {
        let at = from_ms(1_700_000_000_000);
        Self {
            id: JobId::from_bytes([2; 16]),
            at,
            backup: "20231114T221320Z-00aabb".into(),
            taken_at: at,
            moment: Some(at),
            workspaces: vec!["acme".into()],
            notes: vec!["everybody signs in again".into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CachedBackup;
    use store::Record as _;

    #[test]
    fn what_a_backup_lacks_and_what_is_damaged_are_told_apart() {
        let of = |missing: &[&str], damage: Option<&str>| {
            let missing: Vec<_> = missing.iter().map(|one| (*one).to_owned()).collect();
            let fault = CachedBackup::judged(&missing, damage.map(str::to_owned));
            let kept = CachedBackup { fault, ..CachedBackup::sample() };
            assert_eq!(kept.missing(), missing);
            assert_eq!(kept.damage(), damage);
            kept.fault
        };
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&[], Some("a piece; it is gone")).as_deref(), Some("a piece; it is gone"));
        assert_eq!(of(&["acme", "north"], None).as_deref(), Some("it lacks acme, north"));
        of(&["acme"], Some("chunks/ab is damaged; make a new one"));
    }
}
