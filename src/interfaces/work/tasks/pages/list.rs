//! The list of tasks.

use askama::Template;
use axum::http::Uri;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::Response;

use super::board;
use super::buckets::{self, Head, Heads};
use super::calendar;
use super::frame::{self, Counts, Frame, SHOWN};
use super::gantt;
use super::rows::{Dresser, Row};
use super::state::{State, TasksPageParams};
use super::tabs;
use app::Ws;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{self, GroupBy, Room};
use features::tasks::queries::list::{self, Cut, Filter};
use features::tasks::queries::looks::{Columns, Layout};
use features::tasks::queries::view_context::ViewContext;
use kernel::filter::Term;
use store::Read;
use web::error::PageError;
use web::extract::Query;
use web::habit;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::session::Person;
use web::shell::Shell;
use web::week::WeekStart;

/// Number of tasks of a group shown at once.
const GROUP: usize = Room::LIST.most;
/// Cookie with the last used layout.
const LAYOUT: &str = "hq_tasks_layout";

struct Group {
    head: Head,
    total: usize,
    rows: Vec<Row>,
    more: String,
    /// Address of the form for a task in this group; may be empty.
    add: String,
}

/// The quick-add line, which creates a task from its title.
#[derive(Default, Template)]
#[template(path = "tasks/_quick.html")]
pub(super) struct Quick {
    pub(super) action: String,
    /// Address of the list.
    pub(super) back: String,
    /// The assignee; may be empty.
    pub(super) assignee: String,
    /// The parent task; may be empty.
    pub(super) parent: String,
    /// Address of the full form; may be empty.
    pub(super) full: String,
    pub(super) typed: String,
    /// The error; may be empty.
    pub(super) wrong: String,
}

#[derive(Template)]
#[template(path = "tasks/list.html")]
struct ListPage {
    shell: Shell,
    frame: Frame,
    quick: Option<Quick>,
    live: Live,
    groups: Vec<Group>,
    total: usize,
    /// Whether the workspace has no tasks.
    untouched: bool,
    /// Whether the query contains more than "open".
    asks: bool,
    back: String,
}

web::region!(ListPage, as_rows, ListRows, "tasks/list-rows.html");

#[derive(Template)]
#[template(path = "tasks/_rows.html")]
struct MoreRows {
    rows: Vec<Row>,
    more: String,
    back: String,
}

/// `GET /tasks`
pub async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    week: WeekStart,
    (uri, headers): (Uri, HeaderMap),
    Query(mut params): Query<TasksPageParams>,
) -> Result<Response, PageError> {
    if uri.query().is_none() {
        // The sidebar links to the last used layout.
        let kept = habit::kept(&headers, LAYOUT);
        params.layout = Layout::from_word(kept).map(|layout| layout.word().to_owned());
    }
    let state = ws.read(|snap| frame::state(snap, who.account, &params))?;
    let chosen = params.layout.is_some() && state.view.id.is_none() && !hx.is_partial();
    let mut shown = laid_out((&ws, &who), &hx, shell, week, (&params, &state))?;
    if let Some(cookie) = chosen.then(|| habit::keep(LAYOUT, state.layout().word())).flatten() {
        shown.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(shown)
}

fn laid_out(
    (ws, who): (&Ws, &Person),
    hx: &Hx,
    shell: Shell,
    week: WeekStart,
    (params, state): (&TasksPageParams, &State),
) -> Result<Response, PageError> {
    if params.part == tabs::PART && hx.is_partial() {
        return tabs::show(ws, who, state);
    }
    match state.layout() {
        Layout::Board => return board::show((ws, who), hx, shell, state),
        Layout::Calendar => return calendar::show((ws, who), hx, shell, (state, week)),
        Layout::Timeline => {
            return gantt::show((ws, who), hx, shell, (state, &params.have, week));
        }
        Layout::List => {}
    }
    if !params.after.is_empty() && hx.is_partial() {
        return more(ws, who, params, state);
    }
    let mut page = ws.read(|snap| view((ws, who), snap, (params, state), Counts::of(hx)))?;
    if hx.is_partial() {
        return html::fragment(&page.as_rows());
    }
    page.shell = shell;
    html::page(&page)
}

/// The list with a rejected quick entry.
pub fn refused(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    params: &TasksPageParams,
    (text, wrong): (String, String),
) -> Result<Response, PageError> {
    let state = ws.read(|snap| frame::state(snap, who.account, params))?;
    let mut page = ws.read(|snap| view((ws, who), snap, (params, &state), Counts::Shown))?;
    page.shell = shell;
    if let Some(quick) = &mut page.quick {
        (quick.typed, quick.wrong) = (text, wrong);
    }
    html::document(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Further rows of a group.
fn more(
    ws: &Ws,
    who: &Person,
    params: &TasksPageParams,
    state: &State,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let scene = ViewContext::new(ws, who, snap)?;
        let query = buckets::narrowed(&state.query, state.group(), &params.of);
        let filter = Filter::of(frame::understand(&scene, snap, &query)?.terms);
        let cut = Cut { after: Some(params.after.clone()), limit: GROUP };
        let page = list::page(snap, &filter, state.sort(), &scene.today, &cut)?;
        let more = page.next.map(|after| more_url(ws, state, &params.of, &after));
        let heads = Heads::new(&scene, snap)?;
        let columns = Columns::of(&state.look.columns);
        let dresser = Dresser::new(snap, &heads, columns, page.items.iter())?;
        let rows = dresser.rows(&scene, snap, page.items)?;
        Ok::<_, TaskError>(MoreRows { rows, more: more.unwrap_or_default(), back: state.url(ws) })
    })?;
    html::fragment(&page)
}

fn more_url(ws: &Ws, state: &State, of: &str, after: &str) -> String {
    state.url_with(ws, &[("of", of), ("after", after)])
}

fn view(
    (ws, who): (&Ws, &Person),
    read: &dyn Read,
    (params, state): (&TasksPageParams, &State),
    counts: Counts,
) -> Result<ListPage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let understood = frame::understand(&scene, read, &state.query)?;
    let frame = Frame::new(&scene, read, state, (&understood, counts))?;
    let heads = Heads::new(&scene, read)?;
    let groups = groups(&scene, read, (params, state), &heads, &Filter::of(understood.terms))?;
    let total: usize = groups.iter().map(|group| group.total).sum();
    let live = Live::new(state.url(ws)).tables(SHOWN);
    let asks = state.query.terms.iter().any(|term| *term != Term::new("is", "open"));
    Ok(ListPage {
        shell: Shell::default(),
        quick: scene.may_write.then(|| Quick {
            action: ws.url("tasks"),
            back: state.url(ws),
            assignee: state.one_assignee().to_owned(),
            ..Quick::default()
        }),
        untouched: total == 0 && list::counts(read)?.iter().all(|(_, n)| *n == 0) && !asks,
        back: state.url(ws),
        frame,
        live,
        groups,
        total,
        asks,
    })
}

fn groups(
    scene: &ViewContext,
    read: &dyn Read,
    (params, state): (&TasksPageParams, &State),
    heads: &Heads<'_>,
    filter: &Filter,
) -> Result<Vec<Group>, TaskError> {
    let (by, ws) = (state.group(), &scene.ws);
    let (sort, room) = (state.sort(), Room::LIST);
    let mut cells = grouping::cells(read, filter, (by, GroupBy::None), sort, &scene.today, room)?;
    // Without script, "show more" links to a page with only the next rows of that group.
    let after = Some(&params.after).filter(|after| !after.is_empty());
    if after.is_some() {
        cells.retain(|cell| heads.of(cell.column).word == params.of);
    }
    for cell in &mut cells {
        let word = heads.of(cell.column).word;
        let limit = params.have.of(&word, GROUP);
        if GROUP < limit || after.is_some() {
            let query = buckets::narrowed(&state.query, by, &word);
            let filter = Filter::of(frame::understand(scene, read, &query)?.terms);
            let cut = Cut { after: after.cloned(), limit };
            cell.page = list::page(read, &filter, sort, &scene.today, &cut)?;
        }
    }
    let shown = cells.iter().flat_map(|cell| &cell.page.items);
    let dresser = Dresser::new(read, heads, Columns::of(&state.look.columns), shown)?;
    let mut groups = Vec::with_capacity(cells.len());
    for cell in cells {
        let head = heads.of(cell.column);
        let next = cell.page.next.as_deref();
        let preset = buckets::preset(by, &head.word).filter(|_| scene.may_write);
        groups.push(Group {
            total: cell.total,
            more: next.map(|after| more_url(ws, state, &head.word, after)).unwrap_or_default(),
            rows: dresser.rows(scene, read, cell.page.items)?,
            add: preset.map(|preset| add_url(scene, preset)).unwrap_or_default(),
            head,
        });
    }
    groups.sort_by(|a, b| a.head.order.cmp(&b.head.order));
    Ok(groups)
}

/// Address of the form for a new task with one field prefilled.
pub(super) fn add_url(scene: &ViewContext, (field, value): (&'static str, String)) -> String {
    let query = serde_urlencoded::to_string([(field, value)]).unwrap_or_default();
    scene.ws.url(&format!("tasks/new?{query}"))
}
