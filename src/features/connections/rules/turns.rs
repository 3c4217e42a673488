//! Writes of additional keys, fallback lists and cooldowns.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::connections::cooldown::{Candidate, Scope, rest, scope};
use crate::connections::model::{
    Connection, Cooldown, Fallbacks, Named, Offer, Offers, SpareKey, SpareKeys, UsualThinking,
    Window,
};
use crate::connections::queries::PRACTICE;
use kernel::text::ellipsis;
use kernel::{AgentId, ConnectionId, Event, ReservationId, Thinking, Timestamp};
use providers::error::ErrorClass;
use store::{Range, ReadExt, StoreError, WriteTx};

use super::{ConnectionError, MAX_MODELS, NewKey, Spent, good_model, paid};

/// Maximum number of keys besides the first.
const MAX_SPARE: usize = 9;
/// Maximum number of models in a fallback list.
const MAX_FALLBACKS: usize = 8;
/// Minimum context window in tokens.
const LEAST_WINDOW: u32 = 4_096;
/// Maximum gap between the end of a cooldown and the next failure for both to count as consecutive.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Adds a key that is used when the keys before it are refused or limited.
///
/// # Errors
/// `NotFound`; `TooManyKeys`.
pub fn add_key(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    key: NewKey,
) -> Result<u32, ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if connection.sign_in.is_some() {
        return Err(ConnectionError::NoKeys);
    }
    let spare = tx.get::<SpareKeys>(id)?;
    let mut spare = spare.unwrap_or(SpareKeys { connection: id, next: 1, keys: Vec::new() });
    if MAX_SPARE <= spare.keys.len() {
        return Err(ConnectionError::TooManyKeys);
    }
    let slot = spare.next;
    spare.next += 1;
    let NewKey { sealed, key_id, hint } = key;
    spare.keys.push(SpareKey { slot, sealed, key_id, hint });
    tx.put(&spare)?;
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(slot)
}

/// Removes one of the additional keys.
///
/// # Errors
/// `NotFound` if the key does not exist.
pub fn remove_key(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    slot: u32,
) -> Result<(), ConnectionError> {
    let mut spare = tx.get::<SpareKeys>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let before = spare.keys.len();
    spare.keys.retain(|key| key.slot != slot);
    if spare.keys.len() == before {
        return Err(ConnectionError::NotFound(id));
    }
    tx.put(&spare)?;
    forget_failures(tx, id, Some(slot))?;
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(())
}

/// Sets the fallback models of an agent or, for `None`, of the workspace. An agent with an empty list has no
/// fallbacks, whatever the workspace's list says.
///
/// # Errors
/// `NotFound` for an unknown connection, `BadModel`, `NoAgent`, `TooManyModels`.
pub fn set_fallbacks(
    tx: &mut WriteTx<'_>,
    agent: Option<AgentId>,
    models: Vec<Named>,
) -> Result<(), ConnectionError> {
    if let Some(agent) = agent {
        tx.get::<Agent>(agent)?.ok_or(ConnectionError::NoAgent(agent))?;
    }
    let mut list: Vec<Named> = Vec::new();
    for named in models {
        let model = good_model(Some(named.model))?.ok_or(ConnectionError::BadModel)?;
        match named.connection {
            Some(id) => {
                tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
            }
            None if model == PRACTICE => {}
            None => return Err(ConnectionError::BadModel),
        }
        let named = Named { connection: named.connection, model };
        if !list.contains(&named) {
            list.push(named);
        }
    }
    if MAX_FALLBACKS < list.len() {
        return Err(ConnectionError::TooManyModels);
    }
    let id = Fallbacks::key(agent);
    if list.is_empty() && agent.is_none() {
        if tx.get::<Fallbacks>(id.clone())?.is_some() {
            tx.delete::<Fallbacks>(id)?;
        }
    } else {
        let changed = list.iter().find_map(|named| named.connection);
        tx.put(&Fallbacks { id, agent, models: list })?;
        if let Some(connection) = changed {
            tx.emit(Event::ConnectionChanged { connection });
        }
    }
    Ok(())
}

/// Makes an agent follow the workspace's fallback list, which is the default.
///
/// # Errors
/// `NoAgent`.
pub fn follow_fallbacks(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), ConnectionError> {
    tx.get::<Agent>(agent)?.ok_or(ConnectionError::NoAgent(agent))?;
    let id = Fallbacks::key(Some(agent));
    if tx.get::<Fallbacks>(id.clone())?.is_some() {
        tx.delete::<Fallbacks>(id)?;
    }
    Ok(())
}

/// Sets the default thinking level.
pub fn set_thinking(tx: &mut WriteTx<'_>, level: Thinking) -> Result<(), StoreError> {
    tx.put(&UsualThinking { level })
}

/// Sets the context window of a connection's models, for servers that have to be told; `None` leaves the choice to
/// HQ.
///
/// # Errors
/// `NotFound`; `BadWindow` below the minimum.
pub fn set_window(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    tokens: Option<u32>,
) -> Result<(), ConnectionError> {
    tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let before = tx.get::<Window>(id)?.map(|window| window.tokens);
    match tokens {
        _ if tokens == before => return Ok(()),
        Some(tokens) if tokens < LEAST_WINDOW => return Err(ConnectionError::BadWindow),
        Some(tokens) => tx.put(&Window { connection: id, tokens })?,
        None => {
            tx.delete::<Window>(id)?;
        }
    }
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(())
}

/// A failed call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub class: ErrorClass,
    /// Message of the provider, without secrets.
    pub message: String,
    /// Pause requested by the provider.
    pub asked: Option<Duration>,
}

/// Puts a candidate into cooldown. Returns the end; `None` if the failure is not the candidate's.
pub fn note_failure(
    tx: &mut WriteTx<'_>,
    who: &Candidate,
    failure: Failure,
) -> Result<Option<Timestamp>, StoreError> {
    let (Some(connection), Some(scope)) = (who.connection, scope(failure.class)) else {
        return Ok(None);
    };
    if tx.get::<Connection>(connection)?.is_none() {
        return Ok(None);
    }
    let model = (scope == Scope::Model).then(|| who.model.clone());
    let id = Cooldown::key(connection, who.slot, model.as_deref());
    let now = tx.now();
    let before = tx.get::<Cooldown>(id.clone())?.filter(|known| now < known.until + WINDOW);
    let failures = before.map_or(1, |known| known.failures.saturating_add(1));
    let length = rest(failure.class, failures, failure.asked);
    let until = now + SignedDuration::try_from(length).unwrap_or(WINDOW);
    tx.put(&Cooldown {
        id,
        connection,
        slot: who.slot,
        model,
        class: failure.class,
        message: ellipsis(&failure.message, 300),
        failures,
        until,
    })?;
    tx.emit(Event::ConnectionChanged { connection });
    Ok(Some(until))
}

/// Deletes the failures of a candidate that answered.
pub fn note_success(tx: &mut WriteTx<'_>, who: &Candidate) -> Result<(), StoreError> {
    let Some(connection) = who.connection else { return Ok(()) };
    let mut cleared = false;
    for model in [None, Some(who.model.as_str())] {
        let key = Cooldown::key(connection, who.slot, model);
        if tx.get::<Cooldown>(key.clone())?.is_some() {
            tx.delete::<Cooldown>(key)?;
            cleared = true;
        }
    }
    if cleared {
        // Runs that wait for the candidate can resume.
        tx.emit(Event::ConnectionChanged { connection });
    }
    Ok(())
}

/// Books a successful probe and ends the candidate's cooldowns.
///
/// # Errors
/// `NotFound` if the connection was removed meanwhile.
pub fn note_probe(
    tx: &mut WriteTx<'_>,
    who: &Candidate,
    spent: (ReservationId, Spent),
) -> Result<(), ConnectionError> {
    let Some(id) = who.connection else { return Ok(()) };
    paid::close(tx, id, spent)?;
    note_success(tx, who)?;
    Ok(())
}

/// Deletes the failures of one key or of all keys of a connection. Returns the number deleted.
pub(super) fn forget_failures(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    slot: Option<u32>,
) -> Result<u32, StoreError> {
    let mut all: Vec<Cooldown> = tx.list(&Range::all())?;
    all.retain(|rest| rest.connection == id && slot.is_none_or(|slot| rest.slot == slot));
    let mut count = 0;
    for rest in all {
        tx.delete::<Cooldown>(rest.id)?;
        count += 1;
    }
    Ok(count)
}

/// Ends all cooldowns of a connection on a person's request.
///
/// # Errors
/// `NotFound`.
pub fn retry_now(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<u32, ConnectionError> {
    tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let count = forget_failures(tx, id, None)?;
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(count)
}

/// Stores the model properties reported by a provider.
pub fn keep_offers(
    tx: &mut WriteTx<'_>,
    connection: ConnectionId,
    mut models: Vec<Offer>,
) -> Result<(), StoreError> {
    models.truncate(MAX_MODELS);
    tx.put(&Offers { connection, read_at: tx.now(), models })
}
