//! Runs that wait for, or work on, a machine that is silent.

use app::Ws;
use jiff::SignedDuration;
use kernel::{RunState, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::format;

use crate::agents::queries::elsewhere::{self, Elsewhere};
use crate::runs::model::Run;
use crate::usage::model::grant::RunGrant;

/// The silent machine that a queued or working run waits for.
pub fn awaited(ws: &Ws, read: &dyn Read, run: &Run) -> Result<Option<Elsewhere>, StoreError> {
    match run.state {
        RunState::Queued | RunState::Running => elsewhere::silent(ws, read, run.agent),
        _ => Ok(None),
    }
}

/// What a run may still do on a silent machine.
pub struct OnItsOwn {
    /// Remaining budget, in micro-dollars.
    pub micros: i64,
    /// When its lease ends.
    pub until: Timestamp,
}

/// How long a run may continue on a silent machine; `None` if it waits there.
pub fn on_its_own(
    read: &dyn Read,
    run: &Run,
    place: &Elsewhere,
    now: Timestamp,
) -> Result<Option<OnItsOwn>, StoreError> {
    // A revoked machine no longer holds a run.
    let grant = match run.is_at_work() && !place.is_revoked {
        true => read.get::<RunGrant>(run.id)?.filter(|grant| grant.lost.is_none()),
        false => None,
    };
    let (Some(grant), Some(since)) = (grant, place.heard_at) else { return Ok(None) };
    let until = since + SignedDuration::from_hours(i64::from(grant.hours));
    let is_none = until <= now || (grant.micros <= 0 && grant.tokens <= 0);
    Ok((!is_none).then_some(OnItsOwn { micros: grant.micros, until }))
}

/// What a silent machine may still do with a run that was asked to stop; `None` if the run works here or its machine is
/// linked. HQ ends the run at once and applies nothing that the machine reports later.
pub fn stops_later(ws: &Ws, read: &dyn Read, run: &Run) -> Result<Option<String>, StoreError> {
    if !run.is_at_work() {
        return Ok(None);
    }
    let place = awaited(ws, read, run)?.filter(|place| !place.is_revoked);
    let Some(place) = place else { return Ok(None) };
    let label = &place.label;
    let own = on_its_own(read, run, &place, ws.app.clock.now())?;
    Ok(Some(match own {
        Some(own) if 0 < own.micros => format!(
            "{label} stops it when it reconnects. Until then it may spend up to {}.",
            format::money(own.micros)
        ),
        Some(_) => format!(
            "{label} stops it when it reconnects. Until then it may continue \
            there."
        ),
        None => format!("{label} stops it when it reconnects."),
    }))
}
