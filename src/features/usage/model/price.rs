//! Prices entered by people. They override the built-in sources: the catalogue, the provider's own list and the price
//! of a connection.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::connections::model::Connection;
use kernel::{ConnectionId, Timestamp, TypedId};
use providers::catalog::{LongPrice, Model, Price};
use store::{Class, OnDelete, Record, Refs, Table};

pub const PRICES: Table = Table::new(169, "prices");

/// Model, connection (zeros for all), start.
pub type PriceKey = ((String, ConnectionId), Timestamp);

/// Price of a model from a time on, for one connection or all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnteredPrice {
    /// As written by [`providers::catalog::price_name`].
    pub model: String,
    /// `None` for all connections except self-hosted models.
    pub connection: Option<ConnectionId>,
    /// Applies to calls that begin from then on, until the next price begins.
    #[serde(with = "millisecond::required")]
    pub begins_at: Timestamp,
    /// Micro-dollars per million tokens sent; `None` keeps the price from other sources.
    pub input_micros: Option<u64>,
    /// As above, for cache reads.
    pub cache_read_micros: Option<u64>,
    /// As above, for cache writes.
    pub cache_write_micros: Option<u64>,
    /// As above, for tokens received.
    pub output_micros: Option<u64>,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

/// Represents all connections in keys.
#[must_use]
pub fn everywhere() -> ConnectionId {
    ConnectionId::from_bytes([0; 16])
}

impl EnteredPrice {
    /// Amounts: input, cache read, cache write, output.
    #[must_use]
    pub fn amounts(&self) -> [Option<u64>; 4] {
        [self.input_micros, self.cache_read_micros, self.cache_write_micros, self.output_micros]
    }

    /// The complete price, with missing amounts taken from `below`; `None` if `below` lacks one. A cache price that
    /// is unknown or equals the input price follows the input price.
    #[must_use]
    pub fn over(&self, below: Option<Price>) -> Option<Price> {
        let input = self.input_micros.or(below.map(|price| price.input))?;
        let output = self.output_micros.or(below.map(|price| price.output))?;
        let cached = |own: Option<u64>, of: fn(&Price) -> u64| {
            let apart = below.filter(|price| of(price) != price.input);
            own.or(apart.map(|price| of(&price))).unwrap_or(input)
        };
        Some(Price {
            input,
            cache_read: cached(self.cache_read_micros, |price| price.cache_read),
            cache_write: cached(self.cache_write_micros, |price| price.cache_write),
            output,
        })
    }

    /// The model with this price; `None` if the price is incomplete. An input or output amount applies to calls of
    /// any length.
    #[must_use]
    pub fn laid_over(&self, model: &Model) -> Option<Model> {
        let price = self.over(model.price)?;
        let any_length = self.input_micros.is_some() || self.output_micros.is_some();
        let long = model
            .long
            .filter(|_| !any_length)
            .and_then(|long| Some(LongPrice { price: self.over(Some(long.price))?, ..long }));
        Some(Model { price: Some(price), long, ..model.clone() })
    }
}

impl Record for EnteredPrice {
    type Id = PriceKey;
    const TABLE: Table = PRICES;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> PriceKey {
        ((self.model.clone(), self.connection.unwrap_or_else(everywhere)), self.begins_at)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, self.connection, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            model: "claude-sonnet-4-5".into(),
            connection: Some(ConnectionId::from_bytes([7; 16])),
            begins_at: kernel::time::from_ms(1_700_000_000_000),
            input_micros: Some(2_500_000),
            cache_read_micros: None,
            cache_write_micros: Some(3_125_000),
            output_micros: Some(12_500_000),
            updated_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EnteredPrice;
    use providers::catalog::{Model, Price, describe};
    use store::Record as _;

    fn nothing() -> EnteredPrice {
        EnteredPrice {
            input_micros: None,
            cache_read_micros: None,
            cache_write_micros: None,
            output_micros: None,
            ..EnteredPrice::sample()
        }
    }

    #[test]
    fn what_is_not_said_is_taken_from_below() {
        let below = Price { input: 3, cache_read: 1, cache_write: 4, output: 15 };
        let own = EnteredPrice { output_micros: Some(9), ..nothing() };
        assert_eq!(own.over(Some(below)), Some(Price { output: 9, ..below }));
        assert_eq!(own.over(None), None, "nobody knows what sending costs");
        let own = EnteredPrice { input_micros: Some(2), ..own };
        let whole = Price { input: 2, cache_read: 2, cache_write: 2, output: 9 };
        assert_eq!(own.over(None), Some(whole));
        let plain = Price { input: 100, cache_read: 100, cache_write: 100, output: 100 };
        assert_eq!(own.over(Some(plain)), Some(whole), "the cache costs what sending does");
        let unknown = Model::unknown("x");
        assert_eq!(own.laid_over(&unknown).and_then(|model| model.price), Some(whole));
        assert_eq!(nothing().laid_over(&unknown), None);
    }

    #[test]
    fn a_price_of_long_calls_stays_unless_sending_or_receiving_has_another() {
        let model = describe("claude-haiku-5-5");
        let long = model.long.expect("it has one").price;
        let cache = EnteredPrice { cache_read_micros: Some(7), ..nothing() };
        let laid = cache.laid_over(&model);
        assert_eq!(
            laid.and_then(|laid| laid.long).map(|long| long.price),
            Some(Price { cache_read: 7, ..long })
        );
        let output = EnteredPrice { output_micros: Some(7), ..nothing() };
        assert_eq!(output.laid_over(&model).map(|laid| laid.long), Some(None));
    }
}
