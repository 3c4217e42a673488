//! The header of a list: views, layouts, query box, filter chips, forms of a saved view.

use askama::Template;
use kernel::filter::{Query, Term};
use web::emoji;
use web::live::Live;
use web::parts::{Choice, Tab};

use crate::address::{Pairs, Words};

/// A tab for a view.
pub struct ViewTab {
    pub label: String,
    pub href: String,
    /// Number of rows.
    pub count: usize,
    /// Whether the view is selected.
    pub current: bool,
    /// Whether the view has unsaved changes.
    pub changed: bool,
    /// Whether the view is user-defined, as opposed to built in.
    pub saved: bool,
}

/// The view tabs with row counts. They are a separate live region, so that the counts are recomputed only when they may
/// have changed, and not whenever rows are rendered.
#[derive(Template)]
#[template(path = "list/_views.html")]
pub struct Tabs {
    /// Region id.
    pub id: &'static str,
    /// Live subscription of the counts.
    pub live: Live,
    /// All views, built-in ones first.
    pub tabs: Vec<ViewTab>,
}

impl Tabs {
    /// Whether the selected saved view can move left, and right.
    #[must_use]
    pub fn room(&self) -> (bool, bool) {
        let saved = self.tabs.iter().filter(|tab| tab.saved);
        let shown: Vec<bool> = saved.map(|tab| tab.current).collect();
        (shown.first() == Some(&false), shown.last() == Some(&false))
    }
}

/// A filter chip for a query term.
pub struct Chip {
    /// Display name of the key.
    pub label: String,
    /// Display text of the values.
    pub value: String,
    /// Whether the term is negated.
    pub not: bool,
    /// Error message if the term is invalid; else empty.
    pub wrong: String,
    /// URL without this term.
    pub without: String,
}

/// The values of a key in the query, if exactly one positive term has it.
#[must_use]
pub fn asked_of<'q>(query: &'q Query, key: &str) -> &'q [String] {
    let mut terms = query.terms.iter().filter(|term| term.key == key && !term.not);
    terms.next().map(|term| term.values.as_slice()).unwrap_or_default()
}

/// The values of a term in query syntax, quoted where necessary.
#[must_use]
pub fn written(key: &str, values: &[String]) -> String {
    let term = Term { not: false, key: key.to_owned(), values: values.to_vec() }.to_string();
    term.strip_prefix(&format!("{key}:")).unwrap_or_default().to_owned()
}

/// The choices of a filter menu. A typed value that is not among them is added.
#[must_use]
pub fn choices(query: &Query, key: &str, mut list: Vec<Choice>) -> Vec<Choice> {
    let given = asked_of(query, key);
    let text = written(key, given);
    let mut found = false;
    for choice in &mut list {
        choice.chosen = choice.value.eq_ignore_ascii_case(&text);
        found |= choice.chosen;
    }
    if !found {
        list.push(Choice::new(text, given.join(", "), true));
    }
    list
}

/// Form data of a saved view.
pub struct Saved {
    /// Revision of the view.
    pub rev: u64,
    /// Target URL of the forms.
    pub url: String,
    pub history: String,
    pub name: String,
    pub icons: Vec<Choice>,
    /// Whether the view can move left.
    pub left: bool,
    /// Whether the view can move right.
    pub right: bool,
    /// Whether the view is shared with everybody.
    pub shared: bool,
}

/// The header of any list.
pub struct Frame {
    /// Plural of the noun: "tasks".
    pub many: &'static str,
    /// Placeholder of the query box.
    pub hint: &'static str,
    /// Target URL of the list's forms.
    pub list_url: String,
    /// URL of the completion endpoint.
    pub complete_url: String,
    pub views: Tabs,
    pub layouts: Vec<Tab>,
    /// The query as typed.
    pub q: String,
    /// Other URL parameters.
    pub others: Pairs,
    /// Filter chips.
    pub chips: Vec<Chip>,
    /// URL without query terms.
    pub clear: String,
    /// Whether the reader may change rows.
    pub may_write: bool,
    /// URL of the current list.
    pub back: String,
    /// Name of a requested view that does not exist; else empty.
    pub missing: String,
    /// URL to create a view.
    pub save_url: String,
    /// Icon choices for a new view.
    pub icons: Vec<Choice>,
    /// View parameters to save, for forms.
    pub look: Pairs,
    /// The selected saved view.
    pub saved: Option<Saved>,
    /// Whether there are unsaved changes.
    pub changed: bool,
    /// Whether the layout differs from the view's layout.
    pub moved: bool,
}

impl Frame {
    /// Returns `true` if all terms of the query are valid. Only then does the query define which rows are meant.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.chips.iter().all(|chip| chip.wrong.is_empty())
    }
}

/// Form fields that save the current parameters of a list.
#[must_use]
pub fn look_fields(path: &str, look: Words<'_>) -> Pairs {
    let mut fields = vec![("noun", path.to_owned())];
    let look = look.iter().filter(|(_, word)| !word.is_empty());
    fields.extend(look.map(|(name, word)| (*name, (*word).to_owned())));
    fields
}

/// Icon choices for a new view.
#[must_use]
pub fn icons() -> Vec<Choice> {
    emoji::or_none("")
}
