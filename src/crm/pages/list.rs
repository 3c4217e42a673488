//! Lists of rows: a table with cells edited in place, and a board, both optionally grouped.

use askama::Template;
use axum::response::Response;

use ::list::figures::{Figure, Foot};
use ::list::groups::Group;
use app::Ws;
use entity::Column;
use features::tasks::queries::view_context::ViewContext;
use store::Read;
use uuid::Uuid;
use web::error::PageError;
use web::extract::Query;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Tab;
use web::session::Person;
use web::shell::Shell;

use super::Look;
use super::board::{self, Board};
use super::bulk::BulkBar;
use super::fields::word_of;
use super::frame::{Frame, VIEWS, state_of, views_alone};
use super::rows::{self, Head, Line, Mark, Rows};
use super::state::{ListPageParams, State};
use crate::columns;
use crate::error::CrmError;
use crate::list;
use crate::model::{Collection, Home, NAME, RowKind};
use crate::path_kind::PathKind;
use crate::rules::PRESETS;
use crate::views::{BOARD, CARDS};

/// Maximum number of rows in a table.
const PAGE: usize = 100;
/// Maximum number of cells in a table: tables with many columns show fewer rows.
const CELLS: usize = 1_000;
/// Rows per group if there are few groups.
const OF_GROUP: usize = 25;
/// Rows per group if there are many groups.
const OF_MANY: usize = 5;
/// Maximum number of groups.
pub(super) const GROUPS: usize = 20;

/// Rows of the table under a heading; without groups all rows.
pub(super) struct Block {
    /// The id of its heading.
    id: String,
    mark: Option<Mark>,
    count: usize,
    /// Figure and label of each column.
    figures: Vec<(&'static str, String)>,
    /// Link to the list of all its rows; empty if all are shown.
    more: String,
    rows: Vec<Line>,
}

/// The figure below a column, and the available figures.
pub(super) struct FootCell {
    key: String,
    label: String,
    word: &'static str,
    value: String,
    choices: Vec<Tab>,
}

#[derive(Template)]
#[template(path = "crm/list.html")]
pub(super) struct ListPage {
    shell: Shell,
    live: Live,
    title: String,
    about: String,
    icon: String,
    one: &'static str,
    many: &'static str,
    base: String,
    new_url: String,
    exports: Vec<Tab>,
    fields_url: String,
    edit: Option<super::collections::Editing>,
    frame: Frame,
    bulk: BulkBar,
    heads: Vec<Head>,
    blocks: Vec<Block>,
    with_talks: bool,
    foot: Vec<FootCell>,
    /// Whether rows are shown as cards.
    cards: bool,
    total: usize,
    all: usize,
    more: String,
    board: Option<Board>,
    presets: Vec<(&'static str, &'static str, &'static str)>,
    preset_url: String,
    untouched: bool,
}

web::region!(ListPage, as_rows, ListRows, "crm/list-rows.html");

/// The list of a kind.
pub(super) async fn list(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            answer(kind, &scene, snap, (hx, shell), (None, &wish))
        })
    })
    .await
}

/// The page of a list, or the requested region of it.
pub(super) fn answer(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    (hx, shell): (Hx, Shell),
    (collection, wish): (Option<&Collection>, &ListPageParams),
) -> Result<Response, PageError> {
    let state = state_of(kind, scene, read, (collection.map(|one| one.id), wish))?;
    if wish.part == VIEWS {
        return views_alone(kind, scene, read, &state);
    }
    let page = page(kind, scene, read, shell, (collection, &state))?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// Builds the page of a list of contacts, organizations or a collection.
fn page(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (collection, state): (Option<&Collection>, &State),
) -> Result<ListPage, CrmError> {
    let home = kind.home(state.collection);
    let look = Look::new(scene, read, home)?;
    let around = look.around(scene, read, home)?;
    let keys = keys(home, &look.columns, &state.look.columns);
    let group = state.group(&look.columns);
    let is_board = state.look.layout == BOARD && group.is_some();
    let request = list_request(state, (group, is_board), &look.columns, &keys);
    let found = list::find(kind, read, &request, &around)?;
    let rows = Rows { scene, read, look: &look, due: &around.due, keys: &keys };
    let (mut blocks, mut more, mut drawn) = (Vec::new(), String::new(), None);
    let foot = Foot::of(&state.look.foot);
    let page = (CELLS / keys.len().max(1)).clamp(OF_GROUP, PAGE);
    match group {
        Some(column) if is_board => {
            let board = board::board(kind, &rows, state, column, &found)?;
            if board.has_more {
                more = next(state, GROUPS);
            }
            drawn = Some(board);
        }
        Some(column) => {
            let shown = found.groups.iter().skip(state.from).take(GROUPS);
            let most = (page / shown.len().max(1)).clamp(OF_MANY, OF_GROUP);
            for group in shown {
                blocks.push(block(kind, &rows, (state, &foot), column, (group, most))?);
            }
            if state.from + GROUPS < found.groups.len() {
                more = next(state, GROUPS);
            }
        }
        None => {
            let ids: Vec<Uuid> = found.ids.iter().skip(state.from).take(page).copied().collect();
            blocks.push(Block::plain(rows.of(kind, &ids)?));
            if state.from + page < found.ids.len() {
                more = next(state, page);
            }
        }
    }
    rows::align(blocks.iter_mut().flat_map(|block| &mut block.rows));
    let noun = kind.entity();
    let is_contacts = home == Home::Contacts;
    let untouched = found.all == 0 && state.look.q.is_empty();
    let is_new = untouched && is_contacts && look.columns.iter().all(|column| column.own);
    Ok(ListPage {
        live: Live::new(state.url_at("", &[("from", &state.from.to_string())]))
            .table(kind.table.name)
            .table("interactions")
            .table("fields")
            .debounced(),
        title: collection
            .map_or_else(|| kernel::text::capitalized(noun.many), |one| one.name.clone()),
        about: collection.map_or_else(String::new, |one| one.description.clone()),
        icon: collection.map_or_else(String::new, |one| one.icon.clone()),
        one: noun.one,
        many: noun.many,
        new_url: format!("{}/new", state.base),
        exports: ["csv", "json"]
            .map(|form| {
                let href = state.url_at(&format!("/export.{form}"), &[]);
                Tab::new(form.to_ascii_uppercase(), href, false)
            })
            .into(),
        fields_url: scene.ws.url(&format!("settings/fields?of={}", word_of(home))),
        edit: collection.map(|one| super::collections::Editing::of(scene, one)),
        bulk: BulkBar::new(scene, state, (home, &look.columns))?,
        heads: heads(state, &look.columns, &keys),
        foot: foot_cells(state, &look, (&keys, &foot), &found.tallies),
        frame: Frame::new(kind, scene, read, (state, &look), &found.said, &keys)?,
        with_talks: is_contacts,
        cards: state.look.layout == CARDS,
        total: found.ids.len(),
        all: found.all,
        presets: match is_new {
            true => PRESETS.iter().map(|one| (one.key, one.label, one.about)).collect(),
            false => Vec::new(),
        },
        preset_url: scene.ws.url("settings/fields/start"),
        base: state.base.clone(),
        shell,
        untouched,
        blocks,
        more,
        board: drawn,
    })
}

/// Address of the next page, after this many rows or groups.
fn next(state: &State, shown: usize) -> String {
    state.url_at("", &[("from", &(state.from + shown).to_string())])
}

/// The list request of a page: grouping, and columns with figures.
fn list_request(
    state: &State,
    (group, is_board): (Option<&Column>, bool),
    columns: &[Column],
    keys: &[String],
) -> list::ListRequest {
    let most = if is_board { board::CARDS } else { OF_GROUP };
    let foot = Foot::of(&state.look.foot);
    let figures = |key: &String| {
        let column = columns.iter().find(|column| column.key == *key);
        let is_told = column.and_then(|column| foot.below(column)).is_some();
        if is_told { key.clone() } else { String::new() }
    };
    let figures = match is_board {
        true => columns::money(columns).map(|column| column.key.clone()).into_iter().collect(),
        false => keys.iter().map(figures).collect(),
    };
    let group = group.map(|column| (column.key.clone(), most));
    list::ListRequest { figures, group, ..state.list_request() }
}

/// Keys of the visible columns.
fn keys(home: Home, columns: &[Column], wish: &str) -> Vec<String> {
    match wish.is_empty() {
        true => columns::shown_first(home, columns),
        false => {
            let known =
                |key: &&str| columns.iter().any(|column| column.key == **key && column.key != NAME);
            wish.split(',').map(str::trim).filter(known).map(str::to_owned).collect()
        }
    }
}

fn heads(state: &State, columns: &[Column], keys: &[String]) -> Vec<Head> {
    let head = |key: &str, label: &str, number: bool| {
        let down = format!("-{key}");
        let (sorted, next) = match state.look.sort.as_str() {
            sort if sort == key => ("ascending", down),
            sort if sort == down => ("descending", String::new()),
            _ if number => ("", down),
            _ => ("", key.to_owned()),
        };
        let sort = state.url_with(|look| look.sort = next);
        Head { key: key.to_owned(), label: label.to_owned(), sort, sorted, number }
    };
    let mut heads = vec![head(NAME, columns.first().map_or("Name", |column| &column.label), false)];
    for key in keys {
        if let Some(column) = columns.iter().find(|column| column.key == *key) {
            heads.push(head(key, &column.label, column.kind.is_number()));
        }
    }
    heads
}

impl Block {
    fn plain(rows: Vec<Line>) -> Self {
        Self {
            id: String::new(),
            mark: None,
            count: rows.len(),
            figures: Vec::new(),
            more: String::new(),
            rows,
        }
    }
}

/// The rows of a group under their heading.
fn block(
    kind: &'static RowKind,
    rows: &Rows<'_>,
    (state, foot): (&State, &Foot),
    column: &Column,
    (group, most): (&Group<Uuid>, usize),
) -> Result<Block, CrmError> {
    let first = &group.first[..group.first.len().min(most)];
    let mark = rows::mark(rows, column, group.value.as_ref());
    let figures = rows.keys.iter().zip(&group.tallies).map(|(key, tally)| {
        let column = rows.look.columns.iter().find(|column| column.key == *key)?;
        let figure = foot.below(column)?;
        Some((figure.word(), tally.format_figure(figure, column, &rows.look.known)))
    });
    Ok(Block {
        id: format!("group-{}", mark.word.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        count: group.count,
        figures: figures.map(Option::unwrap_or_default).collect(),
        more: match first.len() < group.count {
            true => state.url_asking(&state.query.with(super::frame::term_of(column, &mark.word))),
            false => String::new(),
        },
        rows: rows.of(kind, first)?,
        mark: Some(mark),
    })
}

/// The figures below the visible columns.
fn foot_cells(
    state: &State,
    look: &Look<'_>,
    (keys, foot): (&[String], &Foot),
    tallies: &[::list::figures::Tally],
) -> Vec<FootCell> {
    let cell = |(key, tally): (&String, &::list::figures::Tally)| {
        let column = look.columns.iter().find(|column| column.key == *key)?;
        let now = foot.below(column);
        let choice = |figure: Option<Figure>| {
            let href = state.url_with(|look| look.foot = foot.with(column, figure));
            Tab::new(figure.map_or("Nothing", Figure::label), href, figure == now)
        };
        let fits = Figure::ALL.iter().copied().filter(|figure| figure.fits(column.kind));
        Some(FootCell {
            key: key.clone(),
            label: column.label.clone(),
            word: now.map_or("", Figure::word),
            value: now.map(|now| tally.format_figure(now, column, &look.known)).unwrap_or_default(),
            choices: fits.map(Some).chain([None]).map(choice).collect(),
        })
    };
    keys.iter().zip(tallies).filter_map(cell).collect()
}
