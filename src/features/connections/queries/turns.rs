//! Fallback candidates, cooldowns, and model properties reported by providers.

use std::collections::HashMap;

use jiff::SignedDuration;

use crate::agents::model::Agent;
use crate::connections::cooldown::{Candidate, LONGEST};
use crate::connections::model::{
    Connection, ConnectionKey, Cooldown, Fallbacks, Named, Offer, Offers, SpareKeys,
};
use crate::runs::model::ModelSource;
use kernel::{AgentId, ConnectionId, Thinking, Timestamp};
use providers::catalog::{self, Model, Price};
use providers::error::ErrorClass;
use providers::model::{Abilities, ModelInfo};
use store::{Range, Read, ReadExt, StoreError};
use web::form::rev_of;
use web::parts;

use super::{Choice, eligible};

/// Key slots of a connection in order of use. A connection without keys has one slot.
pub fn slots(tx: &dyn Read, connection: ConnectionId) -> Result<Vec<u32>, StoreError> {
    let spare = tx.get::<SpareKeys>(connection)?.map_or_else(Vec::new, |spare| spare.keys);
    let mut slots: Vec<u32> = spare.iter().map(|key| key.slot).collect();
    if slots.is_empty() || tx.get::<ConnectionKey>(connection)?.is_some() {
        slots.insert(0, 0);
    }
    Ok(slots)
}

/// An effective fallback list.
pub struct FallbackList {
    /// Whether the list is the agent's own, possibly empty; otherwise it is the workspace's.
    pub is_own: bool,
    /// In order.
    pub models: Vec<Named>,
}

/// The effective fallback list of an agent: its own, else the workspace's. The workspace's if `agent` is `None`.
pub fn fallbacks(tx: &dyn Read, agent: Option<AgentId>) -> Result<FallbackList, StoreError> {
    if agent.is_some()
        && let Some(own) = tx.get::<Fallbacks>(Fallbacks::key(agent))?
    {
        return Ok(FallbackList { is_own: true, models: own.models });
    }
    let list = tx.get::<Fallbacks>(Fallbacks::key(None))?;
    Ok(FallbackList { is_own: false, models: list.map_or_else(Vec::new, |list| list.models) })
}

/// All candidates for a choice in order, including those in cooldown: the chosen model with each of its keys, then
/// the fallbacks. A model chosen for a message, conversation, task or routine has no fallbacks. An agent's own model
/// uses the agent's list, else the workspace's; the workspace's model uses the workspace's list.
pub fn candidates(
    tx: &dyn Read,
    choice: &Choice,
    agent: AgentId,
) -> Result<Vec<Candidate>, StoreError> {
    let first = Named { connection: choice.connection, model: choice.model.clone() };
    let more = match choice.source {
        ModelSource::Agent => fallbacks(tx, Some(agent))?.models,
        ModelSource::Workspace => fallbacks(tx, None)?.models,
        ModelSource::Message
        | ModelSource::Session
        | ModelSource::Task
        | ModelSource::Routine
        | ModelSource::Fallback => Vec::new(),
    };
    let mut all: Vec<Candidate> = Vec::new();
    for named in std::iter::once(first).chain(more) {
        let slots = match named.connection {
            Some(id) if tx.get::<Connection>(id)?.is_none() => continue,
            Some(id) => slots(tx, id)?,
            None => vec![0],
        };
        for slot in slots {
            let one = Candidate { connection: named.connection, slot, model: named.model.clone() };
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Ok(all)
}

/// The longest cooldown of a candidate; `None` if it may be asked. A connection that is not signed in is in cooldown
/// until a person signs in.
pub fn resting(
    tx: &dyn Read,
    candidate: &Candidate,
    now: Timestamp,
) -> Result<Option<Cooldown>, StoreError> {
    let Some(connection) = candidate.connection else { return Ok(None) };
    if let Some(stored) = tx.get::<Connection>(connection)?
        && let Some(reason) = eligible::of_account(tx, &stored)?
    {
        return Ok(Some(Cooldown {
            id: Cooldown::key(connection, candidate.slot, None),
            connection,
            slot: candidate.slot,
            model: None,
            class: ErrorClass::SignIn,
            message: reason.word().to_owned(),
            failures: 0,
            until: now + SignedDuration::try_from(LONGEST).unwrap_or(SignedDuration::MAX),
        }));
    }
    let mut longest: Option<Cooldown> = None;
    for model in [None, Some(candidate.model.as_str())] {
        let found = tx.get::<Cooldown>(Cooldown::key(connection, candidate.slot, model))?;
        let found = found.filter(|rest| rest.goes_on(now));
        longest = longest.into_iter().chain(found).max_by_key(|rest| rest.until);
    }
    Ok(longest)
}

/// Whether a failure of the candidate is recorded, expired or not.
pub fn has_failed(tx: &dyn Read, candidate: &Candidate) -> Result<bool, StoreError> {
    let Some(connection) = candidate.connection else { return Ok(false) };
    for model in [None, Some(candidate.model.as_str())] {
        let key = Cooldown::key(connection, candidate.slot, model);
        if tx.get::<Cooldown>(key)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The current cooldowns of a connection.
pub fn rests_of(
    tx: &dyn Read,
    connection: ConnectionId,
    now: Timestamp,
) -> Result<Vec<Cooldown>, StoreError> {
    let all: Vec<Cooldown> = tx.list(&Range::all())?;
    let of = |rest: &Cooldown| rest.connection == connection && rest.goes_on(now);
    Ok(all.into_iter().filter(of).collect())
}

/// All recorded failures of a connection, expired or not.
pub fn failures_of(tx: &dyn Read, connection: ConnectionId) -> Result<Vec<Cooldown>, StoreError> {
    let all: Vec<Cooldown> = tx.list(&Range::all())?;
    Ok(all.into_iter().filter(|rest| rest.connection == connection).collect())
}

/// Whether any candidate may answer now.
pub fn can_answer(
    tx: &dyn Read,
    choice: &Choice,
    agent: &Agent,
    now: Timestamp,
) -> Result<bool, StoreError> {
    for candidate in candidates(tx, choice, agent.id)? {
        if resting(tx, &candidate, now)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Properties that the provider last reported for a model.
pub fn offer(
    tx: &dyn Read,
    connection: ConnectionId,
    model: &str,
) -> Result<Option<ModelInfo>, StoreError> {
    let offers = tx.get::<Offers>(connection)?.map_or_else(Vec::new, |offers| offers.models);
    Ok(offers.into_iter().find(|offer| offer.id == model).map(as_info))
}

/// Reported properties of all models, by id.
pub fn offers(
    tx: &dyn Read,
    connection: ConnectionId,
) -> Result<HashMap<String, ModelInfo>, StoreError> {
    let offers = tx.get::<Offers>(connection)?.map_or_else(Vec::new, |offers| offers.models);
    Ok(offers.into_iter().map(|offer| (offer.id.clone(), as_info(offer))).collect())
}

/// Converts a stored offer to the `providers` type.
#[must_use]
pub fn as_info(offer: Offer) -> ModelInfo {
    ModelInfo {
        name: offer.id.clone(),
        id: offer.id,
        window: offer.window,
        max_output: offer.max_output,
        price: offer.price.map(|[input, cache_read, cache_write, output]| Price {
            input,
            cache_read,
            cache_write,
            output,
        }),
        can: Abilities { tools: offer.tools, vision: offer.vision, thinking: offer.thinking },
    }
}

/// A model with the properties reported by its connection.
pub fn described(
    tx: &dyn Read,
    connection: ConnectionId,
    id: &str,
    model: Model,
) -> Result<Model, StoreError> {
    Ok(match offer(tx, connection, id)? {
        Some(info) => model.with_info(&info),
        None => model,
    })
}

/// Cost of a fast call in percent of the normal price; `None` if the connection has no fast mode.
pub fn fast_percent(
    tx: &dyn Read,
    connection: Option<ConnectionId>,
) -> Result<Option<u32>, StoreError> {
    let Some(id) = connection else { return Ok(None) };
    let stored = tx.get::<Connection>(id)?.filter(|stored| stored.sign_in.is_none());
    // ok: an invalid address has no fast mode either.
    let base = stored.and_then(|stored| super::base_of(&stored).ok());
    Ok(base.and_then(|base| base.server.fast_percent()))
}

/// Thinking levels of a model; all levels if the model is unknown.
pub fn levels(
    tx: &dyn Read,
    connection: Option<ConnectionId>,
    model: &str,
) -> Result<Vec<Thinking>, StoreError> {
    let known = catalog::describe(model);
    let (known, is_offered) = match connection {
        Some(id) => {
            let is_offered =
                offer(tx, id, model)?.is_some_and(|offer| offer.can.thinking.is_some());
            (described(tx, id, model, known)?, is_offered)
        }
        None => (known, false),
    };
    if known.vendor.is_empty() && !is_offered {
        return Ok(Thinking::ALL.to_vec());
    }
    Ok(known.levels())
}

/// Form value of an agent that follows the workspace's list.
pub const OF_WORKSPACE: &str = "workspace";

/// One position of a fallback list in the form.
pub struct Place {
    pub field: &'static str,
    pub label: &'static str,
    pub choices: Vec<parts::Choice>,
    /// Revision of the list.
    pub rev: String,
}

/// The form fields of a fallback list.
pub fn fallback_fields(tx: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Place>, StoreError> {
    let counts = fallbacks(tx, agent)?;
    let follows = agent.is_some() && !counts.is_own;
    let list = if follows { Vec::new() } else { counts.models };
    let picks = super::picks(tx)?;
    let rev = rev_of::<Fallbacks>(tx, Fallbacks::key(agent))?;
    let fields = [("first", "Fallback models"), ("second", "Then"), ("third", "Then")];
    let mut out = Vec::new();
    for (n, (field, label)) in fields.into_iter().enumerate() {
        let now = list.get(n);
        let mut choices =
            vec![parts::Choice::new("", "None", now.is_none() && !(follows && n == 0))];
        if agent.is_some() && n == 0 {
            choices.insert(0, parts::Choice::new(OF_WORKSPACE, "Workspace list", follows));
        }
        for pick in &picks {
            let is_now =
                now.is_some_and(|now| now.connection == pick.connection && now.model == pick.model);
            choices.push(parts::Choice::new(pick.value(), pick.label(), is_now));
        }
        if let Some(now) = now.filter(|_| !choices.iter().any(|choice| choice.chosen)) {
            let pick = super::Pick {
                connection: now.connection,
                connection_name: String::new(),
                model: now.model.clone(),
                name: String::new(),
                way: None,
            };
            choices.push(parts::Choice::new(pick.value(), &now.model, true));
        }
        out.push(Place { field, label, choices, rev: rev.clone() });
    }
    Ok(out)
}
