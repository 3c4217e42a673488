//! The address is the state of a list of rows: which view, what was typed, how it is laid out.

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

/// What stands behind the question mark. What is absent is as the view says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListPageParams {
    /// The view, by its slug.
    pub view: String,
    /// The query.
    pub q: Option<String>,
    /// Table or board.
    pub layout: Option<String>,
    /// The order.
    pub sort: Option<String>,
    /// The field by which rows are put together.
    pub group: Option<String>,
    /// The columns of the table.
    #[serde(alias = "cols")]
    pub columns: Option<String>,
    /// What stands below columns.
    pub foot: Option<String>,
    /// Whether the archived ones are shown.
    pub archived: String,
    /// How many rows stand on the pages before.
    pub from: String,
    /// A region beside the rows that is asked for alone.
    pub part: String,
    /// Sent by the form of filters, whose fields take the place of what the query says of them.
    pub menu: String,
    /// Those fields.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// A list as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The address of the list without anything behind it.
    pub base: String,
    pub collection: Option<CollectionId>,
    /// The view that it began with.
    pub view: ListView,
    /// What is shown.
    pub look: Words,
    /// The query as it was understood.
    pub query: Query,
    /// How many rows stand on the pages before.
    pub from: usize,
    /// A view that was named and is not there, or empty.
    pub missing: String,
}

/// The path by which views know the list of a kind.
pub(super) fn path(kind: &'static RowKind, collection: Option<CollectionId>) -> String {
    collection.map_or_else(|| kind.path.to_owned(), path_of)
}

/// The views of a list that somebody sees.
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
    /// The list that is asked for, as somebody sees it: beginning with the view that is named, or with the first one
    /// when there is none of that name.
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

    /// What is asked, beginning with a view.
    pub fn of(
        wish: &ListPageParams,
        view: ListView,
        (base, collection): (String, Option<CollectionId>),
    ) -> Self {
        let own = &view.look;
        let typed = |given: &Option<String>, own: &str| {
            given.as_deref().map_or_else(|| own.to_owned(), |text| text.trim().to_owned())
        };
        let mut look = tidy(Words {
            q: typed(&wish.q, &own.q),
            layout: typed(&wish.layout, &own.layout),
            sort: typed(&wish.sort, &own.sort),
            group: typed(&wish.group, &own.group),
            columns: typed(&wish.columns, &own.columns),
            foot: typed(&wish.foot, &own.foot),
            ..Words::default()
        });
        let mut query = Query::parse(&look.q);
        if fold(&mut query, wish) {
            look.q = query.to_string();
        }
        let from = wish.from.parse().unwrap_or(0);
        Self { base, collection, view, look, query, from, missing: String::new() }
    }

    /// What it asks of the rows.
    pub fn asked(&self) -> list::ListRequest {
        list::ListRequest {
            q: self.look.q.clone(),
            sort: self.look.sort.clone(),
            collection: self.collection,
            ..list::ListRequest::default()
        }
    }

    /// The column by which rows are put together; of a board the one by which it is laid out.
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

    /// Whether something differs from the view, beside the layout; of a view that is built in also the layout, as
    /// there is no other way to keep that.
    pub fn is_changed(&self) -> bool {
        let changed = address::is_changed(&self.look.fields(), &self.view.look.fields());
        changed || (self.view.id.is_none() && self.is_laid_out_anew())
    }

    /// Whether another layout is looked at than the view's.
    pub fn is_laid_out_anew(&self) -> bool {
        self.look.layout != self.view.look.layout
    }

    /// What stands in the address beside the words of the box, for forms.
    pub fn others(&self) -> address::Pairs {
        self.pairs(&self.look).into_iter().filter(|(name, _)| *name != "q").collect()
    }

    /// What stands in the address: the view, and what differs from it.
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

    /// The address of what is shown, at a place below the list, with more behind it.
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

/// The words of filters for which the form of filters has a field.
pub(super) fn menu_keys(home: Home, columns: &[Column]) -> Vec<String> {
    /// Fields of the form.
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

/// Takes fields of their own into the query; says whether there were any.
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
        // A value is written as a query has it: a name with a comma in it stands in quotes.
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
