//! Taking a run back from a silent machine; shared by page and API.

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

/// The silent machine that a queued or working run waits for.
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

/// What a run may still do on a silent machine.
pub(super) struct OnItsOwn {
    /// Remaining budget, in micro-dollars.
    pub micros: i64,
    /// When its lease ends.
    pub until: Timestamp,
}

/// How long a run may continue on a silent machine; `None` if it waits there.
pub(super) fn on_its_own(
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

/// Takes a run back; returns the machine's name.
///
/// # Errors
/// The run has ended, works here, or works on a linked machine; stop such a run instead.
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
        // The rule reports this error, unless the request is a repeat with the same key.
        place if !run.is_live() => place.map(|place| place.label).unwrap_or_default(),
        None => {
            return refused("run_here", format!("{name} runs on this machine; stop it instead"));
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
