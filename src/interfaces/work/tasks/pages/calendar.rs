//! The calendar: tasks on their due dates, movable by drag.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::buckets::Heads;
use super::frame::{Counts, Frame, SHOWN, understand};
use super::rows::{Tag, waits};
use super::state::State;
use app::Ws;
use features::tasks::model::Task;
use features::tasks::queries::days::{self, DueOn};
use features::tasks::queries::due::{self, Deadline};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{self, GroupBy};
use features::tasks::queries::keys::KEYS;
use features::tasks::queries::list::Filter;
use features::tasks::queries::looks::Layout;
use features::tasks::queries::taskset::TaskSet;
use features::tasks::queries::terms::Dated;
use features::tasks::queries::view_context::ViewContext;
use features::tasks::queries::{marks, standing};
use features::views::model::Look;
use kernel::TaskId;
use kernel::filter::{Days, Term};
use kernel::{clock, display};
use store::{Read, StoreError};
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::session::Person;
use web::shell::Shell;
use web::week::WeekStart;

/// Maximum number of tasks shown per day.
const PILLS: usize = 4;
/// Maximum number of undated tasks shown beside the days.
const UNDATED: usize = 20;

/// A task on its day.
struct Pill {
    id: String,
    name: String,
    title: String,
    href: String,
    /// Status word and label.
    status: (&'static str, &'static str),
    /// Time of day; may be empty.
    time: String,
    /// Whether the task is overdue.
    late: bool,
    recurring: bool,
    /// Number of blocking tasks in words; may be empty.
    waits: String,
    face: Face,
    may_write: bool,
    /// Further details, for undated tasks.
    wide: Option<Wide>,
}

impl Pill {
    /// The time of day as the person has it written.
    fn clock(&self) -> String {
        clock::read(&self.time).map_or_else(String::new, display::time)
    }
}

/// Further details of an undated task.
struct Wide {
    /// Priority word and label.
    priority: (&'static str, &'static str),
    stream: Option<Tag>,
}

/// The undated tasks, which can be dragged to a day.
struct Rail {
    pills: Vec<Pill>,
    /// Their number, and the address of all of them.
    total: usize,
    all: String,
}

struct Day {
    /// `2026-11-20`.
    iso: String,
    /// "20", or "1 Nov".
    short: String,
    /// "Friday, 20 November".
    label: String,
    today: bool,
    past: bool,
    weekend: bool,
    /// Whether the day belongs to another month.
    out: bool,
    pills: Vec<Pill>,
    /// Number and address of further tasks.
    more: usize,
    more_url: String,
    add: String,
}

#[derive(Template)]
#[template(path = "tasks/calendar.html")]
struct CalendarPage {
    shell: Shell,
    frame: Frame,
    live: Live,
    /// "November 2026".
    month: String,
    before: String,
    after: String,
    now: String,
    weekdays: Vec<String>,
    /// First days of the week: word, label, and whether selected.
    starts: Vec<(&'static str, &'static str, bool)>,
    weeks: Vec<Vec<Day>>,
    /// Undated tasks; `None` if there are none.
    rail: Option<Rail>,
}

web::region!(CalendarPage, as_month, CalendarMonth, "tasks/calendar-month.html");

/// The requested calendar.
pub fn show(
    (ws, who): (&Ws, &Person),
    hx: &Hx,
    shell: Shell,
    (state, week): (&State, WeekStart),
) -> Result<Response, PageError> {
    let mut page = ws.read(|snap| view((ws, who), snap, (state, week), Counts::of(hx)))?;
    if hx.is_partial() {
        return html::fragment(&page.as_month());
    }
    page.shell = shell;
    html::page(&page)
}

/// The first day of a month such as `2026-11`.
pub(super) fn month_of(text: &str) -> Option<Date> {
    format!("{text}-01").parse::<Date>().ok().filter(|_| text.len() == 7)
}

/// The first day of a month; of the current month if the text is invalid.
fn first_of(text: &str, today: Date) -> Date {
    month_of(text).unwrap_or(today).first_of_month()
}

fn view(
    (ws, who): (&Ws, &Person),
    read: &dyn Read,
    (state, week): (&State, WeekStart),
    counts: Counts,
) -> Result<CalendarPage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let zone = &scene.today.zone;
    let today = due::day(scene.today.now, zone);
    let first = first_of(&state.month, today);
    let start = back(first, week.before(first));
    let last = first.last_of_month();
    let end = on(last, 7 - week.before(last));
    let understood = understand(&scene, read, &state.query)?;
    let frame = Frame::new(&scene, read, state, (&understood, counts))?;
    let terms = understand(&scene, read, &state.query)?.terms;
    let (from, to) = Days { from: Some(start), to: Some(end) }.span(zone);
    let filter = Filter::of(terms.between(Dated::Due, from, to));
    let shown: Vec<Date> = (0..).map(|n| on(start, n)).take_while(|day| *day < end).collect();
    let due_on = days::due(read, &filter, &scene.today, &shown, PILLS)?;
    let tasks = due_on.iter().flat_map(|own| &own.first).map(|task| task.id);
    let signs = Signs::of(read, &tasks.collect())?;
    let mut weeks: Vec<Vec<Day>> = Vec::new();
    for (day, own) in shown.into_iter().zip(due_on) {
        if week.before(day) == 0 {
            weeks.push(Vec::with_capacity(7));
        }
        let cell = cell(&scene, state, (day, first, today), (&own, &signs));
        if let Some(week) = weeks.last_mut() {
            week.push(cell);
        }
    }
    let month =
        |day: Date| State { month: day.strftime("%Y-%m").to_string(), ..state.clone() }.url(ws);
    Ok(CalendarPage {
        shell: Shell::default(),
        live: Live::new(state.url(ws)).tables(SHOWN),
        month: first.strftime("%B %Y").to_string(),
        before: month(back(first, 1)),
        after: month(on(last, 1)),
        now: State { month: String::new(), ..state.clone() }.url(ws),
        starts: WeekStart::ALL
            .iter()
            .map(|(one, word, label)| (*word, *label, *one == week))
            .collect(),
        weekdays: (0..7).map(|n| on(start, n).strftime("%a").to_string()).collect(),
        weeks,
        rail: rail(&scene, read, state)?,
        frame,
    })
}

fn on(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).unwrap_or(Date::MAX)
}

fn back(day: Date, days: i64) -> Date {
    day.checked_sub(days.days()).unwrap_or(Date::MIN)
}

/// The open undated tasks that match the query otherwise.
fn rail(scene: &ViewContext, read: &dyn Read, state: &State) -> Result<Option<Rail>, TaskError> {
    let mut undated = state.query.with(Term::new("due", "none"));
    if !state.asks_open() {
        undated.terms.push(Term::new("is", "open"));
    }
    let filter = Filter::of(understand(scene, read, &undated)?.terms);
    let all = (GroupBy::None, GroupBy::None);
    let cells = grouping::cells(read, &filter, all, state.sort(), &scene.today, UNDATED)?;
    let Some(cell) = cells.into_iter().next() else { return Ok(None) };
    let heads = Heads::new(scene, read)?;
    let tasks = cell.page.items;
    let signs = Signs::of(read, &tasks.iter().map(|task| task.id).collect())?;
    let pill = |task: &Task| Pill {
        wide: Some(Wide {
            priority: (task.priority.word(), task.priority.label()),
            stream: task.stream.and_then(|id| heads.stream(id)).map(Tag::of),
        }),
        ..pill(scene, task, &signs)
    };
    let layout = Layout::List.word().to_owned();
    let q = undated.canonical(KEYS).to_string();
    Ok(Some(Rail {
        pills: tasks.iter().map(pill).collect(),
        total: cell.total,
        all: state.url_of(&scene.ws, &Look { q, layout, ..state.look.clone() }),
    }))
}

fn cell(
    scene: &ViewContext,
    state: &State,
    (day, first, today): (Date, Date, Date),
    (own, signs): (&DueOn, &Signs),
) -> Day {
    let iso = day.to_string();
    let q = state.query.with(Term::new("due", iso.clone())).to_string();
    let layout = Layout::List.word().to_owned();
    let is_first = day.day() == 1;
    let add = scene.may_write && today <= day;
    Day {
        short: if is_first { display::day_of_year(day) } else { day.day().to_string() },
        label: format!("{}, {}", day.strftime("%A"), display::long_day_of_year(day)),
        today: day == today,
        past: day < today,
        weekend: 5 <= day.weekday().to_monday_zero_offset(),
        out: day.month() != first.month(),
        pills: own.first.iter().map(|task| pill(scene, task, signs)).collect(),
        more: own.total.saturating_sub(own.first.len()),
        more_url: state.url_of(&scene.ws, &Look { q, layout, ..state.look.clone() }),
        add: match add {
            true => scene.ws.url(&format!("tasks/new?due={iso}")),
            false => String::new(),
        },
        iso,
    }
}

/// Marks of tasks that are not part of their records.
struct Signs {
    blocked: HashMap<TaskId, usize>,
    review: TaskSet,
}

impl Signs {
    fn of(read: &dyn Read, tasks: &TaskSet) -> Result<Self, StoreError> {
        Ok(Self { blocked: marks::blocked_among(read, tasks)?, review: marks::in_review(read)? })
    }
}

fn pill(scene: &ViewContext, task: &Task, signs: &Signs) -> Pill {
    Pill {
        id: task.id.to_string(),
        name: scene.name(task),
        title: task.title.clone(),
        href: scene.href(task),
        status: standing::status(task.status, signs.review.contains(task.id)),
        time: Deadline::of(task).map(|due| due.time(&scene.today.zone)).unwrap_or_default(),
        late: scene.is_overdue(task),
        recurring: task.series.is_some(),
        waits: waits(&signs.blocked, task.id),
        face: scene.people.face_or_nobody(task.assignee),
        may_write: scene.may_write && task.archived_at.is_none(),
        wide: None,
    }
}

#[cfg(test)]
mod tests {
    use super::first_of;
    use jiff::civil::date;

    #[test]
    fn a_month_that_cannot_be_read_is_this_one() {
        let today = date(2026, 11, 20);
        assert_eq!(first_of("2027-02", today), date(2027, 2, 1));
        for odd in ["", "2026-13", "soon", "2026-1", "2026-02-03"] {
            assert_eq!(first_of(odd, today), date(2026, 11, 1), "{odd}");
        }
    }
}
