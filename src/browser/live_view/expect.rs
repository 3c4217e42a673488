//! What an act was approved for: right before the act, the page must still match.

use std::collections::HashMap;

use uuid::Uuid;

use super::Stage;

/// Maximum number of remembered downloads.
const AGREED: usize = 100;

/// The last checked call of each run.
pub(super) type All = HashMap<Uuid, (u32, Expected)>;

/// The state for which an act was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Digest of what the act would affect.
    pub seal: [u8; 32],
    /// Whether the part must be identical; otherwise only its target counts.
    pub is_strict: bool,
}

impl Stage {
    /// Stores the state for which a call of a run was checked; `None` if it could not be inspected.
    pub fn expect(&self, (run, step): (Uuid, u32), expected: Option<Expected>) {
        let mut state = self.state.lock();
        match expected {
            Some(expected) => state.expected.insert(run, (step, expected)),
            None => state.expected.remove(&run),
        };
    }

    /// Takes the state for which this call was checked; returned once.
    #[must_use]
    pub fn take_expected(&self, (run, step): (Uuid, u32)) -> Option<Expected> {
        let found = self.state.lock().expected.remove(&run);
        found.filter(|(of, _)| *of == step).map(|(_, expected)| expected)
    }

    /// Records that an allowed act started the download with this file.
    pub fn agree(&self, file: String) {
        let mut state = self.state.lock();
        if state.agreed.len() == AGREED {
            state.agreed.remove(0);
        }
        state.agreed.push(file);
    }

    /// Whether an allowed act started the download with this file.
    #[must_use]
    pub fn is_agreed(&self, file: &str) -> bool {
        self.state.lock().agreed.iter().any(|one| one == file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_weighed_counts_for_its_call_alone_and_once() {
        let stage = Stage::default();
        let (ada, bo) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let expected = Expected { seal: [7; 32], is_strict: true };
        stage.expect((ada, 3), Some(expected.clone()));
        assert_eq!(stage.take_expected((bo, 3)), None);
        assert_eq!(stage.take_expected((ada, 3)), Some(expected.clone()));
        assert_eq!(stage.take_expected((ada, 3)), None);
        stage.expect((ada, 4), Some(expected.clone()));
        assert_eq!(stage.take_expected((ada, 5)), None, "another call");
        stage.expect((ada, 6), Some(expected));
        stage.expect((ada, 6), None);
        assert_eq!(stage.take_expected((ada, 6)), None);
    }
}
