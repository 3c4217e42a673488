//! Entering and removing prices. They apply to calls that begin afterwards; the cost stored with a call never
//! changes.

use jiff::SignedDuration;

use crate::connections::model::Connection;
use crate::usage::model::budget::BudgetWait;
use crate::usage::model::price::EnteredPrice;
use crate::usage::queries::{prices, waiting};
use kernel::time::from_ms;
use kernel::{ConnectionId, Event, FieldError, Problem, ProblemKind, Timestamp};
use providers::catalog;
use store::{ReadExt, Record as _, StoreError, WriteTx};

/// Maximum price: ten thousand dollars per million tokens.
pub const MAX_PRICE: u64 = 10_000_000_000;
/// Maximum number of prices of a workspace.
pub const MAX_PRICES: usize = 2_000;
/// Maximum length of a model name.
const MAX_MODEL: usize = 200;
/// Maximum distance of a price's start from now: five years.
const LATEST: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);

#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    #[error("enter a model name of 1 to {MAX_MODEL} characters without spaces")]
    BadModel,
    #[error("this connection doesn't exist; check its name")]
    NoConnection,
    #[error("enter a price between $0 and $10,000 per million tokens")]
    BadAmount { field: &'static str },
    #[error("enter at least one price")]
    Nothing,
    /// Input and output price are both required if no other source has them.
    #[error("{0} has no built-in price; enter both input and output")]
    NotWhole(String),
    #[error("enter a start within the next five years")]
    TooLate,
    #[error("there are {MAX_PRICES} prices; remove one first")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for PriceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoConnection => "connection_not_found",
            Self::TooMany => "too_many_prices",
            Self::Store(error) => error.code(),
            _ => "price_invalid",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoConnection => ProblemKind::NotFound,
            Self::TooMany => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
            _ => ProblemKind::Invalid,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::BadModel => "model",
            Self::BadAmount { field } => *field,
            Self::Nothing | Self::NotWhole(_) => "input_micros",
            Self::TooLate => "begins_at",
            _ => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}

/// Request for a price.
#[derive(Clone, Debug, Default)]
pub struct NewPrice {
    pub model: String,
    /// `None` for all connections except self-hosted models.
    pub connection: Option<ConnectionId>,
    /// `None` for now.
    pub begins_at: Option<Timestamp>,
    /// Micro-dollars per million tokens: input, cache read, cache write, output; `None` keeps the price from other
    /// sources.
    pub amounts: [Option<u64>; 4],
}

/// Field names of the amounts.
pub const AMOUNTS: [&str; 4] =
    ["input_micros", "cache_read_micros", "cache_write_micros", "output_micros"];

/// Enters a price. Replaces one with the same start.
///
/// # Errors
/// If model, connection, amount or start is invalid, or the price is incomplete.
pub fn set(tx: &mut WriteTx<'_>, new: NewPrice) -> Result<EnteredPrice, PriceError> {
    let model_name = new.model.trim();
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if model_name.is_empty() || MAX_MODEL < model_name.len() || model_name.contains(is_odd) {
        return Err(PriceError::BadModel);
    }
    let model = catalog::price_name(model_name);
    if model.is_empty() {
        return Err(PriceError::BadModel);
    }
    for (amount, field) in new.amounts.iter().zip(AMOUNTS) {
        if amount.is_some_and(|amount| MAX_PRICE < amount) {
            return Err(PriceError::BadAmount { field });
        }
    }
    if new.amounts.iter().all(Option::is_none) {
        return Err(PriceError::Nothing);
    }
    let now = tx.now();
    let begins_at = new.begins_at.map_or(now, |at| from_ms(at.as_millisecond()));
    if now + LATEST < begins_at {
        return Err(PriceError::TooLate);
    }
    let connection = match new.connection {
        Some(id) => Some(tx.get::<Connection>(id)?.ok_or(PriceError::NoConnection)?),
        None => None,
    };
    let [input_micros, cache_read_micros, cache_write_micros, output_micros] = new.amounts;
    let price = EnteredPrice {
        model,
        connection: new.connection,
        begins_at,
        input_micros,
        cache_read_micros,
        cache_write_micros,
        output_micros,
        updated_at: now,
    };
    let rows = prices::of_model(tx, &price.model)?;
    let below = prices::built_in(tx, connection.as_ref(), model_name)?;
    let wide = price.connection.and_then(|_| prices::at(&rows, &price.model, None, begins_at));
    let below = wide.and_then(|wide| wide.laid_over(&below)).unwrap_or(below);
    if price.over(below.price).is_none() {
        return Err(PriceError::NotWhole(model_name.to_owned()));
    }
    let before = rows.into_iter().find(|row| row.id() == price.id());
    match before {
        Some(before) if before.amounts() == price.amounts() => return Ok(before),
        Some(_) => {}
        None if MAX_PRICES <= prices::all(tx)?.len() => return Err(PriceError::TooMany),
        None => {}
    }
    tx.put(&price)?;
    changed(tx, &price.model, price.connection)?;
    Ok(price)
}

/// Removes the prices of a model and connection: the one with this start, or all. Returns the number removed.
pub fn remove(
    tx: &mut WriteTx<'_>,
    model: &str,
    connection: Option<ConnectionId>,
    begins_at: Option<Timestamp>,
) -> Result<usize, PriceError> {
    let mut rows = prices::of_model(tx, model)?;
    rows.retain(|row| {
        row.connection == connection && begins_at.is_none_or(|at| row.begins_at == at)
    });
    for row in &rows {
        tx.delete::<EnteredPrice>(row.id())?;
    }
    if let Some(first) = rows.first() {
        changed(tx, &first.model, connection)?;
    }
    Ok(rows.len())
}

/// Announces the change. Waiting runs recompute the cost of their next call.
fn changed(
    tx: &mut WriteTx<'_>,
    model: &str,
    connection: Option<ConnectionId>,
) -> Result<(), PriceError> {
    for wait in waiting::all(tx)?.into_iter().filter(|wait| wait.micros != 0) {
        tx.put(&BudgetWait { micros: 0, ..wait })?;
    }
    tx.emit(Event::PriceChanged { model: model.to_owned(), connection });
    Ok(())
}
