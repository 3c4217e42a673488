//! All writes of money: reserve before a call, settle after it, book what nobody saw the end of.

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

/// How long a provider may still be writing after HQ lost the connection: so long the rest of a
/// lost call's reservation stays.
pub const LINGER: SignedDuration = SignedDuration::from_mins(10);
/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callee {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    pub model: String,
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Reserve {
    pub agent: AgentId,
    pub run: RunId,
    /// The number of the call within the run.
    pub call: u32,
    pub kind: CallKind,
    /// Who is asked.
    pub callee: Callee,
    /// The most that it may cost, in micro-dollars.
    pub bound_micros: i64,
    /// What its input alone costs, for a call whose end is never known.
    pub input_micros: i64,
    /// The most tokens that it may take, sent and received.
    pub bound_tokens: i64,
    /// Of those, sent.
    pub input_tokens: i64,
}

/// Holds back the most that a call may cost.
///
/// # Errors
/// `OverBudget` with the tightest budget when booked + reserved + bound > limit.
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
    // By the id of a run its grant is held back.
    let is_run = tx.get::<Run>(RunId::from_uuid(id.uuid()))?.is_some();
    if is_run || tx.get::<Reservation>(id)?.is_some() {
        return Err(UsageError::Settled(id));
    }
    if waiting::of_run(tx, call.run)?.is_some() {
        tx.delete::<BudgetWait>(call.run)?;
    }
    let route = route(tx, call.callee.connection)?;
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

/// On which way a connection is paid.
fn route(tx: &WriteTx<'_>, connection: Option<ConnectionId>) -> Result<Route, UsageError> {
    let Some(id) = connection else { return Ok(Route::Practice) };
    let connection = tx.get::<Connection>(id)?;
    Ok(connection.map_or(Route::Api, |connection| connections::route(&connection)))
}

/// A call that the engine would like to make.
pub struct Ask<'a> {
    pub agent: AgentId,
    pub run: RunId,
    /// The number of the call within the run.
    pub call: u32,
    /// What it is for; a wrap-up may use what is kept back for it.
    pub kind: CallKind,
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: &'a str,
    /// The model's name as it is asked for.
    pub name: &'a str,
    /// What is known of the model, with its price as the connection has it.
    pub model: &'a Model,
    /// How large the request is.
    pub size: Size,
    /// The most output tokens that the agent is set to.
    pub max_output: u32,
    /// Whether its server heeds such a limit, as far as is known.
    pub heeds_limit: bool,
    /// What it costs in percent of a usual call.
    pub percent: u32,
    /// By which id its money is held back, where whoever asks has to know that before; else by a new one.
    pub id: Option<ReservationId>,
}

/// A call that may be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admitted {
    /// What is held back for it.
    pub reservation: ReservationId,
    /// The most input and output tokens; `bound.max_output` is what to send as the output limit.
    pub bound: Bound,
    /// What is held back, in micro-dollars.
    pub micros: i64,
    /// The model with the price that counts: settle with it.
    pub model: Model,
    /// The same with the price of a usual call, for one that was asked to be answered sooner.
    usual: Option<Box<Model>>,
    /// How its bytes became tokens.
    pub ratio: Ratio,
}

impl Admitted {
    /// The model with the price of the tier in which it was answered, where that is known; `percent` is what a
    /// call costs that is answered sooner.
    #[must_use]
    pub fn priced(&self, sooner: Option<bool>, percent: u32) -> Cow<'_, Model> {
        match (sooner, self.usual.as_deref()) {
            (Some(false), Some(usual)) => Cow::Borrowed(usual),
            // Nobody asked for it here; the account is set so.
            (Some(true), None) if percent != 100 => {
                Cow::Owned(self.model.clone().at_percent(percent))
            }
            _ => Cow::Borrowed(&self.model),
        }
    }
}

/// Computes the bound of a call from what the tightest budget can still pay, and reserves it. On a host that is what was
/// granted to the run.
///
/// # Errors
/// `OverBudget` when not even a short answer can be paid; on a host `Ungranted`.
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

/// A call as far as it is known before it is made.
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

/// Measures a call of which so much can be paid.
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
    let bound = match ask.heeds_limit {
        true => bound::bound(&model, input, ask.max_output, left, purpose),
        false => bound::whole(&model, input, left),
    };
    let bound = match bound {
        Ok(bound) => bound,
        Err(small) => return Ok(Err(small)),
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
        bound_micros: whole(bound.micros.unwrap_or(0)),
        input_micros: input_micros(&model, input),
        bound_tokens: whole(bound.tokens()),
        input_tokens: whole(input),
    };
    Ok(Ok(Measured { reserve, bound, model, usual, ratio }))
}

/// What the input of a call may cost at most.
fn input_micros(model: &Model, input: u64) -> i64 {
    let dearest = Tokens { cache_write: input, ..Tokens::default() };
    let as_input = Tokens { input, ..Tokens::default() };
    queries::bill(model, &dearest).max(queries::bill(model, &as_input)).unwrap_or(0)
}

/// The model as budgets count it, and where its price comes from: what people entered as it holds at
/// this moment, else what is known otherwise. Where somebody has set a limit of money and no price is known,
/// the dearest known price counts, so that it limits. What the workspace gives every run does not.
fn counted(
    tx: &WriteTx<'_>,
    ask: &Ask<'_>,
    is_limited: bool,
) -> Result<(Model, PricedBy), UsageError> {
    let route = route(tx, ask.connection)?;
    let model = ask.model.clone();
    if route == Route::Subscription {
        // It is paid for by the month.
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
    // What is too small for a bound has less left than that needs.
    let lack = lack.ok_or(UsageError::BadAmount { field: "limit" })?;
    Ok(UsageError::OverBudget(Box::new(lack)))
}

/// Notes that a run waits for a budget: what it needs, and once in each period that the budget is
/// reached. Answers the sentence that says so and when it goes on by itself.
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

/// A run that has ended waits for nothing.
pub fn wait_over(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    if waiting::of_run(tx, run)?.is_some() {
        tx.delete::<BudgetWait>(run)?;
    }
    Ok(())
}

fn whole(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The provider's stable word.
    pub provider: String,
    pub model: String,
    /// What the provider counted, or what is guessed.
    pub tokens: Tokens,
    /// Whether the provider counted it.
    pub counted: bool,
    /// What it cost, in micro-dollars; none when no price is known.
    pub billed_micros: Option<i64>,
    /// How large the request was, to learn how many tokens its bytes really were.
    pub size: Option<Size>,
}

impl Spent {
    /// A call that came to nothing.
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

/// Books what a call cost and gives back what was held for it.
///
/// # Errors
/// `Settled` when the reservation is gone.
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

/// Gives back what was held for a call that the provider refused or that never arrived: nothing was
/// spent, and that it was tried stands in the record.
///
/// # Errors
/// `Settled` when the reservation is gone.
pub fn release(tx: &mut WriteTx<'_>, reservation: ReservationId) -> Result<(), UsageError> {
    let held = held(tx, reservation)?;
    let spent = Spent::nothing(&held);
    book(tx, &held, spent, CallEnd::Refused)?;
    tx.delete::<Reservation>(held.id)?;
    Ok(())
}

/// Books a call whose end nobody knows: its input as the provider had counted it, else as estimated, and the
/// output that had come. The rest of what was held stays for [`LINGER`], because the provider may still be writing; not
/// money at a price that nobody knows.
///
/// # Errors
/// `Settled` when the reservation is gone.
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
        // The provider had said how much was sent before it broke off.
        Some(billed) if spent.counted => Some(billed),
        Some(billed) => Some(billed.max(held.input_micros)),
        None => (held.micros > 0).then_some(held.input_micros),
    };
    let spent = Spent { billed_micros: billed, ..spent };
    let usage = book(tx, &held, spent, end)?;
    held.micros = match held.priced_by {
        // The dearest price was put in for one that nobody knows: what is left of it is no money that the provider may
        // still ask for, and held on it would leave nothing for the same call made again.
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

/// Books the calls of a run of which nobody saw the end: a crash, or a stop that could not wait for
/// it.
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

/// A reservation of a call that still runs; one that only lingers is settled.
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
        // What a subscription pays says nothing of what it would have cost.
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

/// What the catalogue asks for a call, also where a subscription pays it; none when it does not know the
/// model, and nothing where no maker is paid.
fn listed(route: Route, spent: &Spent) -> Option<i64> {
    match route {
        Route::Own | Route::Practice => Some(0),
        Route::Api | Route::Subscription => {
            queries::bill(&catalog::describe(&spent.model), &spent.tokens)
        }
    }
}

/// Raises the ratio of a model when a request had more tokens than its bytes let expect.
/// Kept under the name that was asked for, by which it is looked up: a router answers with another.
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

/// Removes reservations that only lingered and are over.
fn sweep(tx: &mut WriteTx<'_>) -> Result<(), UsageError> {
    let now = tx.now();
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    for over in all.into_iter().filter(|r| r.is_over(now)) {
        tx.delete::<Reservation>(over.id)?;
    }
    Ok(())
}
