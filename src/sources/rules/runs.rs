//! Rules for syncs: begin, progress, end, and closing of interrupted ones.

use std::time::Duration;

use connect::ConnectorError;
use jiff::SignedDuration;
use kernel::{About, Notice, NoticeKind};
use store::{Range, ReadExt as _, StoreError, WriteTx};

use crate::model::{
    Counts, RUNS_OPEN, Run, RunState, Source, SourceId, Standing, Status, Why, Write,
};
use crate::queries;

/// Pauses after consecutive failures.
const PAUSES: [SignedDuration; 5] = [
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(24),
];
/// Consecutive failures after which people are notified.
const TELLS: u32 = 3;
/// In characters.
const MAX_MESSAGE: usize = 500;
/// Syncs are kept this long, and at most this many per source.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
const MOST: usize = 200;

/// A started sync.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The source at the start.
    pub source: Source,
    /// Number of the sync.
    pub n: u32,
    /// The source's state at the start.
    pub standing: Standing,
    /// There is no earlier state, so change marks of pages are ignored.
    pub fresh: bool,
}

/// Starts a sync; `None` if the source is gone or a sync is running.
pub fn begin(tx: &mut WriteTx<'_>, id: SourceId) -> Result<Option<Begun>, StoreError> {
    let Some(source) = tx.get::<Source>(id)? else { return Ok(None) };
    let (now, old) = (tx.now(), queries::standing(tx, id, tx.now())?);
    let fresh = old.runs == 0;
    let last = queries::runs(tx, id, 1)?.pop();
    let n = last.map_or(0, |run| run.n).max(old.runs) + 1;
    let why = if old.asked { Why::Manual } else { Why::Schedule };
    let standing = Standing { asked: false, runs: n, ..old };
    tx.put(&standing)?;
    tx.put(&Run {
        source: id,
        n,
        state: RunState::Running,
        why,
        counts: Counts::default(),
        message: String::new(),
        began_at: now,
        ended_at: None,
    })?;
    Ok(Some(Begun { source, n, standing, fresh }))
}

/// Records the progress of a sync.
pub fn progress(
    tx: &mut WriteTx<'_>,
    id: SourceId,
    n: u32,
    counts: Counts,
) -> Result<(), StoreError> {
    match tx.get::<Run>((id, n))? {
        Some(run) => tx.put(&Run { counts, ..run }),
        None => Ok(()),
    }
}

/// Result of a sync.
#[derive(Clone, Debug)]
pub enum Ended {
    Well {
        /// Position for the next sync.
        cursor: String,
        /// Notes for people.
        notes: Vec<String>,
        /// Number of items whose removal waits for an approval.
        asks: u32,
    },
    /// The error, and a random number for the pause.
    Ill(ConnectorError, u64),
}

/// Records the end of a sync.
pub fn end(
    tx: &mut WriteTx<'_>,
    begun: &Begun,
    counts: Counts,
    ended: &Ended,
) -> Result<(), StoreError> {
    let id = begun.source.id;
    let Some(source) = tx.get::<Source>(id)? else { return Ok(()) };
    let (now, old) = (tx.now(), queries::standing(tx, id, tx.now())?);
    let new = match ended {
        Ended::Well { cursor, notes, asks } => Standing {
            status: Status::Active,
            next_at: now + SignedDuration::from_hours(i64::from(source.interval_hours)),
            cursor: cursor.clone(),
            failures: 0,
            message: kernel::text::ellipsis(&notes.join(" "), MAX_MESSAGE),
            asks: *asks,
            allowed: false,
            synced_at: Some(now),
            ..old
        },
        Ended::Ill(fault, random) => failed(old, now, fault, *random),
    };
    let state = match ended {
        Ended::Well { .. } => RunState::Done,
        Ended::Ill(..) => RunState::Failed,
    };
    if let Some(run) = tx.get::<Run>((id, begun.n))? {
        let message = new.message.clone();
        tx.put(&Run { state, counts, message, ended_at: Some(now), ..run })?;
    }
    if let Some(title) = describe_change(&source, &begun.standing, &new) {
        let about = About::Workspace;
        let notice = Notice::new(NoticeKind::SourceFailed, about, title).body(&new.message);
        tx.emit(notice.admins().event());
    }
    tx.put(&new)?;
    prune(tx, id)
}

/// State of a source after a failed sync.
fn failed(old: Standing, now: jiff::Timestamp, fault: &ConnectorError, random: u64) -> Standing {
    let message = kernel::text::ellipsis(&fault.to_string(), MAX_MESSAGE);
    let failures = old.failures.saturating_add(1);
    if matches!(fault, ConnectorError::Denied(_)) {
        return Standing { status: Status::Expired, failures, message, ..old };
    }
    let wait = match fault {
        ConnectorError::Busy { after, .. } => *after,
        _ => None,
    };
    let next_at = now + pause(failures, random).max(signed(wait));
    Standing { status: Status::Error, next_at, failures, message, ..old }
}

fn signed(pause: Option<Duration>) -> SignedDuration {
    let longest = PAUSES[PAUSES.len() - 1];
    let pause = pause.and_then(|pause| SignedDuration::try_from(pause).ok());
    pause.unwrap_or_default().min(longest)
}

/// Pause after this many failures, randomized by up to a fifth.
fn pause(failures: u32, random: u64) -> SignedDuration {
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let full = PAUSES[at.min(PAUSES.len() - 1)];
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    full.mul_f64(0.8 + 0.4 * share)
}

/// Notice for people about a change of state, if one is needed.
fn describe_change(source: &Source, old: &Standing, new: &Standing) -> Option<String> {
    let name = &source.name;
    match (old.status, new.status) {
        (Status::Active | Status::Error, Status::Expired) => {
            Some(format!("HQ no longer has access to {name}"))
        }
        (_, Status::Error) if new.failures == TELLS => {
            Some(format!("{name} failed to sync {TELLS} times in a row"))
        }
        (_, Status::Active) if old.asks == 0 && 0 < new.asks => {
            Some(format!("{name} wants to remove {} items and needs your approval", new.asks))
        }
        _ => None,
    }
}

/// Closes syncs that were running when the program ended. They run again.
pub fn interrupted(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let now = tx.now();
    for run in tx.scan::<Run>(RUNS_OPEN, &Range::all())? {
        let message = "HQ stopped during this sync.".to_owned();
        let old = queries::standing(tx, run.source, now)?;
        let next_at = old.next_at.min(now);
        tx.put(&Standing { next_at, ..old })?;
        tx.put(&Run { state: RunState::Failed, message, ended_at: Some(now), ..run })?;
    }
    Ok(())
}

/// Deletes old and surplus records of syncs and writes.
pub fn prune(tx: &mut WriteTx<'_>, id: SourceId) -> Result<(), StoreError> {
    let oldest = tx.now() - KEPT;
    let runs = queries::runs(tx, id, MOST * 2)?;
    for (at, run) in runs.iter().enumerate() {
        if MOST <= at || run.began_at < oldest {
            tx.delete::<Run>((id, run.n))?;
        }
    }
    let writes = queries::writes(tx, id, MOST * 4)?;
    for write in writes.iter().filter(|write| write.at < oldest) {
        tx.delete::<Write>((id, write.id))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::pause;

    #[test]
    fn pauses_grow_to_a_day_and_none_is_as_long_as_the_other() {
        let mins = |failures, random| pause(failures, random).as_mins();
        assert_eq!((mins(1, 0), mins(1, u64::MAX)), (4, 6));
        assert_eq!((mins(2, 0), mins(3, 0), mins(4, 0)), (12, 48, 288));
        assert_eq!(pause(5, 1 << 63), SignedDuration::from_hours(24));
        assert_eq!(pause(900, 1 << 63), SignedDuration::from_hours(24));
    }
}
