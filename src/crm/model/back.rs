//! Undo state of an import or a conversion: the list of its entries, which an undo replaces by its own entries, so that
//! these can be undone in turn. During an undo or redo a mark divides the list: before it the entries left to undo,
//! after it the entries that undid others. The list is part of the record, so each step and its accounting are one
//! transaction.

/// The mark during an undo.
const BACK: u64 = 0;
/// The mark during a redo. No entry has this number.
const FORTH: u64 = u64::MAX;

/// Direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Undo.
    Back,
    /// Redo: undoes the undo.
    Forth,
}

/// The running direction, if any.
#[must_use]
pub fn turn(entries: &[u64]) -> Option<Turn> {
    entries.iter().find_map(|entry| match *entry {
        BACK => Some(Turn::Back),
        FORTH => Some(Turn::Forth),
        _ => None,
    })
}

fn mark(entries: &[u64]) -> Option<usize> {
    entries.iter().position(|entry| [BACK, FORTH].contains(entry))
}

/// Starts, unless it is running.
pub fn begin(entries: &mut Vec<u64>, turn: Turn) {
    if mark(entries).is_none() {
        entries.push(if turn == Turn::Back { BACK } else { FORTH });
    }
}

/// The entries left to undo, oldest first; the last one is next.
#[must_use]
pub fn left(entries: &[u64]) -> &[u64] {
    &entries[..mark(entries).unwrap_or(0)]
}

/// Number of undone entries, and of all.
#[must_use]
pub fn done_of(entries: &[u64]) -> (usize, usize) {
    let all = entries.len().saturating_sub(usize::from(mark(entries).is_some()));
    (all - left(entries).len(), all)
}

/// Records that an entry was undone, by another one if anything was changed. Returns the direction when nothing is left
/// to do.
pub fn took(entries: &mut Vec<u64>, entry: Option<u64>, by: Option<u64>) -> Option<Turn> {
    let at = mark(entries)?;
    if let Some(at) = entries[..at].iter().position(|one| Some(*one) == entry) {
        entries.remove(at);
        entries.extend(by);
    }
    if !left(entries).is_empty() {
        return None;
    }
    let turn = turn(entries);
    entries.retain(|entry| ![BACK, FORTH].contains(entry));
    turn
}

#[cfg(test)]
mod tests {
    use super::{Turn, begin, done_of, left, took, turn};

    #[test]
    fn what_took_something_back_is_taken_back_in_its_turn() {
        let mut entries = vec![5, 6, 9];
        begin(&mut entries, Turn::Back);
        begin(&mut entries, Turn::Back);
        assert_eq!((left(&entries), turn(&entries)), (&[5, 6, 9][..], Some(Turn::Back)));
        assert_eq!(took(&mut entries, Some(9), Some(12)), None);
        assert_eq!(took(&mut entries, Some(9), Some(13)), None, "it is noted once");
        assert_eq!((left(&entries), done_of(&entries)), (&[5, 6][..], (1, 3)));
        assert_eq!(took(&mut entries, Some(6), None), None, "nothing of it was left");
        assert_eq!(took(&mut entries, Some(5), Some(14)), Some(Turn::Back));
        assert_eq!((entries.as_slice(), turn(&entries)), (&[12, 14][..], None));
        begin(&mut entries, Turn::Forth);
        assert_eq!(took(&mut entries, Some(14), Some(20)), None);
        assert_eq!(took(&mut entries, Some(12), Some(21)), Some(Turn::Forth));
        assert_eq!(entries, [20, 21]);
    }
}
