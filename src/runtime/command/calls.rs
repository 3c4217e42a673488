//! Model calls: money reserved and the call noted before it, the answer and its cost after it.

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

use super::{Done, Entry, Place, Within, save};
use crate::EngineError;
use crate::history::MAX_FILE_TEXT;

/// The question to the budgets for one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    /// The model, as it is asked for.
    pub model: String,
    pub known: Model,
    /// How large the request is.
    pub size: Size,
    /// The most output tokens.
    pub max_output: u32,
    /// Whether its server heeds that, as far as is known.
    pub heeds_limit: bool,
    /// What it costs in percent of a usual call.
    pub percent: u32,
    pub kind: CallKind,
    /// By which id its money is held back, wherever that is written down.
    #[serde(default)]
    pub id: Option<ReservationId>,
    /// What it was admitted as on a machine that was cut off.
    #[serde(default)]
    pub admitted: Option<Admitted>,
}

impl Question {
    /// Reserves the money and notes that the call begins; `late` when it has begun already.
    fn ask(
        &self,
        tx: &mut WriteTx<'_>,
        pen: &mut RunWriter,
        late: bool,
    ) -> Result<Begun, EngineError> {
        if !late {
            not_halted(tx, pen)?;
        }
        let mut size = self.size;
        for kind in &pen.appended {
            // What was read into the conversation by this very transaction is sent too.
            match kind {
                EventKind::Input { text, .. } => size.bytes += text.head().len() as u64 + 64,
                EventKind::Notice { text } => size.bytes += text.len() as u64 + 64,
                EventKind::Attached { files, .. } => {
                    size = files.iter().fold(size, |size, file| size.and(size_of(file)));
                }
                _ => {}
            }
        }
        let call = pen.run.calls + 1;
        let admitted = self.admit(tx, pen, (call, size), late)?;
        pen.append(
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
        pen: &RunWriter,
        (call, size): (u32, Size),
        late: bool,
    ) -> Result<Admitted, EngineError> {
        let ask = Ask {
            agent: pen.run.agent,
            run: pen.run.id,
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
            id: self.id,
        };
        Ok(match self.admitted.as_ref().filter(|_| late) {
            Some(admitted) => money::grants::made(tx, &ask, admitted)?,
            None => money::admit(tx, &ask)?,
        })
    }
}

/// Whether something may be begun: an order to stand still counts from its own transaction on.
///
/// # Errors
/// `Halted`.
pub(super) fn not_halted(tx: &WriteTx<'_>, pen: &RunWriter) -> Result<(), EngineError> {
    match runs::halt::of_agent(tx, pen.run.agent)? {
        Some(_) => Err(EngineError::Halted),
        None => Ok(()),
    }
}

/// The most that a file of a message adds to a request.
fn size_of(file: &Attachment) -> Size {
    if file.is_picture() {
        Size::of_file(1)
    } else if file.is_document() {
        Size::of_file(file.len)
    } else {
        Size { bytes: file.len.min(MAX_FILE_TEXT as u64) + 512, images: 0 }
    }
}

/// A call that may be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Its number in the run.
    pub call: u32,
    /// What is held back for it.
    pub admitted: Admitted,
    /// What the messages that were read before it ask for.
    pub wish: Option<Asks>,
}

/// The next call of the conversation begins: what was said meanwhile is read before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallBegun {
    /// That another answers, when that is not noted yet.
    pub switched: Option<EventKind>,
    /// What the model is told before it.
    pub told: Vec<String>,
    /// The messages that its writer knows of, where that is another machine than home: no others are read.
    #[serde(default)]
    pub known: Option<Vec<InputId>>,
    /// The call.
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
        mut pen: RunWriter,
        within: Within,
    ) -> Result<Done<Begun>, EngineError> {
        if let Some(switched) = self.switched {
            pen.append(tx, switched)?;
        }
        let wish = match &self.known {
            Some(known) => pen.read_known(tx, known)?,
            None => pen.read_inputs(tx)?,
        };
        for text in self.told {
            pen.append(tx, EventKind::Notice { text })?;
        }
        let begun = self.question.ask(tx, &mut pen, within.is_late())?;
        save(tx, pen, Begun { wish, ..begun })
    }
}

/// A question that is no part of the conversation begins.
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
        mut pen: RunWriter,
        within: Within,
    ) -> Result<Done<Begun>, EngineError> {
        let begun = self.question.ask(tx, &mut pen, within.is_late())?;
        save(tx, pen, begun)
    }
}

/// The question to a reviewer begins: it counts as a call and stands nowhere in the run.
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
        mut pen: RunWriter,
        within: Within,
    ) -> Result<Done<Begun>, EngineError> {
        if !within.is_late() {
            not_halted(tx, &pen)?;
        }
        pen.run.calls += 1;
        let call = pen.run.calls;
        let size = self.question.size;
        let admitted = self.question.admit(tx, &pen, (call, size), within.is_late())?;
        save(tx, pen, Begun { call, admitted, wish: None })
    }
}

/// What is written with every answer, whatever it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paid {
    /// What was held back for the call.
    pub reservation: ReservationId,
    /// What it came to.
    pub spent: Spent,
    /// Who gave it, when failures of theirs are on record.
    pub well: Option<Candidate>,
}

impl Paid {
    /// Books what it cost and notes that who gave it is well.
    pub(super) fn write(self, tx: &mut WriteTx<'_>) -> Result<(), EngineError> {
        if !money::grants::is_at_home(tx, self.reservation)? {
            money::settle(tx, self.reservation, self.spent)?;
        }
        // Who may be asked home alone decides.
        if let Some(who) = self.well.filter(|_| !tx.schema().is_mirror()) {
            turns::note_success(tx, &who)?;
        }
        Ok(())
    }
}

/// A call was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallPaid {
    /// What it came to.
    pub paid: Paid,
    /// The answer and what the run does next, in a word; none for a question beside the conversation.
    pub said: Option<(EventKind, String)>,
}

impl Entry for CallPaid {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut pen: RunWriter,
        _: Within,
    ) -> Result<Done<()>, EngineError> {
        self.paid.write(tx)?;
        if let Some((answer, activity)) = self.said {
            pen.append(tx, answer)?;
            pen.run.activity = activity;
        }
        save(tx, pen, ())
    }
}

/// A call that was cut off and is not written down yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CutOff {
    /// Its number in the run.
    pub call: u32,
    /// What was held back for it.
    pub reservation: ReservationId,
    /// What it may have cost.
    pub spent: Spent,
    /// The words that had come.
    pub piece: Option<EventKind>,
}

impl CutOff {
    /// Books what it may have cost, keeps the words that had come, and notes that a stop ended the answer there.
    pub(super) fn write(
        self,
        tx: &mut WriteTx<'_>,
        pen: &mut RunWriter,
    ) -> Result<(), EngineError> {
        let why = "cut off while the model was answering".to_owned();
        self.note(tx, pen, false, ("stopped".to_owned(), why, None))
    }

    /// The same for any reason: its class, its words, and when the call is tried again.
    fn note(
        self,
        tx: &mut WriteTx<'_>,
        pen: &mut RunWriter,
        is_free: bool,
        (class, message, retry_at): (String, String, Option<Timestamp>),
    ) -> Result<(), EngineError> {
        let Self { call, reservation, spent, piece } = self;
        match is_free {
            // It was begun before the line was cut.
            _ if money::grants::is_at_home(tx, reservation)? => {}
            true => money::release(tx, reservation)?,
            false => drop(money::book_lost(tx, reservation, spent)?),
        }
        if let Some(piece) = piece {
            pen.append(tx, piece)?;
        }
        pen.append(tx, EventKind::CallFailed { call, class, message, retry_at })?;
        Ok(())
    }
}

/// A call failed; until `again` the run waits in its slot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallFailed {
    /// The call.
    pub cut_off: CutOff,
    /// Whether nobody is paid for it.
    pub is_free: bool,
    /// The class of the error.
    pub class: String,
    /// What it said.
    pub message: String,
    /// When it is tried again.
    #[serde(with = "millisecond::optional")]
    pub again: Option<Timestamp>,
}

impl Entry for CallFailed {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        mut pen: RunWriter,
        _: Within,
    ) -> Result<Done<()>, EngineError> {
        let Self { cut_off, is_free, class, message, again } = self;
        if let Some(until) = again {
            pen.hold(tx, until, message.clone());
        }
        cut_off.note(tx, &mut pen, is_free, (class, message, again))?;
        save(tx, pen, ())
    }
}

/// How the answer of a reviewer is booked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Booked {
    /// It came.
    Answered(Spent),
    /// Nobody knows its end.
    Lost(Spent),
    /// It never began.
    Free,
}

/// The question to a reviewer is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReviewBooked {
    /// What was held back for it.
    pub reservation: ReservationId,
    /// What it came to.
    pub booked: Booked,
}

impl Entry for ReviewBooked {
    type Answer = ();
    const PLACE: Place = Place::Journal;

    fn write(
        self,
        tx: &mut WriteTx<'_>,
        pen: RunWriter,
        _: Within,
    ) -> Result<Done<()>, EngineError> {
        match self.booked {
            _ if money::grants::is_at_home(tx, self.reservation)? => {}
            Booked::Answered(spent) => drop(money::settle(tx, self.reservation, spent)?),
            Booked::Lost(spent) => drop(money::book_lost(tx, self.reservation, spent)?),
            Booked::Free => money::release(tx, self.reservation)?,
        }
        save(tx, pen, ())
    }
}
