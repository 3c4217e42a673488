//! The part above the rows of a list: views with counts, filter chips, the filter form, menus.

use std::sync::Arc;

use ::list::complete::{self, Offer, Typing};
use ::list::frame::{self as common, Chip, Saved, Tabs, ViewTab};
use app::Ws;
use axum::response::Response;
use entity::{Column, Kind};
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use features::views::queries as saved_views;
use kernel::filter::Term;
use store::{Range, Read};
use web::emoji;
use web::error::PageError;
use web::extract::{Json, Path, Query};
use web::html;
use web::live::Live;
use web::parts::{Choice, Tab};
use web::session::Person;

use super::state::{ListPageParams, State, all_views, menu_keys, path};
use super::{Look, list_url};
use crate::error::CrmError;
use crate::filters::{self, short, told_of};
use crate::list::{self, groups_by};
use crate::model::{CollectionId, Home, NAME, Row, RowKind};
use crate::path_kind::PathKind;
use crate::queries;
use crate::views::{BOARD, CARDS, pipeline};

/// Name of the region of views in addresses.
pub(super) const VIEWS: &str = "views";
/// Maximum number of record names in a completion.
const OFFERS: usize = 200;

/// A field of the filter form.
pub(super) struct Field {
    pub name: String,
    pub label: String,
    pub choices: Vec<Choice>,
}

/// The part above the rows.
pub(super) struct Frame {
    /// The common part of every list.
    pub list: common::Frame,
    /// The fields of the filter form.
    pub fields: Vec<Field>,
    /// Columns to show or hide; only for tables.
    pub columns: Vec<Tab>,
    /// Options for grouping.
    pub groups: Vec<Tab>,
    /// Label of the current grouping.
    pub group_label: String,
}

impl Frame {
    /// Builds the part above the rows.
    pub fn new(
        kind: &'static RowKind,
        scene: &ViewContext,
        read: &dyn Read,
        (state, look): (&State, &Look<'_>),
        terms: &[(Term, String)],
        shown: &[String],
    ) -> Result<Self, CrmError> {
        let ws = &scene.ws;
        let noun = kind.entity();
        let home = kind.home(state.collection);
        let views = tabs(kind, scene, read, state)?;
        let group = state.group(&look.columns);
        let is_board = state.look.layout == BOARD;
        let list = common::Frame {
            many: noun.many,
            hint: match home {
                Home::Contacts => "Search or filter, e.g. stage:lead due:<7d",
                _ => "Search or filter, e.g. owner:me created:<7d",
            },
            list_url: state.base.clone(),
            complete_url: format!("{}/complete", state.base),
            layouts: layouts(state, &look.columns),
            q: state.look.q.clone(),
            others: state.others(),
            chips: terms.iter().map(|(term, wrong)| chip(state, look, term, wrong)).collect(),
            clear: state.url_with(|look| look.q.clear()),
            may_write: scene.may_write,
            back: state.url_of(&state.look),
            missing: state.missing.clone(),
            save_url: ws.url("views"),
            icons: common::icons(),
            look: common::look_fields(&path(kind, state.collection), &state.look.fields()),
            saved: saved(scene, read, state, views.room())?,
            changed: state.is_changed(),
            moved: state.is_laid_out_anew(),
            views,
        };
        Ok(Self {
            list,
            fields: fields(scene, state, (home, look)),
            columns: if is_board { Vec::new() } else { choosing(state, &look.columns, shown) },
            groups: groups(state, &look.columns, group),
            group_label: group.map_or_else(|| "Group".to_owned(), |column| column.label.clone()),
        })
    }
}

/// The views with their row counts in this snapshot.
fn tabs(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
) -> Result<Tabs, CrmError> {
    let all = all_views(kind, read, scene.me, state.collection)?;
    let tables = ["views", "interactions", "fields", "members", "agents", "organizations"];
    let live = Live::new(state.url_at("", &[("part", VIEWS)])).table(kind.table.name);
    let live = live.tables(&tables[..3]);
    let queries: Vec<&str> = all.iter().map(|view| view.look.q.as_str()).collect();
    let counts = totals(kind, scene, read, state, (&queries, &tables))?;
    let mut tabs = Vec::new();
    for (view, &count) in all.into_iter().zip(counts.iter()) {
        let current = view.slug == state.view.slug;
        let place = (state.base.clone(), state.collection);
        let plain = State::of(&ListPageParams::default(), view.clone(), place);
        tabs.push(ViewTab {
            count,
            href: plain.url_of(&plain.look),
            current,
            changed: current && state.is_changed(),
            label: view.label(),
            saved: view.id.is_some(),
        });
    }
    Ok(Tabs { id: "crm-views", live: live.debounced(), tabs })
}

/// Number of rows that each query finds; cached until one of these tables changes.
fn totals(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
    (queries, tables): (&[&str], &[&str]),
) -> Result<Arc<[usize]>, CrmError> {
    let ws = &scene.ws;
    let schema = ws.store.schema();
    let tables = tables.iter().copied().chain([kind.table.name]);
    let tables: Vec<u16> = tables.filter_map(|name| Some(schema.named(name)?.number)).collect();
    let today = due::day(scene.today.now, &scene.today.zone);
    let zone = scene.today.zone.iana_name().unwrap_or_default();
    let path = path(kind, state.collection);
    let question = format!("{path} {} {zone} {today}\n{}", scene.me, queries.join("\n"));
    let count = || {
        let home = kind.home(state.collection);
        let look = Look::new(scene, read, home)?;
        let around = look.around(scene, read, home)?;
        let found = |q: &&str| {
            let collection = state.collection;
            let request = list::ListRequest {
                q: (*q).to_owned(),
                collection,
                ..list::ListRequest::default()
            };
            Ok(list::find(kind, read, &request, &around)?.ids.len())
        };
        queries.iter().map(found).collect::<Result<Vec<usize>, CrmError>>()
    };
    ws.numbers.get((&ws.store, read.last_seq()?, scene.today.now), (&question, &tables), count)
}

/// The region of views with fresh counts.
pub(super) fn views_alone(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
) -> Result<Response, PageError> {
    html::fragment(&tabs(kind, scene, read, state)?)
}

/// Table, board and cards; there is a board if a field has choices for its columns.
fn layouts(state: &State, columns: &[Column]) -> Vec<Tab> {
    let tab = |layout: &str, label: &str, icon| {
        let href = state.url_with(|look| look.layout = layout.to_owned());
        Tab::new(label, href, layout == state.look.layout).icon(icon)
    };
    let board = pipeline(columns).map(|_| tab(BOARD, "Board", "board"));
    let table = tab("", "Table", "list");
    [Some(table), board, Some(tab(CARDS, "Cards", "layers"))].into_iter().flatten().collect()
}

fn chip(state: &State, look: &Look<'_>, term: &Term, wrong: &str) -> Chip {
    let (label, value) = told_of(term, &look.columns, &look.known);
    Chip {
        label,
        value,
        not: term.not,
        wrong: wrong.to_owned(),
        without: state.url_asking(&state.query.without(term)),
    }
}

/// The current saved view, for members who may change it.
fn saved(
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
    (left, right): (bool, bool),
) -> Result<Option<Saved>, CrmError> {
    let Some(id) = state.view.id.filter(|_| scene.may_write) else { return Ok(None) };
    Ok(Some(Saved {
        rev: saved_views::rev(read, id)?,
        url: scene.ws.url(&format!("views/{id}")),
        history: scene.ws.url(&format!("history/views/{id}")),
        name: state.view.name.clone(),
        icons: emoji::or_none(&state.view.icon),
        left,
        right,
        shared: state.view.shared,
    }))
}

/// One entry per column: whether it is shown, and the address that toggles it.
fn choosing(state: &State, columns: &[Column], keys: &[String]) -> Vec<Tab> {
    let others = columns.iter().filter(|column| column.key != NAME);
    let line = |column: &Column| {
        let is_shown = keys.contains(&column.key);
        let mut shown: Vec<&str> = keys.iter().map(String::as_str).collect();
        match is_shown {
            true => shown.retain(|key| *key != column.key),
            false => shown.push(&column.key),
        }
        let shown = if shown.is_empty() { "-".to_owned() } else { shown.join(",") };
        Tab::new(&column.label, state.url_with(|look| look.columns = shown), is_shown)
    };
    others.map(line).collect()
}

/// The fields to group by; a board is always grouped.
fn groups(state: &State, columns: &[Column], now: Option<&Column>) -> Vec<Tab> {
    let is_board = state.look.layout == BOARD;
    let fits =
        |column: &&Column| groups_by(column) && (!is_board || column.kind != Kind::MultiSelect);
    let tab = |column: &Column| {
        let href = state.url_with(|look| look.group.clone_from(&column.key));
        Tab::new(&column.label, href, now.is_some_and(|now| now.key == column.key))
    };
    let mut all: Vec<Tab> = columns.iter().filter(fits).map(tab).collect();
    if !is_board {
        all.push(Tab::new("Nothing", state.url_with(|look| look.group.clear()), now.is_none()));
    }
    all
}

/// The fields of the filter form with their values in the query.
fn fields(scene: &ViewContext, state: &State, (home, look): (Home, &Look<'_>)) -> Vec<Field> {
    let field = |key: String| {
        let column = filters::column(&key, &look.columns);
        let mut list = vec![Choice::new("", "Any", false)];
        let value = |word: &str| common::written(&key, &[word.to_owned()]);
        match column.map(|column| column.kind) {
            None => list.extend(
                [
                    ("<today", "Before today"),
                    ("<=today", "Today or earlier"),
                    ("<7d", "Within a week"),
                    ("none", "None"),
                ]
                .map(|(word, label)| Choice::new(word, label, false)),
            ),
            Some(Kind::Boolean) => {
                list.extend([("yes", "Yes"), ("no", "No")].map(|(w, l)| Choice::new(w, l, false)));
            }
            Some(Kind::Person) => {
                list.push(Choice::new("none", "No one", false));
                list.push(Choice::new("me", "Me", false));
                let all = scene.people.choices(None, scene.me);
                list.extend(all.into_iter().filter(|choice| !choice.value.is_empty()));
            }
            Some(_) => {
                list.push(Choice::new("none", "None", false));
                let all = column.map(|column| column.choices.as_slice()).unwrap_or_default();
                list.extend(all.iter().map(|one| Choice::new(value(&one.key), &one.label, false)));
            }
        }
        Field {
            label: column.map_or_else(|| "Follow-up".to_owned(), |column| column.label.clone()),
            choices: common::choices(&state.query, &key, list),
            name: format!("f.{key}"),
        }
    };
    menu_keys(home, &look.columns).into_iter().map(field).collect()
}

/// Completions in the search box of a kind.
pub(super) async fn complete(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Query(typing): Query<Typing>,
) -> Result<Json<Vec<Offer>>, PageError> {
    Ok(Json(ws.read(|snap| offers(kind, &ws, &who, snap, (None, &typing)))?))
}

/// Completions in the search box of a collection.
pub(super) async fn complete_records(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(typing): Query<Typing>,
) -> Result<Json<Vec<Offer>>, PageError> {
    let offers = ws.read(|snap| {
        let id = queries::collection(snap, &name)?.id;
        offers(RowKind::RECORDS, &ws, &who, snap, (Some(id), &typing))
    })?;
    Ok(Json(offers))
}

fn offers(
    kind: &'static RowKind,
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    (collection, typing): (Option<CollectionId>, &Typing),
) -> Result<Vec<Offer>, CrmError> {
    let scene = ViewContext::new(ws, who, read)?;
    let home = kind.home(collection);
    let look = Look::new(&scene, read, home)?;
    let keys = filters::keys(home, &look.columns);
    complete::offers(typing, &keys, |key| {
        let column = filters::column(key, &look.columns);
        let records = match column.filter(|column| column.kind == Kind::Relation) {
            Some(column) => newest(RowKind::of_table(column.to), read)?,
            None => Vec::new(),
        };
        Ok(filters::names(key, &look.columns, &scene.people, &records))
    })
}

/// The names of the newest active rows of a kind.
pub(super) fn newest(
    kind: &'static RowKind,
    read: &dyn Read,
) -> Result<Vec<String>, store::StoreError> {
    let newest: Vec<Row> = kind.list(read, &Range::all().reverse().limit(OFFERS))?;
    let here = newest.into_iter().filter(|row| row.archived_at.is_none());
    Ok(here.map(|row| row.name().to_owned()).collect())
}

/// The condition that a field has a value.
pub(super) fn term_of(column: &Column, value: &str) -> Term {
    Term::new(short(&column.key), value)
}

/// The state of a requested list of a kind or a collection.
pub(super) fn state_of(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    (collection, wish): (Option<CollectionId>, &ListPageParams),
) -> Result<State, CrmError> {
    let base = list_url(kind, scene, collection);
    Ok(State::read(kind, read, scene.me, (base, collection), wish)?)
}
