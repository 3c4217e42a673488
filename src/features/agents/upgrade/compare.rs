//! Compares two versions of a template with an agent's files and decides the outcome for each file. Pure functions.

use std::collections::{BTreeMap, BTreeSet};

use git::File;
use kernel::text::of_bytes;
use tool::merge::{self, Merged, Place, Side};

/// Maximum size of a text that is merged by lines, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Files by path.
pub type Files = BTreeMap<String, File>;

/// Outcome for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// New in the template.
    Added,
    /// Unchanged by the agent; replaced by the new version.
    Taken,
    /// Unchanged by the agent; removed from the template.
    Removed,
    /// Both changed it, in different lines.
    Merged,
    /// Both changed the same lines: a person chooses.
    Clash,
    /// Changed by the agent and removed from the template; stays.
    Kept,
    /// Removed by the agent; stays removed.
    Gone,
}

impl Fate {
    /// Stable identifier.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Taken => "taken",
            Self::Removed => "removed",
            Self::Merged => "merged",
            Self::Clash => "clash",
            Self::Kept => "kept",
            Self::Gone => "gone",
        }
    }

    /// Whether the agent's file changes.
    #[must_use]
    pub fn is_work(self) -> bool {
        !matches!(self, Self::Kept | Self::Gone)
    }
}

/// Decision on a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One side for the whole file.
    All(Side),
    /// One side per conflicting place.
    Each(Vec<Side>),
}

/// A file that differs in the new template version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub fate: Fate,
    /// Conflicting places. A file that is not text has a single one without text.
    pub places: Vec<Place>,
    /// Whether its content can be shown.
    pub is_text: bool,
    base: Option<File>,
    mine: Option<File>,
    theirs: Option<File>,
}

/// Result for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No change.
    Stays,
    Written(File),
    Removed,
}

impl Change {
    /// The result for the file; `None` while a conflict is undecided.
    #[must_use]
    pub fn outcome(&self, choice: Option<&Choice>) -> Option<Outcome> {
        Some(match self.fate {
            Fate::Kept | Fate::Gone => Outcome::Stays,
            Fate::Removed => Outcome::Removed,
            Fate::Added | Fate::Taken => self.take(),
            Fate::Merged => self.joined(&[])?,
            Fate::Clash => match choice? {
                Choice::All(side) if self.is_text => {
                    self.joined(&vec![*side; self.places.len()])?
                }
                Choice::Each(sides) if self.is_text => self.joined(sides)?,
                Choice::All(Side::Mine) => Outcome::Stays,
                Choice::All(Side::Theirs) => self.take(),
                Choice::Each(sides) => match sides.as_slice() {
                    [Side::Mine] => Outcome::Stays,
                    [Side::Theirs] => self.take(),
                    _ => return None,
                },
            },
        })
    }

    /// The agent's current text, and the text after the upgrade if all conflicts keep the agent's side.
    #[must_use]
    pub fn texts(&self) -> (String, String) {
        let now = text(self.mine.as_ref()).unwrap_or_default();
        let then = match self.outcome(Some(&Choice::All(Side::Mine))) {
            Some(Outcome::Written(file)) => text(Some(&file)).unwrap_or_default(),
            Some(Outcome::Removed) => String::new(),
            Some(Outcome::Stays) | None => now.clone(),
        };
        (now, then)
    }

    /// All inputs of the comparison, for the offer's hash.
    pub(super) fn parts(&self) -> [Option<&File>; 3] {
        [self.base.as_ref(), self.mine.as_ref(), self.theirs.as_ref()]
    }

    fn take(&self) -> Outcome {
        self.theirs.clone().map_or(Outcome::Stays, Outcome::Written)
    }

    fn joined(&self, sides: &[Side]) -> Option<Outcome> {
        let mine = self.mine.as_ref()?;
        let base = self.base.as_ref().map_or(Some(String::new()), |file| text(Some(file)))?;
        let (own, theirs) = (text(Some(mine))?, text(self.theirs.as_ref())?);
        let bytes = merge::picked(&base, &own, &theirs, sides)?.into_bytes();
        Some(match bytes == mine.bytes {
            true => Outcome::Stays,
            false => Outcome::Written(File { bytes, ..mine.clone() }),
        })
    }
}

/// The files that differ between the template versions, by path.
#[must_use]
pub fn compare(base: &Files, theirs: &Files, mine: &Files) -> Vec<Change> {
    let paths: BTreeSet<&String> = base.keys().chain(theirs.keys()).collect();
    let one = |path: &String| {
        let [base, theirs, mine] = [base, theirs, mine].map(|files| files.get(path));
        change(path, base, theirs, mine)
    };
    paths.into_iter().filter_map(one).collect()
}

/// Compares one file; `None` if the template did not change it or the agent already has the new version.
fn change(
    path: &str,
    base: Option<&File>,
    theirs: Option<&File>,
    mine: Option<&File>,
) -> Option<Change> {
    if base == theirs || mine == theirs {
        return None;
    }
    let made = |fate, places, is_text| Change {
        path: path.to_owned(),
        fate,
        places,
        is_text,
        base: base.cloned(),
        mine: mine.cloned(),
        theirs: theirs.cloned(),
    };
    let is_text = [base, theirs, mine].into_iter().flatten().all(|file| text(Some(file)).is_some());
    let plain = |fate| Some(made(fate, Vec::new(), is_text));
    match (base, theirs, mine) {
        (None, Some(_), None) => plain(Fate::Added),
        (Some(_), _, None) => plain(Fate::Gone),
        (Some(base), Some(_), Some(mine)) if base == mine => plain(Fate::Taken),
        (Some(base), None, Some(mine)) if base == mine => plain(Fate::Removed),
        (_, None, _) => plain(Fate::Kept),
        (base, Some(theirs), Some(mine)) if is_text => {
            let texts = [base, Some(mine), Some(theirs)].map(|file| text(file).unwrap_or_default());
            let [base, mine, theirs] = &texts;
            match merge::lines(base, mine, theirs) {
                Merged::Clean(text) if text == *mine => None,
                Merged::Clean(_) => plain(Fate::Merged),
                Merged::Clash(clash) => Some(made(Fate::Clash, clash.places, true)),
            }
        }
        (_, Some(_), Some(_)) => Some(made(Fate::Clash, vec![Place::default()], false)),
    }
}

/// Text of a file; `None` if it is not text or too large.
fn text(file: Option<&File>) -> Option<String> {
    let file = file.filter(|file| file.bytes.len() <= MAX_TEXT)?;
    of_bytes(file.bytes.clone(), false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::{Choice, Fate, Files, Outcome, compare};
    use git::File;
    use tool::merge::Side;

    fn files(all: &[(&str, &str)]) -> Files {
        all.iter().map(|(path, text)| ((*path).to_owned(), File::new(*path, *text))).collect()
    }

    /// The agent's file after the upgrade.
    fn upgraded(base: &Files, theirs: &Files, mine: &Files, side: Side) -> Files {
        let mut all = mine.clone();
        for change in compare(base, theirs, mine) {
            match change.outcome(Some(&Choice::All(side))).expect("it is chosen") {
                Outcome::Stays => {}
                Outcome::Written(file) => drop(all.insert(change.path, file)),
                Outcome::Removed => drop(all.remove(&change.path)),
            }
        }
        all
    }

    #[test]
    fn each_file_has_its_fate() {
        let base = files(&[
            ("same", "1"),
            ("taken", "1"),
            ("gone", "1"),
            ("removed", "1"),
            ("kept", "1"),
            ("merged", "a\nb"),
            ("clash", "a"),
            ("already", "1"),
        ]);
        let theirs = files(&[
            ("same", "1"),
            ("taken", "2"),
            ("gone", "2"),
            ("merged", "a\nB"),
            ("clash", "b"),
            ("already", "2"),
            ("new", "1"),
            ("twice", "theirs"),
        ]);
        let mine = files(&[
            ("same", "mine"),
            ("taken", "1"),
            ("removed", "1"),
            ("kept", "mine"),
            ("merged", "A\nb"),
            ("clash", "c"),
            ("already", "2"),
            ("twice", "mine"),
            ("own", "1"),
        ]);
        let all = compare(&base, &theirs, &mine);
        let fates: Vec<(&str, Fate)> =
            all.iter().map(|change| (change.path.as_str(), change.fate)).collect();
        assert_eq!(
            fates,
            [
                ("clash", Fate::Clash),
                ("gone", Fate::Gone),
                ("kept", Fate::Kept),
                ("merged", Fate::Merged),
                ("new", Fate::Added),
                ("removed", Fate::Removed),
                ("taken", Fate::Taken),
                ("twice", Fate::Clash),
            ]
        );
        assert_eq!(all[0].outcome(None), None, "nobody has chosen yet");
        let now = upgraded(&base, &theirs, &mine, Side::Mine);
        assert_eq!(now["merged"].bytes, b"A\nB");
        assert_eq!(now["clash"].bytes, b"c");
        assert_eq!(upgraded(&base, &theirs, &mine, Side::Theirs)["clash"].bytes, b"b");
        assert!(!now.contains_key("gone") && !now.contains_key("removed"));
        assert!(now.contains_key("own") && now["new"].bytes == b"1");
    }

    #[test]
    fn what_is_no_text_is_chosen_as_a_whole() {
        let picture = |n: u8| {
            let file = File::new("a.png", [0xff, 0xfe, n]);
            Files::from([(file.path.clone(), file)])
        };
        let (base, theirs, mine) = (picture(1), picture(2), picture(3));
        let all = compare(&base, &theirs, &mine);
        assert_eq!((all[0].fate, all[0].places.len(), all[0].is_text), (Fate::Clash, 1, false));
        assert_eq!(upgraded(&base, &theirs, &mine, Side::Mine), mine);
        assert_eq!(upgraded(&base, &theirs, &mine, Side::Theirs), theirs);
        assert_eq!(all[0].outcome(Some(&Choice::Each(vec![]))), None);
    }

    fn some(all: Vec<(u8, Vec<u8>)>) -> Files {
        let file = |(name, lines): (u8, Vec<u8>)| {
            let lines: Vec<String> = lines.iter().map(|n| format!("line {n}")).collect();
            let path = format!("file {name}");
            (path.clone(), File::new(path, lines.join("\n")))
        };
        all.into_iter().map(file).collect()
    }

    proptest! {
        #[test]
        fn without_a_change_of_ones_own_it_becomes_the_template(
            base in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
            theirs in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
        ) {
            let (base, theirs) = (some(base), some(theirs));
            prop_assert!(compare(&base, &theirs, &base).iter().all(|one| one.fate != Fate::Clash));
            prop_assert_eq!(upgraded(&base, &theirs, &base, Side::Mine), theirs);
        }

        #[test]
        fn without_a_change_of_the_template_there_is_nothing_to_do(
            base in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
            mine in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
        ) {
            let (base, mine) = (some(base), some(mine));
            prop_assert_eq!(compare(&base, &base, &mine), vec![]);
        }

        #[test]
        fn no_line_that_the_agent_wrote_is_lost_unless_somebody_chooses_so(
            base in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
            theirs in prop::collection::vec((0u8..5, prop::collection::vec(0u8..9, 0..6)), 0..5),
            mine in prop::collection::vec((0u8..5, prop::collection::vec(0u8..12, 0..6)), 0..5),
        ) {
            let (base, theirs, mine) = (some(base), some(theirs), some(mine));
            let now = upgraded(&base, &theirs, &mine, Side::Mine);
            let lines = |files: &Files, path: &str| -> Vec<String> {
                let text = files.get(path).map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
                text.unwrap_or_default().lines().map(str::to_owned).collect()
            };
            for path in mine.keys() {
                let (old, new) = (lines(&base, path), lines(&now, path));
                for line in lines(&mine, path).iter().filter(|line| !old.contains(line)) {
                    prop_assert!(new.contains(line), "{line} of {path}");
                }
            }
        }
    }
}
