//! Grants: what a run on a host may spend while the host is disconnected.
//!
//! The primary reserves grants against every budget of the run, so that booked, reserved and granted amounts together
//! never exceed a limit. The host admits calls against its copy. The primary deducts the host's spending from the
//! grant when it learns of it.

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

/// Age at which a lost grant is deleted, once nothing is booked in its place any more.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Tokens of a grant if no price is known.
pub const TOKENS: i64 = 500_000;

/// Terms of a gateway for grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub gateway: GatewayId,
    /// Amount per run in micro-dollars.
    pub micros: i64,
    /// Validity after the disconnection in hours.
    pub hours: u32,
}

/// Amounts spent by a run or reserved for its calls: micro-dollars, then tokens.
pub type Committed = (i64, i64);

/// Creates or tops up the grant of a run on a host, as far as its budgets allow. A run that is not at work has no
/// grant. Call only while the host is connected, so that the host never knows of a larger grant than this one.
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

/// Deletes the grant of a run, unless it is lost.
pub fn release(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    if tx.get::<RunGrant>(run)?.is_some_and(|grant| grant.lost.is_none()) {
        tx.delete::<RunGrant>(run)?;
    }
    Ok(())
}

/// Amounts spent by a run or reserved for its calls, without its grant.
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

/// Deducts a call made during a disconnection from the grant. `before` are the committed amounts before the call was
/// applied: the total of committed and granted stays equal.
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

/// Reserves the cost of a call made during a disconnection. The host admitted the call by the run's grant, so it
/// takes no more than the grant has. Without a grant, the call is admitted like any other.
///
/// # Errors
/// `Settled` if the reservation id is in use, `OverBudget` without a grant.
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

/// Admits a call on a disconnected host.
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

/// The grant with its remaining amounts on the host.
fn left(tx: &WriteTx<'_>, run: RunId) -> Result<RunGrant, UsageError> {
    let grant = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none());
    let grant = grant.ok_or(UsageError::Ungranted)?;
    let (mut micros, mut tokens) = (grant.micros, grant.tokens);
    let held: Vec<Reservation> = tx.list(&Range::all())?;
    for held in held.into_iter().filter(|held| held.run == Some(run)) {
        micros = micros.saturating_sub(held.micros);
        tokens = tokens.saturating_sub(held.tokens);
    }
    // The primary has all other calls: the calls stored here were made since the disconnection.
    for call in tx.scan::<Usage>(BY_RUN, &Range::prefix(KeyBuf::of(&run)))? {
        micros = micros.saturating_sub(call.billed_micros.unwrap_or(0));
        tokens = tokens.saturating_sub(whole(call.tokens().total()));
    }
    Ok(RunGrant { micros, tokens, ..grant })
}

/// Validity of a grant after the disconnection.
#[must_use]
pub fn span(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3_600)
}

/// Whether the run's grant is still valid `cut_for` after the disconnection.
pub fn holds(tx: &dyn Read, run: RunId, cut_for: Duration) -> Result<bool, UsageError> {
    let grant = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none());
    Ok(grant.is_some_and(|grant| cut_for < span(grant.hours)))
}

/// Time after the disconnection at which the host's last grant expires; `None` without grants.
pub fn longest(tx: &dyn Read) -> Result<Option<Duration>, UsageError> {
    let grants: Vec<RunGrant> = tx.list(&Range::all())?;
    let hold = grants.iter().filter(|grant| grant.lost.is_none());
    Ok(hold.map(|grant| span(grant.hours)).max())
}

/// Whether the reservation belongs to another run.
pub fn is_anothers(tx: &dyn Read, run: RunId, id: ReservationId) -> Result<bool, UsageError> {
    Ok(tx.get::<Reservation>(id)?.is_some_and(|held| held.run != Some(run)))
}

/// Whether only the primary holds the reservation: the call was made before the disconnection.
pub fn is_at_home(tx: &WriteTx<'_>, id: ReservationId) -> Result<bool, UsageError> {
    Ok(tx.schema().is_mirror() && tx.get::<Reservation>(id)?.is_none())
}

/// Deletes the host's copies of a run's reservations and calls, once the primary has applied all of them.
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

/// Books the whole remaining grant of a run taken away from a silent host.
pub fn lose(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    let Some(grant) = tx.get::<RunGrant>(run)?.filter(|grant| grant.lost.is_none()) else {
        return Ok(());
    };
    let connection = tx.get::<Run>(run)?.and_then(|run| run.connection);
    let micros = match route(tx, connection)? {
        Route::Api => grant.micros,
        // These routes are not billed per call.
        Route::Own | Route::Practice | Route::Subscription => 0,
    };
    correct(tx, run, &grant.payers, micros)?;
    tx.put(&RunGrant { lost: Some(micros), micros: 0, tokens: 0, ..grant })?;
    Ok(())
}

/// Reverses the amounts booked for lost grants, after the host has reconnected and all its writes were applied.
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

/// Makes the amounts booked for lost grants final, after the host has reconnected without its writes.
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

/// Reserves a call that a lost host reported as begun, until its end is reported or the reservation expires. The
/// amount booked for the lost grant is reduced accordingly.
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

/// An empty reservation for a call of a lost host.
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

/// Reduces the amount booked for a lost grant by up to `micros`.
fn take_back(tx: &mut WriteTx<'_>, grant: RunGrant, micros: i64) -> Result<(), UsageError> {
    let Some(lost) = grant.lost.filter(|lost| 0 < *lost) else { return Ok(()) };
    let known = micros.clamp(0, lost);
    correct(tx, grant.run, &grant.payers, -known)?;
    tx.put(&RunGrant { lost: Some(lost - known), ..grant })?;
    Ok(())
}

/// Increases the amount booked for a lost grant.
fn add(tx: &mut WriteTx<'_>, grant: RunGrant, micros: i64) -> Result<(), UsageError> {
    let Some(lost) = grant.lost.filter(|lost| 0 < *lost && 0 < micros) else { return Ok(()) };
    correct(tx, grant.run, &grant.payers, micros)?;
    tx.put(&RunGrant { lost: Some(lost.saturating_add(micros)), ..grant })?;
    Ok(())
}

/// Books a correction for a run that belongs to no call.
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

/// Books the cost that a lost host reports for a call, in place of the amounts booked without the report. The
/// reservation id identifies the call, so no call is booked twice.
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
        // The end of the call is known now.
        tx.delete::<Reservation>(held)?;
    }
    let grant = tx.get::<RunGrant>(run)?;
    // A run that was not taken back has no grant any more.
    let payers = match &grant {
        Some(grant) => grant.payers.clone(),
        None => payers::payers(tx, one.agent, run)?,
    };
    let billed = queries::believed(spent.billed_micros).unwrap_or(0);
    match booked.is_empty() && open.is_none() {
        // The call was made within the grant.
        true => grant.map_or(Ok(()), |grant| take_back(tx, grant, billed))?,
        false => {
            let guessed: i64 = booked.iter().filter_map(|row| row.billed_micros).sum();
            correct(tx, run, &payers, -guessed)?;
            // The host may have spent the difference on its next call.
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
