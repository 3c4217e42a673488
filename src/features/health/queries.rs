//! Health of HQ: its parts with their state, and the state of consumers.

pub mod letters;

use serde::Serialize;

use crate::agents::queries::exposed;
use crate::agents::queries::machines::Machines;
use crate::agents::queries::repository;
use crate::audit::queries::{Reach, VERIFY, VERIFY_BLOBS};
use crate::backups::queries::{self as backups, damaged};
use crate::connections::queries as connections;
use crate::connections::queries::eligible::{self, Reason};
use crate::global_search::queries::standing as index;
use crate::inbox::queries as inbox;
use crate::inbox::queries::why::Cause;
use crate::rotation::queries as rotation;
use crate::users::queries as users;
use app::jobs::JobState;
use app::{App, Ws};
use kernel::{AccountId, Timestamp};
use store::consumer::{Standing, standing};
use store::stats::{StoreStats, stats};
use store::{Store, StoreError, doctor, verify};
use web::format;

/// Job kind: compare derived data with the records.
pub const DOCTOR: &str = "doctor";
/// Job kind: compare and repair.
pub const MEND: &str = "mend";
/// Job kind: redb's integrity check.
pub const CHECK: &str = "check";
/// Job kind: compact the file.
pub const COMPACT: &str = "compact";
/// Job kind: size per table.
pub const STATS: &str = "stats";

/// Consumer lag that is reported, in milliseconds.
const LAG: i64 = 30_000;
/// Age of an open snapshot that is reported, in milliseconds.
const OLD_SNAPSHOT: u128 = 10_000;

/// Days without verification that are reported. By then two restore drills were missed.
const UNVERIFIED: i64 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Ok,
    /// Works, but needs attention.
    Degraded,
    Down,
}

impl How {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Degraded => "Needs attention",
            Self::Down => "Down",
        }
    }

    /// State word for the colour.
    #[must_use]
    pub fn state(self) -> &'static str {
        match self {
            Self::Ok => "healthy",
            Self::Degraded => "waiting",
            Self::Down => "error",
        }
    }
}

/// A part of HQ.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// API name.
    pub name: &'static str,
    pub title: &'static str,
    pub how: How,
    /// State and advice.
    pub said: String,
}

/// All parts, as seen from this workspace. The owner of this HQ also sees other damaged workspaces.
pub fn parts(app: &App, ws: &Ws, who: AccountId) -> Result<Vec<Part>, StoreError> {
    let now = app.clock.now();
    let consumers = consumers(ws)?;
    let mut all = vec![
        storage(ws),
        disk(ws),
        following(&consumers, now),
        work(ws, now)?,
        providers(app, ws, now)?,
        record(app, ws, now)?,
        files(ws),
        masks(app),
        exposed_files(ws),
    ];
    all.extend(gateways(ws)?);
    let misfit = app.system.read(|snap| users::key_trouble(snap, &app.keyring))?;
    all.extend(misfit.map(|misfit| {
        let how = if misfit.whole { How::Down } else { How::Degraded };
        part("key", "Master key", how, misfit.words)
    }));
    all.extend(rotation::words(app)?.map(|(goes_on, words)| {
        let how = if goes_on { How::Ok } else { How::Degraded };
        part("key_change", "Master key change", how, words)
    }));
    let without = ws.vectors.trouble();
    all.extend(without.map(|why| part("vectors", "Semantic search", How::Degraded, why)));
    for one in damaged::all(app)? {
        if damaged::may_know(app, who, &one.slug)? {
            let message = match damaged::keeps(app, who)? {
                true => one.words(),
                false => damaged::words_for_people(&one.slug),
            };
            all.push(part("workspace", "Another workspace", How::Down, message));
        }
    }
    Ok(all)
}

/// Worst state of all parts.
#[must_use]
pub fn worst(parts: &[Part]) -> How {
    parts.iter().map(|part| part.how).max().unwrap_or(How::Ok)
}

fn part(name: &'static str, title: &'static str, how: How, message: impl Into<String>) -> Part {
    Part { name, title, how, said: message.into() }
}

fn storage(ws: &Ws) -> Part {
    let made = |how, message: String| part("storage", "Storage", how, message);
    let read = ws.read(|snap| crate::workspace::queries::settings(snap));
    if let Err(error) = read {
        return made(How::Down, format!("the database can’t be read: {error}"));
    }
    if ws.store.counters().sync_failed() || ws.app.system.counters().sync_failed() {
        return made(How::Down, "the disk refused a write; restart HQ".to_owned());
    }
    let old = ws.store.oldest_snapshot().filter(|age| age.as_millis() > OLD_SNAPSHOT);
    if let Some(age) = old {
        let message =
            format!("a read has been open for {} s, so the file keeps growing", age.as_secs());
        return made(How::Degraded, message);
    }
    let rate = ws.store.writes_per_second();
    made(How::Ok, format!("reads and writes OK, {rate:.1} writes/s"))
}

fn disk(ws: &Ws) -> Part {
    let gb = |bytes: u64| format::size(bytes);
    let Some(room) = ws.store.room() else {
        let message = "the file system doesn’t report free space";
        return part("disk", "Disk", How::Degraded, message);
    };
    let free = format!("{} of {} free", gb(room.free), gb(room.all));
    let (how, message) = if room.is_full() {
        let message = format!(
            "{free}. Below {}, nothing new is saved. Free some space, and HQ continues \
             automatically",
            gb(room.reserve)
        );
        (How::Down, message)
    } else if room.is_low() {
        let message = format!("{free}. Free some space before HQ has to refuse writes");
        (How::Degraded, message)
    } else {
        (How::Ok, free)
    };
    part("disk", "Disk", how, message)
}

fn following(all: &[Standing], now: Timestamp) -> Part {
    let made = |how, message: String| part("consumers", "Consumers", how, message);
    let paused: Vec<_> = all.iter().filter(|one| one.state.paused).map(|one| one.name).collect();
    if !paused.is_empty() {
        // An old error is not the reason for a manual pause.
        let stumbles = |one: &Standing| 0 < one.state.dead_in_a_row || 0 < one.state.tries;
        let fell = all.iter().any(|one| one.state.paused && stumbles(one));
        let why = if fell { "see the error below" } else { "paused by a person" };
        let names = paused.join(", ");
        let message = match paused.len() {
            1 => format!("the consumer {names} is stopped: {why}"),
            _ => format!("the consumers {names} are stopped: {why}"),
        };
        return made(How::Degraded, message);
    }
    let dead: usize = all.iter().map(|one| one.dead.len()).sum();
    let late = |one: &&Standing| one.behind_since.is_some_and(|at| now.as_millisecond() - at > LAG);
    if let Some(one) = all.iter().find(late) {
        let message = format!("the consumer {} is {} entries behind", one.name, one.behind);
        return made(How::Degraded, message);
    }
    match (all.len(), dead) {
        (0, _) => made(How::Ok, "no consumers yet".to_owned()),
        (_, 0) => made(How::Ok, "all up to date".to_owned()),
        (_, dead) => {
            let (one, many) =
                ("entry failed and needs attention", "entries failed and need attention");
            made(How::Degraded, format::count(dead as u64, one, many))
        }
    }
}

fn work(ws: &Ws, now: Timestamp) -> Result<Part, StoreError> {
    let (mut ready, mut held) = (0, 0);
    let mut why: Vec<String> = Vec::new();
    ws.read(|snap| {
        for item in inbox::due(snap, now, 1_000)? {
            let Some(cause) = Cause::of(snap, &item, now)? else {
                ready += 1;
                continue;
            };
            held += 1;
            if !why.iter().any(|known| known == cause.short()) {
                why.push(cause.short().to_owned());
            }
        }
        Ok::<_, StoreError>(())
    })?;
    let count = |n| format::count(n, "item is", "items are");
    let message = match (ready, held) {
        (0, 0) => "queue is empty".to_owned(),
        (ready, 0) => format!("{} ready to start", count(ready)),
        (0, held) => format!("{} held: {}", count(held), why.join(", ")),
        (ready, held) => {
            format!("{} ready to start; {held} held: {}", count(ready), why.join(", "))
        }
    };
    Ok(part("work", "Agent work", How::Ok, message))
}

/// Hosts that report a problem.
fn gateways(ws: &Ws) -> Result<Vec<Part>, StoreError> {
    let machines = ws.read(|snap| Machines::read(snap))?;
    let mut parts = Vec::new();
    for one in machines.all() {
        let Some(gateway) = one.gateway else { continue };
        let troubles = ws.app.hosts.troubles(ws.id, gateway);
        let words: Vec<String> =
            troubles.iter().map(|trouble| trouble.describe(&one.label)).collect();
        if !words.is_empty() {
            parts.push(part("gateway", "Gateway", How::Degraded, words.join(" ")));
        }
    }
    Ok(parts)
}

/// Connections that need attention. A connection without a model yet is only new.
fn providers(app: &App, ws: &Ws, now: Timestamp) -> Result<Part, StoreError> {
    let (count, lacks) = ws.read(|snap| {
        let all = connections::all(snap)?;
        let mut lacks = Vec::new();
        for connection in &all {
            let reason = eligible::why_not(snap, connection, &app.keyring, now)?;
            if let Some(reason) = reason.filter(|reason| *reason != Reason::NoModel) {
                lacks.push(format!("{}: {}", connection.name, reason.says()));
            }
        }
        Ok::<_, StoreError>((all.len(), lacks))
    })?;
    let made = |how, message: String| Ok(part("connections", "Connections", how, message));
    match (lacks.is_empty(), count) {
        (false, _) => made(How::Degraded, lacks.join(" ")),
        (true, 0) => made(How::Ok, "none yet; practice mode is always available".to_owned()),
        (true, _) => made(How::Ok, "all connections work".to_owned()),
    }
}

/// Results of the last verification and comparison, of this store and the system store. Verifications are started
/// manually; each restore drill also verifies and leaves a row.
fn record(app: &App, ws: &Ws, now: Timestamp) -> Result<Part, StoreError> {
    let made = |how, message: String| Ok(part("record", "Audit log", how, message));
    let ended = |kind: &str| app.jobs.state(&ws.slug, kind).filter(|state| state.result.is_some());
    let drill = app.system.read(|snap| backups::proof(snap))?;
    let drilled = drill.as_ref().and_then(|run| run.ended_at);
    // A drill from the future was recorded before the clock was set back.
    let is_younger = |state: &JobState| drilled <= state.ended || Some(now) < drilled;
    let verified: Vec<_> =
        [VERIFY, VERIFY_BLOBS].into_iter().filter_map(ended).filter(is_younger).collect();
    if verified.is_empty() && drill.as_ref().is_some_and(|run| run.proof() == Some(false)) {
        let message =
            "the restore drill found data that doesn’t match its hash; verify it in Audit";
        return made(How::Down, message.to_owned());
    }
    let found = |state: &JobState| -> u64 {
        each::<verify::Verified>(state.result.as_ref()).map(|one| one.faults_count).sum()
    };
    let faults = verified.iter().map(found).max().unwrap_or(0);
    if 0 < faults {
        return made(How::Down, format!("{faults} don’t match their hashes; see Audit"));
    }
    let compared = ended(DOCTOR).and_then(|state| state.result);
    let left: u64 = each::<doctor::Diagnosis>(compared.as_ref()).map(|one| one.left()).sum();
    if 0 < left {
        return made(
            How::Degraded,
            format!("{left} index rows differ from the records; see below"),
        );
    }
    let verified = verified.iter().max_by_key(|state| state.ended);
    let at = verified.map_or(drilled, |state| state.ended);
    let days = |since: Timestamp| now.duration_since(since).as_hours() / 24;
    let report = each::<verify::Verified>(verified.and_then(|state| state.result.as_ref())).next();
    match (at, report) {
        (Some(at), _) if UNVERIFIED <= days(at) => {
            made(How::Degraded, format!("last verified {} days ago; verify it in Audit", days(at)))
        }
        (Some(_), Some(report)) => made(How::Ok, format!("{} entries verified", report.entries)),
        (Some(_), None) => made(How::Ok, "verified with the last restore drill".to_owned()),
        (None, _) => {
            let all = app.system.read(|snap| users::workspaces(snap))?;
            let since = all.iter().find(|one| one.id == ws.id).map(|one| one.created_at);
            if since.is_some_and(|since| UNVERIFIED <= days(since)) {
                let message =
                    "never verified; verify it in Audit, or turn on weekly restore drills";
                return made(How::Degraded, message.to_owned());
            }
            made(How::Ok, "new; the first restore drill will verify it".to_owned())
        }
    }
}

/// Readability of the agents' file histories.
fn files(ws: &Ws) -> Part {
    let faults = repository::standing(ws);
    let (how, message) = match faults.first() {
        None => (How::Ok, "every agent's history can be read".to_owned()),
        Some(first) => {
            let more = match faults.len() {
                1 => String::new(),
                n => format!(" ({} more)", n - 1),
            };
            let help = "run `hq doctor files`. Agents keep working, but no file versions are \
                        saved until this is fixed";
            (How::Down, format!("{first}{more}; {help}"))
        }
    };
    part("files", "Agent file history", how, message)
}

/// Number of masked secrets since the start, by place.
fn masks(app: &App) -> Part {
    let hits = app.redactor.hits();
    let all: u64 = hits.iter().map(|(_, n)| n).sum();
    let places = hits.iter().filter(|(_, n)| 0 < *n);
    let places: Vec<String> =
        places.map(|(spot, n)| format!("{} in {}", format::grouped(*n), spot.label())).collect();
    let message = match all {
        0 => "no secrets masked since start-up".to_owned(),
        _ => format!("masked since start-up: {}", places.join(", ")),
    };
    part("masks", "Masked secrets", How::Ok, message)
}

/// Agents' files that contain secrets masked elsewhere.
fn exposed_files(ws: &Ws) -> Part {
    /// Maximum number of files to name.
    const SHOWN: usize = 20;
    let made = |how, message: String| part("keys_in_files", "Keys in agent files", how, message);
    let Some(found) = exposed::last(ws) else {
        let message = "not checked since start-up; each backup checks them";
        return made(How::Ok, message.to_owned());
    };
    if found.count == 0 {
        return made(How::Ok, "no keys or secrets found in agent files".to_owned());
    }
    let name = |one: &exposed::ExposedFile| {
        let lines: Vec<String> = one.lines.iter().map(usize::to_string).collect();
        let word = if one.all == 1 { "line" } else { "lines" };
        let more = match one.all - one.lines.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!("{}: {} ({word} {}{more})", one.agent, one.path, lines.join(", "))
    };
    let named: Vec<String> = found.files.iter().take(SHOWN).map(name).collect();
    let more = match found.count - named.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let files = format::count(found.count as u64, "file contains", "files contain");
    made(
        How::Degraded,
        format!(
            "{files} a key or secret in plain text, as do backups and exports: {}{more}. Remove \
             it there, store it in Settings, Secrets, and rotate it wherever it might have been \
             read",
            named.join("; ")
        ),
    )
}

/// Results for the workspace's store and, if included, the system store.
fn each<T: serde::de::DeserializeOwned>(
    result: Option<&serde_json::Value>,
) -> impl Iterator<Item = T> {
    let parts = ["workspace", "accounts"].map(|name| result.and_then(|result| result.get(name)));
    let read = |part: &serde_json::Value| serde_json::from_value(part.clone()).ok();
    parts.map(|part| part.and_then(read)).into_iter().flatten()
}

/// State of all consumers.
pub fn consumers(ws: &Ws) -> Result<Vec<Standing>, StoreError> {
    let all = ws.app.consumers.all().iter().map(|one| standing(&ws.store, &**one));
    let mut all = all.collect::<Result<Vec<_>, _>>()?;
    all.extend(index::standing(ws)?);
    for follower in ws.app.consumers.followers() {
        all.extend((follower.standing)(ws)?);
    }
    Ok(all)
}

// ── Long-running jobs ──

/// Results per store.
#[derive(Debug, Serialize)]
pub struct Both<T> {
    pub workspace: T,
    /// The system store, if the person may work on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<T>,
}

/// Result of an integrity check.
#[derive(Clone, Copy, Debug, Serialize, serde::Deserialize)]
pub struct Checked {
    /// `false` if the file was damaged; it was then repaired.
    pub sound: bool,
}

/// Starts a store job: `doctor`, `mend`, `check`, `compact` or `stats`.
///
/// # Errors
/// If it is already running or unknown.
pub fn begin(ws: &Ws, kind: &str, by: &impl app::Who, reach: Reach) -> Result<(), Refused> {
    let store = ws.store.clone();
    let system = (reach == Reach::Both).then(|| ws.app.system.clone());
    let (consumers, whole) = (ws.app.consumers.all().to_vec(), ws.app.clone());
    let (app, place, who) = (&ws.app, ws.slug.as_str(), (by.actor(), by.cause()));
    let handle = tokio::runtime::Handle::current();
    match kind {
        DOCTOR => app.begin_job(place, DOCTOR, move |watch| {
            let mut workspace = doctor::diagnose(&store, &mut |p| watch.tell(p))?;
            doctor::follow(&store, &consumers, &mut workspace)?;
            let accounts = system.map(|system| doctor::diagnose(&system, &mut |p| watch.tell(p)));
            let accounts = accounts.transpose()?;
            Ok(Both { workspace, accounts })
        }),
        MEND => app.begin_job(place, DOCTOR, move |watch| {
            let mend = |store: &Store| {
                let mend = &mut |found: &mut doctor::Diagnosis| {
                    handle.block_on(doctor::mend(store, who, found))
                };
                doctor::cure(store, &consumers, &mut |p| watch.tell(p), mend)
            };
            let workspace = mend(&store)?;
            let accounts = system.as_ref().map(mend).transpose()?;
            whole.consumers.nudge();
            Ok(Both { workspace, accounts })
        }),
        CHECK => app.begin_job(place, CHECK, move |_| {
            let check = |store: &Store| store.check().map(|sound| Checked { sound });
            Ok(Both {
                workspace: check(&store)?,
                accounts: system.as_ref().map(check).transpose()?,
            })
        }),
        COMPACT => app.begin_job(place, COMPACT, move |_| {
            let accounts = system.as_ref().map(Store::compact);
            Ok(Both { workspace: store.compact()?, accounts: accounts.transpose()? })
        }),
        STATS => app.begin_job(place, STATS, move |_| {
            let accounts = system.as_ref().map(stats).transpose()?;
            Ok(Both { workspace: stats(&store)?, accounts })
        }),
        other => return Err(Refused::Unknown(other.to_owned())),
    }?;
    Ok(())
}

/// Job kind under which the work is recorded.
#[must_use]
pub fn noted_as(kind: &str) -> &str {
    if kind == MEND { DOCTOR } else { kind }
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no job `{0}`; use doctor, mend, check, compact or stats")]
    Unknown(String),
    #[error(transparent)]
    UnderWay(#[from] app::jobs::UnderWay),
}

impl kernel::Problem for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "no_such_work",
            Self::UnderWay(error) => kernel::Problem::code(error),
        }
    }
    fn kind(&self) -> kernel::ProblemKind {
        match self {
            Self::Unknown(_) => kernel::ProblemKind::NotFound,
            Self::UnderWay(error) => kernel::Problem::kind(error),
        }
    }
}

/// Current size per table.
pub fn sizes(ws: &Ws) -> Result<StoreStats, StoreError> {
    stats(&ws.store)
}
