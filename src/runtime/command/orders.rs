//! Orders: writes of the dispatcher, access checks, jobs and failover. The primary alone applies them.

use serde::{Deserialize, Serialize};

use features::agents::model::Agent;
use features::connections::cooldown::Candidate;
use features::connections::rules::turns::{self, Failure};
use features::inbox::model::Item;
use features::inbox::rules::{InboxError, waiting};
use features::jobs::model::Job;
use features::jobs::rules::{self as jobs, Finished, JobError, NewJob};
use features::runs::model::{EventKind, Run};
use features::runs::rules::{self as runs, RunError, Wake, client, context, halt, tell};
use features::trust::rules::{self as trust, NewApproval, TrustError};
use features::usage::rules::{self as money, UsageError};
use kernel::{
    AgentId, ApprovalAnswer, ApprovalId, ItemId, JobId, Outcome, RunId, SessionId, Timestamp,
};
use store::{ReadExt as _, StoreError, WriteTx};
use vault::rules::{Used, used};

use super::{About, Order};
use crate::{EngineError, items};

/// Creates the run of an item. `None` if its agent is held or has another working run, or its gateway was revoked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunMade {
    pub item: Item,
    pub agent: Agent,
}

impl Order for RunMade {
    type Answer = Option<Run>;
    type Error = EngineError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Option<Run>, EngineError> {
        items::make_run(tx, &self.item, &self.agent)
    }
}

/// Ends the wait of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunWoken {
    pub run: RunId,
}

impl Order for RunWoken {
    type Answer = Run;
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Run, RunError> {
        runs::wake(tx, self.run)
    }
}

/// A task takes over a queued run that existed at program start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunTakenUp {
    pub run: RunId,
}

impl Order for RunTakenUp {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        runs::take_up(tx, self.run)
    }
}

/// A task releases a run that it has not started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunPutDown {
    pub run: RunId,
}

impl Order for RunPutDown {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        runs::put_down(tx, self.run)
    }
}

/// Resumes a run without a task from its last step, or ends it. Calls with an unknown result are booked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecovered {
    pub run: RunId,
    /// Why the run was interrupted.
    pub what: String,
    /// The run works on a host.
    #[serde(default)]
    pub away: bool,
    /// When its program was last known to work.
    #[serde(default)]
    pub alive_at: Option<Timestamp>,
}

impl Order for RunRecovered {
    type Answer = Run;
    type Error = EngineError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Run, EngineError> {
        let run = match self.away {
            true => runs::recover_away(tx, self.run, (&self.what, self.alive_at))?,
            false => runs::recover(tx, self.run, (&self.what, self.alive_at))?,
        };
        money::book_left(tx, self.run)?;
        Ok(run)
    }
}

/// Ends a run because its API client has disconnected, and books its calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunHungUp {
    pub run: RunId,
}

impl Order for RunHungUp {
    type Answer = Run;
    type Error = EngineError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Run, EngineError> {
        let run = client::hang_up(tx, self.run)?;
        money::book_left(tx, self.run)?;
        Ok(run)
    }
}

/// Returns a run with a hanging task to the queue. Returns whether it was working.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunSuspended {
    pub run: RunId,
}

impl Order for RunSuspended {
    type Answer = bool;
    type Error = EngineError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<bool, EngineError> {
        let put = halt::suspend(tx, self.run)?;
        if put {
            // The call's result is lost, so its reservation is booked.
            money::book_left(tx, self.run)?;
        }
        Ok(put)
    }
}

/// Ends a run, whatever its task does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunEnded {
    pub run: RunId,
    pub outcome: Outcome,
    /// Its host is unreachable; the money it may have spent is booked.
    #[serde(default)]
    pub silent: bool,
}

impl Order for RunEnded {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        if self.silent {
            money::grants::lose(tx, self.run).map_err(of_money)?;
        }
        runs::force_end(tx, self.run, self.outcome, "").map(drop)
    }
}

fn of_money(error: UsageError) -> RunError {
    match error {
        UsageError::Store(error) => error.into(),
        other => StoreError::Failed(other.to_string()).into(),
    }
}

/// Notifies people that runs continue after a restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunsTakenUp {
    pub count: u32,
}

impl Order for RunsTakenUp {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        runs::taken_up(tx, self.count)
    }
}

/// Ends a run whose API client did not send tool results.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CallerGone {
    pub run: RunId,
}

impl Order for CallerGone {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        client::give_up(tx, self.run)
    }
}

/// Keeps results of tools whose run has been taken over, as evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LateKept {
    pub run: RunId,
    pub late: Vec<EventKind>,
}

impl Order for LateKept {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        runs::keep_late(tx, self.run, self.late)
    }
}

/// Shortens old results in what the model reads.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pruned {
    pub session: SessionId,
    /// Results before this event lose their middle.
    pub trimmed: u32,
    /// Results before this event lose everything but their names.
    pub cleared: u32,
}

impl Order for Pruned {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        context::pruned(tx, self.session, self.trimmed, self.cleared)
    }
}

/// Sends a message to a conversation, which answers now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionTold {
    pub session: SessionId,
    pub text: String,
}

impl Order for SessionTold {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        tell(tx, self.session, &self.text, Wake::Now)
    }
}

/// Sets why an agent starts no work, or that nothing holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentHeld {
    pub agent: AgentId,
    /// A code.
    pub reason: Option<String>,
}

impl Order for AgentHeld {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::note_held(tx, self.agent, self.reason.as_deref())
    }
}

/// Sets what holds single items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemsMarked {
    /// Items with the code of what holds them.
    pub marks: Vec<(ItemId, Option<String>)>,
}

impl Order for ItemsMarked {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::mark(tx, &self.marks)
    }
}

/// Gives up an item that nobody started in time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ItemGivenUp {
    pub item: ItemId,
}

impl Order for ItemGivenUp {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::give_up(tx, self.item)
    }
}

/// Returns an item whose run is lost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ItemTakenBack {
    pub item: ItemId,
}

impl Order for ItemTakenBack {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::take_back(tx, self.item)
    }
}

/// Records that the model reviewer has approved a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApprovalAllowed {
    pub approval: NewApproval,
}

impl Order for ApprovalAllowed {
    type Answer = ();
    type Error = TrustError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), TrustError> {
        let Some(run) = tx.get::<Run>(self.approval.run)? else { return Ok(()) };
        trust::allow_reviewed(tx, NewApproval { agent: run.agent, ..self.approval })
    }
}

/// Closes an approval request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ApprovalClosed {
    pub id: ApprovalId,
    pub answer: ApprovalAnswer,
}

impl Order for ApprovalClosed {
    type Answer = ();
    type Error = TrustError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), TrustError> {
        trust::close(tx, self.id, self.answer)
    }
}

/// Records a candidate's failure and starts its cooldown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureNoted {
    pub who: Candidate,
    pub failure: Failure,
}

impl Order for FailureNoted {
    type Answer = ();
    type Error = StoreError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        turns::note_failure(tx, &self.who, self.failure).map(drop)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretsUsed {
    pub uses: Vec<Used>,
}

impl SecretsUsed {
    /// The run of all uses, if they have the same.
    pub(super) fn about(&self) -> About {
        let mut runs = self.uses.iter().map(|one| one.run);
        let first = runs.next();
        match first.filter(|first| runs.all(|run| run == *first)) {
            Some(run) => About::Run(run),
            None => About::Home,
        }
    }
}

impl Order for SecretsUsed {
    type Answer = ();
    type Error = StoreError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        let mut known: Option<(RunId, Option<AgentId>)> = None;
        for one in self.uses {
            // Usually all uses are of one run; read it once.
            let of = match known.filter(|(run, _)| *run == one.run) {
                Some((_, of)) => of,
                None => tx.get::<Run>(one.run)?.map(|run| run.agent),
            };
            known = Some((one.run, of));
            // A run uses only secrets of its own agent, whatever its host reports.
            if of == Some(one.agent) {
                used(tx, one)?;
            }
        }
        Ok(())
    }
}

/// Records a program as a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobBegun {
    pub new: NewJob,
}

impl Order for JobBegun {
    type Answer = Job;
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Job, JobError> {
        jobs::begin(tx, self.new)
    }
}

/// Records the end of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobFinished {
    pub id: JobId,
    pub end: Finished,
    /// Files of its agent that changed while it ran.
    #[serde(default)]
    pub paths: Vec<String>,
}

impl Order for JobFinished {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        // Label the files before the conversation learns of the end.
        runs::taint::job_wrote(tx, self.id, &self.paths)?;
        jobs::finish(tx, self.id, self.end).map(drop)
    }
}

/// Records that the processes left behind by a job have ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobSettled {
    pub id: JobId,
}

impl Order for JobSettled {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::settle(tx, self.id)
    }
}

/// Requests the stop of a job.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobStopped {
    pub id: JobId,
}

impl Order for JobStopped {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::request_stop(tx, self.id).map(drop)
    }
}

/// Removes an ended job from the list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobCleared {
    pub id: JobId,
}

impl Order for JobCleared {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::clear(tx, self.id)
    }
}
