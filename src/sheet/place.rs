//! Column letters, and notes.

/// Limit of kept notes; the number of further ones is one line.
const MOST_NOTES: usize = 100;

/// Letters of a column, counted from 0: `A`, `Z`, `AA`.
pub(crate) fn letters(column: usize) -> String {
    let mut rest = column + 1;
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

/// Collected oddities.
#[derive(Default)]
pub(crate) struct Notes {
    kept: Vec<String>,
    more: usize,
}

impl Notes {
    pub(crate) fn add(&mut self, note: impl FnOnce() -> String) {
        if self.kept.len() < MOST_NOTES {
            self.kept.push(note());
        } else {
            self.more += 1;
        }
    }

    /// The kept notes, and a line with the number of further ones.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.kept.push(format!("and {} more like these", self.more));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Notes, letters};

    #[test]
    fn columns_have_the_letters_that_spreadsheets_give_them() {
        let of = |column| letters(column);
        assert_eq!([of(0), of(25), of(26), of(701), of(702)], ["A", "Z", "AA", "ZZ", "AAA"]);
        assert_eq!(of(16_383), "XFD");
    }

    #[test]
    fn notes_beyond_the_most_are_counted() {
        let mut notes = Notes::default();
        (0..103).for_each(|row| notes.add(|| format!("row {row}")));
        let lines = notes.into_lines();
        assert_eq!(lines.len(), 101);
        assert_eq!(lines[100], "and 3 more like these");
    }
}
