//! Cancels runs: stops them, or requeues them to continue later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use features::runs::model::Run;
use kernel::{AccountId, Outcome, RunId};
use store::ReadExt as _;

use super::Dispatcher;
use crate::command::orders::{RunEnded, RunSuspended};
use crate::port::Port as _;
use crate::{BY, commit};

/// How long a stopped run's task may take before the run is ended without it.
const STOP_GRACE: Duration = Duration::from_millis(950);
/// The same for a run on a host.
const AWAY_GRACE: Duration = Duration::from_secs(4);

impl Dispatcher {
    /// Ends a run with a stop request, whatever its task does. Returns whether that was written.
    pub(super) async fn end_stopped(&self, run: RunId, by: Option<AccountId>) -> bool {
        self.end(run, by, false).await
    }

    async fn end(&self, run: RunId, by: Option<AccountId>, silent: bool) -> bool {
        let outcome = Outcome::Stopped { by };
        let ended = self.0.ws.order(BY, RunEnded { run, outcome, silent }).await;
        if let Err(error) = &ended {
            tracing::error!(run.id = %run, %error, "run {run} could not be stopped");
        }
        ended.is_ok()
    }

    /// Cancels a run's task, and ends the run without it if the task hangs. Returns whether the run has a task.
    pub(super) fn stop(&self, run: RunId, by: Option<AccountId>) -> bool {
        let Some(cancel) = self.0.working.lock().get(&run).map(|w| w.control.cancel.clone()) else {
            return false;
        };
        if cancel.is_cancelled() {
            return true;
        }
        cancel.cancel();
        let own = self.clone();
        let halt = self.0.ws.halt();
        self.0.ws.spawn("stop", async move {
            tokio::select! {
                () = tokio::time::sleep(STOP_GRACE) => {}
                // During shutdown nobody waits for the rest of the second.
                () = halt.cancelled() => return,
            }
            own.end_stopped(run, by).await;
            own.0.ws.live.finish(run);
        });
        true
    }

    /// Ends a run on a host. A linked host gets some seconds to do it itself; then the primary ends the run and rejects
    /// later commands of it.
    pub(super) fn stop_away(&self, run: RunId, by: Option<AccountId>, linked: bool) -> bool {
        if !self.0.memory.lock().ending.insert(run) {
            return true;
        }
        let own = self.clone();
        let halt = self.0.ws.halt();
        self.0.ws.spawn("stop", async move {
            tokio::select! {
                () = tokio::time::sleep(AWAY_GRACE), if linked => {}
                () = std::future::ready(()), if !linked => {}
                () = halt.cancelled() => return,
            }
            let ws = &own.0.ws;
            let live = ws.read(|snap| {
                let run = snap.get::<Run>(run)?.filter(Run::is_live);
                run.map(|run| gateways::queries::gateway_of(snap, run.agent)).transpose()
            });
            if let Ok(Some(gateway)) = live {
                // The host may have lost its link meanwhile.
                let linked = linked && ws.app.hosts.is_linked(ws.id, gateway);
                own.end(run, by, !linked).await;
                commit::left(&own.0.ws, run).await;
            }
            own.0.ws.live.finish(run);
            own.0.memory.lock().ending.remove(&run);
        });
        true
    }

    /// Cancels a run that must pause at once, and requeues it without its task if the task hangs. Returns whether that
    /// was written.
    pub(super) async fn suspend(&self, run: RunId) -> bool {
        let control = self.0.working.lock().get(&run).map(|working| working.control.clone());
        let Some(control) = control else { return self.put_back(run).await };
        if control.cancel.is_cancelled() {
            return true;
        }
        control.rests.store(true, Ordering::Relaxed);
        control.cancel.cancel();
        let own = self.clone();
        let halt = self.0.ws.halt();
        self.0.ws.spawn("rest", async move {
            tokio::select! {
                () = tokio::time::sleep(STOP_GRACE) => {}
                () = halt.cancelled() => return,
            }
            own.put_back(run).await;
            own.0.ws.live.finish(run);
        });
        true
    }

    async fn put_back(&self, run: RunId) -> bool {
        let put = self.0.ws.order(BY, RunSuspended { run }).await;
        if let Err(error) = &put {
            tracing::error!(run.id = %run, %error, "run {run} could not be put back");
        }
        put.is_ok()
    }
}
