//! Reads of who makes vectors, and of what that costs.

mod asked;
mod error;

use kernel::{ConnectionId, Timestamp};
use providers::catalog::Model;
use providers::embedding;
use store::{Range, Read, ReadExt, StoreError};

use super::super::model::{Connection, Maker, VectorSource, Wire};
use crate::usage::queries::prices::{self, Offered};

pub(in crate::connections) use asked::Line;
pub use asked::{Made, made};
pub use error::VectorError;

/// How many choices are looked through for the one that counted before.
const LOOKED: usize = 16;

/// Who makes vectors now, and who did before: none for the model on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub now: Option<Maker>,
    /// Before the last choice of another one.
    pub before: Option<Maker>,
}

/// Who makes the vectors of a workspace.
pub fn standing(read: &dyn Read) -> Result<Standing, StoreError> {
    let all: Vec<VectorSource> = read.list(&Range::all().reverse().limit(LOOKED))?;
    let mut makers = all.iter().map(VectorSource::maker);
    let now = makers.next().flatten();
    let id = |maker: &Option<Maker>| maker.as_ref().map(Maker::id);
    let before = makers.find(|maker| id(maker) != id(&now)).flatten();
    Ok(Standing { now, before })
}

/// The model behind a connection that makes the vectors of a workspace; none for the one on this machine.
pub fn chosen(read: &dyn Read) -> Result<Option<Maker>, StoreError> {
    Ok(standing(read)?.now)
}

/// Whether a connection can be asked for vectors.
#[must_use]
pub fn makes_vectors(connection: &Connection) -> bool {
    connection.sign_in.is_none() && connection.wire != Wire::Anthropic
}

/// The connections that can be asked for vectors, by name.
pub fn able(read: &dyn Read) -> Result<Vec<Connection>, StoreError> {
    Ok(super::all(read)?.into_iter().filter(makes_vectors).collect())
}

/// A connection by its id or name that can be asked for vectors.
///
/// # Errors
/// When there is none, or it makes no vectors.
pub fn named(read: &dyn Read, said: &str) -> Result<Connection, VectorError> {
    let said = said.trim();
    let found = match said.parse::<ConnectionId>() {
        Ok(id) => read.get::<Connection>(id)?,
        Err(_) => super::by_name(read, said)?,
    };
    let short = || kernel::text::ellipsis(said, 60);
    let found = found.ok_or_else(|| VectorError::NoConnection(short()))?;
    if makes_vectors(&found) { Ok(found) } else { Err(VectorError::MakesNone(found.name)) }
}

/// What is known of a model that makes vectors, with the price that counts at a moment.
///
/// # Errors
/// When the disk fails, or the connection's address cannot be used.
pub fn priced(
    read: &dyn Read,
    connection: &Connection,
    (model, now): (&str, Timestamp),
) -> Result<Model, VectorError> {
    let known = prices::built_in(read, Some(connection), model)?;
    let known = match super::base_of(connection) {
        Ok(base) => embedding::described(known, &base),
        Err(_) => known,
    };
    let route = super::route(connection);
    let offered = Offered { name: model, connection: Some(connection.id), route };
    let entered = prices::of_model(read, model)?;
    Ok(prices::entered(&entered, offered, &known, now).unwrap_or(known))
}
