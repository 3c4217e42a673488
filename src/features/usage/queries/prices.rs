//! Effective price of a model.

use crate::connections::model::Connection;
use crate::connections::queries::{self as connections, turns};
use crate::usage::model::price::EnteredPrice;
use kernel::key::KeyBuf;
use kernel::{ConnectionId, Route, Timestamp};
use providers::catalog::{self, Model};
use store::{Range, Read, ReadExt, StoreError};

/// All entered prices, ordered by model, connection and start.
pub fn all(tx: &dyn Read) -> Result<Vec<EnteredPrice>, StoreError> {
    tx.list(&Range::all())
}

/// The entered prices of a model.
pub fn of_model(tx: &dyn Read, model: &str) -> Result<Vec<EnteredPrice>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&catalog::price_name(model))))
}

/// Start of the next entered price.
pub fn next_begin(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let later = all(tx)?.into_iter().map(|price| price.begins_at).filter(|at| now < *at);
    Ok(later.min())
}

/// Whether an entered price has begun since a time.
pub fn began_since(tx: &dyn Read, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    Ok(all(tx)?.iter().any(|price| since < price.begins_at && price.begins_at <= now))
}

/// The price in effect for a model and connection; `None` stands for all connections.
#[must_use]
pub fn at<'a>(
    prices: &'a [EnteredPrice],
    model: &str,
    connection: Option<ConnectionId>,
    now: Timestamp,
) -> Option<&'a EnteredPrice> {
    let name = catalog::price_name(model);
    let own = |price: &&EnteredPrice| price.model == name && price.connection == connection;
    let begun = prices.iter().filter(own).filter(|price| price.begins_at <= now);
    begun.max_by_key(|price| price.begins_at)
}

/// A model as offered by a connection.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Name as sent to the provider.
    pub name: &'a str,
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// Payment route of the provider.
    pub route: Route,
}

/// The model with its entered prices in effect: the price for all connections, overridden by the connection's own.
/// Self-hosted models have only their own. Practice and subscriptions have none.
#[must_use]
pub fn entered(
    prices: &[EnteredPrice],
    of: Offered<'_>,
    model: &Model,
    now: Timestamp,
) -> Option<Model> {
    let wide = match of.route {
        Route::Practice | Route::Subscription => return None,
        Route::Own => None,
        Route::Api => at(prices, of.name, None, now),
    };
    let wide = wide.and_then(|price| price.laid_over(model));
    let near = of.connection.and_then(|id| at(prices, of.name, Some(id), now));
    let near = near.and_then(|price| price.laid_over(wide.as_ref().unwrap_or(model)));
    near.or(wide)
}

/// The model with its price from the built-in sources: catalogue, provider list, connection.
pub fn built_in(
    tx: &dyn Read,
    connection: Option<&Connection>,
    model: &str,
) -> Result<Model, StoreError> {
    let known = catalog::describe(model);
    let Some(connection) = connection else { return Ok(known) };
    let known = match connections::base_of(connection) {
        Ok(base) => known.at(&base),
        Err(_) => known,
    };
    let known = turns::described(tx, connection.id, model, known)?;
    Ok(connections::priced(Some(connection), known))
}
