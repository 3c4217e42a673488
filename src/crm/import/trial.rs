//! Trials: what an import would do with all rows of its file, found out by the function that imports, on a snapshot. A
//! trial goes on by itself while its page tells how far it is; what it found is kept for as long as somebody looks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use app::{Who as _, Ws};
use kernel::{Actor, ImportId, WorkspaceId};
use sheet::Table;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use web::session::Person;

use super::{Preview, found, preview, table};
use crate::error::CrmError;
use crate::model::{Import, ImportState};

/// How long an answer waits for the end of a trial; behind it, it tells how far the trial is.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// For how long what a trial found is kept after somebody has asked for it.
const KEPT: Duration = Duration::from_secs(300);
/// How many trials are kept: each holds the table of its file and what becomes of the rows.
const MOST: usize = 4;

/// Trials run one after the other, so that what one of them would write is in memory once.
static TURN: Semaphore = Semaphore::const_new(1);
/// Those that are kept, oldest first.
static TRIALS: Mutex<Vec<Arc<Trial>>> = Mutex::new(Vec::new());

/// What is tried: an import as it stands, by whom.
#[derive(PartialEq, Eq)]
struct Of {
    workspace: WorkspaceId,
    import: Import,
    who: Actor,
}

impl Of {
    /// Whether the other is about the same import, as it stands now or stood before.
    fn replaces(&self, other: &Self) -> bool {
        (self.workspace, self.import.id, self.who) == (other.workspace, other.import.id, other.who)
    }
}

/// What a trial found, or why it found nothing.
pub(super) type Ended = Arc<Result<Preview, String>>;

/// A trial that is under way or over.
pub(super) struct Trial {
    of: Of,
    /// The last entry of the workspace before it began.
    seq: u64,
    /// The table of the file.
    pub(super) table: Table,
    tried: AtomicUsize,
    ended: watch::Sender<Option<Ended>>,
    asked: Mutex<Instant>,
    /// Set when another takes its place, and when the work of the workspace halts.
    given_up: CancellationToken,
}

impl Trial {
    fn new(ws: &Ws, (of, seq): (Of, u64), table: Table) -> Self {
        Self {
            of,
            seq,
            table,
            tried: AtomicUsize::new(0),
            ended: watch::Sender::new(None),
            asked: Mutex::new(Instant::now()),
            given_up: ws.halt().child_token(),
        }
    }

    /// How many rows were tried so far.
    pub(super) fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    /// What it found; nothing while it goes on.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for its end, but not for long.
    async fn wait(&self) {
        let mut ended = self.ended.subscribe();
        drop(tokio::time::timeout(PATIENCE, ended.wait_for(Option::is_some)).await);
    }

    fn asked(&self) -> MutexGuard<'_, Instant> {
        // ok: a thread that panicked with it in hand left a whole moment.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trials() -> MutexGuard<'static, Vec<Arc<Trial>>> {
    // ok: a thread that panicked with them in hand left whole ones.
    TRIALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trial of an import that has not begun, from which a moment was waited for its end. With `anew`, one that is over
/// and knows less than the workspace is made again.
///
/// # Errors
/// When there is no such import, or its file holds no table.
pub(super) async fn of(
    ws: &Ws,
    who: &Person,
    (id, anew): (ImportId, bool),
) -> Result<Option<Arc<Trial>>, CrmError> {
    let seq = ws.store.head().seq;
    let import = ws.read(|snap| found(snap, id))?;
    if import.state != ImportState::Draft {
        return Ok(None);
    }
    let of = Of { workspace: ws.id, import, who: who.actor() };
    let trial = match kept(&of, (seq, anew)) {
        Some(trial) => trial,
        None => {
            let own = of.import.clone();
            let table = ws.read_blocking(move |ws| table(ws, &own)).await?;
            begin(ws, Trial::new(ws, (of, seq), table))
        }
    };
    trial.wait().await;
    Ok(Some(trial))
}

/// A trial of the same that may still be told of.
fn kept(of: &Of, (seq, anew): (u64, bool)) -> Option<Arc<Trial>> {
    let trial = trials().iter().find(|one| one.of == *of).cloned()?;
    let is_current = trial.seq == seq || !anew || trial.ended().is_none();
    *trial.asked() = Instant::now();
    is_current.then_some(trial)
}

/// Begins a trial, unless another of the same has begun meanwhile.
fn begin(ws: &Ws, trial: Trial) -> Arc<Trial> {
    let mut all = trials();
    let is_it = |one: &&Arc<Trial>| one.of == trial.of && trial.seq <= one.seq;
    if let Some(there) = all.iter().find(is_it) {
        return Arc::clone(there);
    }
    let trial = Arc::new(trial);
    let (old, mut left): (Vec<_>, Vec<_>) =
        all.drain(..).partition(|one| trial.of.replaces(&one.of));
    old.iter().for_each(|one| one.given_up.cancel());
    if MOST <= left.len() {
        left.remove(0).given_up.cancel();
    }
    left.push(Arc::clone(&trial));
    *all = left;
    drop(all);
    ws.spawn("a trial of an import", run(ws.clone(), Arc::clone(&trial)));
    trial
}

fn forget(trial: &Arc<Trial>) {
    trials().retain(|one| !Arc::ptr_eq(one, trial));
}

/// Tries all rows, then keeps what was found for as long as somebody asks for it.
async fn run(ws: Ws, trial: Arc<Trial>) {
    let turn = tokio::select! {
        turn = TURN.acquire() => Some(turn),
        () = trial.given_up.cancelled() => None,
    };
    if turn.is_some() && !trial.given_up.is_cancelled() {
        let own = Arc::clone(&trial);
        let done = ws.read_blocking(move |ws| {
            let goes_on = |tried: usize| {
                own.tried.store(tried, Ordering::Relaxed);
                !own.given_up.is_cancelled()
            };
            let tried = (&own.of.import, &own.table);
            ws.read(|snap| preview(ws, snap, (tried, own.of.who), goes_on))
        });
        let done: Result<Preview, CrmError> = done.await;
        trial.ended.send_replace(Some(Arc::new(done.map_err(|error| error.to_string()))));
    }
    drop(turn);
    loop {
        let quiet = trial.asked().elapsed();
        if trial.given_up.is_cancelled() || KEPT <= quiet {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(KEPT - quiet) => {}
            () = trial.given_up.cancelled() => {}
        }
    }
    forget(&trial);
}

/// What an import would do with all rows of its file, however long that takes.
///
/// # Errors
/// As [`preview`], and when there is no such import.
pub(super) async fn whole<T: Send + 'static>(
    ws: &Ws,
    (who, id): (&Person, ImportId),
    told: impl FnOnce(Import, &Table, Preview) -> T + Send + 'static,
) -> Result<T, CrmError> {
    let who = who.actor();
    let turn = TURN.acquire().await;
    let done = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let import = found(snap, id)?;
            let table = table(ws, &import)?;
            let seen = preview(ws, snap, ((&import, &table), who), |_| true)?;
            Ok::<_, CrmError>(told(import, &table, seen))
        })
    });
    let done = done.await;
    drop(turn);
    done
}
