//! The timeline layout: tasks as bars, dependencies as arrows.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use super::frame::{Counts, Frame, understand};
use super::rows::waits;
use super::state::State;
use app::Ws;
use features::runs::model::{self as runs, Run};
use features::tasks::model::Task;
use features::tasks::queries::due::{self, Deadline};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{self, GroupBy};
use features::tasks::queries::list::{self, Filter, Today};
use features::tasks::queries::looks::Layout;
use features::tasks::queries::taskset::TaskSet;
use features::tasks::queries::terms::{Terms, Window};
use features::tasks::queries::view_context::ViewContext;
use features::tasks::queries::{marks, standing};
use features::views::model::Look;
use kernel::TaskId;
use kernel::display;
use kernel::filter::{Days, Term};
use kernel::key::KeyBuf;
use store::{Range, Read, ReadExt as _};
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::scroll_state::{self, Have};
use web::session::Person;
use web::shell::Shell;
use web::week::WeekStart;

/// Number of bars shown at first, and added by each "more".
const BARS: usize = 200;
/// Name of the list in the count of shown lines.
const LIST: &str = "bars";
/// Number of days shown.
const DAYS: i32 = 70;
/// Width of a day and height of a row, in SVG units.
const DAY: i32 = 16;
const LINE: i32 = 36;
/// Width of a resize handle.
const HANDLE: i32 = 7;
/// Upper estimate of a letter's width, and the inset of a name in its bar.
const LETTER: i32 = 7;
const INSET: i32 = 8;
/// Height of the row of weeks.
const HEAD: i32 = 28;

/// A task on the timeline.
struct Bar {
    id: String,
    name: String,
    title: String,
    href: String,
    status: (&'static str, &'static str),
    face: Face,
    /// Start and width; a bar outside the visible days has width 0.
    x: i32,
    width: i32,
    /// Position of the end handle.
    end: i32,
    /// Whether the name is placed after the bar, because the bar is too short.
    is_short: bool,
    y: i32,
    /// Whether the task has no due date.
    endless: bool,
    late: bool,
    /// Number of blocking tasks in words; may be empty.
    waits: String,
    /// The dates, for the script that moves the bar.
    start: String,
    due: String,
    /// The dates, formatted.
    dates: String,
    may_write: bool,
}

/// The first day of a week.
struct Tick {
    x: i32,
    label: String,
}

/// A dependency.
struct Arrow {
    path: String,
    /// Whether the blocking task ends after the blocked one starts.
    late: bool,
}

#[derive(Template)]
#[template(path = "tasks/timeline.html")]
struct TimelinePage {
    shell: Shell,
    frame: Frame,
    live: Live,
    month: String,
    before: String,
    after: String,
    now: String,
    bars: Vec<Bar>,
    arrows: Vec<Arrow>,
    ticks: Vec<Tick>,
    today: i32,
    width: i32,
    height: i32,
    day: i32,
    /// Number of tasks in the visible weeks.
    total: usize,
    /// Address that shows more bars; empty if all are shown or the limit is reached.
    more: String,
    /// Number of matching tasks without a date, and their address.
    undated: usize,
    undated_url: String,
    /// Whether no task matches at any date.
    nothing: bool,
}

web::region!(TimelinePage, as_bars, TimelineBars, "tasks/timeline-bars.html");

/// The requested timeline, with as many bars as the page already shows.
pub fn show(
    (ws, who): (&Ws, &Person),
    hx: &Hx,
    shell: Shell,
    (state, have, week): (&State, &Have, WeekStart),
) -> Result<Response, PageError> {
    let mut page = ws.read(|snap| view((ws, who), snap, (state, have, week), Counts::of(hx)))?;
    if hx.is_partial() {
        return html::fragment(&page.as_bars());
    }
    page.shell = shell;
    html::page(&page)
}

/// The days of a task, from the first to the last.
struct Stretch {
    first: Date,
    last: Date,
    endless: bool,
}

fn stretch(read: &dyn Read, task: &Task, today: &Today) -> Result<Stretch, TaskError> {
    let day = |at: Timestamp| due::day(at, &today.zone);
    let ended = task.completed_at.or(task.due_at);
    let first = match task.start_at {
        Some(at) => day(at),
        None => {
            let range = Range::prefix(KeyBuf::of(&task.id)).limit(1);
            let runs: Vec<Run> = read.scan(runs::RUN_BY_TASK, &range)?;
            let began = day(runs.first().map_or(task.created_at, |run| run.created_at));
            // A derived start is never later than the end.
            ended.map_or(began, |end| began.min(day(end)))
        }
    };
    // A task that is due before its start spans one day.
    let last = day(ended.unwrap_or(today.now)).max(first);
    Ok(Stretch { first, last, endless: ended.is_none() })
}

/// The first tasks of the visible weeks.
struct Found {
    /// Total number of matches.
    total: usize,
    tasks: Vec<Task>,
    /// Number of bars for the next "more"; `None` if all are shown or the limit is reached.
    next: Option<usize>,
}

/// The tasks of the weeks from this day on.
fn found(
    scene: &ViewContext,
    read: &dyn Read,
    terms: Terms,
    (state, have): (&State, &Have),
    start: Date,
) -> Result<Found, TaskError> {
    let days = Days { from: Some(start), to: start.checked_add(DAYS.days()).ok() };
    let (from, to) = days.span(&scene.today.zone);
    let window = Window { from, to, now: scene.today.now.as_millisecond() };
    let filter = Filter::of(terms.during(window));
    let limit = have.of(LIST, BARS);
    let all = (GroupBy::None, GroupBy::None);
    let cells = grouping::cells(read, &filter, all, state.sort(), &scene.today, limit)?;
    let cell = cells.into_iter().next().map(|cell| (cell.total, cell.page.items));
    let (total, tasks) = cell.unwrap_or_default();
    let next = (limit < total && limit < scroll_state::MOST)
        .then(|| (limit + BARS).min(scroll_state::MOST));
    Ok(Found { total, tasks, next })
}

/// The bars in order, and the dependencies among them.
fn drawn(
    scene: &ViewContext,
    read: &dyn Read,
    tasks: &[Task],
    start: Date,
) -> Result<(Vec<Bar>, Vec<Arrow>), TaskError> {
    let shown: TaskSet = tasks.iter().map(|task| task.id).collect();
    let blocked = marks::blocked_among(read, &shown)?;
    let review = marks::in_review(read)?;
    let mut places: HashMap<TaskId, (i32, Stretch)> = HashMap::with_capacity(tasks.len());
    let mut bars = Vec::with_capacity(tasks.len());
    let mut y = HEAD;
    for task in tasks {
        let stretch = stretch(read, task, &scene.today)?;
        let waits = waits(&blocked, task.id);
        let status = standing::status(task.status, review.contains(task.id));
        bars.push(Bar { waits, status, ..bar(scene, task, &stretch, (start, y)) });
        places.insert(task.id, (y, stretch));
        y += LINE;
    }
    let pairs = marks::waits_among(read, &shown)?.into_iter();
    let arrows = pairs.filter_map(|(task, other)| {
        let (to, from) = (places.get(&task)?, places.get(&other)?);
        arrow(from, to, start)
    });
    let arrows = arrows.collect();
    Ok((bars, arrows))
}

fn view(
    (ws, who): (&Ws, &Person),
    read: &dyn Read,
    (state, have, week): (&State, &Have, WeekStart),
    counts: Counts,
) -> Result<TimelinePage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let today = due::day(scene.today.now, &scene.today.zone);
    let anchor = super::calendar::month_of(&state.month).unwrap_or_else(|| on(today, -14));
    let start = on(anchor, -week.before(anchor));
    let understood = understand(&scene, read, &state.query)?;
    let frame = Frame::new(&scene, read, state, (&understood, counts))?;
    let undated = state.query.with(Term::new("start", "none")).with(Term::new("due", "none"));
    let dateless = Filter::of(understand(&scene, read, &undated)?.terms);
    let found = found(&scene, read, understood.terms.clone(), (state, have), start)?;
    let (bars, arrows) = drawn(&scene, read, &found.tasks, start)?;
    let next = found.next.map(|next| format!(r#"{{"{LIST}":{next}}}"#));
    let list = Look {
        q: undated.to_string(),
        layout: Layout::List.word().to_owned(),
        ..state.look.clone()
    };
    let month =
        |day: Date| State { month: day.strftime("%Y-%m").to_string(), ..state.clone() }.url(ws);
    let middle = on(start, 14);
    Ok(TimelinePage {
        shell: Shell::default(),
        live: Live::new(state.url(ws)).tables(&["tasks", "task_relations", "runs", "deliverables"]),
        month: format!(
            "{} to {}",
            display::day_of_year(start),
            display::day(on(start, i64::from(DAYS) - 1))
        ),
        before: month(on(middle.first_of_month(), -1)),
        after: month(on(middle.last_of_month(), 1)),
        now: State { month: String::new(), ..state.clone() }.url(ws),
        ticks: ticks(start),
        today: x(start, today) + DAY / 2,
        width: DAYS * DAY,
        height: HEAD + LINE * i32::try_from(bars.len()).unwrap_or(0) + 8,
        day: DAY,
        total: found.total,
        more: next.map(|next| state.url_with(ws, &[("have", &next)])).unwrap_or_default(),
        undated: list::total(read, &dateless, &scene.today)?,
        undated_url: state.url_of(ws, &list),
        nothing: bars.is_empty()
            && list::total(read, &Filter::of(understood.terms), &scene.today)? == 0,
        bars,
        arrows,
        frame,
    })
}

fn ticks(start: Date) -> Vec<Tick> {
    let tick = |week: i32| Tick {
        x: week * 7 * DAY,
        label: display::day_of_year(on(start, i64::from(week) * 7)),
    };
    (0..DAYS / 7).map(tick).collect()
}

fn on(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).unwrap_or(day)
}

/// Position of a day, clamped to just outside the visible days.
fn x(start: Date, day: Date) -> i32 {
    let days = (day - start).get_days();
    days.clamp(-7, DAYS + 7) * DAY
}

fn bar(scene: &ViewContext, task: &Task, at: &Stretch, (start, y): (Date, i32)) -> Bar {
    let left = x(start, at.first).clamp(0, DAYS * DAY);
    let right = (x(start, at.last) + DAY).clamp(0, DAYS * DAY);
    let zone = &scene.today.zone;
    // The end is the completion, else the due date, but never before the start.
    let ends = Deadline::of(task).filter(|_| task.completed_at.is_none());
    let ends = ends.filter(|due| due::day(due.at, zone) == at.last);
    let end = match ends {
        _ if at.endless => "no due date".to_owned(),
        Some(due) => due.words(zone, display::day_of_year),
        None => display::day_of_year(at.last),
    };
    let letters = i32::try_from(task.title.chars().count()).unwrap_or(i32::MAX);
    let name_width = letters.saturating_mul(LETTER).saturating_add(2 * INSET).min(DAYS * DAY);
    Bar {
        id: task.id.to_string(),
        name: scene.name(task),
        title: task.title.clone(),
        href: scene.href(task),
        status: (task.status.word(), task.status.label()),
        face: scene.people.face_or_nobody(task.assignee),
        x: left,
        width: right - left,
        end: right - HANDLE,
        is_short: right - left < name_width && right + name_width <= DAYS * DAY,
        y,
        endless: at.endless,
        late: scene.is_overdue(task),
        waits: String::new(),
        start: at.first.to_string(),
        due: at.last.to_string(),
        dates: match at.first == at.last && !at.endless {
            true => end,
            false => format!("{} to {end}", display::day_of_year(at.first)),
        },
        may_write: scene.may_write && task.archived_at.is_none(),
    }
}

/// An arrow from the end of the blocking task to the start of the blocked one.
fn arrow(from: &(i32, Stretch), to: &(i32, Stretch), start: Date) -> Option<Arrow> {
    let (x1, y1) = (x(start, from.1.last) + DAY, from.0 + LINE / 2);
    let (x2, y2) = (x(start, to.1.first), to.0 + LINE / 2);
    let seen = |x: i32| (0..=DAYS * DAY).contains(&x);
    if !seen(x1) && !seen(x2) {
        return None;
    }
    let late = to.1.first <= from.1.last;
    let turn = x1 + 6;
    let path = if x1 + 12 <= x2 {
        format!("M{x1} {y1}H{turn}V{y2}H{}", x2 - 4)
    } else {
        // Around the bar, between the rows.
        let gap = if y1 < y2 { y2 - LINE / 2 } else { y2 + LINE / 2 };
        format!("M{x1} {y1}H{turn}V{gap}H{}V{y2}H{}", x2 - 10, x2 - 4)
    };
    Some(Arrow { path, late })
}

#[cfg(test)]
mod tests {
    use super::{DAY, Stretch, arrow, x};
    use jiff::civil::date;

    #[test]
    fn a_blocker_that_ends_after_its_follower_begins_is_late() {
        let start = date(2026, 11, 2);
        let of = |first: i8, last: i8| Stretch {
            first: date(2026, 11, first),
            last: date(2026, 11, last),
            endless: false,
        };
        let early = arrow(&(28, of(3, 5)), &(64, of(9, 12)), start).expect("an arrow");
        assert!(!early.late && early.path.starts_with(&format!("M{} 46H", 4 * DAY)));
        let late = arrow(&(28, of(3, 10)), &(64, of(9, 12)), start).expect("an arrow");
        assert!(late.late);
        assert_eq!(x(start, date(2026, 11, 3)), DAY);
        assert!(x(start, date(2020, 1, 1)) < 0, "far away is just outside");
    }
}
