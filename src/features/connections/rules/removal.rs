//! Removal of a connection. Its uses move to another connection in the same transaction.

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::connections::model::{Connection, Fallbacks, Named, VectorSource};
use crate::connections::queries::uses;
use crate::connections::queries::{self, first_model, handle, locate};
use crate::routines::model::Routine;
use crate::routines::queries as routines;
use crate::workspace::model::Settings;
use kernel::{ConnectionId, Event};
use store::{Range, ReadExt, StoreError, WriteTx};

use super::{ConnectionError, vectors};
use crate::connections::model::Maker;

/// Removes a connection and its key. Its uses move to `to`, with the same model if `to` lists it, else with the
/// default model of `to`. Without `to` they fall back to the workspace's default.
///
/// # Errors
/// `NotFound` for either connection; `BadReplacement` if `to` is the connection itself or has no model.
pub fn delete(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    to: Option<ConnectionId>,
) -> Result<Connection, ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if to.is_none() {
        clear(tx, id)?;
    } else if let Some(to) = to {
        let new = tx.get::<Connection>(to)?.ok_or(ConnectionError::NotFound(to))?;
        let usual = first_model(&new).filter(|_| to != id);
        let usual = usual.ok_or(ConnectionError::BadReplacement)?;
        let moved = Move { from: id, to: new, usual };
        moved.agents(tx)?;
        moved.routines(tx)?;
        moved.settings(tx)?;
        moved.vectors(tx)?;
        tx.emit(Event::ConnectionChanged { connection: to });
    }
    tx.delete::<Connection>(id)?;
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(connection)
}

/// Clears the connection from agents, routines and lists, also where they name it by its handle, which would
/// otherwise be taken for a model of another connection.
fn clear(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), StoreError> {
    clear_fallbacks(tx, id, Fallbacks::key(None))?;
    for mut routine in routines::all(tx)? {
        if uses::is_of_routine(tx, &routine, id)? {
            (routine.model, routine.updated_at) = (None, tx.now());
            tx.put::<Routine>(&routine)?;
        }
    }
    for mut agent in agents::all(tx)? {
        clear_fallbacks(tx, id, Fallbacks::key(Some(agent.id)))?;
        if uses::is_of_agent(tx, &agent, id)? {
            (agent.connection, agent.model, agent.updated_at) = (None, None, tx.now());
            tx.put::<Agent>(&agent)?;
        }
    }
    Ok(())
}

fn clear_fallbacks(tx: &mut WriteTx<'_>, id: ConnectionId, key: String) -> Result<(), StoreError> {
    match tx.get::<Fallbacks>(key)? {
        Some(mut list) if uses::names(&list.models, id) => {
            list.models.retain(|named| named.connection != Some(id));
            tx.put(&list)
        }
        _ => Ok(()),
    }
}

struct Move {
    from: ConnectionId,
    to: Connection,
    /// Model of `to` used if `to` does not list the current one.
    usual: String,
}

impl Move {
    fn lists(&self, model: &str) -> bool {
        self.to.default_model.as_deref() == Some(model)
            || self.to.models.iter().any(|listed| listed.id == model)
    }

    fn model(&self, model: &str) -> String {
        if self.lists(model) { model.to_owned() } else { self.usual.clone() }
    }

    fn agents(&self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        for mut agent in agents::all(tx)? {
            if uses::is_of_agent(tx, &agent, self.from)? {
                agent.model = match &agent.model {
                    Some(named) => Some(self.model(&self.own_name(tx, named)?)),
                    None => None,
                };
                (agent.connection, agent.updated_at) = (Some(self.to.id), tx.now());
                tx.put::<Agent>(&agent)?;
            }
            self.fallbacks(tx, Fallbacks::key(Some(agent.id)))?;
        }
        Ok(())
    }

    /// Model id of the provider, without the connection's prefix.
    fn own_name(&self, tx: &WriteTx<'_>, named: &str) -> Result<String, StoreError> {
        match locate(tx, named, [Some(self.from), None])? {
            (Some(at), model) if at == self.from => Ok(model),
            _ => Ok(named.to_owned()),
        }
    }

    fn routines(&self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        for mut routine in routines::all(tx)? {
            if !uses::is_of_routine(tx, &routine, self.from)? {
                continue;
            }
            let named = routine.model.take().unwrap_or_default();
            let model = self.model(&self.own_name(tx, named.trim())?);
            routine.model = Some(format!("{}/{model}", handle(&self.to.name)));
            routine.updated_at = tx.now();
            tx.put::<Routine>(&routine)?;
        }
        Ok(())
    }

    fn settings(&self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        self.fallbacks(tx, Fallbacks::key(None))?;
        let Some(mut settings) = tx.get::<Settings>(())? else { return Ok(()) };
        let before = settings.clone();
        if settings.default_connection == Some(self.from) {
            settings.default_connection = Some(self.to.id);
            settings.default_model = settings.default_model.map(|model| self.model(&model));
        }
        if settings.reviewer_connection == Some(self.from) {
            settings.reviewer_connection = Some(self.to.id);
            settings.reviewer_model = settings.reviewer_model.map(|model| self.model(&model));
        }
        if settings != before {
            tx.put(&settings)?;
        }
        Ok(())
    }

    fn fallbacks(&self, tx: &mut WriteTx<'_>, key: String) -> Result<(), StoreError> {
        let list = tx.get::<Fallbacks>(key)?;
        let Some(mut list) = list.filter(|list| uses::names(&list.models, self.from)) else {
            return Ok(());
        };
        let mut models: Vec<Named> = Vec::new();
        for named in list.models {
            let named = match named.connection {
                Some(id) if id == self.from => {
                    Named { connection: Some(self.to.id), model: self.model(&named.model) }
                }
                _ => named,
            };
            if !models.contains(&named) {
                models.push(named);
            }
        }
        list.models = models;
        tx.put(&list)
    }

    /// Vectors of another model are incompatible, so only the same model can replace it.
    fn vectors(&self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        let last: Vec<VectorSource> = tx.list(&Range::all().reverse().limit(1))?;
        let maker = last.first().and_then(VectorSource::maker);
        let Some(maker) = maker.filter(|maker| maker.connection == self.from) else {
            return Ok(());
        };
        if self.lists(&maker.model) && queries::vectors::makes_vectors(&self.to) {
            vectors::choose(tx, Some(Maker { connection: self.to.id, ..maker }))?;
        }
        Ok(())
    }
}
