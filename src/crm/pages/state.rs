//! The state of a list of rows is its address: view, query, layout.

use std::collections::BTreeMap;

use ::list::address;
use entity::Column;
use features::views::model::{ListView, Look as Words};
use features::views::queries as views;
use kernel::AccountId;
use kernel::filter::{Query, Term};
use serde::Deserialize;
use store::{Read, StoreError};

use crate::filters;
use crate::list::{self, groups_by};
use crate::model::{CollectionId, Home, RowKind};
use crate::views::{self as own, BOARD, path_of, pipeline, tidy};

/// Query parameters. Absent ones have the value of the view.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListPageParams {
    /// Slug of the view.
    pub view: String,
    pub q: Option<String>,
    /// Table, board or cards.
    pub layout: Option<String>,
    pub sort: Option<String>,
    /// The field to group by.
    pub group: Option<String>,
    /// The columns of the table.
    #[serde(alias = "cols")]
    pub columns: Option<String>,
    /// The figures below columns.
    pub foot: Option<String>,
    /// Whether archived rows are shown.
    pub archived: String,
    /// Number of rows on previous pages.
    pub from: String,
    /// A region to return alone.
    pub part: String,
    /// Set by the filter form, whose fields replace the conditions of the query.
    pub menu: String,
    /// The fields of the filter form.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// A requested list.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Address of the list without parameters.
    pub base: String,
    pub collection: Option<CollectionId>,
    /// The view that it starts from.
    pub view: ListView,
    /// What is shown.
    pub look: Words,
    /// The parsed query.
    pub query: Query,
    /// Number of rows on previous pages.
    pub from: usize,
    /// Name of a requested view that does not exist, else empty.
    pub missing: String,
}

/// The path by which views identify the list of a kind.
pub(super) fn path(kind: &'static RowKind, collection: Option<CollectionId>) -> String {
    collection.map_or_else(|| kind.path.to_owned(), path_of)
}

/// The views of a list that are visible to somebody.
pub(super) fn all_views(
    kind: &'static RowKind,
    read: &dyn Read,
    who: AccountId,
    collection: Option<CollectionId>,
) -> Result<Vec<ListView>, StoreError> {
    let path = path(kind, collection);
    let mut all = views::on_list(read, (&path, who), own::built_in(kind.home(collection)))?;
    for view in &mut all {
        view.look = tidy(std::mem::take(&mut view.look));
    }
    Ok(all)
}

impl State {
    /// The requested list for this person: starts from the named view, or from the first one if that does not exist.
    pub fn read(
        kind: &'static RowKind,
        read: &dyn Read,
        who: AccountId,
        (base, collection): (String, Option<CollectionId>),
        wish: &ListPageParams,
    ) -> Result<Self, StoreError> {
        let mut all = all_views(kind, read, who, collection)?;
        let at = match wish.view.as_str() {
            "" => Some(0),
            slug => all.iter().position(|view| view.slug == slug),
        };
        let view = all.swap_remove(at.unwrap_or(0));
        let missing = if at.is_none() { wish.view.clone() } else { String::new() };
        Ok(Self { missing, ..Self::of(wish, view, (base, collection)) })
    }

    /// Combines a request with a view.
    pub fn of(
        wish: &ListPageParams,
        view: ListView,
        (base, collection): (String, Option<CollectionId>),
    ) -> Self {
        let own = &view.look;
        let value_or = |given: &Option<String>, own: &str| {
            given.as_deref().map_or_else(|| own.to_owned(), |text| text.trim().to_owned())
        };
        let mut look = tidy(Words {
            q: value_or(&wish.q, &own.q),
            layout: value_or(&wish.layout, &own.layout),
            sort: value_or(&wish.sort, &own.sort),
            group: value_or(&wish.group, &own.group),
            columns: value_or(&wish.columns, &own.columns),
            foot: value_or(&wish.foot, &own.foot),
            ..Words::default()
        });
        let mut query = Query::parse(&look.q);
        if fold(&mut query, wish) {
            look.q = query.to_string();
        }
        let from = wish.from.parse().unwrap_or(0);
        Self { base, collection, view, look, query, from, missing: String::new() }
    }

    /// The list request for the rows.
    pub fn list_request(&self) -> list::ListRequest {
        list::ListRequest {
            q: self.look.q.clone(),
            sort: self.look.sort.clone(),
            collection: self.collection,
            ..list::ListRequest::default()
        }
    }

    /// The column to group by; for a board the one of its columns.
    pub fn group<'c>(&self, columns: &'c [Column]) -> Option<&'c Column> {
        let chosen = columns.iter().find(|column| column.key == self.look.group);
        let chosen = chosen.filter(|column| groups_by(column));
        match self.look.layout == BOARD {
            true => chosen
                .filter(|column| column.kind != entity::Kind::MultiSelect)
                .or_else(|| pipeline(columns)),
            false => chosen,
        }
    }

    /// Whether anything except the layout differs from the view; for a built-in view also the layout, which cannot be
    /// saved otherwise.
    pub fn is_changed(&self) -> bool {
        let changed = address::is_changed(&self.look.fields(), &self.view.look.fields());
        changed || (self.view.id.is_none() && self.is_laid_out_anew())
    }

    /// Whether the layout differs from that of the view.
    pub fn is_laid_out_anew(&self) -> bool {
        self.look.layout != self.view.look.layout
    }

    /// Parameters other than the query, for forms.
    pub fn others(&self) -> address::Pairs {
        self.pairs(&self.look).into_iter().filter(|(name, _)| *name != "q").collect()
    }

    /// Parameters: the view, and what differs from it.
    fn pairs(&self, look: &Words) -> address::Pairs {
        let mut all = Vec::new();
        if !self.view.first {
            all.push(("view", self.view.slug.clone()));
        }
        all.extend(address::differing(&look.fields(), &self.view.look.fields()));
        all
    }

    /// The address with another look.
    pub fn url_of(&self, look: &Words) -> String {
        address::url(&self.base, &self.pairs(&tidy(look.clone())))
    }

    /// The address with a changed look.
    pub fn url_with(&self, change: impl FnOnce(&mut Words)) -> String {
        let mut look = self.look.clone();
        change(&mut look);
        self.url_of(&look)
    }

    /// The address of the current state at a path below the list, with more parameters.
    pub fn url_at(&self, below: &str, more: &[(&'static str, &str)]) -> String {
        let mut pairs = self.pairs(&self.look);
        pairs.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        address::url(&format!("{}{below}", self.base), &pairs)
    }

    /// The address with another query.
    pub fn url_asking(&self, query: &Query) -> String {
        self.url_with(|look| look.q = query.to_string())
    }
}

/// The filter keys that have a field in the filter form.
pub(super) fn menu_keys(home: Home, columns: &[Column]) -> Vec<String> {
    /// Maximum number of fields in the form.
    const MOST: usize = 8;
    let chosen = |column: &&Column| {
        column.kind.has_choices() && (!column.choices.is_empty() || column.key == "tags")
            || matches!(column.kind, entity::Kind::Person | entity::Kind::Boolean)
    };
    let shown = columns.iter().filter(chosen).filter(|column| column.key != "do_not_contact");
    let mut keys: Vec<String> =
        shown.take(MOST).map(|column| filters::short(&column.key).to_owned()).collect();
    if home == Home::Contacts {
        keys.push(list::DUE.to_owned());
    }
    keys
}

/// Merges fields of the filter form into the query; returns whether there were any.
fn fold(query: &mut Query, wish: &ListPageParams) -> bool {
    let mut any = !wish.archived.is_empty() || !wish.menu.is_empty();
    if !wish.archived.is_empty() && !filters::asks_archived(query) {
        query.terms.push(Term::new("is", "archived"));
    }
    if wish.menu.is_empty() {
        return any;
    }
    for (key, value) in &wish.fields {
        let Some(key) = key.strip_prefix("f.") else { continue };
        any = true;
        let asks =
            |term: &Term| term.key == key || filters::short(filters::called(&term.key)) == key;
        query.terms.retain(|term| !asks(term) || term.not);
        // A value uses query syntax: a name with a comma is quoted.
        let written = format!("{key}:{}", value.trim());
        if let ([term], false) = (Query::parse(&written).terms.as_slice(), value.trim().is_empty())
        {
            query.terms.push(term.clone());
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::{ListPageParams, State};
    use crate::model::Home;
    use crate::views::built_in;

    fn state(query: &str) -> State {
        let wish: ListPageParams = serde_json::from_value(pairs(query)).expect("an address");
        let view = built_in(Home::Contacts).swap_remove(0);
        State::of(&wish, view, ("/w/x/contacts".to_owned(), None))
    }

    fn pairs(query: &str) -> serde_json::Value {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), serde_json::Value::from(value)))
        };
        query.split('&').filter_map(pair).collect::<serde_json::Map<_, _>>().into()
    }

    #[test]
    fn former_addresses_mean_what_they_meant() {
        let shown = state("archived=1&cols=stage,tags");
        assert_eq!(
            (shown.look.q.as_str(), shown.look.columns.as_str()),
            ("is:archived", "stage,tags")
        );
        assert_eq!(state("q=stage:lead rosa").look.q, "stage:lead rosa");
    }

    #[test]
    fn the_menu_takes_the_place_of_what_was_typed() {
        let q = |query: &str| state(query).look.q;
        assert_eq!(
            q("menu=1&q=stage:lead -stage:won rosa&f.stage=won"),
            "-stage:won rosa stage:won"
        );
        assert_eq!(q("menu=1&q=tags:vip&f.tag="), "");
        assert_eq!(q("menu=1&q=&f.tag=\"odd, even\""), "tag:\"odd, even\"");
    }

    #[test]
    fn the_address_says_what_differs_from_the_view() {
        let shown = state("layout=board&group=none");
        assert_eq!(
            shown.url_with(|look| look.sort = "name".to_owned()),
            "/w/x/contacts?layout=board&sort=name"
        );
        assert!(shown.is_changed(), "a board can be saved");
        assert!(!state("layout=table").is_changed());
    }
}
