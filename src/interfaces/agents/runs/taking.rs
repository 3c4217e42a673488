//! A run is taken back from a machine of which nothing is heard: what its page and the API have in common.

use app::Ws;
use features::agents::queries::elsewhere::{self, Elsewhere};
use features::runs::model::Run;
use features::runs::rules::RunError;
use features::runs::rules::back::{self, Why};
use features::usage::model::grant::RunGrant;
use jiff::SignedDuration;
use kernel::{ProblemKind, RunState, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::error::Failure;
use web::format;
use web::idempotency::Once;
use web::session::Person;

/// The machine that a run waits for: its agent works on it, and nothing is heard of it.
pub(super) fn awaited(
    ws: &Ws,
    read: &dyn Read,
    run: &Run,
) -> Result<Option<Elsewhere>, StoreError> {
    match run.state {
        RunState::Queued | RunState::Running => elsewhere::silent(ws, read, run.agent),
        _ => Ok(None),
    }
}

/// What a run does on a machine of which nothing is heard.
pub(super) struct OnItsOwn {
    /// What it may spend, in micro-dollars.
    pub micros: i64,
    /// Until when it may go on.
    pub until: Timestamp,
}

/// How far a run may go on by itself on a machine of which nothing is heard; none when it waits.
pub(super) fn on_its_own(
    read: &dyn Read,
    run: &Run,
    place: &Elsewhere,
    now: Timestamp,
) -> Result<Option<OnItsOwn>, StoreError> {
    // One that is not let in any more has no run.
    let grant = match run.is_at_work() && !place.is_revoked {
        true => read.get::<RunGrant>(run.id)?.filter(|grant| grant.lost.is_none()),
        false => None,
    };
    let (Some(grant), Some(since)) = (grant, place.heard_at) else { return Ok(None) };
    let until = since + SignedDuration::from_hours(i64::from(grant.hours));
    let is_none = until <= now || (grant.micros <= 0 && grant.tokens <= 0);
    Ok((!is_none).then_some(OnItsOwn { micros: grant.micros, until }))
}

/// What a silent machine may still do with a run that was asked to stop; none when it works here or is linked. HQ ends
/// the run at once and applies nothing that still comes of it.
pub(super) fn stops_later(
    ws: &Ws,
    read: &dyn Read,
    run: &Run,
) -> Result<Option<String>, StoreError> {
    if !run.is_at_work() {
        return Ok(None);
    }
    let place = awaited(ws, read, run)?.filter(|place| !place.is_revoked);
    let Some(place) = place else { return Ok(None) };
    let label = &place.label;
    let own = on_its_own(read, run, &place, ws.app.clock.now())?;
    Ok(Some(match own {
        Some(own) if 0 < own.micros => format!(
            "{label} stops it when it reconnects; until then it may spend up to {}.",
            format::money(own.micros)
        ),
        Some(_) => format!("{label} stops it when it reconnects; until then it may go on there."),
        None => format!("{label} stops it when it reconnects."),
    }))
}

/// Takes a run back; answers what the machine is called.
///
/// # Errors
/// When the run has ended, works here, or on a machine that is linked: such a run is stopped.
pub(super) async fn take_back(
    ws: &Ws,
    who: &Person,
    run: &Run,
    once: Once,
) -> Result<String, Failure> {
    let place = ws.read(|snap| elsewhere::at(ws, snap, run.agent));
    let place = place.map_err(|error| Failure::of(&error))?;
    let (id, name) = (run.id, run.name());
    let refused = |code: &str, text: String| {
        Err::<String, _>(Failure::new(ProblemKind::Conflict, code, text))
    };
    let from = match place {
        // The rule says so, unless this is asked once more with the same key.
        place if !run.is_live() => place.map(|place| place.label).unwrap_or_default(),
        None => {
            return refused("run_here", format!("{name} works on this machine; stop it instead"));
        }
        Some(place) if place.is_linked => {
            let text = format!("{} is linked; stop {name} instead", place.label);
            return refused("gateway_online", text);
        }
        Some(place) => place.label,
    };
    let label = from.clone();
    let take = once.run(move |tx| back::take(tx, id, &label, Why::Silent).map(drop));
    ws.write(who, take).await.map_err(|error: RunError| Failure::of(&error))?;
    ws.live.finish(id);
    Ok(from)
}
