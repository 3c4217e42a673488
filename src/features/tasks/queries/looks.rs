//! How lists of tasks look, and the views that are built in.

use super::grouping::GroupBy;
use super::keys::KEYS;
use super::list::Sort;
use crate::views::model::Look;
use crate::views::model::ViewId;
use crate::views::queries as views;
use kernel::filter::{self, Query, unknown_key};
use kernel::text::ellipsis;
use kernel::{AccountId, FieldError};
use store::{Read, StoreError};

/// What saved views call tasks.
pub const NOUN: &str = "tasks";

/// How tasks are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Row by row.
    #[default]
    List,
    /// In columns.
    Board,
    /// By due date.
    Calendar,
    /// As bars along the days.
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

    /// The layout of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, ..)| *name == word).map(|(value, ..)| *value)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("list", |(_, word, ..)| word)
    }

    /// The order unless another is chosen.
    #[must_use]
    pub fn usual_sort(self) -> Sort {
        match self {
            Self::Board => Sort::Manual,
            Self::Timeline => Sort::Start,
            Self::List | Self::Calendar => Sort::Priority,
        }
    }
}

/// The same look with empty words where it is as usual.
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

/// What a look says that no list of tasks knows.
#[must_use]
pub fn faults(look: &Look) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut known = |field: &str, word: &str, all: &mut dyn Iterator<Item = &'static str>| {
        let all: Vec<&str> = all.collect();
        if !word.is_empty() && !all.contains(&word) {
            let word = ellipsis(word, 40);
            let message = format!("There is no \"{word}\" here; use one of: {}.", all.join(", "));
            faults.push(FieldError::new(field, message));
        }
    };
    let ways = || GroupBy::ALL.iter().map(|(_, word, _)| *word);
    known("layout", &look.layout, &mut Layout::ALL.iter().map(|(_, word, ..)| *word));
    known("sort", &look.sort, &mut Sort::ALL.iter().map(|(_, word, _)| *word));
    known("group", &look.group, &mut ways());
    known("lanes", &look.lanes, &mut ways());
    for word in look.columns.split(',').map(str::trim) {
        let columns = COLUMNS.iter().map(|(word, _)| *word);
        known("columns", word, &mut std::iter::once("title").chain(columns));
    }
    let is_limit = |pair: &str| {
        pair.rsplit_once(':').is_some_and(|(_, most)| most.trim().parse::<usize>().is_ok())
    };
    if !look.wip.trim().is_empty() && !look.wip.split(',').all(is_limit) {
        faults.push(FieldError::new("wip", "Write limits as in_progress:5,blocked:2."));
    }
    for term in Query::parse(&look.q).terms.iter().filter(|term| !term.is_words()) {
        if filter::key(KEYS, &term.key).is_none() {
            faults.push(FieldError::new("q", unknown_key(&term.key, KEYS)));
        }
    }
    faults
}

/// A view: a look with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its record; none when it is built in.
    pub id: Option<ViewId>,
    /// Whether everybody has it.
    pub shared: bool,
    /// What addresses call it.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// One emoji, or nothing.
    pub icon: String,
    /// What it shows.
    pub look: Look,
}

impl View {
    /// Its name behind its icon.
    #[must_use]
    pub fn label(&self) -> String {
        match self.icon.as_str() {
            "" => self.name.clone(),
            icon => format!("{icon} {}", self.name),
        }
    }

    /// Whether it is what an address without a view means.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.slug == FIRST
    }
}

const FIRST: &str = "open";

/// The views that every workspace has; the first is shown when none is named.
#[must_use]
pub fn built_in() -> Vec<View> {
    let view = |slug: &str, name: &str, q: &str| View {
        id: None,
        shared: true,
        slug: slug.to_owned(),
        name: name.to_owned(),
        icon: String::new(),
        look: Look { q: q.to_owned(), ..Look::default() },
    };
    vec![
        view(FIRST, "All open", "is:open"),
        view("mine", "My work", "is:open assignee:me"),
        view("week", "Due this week", "is:open due:<7d"),
        view("waiting", "Waiting for me", "waiting:me"),
        view("unassigned", "Unassigned", "is:open assignee:none"),
    ]
}

/// All views that somebody sees: the built-in ones, then those that were saved.
///
/// # Errors
/// When the store fails.
pub fn all(read: &dyn Read, who: AccountId) -> Result<Vec<View>, StoreError> {
    let mut all = built_in();
    all.extend(views::of(read, NOUN, who)?.into_iter().map(|saved| View {
        id: Some(saved.id),
        shared: saved.owner.is_none(),
        name: saved.name,
        icon: saved.icon,
        slug: saved.slug,
        look: tidy(saved.look),
    }));
    Ok(all)
}

/// The columns that a list can show beside the title, with their labels; all of the first are shown
/// unless others are chosen.
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
    ("updated", "Last change"),
];

/// How many of the columns are shown unless others are chosen.
const USUAL: usize = 8;

/// Which columns a list shows.
#[derive(Clone, Debug)]
pub struct Columns(Vec<&'static str>);

impl Columns {
    /// Those of a text with commas; the usual ones when it names none.
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

    /// Whether a column is shown.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    /// The text with one column more or less; empty when these are the usual ones.
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
        assert!(views[0].is_first() && !views[1].is_first());
        assert_eq!(Layout::from_word("board"), Some(Layout::Board));
    }
}
