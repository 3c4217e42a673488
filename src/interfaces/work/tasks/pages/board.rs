//! The board: columns of cards, swimlanes, drag by pointer and by keyboard.

use askama::Template;
use axum::response::Response;

use super::buckets::{self, Head, Heads};
use super::frame::{self, Counts, Frame, SHOWN};
use super::list::add_url;
use super::rows::{Dresser, Row};
use super::state::State;
use app::Ws;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{self, Bucket, Cell, GroupBy};
use features::tasks::queries::list::{Filter, Sort};
use features::tasks::queries::looks::{Columns, Layout};
use features::tasks::queries::terms::{Dated, OneOf, Sign, Terms, Test};
use features::tasks::queries::view_context::ViewContext;
use features::views::model::Look;
use jiff::ToSpan as _;
use kernel::TaskStatus;
use kernel::filter::{Days, Term};
use store::Read;
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::session::Person;
use web::shell::Shell;

/// Initial number of cards of a column, about two screens. Scrolling loads more.
const CARDS: usize = 20;
/// Initial number of cards of the whole board: what a browser lays out without a pause.
const ALL_CARDS: usize = 180;
/// Minimum number of cards per cell.
const FEWEST_CARDS: usize = 3;
/// Number of days that finished tasks stay on the board.
const DONE_DAYS: i64 = 7;
/// Statuses whose columns are hidden by default.
const HIDDEN: [TaskStatus; 2] = [TaskStatus::Missed, TaskStatus::Cancelled];

/// A column of a swimlane.
struct Column {
    head: Head,
    total: usize,
    /// Work-in-progress limit; 0 for none.
    limit: usize,
    over: bool,
    rows: Vec<Row>,
    /// Address of the complete column, if it is cut.
    more: String,
    /// Address of the form for a new task here; may be empty.
    add: String,
    /// Field and value that a dropped card gets; an empty value changes nothing.
    field: &'static str,
    value: String,
}

struct Lane {
    head: Option<Head>,
    total: usize,
    field: &'static str,
    value: String,
    columns: Vec<Column>,
    /// Assignees without cards on the board.
    idle: Vec<Column>,
}

#[derive(Template)]
#[template(path = "tasks/board.html")]
struct BoardPage {
    shell: Shell,
    frame: Frame,
    live: Live,
    lanes: Vec<Lane>,
    /// Hidden columns: "1 missed, 2 cancelled"; may be empty.
    hidden: String,
    /// Address that shows or hides them.
    hidden_url: String,
    /// Whether cards are ordered manually.
    by_hand: bool,
}

web::region!(BoardPage, as_board, BoardBoard, "tasks/board-board.html");

/// The requested board.
pub fn show(
    (ws, who): (&Ws, &Person),
    hx: &Hx,
    shell: Shell,
    state: &State,
) -> Result<Response, PageError> {
    let mut page = ws.read(|snap| view((ws, who), snap, state, Counts::of(hx)))?;
    if hx.is_partial() {
        return html::fragment(&page.as_board());
    }
    page.shell = shell;
    html::page(&page)
}

fn view(
    (ws, who): (&Ws, &Person),
    read: &dyn Read,
    state: &State,
    counts: Counts,
) -> Result<BoardPage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let understood = frame::understand(&scene, read, &state.query)?;
    let frame = Frame::new(&scene, read, state, (&understood, counts))?;
    let (by, across) = (state.group(), state.lanes());
    let terms = match by {
        GroupBy::Status if !state.asks_open() => fresh(&scene, understood.terms),
        _ => understood.terms,
    };
    let filter = Filter::of(terms);
    let cells = grouping::cells(read, &filter, (by, across), state.sort(), &scene.today, CARDS)?;
    let heads = Heads::new(&scene, read)?;
    let shows_hidden = state.look.columns.split(',').any(|word| word == "hidden");
    let hidden = |cell: &Cell| matches!(cell.column, Bucket::Status(one) if HIDDEN.contains(&one));
    let (away, mut shown): (Vec<Cell>, Vec<Cell>) =
        cells.into_iter().partition(|cell| hidden(cell) && !shows_hidden);
    shorten(&mut shown);
    let tasks = shown.iter().flat_map(|cell| &cell.page.items);
    let dresser = Dresser::new(read, &heads, Columns::of(""), tasks)?;
    let columns = columns(by, &shown, &heads);
    let look = Look {
        columns: if shows_hidden { String::new() } else { "hidden".to_owned() },
        ..state.look.clone()
    };
    Ok(BoardPage {
        shell: Shell::default(),
        live: Live::new(state.url(ws)).tables(SHOWN),
        lanes: lanes((&scene, read), state, (&heads, &dresser), columns, shown)?,
        hidden: match (shows_hidden, by == GroupBy::Status && state.asks_open()) {
            (_, true) => "Closed tasks hidden".to_owned(),
            (true, false) => "Missed and cancelled shown".to_owned(),
            (false, false) => describe(&away),
        },
        hidden_url: match state.asks_open() {
            true => state.url_asking(ws, &state.query.without(&Term::new("is", "open"))),
            false => state.url_of(ws, &look),
        },
        by_hand: state.sort() == Sort::Manual,
        frame,
    })
}

/// Limits the cards per cell so that the board has at most [`ALL_CARDS`], but never below [`FEWEST_CARDS`]: a board
/// with swimlanes has many cells.
fn shorten(cells: &mut [Cell]) {
    let cards =
        |most: usize| cells.iter().map(|cell| cell.page.items.len().min(most)).sum::<usize>();
    let most = (FEWEST_CARDS..=CARDS).rev().find(|most| cards(*most) <= ALL_CARDS);
    for cell in cells {
        cell.page.items.truncate(most.unwrap_or(FEWEST_CARDS));
    }
}

/// Keeps finished tasks for some days.
fn fresh(scene: &ViewContext, mut terms: Terms) -> Terms {
    let today = due::day(scene.today.now, &scene.today.zone);
    let from = today.checked_sub((DONE_DAYS - 1).days()).ok();
    let (from, to) = Days { from, to: None }.span(&scene.today.zone);
    let when = OneOf { values: vec![(from, to)], none: true, any: false };
    terms.push(Sign::Is, Test::When(Dated::Done, when));
    terms
}

fn describe(away: &[Cell]) -> String {
    let count = |status: TaskStatus| -> usize {
        let same = away.iter().filter(|cell| cell.column == Bucket::Status(status));
        same.map(|cell| cell.total).sum()
    };
    let counted = HIDDEN.map(|status| (count(status), status.label().to_lowercase()));
    let some = counted.iter().filter(|(n, _)| 0 < *n);
    let some: Vec<String> = some.map(|(n, label)| format!("{n} {label}")).collect();
    match some.is_empty() {
        true => String::new(),
        false => format!("Hidden: {}", some.join(", ")),
    }
}

/// The columns in order: permanent ones, and those with cards.
fn columns(by: GroupBy, cells: &[Cell], heads: &Heads<'_>) -> Vec<(Bucket, Head)> {
    let mut all = buckets::standing(by, cells, heads);
    for cell in cells {
        if !all.contains(&cell.column) {
            all.push(cell.column);
        }
    }
    let head = |bucket: Bucket| {
        let somebody = matches!(bucket, Bucket::Who(Some(_)));
        let idle = somebody && !cells.iter().any(|cell| cell.column == bucket);
        (bucket, Head { idle, ..heads.of(bucket) })
    };
    let mut all: Vec<(Bucket, Head)> = all.into_iter().map(head).collect();
    all.sort_by(|a, b| a.1.order.cmp(&b.1.order));
    all
}

fn lanes(
    (scene, read): (&ViewContext, &dyn Read),
    state: &State,
    (heads, dresser): (&Heads<'_>, &Dresser<'_>),
    columns: Vec<(Bucket, Head)>,
    mut cells: Vec<Cell>,
) -> Result<Vec<Lane>, TaskError> {
    let across = state.lanes();
    let mut buckets: Vec<Bucket> = Vec::new();
    for cell in &cells {
        if !buckets.contains(&cell.lane) {
            buckets.push(cell.lane);
        }
    }
    if buckets.is_empty() {
        buckets.push(Bucket::All);
    }
    let limits = limits(&state.look.wip);
    let mut lanes = Vec::with_capacity(buckets.len());
    for lane in buckets {
        let head = heads.of(lane);
        let mut own = Vec::with_capacity(columns.len());
        for (bucket, column) in &columns {
            let at = cells.iter().position(|cell| cell.column == *bucket && cell.lane == lane);
            let cell = at.map(|at| cells.swap_remove(at));
            let limit = limits.iter().find(|(word, _)| *word == column.word).map_or(0, |(_, n)| *n);
            let place = (column, head.word.as_str(), cell);
            own.push(self::column((scene, read), state, dresser, place, limit)?);
        }
        let (field, value) = dropped(across, &head.word);
        let (idle, own): (Vec<Column>, Vec<Column>) =
            own.into_iter().partition(|column| column.head.idle);
        lanes.push(Lane {
            total: own.iter().map(|column| column.total).sum(),
            columns: own,
            idle,
            field,
            value,
            head: (across != GroupBy::None).then_some(head),
        });
    }
    lanes.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(lanes)
}

fn order(lane: &Lane) -> Option<&(usize, String)> {
    lane.head.as_ref().map(|head| &head.order)
}

fn column(
    (scene, read): (&ViewContext, &dyn Read),
    state: &State,
    dresser: &Dresser<'_>,
    (head, lane, cell): (&Head, &str, Option<Cell>),
    limit: usize,
) -> Result<Column, TaskError> {
    let by = state.group();
    let (total, tasks) = cell.map_or_else(|| (0, Vec::new()), |cell| (cell.total, cell.page.items));
    let more = (tasks.len() < total).then(|| {
        let column = buckets::narrowed(&state.query, by, &head.word);
        let q = buckets::narrowed(&column, state.lanes(), lane).to_string();
        let layout = Layout::List.word().to_owned();
        state.url_of(&scene.ws, &Look { q, layout, ..state.look.clone() })
    });
    let (field, value) = dropped(by, &head.word);
    let preset = buckets::preset(by, &head.word).filter(|_| scene.may_write);
    Ok(Column {
        head: head.clone(),
        total,
        limit,
        over: 0 < limit && limit < total,
        rows: dresser.rows(scene, read, tasks)?,
        more: more.unwrap_or_default(),
        add: preset.map(|preset| add_url(scene, preset)).unwrap_or_default(),
        field,
        value,
    })
}

/// The field and value that a dropped card gets.
fn dropped(by: GroupBy, word: &str) -> (&'static str, String) {
    match by {
        GroupBy::Status | GroupBy::Priority | GroupBy::Assignee | GroupBy::Stream => {
            (by.word(), word.to_owned())
        }
        GroupBy::Due if word == "today" || word == "none" => ("due", word.to_owned()),
        GroupBy::Due | GroupBy::None => ("", String::new()),
    }
}

/// Parses `in_progress:5,blocked:2`; ignores invalid parts.
fn limits(text: &str) -> Vec<(&str, usize)> {
    let pairs = text.split(',').filter_map(|pair| pair.rsplit_once(':'));
    // ok: an invalid limit is no limit.
    pairs.filter_map(|(word, n)| Some((word.trim(), n.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use features::tasks::model::Task;
    use kernel::cursor::Page;
    use store::Record as _;

    #[test]
    fn many_cells_show_fewer_cards_each() {
        let shown = |cells: usize, cards: usize| {
            let cell = || Cell {
                column: Bucket::All,
                lane: Bucket::All,
                total: 50,
                page: Page { items: vec![Task::sample(); cards], next: None },
            };
            let mut all: Vec<Cell> = std::iter::repeat_with(cell).take(cells).collect();
            shorten(&mut all);
            all.iter().map(|cell| cell.page.items.len()).max()
        };
        assert_eq!(shown(5, CARDS), Some(CARDS), "a usual board is as it was");
        assert_eq!(shown(36, CARDS), Some(5));
        assert_eq!(shown(48, 2), Some(2), "what is short anyway stays whole");
        assert_eq!(shown(300, CARDS), Some(FEWEST_CARDS));
    }
}
