//! Costs of calls outside of runs, such as connection tests and embeddings: reserved before, booked afterwards. Only
//! the workspace's budgets pay them.

use jiff::SignedDuration;

use crate::connections::model::Connection;
use crate::connections::queries as connections;
use crate::usage::model::{Reservation, Usage};
use crate::usage::queries as usage;
use crate::usage::queries::budgets;
use crate::usage::queries::prices::{self, Offered};
use kernel::{CallEnd, CallKind, ConnectionId, Payer, PricedBy, ReservationId, Route};
use providers::bound::{self, Left, Purpose, Size};
use providers::catalog::{self, Model, Price};
use providers::model::Usage as Tokens;
use providers::trial;
use store::{ReadExt, StoreError, WriteTx};

use super::ConnectionError;

/// How long the reservation of a call with unknown end is kept: the call takes at most two minutes, and its provider
/// may still be generating.
const LINGER: SignedDuration = SignedDuration::from_mins(10);

/// Usage of such a call.
#[derive(Clone, Debug)]
pub struct Spent {
    pub kind: CallKind,
    /// The provider's stable word.
    pub provider: &'static str,
    /// The requested model.
    pub requested: String,
    /// The model that answered.
    pub model: String,
    /// As counted by the server, if it counts.
    pub tokens: Option<Tokens>,
    /// Known properties of the requested model, with its price at the connection.
    pub known: Model,
    pub end: CallEnd,
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reserves the maximum cost of a test. An unsettled reservation expires.
///
/// # Errors
/// `OverBudget` if the workspace's budgets cannot pay it, `NotFound` if the connection was removed meanwhile.
pub fn hold(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    call: &Spent,
    heeds_limit: bool,
) -> Result<ReservationId, ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let (model, priced_by) = counted(tx, &connection, call)?;
    let ratio = usage::ratio(tx, Some(id), &model.id)?;
    let (mut micros, mut sent, mut tokens) = (0_u64, 0_u64, 0_u64);
    for (size, most) in trial(&call.requested) {
        let input = size.tokens(&model, ratio);
        let bound = match heeds_limit {
            true => bound::bound(&model, input, most, Left::default(), Purpose::WrapUp),
            false => bound::whole(&model, input, Left::default()),
        };
        let bound = bound.map_err(|_| ConnectionError::OverBudget)?;
        micros = micros.saturating_add(bound.micros.unwrap_or(0));
        (sent, tokens) = (sent.saturating_add(input), tokens.saturating_add(bound.tokens()));
    }
    let most = Most { micros: whole(micros), tokens: whole(tokens), sent };
    keep(tx, &connection, call, ((model, priced_by), most))
}

/// Reserves the maximum cost of embedding texts of this size; there is no output.
///
/// # Errors
/// As [`hold`].
pub fn hold_sent(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    call: &Spent,
    size: Size,
) -> Result<ReservationId, ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let (model, priced_by) = counted(tx, &connection, call)?;
    let ratio = usage::ratio(tx, Some(id), &model.id)?;
    let sent = size.tokens(&model, ratio);
    let as_input = Tokens { input: sent, ..Tokens::default() };
    let micros = usage::bill(&model, &as_input).unwrap_or(0);
    let most = Most { micros, tokens: whole(sent), sent };
    keep(tx, &connection, call, ((model, priced_by), most))
}

/// Maximum cost and tokens of a call.
struct Most {
    micros: i64,
    tokens: i64,
    /// Tokens sent.
    sent: u64,
}

fn keep(
    tx: &mut WriteTx<'_>,
    connection: &Connection,
    call: &Spent,
    ((model, priced_by), most): ((Model, PricedBy), Most),
) -> Result<ReservationId, ConnectionError> {
    let Most { micros, tokens, sent } = most;
    let standings = budgets::standings(tx, &[Payer::Workspace], tx.now())?;
    if budgets::lack(tx, &standings, micros, tokens)?.is_some() {
        return Err(ConnectionError::OverBudget);
    }
    let as_input = Tokens { input: sent, ..Tokens::default() };
    let held = Reservation {
        id: tx.new_id(),
        agent: None,
        run: None,
        call: 1,
        connection: Some(connection.id),
        provider: call.provider.to_owned(),
        model: model.id.clone(),
        micros,
        input_micros: usage::bill(&model, &as_input).unwrap_or(0).clamp(0, micros),
        tokens,
        input_tokens: whole(sent).min(tokens),
        priced_by,
        route: connections::route(connection),
        kind: call.kind,
        payers: vec![Payer::Workspace],
        at: tx.now(),
        release_at: Some(tx.now() + LINGER),
    };
    tx.put(&held)?;
    Ok(held.id)
}

/// Books a call without other effects and releases its reservation.
///
/// # Errors
/// `NotFound` if the connection was removed meanwhile.
pub fn close(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    (held, call): (ReservationId, Spent),
) -> Result<(), ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    settle(tx, &connection, held, call)?;
    Ok(())
}

/// Books a call and releases its reservation. For a call that was cut off, the input counts and the rest stays
/// reserved for a while. For embeddings that the server did not count, the input counts too.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    connection: &Connection,
    held: ReservationId,
    mut call: Spent,
) -> Result<(), StoreError> {
    let row = tx.get::<Reservation>(held)?;
    let is_sent_alone = call.kind == CallKind::Embedding && call.end == CallEnd::Answered;
    let is_guessed = call.tokens.is_none();
    if is_guessed && (call.end == CallEnd::CutOff || is_sent_alone) {
        let input = row.as_ref().map_or(0, |row| row.input_tokens);
        let input = u64::try_from(input).unwrap_or(0);
        call.tokens = Some(Tokens { input, ..Tokens::default() });
    }
    let booked = book(tx, connection, (call, is_guessed))?;
    let Some(row) = row else { return Ok(()) };
    if booked.end != CallEnd::CutOff {
        tx.delete::<Reservation>(held)?;
        return Ok(());
    }
    let micros = row.micros.saturating_sub(booked.billed_micros.unwrap_or(0)).max(0);
    let tokens = row.tokens.saturating_sub(whole(booked.tokens().total())).max(0);
    tx.put(&Reservation { micros, tokens, input_micros: 0, input_tokens: 0, ..row })
}

/// The model with its effective price, and the source of the price. If a person has set a money limit and no price is
/// known, the highest known price is used, so that the limit holds.
fn counted(
    tx: &WriteTx<'_>,
    connection: &Connection,
    call: &Spent,
) -> Result<(Model, PricedBy), StoreError> {
    let (route, known) = (connections::route(connection), call.known.clone());
    if route == Route::Subscription {
        // A monthly subscription pays for it.
        let free = Model { price: Some(Price::default()), long: None, ..known };
        return Ok((free, PricedBy::Route));
    }
    let offered = Offered { name: &call.requested, connection: Some(connection.id), route };
    let entered = prices::of_model(tx, &call.requested)?;
    if let Some(entered) = prices::entered(&entered, offered, &known, tx.now()) {
        return Ok((entered, PricedBy::Person));
    }
    if known.price.is_some() {
        let is_listed = catalog::describe(&call.requested).price.is_some();
        let by = match route {
            _ if connection.price.is_some() && !is_listed => PricedBy::Person,
            Route::Api => PricedBy::Catalogue,
            _ => PricedBy::Route,
        };
        return Ok((known, by));
    }
    let standings = budgets::standings(tx, &[Payer::Workspace], tx.now())?;
    Ok(match budgets::is_limited(&standings) {
        true => {
            let price = Some(usage::dearest());
            (Model { price, long: None, ..known }, PricedBy::Dearest)
        }
        false => (known, PricedBy::Nobody),
    })
}

fn book(
    tx: &mut WriteTx<'_>,
    connection: &Connection,
    (call, is_guessed): (Spent, bool),
) -> Result<Usage, StoreError> {
    let (known, by) = counted(tx, connection, &call)?;
    let route = connections::route(connection);
    let tokens = usage::believed_tokens(call.tokens.unwrap_or_default());
    let listed = usage::bill(&catalog::describe(&call.model), &tokens);
    let billed_micros = match route {
        Route::Subscription => Some(0),
        _ if call.end == CallEnd::Refused => Some(0),
        _ => call.tokens.and_then(|_| usage::bill(&known, &tokens)),
    };
    let (billed_micros, listed) = (usage::believed(billed_micros), usage::believed(listed));
    let priced_by = if billed_micros.is_some() { by } else { PricedBy::Nobody };
    let list_micros = match route {
        Route::Subscription => listed,
        _ => listed.or(billed_micros),
    };
    let booked = Usage {
        id: tx.new_id(),
        agent: None,
        run: None,
        call: 1,
        task: None,
        connection: Some(connection.id),
        provider: call.provider.to_owned(),
        model: call.model,
        input: tokens.input,
        cache_read: tokens.cache_read,
        cache_write: tokens.cache_write,
        cache_write_1h: tokens.cache_write_1h,
        output: tokens.output,
        reasoning: tokens.reasoning,
        billed_micros,
        list_micros: list_micros.filter(|_| priced_by != PricedBy::Dearest),
        priced_by,
        route,
        kind: call.kind,
        end: call.end,
        estimated: match call.end {
            CallEnd::Refused => false,
            CallEnd::Answered => is_guessed,
            CallEnd::CutOff | CallEnd::Lost => true,
        },
        payers: vec![Payer::Workspace],
        at: tx.now(),
        gateway: None,
    };
    tx.put(&booked)?;
    Ok(booked)
}
