//! Finds two machines that are one gateway because its folder was copied. Each start of `hq replica` has an id of its own, its
//! *life*. A restart ends a life for good, so one that calls again after another was let in still runs, and so may the other:
//! nobody can say which is right. Both are held, until a person chooses one. Kept in memory alone: after a start of HQ it is
//! found anew.

use kernel::Timestamp;

/// So many lives of a gateway are remembered.
const LIVES: usize = 32;
/// So many machines are offered for a choice.
const CHOICES: usize = 8;

/// What a machine says when it calls that tells it from a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Empty where its program is too old to say it.
    pub life: String,
    /// The life in which its folder was held last: later lives are told from those of other copies by it. Empty before.
    pub branch: String,
    /// The name of the machine, as its system says.
    pub name: String,
    /// The address that it calls from.
    pub address: String,
}

/// One of the machines that are one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderCopy {
    /// Names it for a choice: its present life.
    pub id: String,
    /// The life in which it was seen first. It still names it where the machine has not heard that it is held.
    former: String,
    /// The name of the machine.
    pub name: String,
    /// The address that it called from.
    pub address: String,
    /// When it called last.
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

/// What becomes of a machine that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may link.
    Admitted,
    /// Another life was let in since it called: it may be over, and calls again if it is not.
    Late,
    /// It waits for a choice, as do all others of this gateway.
    Held {
        /// Whether people were told.
        is_told: bool,
    },
    /// Another one was chosen.
    Refused,
}

/// The machines of one gateway, as far as they have called.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    /// Those that were let in, the present one last.
    seen: Vec<FolderCopy>,
    /// The number of the call by which one was let in last.
    admitted: u64,
    held: Option<Held>,
    /// The ids and lives of those that were not chosen.
    refused: Vec<String>,
}

#[derive(Debug)]
struct Held {
    copies: Vec<FolderCopy>,
    is_told: bool,
}

impl Held {
    /// One of them calls again, maybe after a restart; or one more. A machine that hears that it is held takes its life
    /// for its branch, so after each restart it says the life that it had before.
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
    /// Decides about a machine that has proved its key. Its call began with one number and is decided with another.
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

    /// Whether one that was let in may still have a link.
    pub(crate) fn may_stay(&self, life: &str, branch: &str) -> bool {
        self.held.is_none() && !self.is_refused(life, branch)
    }

    fn is_refused(&self, life: &str, branch: &str) -> bool {
        let is = |word: &str| !word.is_empty() && self.refused.iter().any(|one| one == word);
        is(life) || is(branch)
    }

    /// The machines that wait for a choice; none while there is nothing to choose.
    pub(crate) fn copies(&self) -> &[FolderCopy] {
        self.held.as_ref().map_or(&[], |held| &held.copies)
    }

    pub(crate) fn are_told(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_told = true;
        }
    }

    /// One is chosen: it goes on, and the others are refused. Says whether it was among them.
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

    /// Calls that are decided at once, in their order.
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
        // The last call of a life that is over is decided after the next one was let in.
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
        let told = Admission::Held { is_told: true };
        for life in ["b", "a", "", "c"] {
            assert_eq!(door.calls(life, ""), told, "{life}");
        }
        // It was told that it is held, and starts again.
        assert_eq!(door.calls("a2", "a"), told);
        assert_eq!(door.copies(), ["b", "a2", "c"]);
        assert_eq!(door.lives.copies()[1].name, "name of a2");
        // And twice more; once it ended before it heard that it is still held.
        assert_eq!(door.calls("a3", "a2"), told);
        assert_eq!(door.calls("a4", "a3"), told);
        assert_eq!(door.calls("a5", "a"), told);
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

        // One that was refused has never heard of it and starts again: nobody knows who it is.
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
