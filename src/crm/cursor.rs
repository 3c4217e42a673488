//! Cursors of lists. A cursor has the sort key of the last row of a page, not the number of rows before it, so that
//! concurrent insertions and deletions neither repeat nor hide rows.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::error::CrmError;

/// A sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A number, or the rank of a choice.
    Number(i64),
    /// Lower-case text.
    Words(String),
}

/// Position of a row in the order of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sort key; `None` if the field is empty, or the order is that of ids.
    pub mark: Option<Mark>,
    pub id: Uuid,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    /// End of the previous page; `None` for the first page.
    pub after: Option<Cursor>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// The error for an invalid cursor.
pub(crate) fn unknown() -> CrmError {
    CrmError::field("cursor", "Use the cursor of the previous page unchanged.")
}

impl Cursor {
    /// Compares a row with this position: by sort key, descending if `is_down`, then by id; rows without a sort key
    /// come last.
    pub(crate) fn compare(&self, row: &Self, is_down: bool) -> Ordering {
        let marks = match (&row.mark, &self.mark) {
            (Some(row), Some(own)) if is_down => own.cmp(row),
            (Some(row), Some(own)) => row.cmp(own),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        marks.then(row.id.cmp(&self.id))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id.simple())?;
        match &self.mark {
            Some(Mark::Number(number)) => write!(f, ".n{number}"),
            Some(Mark::Words(words)) => write!(f, ".w{}", store::key_cursor(words.as_bytes())),
            None => Ok(()),
        }
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, mark) = text.split_once('.').map_or((text, None), |(id, mark)| (id, Some(mark)));
        let read = |mark: &str| {
            if let Some(number) = mark.strip_prefix('n') {
                return number.parse().ok().map(Mark::Number);
            }
            let words = match mark.strip_prefix('w')? {
                "" => Vec::new(),
                words => store::cursor_key(words)?,
            };
            String::from_utf8(words).ok().map(Mark::Words)
        };
        let mark = match mark {
            Some(mark) => Some(read(mark).ok_or(())?),
            None => None,
        };
        // Thirty-two digits, which is no number.
        let id = Uuid::try_parse(id).ok().filter(|_| id.len() == 32);
        id.map(|id| Self { mark, id }).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use uuid::Uuid;

    use super::{Cursor, Mark};

    #[test]
    fn a_cursor_reads_as_it_was_written() {
        let id = Uuid::from_bytes([7; 16]);
        let marks = [
            None,
            Some(Mark::Number(-12)),
            Some(Mark::Words("änne.b".into())),
            Some(Mark::Words(String::new())),
        ];
        for mark in marks {
            let cursor = Cursor { mark, id };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "50", "x.n1", "07070707070707070707070707070707.q"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_stand_behind_a_place_by_their_marks_then_by_their_ids() {
        let at = |mark: Option<i64>, id: u8| Cursor {
            mark: mark.map(Mark::Number),
            id: Uuid::from_bytes([id; 16]),
        };
        let place = at(Some(5), 5);
        assert_eq!(place.compare(&at(Some(6), 1), false), Ordering::Greater);
        assert_eq!(place.compare(&at(Some(6), 1), true), Ordering::Less);
        assert_eq!(place.compare(&at(Some(5), 6), true), Ordering::Greater);
        assert_eq!(place.compare(&at(None, 1), true), Ordering::Greater);
        assert_eq!(at(None, 5).compare(&at(Some(9), 9), false), Ordering::Less);
        assert_eq!(place.compare(&place, false), Ordering::Equal);
    }
}
