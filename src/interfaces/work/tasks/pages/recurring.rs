//! Recurring tasks: the list of series, the page of a series, and its forms.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::composer::{self, NewTaskForm};
use super::create::{self, Made, thinking_choices, word};
use super::frame::{self, Counts, Top};
use super::repeat::{self, Repeat, RepeatView};
use super::state;
use app::{App, Ws};
use features::history::queries::meanwhile;
use features::routines::queries::view::moment;
use features::tasks::model::Task;
use features::tasks::model::series::{Going, Occurrence, Series};
use features::tasks::queries;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::series::{self as reads, Tally};
use features::tasks::queries::view_context::ViewContext;
use features::tasks::rules::series::{self as rules, NewSeries, SeriesPatch};
use kernel::display;
use kernel::{Priority, Problem as _, ProblemKind, SeriesId, Thinking};
use store::{Read, ReadExt as _, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::form::EditConflict;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::live::Live;
use web::parts::{Choice, Dot, Face};
use web::path_words;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, html};

/// Number of a series' tasks on its page.
const SHOWN: usize = 20;

struct Row {
    title: String,
    href: String,
    pill: String,
    words: String,
    state: Dot,
    next: String,
    runs: String,
    face: Face,
}

#[derive(Template)]
#[template(path = "tasks/recurring.html")]
struct ListPage {
    shell: Shell,
    frame: Top,
    live: Live,
    rows: Vec<Row>,
    tasks_url: String,
    new_url: String,
    may_write: bool,
}

web::region!(ListPage, as_rows, ListRows, "tasks/recurring-rows.html");

/// The list of series, with the task filters of the address.
pub async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<state::TasksPageParams>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let state = frame::state(snap, who.account, &params)?;
        let scene = ViewContext::new(&ws, &who, snap)?;
        let all = reads::all(snap)?.into_iter();
        let rows = all.map(|one| row(&scene, snap, &one)).collect::<Result<_, TaskError>>()?;
        Ok::<_, TaskError>(ListPage {
            shell,
            frame: Top::new(&scene, snap, &state, Counts::of(&hx))?,
            live: Live::new(state.recurring_url(&ws))
                .table("series")
                .table("occurrences")
                .table("agents"),
            rows,
            tasks_url: ws.url("tasks"),
            new_url: ws.url("tasks/new?cadence_type=weekdays"),
            may_write: scene.may_write,
        })
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn row(scene: &ViewContext, read: &dyn Read, series: &Series) -> Result<Row, TaskError> {
    let spawned = reads::spawned(read, series.id)?;
    Ok(Row {
        title: series.title.clone(),
        href: href(scene, series.id),
        pill: series.schedule.pill(),
        words: series.schedule.words(),
        state: dot(series),
        next: next(series, &scene.today.zone),
        runs: match spawned {
            1 => "1 task".to_owned(),
            n => format!("{n} tasks"),
        },
        face: scene.people.face_or_nobody(series.assignee),
    })
}

fn href(scene: &ViewContext, id: SeriesId) -> String {
    scene.ws.url(&format!("tasks/recurring/{id}"))
}

fn dot(series: &Series) -> Dot {
    let state = match series.going() {
        Going::Active => "ready",
        Going::Paused => "paused",
        Going::Ended => "done",
    };
    Dot::new(state, series.going().label())
}

/// The next date, in the reader's time zone.
fn next(series: &Series, zone: &TimeZone) -> String {
    match series.next_at {
        Some(at) => format!("Next: {}", moment(at, zone)),
        None => series.going().label().to_owned(),
    }
}

struct Strip {
    live: Live,
    title: String,
    words: String,
    state: Dot,
    next: String,
    /// The dates after the next one.
    then: Vec<String>,
    going: &'static str,
    tally: Tally,
}

struct Turn {
    when: String,
    task: Option<(String, String, &'static str, &'static str)>,
    skipped: u32,
    made: RelTime,
}

struct Turns {
    live: Live,
    list: Vec<Turn>,
}

/// The form of a series, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Words {
    /// The revision that was read.
    rev: String,
    title: String,
    description: String,
    priority: String,
    assignee: String,
    model: String,
    thinking: String,
    /// A stream's id or name.
    stream: String,
    /// Names separated by commas.
    labels: String,
    #[serde(flatten)]
    repeat: Repeat,
}

#[derive(Template)]
#[template(path = "tasks/series.html")]
struct SeriesPage {
    shell: Shell,
    base: String,
    list_url: String,
    tasks_url: String,
    history: String,
    may_write: bool,
    strip: Strip,
    turns: Turns,
    typed: Words,
    wrong: Vec<(String, String)>,
    summary: String,
    since: EditConflict,
    priorities: Vec<Choice>,
    assignees: Vec<Choice>,
    thinkings: Vec<Choice>,
    streams: Vec<Choice>,
    repeat: RepeatView,
}

web::region!(SeriesPage, as_strip, SeriesStrip, "tasks/series-strip.html");
web::region!(SeriesPage, as_turns, SeriesTurns, "tasks/series-turns.html");

impl SeriesPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }
}

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SeriesPageParams {
    part: String,
}

/// The page of a series, or one region of it.
pub async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<SeriesId>,
    Query(params): Query<SeriesPageParams>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| view(&ws, &who, snap, id, (shell, None)))?;
    match (hx.is_partial(), params.part.as_str()) {
        (true, "strip") => html::fragment(&page.as_strip()),
        (true, "turns") => html::fragment(&page.as_turns()),
        _ => html::page(&page),
    }
}

fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    id: SeriesId,
    (shell, form): (Shell, Option<Words>),
) -> Result<SeriesPage, TaskError> {
    let scene = ViewContext::new(ws, who, read)?;
    let (series, rev) = reads::get_rev(read, id)?;
    let (base, zone) = (href(&scene, id), repeat::zone(read)?);
    let form = form.unwrap_or_else(|| Words {
        rev: rev.to_string(),
        title: series.title.clone(),
        description: series.description.clone(),
        priority: series.priority.word().to_owned(),
        assignee: series.assignee.map(|who| scene.people.handle(who)).unwrap_or_default(),
        model: series.model.clone().unwrap_or_default(),
        thinking: series.thinking.map(|level| level.word().to_owned()).unwrap_or_default(),
        stream: series.stream.map(|stream| stream.to_string()).unwrap_or_default(),
        labels: series.labels.join(", "),
        repeat: Repeat::of(&series),
    });
    let region = |part: &str| {
        let live = Live::new(format!("{base}?part={part}")).record("series", id);
        live.table("occurrences").table("tasks")
    };
    let then = reads::coming(read, &series, reads::AHEAD)?.into_iter().skip(1);
    let used = reads::used(read, id, SHOWN)?;
    let turns = used.iter().map(|slot| turn(&scene, read, slot));
    // ok: an unknown name selects nobody; saving reports the error.
    let assignee = scene.people.find(&form.assignee, scene.myself()).ok().flatten();
    let priority = form.priority.parse().unwrap_or(series.priority);
    Ok(SeriesPage {
        shell,
        list_url: ws.url("tasks/recurring"),
        tasks_url: ws.url("tasks"),
        history: ws.url(&format!("history/series/{id}")),
        may_write: scene.may_write,
        strip: Strip {
            live: region("strip"),
            title: series.title.clone(),
            words: series.schedule.words(),
            state: dot(&series),
            next: next(&series, &scene.today.zone),
            then: then.map(|at| moment(at, &scene.today.zone)).collect(),
            going: series.going().word(),
            tally: reads::tally(read, id)?,
        },
        turns: Turns { live: region("turns"), list: turns.collect::<Result<_, TaskError>>()? },
        wrong: Vec::new(),
        summary: String::new(),
        since: EditConflict::default(),
        priorities: create::priority_choices(priority),
        assignees: scene.people.choices(assignee, scene.me),
        thinkings: thinking_choices(form.thinking.parse().ok()),
        streams: create::stream_choices(read, &form.stream)?,
        repeat: form.repeat.clone().view(ws, &zone, false),
        typed: form,
        base,
    })
}

fn turn(scene: &ViewContext, read: &dyn Read, slot: &Occurrence) -> Result<Turn, TaskError> {
    let task = match slot.task {
        Some(id) => read.get::<Task>(id)?,
        None => None,
    };
    let task = task.map(|task| {
        let (word, label) = (task.status.word(), task.status.label());
        (scene.name(&task), scene.href(&task), word, label)
    });
    let (when, made) = (moment(slot.at, &scene.today.zone), scene.time(slot.made_at));
    Ok(Turn { when, task, skipped: slot.skipped, made })
}

/// Saves the template of future tasks; an invalid form is shown again with its input.
pub async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<SeriesId>,
    Form(mut values): Form<Words>,
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let rev = values.rev.parse().ok();
    let saved = match ws.read(|snap| patch(&scene, snap, &values)) {
        Ok(patch) => {
            ws.write(&who, move |tx| {
                rules::check_rev(tx, id, rev)?;
                rules::update(tx, id, patch)
            })
            .await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(series) => {
            let words = format!("Saved. {}.", next(&series, &due::zone(&who.zone)));
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&href(&scene, id))))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Stale) => {
            let mut page = ws.read(|snap| {
                let form = (id, values.rev.as_str());
                let since = meanwhile::after::<Series>(&ws, &who, snap, form, &error)?;
                since.renew(&mut values.rev);
                let page = view(&ws, &who, snap, id, (shell, Some(values)))?;
                Ok::<_, TaskError>(SeriesPage { since, ..page })
            })?;
            page.wrong = error.fields().into_iter().map(|f| (f.field, f.message)).collect();
            if page.wrong.is_empty() && !page.since.is_told() {
                page.summary = error.to_string();
            }
            html::document(page.since.status(), &page)
        }
        Err(error) => Err(error.into()),
    }
}

fn patch(scene: &ViewContext, read: &dyn Read, form: &Words) -> Result<SeriesPatch, TaskError> {
    let wanted = form.repeat.read(&repeat::zone(read)?, scene.today.now);
    let wanted = wanted.map_err(TaskError::Invalid)?;
    Ok(SeriesPatch {
        title: Some(form.title.clone()),
        description: Some(form.description.clone()),
        priority: Some(word("priority", &form.priority, Priority::Medium)?),
        assignee: Some(scene.people.find(&form.assignee, scene.myself())?),
        stream: Some(queries::stream(read, &form.stream)?),
        labels: Some(composer::label_names(&form.labels)),
        model: Some(Some(form.model.clone())),
        thinking: Some(match form.thinking.as_str() {
            "" => None,
            text => Some(word("thinking", text, Thinking::Low)?),
        }),
        ..wanted.patch()
    })
}

path_words! {
    /// What can be done to a series with one press.
    pub Verb {
        /// Makes no more.
        Pause = "pause",
        /// Goes on.
        Resume = "resume",
        /// Makes the next one now.
        Spawn = "spawn",
        /// Takes it away.
        Delete = "delete",
    }
}

/// Carries out an action on a series.
pub async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<SeriesId, Verb>,
    FormOnce(IgnoredAny, once): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let here = href(&scene, id);
    let (words, to) = match verb {
        Verb::Pause => {
            ws.write(&who, move |tx| rules::pause(tx, id)).await?;
            ("Paused. No tasks are created until it is resumed.".to_owned(), here)
        }
        Verb::Resume => {
            let series = ws.write(&who, move |tx| rules::resume(tx, id)).await?;
            (format!("Resumed. {}.", next(&series, &due::zone(&who.zone))), here)
        }
        Verb::Spawn => {
            let task = ws.write(&who, once.run(move |tx| rules::spawn_now(tx, id))).await?;
            (format!("Created {}", scene.name(&task)), scene.href(&task))
        }
        Verb::Delete => {
            let series = ws.write(&who, move |tx| rules::remove(tx, id)).await?;
            let words = format!("Deleted the series “{}”. Its tasks are kept.", series.title);
            (words, ws.url("tasks/recurring"))
        }
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&to)))
}

#[derive(Template)]
#[template(path = "tasks/_preview.html")]
struct Preview {
    words: String,
    next: Vec<String>,
}

/// The schedule being edited, in words, with its next dates.
pub async fn preview(
    ws: Ws,
    who: Person,
    Query(repeat): Query<Repeat>,
) -> Result<Response, PageError> {
    let now = ws.app.clock.now();
    let zone = ws.read(|snap| repeat::zone(snap))?;
    let preview = match repeat.read(&zone, now) {
        Ok(wanted) => {
            let zone = due::zone(&who.zone);
            let all = wanted.schedule.upcoming(now, reads::AHEAD).into_iter();
            let next = all.map(|at| {
                let at = zone.to_datetime(at);
                let (day, time) = (display::day_of_year(at.date()), display::short_time(at.time()));
                format!("{} {day}, {time}", at.strftime("%a"))
            });
            Preview { words: wanted.schedule.words(), next: next.collect() }
        }
        // Errors are reported when the form is submitted.
        Err(_) => Preview { words: String::new(), next: Vec::new() },
    };
    html::fragment(&preview)
}

/// Creates a series from the form for a new task.
pub(super) async fn create(
    app: App,
    (ws, who): (Ws, Person),
    (hx, shell): (Hx, Shell),
    (form, once): (NewTaskForm, Once),
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let made = match ws.read(|snap| new_series(&scene, snap, &form)) {
        Ok(new) => {
            let replaces = form.replaces.clone();
            let make = move |tx: &mut WriteTx<'_>| {
                if !replaces.is_empty() {
                    // The series replaces the task, which can be restored.
                    let task = queries::resolve(tx, &replaces)?.id;
                    features::tasks::rules::archive(tx, task)?;
                }
                rules::create(tx, new)
            };
            ws.write(&who, once.run(make)).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(series) => {
            let made = Made {
                table: "series",
                id: series.id.to_string(),
                href: href(&scene, series.id),
                words: format!("{} task scheduled", series.schedule.pill()),
            };
            made.answer(&app, (&ws, &who), (hx, shell), form)
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            create::refused(&ws, &who, (hx, shell), form, &error)
        }
        Err(error) => Err(error.into()),
    }
}

fn new_series(
    scene: &ViewContext,
    read: &dyn Read,
    form: &NewTaskForm,
) -> Result<NewSeries, TaskError> {
    let task = create::new_task(scene, read, form);
    let wanted = form.repeat.read(&repeat::zone(read)?, scene.today.now);
    match (task, wanted) {
        (Ok(task), Ok(wanted)) => Ok(NewSeries {
            title: task.title,
            description: task.description,
            priority: task.priority,
            assignee: task.assignee,
            stream: task.stream,
            model: task.model,
            thinking: task.thinking,
            labels: form.label_names(),
            schedule: wanted.schedule,
            missed: wanted.missed,
            ends_on: wanted.ends_on,
            ends_after: wanted.ends_after,
            due: wanted.due,
        }),
        (Ok(_), Err(wrong)) => Err(TaskError::Invalid(wrong)),
        (Err(error), Ok(_)) => Err(error),
        (Err(error), Err(more)) => {
            let mut wrong = error.fields();
            wrong.extend(more);
            Err(TaskError::Invalid(wrong))
        }
    }
}
