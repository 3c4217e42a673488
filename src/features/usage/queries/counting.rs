//! Observed ratios of tokens to request bytes.

use crate::usage::model::SeenRatio;
use kernel::ConnectionId;
use providers::bound::Ratio;
use store::{Range, Read, ReadExt, StoreError};

/// Observed ratio of a connection's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    pub model: String,
    /// Expected tokens per thousand bytes.
    pub tokens: u32,
}

/// Default of expected tokens per thousand bytes.
#[must_use]
pub fn usual() -> u32 {
    Ratio::default().permille()
}

/// Observed ratios above the default, by connection and model.
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
