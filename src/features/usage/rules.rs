//! All writes of costs: reserve before a call, settle after it, book calls whose end is unknown.

mod booked;
pub mod budgets;
pub mod counting;
pub mod daily;
mod error;
pub mod grants;
pub mod prices;

use std::borrow::Cow;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::connections::model::Connection;
use crate::connections::queries as connections;
use crate::runs::model::Run;
use kernel::{
    AgentId, CallEnd, CallKind, ConnectionId, Payer, PricedBy, ReservationId, Route, RunId,
    Timestamp, TypedId as _,
};
use providers::bound::{self, Bound, Left, Purpose, Ratio, Size};
use providers::catalog::{self, Model, Price};
use providers::model::Usage as Tokens;
use store::{Range, ReadExt, WriteTx};

use super::model::budget::BudgetWait;
use super::model::{Reservation, SeenRatio, Usage};
use super::queries::budgets::{Lack, Standing};
use super::queries::prices::Offered;
use super::queries::{self, budgets as standing, payers, prices as pricing, waiting};

pub use error::UsageError;

/// How long a provider may still be generating after HQ lost the connection. The rest of a lost call's reservation is
/// kept for this time.
pub const LINGER: SignedDuration = SignedDuration::from_mins(10);
/// Target of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callee {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    pub model: String,
}

/// Request for a reservation.
#[derive(Clone, Debug)]
pub struct Reserve {
    pub agent: AgentId,
    pub run: RunId,
    /// Number of the call in the run.
    pub call: u32,
    pub kind: CallKind,
    pub callee: Callee,
    /// Maximum cost in micro-dollars.
    pub bound_micros: i64,
    /// Cost of the input alone in micro-dollars, booked if the call's end stays unknown.
    pub input_micros: i64,
    /// Maximum tokens sent and received.
    pub bound_tokens: i64,
    /// Maximum tokens sent.
    pub input_tokens: i64,
}

/// Reserves the maximum cost of a call.
///
/// # Errors
/// `OverBudget` with the tightest budget if booked + reserved + bound > limit.
pub fn reserve(tx: &mut WriteTx<'_>, call: Reserve) -> Result<ReservationId, UsageError> {
    sweep(tx)?;
    let payers = payers::payers(tx, call.agent, call.run)?;
    let standings = standing::standings(tx, &payers, tx.now())?;
    let id = tx.new_id();
    hold(tx, (id, payers), &standings, call, PricedBy::Catalogue)
}

fn hold(
    tx: &mut WriteTx<'_>,
    (id, payers): (ReservationId, Vec<Payer>),
    standings: &[Standing],
    call: Reserve,
    priced_by: PricedBy,
) -> Result<ReservationId, UsageError> {
    let (bound, tokens) = (call.bound_micros.max(0), call.bound_tokens.max(0));
    if let Some(lack) = standing::lack(tx, standings, bound, tokens)? {
        return Err(UsageError::OverBudget(Box::new(lack)));
    }
    // A reservation with a run's id is the run's grant.
    let is_run = tx.get::<Run>(RunId::from_uuid(id.uuid()))?.is_some();
    if is_run || tx.get::<Reservation>(id)?.is_some() {
        return Err(UsageError::Settled(id));
    }
    if waiting::of_run(tx, call.run)?.is_some() {
        tx.delete::<BudgetWait>(call.run)?;
    }
    let route = match call.kind {
        // Search engines are paid, but have no connection.
        CallKind::Search => Route::Api,
        _ => route(tx, call.callee.connection)?,
    };
    let input_micros = call.input_micros.clamp(0, bound);
    let reservation = Reservation {
        id,
        agent: Some(call.agent),
        run: Some(call.run),
        call: call.call,
        connection: call.callee.connection,
        provider: call.callee.provider,
        model: call.callee.model,
        micros: bound,
        input_micros,
        tokens,
        input_tokens: call.input_tokens.clamp(0, tokens),
        priced_by,
        route,
        kind: call.kind,
        payers,
        at: tx.now(),
        release_at: None,
    };
    tx.put(&reservation)?;
    Ok(reservation.id)
}

/// Payment route of a connection.
fn route(tx: &WriteTx<'_>, connection: Option<ConnectionId>) -> Result<Route, UsageError> {
    let Some(id) = connection else { return Ok(Route::Practice) };
    let connection = tx.get::<Connection>(id)?;
    Ok(connection.map_or(Route::Api, |connection| connections::route(&connection)))
}

/// A call that the engine wants to make.
pub struct Ask<'a> {
    pub agent: AgentId,
    pub run: RunId,
    /// Number of the call in the run.
    pub call: u32,
    /// Purpose of the call. A wrap-up may use the amount set aside for it.
    pub kind: CallKind,
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: &'a str,
    /// Model name as sent to the provider.
    pub name: &'a str,
    /// Known properties of the model, with its price at the connection.
    pub model: &'a Model,
    /// Size of the request.
    pub size: Size,
    /// Maximum output tokens configured for the agent.
    pub max_output: u32,
    /// Whether the server is known to respect the output limit.
    pub heeds_limit: bool,
    /// Cost in percent of the normal price.
    pub percent: u32,
    /// Greatest price of the call besides its tokens, in micro-dollars.
    pub fee_micros: u64,
    /// Reservation id, if the caller needs to know it in advance; `None` for a new one.
    pub id: Option<ReservationId>,
}

/// A call that may be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admitted {
    pub reservation: ReservationId,
    /// Token bounds; send `bound.max_output` as the output limit.
    pub bound: Bound,
    /// Reserved micro-dollars.
    pub micros: i64,
    /// The model with the effective price; settle with it.
    pub model: Model,
    /// The model with the normal price, if the call was requested at fast speed.
    usual: Option<Box<Model>>,
    /// Ratio used to convert bytes to tokens.
    pub ratio: Ratio,
}

impl Admitted {
    /// The model with the price of the service tier that answered, if known. `percent` is the cost of a fast call.
    #[must_use]
    pub fn priced(&self, sooner: Option<bool>, percent: u32) -> Cow<'_, Model> {
        match (sooner, self.usual.as_deref()) {
            (Some(false), Some(usual)) => Cow::Borrowed(usual),
            // The account uses the fast tier although the call did not request it.
            (Some(true), None) if percent != 100 => {
                Cow::Owned(self.model.clone().at_percent(percent))
            }
            _ => Cow::Borrowed(&self.model),
        }
    }
}

/// Computes the bound of a call from what the tightest budget can still pay, and reserves it. On a host, the run's
/// grant takes the place of the budgets.
///
/// # Errors
/// `OverBudget` if not even a short answer can be paid; on a host `Ungranted`.
pub fn admit(tx: &mut WriteTx<'_>, ask: &Ask<'_>) -> Result<Admitted, UsageError> {
    sweep(tx)?;
    if tx.schema().is_mirror() {
        return grants::admit(tx, ask);
    }
    let payers = payers::payers(tx, ask.agent, ask.run)?;
    let standings = standing::standings_beside(tx, &payers, tx.now(), Some(ask.run))?;
    let (model, priced_by) = counted(tx, ask, standing::is_limited(&standings))?;
    let measured = match measured(tx, ask, model, standing::left(&standings))? {
        Ok(measured) => measured,
        Err(small) => return Err(too_small(tx, &standings, small)?),
    };
    let id = ask.id.unwrap_or_else(|| tx.new_id());
    hold(tx, (id, payers), &standings, measured.reserve.clone(), priced_by)?;
    Ok(measured.admitted(id))
}

/// A call measured before it is made.
struct Measured {
    reserve: Reserve,
    bound: Bound,
    model: Model,
    usual: Option<Box<Model>>,
    ratio: Ratio,
}

impl Measured {
    fn admitted(self, reservation: ReservationId) -> Admitted {
        let Self { reserve, bound, model, usual, ratio } = self;
        Admitted { reservation, bound, micros: reserve.bound_micros, model, usual, ratio }
    }
}

/// Measures a call that may cost at most `left`.
fn measured(
    tx: &WriteTx<'_>,
    ask: &Ask<'_>,
    model: Model,
    left: Left,
) -> Result<Result<Measured, bound::TooSmall>, UsageError> {
    let usual = (ask.percent != 100).then(|| Box::new(model.clone()));
    let model = model.at_percent(ask.percent);
    let ratio = queries::ratio(tx, ask.connection, &model.id)?;
    let input = ask.size.tokens(&model, ratio);
    let purpose = match ask.kind {
        CallKind::WrapUp => Purpose::WrapUp,
        _ => Purpose::Step,
    };
    let fee = ask.fee_micros;
    let left = Left { micros: left.micros.map(|micros| micros.saturating_sub(fee)), ..left };
    let bound = match ask.heeds_limit {
        true => bound::bound(&model, input, ask.max_output, left, purpose),
        false => bound::whole(&model, input, left),
    };
    let bound = match bound {
        Ok(bound) => bound,
        Err(small) => {
            let needed_micros = small.needed_micros.map(|micros| micros.saturating_add(fee));
            return Ok(Err(bound::TooSmall { needed_micros, ..small }));
        }
    };
    let reserve = Reserve {
        agent: ask.agent,
        run: ask.run,
        call: ask.call,
        kind: ask.kind,
        callee: Callee {
            connection: ask.connection,
            provider: ask.provider.to_owned(),
            model: ask.model.id.clone(),
        },
        bound_micros: whole(bound.micros.unwrap_or(0).saturating_add(fee)),
        input_micros: input_micros(&model, input).saturating_add(whole(fee)),
        bound_tokens: whole(bound.tokens()),
        input_tokens: whole(input),
    };
    Ok(Ok(Measured { reserve, bound, model, usual, ratio }))
}

/// Maximum cost of a call's input, in micro-dollars.
fn input_micros(model: &Model, input: u64) -> i64 {
    let dearest = Tokens { cache_write: input, ..Tokens::default() };
    let as_input = Tokens { input, ..Tokens::default() };
    queries::bill(model, &dearest).max(queries::bill(model, &as_input)).unwrap_or(0)
}

/// The model as budgets count it, and the source of its price: entered prices in effect, else built-in ones. If a
/// person has set a money limit and no price is known, the highest known price is used, so that the limit holds. The
/// workspace's default limit per run does not count.
fn counted(
    tx: &WriteTx<'_>,
    ask: &Ask<'_>,
    is_limited: bool,
) -> Result<(Model, PricedBy), UsageError> {
    let route = route(tx, ask.connection)?;
    let model = ask.model.clone();
    if route == Route::Subscription {
        // A monthly subscription pays for it.
        return Ok((Model { price: Some(Price::default()), long: None, ..model }, PricedBy::Route));
    }
    let offered = Offered { name: ask.name, connection: ask.connection, route };
    let prices = pricing::of_model(tx, ask.name)?;
    if let Some(entered) = pricing::entered(&prices, offered, &model, tx.now()) {
        return Ok((entered, PricedBy::Person));
    }
    if model.price.is_some() {
        let listed = catalog::describe(&model.id).price.is_some();
        let entered = match ask.connection {
            Some(id) if !listed => tx.get::<Connection>(id)?.is_some_and(|one| one.price.is_some()),
            _ => false,
        };
        let by = match route {
            _ if entered => PricedBy::Person,
            Route::Own | Route::Practice => PricedBy::Route,
            Route::Api | Route::Subscription => PricedBy::Catalogue,
        };
        return Ok((model, by));
    }
    if !is_limited {
        return Ok((model, PricedBy::Nobody));
    }
    let dearest = Model { price: Some(queries::dearest()), long: None, ..model };
    Ok((dearest, PricedBy::Dearest))
}

fn too_small(
    tx: &WriteTx<'_>,
    standings: &[Standing],
    small: bound::TooSmall,
) -> Result<UsageError, UsageError> {
    let micros = whole(small.needed_micros.unwrap_or(0));
    let tokens = whole(small.needed_tokens.unwrap_or(0));
    let lack = standing::lack(tx, standings, micros, tokens)?;
    // If the bound does not fit, some budget has less left than it needs.
    let lack = lack.ok_or(UsageError::BadAmount { field: "limit" })?;
    Ok(UsageError::OverBudget(Box::new(lack)))
}

/// Records that a run waits for a budget, and notifies once per period that the budget is reached. Returns the
/// message and the time at which the run resumes by itself.
pub fn wait(
    tx: &mut WriteTx<'_>,
    run: RunId,
    lack: &Lack,
) -> Result<(String, Option<Timestamp>), UsageError> {
    let (micros, tokens) = lack.needs();
    let (payer, period) = (lack.budget.payer, lack.budget.period);
    tx.put(&BudgetWait { run, payer, period, micros, tokens })?;
    budgets::tell_reached(tx, &lack.budget)?;
    let until = period.ends(tx.now());
    Ok((error::waits(lack, until), until))
}

/// Clears the budget wait of an ended run.
pub fn wait_over(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    if waiting::of_run(tx, run)?.is_some() {
        tx.delete::<BudgetWait>(run)?;
    }
    Ok(())
}

fn whole(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Actual usage of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    pub model: String,
    /// As counted by the provider, or estimated.
    pub tokens: Tokens,
    /// Whether the provider counted the tokens.
    pub counted: bool,
    /// Cost in micro-dollars; `None` if the price is unknown.
    pub billed_micros: Option<i64>,
    /// Size of the request, to learn the ratio of tokens to bytes.
    pub size: Option<Size>,
}

impl Spent {
    /// Usage of a call that never took place.
    fn nothing(held: &Reservation) -> Self {
        Self {
            connection: held.connection,
            provider: held.provider.clone(),
            model: held.model.clone(),
            tokens: Tokens::default(),
            counted: false,
            billed_micros: Some(0),
            size: None,
        }
    }
}

/// Books the cost of a call and releases its reservation.
///
/// # Errors
/// `Settled` if the reservation is gone.
pub fn settle(
    tx: &mut WriteTx<'_>,
    reservation: ReservationId,
    spent: Spent,
) -> Result<Usage, UsageError> {
    let held = held(tx, reservation)?;
    learn(tx, &held, &spent)?;
    let usage = book(tx, &held, spent, CallEnd::Answered)?;
    tx.delete::<Reservation>(held.id)?;
    Ok(usage)
}

/// Releases the reservation of a call that the provider refused or that never arrived. The attempt is recorded
/// without cost.
///
/// # Errors
/// `Settled` if the reservation is gone.
pub fn release(tx: &mut WriteTx<'_>, reservation: ReservationId) -> Result<(), UsageError> {
    let held = held(tx, reservation)?;
    let spent = Spent::nothing(&held);
    book(tx, &held, spent, CallEnd::Refused)?;
    tx.delete::<Reservation>(held.id)?;
    Ok(())
}

/// Books a call whose end is unknown: its input as counted by the provider or estimated, and the received output. The
/// rest of the reservation is kept for [`LINGER`], because the provider may still be generating, unless the price is
/// unknown.
///
/// # Errors
/// `Settled` if the reservation is gone.
pub fn book_lost(
    tx: &mut WriteTx<'_>,
    reservation: ReservationId,
    spent: Spent,
) -> Result<Usage, UsageError> {
    let held = held(tx, reservation)?;
    lose(tx, held, spent, CallEnd::CutOff)
}

fn lose(
    tx: &mut WriteTx<'_>,
    mut held: Reservation,
    spent: Spent,
    end: CallEnd,
) -> Result<Usage, UsageError> {
    let billed = match spent.billed_micros {
        // The provider reported the input tokens before the connection broke.
        Some(billed) if spent.counted => Some(billed),
        Some(billed) => Some(billed.max(held.input_micros)),
        None => (held.micros > 0).then_some(held.input_micros),
    };
    let spent = Spent { billed_micros: billed, ..spent };
    let usage = book(tx, &held, spent, end)?;
    held.micros = match held.priced_by {
        // The highest known price replaced an unknown one. The provider will not bill the rest, and keeping it
        // reserved would block a retry of the call.
        PricedBy::Dearest => 0,
        _ => held.micros.saturating_sub(billed.unwrap_or(0)).max(0),
    };
    held.tokens = held.tokens.saturating_sub(whole(usage.tokens().total())).max(0);
    (held.input_micros, held.input_tokens) = (0, 0);
    if held.micros == 0 && held.tokens == 0 {
        tx.delete::<Reservation>(held.id)?;
    } else {
        held.release_at = Some(tx.now() + LINGER);
        tx.put(&held)?;
    }
    Ok(usage)
}

/// Books the unfinished calls of a run after a crash, or after a stop that could not wait for them.
pub fn book_left(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    for held in queries::unsettled(tx, run)? {
        let input = u64::try_from(held.input_tokens).unwrap_or(0);
        let spent = Spent {
            tokens: Tokens { input, ..Tokens::default() },
            // A free model stays free; without a known price the cost stays unknown.
            billed_micros: (held.priced_by != PricedBy::Nobody).then_some(held.input_micros),
            ..Spent::nothing(&held)
        };
        lose(tx, held, spent, CallEnd::Lost)?;
    }
    Ok(())
}

/// The reservation of a running call. A lingering one counts as settled.
fn held(tx: &WriteTx<'_>, id: ReservationId) -> Result<Reservation, UsageError> {
    tx.get::<Reservation>(id)?
        .filter(|held| held.release_at.is_none())
        .ok_or(UsageError::Settled(id))
}

fn book(
    tx: &mut WriteTx<'_>,
    held: &Reservation,
    spent: Spent,
    end: CallEnd,
) -> Result<Usage, UsageError> {
    let run = |id: RunId| tx.get::<Run>(id)?.ok_or(UsageError::NoRun(id));
    let run = held.run.map(run).transpose()?;
    let spent = Spent { tokens: queries::believed_tokens(spent.tokens), ..spent };
    let billed_micros = queries::believed(spent.billed_micros);
    let estimated = end != CallEnd::Refused && (end != CallEnd::Answered || !spent.counted);
    let listed = match held.route {
        // A subscription's bill does not tell the list price.
        Route::Subscription => listed(held.route, &spent),
        _ => listed(held.route, &spent).or(billed_micros),
    };
    let usage = Usage {
        id: booked::id(tx, held.id)?,
        agent: held.agent,
        run: held.run,
        call: held.call,
        task: run.as_ref().and_then(|run| run.task),
        connection: spent.connection,
        provider: spent.provider,
        model: spent.model,
        input: spent.tokens.input,
        cache_read: spent.tokens.cache_read,
        cache_write: spent.tokens.cache_write,
        cache_write_1h: spent.tokens.cache_write_1h,
        output: spent.tokens.output,
        reasoning: spent.tokens.reasoning,
        billed_micros,
        list_micros: queries::believed(listed).filter(|_| held.priced_by != PricedBy::Dearest),
        priced_by: held.priced_by,
        route: held.route,
        kind: held.kind,
        end,
        estimated,
        payers: held.payers.clone(),
        at: tx.now(),
        gateway: run.and_then(|run| run.gateway),
    };
    tx.put(&usage)?;
    if !tx.schema().is_mirror() {
        budgets::watch(tx, &usage.payers)?;
    }
    Ok(usage)
}

/// Catalogue price of a call, also if a subscription pays; `None` if the model is not listed, 0 if no provider is
/// paid.
fn listed(route: Route, spent: &Spent) -> Option<i64> {
    match route {
        Route::Own | Route::Practice => Some(0),
        Route::Api | Route::Subscription => {
            queries::bill(&catalog::describe(&spent.model), &spent.tokens)
        }
    }
}

/// Raises the ratio of a model if a request had more tokens than its size suggested. Stored under the requested model
/// name, because a router may answer with another.
fn learn(tx: &mut WriteTx<'_>, held: &Reservation, spent: &Spent) -> Result<(), UsageError> {
    let Some(size) = spent.size else { return Ok(()) };
    let model = catalog::describe(&held.model);
    let pictures = size.images.saturating_mul(u64::from(model.image_tokens));
    let words = spent.tokens.input_total().saturating_sub(pictures);
    let known = queries::ratio(tx, held.connection, &model.id)?;
    let seen = known.observe(size.bytes, words);
    if seen > known {
        tracing::warn!(
            model = model.id,
            permille = seen.permille(),
            "a request had more tokens than expected"
        );
        let key = SeenRatio::key(held.connection, &model.id);
        tx.put(&SeenRatio { model: key, permille: seen.permille() })?;
    }
    Ok(())
}

/// Deletes expired reservations.
fn sweep(tx: &mut WriteTx<'_>) -> Result<(), UsageError> {
    let now = tx.now();
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    for over in all.into_iter().filter(|r| r.is_over(now)) {
        tx.delete::<Reservation>(over.id)?;
    }
    Ok(())
}
