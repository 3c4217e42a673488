//! Commands of model calls. Money is reserved and the call is recorded before it, its response and cost after it.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use features::connections::cooldown::Candidate;
use features::connections::rules::turns;
use features::runs::model::{Attachment, EventKind};
use features::runs::queries as runs;
use features::runs::rules::{Asks, RunWriter};
use features::usage::rules::{self as money, Admitted, Ask, Spent};
use kernel::{CallKind, ConnectionId, InputId, ReservationId, Timestamp};
use providers::bound::Size;
use providers::catalog::Model;
use store::WriteTx;

use super::{CommandContext, Entry, EntryResult, Place, save};
use crate::EngineError;
use crate::history::MAX_FILE_TEXT;

/// The budget request for one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// `None` for the practice provider.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    /// The requested model.
    pub model: String,
    pub known: Model,
    /// The size of the request.
    pub size: Size,
    pub max_output: u32,
    /// The server observes this limit, as far as known.
    pub heeds_limit: bool,
    /// The price in percent of a normal call.
    pub percent: u32,
    pub kind: CallKind,
    /// The id of the reservation, the same on every machine.
    #[serde(default)]
    pub id: Option<ReservationId>,
    /// The admission that an offline host used.
    #[serde(default)]
    pub admitted: Option<Admitted>,
}

impl Question {
    /// Reserves the money and records the start of the call; `late` if it has already started.
    fn ask(
        &self,
        tx: &mut WriteTx<'_>,
        writer: &mut RunWriter,
        late: bool,
    ) -> Result<Begun, EngineError> {
        if !late {
            not_halted(tx, writer)?;
        }
        let mut size = self.size;
        for kind in &writer.appended {
            // Messages that this transaction reads are also part of the request.
            match kind {
                EventKind::Input { text, .. } => size.bytes += text.head().len() as u64 + 64,
                EventKind::Notice { text } => size.bytes += text.len() as u64 + 64,
                EventKind::Attached { files, .. } => {
                    size = files.iter().fold(size, |size, file| size.and(size_of(file)));
                }
                _ => {}
            }
        }
        let call = writer.run.calls + 1;
        let admitted = self.admit(tx, writer, (call, size), late)?;
        writer.append(
            tx,
            EventKind::CallStarted {
                call,
                provider: self.provider.clone(),
                model: self.model.clone(),
                reserved_micros: admitted.micros,
            },
        )?;
        Ok(Begun { call, admitted, wish: None })
    }

    fn admit(
        &self,
        tx: &mut WriteTx<'_>,
        writer: &RunWriter,
        (call, size): (u32, Size),
        late: bool,
    ) -> Result<Admitted, EngineError> {
        let ask = Ask {
            agent: writer.run.agent,
            run: writer.run.id,
            call,
            kind: self.kind,
            connection: self.connection,
            provider: &self.provider,
            name: &self.model,
            model: &self.known,
            size,
            max_output: self.max_output,
            heeds_limit: self.heeds_limit,
            percent: self.percent,
            fee_micros: 0,
            id: self.id,
        };
        Ok(match self.admitted.as_ref().filter(|_| late) {
            Some(admitted) => money::grants::made(tx, &ask, admitted)?,
            None => money::admit(tx, &ask)?,
        })
    }
}

/// Fails if work is paused. A pause takes effect with its own transaction.
///
/// # Errors
/// `Halted`.
pub(super) fn not_halted(tx: &WriteTx<'_>, writer: &RunWriter) -> Result<(), EngineError> {
    match runs::halt::of_agent(tx, writer.run.agent)? {
        Some(_) => Err(EngineError::Halted),
        None => Ok(()),
    }
}

/// The most that an attachment adds to a request.
fn size_of(file: &Attachment) -> Size {
    if file.is_picture() {
        Size::of_file(1)
    } else if file.is_document() {
        Size::of_file(file.len)
    } else {
        Size { bytes: file.len.min(MAX_FILE_TEXT as u64) + 512, images: 0 }
    }
}

/// An admitted call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Its number in the run.
    pub call: u32,
    pub admitted: Admitted,
    /// The model that the messages before it request.
    pub wish: Option<Asks>,
}

/// Starts the next call of the conversation, after reading the messages that have arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallBegun {
    /// The event of a model switch that is not recorded yet.
    pub switched: Option<EventKind>,
    /// Notices to the model before the call.
    pub told: Vec<String>,
    /// The messages that the writing host has received: no others are read. `None` on the primary.
    #[serde(default)]
    pub known: Option<Vec<InputId>>,
    pub question: Question,
}

impl Entry for CallBegun {
    type Answer = Begun;
    const PLACE: Place = Place::Journal;

    fn answered(&mut self, begun: &Begun) {
        self.question.admitted = Some(begun.admitted.clone());
    }

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        context: CommandContext,
    ) -> Result<EntryResult<Begun>, EngineError> {
        if let Some(switched) = self.switched {
            writer.append(tx, switched)?;
        }
        let wish = match &self.known {
            Some(known) => writer.read_known(tx, known)?,
            None => writer.read_inputs(tx)?,
        };
        for text in self.told {
            writer.append(tx, EventKind::Notice { text })?;
        }
        let begun = self.question.ask(tx, &mut writer, context.is_late())?;
        save(tx, writer, Begun { wish, ..begun })
    }
}

/// Starts a side question, which is no part of the conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuestionBegun {
    pub question: Question,
}

impl Entry for QuestionBegun {
    type Answer = Begun;
    const PLACE: Place = Place::Journal;

    fn answered(&mut self, begun: &Begun) {
        self.question.admitted = Some(begun.admitted.clone());
    }

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        context: CommandContext,
    ) -> Result<EntryResult<Begun>, EngineError> {
        let begun = self.question.ask(tx, &mut writer, context.is_late())?;
        save(tx, writer, begun)
    }
}

/// Starts a question to the model reviewer. It counts as a call but leaves no event in the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReviewBegun {
    pub question: Question,
}

impl Entry for ReviewBegun {
    type Answer = Begun;
    const PLACE: Place = Place::Journal;

    fn answered(&mut self, begun: &Begun) {
        self.question.admitted = Some(begun.admitted.clone());
    }

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        context: CommandContext,
    ) -> Result<EntryResult<Begun>, EngineError> {
        if !context.is_late() {
            not_halted(tx, &writer)?;
        }
        writer.run.calls += 1;
        let call = writer.run.calls;
        let size = self.question.size;
        let admitted = self.question.admit(tx, &writer, (call, size), context.is_late())?;
        save(tx, writer, Begun { call, admitted, wish: None })
    }
}

/// Written with every response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paid {
    pub reservation: ReservationId,
    pub spent: Spent,
    /// The candidate, if it has recorded failures to clear.
    pub well: Option<Candidate>,
}

impl Paid {
    /// Books the cost and clears the candidate's failures.
    pub(super) fn write(self, tx: &mut WriteTx<'_>) -> Result<(), EngineError> {
        if !money::grants::is_at_home(tx, self.reservation)? {
            money::settle(tx, self.reservation, self.spent)?;
        }
        // The primary alone manages cooldowns.
        if let Some(who) = self.well.filter(|_| !tx.schema().is_mirror()) {
            turns::note_success(tx, &who)?;
        }
        Ok(())
    }
}

/// Records a response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallPaid {
    pub paid: Paid,
    /// The response and a short description of the run's next activity; `None` for a side question.
    pub said: Option<(EventKind, String)>,
}

impl Entry for CallPaid {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        self.paid.write(tx)?;
        if let Some((answer, activity)) = self.said {
            writer.append(tx, answer)?;
            writer.run.activity = activity;
        }
        save(tx, writer, ())
    }
}

/// A call that was cut off and is not recorded yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CutOff {
    /// Its number in the run.
    pub call: u32,
    pub reservation: ReservationId,
    /// The cost, possibly estimated.
    pub spent: Spent,
    /// The partial text.
    pub piece: Option<EventKind>,
}

impl CutOff {
    /// Books the cost, keeps the partial text, and records that a stop cut the call off.
    pub(super) fn write(
        self,
        tx: &mut WriteTx<'_>,
        writer: &mut RunWriter,
    ) -> Result<(), EngineError> {
        let why = "cut off while the model was answering".to_owned();
        self.note(tx, writer, false, ("stopped".to_owned(), why, None))
    }

    /// The same for any reason: error class, message and time of the retry.
    fn note(
        self,
        tx: &mut WriteTx<'_>,
        writer: &mut RunWriter,
        is_free: bool,
        (class, message, retry_at): (String, String, Option<Timestamp>),
    ) -> Result<(), EngineError> {
        let Self { call, reservation, spent, piece } = self;
        match is_free {
            // The call started before the link was cut; the primary books it.
            _ if money::grants::is_at_home(tx, reservation)? => {}
            true => money::release(tx, reservation)?,
            false => drop(money::book_lost(tx, reservation, spent)?),
        }
        if let Some(piece) = piece {
            writer.append(tx, piece)?;
        }
        writer.append(tx, EventKind::CallFailed { call, class, message, retry_at })?;
        Ok(())
    }
}

/// Records a failed call; until `again` the run waits in its slot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallFailed {
    pub cut_off: CutOff,
    /// The call costs nothing.
    pub is_free: bool,
    pub class: String,
    pub message: String,
    /// The time of the retry.
    #[serde(with = "millisecond::optional")]
    pub again: Option<Timestamp>,
}

impl Entry for CallFailed {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        let Self { cut_off, is_free, class, message, again: retry_at } = self;
        if let Some(until) = retry_at {
            writer.hold(tx, until, message.clone());
        }
        cut_off.note(tx, &mut writer, is_free, (class, message, retry_at))?;
        save(tx, writer, ())
    }
}

/// How a reviewer's call is booked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Booked {
    Answered(Spent),
    /// Its result is unknown.
    Lost(Spent),
    /// It was never sent.
    Free,
}

/// Books a question to the model reviewer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReviewBooked {
    pub reservation: ReservationId,
    pub booked: Booked,
}

impl Entry for ReviewBooked {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        writer: RunWriter,
        _: CommandContext,
    ) -> Result<EntryResult<()>, EngineError> {
        match self.booked {
            _ if money::grants::is_at_home(tx, self.reservation)? => {}
            Booked::Answered(spent) => drop(money::settle(tx, self.reservation, spent)?),
            Booked::Lost(spent) => drop(money::book_lost(tx, self.reservation, spent)?),
            Booked::Free => money::release(tx, self.reservation)?,
        }
        save(tx, writer, ())
    }
}
