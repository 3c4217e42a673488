//! Detects two machines that use copies of one gateway folder.
//!
//! Each start of `hq replica` has an id, its *life*. A restart ends a life permanently. If a life calls again after
//! another life was admitted, both processes are running, and nothing shows which one is right. Both are held until a
//! person chooses one. In memory only: after a restart of HQ, copies are detected again.

use kernel::Timestamp;

/// Number of remembered lives per gateway.
const LIVES: usize = 32;
/// Number of machines offered for the choice.
const CHOICES: usize = 8;

/// Identification that a calling machine sends, used to detect copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Id of this process start; empty if the program is too old to send one.
    pub life: String,
    /// The life in which the folder was last held; empty if never. It distinguishes later lives of several copies.
    pub branch: String,
    /// Host name reported by the machine.
    pub name: String,
    pub address: String,
}

/// One of several machines with the same gateway folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderCopy {
    /// Current life of the machine; identifies it in the choice.
    pub id: String,
    /// First known life of the machine. A machine that has not learned that it is held still identifies itself by
    /// this life.
    former: String,
    /// Host name reported by the machine.
    pub name: String,
    pub address: String,
    /// Time of the last call.
    pub seen_at: Timestamp,
}

impl FolderCopy {
    fn new(caller: Caller, now: Timestamp) -> Self {
        let Caller { life, name, address, .. } = caller;
        Self { id: life.clone(), former: life, name, address, seen_at: now }
    }

    fn is(&self, word: &str) -> bool {
        self.id == word || self.former == word
    }
}

/// Decision about a calling machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The machine may link.
    Admitted,
    /// Another life was admitted after this call began. This life has probably ended; otherwise it calls again.
    Late,
    /// The machine waits for the choice, as do all others of this gateway.
    Held {
        /// Whether people have been notified.
        is_told: bool,
    },
    /// Another machine was chosen.
    Refused,
}

/// Known machines of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    /// Admitted machines, current one last.
    seen: Vec<FolderCopy>,
    /// Sequence number of the last admitted call.
    admitted: u64,
    held: Option<Held>,
    /// Ids and lives of the machines that were not chosen.
    refused: Vec<String>,
}

#[derive(Debug)]
struct Held {
    copies: Vec<FolderCopy>,
    is_told: bool,
}

impl Held {
    /// Records a call while held: by a known machine, possibly after a restart, or by a new one. A machine that
    /// learns that it is held stores its life as its branch, so after a restart it sends its previous life.
    fn note(&mut self, caller: Caller, now: Timestamp) {
        let by_life = self.copies.iter().position(|one| one.id == caller.life);
        let by_branch = || self.copies.iter().position(|one| one.id == caller.branch);
        let by_former = || self.copies.iter().position(|one| one.former == caller.branch);
        match by_life.or_else(by_branch).or_else(by_former) {
            Some(at) => {
                let former = self.copies[at].former.clone();
                self.copies[at] = FolderCopy { former, ..FolderCopy::new(caller, now) };
            }
            None if self.copies.len() < CHOICES => self.copies.push(FolderCopy::new(caller, now)),
            None => {}
        }
    }
}

impl Lives {
    /// Decides about a machine that has proved its key. `began` and `decided` are call sequence numbers.
    pub(crate) fn admit(
        &mut self,
        caller: Caller,
        (began, decided): (u64, u64),
        now: Timestamp,
    ) -> Admission {
        if self.is_refused(&caller.life, &caller.branch) {
            return Admission::Refused;
        }
        let says_life = !caller.life.is_empty();
        if let Some(held) = &mut self.held {
            if says_life {
                held.note(caller, now);
            }
            return Admission::Held { is_told: held.is_told };
        }
        if !says_life {
            return Admission::Admitted;
        }
        let is_present = self.seen.last().is_some_and(|one| one.id == caller.life);
        if !is_present && began < self.admitted {
            return Admission::Late;
        }
        let known = self.seen.iter().position(|one| one.id == caller.life);
        let this = FolderCopy::new(caller, now);
        if known.is_some() && !is_present {
            let copies = self.seen.pop().into_iter().chain([this]).collect();
            self.seen.clear();
            self.held = Some(Held { copies, is_told: false });
            return Admission::Held { is_told: false };
        }
        if let Some(known) = known {
            self.seen.remove(known);
        } else if self.seen.len() == LIVES {
            self.seen.remove(0);
        }
        self.seen.push(this);
        self.admitted = decided;
        Admission::Admitted
    }

    /// Whether an admitted machine may keep its link.
    pub(crate) fn may_stay(&self, life: &str, branch: &str) -> bool {
        self.held.is_none() && !self.is_refused(life, branch)
    }

    fn is_refused(&self, life: &str, branch: &str) -> bool {
        let is = |word: &str| !word.is_empty() && self.refused.iter().any(|one| one == word);
        is(life) || is(branch)
    }

    /// The machines that wait for a choice; empty if there is none.
    pub(crate) fn copies(&self) -> &[FolderCopy] {
        self.held.as_ref().map_or(&[], |held| &held.copies)
    }

    pub(crate) fn are_told(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_told = true;
        }
    }

    /// Keeps the chosen machine and refuses the others. Returns whether `id` was one of them.
    pub(crate) fn keep(&mut self, id: &str) -> bool {
        let Some(held) = self.held.take_if(|held| held.copies.iter().any(|one| one.is(id))) else {
            return false;
        };
        for one in held.copies {
            match one.is(id) {
                true => self.seen = vec![one],
                false => self.refused.extend([one.former, one.id]),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Caller, Lives};
    use kernel::time::from_ms;

    /// Decides calls immediately, in order.
    #[derive(Default)]
    struct Door {
        lives: Lives,
        number: u64,
    }

    impl Door {
        fn knocks(&mut self) -> u64 {
            self.number += 1;
            self.number
        }

        fn decides(&mut self, life: &str, branch: &str, began: u64) -> Admission {
            let caller = Caller {
                life: life.to_owned(),
                branch: branch.to_owned(),
                name: format!("name of {life}"),
                ..Caller::default()
            };
            let now = from_ms(i64::try_from(self.number).unwrap());
            let decided = self.knocks();
            self.lives.admit(caller, (began, decided), now)
        }

        fn calls(&mut self, life: &str, branch: &str) -> Admission {
            let began = self.knocks();
            self.decides(life, branch, began)
        }

        fn copies(&self) -> Vec<String> {
            self.lives.copies().iter().map(|one| one.id.clone()).collect()
        }
    }

    const HELD: Admission = Admission::Held { is_told: false };

    #[test]
    fn restarts_and_lines_that_break_are_no_copies() {
        let mut door = Door::default();
        for life in ["a", "a", "b", "b", "b", "c", "", "c", "d"] {
            assert_eq!(door.calls(life, ""), Admission::Admitted, "{life}");
        }
        // The last call of an ended life is decided after the next life was admitted.
        let began = door.knocks();
        assert_eq!(door.calls("e", ""), Admission::Admitted);
        assert_eq!(door.decides("d", "", began), Admission::Late);
        assert_eq!(door.decides("f", "", began), Admission::Late, "nor is it let in instead");
        assert_eq!(door.calls("e", ""), Admission::Admitted);
        for n in 0..100 {
            assert_eq!(door.calls(&format!("g{n}"), ""), Admission::Admitted);
        }
        assert!(door.copies().is_empty() && door.lives.seen.len() <= super::LIVES);
    }

    #[test]
    fn a_life_that_comes_back_is_a_second_machine_and_all_wait_for_a_choice() {
        let mut door = Door::default();
        door.calls("a", "");
        door.calls("b", "");
        assert!(door.lives.may_stay("b", ""));
        assert_eq!(door.calls("a", ""), HELD);
        door.lives.are_told();
        assert!(!door.lives.may_stay("b", ""), "the one that is linked, too");
        let held = Admission::Held { is_told: true };
        for life in ["b", "a", "", "c"] {
            assert_eq!(door.calls(life, ""), held, "{life}");
        }
        // A held machine restarts.
        assert_eq!(door.calls("a2", "a"), held);
        assert_eq!(door.copies(), ["b", "a2", "c"]);
        assert_eq!(door.lives.copies()[1].name, "name of a2");
        // Two more restarts, one before the machine learned that it is still held.
        assert_eq!(door.calls("a3", "a2"), held);
        assert_eq!(door.calls("a4", "a3"), held);
        assert_eq!(door.calls("a5", "a"), held);
        assert_eq!(door.copies(), ["b", "a5", "c"]);

        assert!(!door.lives.keep("d"));
        assert!(door.lives.keep("a") && !door.lives.keep("a"));
        assert!(door.copies().is_empty());
        for (life, branch) in [("a5", "a5"), ("a6", "a5"), ("a6", "a5")] {
            assert_eq!(door.calls(life, branch), Admission::Admitted, "{life}");
        }
        for (life, branch) in [("b", ""), ("b", "b"), ("b2", "b"), ("c", "c"), ("c2", "c")] {
            assert_eq!(door.calls(life, branch), Admission::Refused, "{life}");
            assert!(!door.lives.may_stay(life, branch));
        }
        assert_eq!(door.calls("a6", "a5"), Admission::Admitted, "that is no reason to hold it");

        // A refused machine that never learned of it restarts. Nothing identifies it.
        assert_eq!(door.calls("b3", ""), Admission::Admitted);
        assert_eq!(door.calls("a6", "a5"), HELD);
        assert_eq!(door.copies(), ["b3", "a6"]);
        assert!(door.lives.keep("a6"));
        assert_eq!(door.calls("a7", "a6"), Admission::Admitted);
        assert_eq!(door.calls("b4", "b3"), Admission::Refused);
    }

    #[test]
    fn a_copy_of_the_chosen_one_is_found_as_well() {
        let mut door = Door::default();
        for life in ["a", "b", "a"] {
            door.calls(life, "");
        }
        assert!(door.lives.keep("a"));
        assert_eq!(door.calls("a", "a"), Admission::Admitted);
        assert_eq!(door.calls("c", "a"), Admission::Admitted);
        assert_eq!(door.calls("a", "a"), HELD);
        assert_eq!(door.copies(), ["c", "a"]);
        for n in 0..20 {
            door.calls(&format!("d{n}"), "");
        }
        assert_eq!(door.copies().len(), super::CHOICES);
        assert!(door.lives.keep("c"));
        assert_eq!(door.calls("c", "c"), Admission::Admitted);
        assert_eq!(door.calls("a2", "a"), Admission::Refused);
    }
}
