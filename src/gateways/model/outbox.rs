//! Row of a host's outbox: run data that the primary has not confirmed yet. Exists on hosts only and is never
//! replicated.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{RunId, SessionId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, DecodeError, Record, Table, codec};

pub const OUTBOX: Table = Table::new(400, "outbox");

/// A message to the primary, or a piece of one: long messages take several rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsaid {
    /// Position; the primary receives rows in this order.
    pub number: u64,
    pub run: RunId,
    pub session: SessionId,
    /// JSON or a piece of it.
    pub body: Vec<u8>,
    /// The next row continues the message.
    pub more: bool,
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

/// A row without its body, which is not copied.
#[derive(Deserialize)]
pub(crate) struct Head<'r> {
    pub(crate) number: u64,
    pub(crate) run: RunId,
    pub(crate) session: SessionId,
    _body: &'r [u8],
    pub(crate) more: bool,
    #[serde(with = "millisecond::required")]
    pub(crate) at: Timestamp,
}

impl<'r> Head<'r> {
    /// Decodes a stored row.
    pub(crate) fn read(row: &'r [u8]) -> Result<Self, DecodeError> {
        match codec::unwrap(row)? {
            (Unsaid::VERSION, _, body) => codec::view(body),
            (version, ..) => Err(DecodeError::UnknownVersion { table: OUTBOX.name, version }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Record as _, Unsaid, codec};

    #[test]
    fn the_head_of_a_row_is_what_the_whole_row_says_but_for_its_words() {
        let long = vec![0xff; 70_000];
        for (body, more) in [(Vec::new(), true), (b"{}".to_vec(), false), (long, true)] {
            let row = Unsaid { body, more, ..Unsaid::sample() };
            let bytes = codec::encode_row(Unsaid::VERSION, 3, &row).expect("bytes");
            let head = Head::read(&bytes).expect("a head");
            let of = (head.number, head.run, head.session, head.more, head.at);
            assert_eq!(of, (row.number, row.run, row.session, row.more, row.at));
        }
    }
}
