//! Reads of the embedding model and its price.

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

/// Number of choices searched for the previous model.
const LOOKED: usize = 16;

/// Current and previous embedding model; `None` for the local model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub now: Option<Maker>,
    /// The model before the last change.
    pub before: Option<Maker>,
}

/// The embedding model of a workspace.
pub fn standing(read: &dyn Read) -> Result<Standing, StoreError> {
    let all: Vec<VectorSource> = read.list(&Range::all().reverse().limit(LOOKED))?;
    let mut makers = all.iter().map(VectorSource::maker);
    let now = makers.next().flatten();
    let id = |maker: &Option<Maker>| maker.as_ref().map(Maker::id);
    let before = makers.find(|maker| id(maker) != id(&now)).flatten();
    Ok(Standing { now, before })
}

/// The embedding model behind a connection; `None` for the local one.
pub fn chosen(read: &dyn Read) -> Result<Option<Maker>, StoreError> {
    Ok(standing(read)?.now)
}

/// Whether a connection supports embeddings.
#[must_use]
pub fn makes_vectors(connection: &Connection) -> bool {
    connection.sign_in.is_none() && connection.wire != Wire::Anthropic
}

/// The connections that support embeddings, by name.
pub fn able(read: &dyn Read) -> Result<Vec<Connection>, StoreError> {
    Ok(super::all(read)?.into_iter().filter(makes_vectors).collect())
}

/// Finds a connection that supports embeddings, by id or name.
///
/// # Errors
/// If there is none, or it has no embeddings.
pub fn named(read: &dyn Read, text: &str) -> Result<Connection, VectorError> {
    let text = text.trim();
    let found = match text.parse::<ConnectionId>() {
        Ok(id) => read.get::<Connection>(id)?,
        Err(_) => super::by_name(read, text)?,
    };
    let short = || kernel::text::ellipsis(text, 60);
    let found = found.ok_or_else(|| VectorError::NoConnection(short()))?;
    if makes_vectors(&found) { Ok(found) } else { Err(VectorError::MakesNone(found.name)) }
}

/// An embedding model with its effective price.
///
/// # Errors
/// If the store fails.
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
