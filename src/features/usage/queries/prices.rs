//! Which price of a model counts.

use crate::connections::model::Connection;
use crate::connections::queries::{self as connections, turns};
use crate::usage::model::price::EnteredPrice;
use kernel::key::KeyBuf;
use kernel::{ConnectionId, Route, Timestamp};
use providers::catalog::{self, Model};
use store::{Range, Read, ReadExt, StoreError};

/// All prices that people entered: by model, by connection, by when they begin.
pub fn all(tx: &dyn Read) -> Result<Vec<EnteredPrice>, StoreError> {
    tx.list(&Range::all())
}

/// Those of a model.
pub fn of_model(tx: &dyn Read, model: &str) -> Result<Vec<EnteredPrice>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&catalog::price_name(model))))
}

/// When the next price begins that was entered.
pub fn next_begin(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let later = all(tx)?.into_iter().map(|price| price.begins_at).filter(|at| now < *at);
    Ok(later.min())
}

/// Whether a price that was entered has begun since a moment.
pub fn began_since(tx: &dyn Read, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    Ok(all(tx)?.iter().any(|price| since < price.begins_at && price.begins_at <= now))
}

/// The one of these that counts at a moment for a model there; none stands for all connections.
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

/// Whose model it is: which name it has on the wire, where, and on which way that is paid.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Its name as it is asked for.
    pub name: &'a str,
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// On which way the provider is paid.
    pub route: Route,
}

/// A model with what was entered for it, if that counts at a moment: the price for all connections,
/// and over it that for this one. What people run themselves has only one of its own; practice and what
/// is paid for by the month have none.
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

/// What is known of a model's price without what was entered: the catalogue, what the provider
/// says, the price of the connection.
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
