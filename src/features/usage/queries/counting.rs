//! How the bytes of requests become tokens, as far as it was learned from what providers counted.

use crate::usage::model::SeenRatio;
use kernel::ConnectionId;
use providers::bound::Ratio;
use store::{Range, Read, ReadExt, StoreError};

/// What was learned of a model of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    pub model: String,
    /// So many tokens are expected of a thousand bytes.
    pub tokens: u32,
}

/// How many tokens are expected of a thousand bytes where nothing was learned.
#[must_use]
pub fn usual() -> u32 {
    Ratio::default().permille()
}

/// What was learned and is more than usual, by connection and model.
pub fn learned(tx: &dyn Read) -> Result<Vec<Learned>, StoreError> {
    let all: Vec<SeenRatio> = tx.list(&Range::all())?;
    let more = all.into_iter().filter(|seen| usual() < seen.permille);
    let learned = more.map(|seen| {
        let tokens = Ratio::from_permille(seen.permille).permille();
        let (connection, model) = seen.of();
        Learned { connection, model: model.to_owned(), tokens }
    });
    Ok(learned.collect())
}
