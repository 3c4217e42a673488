//! Trials: a preview of an import with all rows, run by the importing function on a snapshot. A trial runs in the
//! background while its page shows the progress; the result is cached while somebody views it.

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

/// How long a response waits for the end of a trial; after that it shows the progress.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a result is cached after the last request.
const KEPT: Duration = Duration::from_secs(300);
/// Maximum number of cached trials: each holds the table of its file and the results of the rows.
const MOST: usize = 4;

/// Trials run one at a time, so that only one write set is in memory.
static TURN: Semaphore = Semaphore::const_new(1);
/// Cached trials, oldest first.
static TRIALS: Mutex<Vec<Arc<Trial>>> = Mutex::new(Vec::new());

/// Identity of a trial: a version of an import, and the user.
#[derive(PartialEq, Eq)]
struct Of {
    workspace: WorkspaceId,
    import: Import,
    who: Actor,
}

impl Of {
    /// Whether the other is an earlier or the same version of this import.
    fn replaces(&self, other: &Self) -> bool {
        (self.workspace, self.import.id, self.who) == (other.workspace, other.import.id, other.who)
    }
}

/// The result of a trial, or why it failed.
pub(super) type Ended = Arc<Result<Preview, String>>;

/// A running or finished trial.
pub(super) struct Trial {
    of: Of,
    /// The last entry of the workspace before it started.
    seq: u64,
    /// The table of the file.
    pub(super) table: Table,
    tried: AtomicUsize,
    ended: watch::Sender<Option<Ended>>,
    last_request: Mutex<Instant>,
    /// Cancelled when another trial replaces it, or when the workspace stops.
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
            last_request: Mutex::new(Instant::now()),
            given_up: ws.halt().child_token(),
        }
    }

    /// Number of processed rows.
    pub(super) fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    /// The result; `None` while it is running.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the end, at most for a short time.
    async fn wait(&self) {
        let mut ended = self.ended.subscribe();
        drop(tokio::time::timeout(PATIENCE, ended.wait_for(Option::is_some)).await);
    }

    fn last_request(&self) -> MutexGuard<'_, Instant> {
        // ok: a thread that panicked while holding it left a valid time.
        self.last_request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trials() -> MutexGuard<'static, Vec<Arc<Trial>>> {
    // ok: a thread that panicked while holding it left valid trials.
    TRIALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trial of an import that has not started, after a short wait for its end. With `anew`, a finished trial that is
/// older than the workspace is repeated.
///
/// # Errors
/// When there is no such import, or its file contains no table.
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

/// A cached trial that may still be shown.
fn kept(of: &Of, (seq, anew): (u64, bool)) -> Option<Arc<Trial>> {
    let trial = trials().iter().find(|one| one.of == *of).cloned()?;
    let is_current = trial.seq == seq || !anew || trial.ended().is_none();
    *trial.last_request() = Instant::now();
    is_current.then_some(trial)
}

/// Starts a trial unless an equal one was started meanwhile.
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

/// Tries all rows, then caches the result while it is requested.
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
        let quiet = trial.last_request().elapsed();
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

/// Previews an import with all rows, however long that takes.
///
/// # Errors
/// As [`preview`], and when there is no such import.
pub(super) async fn whole<T: Send + 'static>(
    ws: &Ws,
    (who, id): (&Person, ImportId),
    describe: impl FnOnce(Import, &Table, Preview) -> T + Send + 'static,
) -> Result<T, CrmError> {
    let who = who.actor();
    let turn = TURN.acquire().await;
    let done = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let import = found(snap, id)?;
            let table = table(ws, &import)?;
            let seen = preview(ws, snap, ((&import, &table), who), |_| true)?;
            Ok::<_, CrmError>(describe(import, &table, seen))
        })
    });
    let done = done.await;
    drop(turn);
    done
}
