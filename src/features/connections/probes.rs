//! Probes candidates in cooldown with one short call before their cooldown ends, so that recovered ones return at
//! once and no run has to discover a failure.
//!
//! Only candidates that an agent would ask first and that have fallbacks are probed, and only failures that time or a
//! payment can fix. Failures that a person has to fix are tested by that person. No probes while work is paused or
//! the workspace's budget is used up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::agents::queries as agents;
use crate::runs::queries::halt;
use app::Ws;
use crypto::redact::Spot;
use kernel::{Actor, Cause, Event, Part, Timestamp};
use providers::error::ErrorClass;
use store::{Entry, Range, ReadExt, StoreError};

use super::checks;
use super::cooldown::{self, Candidate};
use super::model::{Connection, Cooldown};
use super::provider::with_key;
use super::queries::{self, ModelRequest, offered, turns};
use super::rules::turns::{self as rules, Failure};
use super::rules::{ConnectionError, paid};

/// Automatic probes have no author.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Shorter cooldowns are not probed.
const LEAST: SignedDuration = SignedDuration::from_mins(2);
/// Probe interval after a billing failure.
const PAID: SignedDuration = SignedDuration::from_hours(1);
/// Timeout of one probe.
const PATIENCE: Duration = Duration::from_secs(90);

/// A candidate to probe.
#[derive(Clone, Debug)]
struct Resting {
    rest: Cooldown,
    /// The candidate that an agent would ask first.
    who: Candidate,
}

/// Schedule of the probes of a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// End of the cooldown; another end means another cooldown.
    until: Timestamp,
    /// Time of the last probe: a tenth of the cooldown before its end.
    last: Timestamp,
    next: Option<Timestamp>,
}

impl Plan {
    fn of(rest: &Cooldown, now: Timestamp) -> Self {
        // The start of a cooldown seen late is unknown, but its minimum length is not.
        let least = cooldown::rest(rest.class, rest.failures, None);
        let least = SignedDuration::try_from(least).unwrap_or(SignedDuration::ZERO);
        let length = rest.until.duration_since(now).max(least);
        let last = rest.until - length / 10;
        let next = match rest.class {
            ErrorClass::Billing => last.min(now + PAID),
            _ => last,
        };
        Self { until: rest.until, last, next: Some(next).filter(|_| LEAST <= length) }
    }

    /// Schedule after a failed probe: only billing failures are probed again.
    fn tried(self, class: ErrorClass, now: Timestamp) -> Self {
        let may_retry = class == ErrorClass::Billing && now < self.last;
        Self { next: may_retry.then(|| self.last.min(now + PAID)), ..self }
    }
}

/// Probes candidates until the workspace closes.
pub async fn keep_trying(ws: Ws) {
    let (halt, app) = (ws.halt(), ws.app.clone());
    let mut entries = ws.store.subscribe();
    let mut plans: HashMap<String, Plan> = HashMap::new();
    loop {
        let now = app.clock.now();
        let all = resting(&ws, now).unwrap_or_else(|error| {
            tracing::warn!(%error, "who rests could not be read");
            Vec::new()
        });
        plans.retain(|id, plan| {
            all.iter().any(|one| one.rest.id == *id && one.rest.until == plan.until)
        });
        let (mut soonest, mut due): (Option<Timestamp>, Option<Resting>) = (None, None);
        for one in all {
            let new = || Plan::of(&one.rest, now);
            match plans.entry(one.rest.id.clone()).or_insert_with(new).next {
                Some(at) if at <= now => due = Some(one),
                next => soonest = soonest.into_iter().chain(next).min(),
            }
        }
        if let Some(one) = due {
            let Some(plan) = plans.get_mut(&one.rest.id) else { continue };
            let is_last = plan.last <= now;
            *plan = plan.tried(one.rest.class, now);
            tokio::select! {
                () = halt.cancelled() => return,
                tried = try_out(&ws, &one, is_last) => if let Err(error) = tried {
                    tracing::info!("who rests was not tried out: {error}");
                },
            }
            continue;
        }
        let wait = async {
            match soonest {
                Some(at) => app.sleep_from(now, at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = halt.cancelled() => return,
            () = wait => {}
            changed = changed(&mut entries) => if !changed { return },
        }
    }
}

/// Waits for a relevant change of connections, budgets or pauses. Returns `false` when the store is closed.
async fn changed(entries: &mut Receiver<Arc<Entry>>) -> bool {
    loop {
        match entries.recv().await {
            Ok(entry) => {
                let is = |event: &Event| {
                    matches!(
                        event,
                        Event::ConnectionChanged { .. }
                            | Event::BudgetChanged { .. }
                            | Event::WorkGoesOn { .. }
                    )
                };
                if entry.events.iter().any(is) {
                    return true;
                }
            }
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

fn is_tried(class: ErrorClass) -> bool {
    cooldown::passes(class) || class == ErrorClass::Billing
}

/// Cooldowns of candidates that some agent would ask first and that have fallbacks.
fn resting(ws: &Ws, now: Timestamp) -> Result<Vec<Resting>, StoreError> {
    ws.read(|snap| {
        let mut rests: Vec<Cooldown> = snap.list(&Range::all())?;
        rests.retain(|rest| is_tried(rest.class) && rest.goes_on(now));
        if rests.is_empty() || halt::of_workspace(snap)?.is_some() || checks::is_spent(snap, now)? {
            return Ok(Vec::new());
        }
        let mut found: Vec<Resting> = Vec::new();
        for agent in agents::all(snap)? {
            let choice =
                queries::resolve(snap, ModelRequest { message: None, task: None, agent: &agent })?;
            let all = turns::candidates(snap, &choice, agent.id)?;
            let Some(first) = all.first().filter(|_| 1 < all.len()) else { continue };
            let same =
                |who: &&Candidate| who.connection == first.connection && who.model == first.model;
            for who in all.iter().filter(same) {
                for rest in rests.iter().filter(|rest| is_of(rest, who)) {
                    if !found.iter().any(|one| one.rest.id == rest.id) {
                        found.push(Resting { rest: rest.clone(), who: who.clone() });
                    }
                }
            }
        }
        Ok(found)
    })
}

fn is_of(rest: &Cooldown, who: &Candidate) -> bool {
    Some(rest.connection) == who.connection
        && rest.slot == who.slot
        && rest.model.as_ref().is_none_or(|model| *model == who.model)
}

/// Makes a probe call. A success ends the cooldown. A failure extends it if this was the last probe or if the
/// provider asks for a pause.
async fn try_out(ws: &Ws, one: &Resting, is_last: bool) -> Result<(), ConnectionError> {
    let id = one.rest.connection;
    let now = ws.app.clock.now();
    let (stored, cheapest) = ws.read(|snap| {
        let stored = snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        let all = offered::models(snap, &stored, now)?;
        let priced = all.into_iter().filter_map(|model| Some((model.known.price?, model.id)));
        let cheapest = priced.min_by_key(|(price, _)| price.input.saturating_add(price.output));
        Ok::<_, ConnectionError>((stored, cheapest.map(|(_, model)| model)))
    })?;
    // A key is probed with the cheapest model, a model with itself.
    let model = match &one.rest.model {
        Some(model) => model.clone(),
        None => cheapest.unwrap_or_else(|| one.who.model.clone()),
    };
    let who = Candidate { model: model.clone(), ..one.who.clone() };
    let provider = with_key(ws, who.connection, who.slot)?;
    let call = checks::about_to_ask(provider.as_ref(), &stored, &model);
    let (asking, heeds) = (call.clone(), provider.heeds_limit(&model));
    let held = ws.write(&BY, move |tx| paid::hold(tx, id, &asking, heeds)).await?;
    let answer = tokio::time::timeout(PATIENCE, provider.probe(Some(&model))).await;
    if let Ok(Ok(probe)) = answer {
        let spent = (held, checks::spent(provider.as_ref(), &stored, probe, &model));
        return ws.write(&BY, move |tx| rules::note_probe(tx, &who, spent)).await;
    }
    let class = match &answer {
        Ok(Err(error)) => error.class,
        _ => ErrorClass::Timeout,
    };
    let spent = (held, checks::ended(call, Some(class)));
    ws.write(&BY, move |tx| paid::close(tx, id, spent)).await?;
    let Ok(Err(error)) = answer else { return Ok(()) };
    let failure = Failure {
        class,
        message: ws.app.redactor.masked(Spot::Errors, &error.message).into_owned(),
        asked: error.retry_after,
    };
    let unpaid = is_last && failure.class == ErrorClass::Billing;
    if unpaid || failure.asked.is_some() {
        ws.write(&BY, move |tx| rules::note_failure(tx, &who, failure)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;
    use store::Record;

    fn rest(class: ErrorClass, secs: i64) -> Cooldown {
        Cooldown { class, failures: 1, until: from_ms(secs * 1_000), ..Cooldown::sample() }
    }

    fn secs(at: Option<Timestamp>) -> Option<i64> {
        at.map(Timestamp::as_second)
    }

    #[test]
    fn a_rest_is_tried_out_a_tenth_before_its_end() {
        let now = from_ms(0);
        assert_eq!(secs(Plan::of(&rest(ErrorClass::Server, 300), now).next), Some(270));
        assert_eq!(secs(Plan::of(&rest(ErrorClass::Server, 60), now).next), None, "it is short");
        let plan = Plan::of(&rest(ErrorClass::Server, 300), now);
        assert_eq!(plan.tried(ErrorClass::Server, from_ms(270_000)).next, None);
    }

    #[test]
    fn whether_an_account_was_paid_is_looked_at_each_hour() {
        let day = 86_400;
        let plan = Plan::of(&rest(ErrorClass::Billing, day), from_ms(0));
        assert_eq!(secs(plan.next), Some(3_600));
        let plan = plan.tried(ErrorClass::Billing, from_ms(3_600_000));
        assert_eq!(secs(plan.next), Some(7_200));
        let plan = plan.tried(ErrorClass::Billing, from_ms((day - 8_700) * 1_000));
        assert_eq!(secs(plan.next), Some(day - 8_640), "the last try is not passed over");
        assert_eq!(plan.tried(ErrorClass::Billing, from_ms((day - 8_640) * 1_000)).next, None);
    }

    #[test]
    fn what_a_person_has_to_mend_is_not_tried_out() {
        for class in ErrorClass::ALL {
            let mended = matches!(
                class,
                ErrorClass::Auth
                    | ErrorClass::AuthPermanent
                    | ErrorClass::SignIn
                    | ErrorClass::NotFoundModel
            );
            assert!(!(mended && is_tried(class)), "{class}");
        }
        assert!(is_tried(ErrorClass::Billing) && is_tried(ErrorClass::Network));
    }
}
