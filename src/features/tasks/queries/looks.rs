//! Layouts, columns and built-in views of task lists.

use super::grouping::GroupBy;
use super::keys::KEYS;
use super::list::Sort;
pub use crate::views::model::ListView as View;
use crate::views::model::Look;
use crate::views::queries as views;
use entity::{Listing, Lists, LookWords};
use kernel::filter::{self, Query, unknown_key};
use kernel::text::ellipsis;
use kernel::{AccountId, FieldError};
use store::{Read, StoreError};

/// Noun of task lists in saved views.
pub const NOUN: &str = "tasks";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    List,
    Board,
    Calendar,
    Timeline,
}

impl Layout {
    /// Every layout with its word, label and icon.
    pub const ALL: &'static [(Self, &'static str, &'static str, &'static str)] = &[
        (Self::List, "list", "List", "list"),
        (Self::Board, "board", "Board", "board"),
        (Self::Calendar, "calendar", "Calendar", "calendar"),
        (Self::Timeline, "timeline", "Timeline", "timeline"),
    ];

    /// Parses a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, ..)| *name == word).map(|(value, ..)| *value)
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("list", |(_, word, ..)| word)
    }

    /// Default order.
    #[must_use]
    pub fn usual_sort(self) -> Sort {
        match self {
            Self::Board => Sort::Manual,
            Self::Timeline => Sort::Start,
            Self::List | Self::Calendar => Sort::Priority,
        }
    }
}

/// Clears the words of a look that equal the defaults.
#[must_use]
pub fn tidy(mut look: Look) -> Look {
    let layout = Layout::from_word(&look.layout).unwrap_or_default();
    let usual = [
        (&mut look.layout, Layout::List.word()),
        (&mut look.sort, layout.usual_sort().word()),
        (&mut look.group, GroupBy::Status.word()),
        (&mut look.lanes, GroupBy::None.word()),
    ];
    for (word, usual) in usual {
        if *word == usual {
            word.clear();
        }
    }
    look
}

/// Task lists, for saved views.
pub static LISTS: Lists = Lists {
    paths: NOUN,
    kept: &["open", "mine", "week", "waiting", "unassigned"],
    find: |_, path| Ok((path == NOUN).then(|| Listing::lasting(NOUN, "Tasks"))),
    faults: |_, _, words| Ok(faults(words)),
};

/// Errors for words of a look that task lists do not know.
fn faults(words: LookWords<'_>) -> Vec<FieldError> {
    let of = |name: &str| words.iter().find(|(one, _)| *one == name).map_or("", |(_, word)| word);
    let mut faults = Vec::new();
    let mut known = |field: &str, word: &str, all: &mut dyn Iterator<Item = &'static str>| {
        let all: Vec<&str> = all.collect();
        if !word.is_empty() && !all.contains(&word) {
            let word = ellipsis(word, 40);
            let message = format!("\"{word}\" isn’t available. Use one of: {}.", all.join(", "));
            faults.push(FieldError::new(field, message));
        }
    };
    let ways = || GroupBy::ALL.iter().map(|(_, word, _)| *word);
    known("layout", of("layout"), &mut Layout::ALL.iter().map(|(_, word, ..)| *word));
    known("sort", of("sort"), &mut Sort::ALL.iter().map(|(_, word, _)| *word));
    known("group", of("group"), &mut ways());
    known("lanes", of("lanes"), &mut ways());
    for word in of("columns").split(',').map(str::trim) {
        let columns = COLUMNS.iter().map(|(word, _)| *word);
        known("columns", word, &mut std::iter::once("title").chain(columns));
    }
    let is_limit = |pair: &str| {
        pair.rsplit_once(':').is_some_and(|(_, most)| most.trim().parse::<usize>().is_ok())
    };
    if !of("wip").trim().is_empty() && !of("wip").split(',').all(is_limit) {
        faults.push(FieldError::new("wip", "Enter limits such as in_progress:5,blocked:2."));
    }
    if !of("foot").is_empty() {
        faults.push(FieldError::new("foot", "Task lists have no footer."));
    }
    for term in Query::parse(of("q")).terms.iter().filter(|term| !term.is_words()) {
        if filter::key(KEYS, &term.key).is_none() {
            faults.push(FieldError::new("q", unknown_key(&term.key, KEYS)));
        }
    }
    faults
}

/// The views of every workspace. The first is the default.
#[must_use]
pub fn built_in() -> Vec<View> {
    vec![
        View { first: true, ..View::built_in("open", "All open", "is:open") },
        View::built_in("mine", "My work", "is:open assignee:me"),
        View::built_in("week", "Due this week", "is:open due:<7d"),
        View::built_in("waiting", "Waiting for me", "waiting:me"),
        View::built_in("unassigned", "Unassigned", "is:open assignee:none"),
    ]
}

/// All views that an account sees: built-in views, then saved ones.
pub fn all(read: &dyn Read, who: AccountId) -> Result<Vec<View>, StoreError> {
    let mut all = views::on_list(read, (NOUN, who), built_in())?;
    for view in &mut all {
        view.look = tidy(std::mem::take(&mut view.look));
    }
    Ok(all)
}

/// Optional columns of a list, with labels. The first eight are shown by default.
pub const COLUMNS: &[(&str, &str)] = &[
    ("priority", "Priority"),
    ("id", "Number"),
    ("parts", "Progress"),
    ("comments", "Comments"),
    ("stream", "Stream"),
    ("labels", "Labels"),
    ("due", "Due"),
    ("assignee", "Assignee"),
    ("start", "Start"),
    ("created", "Created"),
    ("updated", "Last changed"),
];

const USUAL: usize = 8;

/// The columns that a list shows.
#[derive(Clone, Debug)]
pub struct Columns(Vec<&'static str>);

impl Columns {
    /// Parses comma-separated names. Without a known name, the default columns.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let known = |word: &str| word == "title" || COLUMNS.iter().any(|(one, _)| *one == word);
        let text = if text.split(',').any(|one| known(one.trim())) { text } else { "" };
        let shown = |n: usize, word: &str| match text {
            "" => n < USUAL,
            text => text.split(',').any(|one| one.trim() == word),
        };
        let all = COLUMNS.iter().enumerate().filter(|(n, (word, _))| shown(*n, word));
        Self(all.map(|(_, (word, _))| *word).collect())
    }

    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    /// The columns with one toggled, as text. Empty if the result is the default.
    #[must_use]
    pub fn toggled(&self, word: &str) -> String {
        let wanted = |one: &str| self.has(one) != (one == word);
        let all = COLUMNS.iter().map(|(one, _)| *one).filter(|one| wanted(one));
        let all: Vec<&str> = all.collect();
        let usual = COLUMNS.iter().take(USUAL).map(|(one, _)| *one);
        match all.as_slice() {
            [] => "title".to_owned(),
            all if usual.eq(all.iter().copied()) => String::new(),
            all => all.join(","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Columns, Layout, built_in};

    #[test]
    fn columns_are_added_and_taken_away() {
        let usual = Columns::of("");
        assert!(usual.has("labels") && !usual.has("created"));
        let without = usual.toggled("labels");
        assert!(!Columns::of(&without).has("labels"));
        assert_eq!(Columns::of(&without).toggled("labels"), "");
        assert_eq!(Columns::of("due").toggled("due"), "title");
        assert!(!Columns::of("title").has("due"));
    }

    #[test]
    fn the_first_view_is_the_one_without_a_name() {
        let views = built_in();
        assert!(views[0].first && !views[1].first);
        assert_eq!(Layout::from_word("board"), Some(Layout::Board));
    }
}
