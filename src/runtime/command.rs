//! The engine's writes as values: what a closure over the tables of one store does stays there, what is named can be
//! kept, sent and applied elsewhere.
//!
//! Two families, each a closed list. What is written with the pen of a run is an [`Entry`]: it is fenced and numbered, and
//! its [`Place`] says whether whoever works on the run writes it down and home again, or home alone. Everything else is an
//! [`Order`], which home alone carries out. Both are applied by what they are, here and at the end of a line alike; the
//! rules that they call are those of the nouns.

pub mod calls; // model calls: begun, answered, failed
pub mod ends; // waits and ends of runs
pub mod journal; // what happened in a run
pub mod orders; // writes without a pen
pub mod tool; // a change of a workspace tool

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use features::inbox::model::Item;
use features::runs::model::{Body, EventKind, ModelSource, PromptPart, Run};
use features::runs::rules::{self, RunError, RunWriter};
use features::trust::model::CallRecord;
use features::trust::rules as trust;
use kernel::time::from_ms;
use kernel::{
    Actor, AgentId, ApprovalId, ConnectionId, JobId, Part, PermissionId, RunId, SessionId,
    Thinking, Timestamp,
};
use store::{ReadExt, WriteTx};

use super::remote::OfHome;
use super::{EngineError, card};
use calls::{CallBegun, CallFailed, CallPaid, QuestionBegun, ReviewBegun, ReviewBooked};
use ends::{
    ApprovalsAsked, BudgetLacked, Ended, HandedOut, Held, LastWord, NotKept, Parked, Rested,
    Stopped,
};
use journal::{Append, Results, Settling, StepBegun, Told};
use orders::{
    AgentHeld, ApprovalAllowed, ApprovalClosed, CallerGone, FailureNoted, ItemGivenUp,
    ItemTakenBack, ItemsMarked, JobBegun, JobCleared, JobFinished, JobSettled, JobStopped,
    LateKept, Pruned, RunEnded, RunHungUp, RunMade, RunPutDown, RunRecovered, RunSuspended,
    RunTakenUp, RunWoken, RunsTakenUp, SecretsUsed, SessionTold,
};
use tool::{Ready, ToolMade};

/// Where an entry is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where its run works, and at home again.
    Journal,
    /// At home alone.
    Home,
}

/// An answer, and what was appended for it.
pub type Done<T> = (T, Vec<EventKind>);

/// A write with the pen of a run.
pub trait Entry: Serialize + DeserializeOwned + Into<Line> + Send + 'static {
    /// What its writer has to know of it.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// Where it is applied.
    const PLACE: Place;

    /// Takes in what it came to on a machine that is cut off, so that it comes to the same when home applies it.
    fn answered(&mut self, _: &Self::Answer) {}

    /// Writes it. The pen is open; this saves, ends or parks it.
    ///
    /// # Errors
    /// What the rules refuse; nothing of it is written then.
    fn write(
        self,
        tx: &mut WriteTx<'_>,
        pen: RunWriter,
        within: Within,
    ) -> Result<Done<Self::Answer>, EngineError>;
}

/// A write without a pen.
pub trait Order: Serialize + DeserializeOwned + Into<Ordered> + Send + 'static {
    /// What who gave it has to know of it.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// Why it is refused.
    type Error: OfHome + Into<EngineError> + Send + 'static;
    /// Where it is applied.
    const PLACE: Place = Place::Home;

    /// Carries it out.
    ///
    /// # Errors
    /// What the rules refuse; nothing of it is written then.
    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Self::Answer, Self::Error>;
}

/// A closed list: one variant for each of a family, and what all of them do alike.
macro_rules! closed {
    (
        $(#[$doc:meta])* $name:ident
        fn $all:ident($with:ident: $kind:ty) -> $answer:ty = $one_of:ident
        $($one:ident)+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $(#[allow(missing_docs)] $one(Box<$one>),)+ }

        impl $name {
            /// How many there are.
            #[cfg(test)]
            const COUNT: usize = [$(stringify!($one)),+].len();

            /// Where it is applied.
            #[must_use]
            pub fn place(&self) -> Place {
                match self { $(Self::$one(_) => $one::PLACE,)+ }
            }

            fn $all(self, $with: $kind) -> $answer {
                match self { $(Self::$one(one) => $one_of(*one, $with),)+ }
            }
        }

        $(impl From<$one> for $name {
            fn from(one: $one) -> Self {
                Self::$one(Box::new(one))
            }
        })+
    };
}

closed! {
    /// Every entry there is.
    Line
    fn write(with: (&mut WriteTx<'_>, Hand, Option<Ready>)) -> Result<Option<Noted<Value>>, EngineError> = noted
    Append StepBegun Results Told Settling
    CallBegun QuestionBegun ReviewBegun CallPaid CallFailed ReviewBooked Held
    ToolMade LastWord NotKept Stopped Rested Ended BudgetLacked Parked HandedOut ApprovalsAsked
}

closed! {
    /// Every order there is.
    Ordered
    fn carry_out(tx: &mut WriteTx<'_>) -> Result<Value, EngineError> = carried_out
    RunMade RunWoken RunTakenUp RunPutDown RunRecovered RunHungUp RunSuspended RunEnded RunsTakenUp CallerGone
    LateKept Pruned SessionTold AgentHeld ItemsMarked ItemGivenUp ItemTakenBack
    ApprovalAllowed ApprovalClosed FailureNoted SecretsUsed
    JobBegun JobFinished JobSettled JobStopped JobCleared
}

/// What an order is about: who may give it follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Run(RunId),
    /// A conversation.
    Session(SessionId),
    Agent(AgentId),
    /// A program.
    Job(JobId),
    /// A call that people are asked for.
    Approval(ApprovalId),
    /// Nothing that is anybody's.
    Nothing,
    /// What home alone decides.
    Home,
}

impl Ordered {
    #[must_use]
    pub fn about(&self) -> About {
        match self {
            Self::RunTakenUp(one) => About::Run(one.run),
            Self::RunPutDown(one) => About::Run(one.run),
            Self::RunRecovered(one) => About::Run(one.run),
            Self::RunHungUp(one) => About::Run(one.run),
            Self::RunSuspended(one) => About::Run(one.run),
            Self::RunEnded(one) => About::Run(one.run),
            Self::LateKept(one) => About::Run(one.run),
            Self::Pruned(one) => About::Session(one.session),
            Self::SessionTold(one) => About::Session(one.session),
            Self::ApprovalAllowed(one) => About::Run(one.approval.run),
            Self::ApprovalClosed(one) => About::Approval(one.id),
            Self::JobBegun(one) => About::Agent(one.new.agent),
            Self::JobFinished(one) => About::Job(one.id),
            Self::JobSettled(one) => About::Job(one.id),
            Self::JobStopped(one) => About::Job(one.id),
            Self::JobCleared(one) => About::Job(one.id),
            Self::FailureNoted(_) => About::Nothing,
            Self::RunMade(_)
            | Self::RunWoken(_)
            | Self::RunsTakenUp(_)
            | Self::CallerGone(_)
            | Self::AgentHeld(_)
            | Self::ItemsMarked(_)
            | Self::ItemGivenUp(_)
            | Self::ItemTakenBack(_) => About::Home,
            Self::SecretsUsed(uses) => uses.about(),
        }
    }
}

/// A write of the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// With the pen of a run.
    Entry {
        /// Whose pen, and which of its commands this is.
        hand: Hand,
        /// What is written.
        line: Line,
    },
    /// Without one.
    Order(Ordered),
}

impl Command {
    /// Applies it. `tool` is the change of the workspace tool that it names, if it names one. An entry that was applied
    /// before answers null and changes nothing.
    ///
    /// # Errors
    /// What the rules refuse; nothing of it is written then.
    pub fn apply(self, tx: &mut WriteTx<'_>, tool: Option<Ready>) -> Result<Value, EngineError> {
        match self {
            Self::Entry { hand, line } => {
                line.write((tx, hand, tool)).and_then(|noted| json(&noted))
            }
            Self::Order(order) => order.carry_out(tx),
        }
    }
}

/// What an entry came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted<T> {
    /// What its writer has to know.
    pub answer: T,
    /// The epoch with which the run is written from here on.
    pub epoch: u64,
    /// What its writer takes into the conversation.
    pub appended: Vec<EventKind>,
}

/// Whose pen an entry is written with, and which of the run's commands it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hand {
    pub run: RunId,
    /// The epoch with which it was begun.
    pub epoch: u64,
    /// How long it has worked, in milliseconds.
    pub worked_ms: i64,
    /// The number of the command in the run, from 1.
    pub number: u64,
    /// What is written before, when nobody has begun the run yet.
    pub first: Option<Box<First>>,
    /// The permissions that decided what became of the calls that are written down.
    #[serde(default)]
    pub decided: Vec<PermissionId>,
    /// Those calls as they were judged, save what people are asked for.
    #[serde(default)]
    pub judged: Vec<CallRecord>,
    /// When it was written, in milliseconds since 1970, on a machine that was cut off from home: what it says has happened.
    #[serde(default)]
    pub cut: Option<i64>,
}

/// What opens the pen once more within a transaction, and what came with it.
pub struct Within {
    run: RunId,
    epoch: u64,
    worked_ms: i64,
    number: u64,
    /// When it was written on a machine that was cut off.
    cut: Option<Timestamp>,
    /// The change of the tool that the entry names.
    tool: Option<Ready>,
}

impl Within {
    /// The pen, after something beside it has touched the run.
    fn pen(&self, tx: &WriteTx<'_>) -> Result<RunWriter, EngineError> {
        let pen = RunWriter::open(tx, self.run, self.epoch)?;
        Ok(self.held(pen))
    }

    /// Whether home hears of it after it has happened, on a machine that was cut off.
    pub(super) fn is_late(&self) -> bool {
        self.cut.is_some()
    }

    fn held(&self, pen: RunWriter) -> RunWriter {
        let mut pen = pen.measured(self.worked_ms).written_at(self.cut);
        pen.run.applied = self.number;
        pen
    }
}

impl Hand {
    /// Opens the pen; none when this command was applied before.
    fn open(
        self,
        tx: &mut WriteTx<'_>,
        tool: Option<Ready>,
    ) -> Result<Option<(RunWriter, Within)>, EngineError> {
        let Self { run, epoch, worked_ms, number, first, decided, judged, cut } = self;
        let cut = cut.map(from_ms);
        // What is written with an epoch that is over is refused by the fence, and not taken for one of these.
        let own = |run: &Run| first.is_some() || run.epoch == epoch;
        if tx.get::<Run>(run)?.is_some_and(|run| number <= run.applied && own(&run)) {
            return Ok(None);
        }
        // Something before it was refused: what a machine wrote behind that, it wrote of another run than home has.
        if cut.is_some() && tx.get::<Run>(run)?.is_some_and(|run| number != run.applied + 1) {
            return Err(RunError::Fenced.into());
        }
        let pen = match first {
            Some(first) => first.write(tx, run)?,
            None => RunWriter::open(tx, run, epoch)?,
        };
        // How often a rule has decided is counted at home, and what was judged is kept there.
        if !tx.schema().is_mirror() {
            trust::note_decided(tx, &decided)?;
            let now = tx.now();
            let at = cut.map_or(now, |cut| cut.min(now));
            trust::note_judged(tx, (run, pen.run.agent), at, judged)?;
        }
        let within = Within { run, epoch: pen.run.epoch, worked_ms, number, cut, tool };
        Ok(Some((within.held(pen), within)))
    }
}

/// What is written when a run begins or goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct First {
    /// Its card is written, unless it stands in what a run that begins again shares.
    pub item: Option<Item>,
    /// What a run that begins again is told of what lies between.
    pub again: Option<String>,
    /// The connection that was chosen; none for practice.
    pub connection: Option<ConnectionId>,
    /// The model that was chosen.
    pub model: String,
    pub answers: String,
    /// Who chose it.
    pub source: ModelSource,
    /// How much it thinks.
    pub thinking: Thinking,
    /// Who chose that.
    pub thinking_source: ModelSource,
    /// The size of the first request in bytes; 0 when unknown.
    pub request_bytes: u32,
    /// What the model is told first of all.
    pub parts: Vec<PromptPart>,
}

impl First {
    fn write(self, tx: &mut WriteTx<'_>, run: RunId) -> Result<RunWriter, EngineError> {
        let mut pen = rules::begin(tx, run)?;
        (pen.run.connection, pen.run.model_source) = (self.connection, self.source);
        (pen.run.model, pen.run.thinking) = (self.model, self.thinking);
        pen.run.thinking_source = Some(self.thinking_source);
        let attempt = pen.run.attempt;
        let (model, thinking, request_bytes) = (self.answers, self.thinking, self.request_bytes);
        pen.append(tx, EventKind::RunStarted { attempt, model, thinking, request_bytes })?;
        if let Some(text) = self.again {
            pen.append(tx, EventKind::Notice { text })?;
        }
        if let Some(item) = self.item {
            let text = Body::Inline(card::write(tx, &item)?);
            let by = Actor::System(Part::Engine);
            pen.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
        }
        if attempt < 2 && !self.parts.is_empty() {
            pen.append(tx, EventKind::Prompted { parts: self.parts })?;
        }
        Ok(pen)
    }
}

/// Writes an entry that is still there when its turn comes; none when it was applied before. One that is refused by the
/// fence stays there.
pub(crate) fn write<E: Entry>(
    tx: &mut WriteTx<'_>,
    hand: Hand,
    entry: impl FnOnce() -> Option<E>,
    tool: Option<Ready>,
) -> Result<Option<Noted<E::Answer>>, EngineError> {
    let Some((pen, within)) = hand.open(tx, tool)? else { return Ok(None) };
    let entry = entry().ok_or(EngineError::Broken("a command is gone before it was applied"))?;
    let epoch = within.epoch;
    let (answer, appended) = entry.write(tx, pen, within)?;
    Ok(Some(Noted { answer, epoch, appended }))
}

/// Writes a pen back and gives what it appended.
fn save<T>(tx: &mut WriteTx<'_>, mut pen: RunWriter, answer: T) -> Result<Done<T>, EngineError> {
    let appended = std::mem::take(&mut pen.appended);
    pen.save(tx)?;
    Ok((answer, appended))
}

/// An entry at the end of a line.
fn noted<E: Entry>(
    entry: E,
    (tx, hand, tool): (&mut WriteTx<'_>, Hand, Option<Ready>),
) -> Result<Option<Noted<Value>>, EngineError> {
    let Some(noted) = write(tx, hand, || Some(entry), tool)? else { return Ok(None) };
    let Noted { answer, epoch, appended } = noted;
    Ok(Some(Noted { answer: json(&answer)?, epoch, appended }))
}

/// An order at the end of a line.
fn carried_out<O: Order>(order: O, tx: &mut WriteTx<'_>) -> Result<Value, EngineError> {
    json(&order.carry_out(tx).map_err(Into::into)?)
}

fn json(answer: &impl Serialize) -> Result<Value, EngineError> {
    serde_json::to_value(answer)
        .map_err(|_| EngineError::Broken("an answer of a command cannot be written"))
}

#[cfg(test)]
mod tests;
