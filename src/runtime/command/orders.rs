//! Writes without a pen: of the dispatcher, of the gate, of programs that go on, of who answers. Home alone carries them
//! out.

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

/// An item becomes a run. None when its agent is held, has another run at work, or its gateway was revoked.
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

/// A run that waits goes on.
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

/// A task takes a queued run up that was there when the program began.
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

/// The task lets go of a run that it has not begun.
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

/// A run whose task is gone goes on from its last step, or ends; what its calls came to that nobody saw the end of is
/// booked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecovered {
    pub run: RunId,
    /// Why it was interrupted.
    pub what: String,
    /// Whether it works on another machine than home.
    #[serde(default)]
    pub away: bool,
    /// When the program that had it was last known to work.
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

/// A run ends with the connection of the program that asked; what its calls came to is booked.
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

/// A run whose task hangs goes back to the queue. Answers whether it was at work.
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
            // Nobody will see what came of its call: its money is held back no longer.
            money::book_left(tx, self.run)?;
        }
        Ok(put)
    }
}

/// A run ends whatever its task does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunEnded {
    pub run: RunId,
    pub outcome: Outcome,
    /// Whether nothing is heard of its machine: what it may have spent there is booked.
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

/// The program began again, and runs go on: people are told.
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

/// No program answers a run that waits for one: it ends.
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

/// What tools said whose run was taken away meanwhile: it is kept as evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LateKept {
    pub run: RunId,
    /// What they said.
    pub late: Vec<EventKind>,
}

impl Order for LateKept {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        runs::keep_late(tx, self.run, self.late)
    }
}

/// Old results take less room in what a model is shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pruned {
    pub session: SessionId,
    /// Before this event they lose their middle.
    pub trimmed: u32,
    /// Before this one all but their names.
    pub cleared: u32,
}

impl Order for Pruned {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        context::pruned(tx, self.session, self.trimmed, self.cleared)
    }
}

/// A conversation is told something and answers now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionTold {
    /// The conversation.
    pub session: SessionId,
    /// What it is told.
    pub text: String,
}

impl Order for SessionTold {
    type Answer = ();
    type Error = RunError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        tell(tx, self.session, &self.text, Wake::Now)
    }
}

/// Why nothing of an agent's is begun, or that nothing holds it any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentHeld {
    pub agent: AgentId,
    /// Why, in a word.
    pub reason: Option<String>,
}

impl Order for AgentHeld {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::note_held(tx, self.agent, self.reason.as_deref())
    }
}

/// What holds single items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemsMarked {
    /// The items, each with what holds it, in a word.
    pub marks: Vec<(ItemId, Option<String>)>,
}

impl Order for ItemsMarked {
    type Answer = ();
    type Error = InboxError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), InboxError> {
        waiting::mark(tx, &self.marks)
    }
}

/// Nobody will come to an item.
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

/// An item has lost its run.
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

/// The reviewer has said yes to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApprovalAllowed {
    /// The call.
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

/// A call that was asked for is not asked for any more.
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

/// Who was asked has failed, and is left alone for a while.
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
    /// The run that has used all of them.
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
            // Most often all of them are of one run, which is read once.
            let of = match known.filter(|(run, _)| *run == one.run) {
                Some((_, of)) => of,
                None => tx.get::<Run>(one.run)?.map(|run| run.agent),
            };
            known = Some((one.run, of));
            // A run uses what its own agent has, whatever a host says.
            if of == Some(one.agent) {
                used(tx, one)?;
            }
        }
        Ok(())
    }
}

/// A program goes on beside its agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobBegun {
    /// The program.
    pub new: NewJob,
}

impl Order for JobBegun {
    type Answer = Job;
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Job, JobError> {
        jobs::begin(tx, self.new)
    }
}

/// A program has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobFinished {
    /// The program.
    pub id: JobId,
    pub end: Finished,
    /// The files of its agent that were changed while it ran.
    #[serde(default)]
    pub paths: Vec<String>,
}

impl Order for JobFinished {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        // Before its conversation hears of the end.
        runs::taint::job_wrote(tx, self.id, &self.paths)?;
        jobs::finish(tx, self.id, self.end).map(drop)
    }
}

/// What a program has left behind has ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobSettled {
    /// The program.
    pub id: JobId,
}

impl Order for JobSettled {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::settle(tx, self.id)
    }
}

/// A program is to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobStopped {
    /// The program.
    pub id: JobId,
}

impl Order for JobStopped {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::request_stop(tx, self.id).map(drop)
    }
}

/// A program that has ended goes off the list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JobCleared {
    /// The program.
    pub id: JobId,
}

impl Order for JobCleared {
    type Answer = ();
    type Error = JobError;

    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<(), JobError> {
        jobs::clear(tx, self.id)
    }
}
