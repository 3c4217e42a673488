//! What a host has written of its runs while its line was cut, until home has heard it. Of a host alone; it goes nowhere as
//! rows.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{RunId, SessionId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

/// What waits to be said to home.
pub const OUTBOX: Table = Table::new(400, "outbox");

/// A piece of something that home is to hear. What is too long for one row goes on in the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsaid {
    /// Its place: home hears them in order.
    pub number: u64,
    /// The run that it is about.
    pub run: RunId,
    /// The conversation of that run.
    pub session: SessionId,
    /// What is to be said, as JSON, or a piece of that.
    pub body: Vec<u8>,
    /// Whether the next row goes on with it.
    pub more: bool,
    /// When it was written.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for Unsaid {
    type Id = u64;
    const TABLE: Table = OUTBOX;
    const CLASS: Class = Class::Local;
    fn id(&self) -> u64 {
        self.number
    }
    fn sample() -> Self {
        Self {
            number: 7,
            run: RunId::from_bytes([8; 16]),
            session: SessionId::from_bytes([9; 16]),
            body: b"{}".to_vec(),
            more: false,
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
