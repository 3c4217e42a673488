//! Cursors of item lists. A cursor stores the sort position of a page's last row instead of an offset, so that changes
//! between two pages neither repeat nor hide rows.

use std::fmt;
use std::str::FromStr;

use kernel::TypedId as _;

use crate::error::KnowledgeError;
use crate::model::KnowledgeId;

/// Bytes of a mark, and of a mark with an id.
const MARK: usize = 8;
const WHOLE: usize = MARK + 16;

/// Position of an item in descending order of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Time of the last change, or score.
    pub mark: i64,
    /// The item, which breaks ties.
    pub id: KnowledgeId,
}

impl Cursor {
    /// Whether `other` comes after this position.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        other < self
    }

    /// Parses a cursor.
    ///
    /// # Errors
    /// The text is not a cursor of a list.
    pub fn read(text: &str) -> Result<Self, KnowledgeError> {
        let words = "Use the cursor of the previous page unchanged.";
        text.parse().map_err(|()| KnowledgeError::field("cursor", words))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&self.mark.to_be_bytes()[..], &self.id.uuid().into_bytes()].concat();
        f.write_str(&store::key_cursor(&key))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let key = store::cursor_key(text).filter(|key| key.len() == WHOLE).ok_or(())?;
        let (mark, id) = key.split_at(MARK);
        // ok: both have the right length
        let mark: [u8; MARK] = mark.try_into().map_err(|_| ())?;
        let id: [u8; 16] = id.try_into().map_err(|_| ())?;
        Ok(Self { mark: i64::from_be_bytes(mark), id: KnowledgeId::from_bytes(id) })
    }
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;

    use super::Cursor;
    use crate::model::KnowledgeId;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_a_number_is_none() {
        for mark in [0, 5, i64::MAX, -3] {
            let cursor = Cursor { mark, id: KnowledgeId::from_bytes([7; 16]) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "50", "00000000000000050707"] {
            assert!(Cursor::read(wrong).is_err(), "{wrong}");
        }
    }
}
