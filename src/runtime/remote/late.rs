//! On the primary: adjusts the offline budget of runs by what hosts write. Also keeps what a host reports after its run
//! was taken away, as evidence for people that is never applied.

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Body, EventKind, Evidence as Row, Run};
use features::runs::queries::evidence as kept;
use features::runs::rules::evidence;
use features::usage::model::grant::RunGrant;
use features::usage::rules::Spent;
use features::usage::rules::grants::{self, Committed, Terms};
use gateways::model::{CUT_HOURS, GRANT_MICROS, Gateway};
use kernel::text::cut;
use kernel::time::from_ms;
use kernel::{Actor, Cause, GatewayId, ReservationId, RunId, Timestamp};
use store::{Read, ReadExt, WriteTx};

use super::at_home::is_its;
use crate::EngineError;
use crate::command::calls::{Booked, CutOff, Paid, Question};
use crate::command::{About, Command, JournalCommand};

/// Largest piece of evidence, in bytes.
const MOST: usize = 64 * 1024;

/// The effect of a command on the grant (offline budget) of its run.
#[derive(Clone, Copy)]
pub(super) enum Moves {
    Nothing,
    /// The grant is refilled, or returned at the end of the work.
    Fits(RunId),
    /// A call that was made offline is taken from the grant.
    Draws(RunId),
}

/// The same, with the state before the command.
pub(super) enum Moving {
    Nothing,
    Fits(RunId),
    Draws(RunId, Committed),
}

impl Moves {
    pub(super) fn of(command: &Command) -> Self {
        let (hand, line) = match command {
            Command::Entry { hand, line } => (hand, line),
            Command::Order(order) => match order.about() {
                About::Run(run) => return Self::Fits(run),
                _ => return Self::Nothing,
            },
        };
        let is_plain = matches!(
            line,
            JournalCommand::Append(_)
                | JournalCommand::StepBegun(_)
                | JournalCommand::Results(_)
                | JournalCommand::Told(_)
                | JournalCommand::Held(_)
        );
        match hand.cut {
            Some(_) if is_plain => Self::Nothing,
            Some(_) => Self::Draws(hand.run),
            None if is_plain && hand.first.is_none() => Self::Nothing,
            None => Self::Fits(hand.run),
        }
    }

    pub(super) fn begin(self, tx: &WriteTx<'_>) -> Result<Moving, EngineError> {
        Ok(match self {
            Self::Nothing => Moving::Nothing,
            Self::Fits(run) => Moving::Fits(run),
            Self::Draws(run) => Moving::Draws(run, grants::committed(tx, run, tx.now())?),
        })
    }
}

impl Moving {
    pub(super) fn end(self, tx: &mut WriteTx<'_>, from: GatewayId) -> Result<(), EngineError> {
        match self {
            Self::Nothing => {}
            Self::Fits(run) => {
                let gateway = tx.get::<Gateway>(from)?;
                let (micros, hours) = gateway.map_or((GRANT_MICROS, CUT_HOURS), |gateway| {
                    (gateway.grant_micros, gateway.cut_hours)
                });
                grants::fit(tx, run, Terms { gateway: from, micros, hours })?;
            }
            Self::Draws(run, before) => grants::drawn(tx, run, before)?,
        }
        Ok(())
    }
}

/// The record of a command that came too late.
pub(super) struct Evidence {
    run: RunId,
    epoch: u64,
    number: u64,
    /// The time of writing, if the host was offline.
    at: Option<Timestamp>,
    kind: String,
    text: String,
    spent: Option<Cost>,
    /// The reservation of a call that the command starts, and its amount in micro-dollars.
    begun: Option<(ReservationId, i64)>,
}

/// The cost of a call.
struct Cost {
    held: ReservationId,
    /// Its number in the run; 0 if unknown.
    call: u32,
    spent: Spent,
}

/// Returns `false` if a command names a reservation of another run.
pub(super) fn is_its_money(tx: &dyn Read, command: &Command) -> Result<bool, EngineError> {
    let Command::Entry { hand, line } = command else { return Ok(true) };
    for held in names(line).into_iter().flatten() {
        if grants::is_anothers(tx, hand.run, held)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The reservations that an entry names or makes.
fn names(line: &JournalCommand) -> [Option<ReservationId>; 2] {
    let reservations = |question: &Question| {
        [question.id, question.admitted.as_ref().map(|admitted| admitted.reservation)]
    };
    let held = match line {
        JournalCommand::CallBegun(one) => return reservations(&one.question),
        JournalCommand::QuestionBegun(one) => return reservations(&one.question),
        JournalCommand::ReviewBegun(one) => return reservations(&one.question),
        JournalCommand::CallPaid(one) => Some(one.paid.reservation),
        JournalCommand::LastWord(one) => Some(one.paid.reservation),
        JournalCommand::NotKept(one) => Some(one.paid.reservation),
        JournalCommand::Stopped(one) => one.cut_off.as_ref().map(|cut| cut.reservation),
        JournalCommand::CallFailed(one) => Some(one.cut_off.reservation),
        JournalCommand::ReviewBooked(one) => Some(one.reservation),
        _ => None,
    };
    [held, None]
}

impl Evidence {
    /// For commands written offline, and for commands with a cost.
    pub(super) fn of(command: &Command) -> Option<Self> {
        let Command::Entry { hand, line } = command else { return None };
        let (at, spent) = (hand.cut.map(from_ms), spent(line));
        if at.is_none() && spent.is_none() {
            return None;
        }
        let (kind, text) = describe(line);
        let text = cut(&text, MOST).to_owned();
        let (run, epoch, number) = (hand.run, hand.epoch, hand.number);
        Some(Self { run, epoch, number, at, kind, text, spent, begun: begun(line) })
    }

    /// Stores the evidence with its run, if the run was this host's, and books the reported cost.
    pub(super) async fn keep(self, ws: &Ws, from: GatewayId) -> Result<(), EngineError> {
        let keep = move |tx: &mut WriteTx<'_>| {
            let Self { run, epoch, number, at, kind, text, spent, begun } = self;
            let Some(one) = tx.get::<Run>(run)? else { return Ok(()) };
            // The command was applied and is a repetition.
            if epoch == one.epoch && number <= one.applied {
                return Ok(());
            }
            let grant = tx.get::<RunGrant>(run)?;
            let was_its = grant.as_ref().is_some_and(|grant| grant.gateway == from);
            let is_there = tx.get::<Agent>(one.agent)?.is_some() && is_its(&*tx, from, one.agent)?;
            if !was_its && !is_there {
                return Ok(());
            }
            // Commands of a run that was not offline need no evidence.
            let is_lost = grant.is_some_and(|grant| grant.lost.is_some());
            if at.is_none() && !is_lost && !kept::has(tx, run, 1)? {
                return Ok(());
            }
            let at = at.unwrap_or_else(|| tx.now());
            let row = Row { run, number, kind, text, at, came_at: tx.now() };
            if !evidence::keep(tx, row, spent.is_some())? {
                return Ok(());
            }
            if let Some(Cost { held, call, spent }) = spent {
                grants::settle_reported(tx, run, (held, call), spent)?;
            }
            if let Some(begun) = begun {
                grants::under_way(tx, run, begun)?;
            }
            Ok::<_, EngineError>(())
        };
        ws.store.write(Actor::Gateway(from), Cause::Timer, keep).await
    }
}

/// The reservation and amount of a call that the entry starts.
fn begun(line: &JournalCommand) -> Option<(ReservationId, i64)> {
    let question = match line {
        JournalCommand::CallBegun(one) => &one.question,
        JournalCommand::QuestionBegun(one) => &one.question,
        JournalCommand::ReviewBegun(one) => &one.question,
        _ => return None,
    };
    question.admitted.as_ref().map(|admitted| (admitted.reservation, admitted.micros))
}

/// The cost of a call, if the entry reports one.
fn spent(line: &JournalCommand) -> Option<Cost> {
    let cost = |held: ReservationId, call: u32, spent: &Spent| {
        Some(Cost { held, call, spent: spent.clone() })
    };
    let paid = |paid: &Paid, event: Option<&EventKind>| {
        let call = match event {
            Some(EventKind::Assistant { call, .. }) => *call,
            _ => 0,
        };
        cost(paid.reservation, call, &paid.spent)
    };
    let cut_off = |cut: &CutOff| cost(cut.reservation, cut.call, &cut.spent);
    match line {
        JournalCommand::CallPaid(one) => paid(&one.paid, one.said.as_ref().map(|(event, _)| event)),
        JournalCommand::LastWord(one) => paid(&one.paid, Some(&one.answer)),
        JournalCommand::NotKept(one) => cost(one.paid.reservation, one.call, &one.paid.spent),
        JournalCommand::Stopped(one) => one.cut_off.as_ref().and_then(cut_off),
        JournalCommand::CallFailed(failed) if !failed.is_free => cut_off(&failed.cut_off),
        JournalCommand::ReviewBooked(review) => match &review.booked {
            Booked::Answered(spent) | Booked::Lost(spent) => cost(review.reservation, 0, spent),
            Booked::Free => None,
        },
        _ => None,
    }
}

/// The kind and the content of a command, for people.
fn describe(line: &JournalCommand) -> (String, String) {
    let (kind, events): (&str, Vec<&EventKind>) = match line {
        JournalCommand::Append(one) => ("events", one.events.iter().collect()),
        JournalCommand::StepBegun(one) => ("step_begun", vec![&one.begun]),
        JournalCommand::Results(one) => ("results", one.events.iter().collect()),
        JournalCommand::Told(one) => ("told", one.events.iter().collect()),
        JournalCommand::CallBegun(one) => ("call_begun", one.switched.iter().collect()),
        JournalCommand::CallPaid(one) => {
            ("call_paid", one.said.iter().map(|(event, _)| event).collect())
        }
        JournalCommand::CallFailed(one) => ("call_failed", one.cut_off.piece.iter().collect()),
        JournalCommand::QuestionBegun(_) => ("question_begun", Vec::new()),
        JournalCommand::ReviewBegun(_) => ("review_begun", Vec::new()),
        JournalCommand::ReviewBooked(_) => ("review_booked", Vec::new()),
        JournalCommand::Held(one) => ("held", one.events.iter().collect()),
        JournalCommand::LastWord(one) => {
            ("last_word", [&one.answer].into_iter().chain(&one.committed).collect())
        }
        JournalCommand::NotKept(one) => ("not_kept", one.committed.iter().collect()),
        JournalCommand::Stopped(one) => {
            let piece = one.cut_off.iter().filter_map(|cut| cut.piece.as_ref());
            ("stopped", piece.chain(&one.committed).collect())
        }
        _ => ("other", Vec::new()),
    };
    let words: Vec<String> = events.into_iter().map(|event| kept::kept(&words(event))).collect();
    (kind.to_owned(), words.join("\n"))
}

fn words(event: &EventKind) -> String {
    let head = |body: &Body| body.head().to_owned();
    match event {
        EventKind::Assistant { parts, .. } => head(parts),
        EventKind::ToolStarted { name, .. } | EventKind::FilesStarted { name, .. } => name.clone(),
        EventKind::ToolFinished { name, result, .. } => format!("{name}: {}", result.head()),
        EventKind::Notice { text } => text.clone(),
        // ok: an event that cannot be serialised is left out.
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}
