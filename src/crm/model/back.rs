//! The entries of an import or a conversion: what it did, so that it can be taken back, and what took it back, so that this
//! can be taken back, too. While that goes on a mark stands in the list: before it what is still to be taken back, behind it
//! what did so. The list lies in the record, so each step and its note are one transaction.

/// The mark while something is taken back.
const BACK: u64 = 0;
/// The mark while it is brought forth again. No entry has such a number.
const FORTH: u64 = u64::MAX;

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is taken back.
    Back,
    /// What took it back is taken back.
    Forth,
}

/// Which way it goes at the moment.
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

/// Begins, unless it has begun.
pub fn begin(entries: &mut Vec<u64>, turn: Turn) {
    if mark(entries).is_none() {
        entries.push(if turn == Turn::Back { BACK } else { FORTH });
    }
}

/// The entries that are still to be taken back, oldest first; the last one is next.
#[must_use]
pub fn left(entries: &[u64]) -> &[u64] {
    &entries[..mark(entries).unwrap_or(0)]
}

/// How many have been taken back of how many.
#[must_use]
pub fn done_of(entries: &[u64]) -> (usize, usize) {
    let all = entries.len().saturating_sub(usize::from(mark(entries).is_some()));
    (all - left(entries).len(), all)
}

/// Notes that an entry was taken back, by another one if anything of it was left. Says which way it went when nothing is
/// left to do.
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
