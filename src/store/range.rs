//! Key ranges of a table.

use kernel::key::KeyBuf;

/// A key range: from `lo` (inclusive) to `hi` (exclusive; `None` for the end).
#[derive(Clone, Debug)]
pub struct Range {
    pub(crate) lo: Vec<u8>,
    pub(crate) hi: Option<Vec<u8>>,
    pub(crate) reverse: bool,
    pub(crate) limit: usize,
}

impl Range {
    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self { lo: Vec::new(), hi: None, reverse: false, limit: usize::MAX }
    }

    /// All keys with this prefix.
    #[must_use]
    pub fn prefix(prefix: KeyBuf) -> Self {
        let lo = prefix.into_bytes();
        let hi = successor(&lo);
        Self { lo, hi, ..Self::all() }
    }

    /// Keys from `lo` (inclusive) to `hi` (exclusive).
    #[must_use]
    pub fn between(lo: KeyBuf, hi: KeyBuf) -> Self {
        Self { lo: lo.into_bytes(), hi: Some(hi.into_bytes()), ..Self::all() }
    }

    /// Reverses the order.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Limits the number of rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Continues after this key in the direction of the range. Call [`reverse`](Self::reverse) first.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        if self.reverse {
            if self.hi.as_deref().is_none_or(|hi| key < hi) {
                self.hi = Some(key.to_vec());
            }
        } else {
            let next = [key, &[0]].concat();
            if next > self.lo {
                self.lo = next;
            }
        }
        self
    }
}

/// The smallest byte string larger than all with this prefix; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn a_prefix_of_ff_has_no_end() {
        assert_eq!(successor(&[1, 0xff]), Some(vec![2]));
        assert_eq!(successor(&[0xff, 0xff]), None);
    }
}
