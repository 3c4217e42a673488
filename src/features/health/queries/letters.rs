//! Dead letters of consumers, in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::queries as audit;
use app::Ws;
use kernel::Timestamp;
use kernel::cursor::MAX_LIMIT;
use store::consumer::{DeadLetter, dead_letters_after};
use store::{Read, Schema, StoreError};

/// An entry that was given up.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Letter {
    /// The entry.
    pub seq: u64,
    /// When it was given up.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why.
    pub error: String,
    /// What the entry tells, in words.
    pub said: String,
}

/// Entries that a consumer gave up, oldest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Letters {
    /// The entries.
    pub items: Vec<Letter>,
    /// Give this back as `after`; none at the end.
    pub next: Option<String>,
}

/// Which of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LetterParams {
    /// The `next` of the page before: only those behind this entry.
    pub after: Option<u64>,
    /// 1 to 100; 100 unless said otherwise.
    pub limit: Option<usize>,
}

/// A page of a consumer's dead letters. May block for a while.
pub fn page(ws: &Ws, number: u16, params: LetterParams) -> Result<Letters, StoreError> {
    let limit = params.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    ws.read(|snap| {
        let mut dead = dead_letters_after(snap, number, params.after.unwrap_or(0), limit + 1)?;
        let is_more = limit < dead.len();
        dead.truncate(limit);
        let next = dead.last().filter(|_| is_more).map(|(seq, _)| seq.to_string());
        let teller = Teller::new(snap, ws.store.schema());
        let items = dead.into_iter().map(|(seq, letter)| teller.letter(seq, letter));
        Ok(Letters { items: items.collect(), next })
    })
}

/// Describes entries of one snapshot, including unreadable ones, because this list is for troubleshooting.
pub struct Teller<'r>(Result<audit::Teller<'r>, String>);

impl<'r> Teller<'r> {
    #[must_use]
    pub fn new(read: &'r dyn Read, schema: &'r Schema) -> Self {
        Self(audit::Teller::of_workspace(read, schema).map_err(|error| error.to_string()))
    }

    fn letter(&self, seq: u64, letter: DeadLetter) -> Letter {
        let at = kernel::time::from_ms(letter.at);
        Letter { seq, at, error: letter.error, said: self.describe(seq) }
    }

    /// An entry as one sentence, or the read error. Empty if it does not exist.
    #[must_use]
    pub fn describe(&self, seq: u64) -> String {
        let text = match &self.0 {
            Ok(teller) => teller.sentence(seq).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        text.unwrap_or_else(|why| format!("this entry can’t be read: {why}"))
    }
}
