//! Grants: what a run on another machine may spend while that machine is cut off. At home they are held back from every
//! budget of the run, so that what is booked, held back and granted never passes a limit; the machine admits calls by its
//! copy, and what it has spent is taken out of the grant when home hears of it.

use std::time::Duration;

use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::{
    CallEnd, CallKind, GatewayId, Payer, Period, PricedBy, ReservationId, Route, RunId, Timestamp,
};
use providers::bound::Left;
use store::{Range, Read, ReadExt, WriteTx};

use super::{
    Admitted, Ask, Callee, LINGER, Reserve, UsageError, counted, hold, input_micros, measured,
};
use super::{route, standing, whole};
use crate::runs::model::Run;
use crate::usage::model::grant::RunGrant;
use crate::usage::model::{BY_RUN, Reservation, Usage};
use crate::usage::queries::{self, payers};

/// So long it is kept whose machine a run was taken from, once nothing is booked in place of what it may have spent.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How many tokens a grant has where no price is known.
pub const TOKENS: i64 = 500_000;

/// What a gateway grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub gateway: GatewayId,
    /// How much a run has, in micro-dollars.
    pub micros: i64,
    /// For how many hours after the cut.
    pub hours: u32,
}

/// What of the money of a run is spent or held back for its calls: micro-dollars, and tokens.
pub type Committed = (i64, i64);

/// Gives a run that works on another machine its grant, or fills that up, as far as its budgets have it; a run that does not
/// work has none. Only while that machine is linked: what it has heard of it is never more than this.
pub fn fit(tx: &mut WriteTx<'_>, id: RunId, terms: Terms) -> Result<(), UsageError> {
    let Some(run) = tx.get::<Run>(id)?.filter(Run::is_at_work) else { return release(tx, id) };
    let payers = payers::payers(tx, run.agent, id)?;
    let standings = standing::standings_beside(tx, &payers, tx.now(), Some(id))?;
    let left = standing::left(&standings);
    let most = |left: Option<u64>, wanted: i64| left.map_or(wanted, |left| whole(left).min(wanted));
    let old = tx.get::<RunGrant>(id)?;
    let new = RunGrant {
        run: id,
        gateway: terms.gateway,
        micros: most(left.micros, terms.micros),
        tokens: most(left.tokens, TOKENS),
        counts_tokens: left.tokens.is_some(),
        is_limited: standing::is_limited(&standings),
        hours: terms.hours,
        payers,
        lost: None,
        at: old.map_or_else(|| tx.now(), |old| old.at),
    };
    tx.put(&new)?;
    Ok(())
}

/// A run needs its grant no more.
pub fn release(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    if tx.get::<RunGrant>(run)?.is_some_and(|grant| grant.lost.is_none()) {
        tx.delete::<RunGrant>(run)?;
    }
    Ok(())
}

/// What of the money of a run is spent or held back for its calls, beside its grant.
pub fn committed(tx: &dyn Read, run: RunId, now: Timestamp) -> Result<Committed, UsageError> {
    let (payer, own) = (Payer::Run(run), RunGrant::held_as(run));
    let mut all = (
        standing::spent(tx, payer, Period::Total, now)?,
        standing::tokens(tx, payer, Period::Total, now)?,
    );
    let held = queries::reservations(tx, now)?;
    for held in held.into_iter().filter(|held| held.run == Some(run) && held.id != own) {
        all.0 = all.0.saturating_add(held.micros);
        all.1 = all.1.saturating_add(held.tokens);
    }
    Ok(all)
}

/// Takes out of a grant what a call has moved that was made while the machine was cut off. `before` is what was committed
/// before home heard of it: all together stays as much as it was.
pub fn drawn(tx: &mut WriteTx<'_>, run: RunId, before: Committed) -> Result<(), UsageError> {
    let Some(grant) = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none()) else {
        return Ok(());
    };
    let now = committed(tx, run, tx.now())?;
    let rest = |granted: i64, before: i64, now: i64| {
        granted.saturating_add(before).saturating_sub(now).max(0)
    };
    let (micros, tokens) =
        (rest(grant.micros, before.0, now.0), rest(grant.tokens, before.1, now.1));
    tx.put(&RunGrant { micros, tokens, ..grant })?;
    Ok(())
}

/// Holds back the money of a call that was made while its machine was cut off: it was admitted there by the grant of its run,
/// and takes no more than that has. Without one it is asked about as any other.
///
/// # Errors
/// `Settled` when something is held back under its id already, `OverBudget` without a grant.
pub fn made(
    tx: &mut WriteTx<'_>,
    ask: &Ask<'_>,
    admitted: &Admitted,
) -> Result<Admitted, UsageError> {
    let grant = tx.get::<RunGrant>(ask.run)?.filter(|grant| grant.lost.is_none());
    let Some(grant) = grant else {
        return super::admit(tx, &Ask { id: Some(admitted.reservation), ..*ask });
    };
    let payers = payers::payers(tx, ask.agent, ask.run)?;
    let (_, priced_by) = counted(tx, ask, grant.is_limited)?;
    let input = admitted.bound.input;
    let tokens = whole(admitted.bound.tokens());
    let counts_tokens = grant.counts_tokens || admitted.model.price.is_none();
    let reserve = Reserve {
        agent: ask.agent,
        run: ask.run,
        call: ask.call,
        kind: ask.kind,
        callee: Callee {
            connection: ask.connection,
            provider: ask.provider.to_owned(),
            model: admitted.model.id.clone(),
        },
        bound_micros: queries::believed(Some(admitted.micros)).unwrap_or(0).min(grant.micros),
        input_micros: input_micros(&admitted.model, input),
        bound_tokens: if counts_tokens { tokens.min(grant.tokens) } else { tokens },
        input_tokens: whole(input),
    };
    hold(tx, (admitted.reservation, payers), &[], reserve, priced_by)?;
    Ok(admitted.clone())
}

/// Admits a call on the machine that is cut off.
pub(super) fn admit(tx: &mut WriteTx<'_>, ask: &Ask<'_>) -> Result<Admitted, UsageError> {
    let grant = left(tx, ask.run)?;
    let (model, priced_by) = counted(tx, ask, grant.is_limited)?;
    let is_priced = model.price.is_some();
    let most = |n: i64| u64::try_from(n).unwrap_or(0);
    let left = Left {
        micros: is_priced.then(|| most(grant.micros)),
        tokens: (grant.counts_tokens || !is_priced).then(|| most(grant.tokens)),
    };
    let Ok(measured) = measured(tx, ask, model, left)? else { return Err(UsageError::Ungranted) };
    let id = ask.id.unwrap_or_else(|| tx.new_id());
    hold(tx, (id, vec![Payer::Run(ask.run)]), &[], measured.reserve.clone(), priced_by)?;
    Ok(measured.admitted(id))
}

/// A grant with what is left of it on the machine that has it.
fn left(tx: &WriteTx<'_>, run: RunId) -> Result<RunGrant, UsageError> {
    let grant = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none());
    let grant = grant.ok_or(UsageError::Ungranted)?;
    let (mut micros, mut tokens) = (grant.micros, grant.tokens);
    let held: Vec<Reservation> = tx.list(&Range::all())?;
    for held in held.into_iter().filter(|held| held.run == Some(run)) {
        micros = micros.saturating_sub(held.micros);
        tokens = tokens.saturating_sub(held.tokens);
    }
    // Home has all other calls; those that lie here were made since the cut.
    for call in tx.scan::<Usage>(BY_RUN, &Range::prefix(KeyBuf::of(&run)))? {
        micros = micros.saturating_sub(call.billed_micros.unwrap_or(0));
        tokens = tokens.saturating_sub(whole(call.tokens().total()));
    }
    Ok(RunGrant { micros, tokens, ..grant })
}

/// How long a grant of so many hours holds after the cut.
#[must_use]
pub fn span(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3_600)
}

/// Whether a run may spend its grant on the machine that has it, which has been cut off for so long.
pub fn holds(tx: &dyn Read, run: RunId, cut_for: Duration) -> Result<bool, UsageError> {
    let grant = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none());
    Ok(grant.is_some_and(|grant| cut_for < span(grant.hours)))
}

/// How long after the cut the grants of all runs have ended on the machine that has them; none where it has none.
pub fn longest(tx: &dyn Read) -> Result<Option<Duration>, UsageError> {
    let grants: Vec<RunGrant> = tx.list(&Range::all())?;
    let hold = grants.iter().filter(|grant| grant.lost.is_none());
    Ok(hold.map(|grant| span(grant.hours)).max())
}

/// Whether what a run says to be held back for a call of its own is held back for another.
pub fn is_anothers(tx: &dyn Read, run: RunId, id: ReservationId) -> Result<bool, UsageError> {
    Ok(tx.get::<Reservation>(id)?.is_some_and(|held| held.run != Some(run)))
}

/// Whether the money of a call is held back at home alone: it was made before the line was cut.
pub fn is_at_home(tx: &WriteTx<'_>, id: ReservationId) -> Result<bool, UsageError> {
    Ok(tx.schema().is_mirror() && tx.get::<Reservation>(id)?.is_none())
}

/// Home has heard all of a run: what this machine kept of its money goes.
pub fn forget(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    let held: Vec<Reservation> = tx.list(&Range::all())?;
    for held in held.into_iter().filter(|held| held.run == Some(run)) {
        tx.delete::<Reservation>(held.id)?;
    }
    for call in tx.scan::<Usage>(BY_RUN, &Range::prefix(KeyBuf::of(&run)))? {
        tx.delete::<Usage>(call.id)?;
    }
    Ok(())
}

/// A run is taken away from a machine of which nothing is heard: all that it may have spent there is booked.
pub fn lose(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    let Some(grant) = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none()) else {
        return Ok(());
    };
    let connection = tx.get::<Run>(run)?.and_then(|run| run.connection);
    let micros = match route(tx, connection)? {
        Route::Api => grant.micros,
        // Nobody bills single calls there.
        Route::Own | Route::Practice | Route::Subscription => 0,
    };
    correct(tx, run, &grant.payers, micros)?;
    tx.put(&RunGrant { lost: Some(micros), micros: 0, tokens: 0, ..grant })?;
    Ok(())
}

/// That machine is back, and home has heard all that was written there: what was booked in place of what its runs may have
/// spent, and was not, is taken back.
pub fn regain(tx: &mut WriteTx<'_>, gateway: GatewayId) -> Result<(), UsageError> {
    let old = tx.now().checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    for grant in of_gateway(tx, gateway)? {
        if grant.lost == Some(0) && grant.at < old {
            tx.delete::<RunGrant>(grant.run)?;
        } else {
            take_back(tx, grant, i64::MAX)?;
        }
    }
    Ok(())
}

/// That machine is back, and what was written there is lost: nobody can say any more what its runs have spent, and what was
/// booked in place of it stays.
pub fn write_off(tx: &mut WriteTx<'_>, gateway: GatewayId) -> Result<(), UsageError> {
    for grant in of_gateway(tx, gateway)? {
        if grant.lost.is_some_and(|lost| 0 < lost) {
            tx.put(&RunGrant { lost: Some(0), ..grant })?;
        }
    }
    Ok(())
}

fn of_gateway(tx: &dyn Read, gateway: GatewayId) -> Result<Vec<RunGrant>, UsageError> {
    let mut grants: Vec<RunGrant> = tx.list(&Range::all())?;
    grants.retain(|grant| grant.gateway == gateway);
    Ok(grants)
}

/// A call is under way that such a machine has begun: its money is held back by itself until its end is told, or long after.
/// What is booked in place of what its run may have spent is less by that.
pub fn under_way(
    tx: &mut WriteTx<'_>,
    run: RunId,
    (held, micros): (ReservationId, i64),
) -> Result<(), UsageError> {
    let Some(grant) = tx.get::<RunGrant>(run)? else { return Ok(()) };
    let lost = grant.lost.unwrap_or(0);
    let micros = queries::believed(Some(micros)).unwrap_or(0).min(lost);
    if micros <= 0 || tx.get::<Reservation>(held)?.is_some() {
        return Ok(());
    }
    let one = tx.get::<Run>(run)?.ok_or(UsageError::NoRun(run))?;
    let (id, payers) = (held, grant.payers.clone());
    let held = late(tx, &one, (id, 0), (Route::Api, payers));
    tx.put(&Reservation { micros, release_at: Some(tx.now() + LINGER), ..held })?;
    take_back(tx, grant, micros)
}

/// What is held back for a call that such a machine has made: nothing yet.
fn late(
    tx: &WriteTx<'_>,
    run: &Run,
    (id, call): (ReservationId, u32),
    (route, payers): (Route, Vec<Payer>),
) -> Reservation {
    Reservation {
        id,
        agent: Some(run.agent),
        run: Some(run.id),
        call,
        connection: None,
        provider: String::new(),
        model: String::new(),
        micros: 0,
        input_micros: 0,
        tokens: 0,
        input_tokens: 0,
        priced_by: PricedBy::Dearest,
        route,
        kind: CallKind::Step,
        payers,
        at: tx.now(),
        release_at: None,
    }
}

/// Takes back so much of what was booked in place of what a run may have spent, as far as that goes.
fn take_back(tx: &mut WriteTx<'_>, grant: RunGrant, micros: i64) -> Result<(), UsageError> {
    let Some(lost) = grant.lost.filter(|lost| 0 < *lost) else { return Ok(()) };
    let known = micros.clamp(0, lost);
    correct(tx, grant.run, &grant.payers, -known)?;
    tx.put(&RunGrant { lost: Some(lost - known), ..grant })?;
    Ok(())
}

/// Books more in place of what a run may have spent, while it is not known what that is.
fn add(tx: &mut WriteTx<'_>, grant: RunGrant, micros: i64) -> Result<(), UsageError> {
    let Some(lost) = grant.lost.filter(|lost| 0 < *lost && 0 < micros) else { return Ok(()) };
    correct(tx, grant.run, &grant.payers, micros)?;
    tx.put(&RunGrant { lost: Some(lost.saturating_add(micros)), ..grant })?;
    Ok(())
}

/// Books so much for a run beside its calls.
fn correct(
    tx: &mut WriteTx<'_>,
    run: RunId,
    payers: &[Payer],
    micros: i64,
) -> Result<(), UsageError> {
    if micros == 0 {
        return Ok(());
    }
    let run = tx.get::<Run>(run)?.ok_or(UsageError::NoRun(run))?;
    tx.put(&Usage {
        id: tx.new_id(),
        agent: Some(run.agent),
        run: Some(run.id),
        call: 0,
        task: run.task,
        connection: run.connection,
        provider: String::new(),
        model: run.model,
        input: 0,
        cache_read: 0,
        cache_write: 0,
        cache_write_1h: 0,
        output: 0,
        reasoning: 0,
        billed_micros: Some(micros),
        list_micros: None,
        priced_by: PricedBy::Dearest,
        route: Route::Api,
        kind: CallKind::Step,
        end: CallEnd::Lost,
        estimated: true,
        payers: payers.to_vec(),
        at: tx.now(),
        gateway: run.gateway,
    })?;
    super::budgets::watch(tx, payers)?;
    Ok(())
}

/// Books what such a machine says that a call of a run has cost which was taken from it, in place of what was booked without
/// it. By what was held back for it, it is told whether it was booked: what was is not booked again.
pub fn settle_reported(
    tx: &mut WriteTx<'_>,
    run: RunId,
    (held, call): (ReservationId, u32),
    spent: super::Spent,
) -> Result<(), UsageError> {
    let one = tx.get::<Run>(run)?.ok_or(UsageError::NoRun(run))?;
    let mut booked = queries::of_run(tx, run)?;
    booked.retain(|row| super::booked::is_of(row.id, held));
    if booked.iter().any(|row| row.end != CallEnd::Lost) {
        return Ok(());
    }
    let open = tx.get::<Reservation>(held)?.filter(|open| open.run == Some(run));
    if open.as_ref().is_some_and(|open| open.release_at.is_none()) {
        super::settle(tx, held, spent)?;
        return Ok(());
    }
    if open.is_some() {
        // Its end is known now.
        tx.delete::<Reservation>(held)?;
    }
    let grant = tx.get::<RunGrant>(run)?;
    // A run that ended otherwise than by being taken back has no grant any more.
    let payers = match &grant {
        Some(grant) => grant.payers.clone(),
        None => payers::payers(tx, one.agent, run)?,
    };
    let billed = queries::believed(spent.billed_micros).unwrap_or(0);
    match booked.is_empty() && open.is_none() {
        // It was made within the grant.
        true => grant.map_or(Ok(()), |grant| take_back(tx, grant, billed))?,
        false => {
            let guessed: i64 = booked.iter().filter_map(|row| row.billed_micros).sum();
            correct(tx, run, &payers, -guessed)?;
            // What it has not cost that machine may have spent on the next.
            let held = guessed.saturating_add(open.map_or(0, |open| open.micros));
            grant.map_or(Ok(()), |grant| add(tx, grant, held.saturating_sub(billed)))?;
        }
    }
    let route = route(tx, spent.connection)?;
    let call = booked.first().map_or(call, |row| row.call);
    let held = late(tx, &one, (held, call), (route, payers));
    super::book(tx, &held, spent, CallEnd::Answered)?;
    Ok(())
}
