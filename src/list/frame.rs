//! The part above the rows of a list: views, layouts, query box, filter chips, forms of a saved view.

use askama::Template;
use kernel::filter::{Query, Term};
use web::emoji;
use web::live::Live;
use web::parts::{Choice, Tab};

use crate::address::{Pairs, Words};

/// A view among others.
pub struct ViewTab {
    /// What people read.
    pub label: String,
    /// Where it leads.
    pub href: String,
    /// How many rows it holds.
    pub count: usize,
    /// Whether it is shown.
    pub current: bool,
    /// Whether something is changed that is not saved.
    pub changed: bool,
    /// Whether somebody saved it; the others are built in.
    pub saved: bool,
}

/// The views of a list, each with the number of its rows. They are a region of their own, so that all numbers are
/// counted when they may have changed, and not each time that rows are drawn.
#[derive(Template)]
#[template(path = "list/_views.html")]
pub struct Tabs {
    /// The id of the region.
    pub id: &'static str,
    /// What the numbers depend on.
    pub live: Live,
    /// Those that every workspace has first.
    pub tabs: Vec<ViewTab>,
}

impl Tabs {
    /// Whether the view that is shown has another to its left, and to its right, among those that were saved.
    #[must_use]
    pub fn room(&self) -> (bool, bool) {
        let saved = self.tabs.iter().filter(|tab| tab.saved);
        let shown: Vec<bool> = saved.map(|tab| tab.current).collect();
        (shown.first() == Some(&false), shown.last() == Some(&false))
    }
}

/// A term of the query as a chip.
pub struct Chip {
    /// Its key in words.
    pub label: String,
    /// Its values in words.
    pub value: String,
    /// Whether it must not hold.
    pub not: bool,
    /// Why it does not count, or empty.
    pub wrong: String,
    /// The address without it.
    pub without: String,
}

/// The values of a key that the query asks for, when there is one such term.
#[must_use]
pub fn asked_of<'q>(query: &'q Query, key: &str) -> &'q [String] {
    let mut terms = query.terms.iter().filter(|term| term.key == key && !term.not);
    terms.next().map(|term| term.values.as_slice()).unwrap_or_default()
}

/// The values of a term as a query writes them, with quotes where they need some.
#[must_use]
pub fn written(key: &str, values: &[String]) -> String {
    let term = Term { not: false, key: key.to_owned(), values: values.to_vec() }.to_string();
    term.strip_prefix(&format!("{key}:")).unwrap_or_default().to_owned()
}

/// The choices of a menu; what was typed and is not among them is one more.
#[must_use]
pub fn choices(query: &Query, key: &str, mut list: Vec<Choice>) -> Vec<Choice> {
    let asked = asked_of(query, key);
    let typed = written(key, asked);
    let mut found = false;
    for choice in &mut list {
        choice.chosen = choice.value.eq_ignore_ascii_case(&typed);
        found |= choice.chosen;
    }
    if !found {
        list.push(Choice::new(typed, asked.join(", "), true));
    }
    list
}

/// A saved view, for its forms.
pub struct Saved {
    /// The revision that is shown.
    pub rev: u64,
    /// Where its forms lead.
    pub url: String,
    pub history: String,
    pub name: String,
    /// Its icon among others.
    pub icons: Vec<Choice>,
    /// Whether another stands to its left.
    pub left: bool,
    /// Whether another stands to its right.
    pub right: bool,
    /// Whether everybody has it.
    pub shared: bool,
}

/// What stands above the rows of any list.
pub struct Frame {
    /// The word for several rows: "tasks".
    pub many: &'static str,
    /// What the box of the query says while it is empty.
    pub hint: &'static str,
    /// Where forms of the list lead.
    pub list_url: String,
    /// What gives completions.
    pub complete_url: String,
    pub views: Tabs,
    pub layouts: Vec<Tab>,
    /// The query as typed.
    pub q: String,
    /// What else stands in the address.
    pub others: Pairs,
    /// Terms.
    pub chips: Vec<Chip>,
    /// The address without any term.
    pub clear: String,
    /// Whether rows may be changed.
    pub may_write: bool,
    /// The address of what is shown.
    pub back: String,
    /// A view that was named and is not there, or empty.
    pub missing: String,
    /// Where a new view is sent.
    pub save_url: String,
    /// The icons of a new view.
    pub icons: Vec<Choice>,
    /// What would be saved, for forms.
    pub look: Pairs,
    /// The saved view that is shown.
    pub saved: Option<Saved>,
    /// Whether something is changed that is not saved.
    pub changed: bool,
    /// Whether another layout is looked at than the view's.
    pub moved: bool,
}

impl Frame {
    /// Whether every term of the query is known: only then does it say which rows are meant.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.chips.iter().all(|chip| chip.wrong.is_empty())
    }
}

/// What a form sends that saves what is shown of a list.
#[must_use]
pub fn look_fields(path: &str, look: Words<'_>) -> Pairs {
    let mut fields = vec![("noun", path.to_owned())];
    let look = look.iter().filter(|(_, word)| !word.is_empty());
    fields.extend(look.map(|(name, word)| (*name, (*word).to_owned())));
    fields
}

/// The icons of a new view.
#[must_use]
pub fn icons() -> Vec<Choice> {
    emoji::or_none("")
}
