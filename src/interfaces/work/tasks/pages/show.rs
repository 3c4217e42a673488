//! The page of a task: text, properties, parts, timeline. Each region refreshes on its own.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::bar::{self, Day, Taker};
use super::broken::Deeds;
use super::cost::{self, Cost, CostPart};
use super::create::{self, thinking_choices};
use super::list::Quick;
use super::rows::{self, Row};
use super::telling::Telling;
use super::ties::{self, Rail, Ties};
use super::timeline::{self, Entry, RunView};
use super::words::{Edit, Place};
use app::Ws;
use features::comments::queries::show::{self as comments, Begun, Composer};
use features::files::queries::{self as files, Line};
use features::links::queries as links;
use features::notifications::queries::{self as notifications, Following};
use features::places::Spot;
use features::runs::queries as runs;
use features::runs::queries::questions::{self, Card, Reader};
use features::tasks::model::Task;
use features::tasks::queries::checks::MAX_DEPTH;
use features::tasks::queries::due::Deadline;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::standing::Standing;
use features::tasks::queries::view_context::{Chip, ViewContext};
use features::tasks::queries::{self, marks, series, standing, summary};
use kernel::display;
use kernel::{About, Priority, RunState, TaskId, TaskStatus};
use store::Read;
use web::checklist;
use web::error::PageError;
use web::extract::{Path, Query};
use web::form::sentence;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face, Tab, percent};
use web::session::Person;
use web::shell::Shell;
use web::time::{Due, RelTime};

/// Maximum number of timeline pages.
const MOST_LOOKS: usize = 10;
/// Maximum number of parts listed.
const MOST_PARTS: usize = 200;

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskPageParams {
    /// The requested region.
    part: String,
    /// The field to edit first, title or description; empty if neither.
    edit: String,
    /// The comment that the comment box quotes.
    quote: String,
    /// The comment that the comment box replies to.
    reply: String,
    /// Number of timeline pages to show.
    back: usize,
    /// Timeline filter to use from now on: `everything` or `comments`.
    tell: String,
}

#[derive(Default)]
struct Head {
    live: Live,
    chip: Option<Chip>,
    title: String,
    archived: bool,
    /// Whether the task is open.
    open: bool,
    /// Notice of a missed due date; may be empty.
    missed: String,
    /// Why the last run failed; may be empty.
    failed: String,
    failed_href: String,
    /// The tasks that block this one.
    held: ties::Held,
    /// Whether a person may start the agent anyway.
    may_run: bool,
    /// Whether the task has no assignee and this person can assign one.
    alone: bool,
    stopped: Option<Stopped>,
}

/// Options after a person stopped the last run.
struct Stopped {
    text: String,
    deeds: Deeds,
}

#[derive(Default)]
struct Text {
    live: Live,
    description: SafeHtml,
    edit: Option<Edit>,
    place: Place,
    /// Checklist progress: done, total, percent.
    checks: Option<(usize, usize, u8)>,
}

/// Questions of runs about the task.
#[derive(Default)]
struct Asks {
    live: Live,
    questions: Vec<Card>,
}

#[derive(Default)]
struct Props {
    live: Live,
    status: (&'static str, &'static str),
    priority: (&'static str, &'static str),
    face: Face,
    nobody: bool,
    due: Option<Due>,
    model: String,
    thinking: String,
    statuses: Vec<Choice>,
    priorities: Vec<Choice>,
    assignees: Vec<Taker>,
    dues: Vec<Day>,
    thinkings: Vec<Choice>,
    has_agent: bool,
    rail: Rail,
    by: Face,
    at: RelTime,
    parent: Option<(String, String, String)>,
    /// The series that created the task: text and address.
    series: Option<(String, String)>,
    /// How the task deviates from its series; empty if it does not.
    differs: String,
}

#[derive(Default)]
struct Parts {
    live: Live,
    /// The parts, each with its depth below the first level.
    rows: Vec<(usize, Row)>,
    done: usize,
    share: u8,
}

#[derive(Default)]
struct Files {
    live: Live,
    lines: Vec<Line>,
    /// Address of the comment form.
    action: String,
}

#[derive(Default)]
struct Time {
    live: Live,
    entries: Vec<Entry>,
    /// Address of the next timeline page; empty at the end.
    earlier: String,
    /// Timeline filters.
    tabs: Vec<Tab>,
}

#[derive(Template)]
#[template(path = "tasks/_run.html")]
struct RunPart {
    run: RunView,
}

#[derive(Template, Default)]
#[template(path = "tasks/show.html")]
struct ShowPage {
    shell: Shell,
    name: String,
    base: String,
    watching: Following,
    history: String,
    list_url: String,
    new_url: String,
    may_write: bool,
    back: String,
    chain: Vec<(String, String, String)>,
    head: Head,
    text: Text,
    asks: Asks,
    props: Props,
    cost: Cost,
    parts: Parts,
    /// The form that adds a part.
    quick: Option<Quick>,
    ties: Ties,
    links: links::Section,
    files: Files,
    time: Time,
    composer: Composer,
}

web::region!(ShowPage, as_head, ShowHead, "tasks/show-head.html");
web::region!(ShowPage, as_text, ShowText, "tasks/show-text.html");
web::region!(ShowPage, as_asks, ShowAsks, "tasks/show-asks.html");
web::region!(ShowPage, as_props, ShowProps, "tasks/show-props.html");
web::region!(ShowPage, as_parts, ShowParts, "tasks/show-parts.html");
web::region!(ShowPage, as_ties, ShowTies, "tasks/show-ties.html");
web::region!(ShowPage, as_links, ShowLinks, "tasks/show-links.html");
web::region!(ShowPage, as_files, ShowFiles, "tasks/show-files.html");
web::region!(ShowPage, as_time, ShowTime, "tasks/show-time.html");

/// `GET /tasks/{name}`: the task, or one region of its page.
pub async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    kept: Telling,
    Path(text): Path<String>,
    Query(params): Query<TaskPageParams>,
) -> Result<Response, PageError> {
    let time = (params.back, kept.or_asked(&params.tell));
    let task = ws.read(|snap| queries::resolve(snap, &text))?;
    let edit = (!params.edit.is_empty()).then(|| Edit::of(&task, &params.edit));
    let part = if hx.is_partial() { params.part.as_str() } else { "" };
    if part == "run" {
        let run =
            ws.read(|snap| timeline::newest_run(&ViewContext::new(&ws, &who, snap)?, snap, &task))?;
        return html::fragment(&RunPart { run: run.unwrap_or_default() });
    }
    let mut page = ws.read(|snap| view(&ws, &who, snap, &task, (part, edit), time))?;
    if !page.base.ends_with(&format!("/{text}")) && part.is_empty() {
        return Ok(hx.go_to(&page.base));
    }
    let answer: Result<Response, PageError> = match part {
        "head" => html::fragment(&page.as_head()),
        "text" => html::fragment(&page.as_text()),
        "asks" => html::fragment(&page.as_asks()),
        "props" => html::fragment(&page.as_props()),
        "cost" => html::fragment(&CostPart { cost: page.cost }),
        "parts" => html::fragment(&page.as_parts()),
        "ties" => html::fragment(&page.as_ties()),
        "links" => html::fragment(&page.as_links()),
        "files" => html::fragment(&page.as_files()),
        "time" => html::fragment(&page.as_time()),
        _ => {
            let begun = Begun::of(String::new(), &params.quote, &params.reply);
            page.composer = ws.read(|snap| {
                let scene = ViewContext::new(&ws, &who, snap)?;
                let spot = Spot::of_task(scene.name(&task), &task);
                comments::composer(&scene, snap, &spot, begun)
            })?;
            page.shell = shell;
            html::page(&page)
        }
    };
    answer.map(|answer| Telling::keep(&params.tell, answer))
}

/// The page, or only its text region, with edited title and description.
pub fn editing(
    (ws, who): (&Ws, &Person),
    (hx, shell): (&Hx, Shell),
    task: &Task,
    (status, edit): (StatusCode, Option<Edit>),
) -> Result<Response, PageError> {
    let part = if hx.is_partial() { "text" } else { "" };
    let time = (1, Telling::default());
    let mut page = ws.read(|snap| view(ws, who, snap, task, (part, edit), time))?;
    if hx.is_partial() {
        return html::fragment_with(status, &page.as_text());
    }
    page.shell = shell;
    html::document(status, &page)
}

/// Builds the given region, or the whole page if `part` is empty.
fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    task: &Task,
    (part, edit): (&str, Option<Edit>),
    (looks, telling): (usize, Telling),
) -> Result<ShowPage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let wants = |name: &str| part.is_empty() || part == name;
    let mut page = ShowPage {
        name: scene.name(task),
        base: scene.href(task),
        history: ws.url(&format!("history/tasks/{}", scene.name(task))),
        back: scene.href(task),
        list_url: ws.url("tasks"),
        new_url: ws.url("tasks/new"),
        may_write: scene.may_write && task.archived_at.is_none(),
        ..ShowPage::default()
    };
    if wants("head") {
        page.watching = notifications::following(read, About::Task(task.id), who.account)?;
        page.head = head(&scene, read, task)?;
    }
    if wants("text") {
        page.text = words(&scene, read, task, (page.may_write, edit));
    }
    if wants("asks") {
        page.asks = asks(&scene, read, task)?;
    }
    if wants("props") {
        page.props = props(&scene, read, task)?;
    }
    if wants("props") || part == "cost" {
        page.cost = cost::cost(&scene, read, task)?;
    }
    if wants("parts") {
        page.parts = parts(&scene, read, task)?;
    }
    if wants("ties") {
        page.ties = ties::ties(&scene, read, task, live(&scene, task, "ties"))?;
    }
    if wants("links") {
        page.links = links::section(&scene, read, task, live(&scene, task, "links"))?;
    }
    if wants("files") {
        page.files = files_of(&scene, read, task)?;
    }
    if wants("time") {
        page.time = time(&scene, read, task, (looks.clamp(1, MOST_LOOKS), telling))?;
    }
    if part.is_empty() {
        let line = || create::part_line(ws, &page.name, page.back.clone());
        page.quick = page.may_write.then(line);
        let spot = Spot::of_task(scene.name(task), task);
        page.composer = comments::composer(&scene, read, &spot, Begun::default())?;
        let above = queries::ancestors(read, task)?.into_iter();
        page.chain = above.map(|t| (scene.name(&t), scene.href(&t), t.title)).collect();
    }
    Ok(page)
}

/// A region of the task's page that refreshes when the task changes.
pub(super) fn live(scene: &ViewContext, task: &Task, part: &str) -> Live {
    let url = format!("{}?part={part}", scene.href(task));
    Live::new(url).record("tasks", task.id)
}

fn time(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    (looks, telling): (usize, Telling),
) -> Result<Time, TaskError> {
    let (entries, more) = timeline::entries(scene, read, task, (looks, telling))?;
    let further = more && looks < MOST_LOOKS;
    let live = match looks {
        1 => live(scene, task, "time"),
        // A long timeline costs more, so its refreshes are debounced.
        _ => live(scene, task, &format!("time&back={looks}")).debounced(),
    };
    Ok(Time {
        live: live.table("inbox"),
        entries,
        earlier: match further {
            true => format!("{}?back={}", scene.href(task), looks + 1),
            false => String::new(),
        },
        tabs: telling.tabs(&scene.href(task)),
    })
}

fn words(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    (may_write, edit): (bool, Option<Edit>),
) -> Text {
    let items = checklist::items(&task.description);
    let (done, total) = checklist::progress(&items);
    let description = match may_write && 0 < total {
        true => scene.md_with_ticks(read, &task.description),
        false => scene.md(read, &task.description),
    };
    Text {
        live: live(scene, task, "text"),
        description,
        edit,
        place: Place::of(scene, task),
        checks: (0 < total).then(|| (done, total, percent(done as u64, total as u64))),
    }
}

fn head(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Head, TaskError> {
    let standing = standing::seen(&scene.ws, read, task, scene.today.now)?;
    let mut live = live(scene, task, "head").table("inbox").table("task_relations");
    for run in standing::newest_runs(read, task.id, 3)? {
        if run.state != RunState::Ended {
            live = live.record("runs", run.id);
        }
    }
    let (failed, failed_href) = match &standing {
        Standing::Failed { run, state, reason } => {
            let text = format!("Last run: {}. {}", state.label.to_lowercase(), sentence(reason));
            (text.trim_end().to_owned(), scene.run_href(*run))
        }
        _ => (String::new(), String::new()),
    };
    let stopped = match &standing {
        Standing::Stopped { run } if scene.may_write => stopped(scene, read, *run)?,
        _ => None,
    };
    Ok(Head {
        live,
        stopped,
        // The banner says that it is blocked, and by what.
        chip: scene.chip(task, &standing).filter(|_| standing != Standing::Blocked),
        title: task.title.clone(),
        archived: task.archived_at.is_some(),
        open: task.status.is_open() && task.archived_at.is_none(),
        missed: match (task.status, Deadline::of(task)) {
            (TaskStatus::Missed, Some(due)) => {
                let date = due.words(&scene.today.zone, display::long_day);
                format!("This task missed its due date, {date}.")
            }
            _ => String::new(),
        },
        failed,
        failed_href,
        held: ties::held(scene, read, task)?,
        may_run: standing == Standing::Blocked && scene.may_write,
        alone: standing == Standing::Alone && scene.may_write,
    })
}

fn stopped(
    scene: &ViewContext,
    read: &dyn Read,
    number: u32,
) -> Result<Option<Stopped>, TaskError> {
    let Some(run) = runs::by_name(&read, &number.to_string())? else { return Ok(None) };
    let text = format!("{} was stopped. Its changes are kept.", run.name());
    Ok(Some(Stopped { text, deeds: Deeds::of(scene, read, &run)? }))
}

fn asks(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Asks, TaskError> {
    let (now, zone) = (scene.today.now, &scene.today.zone);
    let reader = Reader { ws: &scene.ws, now, zone, access: scene.access, me: scene.me };
    let questions = questions::of_task(&read, &reader, task)?;
    // A question appears and disappears with its run.
    let live = live(scene, task, "asks").table("parks").table("approvals").table("runs");
    Ok(Asks { live, questions })
}

fn props(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Props, TaskError> {
    let agent = task.assignee.and_then(|who| who.agent());
    let due = scene.due(task);
    let time = due.as_ref().map_or("", |due| due.time.as_str());
    let parent = match task.parent {
        Some(id) => Some(queries::get(read, id)?),
        None => None,
    };
    let series = series::of_task(read, task)?;
    let differs = match series.as_ref().filter(|_| task.archived_at.is_none()) {
        Some(one) => {
            let fields = series::differing(read, task, one)?;
            fields.into_iter().map(series::Common::label).collect::<Vec<_>>().join(", ")
        }
        None => String::new(),
    };
    Ok(Props {
        live: live(scene, task, "props").tables(&[
            "agents",
            "series",
            "streams",
            "task_proofs",
            "labels",
            "deliverables",
        ]),
        differs,
        series: series.map(|one| {
            let href = scene.ws.url(&format!("tasks/recurring/{}", one.id));
            (one.schedule.pill(), href)
        }),
        status: standing::status(task.status, standing::in_review(read, task.id)?),
        priority: (task.priority.word(), task.priority.label()),
        face: scene.people.face_or_nobody(task.assignee),
        nobody: task.assignee.is_none(),
        dues: bar::days(scene, time),
        due,
        model: task.model.clone().unwrap_or_default(),
        thinking: task.thinking.map(|level| level.label().to_owned()).unwrap_or_default(),
        statuses: TaskStatus::ALL
            .iter()
            .map(|s| Choice::new(s.word(), s.label(), *s == task.status))
            .collect(),
        priorities: Priority::ALL
            .iter()
            .rev()
            .map(|p| Choice::new(p.word(), p.label(), *p == task.priority))
            .collect(),
        assignees: bar::takers(scene, task.assignee)?,
        thinkings: thinking_choices(task.thinking),
        has_agent: agent.is_some(),
        rail: ties::rail(scene, read, task)?,
        by: scene.people.actor(task.created_by),
        at: scene.time(task.created_at),
        parent: parent.map(|above| (scene.name(&above), scene.href(&above), above.title)),
    })
}

fn files_of(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Files, TaskError> {
    let all = files::of(read, task.id.into())?;
    Ok(Files {
        live: live(scene, task, "files").table("task_files"),
        lines: all.iter().map(|file| Line::new(scene, file)).collect(),
        action: format!("{}/files", scene.href(task)),
    })
}

/// Collects the parts of a task depth first.
fn below(
    read: &dyn Read,
    id: TaskId,
    depth: usize,
    all: &mut Vec<(usize, Task)>,
) -> Result<(), TaskError> {
    for part in queries::children(read, id)? {
        if MOST_PARTS <= all.len() || MAX_DEPTH <= depth {
            break;
        }
        let id = part.id;
        all.push((depth, part));
        below(read, id, depth + 1, all)?;
    }
    Ok(())
}

fn parts(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Parts, TaskError> {
    let mut all = Vec::new();
    below(read, task.id, 0, &mut all)?;
    let total = all.len();
    let done = all.iter().filter(|(_, part)| part.status == TaskStatus::Done).count();
    let blocked = marks::blocked_among(read, &all.iter().map(|(_, part)| part.id).collect())?;
    let mut rows = Vec::with_capacity(total);
    for (depth, part) in all {
        let waits = rows::waits(&blocked, part.id);
        let summary = summary::summary(&scene.ws, read, &scene.people, part, scene.today.now)?;
        rows.push((depth, Row { waits, ..Row::new(scene, read, summary)? }));
    }
    Ok(Parts {
        live: live(scene, task, "parts").tables(&["inbox", "tasks", "task_relations"]),
        rows,
        done,
        share: percent(done as u64, total as u64),
    })
}
