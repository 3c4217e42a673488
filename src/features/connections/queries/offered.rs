//! The models to choose from, with their known properties.

use crate::connections::model::{Connection, ListedModel};
use crate::usage::queries::prices::{self, Offered};
use kernel::Timestamp;
use providers::catalog::{self, Model};
use store::{Read, StoreError};

use super::{base_of, priced, route, turns};

/// A model as offered by a connection.
#[derive(Clone, Debug)]
pub struct OfferedModel {
    /// Model id of the provider.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Known properties with the effective price.
    pub known: Model,
    /// Context window, if known.
    pub window: Option<u32>,
    /// Maximum tokens of one response, if known.
    pub max_output: Option<u32>,
}

/// The models of a connection, best known first, including a default model that is not listed.
pub fn models(
    tx: &dyn Read,
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<OfferedModel>, StoreError> {
    let mut offers = turns::offers(tx, connection.id)?;
    let entered = prices::all(tx)?;
    let base = base_of(connection).ok(); // ok: an invalid address adds no properties
    let mut listed = connection.models.clone();
    if let Some(id) = &connection.default_model
        && !listed.iter().any(|model| model.id == *id)
    {
        listed.push(ListedModel { id: id.clone(), name: id.clone() });
    }
    listed.sort_by_cached_key(|model| (catalog::rank(&model.id), model.id.clone()));
    let way = route(connection);
    let of = |listed: ListedModel| {
        let known = catalog::describe(&listed.id);
        let known = match &base {
            Some(base) => known.at(base),
            None => known,
        };
        let is_known = !known.vendor.is_empty();
        let offer = offers.remove(&listed.id);
        let says = |number: Option<u32>, known: u32| number.or(is_known.then_some(known));
        let window = says(offer.as_ref().and_then(|offer| offer.window), known.window);
        let max_output = says(offer.as_ref().and_then(|offer| offer.max_output), known.max_output);
        let known = match &offer {
            Some(offer) => known.with_info(offer),
            None => known,
        };
        let known = priced(Some(connection), known);
        let place = Offered { name: &listed.id, connection: Some(connection.id), route: way };
        let known = prices::entered(&entered, place, &known, now).unwrap_or(known);
        OfferedModel { id: listed.id, name: listed.name, known, window, max_output }
    };
    Ok(listed.into_iter().map(of).collect())
}
