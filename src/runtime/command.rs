//! The engine's writes as values. Unlike a closure, a command can be stored, sent over the link and applied elsewhere.
//!
//! There are two families, each a closed list. An [`Entry`] is written by a run's writer; it is fenced and numbered,
//! and its [`Place`] says whether the run's host writes it too or the primary alone. An [`Order`] is applied by the
//! primary alone. Commands are applied the same way locally and at the end of a link; they call the rules of the nouns.

pub mod calls; // model calls: started, answered, failed
pub mod ends; // waits and ends of runs
pub mod journal; // events of a run
pub mod orders; // writes without a run's writer
pub mod tool; // a change by a workspace tool

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
    ServerAsked, Stopped,
};
use journal::{Append, CallResumed, Results, Settling, StepBegun, Told};
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
    /// On the run's host, and again on the primary.
    Journal,
    /// On the primary alone.
    Home,
}

/// An answer and the events that were appended.
pub type EntryResult<T> = (T, Vec<EventKind>);

/// A write by a run's writer.
pub trait Entry: Serialize + DeserializeOwned + Into<JournalCommand> + Send + 'static {
    /// The result for the writer.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    const PLACE: Place;

    /// Stores the result of an offline host in the entry, so that the primary applies it with the same result.
    fn answered(&mut self, _: &Self::Answer) {}

    /// Applies the entry. The given writer is open; this function saves, ends or parks the run.
    ///
    /// # Errors
    /// If a rule refuses the entry; nothing is written then.
    fn write(
        self,
        tx: &mut WriteTx<'_>,
        writer: RunWriter,
        context: CommandContext,
    ) -> Result<EntryResult<Self::Answer>, EngineError>;
}

/// A write without a run's writer.
pub trait Order: Serialize + DeserializeOwned + Into<ControlCommand> + Send + 'static {
    /// The result for the sender.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    type Error: OfHome + Into<EngineError> + Send + 'static;
    const PLACE: Place = Place::Home;

    /// Applies the order.
    ///
    /// # Errors
    /// If a rule refuses the order; nothing is written then.
    fn carry_out(self, tx: &mut WriteTx<'_>) -> Result<Self::Answer, Self::Error>;
}

/// Declares a closed list: an enum with one variant per type of a family, and its common functions.
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
            /// The number of variants.
            #[cfg(test)]
            const COUNT: usize = [$(stringify!($one)),+].len();

            /// Where the command is applied.
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
    /// Every kind of entry.
    JournalCommand
    fn write(with: (&mut WriteTx<'_>, CommandHeader, Option<Ready>))
        -> Result<Option<Applied<Value>>, EngineError> = noted
    Append StepBegun CallResumed Results Told Settling
    CallBegun QuestionBegun ReviewBegun CallPaid CallFailed ReviewBooked Held
    ToolMade LastWord NotKept Stopped Rested Ended BudgetLacked Parked HandedOut ApprovalsAsked ServerAsked
}

closed! {
    /// Every kind of order.
    ControlCommand
    fn carry_out(tx: &mut WriteTx<'_>) -> Result<Value, EngineError> = carried_out
    RunMade RunWoken RunTakenUp RunPutDown RunRecovered RunHungUp RunSuspended RunEnded RunsTakenUp CallerGone
    LateKept Pruned SessionTold AgentHeld ItemsMarked ItemGivenUp ItemTakenBack
    ApprovalAllowed ApprovalClosed FailureNoted SecretsUsed
    JobBegun JobFinished JobSettled JobStopped JobCleared
}

/// The subject of an order, which decides who may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Run(RunId),
    Session(SessionId),
    Agent(AgentId),
    Job(JobId),
    /// An approval request.
    Approval(ApprovalId),
    /// No record with an owner.
    Nothing,
    /// Something that only the primary decides.
    Home,
}

impl ControlCommand {
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
    /// A write by a run's writer.
    Entry {
        /// Names the run, and fences and numbers the entry.
        hand: CommandHeader,
        line: JournalCommand,
    },
    /// A write without one.
    Order(ControlCommand),
}

impl Command {
    /// Applies the command. `tool` is the change of the entry's workspace tool, if it names one. An entry that was
    /// already applied returns null and changes nothing.
    ///
    /// # Errors
    /// If a rule refuses the command; nothing is written then.
    pub fn apply(self, tx: &mut WriteTx<'_>, tool: Option<Ready>) -> Result<Value, EngineError> {
        match self {
            Self::Entry { hand, line } => {
                line.write((tx, hand, tool)).and_then(|noted| json(&noted))
            }
            Self::Order(order) => order.carry_out(tx),
        }
    }
}

/// The result of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied<T> {
    pub answer: T,
    /// The epoch for the run's next command.
    pub epoch: u64,
    /// The events to add to the conversation.
    pub appended: Vec<EventKind>,
}

/// The header of an entry: its run, epoch and number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandHeader {
    pub run: RunId,
    /// The epoch with which the run was started.
    pub epoch: u64,
    /// How long the run has worked, in milliseconds.
    pub worked_ms: i64,
    /// The number of the command in the run, from 1.
    pub number: u64,
    /// Written first if the run was not started yet.
    pub first: Option<Box<First>>,
    /// The permissions that decided the calls in this entry.
    #[serde(default)]
    pub decided: Vec<PermissionId>,
    /// The decisions on those calls, without approval requests.
    #[serde(default)]
    pub judged: Vec<CallRecord>,
    /// The time of writing in Unix milliseconds, if the host was offline: its effects have already happened.
    #[serde(default)]
    pub cut: Option<i64>,
}

/// The context of an entry: reopens the writer within a transaction.
pub struct CommandContext {
    run: RunId,
    epoch: u64,
    worked_ms: i64,
    number: u64,
    /// The time of writing on an offline host.
    cut: Option<Timestamp>,
    /// The change of the entry's tool.
    tool: Option<Ready>,
}

impl CommandContext {
    /// Reopens the writer after other code has changed the run.
    fn writer(&self, tx: &WriteTx<'_>) -> Result<RunWriter, EngineError> {
        let writer = RunWriter::open(tx, self.run, self.epoch)?;
        Ok(self.held(writer))
    }

    /// Returns `true` if the entry was written by an offline host and reaches the primary afterwards.
    pub(super) fn is_late(&self) -> bool {
        self.cut.is_some()
    }

    fn held(&self, writer: RunWriter) -> RunWriter {
        let mut writer = writer.measured(self.worked_ms).written_at(self.cut);
        writer.run.applied = self.number;
        writer
    }
}

impl CommandHeader {
    /// Opens the writer. `None` if this command was applied before.
    fn open(
        self,
        tx: &mut WriteTx<'_>,
        tool: Option<Ready>,
    ) -> Result<Option<(RunWriter, CommandContext)>, EngineError> {
        let Self { run, epoch, worked_ms, number, first, decided, judged, cut } = self;
        let cut = cut.map(from_ms);
        // The fence rejects commands of an old epoch; they must not count as repeated.
        let own = |run: &Run| first.is_some() || run.epoch == epoch;
        if tx.get::<Run>(run)?.is_some_and(|run| number <= run.applied && own(&run)) {
            return Ok(None);
        }
        // An earlier command was refused, so the host wrote this one for a run state that the primary does not have.
        if cut.is_some() && tx.get::<Run>(run)?.is_some_and(|run| number != run.applied + 1) {
            return Err(RunError::Fenced.into());
        }
        let writer = match first {
            Some(first) => first.write(tx, run)?,
            None => RunWriter::open(tx, run, epoch)?,
        };
        // The primary alone counts the uses of permissions and stores decisions.
        if !tx.schema().is_mirror() {
            trust::note_decided(tx, &decided)?;
            let now = tx.now();
            let at = cut.map_or(now, |cut| cut.min(now));
            trust::note_judged(tx, (run, writer.run.agent), at, judged)?;
        }
        let context = CommandContext { run, epoch: writer.run.epoch, worked_ms, number, cut, tool };
        Ok(Some((context.held(writer), context)))
    }
}

/// Written when a run starts or resumes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct First {
    /// The run card is written for this item, unless a retried run shares it.
    pub item: Option<Item>,
    /// Note to a retried run about acts since its branching point.
    pub again: Option<String>,
    /// The chosen connection; `None` for the practice provider.
    pub connection: Option<ConnectionId>,
    /// The chosen model.
    pub model: String,
    pub answers: String,
    /// Who chose the model.
    pub source: ModelSource,
    pub thinking: Thinking,
    /// Who chose the thinking level.
    pub thinking_source: ModelSource,
    /// The size of the first request in bytes; 0 when unknown.
    pub request_bytes: u32,
    /// The parts of the prompt with their sizes.
    pub parts: Vec<PromptPart>,
}

impl First {
    fn write(self, tx: &mut WriteTx<'_>, run: RunId) -> Result<RunWriter, EngineError> {
        let mut writer = rules::begin(tx, run)?;
        (writer.run.connection, writer.run.model_source) = (self.connection, self.source);
        (writer.run.model, writer.run.thinking) = (self.model, self.thinking);
        writer.run.thinking_source = Some(self.thinking_source);
        let attempt = writer.run.attempt;
        let (model, thinking, request_bytes) = (self.answers, self.thinking, self.request_bytes);
        writer.append(tx, EventKind::RunStarted { attempt, model, thinking, request_bytes })?;
        if let Some(text) = self.again {
            writer.append(tx, EventKind::Notice { text })?;
        }
        if let Some(item) = self.item {
            let text = Body::Inline(card::write(tx, &item)?);
            let by = Actor::System(Part::Engine);
            writer.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
        }
        if attempt < 2 && !self.parts.is_empty() {
            writer.append(tx, EventKind::Prompted { parts: self.parts })?;
        }
        Ok(writer)
    }
}

/// Takes an entry and writes it. `None` if it was applied before. An entry that the fence rejects is not taken.
pub(crate) fn write<E: Entry>(
    tx: &mut WriteTx<'_>,
    hand: CommandHeader,
    entry: impl FnOnce() -> Option<E>,
    tool: Option<Ready>,
) -> Result<Option<Applied<E::Answer>>, EngineError> {
    let Some((writer, context)) = hand.open(tx, tool)? else { return Ok(None) };
    let entry = entry().ok_or(EngineError::Broken("a command is gone before it was applied"))?;
    let epoch = context.epoch;
    let (answer, appended) = entry.write(tx, writer, context)?;
    Ok(Some(Applied { answer, epoch, appended }))
}

/// Saves the run and returns the appended events.
fn save<T>(
    tx: &mut WriteTx<'_>,
    mut writer: RunWriter,
    answer: T,
) -> Result<EntryResult<T>, EngineError> {
    let appended = std::mem::take(&mut writer.appended);
    writer.save(tx)?;
    Ok((answer, appended))
}

/// Applies an entry that arrived over the link.
fn noted<E: Entry>(
    entry: E,
    (tx, hand, tool): (&mut WriteTx<'_>, CommandHeader, Option<Ready>),
) -> Result<Option<Applied<Value>>, EngineError> {
    let Some(noted) = write(tx, hand, || Some(entry), tool)? else { return Ok(None) };
    let Applied { answer, epoch, appended } = noted;
    Ok(Some(Applied { answer: json(&answer)?, epoch, appended }))
}

/// Applies an order that arrived over the link.
fn carried_out<O: Order>(order: O, tx: &mut WriteTx<'_>) -> Result<Value, EngineError> {
    json(&order.carry_out(tx).map_err(Into::into)?)
}

fn json(answer: &impl Serialize) -> Result<Value, EngineError> {
    serde_json::to_value(answer)
        .map_err(|_| EngineError::Broken("an answer of a command cannot be written"))
}

#[cfg(test)]
mod tests;
