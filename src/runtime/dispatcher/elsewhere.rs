//! The dispatcher on a host: it drives the runs that the primary has created.

use app::upstream::Upstream;
use kernel::Timestamp;

use super::{AGAIN, Dispatcher};
use crate::plan::Plan;
use crate::{EngineError, remote, resume};

impl Dispatcher {
    /// A pass on a host: resumes runs of the previous process, and drives the primary's runs.
    pub(super) async fn look_away(
        &self,
        up: &dyn Upstream,
        recovered: &mut bool,
    ) -> Result<Option<Timestamp>, EngineError> {
        let agents = up.agents();
        if agents.is_empty() {
            return Ok(None);
        }
        if !*recovered {
            remote::catch_up(up).await?;
            let going = resume::recover_away(&self.0.ws, &agents).await?;
            self.0.memory.lock().recovered = going;
            *recovered = true;
            let ws = self.0.ws.clone();
            self.0.ws.spawn("jobs", self.0.engine.jobs.clone().serve_away(ws));
        }
        let now = self.0.ws.app.clock.now();
        self.0.memory.lock().starved = false;
        let plan = self.0.ws.read(|snap| Plan::of_host(snap, &agents, now))?;
        let mut written = true;
        for (run, by, _) in plan.stops {
            written &= self.stop(run, by) || self.end_stopped(run, by).await;
        }
        for run in plan.rests {
            written &= self.suspend(run).await;
        }
        // A resumed run needs its agent's keys, like a new one.
        if !up.lacks_keys() {
            for run in plan.running {
                written &= self.take_up(run).await;
            }
        }
        if !up.is_paused() {
            plan.queued.iter().for_each(|run| self.begin(run));
        }
        Ok((!written).then_some(now + AGAIN))
    }
}
