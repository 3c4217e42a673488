//! What an act was allowed with: before it is done, the page has to be what it was then.

use std::collections::HashMap;

use uuid::Uuid;

use super::Stage;

/// So many downloads are kept in mind.
const AGREED: usize = 100;

/// The calls that were weighed last: of each run its last.
pub(super) type All = HashMap<Uuid, (u32, Expected)>;

/// What an act was weighed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// A digest of what it would be done to.
    pub seal: [u8; 32],
    /// Whether the part has to be the same to the letter; otherwise only what it reaches.
    pub is_strict: bool,
}

impl Stage {
    /// Keeps what a call of a run was weighed with; nothing when it could not be looked at.
    pub fn expect(&self, (run, step): (Uuid, u32), expected: Option<Expected>) {
        let mut state = self.state.lock();
        match expected {
            Some(expected) => state.expected.insert(run, (step, expected)),
            None => state.expected.remove(&run),
        };
    }

    /// What this call was weighed with. Told once.
    #[must_use]
    pub fn take_expected(&self, (run, step): (Uuid, u32)) -> Option<Expected> {
        let found = self.state.lock().expected.remove(&run);
        found.filter(|(of, _)| *of == step).map(|(_, expected)| expected)
    }

    /// Keeps in mind that a download, by its file, began with an act that was allowed to begin it.
    pub fn agree(&self, file: String) {
        let mut state = self.state.lock();
        if state.agreed.len() == AGREED {
            state.agreed.remove(0);
        }
        state.agreed.push(file);
    }

    /// Whether a download, by its file, began with such an act.
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
