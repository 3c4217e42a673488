//! Lists of rows: a table whose cells are edited in place, and a board by stages.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::tasks::queries::due as days;
use features::tasks::queries::scene::Scene;
use kernel::{Assignee, TypedId as _};
use noun::{Column, Decimal, Look as Shows, Stands};
use store::Read;
use web::error::PageError;
use web::extract::Query;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Face, Tab};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::draw::{self, Shown, shown};
use super::fields::word_of;
use super::{Look, list_url, row_url};
use crate::columns::{self, STAGE};
use crate::error::CrmError;
use crate::list::{self, AtStage};
use crate::model::{Book, Collection, CollectionId, ContactId, Home, NAME, Row};
use crate::queries;
use crate::rules::PRESETS;

/// Rows of a table at once.
const PAGE: usize = 100;

/// What stands behind the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    pub q: String,
    pub sort: String,
    pub layout: String,
    pub cols: String,
    pub archived: String,
    pub from: usize,
    pub part: String,
}

impl Wish {
    /// What it asks of the rows.
    pub fn asked(&self, collection: Option<CollectionId>) -> list::Asked {
        list::Asked {
            q: self.q.clone(),
            sort: self.sort.clone(),
            collection,
            archived: !self.archived.is_empty(),
        }
    }
}

/// The head of a column.
pub(super) struct Head {
    key: String,
    label: String,
    sort: String,
    /// `ascending`, `descending`, or nothing.
    sorted: &'static str,
    number: bool,
}

/// A row of the table, or a card.
pub(super) struct Line {
    id: String,
    href: String,
    face: Face,
    name: String,
    cells: Vec<(String, Shown, bool)>,
    due: Option<(String, &'static str)>,
    last: Option<(&'static str, &'static str, RelTime)>,
    second: String,
    /// What a deal is worth.
    worth: String,
}

/// A column of the board.
pub(super) struct Lane {
    value: String,
    label: String,
    colour: String,
    tone: &'static str,
    total: usize,
    sum: String,
    cards: Vec<Line>,
    more: String,
}

/// A number above the board.
pub(super) struct Figure {
    label: &'static str,
    value: String,
    note: String,
}

#[derive(Template)]
#[template(path = "crm/list.html", blocks = ["rows"])]
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
    bulk_url: String,
    give_url: String,
    /// Agents that can be given rows: handle and name.
    agents: Vec<(String, String)>,
    export_url: String,
    fields_url: String,
    edit: Option<super::collections::Editing>,
    may_write: bool,
    tabs: Vec<Tab>,
    layouts: Vec<Tab>,
    choosing: Vec<Tab>,
    hidden: Vec<(&'static str, String)>,
    q: String,
    problems: Vec<String>,
    heads: Vec<Head>,
    rows: Vec<Line>,
    with_talks: bool,
    foot: Vec<(&'static str, String)>,
    total: usize,
    all: usize,
    more: String,
    lanes: Vec<Lane>,
    board: bool,
    figures: Vec<Figure>,
    stages: Vec<(String, String, String)>,
    presets: Vec<(&'static str, &'static str, &'static str)>,
    preset_url: String,
    untouched: bool,
    clear: String,
}

/// The list of a book.
pub(super) async fn list<B: Book>(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let page = ws
        .look(move |ws| {
            ws.read(|snap| {
                let scene = Scene::new(ws, &who, snap)?;
                page::<B>(&scene, snap, shell, (None, &wish))
            })
        })
        .await?;
    answer(&hx, &page)
}

pub(super) fn answer(hx: &Hx, page: &ListPage) -> Result<Response, PageError> {
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(page),
    }
}

/// The address of a list with another wish.
fn address(base: &str, wish: &Wish) -> String {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            pairs.push(format!("{name}={}", format::query_value(value)));
        }
    };
    add("q", &wish.q);
    add("sort", &wish.sort);
    add("layout", &wish.layout);
    add("cols", &wish.cols);
    add("archived", &wish.archived);
    if 0 < wish.from {
        add("from", &wish.from.to_string());
    }
    match pairs.is_empty() {
        true => base.to_owned(),
        false => format!("{base}?{}", pairs.join("&")),
    }
}

/// The page of a list: of contacts, organizations, or a collection.
pub(super) fn page<B: Book>(
    scene: &Scene,
    read: &dyn Read,
    shell: Shell,
    (collection, wish): (Option<&Collection>, &Wish),
) -> Result<ListPage, CrmError> {
    let id = collection.map(|one| one.id);
    let home = B::home(id);
    let look = Look::new(scene, read, home)?;
    let around = look.around(scene, read, home)?;
    let asked = wish.asked(id);
    let found = list::find::<B>(read, &asked, &around)?;
    let base = list_url::<B>(scene, id);
    let board = wish.layout == "board" && look.columns.iter().any(|column| column.key == STAGE);
    let keys = keys(home, &look.columns, &wish.cols);
    let line = |row: Row<B>| drawn(scene, read, (&look, &around.due, &keys), row);
    let (mut rows, mut lanes, mut more) = (Vec::new(), Vec::new(), String::new());
    if board {
        lanes = lanes_of::<B>(
            read,
            (&look, &found),
            &line,
            &address(&base, &Wish { layout: String::new(), ..wish.clone() }),
        )?;
    } else {
        let ids: Vec<B::Id> = found.ids.iter().skip(wish.from).take(PAGE).copied().collect();
        rows = list::rows::<B>(read, &ids)?.into_iter().map(line).collect::<Result<_, _>>()?;
        if wish.from + PAGE < found.ids.len() {
            more = address(&base, &Wish { from: wish.from + PAGE, ..wish.clone() });
        }
    }
    let noun = B::noun();
    let with = |q: &str| Wish { q: q.to_owned(), from: 0, archived: String::new(), ..wish.clone() };
    let is_contacts = home == Home::Contacts;
    let stage = look.columns.iter().find(|column| column.key == STAGE);
    Ok(ListPage {
        live: Live::new(address(&base, wish))
            .table(B::TABLE.name)
            .table("interactions")
            .table("fields")
            .calm(),
        title: collection
            .map_or_else(|| kernel::text::capitalized(noun.many), |one| one.name.clone()),
        about: collection.map_or_else(String::new, |one| one.description.clone()),
        icon: collection.map_or_else(String::new, |one| one.icon.clone()),
        one: noun.one,
        many: noun.many,
        new_url: match id {
            Some(id) => scene.ws.url(&format!("collections/{id}/new")),
            None => format!("{base}/new"),
        },
        bulk_url: format!("{base}/bulk"),
        give_url: format!("{base}/give"),
        agents: agents(scene),
        export_url: address(&format!("{base}/export.csv"), &Wish { from: 0, ..wish.clone() }),
        fields_url: scene.ws.url(&format!("settings/fields?of={}", word_of(home))),
        edit: collection.map(|one| super::collections::Editing::of(scene, one)),
        may_write: scene.may_write,
        tabs: tabs(&base, wish, (is_contacts, found.all), &with),
        layouts: layouts(&base, wish, stage.is_some()),
        choosing: choosing(&base, wish, &look.columns, &keys),
        hidden: vec![
            ("sort", wish.sort.clone()),
            ("layout", wish.layout.clone()),
            ("cols", wish.cols.clone()),
        ],
        q: wish.q.clone(),
        heads: heads(&base, wish, &look.columns, &keys),
        foot: foot(&look.columns, &keys, &found.sums),
        with_talks: is_contacts,
        total: found.ids.len(),
        all: found.all,
        figures: if board { figures(stage, &look.columns, &found.stages) } else { Vec::new() },
        stages: stage.map_or_else(Vec::new, stages),
        untouched: found.all == 0 && asked.q.is_empty() && !asked.archived,
        presets: match is_contacts && found.all == 0 && look.columns.iter().all(|column| column.own)
        {
            true => PRESETS.iter().map(|one| (one.key, one.label, one.about)).collect(),
            false => Vec::new(),
        },
        preset_url: scene.ws.url("settings/fields/start"),
        clear: address(&base, &with("")),
        problems: found.problems,
        shell,
        base,
        rows,
        more,
        lanes,
        board,
    })
}

/// The handles of the agents that take work, with their names.
fn agents(scene: &Scene) -> Vec<(String, String)> {
    let name = |agent: &Agent| scene.people.name(Assignee::Agent(agent.id));
    scene.people.agents().map(|agent| (agent.slug.clone(), name(agent))).collect()
}

/// Table and board.
fn layouts(base: &str, wish: &Wish, has_stages: bool) -> Vec<Tab> {
    if !has_stages {
        return Vec::new();
    }
    let tab = |layout: &str, label: &str, icon| {
        let at = address(base, &Wish { layout: layout.to_owned(), from: 0, ..wish.clone() });
        Tab::new(label, at, layout == wish.layout).icon(icon)
    };
    vec![tab("", "Table", "list"), tab("board", "Board", "board")]
}

/// Key, label and colour of each stage.
fn stages(column: &Column) -> Vec<(String, String, String)> {
    let all = column.choices.iter();
    all.map(|one| (one.key.clone(), one.label.clone(), web::ink::named(one.colour))).collect()
}

fn tabs(
    base: &str,
    wish: &Wish,
    (contacts, all): (bool, usize),
    with: &dyn Fn(&str) -> Wish,
) -> Vec<Tab> {
    let archived = !wish.archived.is_empty();
    let tab =
        |label: &str, q: &str| Tab::new(label, address(base, &with(q)), !archived && wish.q == q);
    let mut tabs = vec![tab("All", "")];
    if !archived && let Some(first) = tabs.first_mut() {
        first.count = Some(u64::try_from(all).unwrap_or_default());
    }
    if contacts {
        tabs.push(tab("Follow-up due", "due:<1d"));
    }
    tabs.push(tab("To check", "is:unchecked"));
    let away = Wish { archived: "1".to_owned(), q: String::new(), from: 0, ..wish.clone() };
    tabs.push(Tab::new("Archived", address(base, &away), archived));
    tabs
}

/// The keys of the columns that are shown.
fn keys(home: Home, columns: &[Column], wish: &str) -> Vec<String> {
    match wish.is_empty() {
        true => columns::shown_first(home, columns),
        false => {
            let known =
                |key: &&str| columns.iter().any(|column| column.key == **key && column.key != NAME);
            wish.split(',').filter(known).map(str::to_owned).collect()
        }
    }
}

/// A line a column: whether it is shown, and the list with or without it.
fn choosing(base: &str, wish: &Wish, columns: &[Column], keys: &[String]) -> Vec<Tab> {
    let others = columns.iter().filter(|column| column.key != NAME);
    others
        .map(|column| {
            let is_shown = keys.contains(&column.key);
            let mut cols: Vec<&str> = keys.iter().map(String::as_str).collect();
            match is_shown {
                true => cols.retain(|key| *key != column.key),
                false => cols.push(&column.key),
            }
            let cols = if cols.is_empty() { "-".to_owned() } else { cols.join(",") };
            Tab::new(&column.label, address(base, &Wish { cols, ..wish.clone() }), is_shown)
        })
        .collect()
}

fn heads(base: &str, wish: &Wish, columns: &[Column], keys: &[String]) -> Vec<Head> {
    let head = |key: &str, label: &str, number: bool| {
        let down = format!("-{key}");
        let (sorted, next) = match wish.sort.as_str() {
            sort if sort == key => ("ascending", down),
            sort if sort == down => ("descending", String::new()),
            _ if number => ("", down),
            _ => ("", key.to_owned()),
        };
        let sort = address(base, &Wish { sort: next, from: 0, ..wish.clone() });
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

/// What stands below each column of numbers: its sum, or the average of shares.
fn foot(
    columns: &[Column],
    keys: &[String],
    sums: &BTreeMap<String, (usize, Decimal)>,
) -> Vec<(&'static str, String)> {
    let below = |key: &String| {
        let column = columns.iter().find(|column| column.key == *key)?;
        let (count, sum) = sums.get(key)?;
        match column.look {
            Shows::Percent | Shows::Bar => {
                let count = i64::try_from(*count).unwrap_or(i64::MAX).max(1);
                // Whole hundredths are enough for an average.
                let each = sum.millionths() / count / 10_000 * 10_000;
                Some(("average", column.look.shown(Decimal::of_millionths(each))))
            }
            _ => Some(("sum", column.look.shown(*sum))),
        }
    };
    let all: Vec<_> = keys.iter().map(|key| below(key).unwrap_or_default()).collect();
    if all.iter().all(|(_, text)| text.is_empty()) { Vec::new() } else { all }
}

fn drawn<B: Book>(
    scene: &Scene,
    read: &dyn Read,
    (look, due, keys): (&Look<'_>, &BTreeMap<ContactId, jiff::civil::Date>, &[String]),
    row: Row<B>,
) -> Result<Line, CrmError> {
    let cell = |key: &String| {
        let column = look.columns.iter().find(|column| column.key == *key)?;
        Some((key.clone(), shown(scene, look, column, row.cells.get(key)), column.kind.is_number()))
    };
    let contact = ContactId::from_uuid(row.id.uuid());
    let is_contact = B::TABLE == crate::model::CONTACTS;
    let today = days::day(scene.today.now, &scene.today.zone);
    let day = |day: &jiff::civil::Date| {
        let text =
            if *day == today { "Today".to_owned() } else { day.strftime("%-d %b").to_string() };
        (text, draw::day_tone(*day, today))
    };
    let last = if is_contact { queries::last_touch(read, contact)? } else { None };
    Ok(Line {
        id: row.id.to_string(),
        href: row_url::<B>(scene, row.id),
        face: Face::person(row.name()),
        name: row.name().to_owned(),
        cells: keys.iter().filter_map(cell).collect(),
        due: if is_contact { due.get(&contact).map(day) } else { None },
        last: last.map(|(kind, at)| (kind.glyph(), kind.label(), scene.time(at))),
        second: look.second(&row, &["title", columns::ORGANIZATION]),
        worth: columns::money(&look.columns)
            .and_then(|column| Some(column.shown(row.value(&column.key)?, &look.known)))
            .unwrap_or_default(),
    })
}

fn lanes_of<B: Book>(
    read: &dyn Read,
    (look, found): (&Look<'_>, &list::Found<B::Id>),
    line: &dyn Fn(Row<B>) -> Result<Line, CrmError>,
    all: &str,
) -> Result<Vec<Lane>, CrmError> {
    let Some(stage) = look.columns.iter().find(|column| column.key == STAGE) else {
        return Ok(Vec::new());
    };
    let money = columns::money(&look.columns);
    let mut lanes = Vec::new();
    for choice in &stage.choices {
        let at = found.stages.get(&choice.key);
        let (total, sum) = at.map_or_else(Default::default, |at| (at.count, at.sum));
        let cards = list::rows::<B>(read, at.map_or(&[], |at| &at.first))?;
        let joint = if all.contains('?') { '&' } else { '?' };
        lanes.push(Lane {
            more: match cards.len() < total {
                true => format!(
                    "{all}{joint}q={}",
                    format::query_value(&format!("stage:{}", choice.key))
                ),
                false => String::new(),
            },
            value: choice.key.clone(),
            label: choice.label.clone(),
            colour: web::ink::named(choice.colour),
            tone: draw::tone(choice.stands),
            total,
            sum: money
                .filter(|_| sum != Decimal::default())
                .map_or_else(String::new, |one| one.look.shown(sum)),
            cards: cards.into_iter().map(line).collect::<Result<_, _>>()?,
        });
    }
    Ok(lanes)
}

/// What is open, what it is worth, what is likely to come of it, what was won.
fn figures<I>(
    stage: Option<&Column>,
    columns: &[Column],
    stages: &BTreeMap<String, AtStage<I>>,
) -> Vec<Figure> {
    let Some(stage) = stage else { return Vec::new() };
    let money = columns::money(columns);
    let (mut open, mut won) = ((0, 0), (0, 0));
    let mut likely = 0_i128;
    for choice in &stage.choices {
        let Some(at) = stages.get(&choice.key) else { continue };
        let (count, sum) = (at.count, at.sum.millionths());
        match choice.stands {
            Stands::Open => {
                open = (open.0 + count, open.1 + sum);
                likely += i128::from(sum) * i128::from(choice.chance) / 100;
            }
            Stands::Won => won = (won.0 + count, won.1 + sum),
            Stands::Lost => {}
        }
    }
    let shown = |millionths: i64| {
        money
            .map(|column| column.look.shown(Decimal::of_millionths(millionths)))
            .unwrap_or_default()
    };
    let note = money.map_or_else(String::new, |column| column.label.clone());
    let mut figures =
        vec![Figure { label: "Open", value: open.0.to_string(), note: String::new() }];
    if money.is_some() {
        figures.push(Figure { label: "Value", value: shown(open.1), note: note.clone() });
        let likely = i64::try_from(likely).unwrap_or(i64::MAX);
        figures.push(Figure {
            label: "Likely",
            value: shown(likely),
            note: "by the chance of each stage".to_owned(),
        });
    }
    let worth = if money.is_some() && won.1 != 0 { shown(won.1) } else { String::new() };
    figures.push(Figure { label: "Won", value: won.0.to_string(), note: worth });
    figures
}
