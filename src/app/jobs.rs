//! Long-running jobs that users start: at most one of a kind per place, with progress and result. In memory only:
//! jobs do not survive a restart.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::App;
use kernel::{Problem, ProblemKind, Timestamp};
use store::StoreError;
use store::verify::Progress;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobState {
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
    /// Current step, for people.
    pub what: String,
    /// Progress of the current step.
    pub done: u64,
    /// Total of the current step; 0 if unknown.
    pub total: u64,
    pub result: Option<Value>,
    /// Why the job failed.
    pub error: Option<String>,
}

impl JobState {
    /// Returns the state without one field of its result.
    #[must_use]
    pub fn without(mut self, part: &str) -> Self {
        if let Some(Value::Object(result)) = &mut self.result {
            result.remove(part);
        }
        self
    }
}

struct Job {
    state: Mutex<JobState>,
    called_off: AtomicBool,
}

/// All jobs of the process by place and kind. A place is a workspace slug. Slugs can be reused, so [`Jobs::forget`]
/// must be called when a workspace goes.
#[derive(Default)]
pub struct Jobs(Mutex<BTreeMap<(String, &'static str), Arc<Job>>>);

/// The same job is running already.
#[derive(Debug, thiserror::Error)]
#[error("this is already running; wait until it ends")]
pub struct UnderWay;

impl Problem for UnderWay {
    fn code(&self) -> &'static str {
        "under_way"
    }
    fn kind(&self) -> ProblemKind {
        ProblemKind::Conflict
    }
}

/// Progress reporter of a job.
#[derive(Clone)]
pub struct JobWatch(Arc<Job>);

impl JobWatch {
    /// Reports progress. Breaks when the job was cancelled or the process stops.
    pub fn tell(&self, progress: Progress) -> ControlFlow<()> {
        let mut state = self.0.state.lock();
        progress.what.clone_into(&mut state.what);
        (state.done, state.total) = (progress.done, progress.total);
        match self.0.called_off.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Jobs {
    /// State of the last job of this kind.
    #[must_use]
    pub fn state(&self, place: &str, kind: &str) -> Option<JobState> {
        let all = self.0.lock();
        let mut found = all.iter().filter(|((at, what), _)| at == place && *what == kind);
        let job = found.next().map(|(_, job)| Arc::clone(job));
        drop(found);
        drop(all);
        job.map(|job| job.state.lock().clone())
    }

    /// Running jobs of a place: kind and state.
    #[must_use]
    pub fn under_way(&self, place: &str) -> Vec<(&'static str, JobState)> {
        let all = self.0.lock();
        let here = all.iter().filter(|((at, _), _)| at == place);
        let here: Vec<_> = here.map(|((_, kind), job)| (*kind, Arc::clone(job))).collect();
        drop(all);
        let states = here.into_iter().map(|(kind, job)| (kind, job.state.lock().clone()));
        states.filter(|(_, state)| state.ended.is_none()).collect()
    }

    /// Requests cancellation. Returns whether the job was running.
    pub fn call_off(&self, place: &str, kind: &'static str) -> bool {
        let job = self.0.lock().get(&(place.to_owned(), kind)).cloned();
        let running = job.filter(|job| job.state.lock().ended.is_none());
        running.is_some_and(|job| {
            job.called_off.store(true, Ordering::Relaxed);
            true
        })
    }

    /// Forgets all jobs of a removed place and cancels the running ones.
    pub fn forget(&self, place: &str) {
        self.0.lock().retain(|(at, _), job| {
            let stays = at != place;
            if !stays {
                job.called_off.store(true, Ordering::Relaxed);
            }
            stays
        });
    }

    fn begin(&self, place: &str, kind: &'static str, now: Timestamp) -> Result<Arc<Job>, UnderWay> {
        let mut all = self.0.lock();
        let at = (place.to_owned(), kind);
        if all.get(&at).is_some_and(|job| job.state.lock().ended.is_none()) {
            return Err(UnderWay);
        }
        let state = JobState {
            began: now,
            ended: None,
            what: "beginning".to_owned(),
            done: 0,
            total: 0,
            result: None,
            error: None,
        };
        let job = Arc::new(Job { state: Mutex::new(state), called_off: AtomicBool::new(false) });
        all.insert(at, Arc::clone(&job));
        Ok(job)
    }
}

impl App {
    /// Starts a blocking job on its own thread.
    ///
    /// # Errors
    /// When the same job is running in this place.
    pub fn begin_job<T: Serialize>(
        &self,
        place: &str,
        kind: &'static str,
        work: impl FnOnce(&JobWatch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), UnderWay> {
        let job = self.jobs.begin(place, kind, self.clock.now())?;
        let (app, watch) = (self.clone(), JobWatch(Arc::clone(&job)));
        self.spawn("job", async move {
            let stopping = app.stopping.clone();
            let worked = tokio::task::spawn_blocking(move || {
                let done = work(&watch)?;
                serde_json::to_value(done).map_err(|e| StoreError::Failed(e.to_string()))
            });
            tokio::pin!(worked);
            let ended = tokio::select! {
                ended = &mut worked => ended,
                () = stopping.cancelled() => {
                    job.called_off.store(true, Ordering::Relaxed);
                    worked.await
                }
            };
            let mut state = job.state.lock();
            match ended {
                Ok(Ok(value)) => state.result = Some(value),
                Ok(Err(error)) => state.error = Some(error.to_string()),
                Err(error) => state.error = Some(format!("it failed because of a bug: {error}")),
            }
            state.ended = Some(app.clock.now());
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;

    #[test]
    fn nothing_is_told_of_a_place_that_is_gone() {
        let (jobs, now) = (Jobs::default(), from_ms(1_000));
        let old = jobs.begin("acme", "stats", now).unwrap();
        jobs.begin("other", "stats", now).unwrap();
        assert!(jobs.begin("acme", "stats", now).is_err());
        jobs.forget("acme");
        assert!(old.called_off.load(Ordering::Relaxed), "it ends early");
        assert!(jobs.state("acme", "stats").is_none() && jobs.state("other", "stats").is_some());
        // The result of the old job must not appear in the new one.
        jobs.begin("acme", "stats", now).unwrap();
        old.state.lock().result = Some(Value::Null);
        assert!(jobs.state("acme", "stats").is_some_and(|state| state.result.is_none()));
    }
}
