//! Records of backups in `system.redb`: how they are made, each time one was made or checked, and what
//! lies at the target. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use backup::{MANIFESTS, Retention};
use crypto::keyring::Sealed;
use kernel::time::from_ms;
use kernel::{AccountId, JobId, Timestamp, TypedId};
use store::{Class, DecodeError, Record, Table, codec};

/// How backups are made.
pub const SETTINGS: Table = Table::new(120, "backup_settings");
/// What opens the target and the repository.
pub const SECRETS: Table = Table::new(121, "backup_secrets");
/// Each time something was done.
pub const RUNS: Table = Table::new(122, "backup_runs");
/// What lies at the target, as it was seen last.
pub const KEPT: Table = Table::new(123, "backups_kept");
/// Places where backups were made.
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

/// How backups are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSettings {
    /// Whether they are made by themselves.
    pub schedule: Schedule,
    /// The hour of the day.
    pub hour: u8,
    pub minute: u8,
    /// IANA time zone; that of the first workspace when there is none.
    pub zone: Option<String>,
    /// The address of the target; the folder of HQ's own when it is empty.
    pub target: String,
    /// The name of the key of a bucket.
    pub access_key: String,
    /// Where requests may go.
    pub reach: Reach,
    /// Of so many days one each.
    pub daily: u16,
    /// Of so many weeks.
    pub weekly: u16,
    /// Of so many months.
    pub monthly: u16,
    /// Whether they are sealed.
    pub encryption: Encryption,
    /// Since when this is so: a schedule does not look further back.
    #[serde(with = "millisecond::required")]
    pub changed_at: Timestamp,
}

impl BackupSettings {
    /// How it is until somebody says otherwise: daily at 03:30 into HQ's own folder.
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

    /// How many are kept.
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

/// The passphrase of the repository.
pub const PASSPHRASE: &str = "passphrase";
/// The secret key of the bucket.
pub const S3_SECRET: &str = "s3_secret";

/// A sealed secret of backups.
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
    /// For people: "a backup".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Backup => "a backup",
            Self::Verify => "a check of backups",
            Self::Prune => "tidying up backups",
            Self::Drill => "a restore drill",
            Self::Forget => "putting a backup aside",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Backup => "Backup",
            Self::Verify => "Check",
            Self::Prune => "Tidying up",
            Self::Drill => "Restore drill",
            Self::Forget => "Putting aside",
        }
    }
}

/// Why it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// Its time had come.
    Schedule,
    /// A person asked for it.
    Person(AccountId),
    /// A command on this machine.
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

/// One time that something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRun {
    pub id: JobId,
    pub deed: Deed,
    pub trigger: Trigger,
    /// Where, for people.
    pub place: String,
    #[serde(with = "millisecond::required")]
    pub started_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// How it went.
    pub outcome: Outcome,
    /// The backup that was made, checked or restored.
    pub backup: Option<String>,
    pub bytes: u64,
    /// Bytes that were written at the target, or freed there.
    pub new_bytes: u64,
    /// What went wrong, or what is worth knowing.
    pub note: Option<String>,
    /// The stable name of what went wrong.
    pub code: Option<String>,
}

/// The name of the failure of a backup that is there and lacks workspaces.
pub const INCOMPLETE: &str = "backup_incomplete";
/// The name of the failure to tidy up while a manifest cannot be read.
pub const STUCK: &str = "backup_unreadable";
/// How the note of a restore drill ends that found all that HQ keeps as it was written.
pub const FITS: &str = "fit their hashes";
/// The name of the failure of one that did not.
pub const RECORD_DAMAGED: &str = "record_damaged";

impl BackupRun {
    /// Whether it is a backup that was made, and is complete.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.deed == Deed::Backup && self.outcome == Outcome::Done
    }

    /// Whether it is a drill whose time had come: the next one counts from it.
    #[must_use]
    pub fn is_due_drill(&self) -> bool {
        self.deed == Deed::Drill && self.trigger == Trigger::Schedule
    }

    /// Whether a backup was made that lacks workspaces which are on the list.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.deed == Deed::Backup && self.code.as_deref() == Some(INCOMPLETE)
    }

    /// Whether nothing was tidied up because a manifest cannot be read.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.deed == Deed::Prune && self.code.as_deref() == Some(STUCK)
    }

    /// What is wrong, in front of the reason: "Backup failed".
    #[must_use]
    pub fn words(&self) -> String {
        let how = if self.is_incomplete() { "is incomplete" } else { "failed" };
        format!("{} {how}", self.deed.label())
    }

    /// Whether it was done at a place, or before any place was known.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        self.place == place || self.place.is_empty()
    }

    /// Whether what HQ keeps was compared with its hashes: all of it was as it was written, or not. None
    /// when that was not done.
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

/// The first layout.
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

/// A backup at the target, as it was seen last. The target is the truth; this answers pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The backup.
    pub id: String,
    #[serde(with = "millisecond::required")]
    pub taken_at: Timestamp,
    pub bytes: u64,
    /// Bytes that it added.
    pub new_bytes: u64,
    pub workspaces: Vec<String>,
    /// The version of HQ that made it.
    pub app: String,
    /// When every hash of it was checked last, and found right.
    #[serde(with = "millisecond::optional")]
    pub verified_at: Option<Timestamp>,
    /// What the last check found wrong, behind what it lacks; both by `missing` and `damage`.
    pub fault: Option<String>,
}

/// How a fault begins that tells which workspaces a backup lacks.
const LACKS: &str = "it lacks ";

impl Kept {
    /// Workspaces that were on the list when it was made and are not in it.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let lacks = self.fault.as_deref().and_then(|fault| fault.strip_prefix(LACKS));
        let names = lacks.map(|lacks| lacks.split_once("; ").map_or(lacks, |(names, _)| names));
        names.map(|names| names.split(", ").map(str::to_owned).collect()).unwrap_or_default()
    }

    /// What the last check found wrong.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        let fault = self.fault.as_deref()?;
        match fault.strip_prefix(LACKS) {
            Some(lacks) => lacks.split_once("; ").map(|(_, damage)| damage),
            None => Some(fault),
        }
    }

    /// Whether its manifest cannot be read: that is what it is called by then.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.damage().is_some_and(|damage| damage.starts_with(MANIFESTS))
    }

    /// What is wrong with a backup, as one text.
    #[must_use]
    pub fn judged(missing: &[String], damage: Option<String>) -> Option<String> {
        let lacks = (!missing.is_empty()).then(|| format!("{LACKS}{}", missing.join(", ")));
        match (lacks, damage) {
            (Some(lacks), Some(damage)) => Some(format!("{lacks}; {damage}")),
            (lacks, damage) => lacks.or(damage),
        }
    }
}

impl Record for Kept {
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

/// A place where backups were made, and which repositories were seen there: a disk that is not mounted
/// must not be taken for a new place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPlace {
    /// The address, as it is written.
    pub address: String,
    /// The ids of the repositories: more than one where disks are exchanged.
    pub repositories: Vec<String>,
    /// When a backup was made there last.
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

/// A restore of everything, as it is told to whoever administers this HQ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// Its id, which sorts by time.
    pub id: JobId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub backup: String,
    #[serde(with = "millisecond::required")]
    pub taken_at: Timestamp,
    /// The moment to which it went back from there.
    #[serde(with = "millisecond::optional")]
    pub moment: Option<Timestamp>,
    /// What was restored.
    pub workspaces: Vec<String>,
    /// What is otherwise than in the backup, in sentences.
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
    use super::Kept;
    use store::Record as _;

    #[test]
    fn what_a_backup_lacks_and_what_is_damaged_are_told_apart() {
        let of = |missing: &[&str], damage: Option<&str>| {
            let missing: Vec<_> = missing.iter().map(|one| (*one).to_owned()).collect();
            let fault = Kept::judged(&missing, damage.map(str::to_owned));
            let kept = Kept { fault, ..Kept::sample() };
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
