//! Creating tasks: the full form, and the quick-add line of lists.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::list::{self, Quick};
use super::recurring;
use super::repeat::{self, Repeat, RepeatView};
use super::state::TasksPageParams;
use app::{App, Ws};
use features::streams::queries as streams;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{self, due, labels, view_context::ViewContext};
use features::tasks::rules::{self, NewTask};
use kernel::{Priority, Problem as _, ProblemKind, TaskStatus, Thinking};
use store::{Read, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::hx::{Ask, Hx};
use web::idempotency::FormOnce;
use web::parts::{Choice, Tone};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewTaskForm {
    title: String,
    description: String,
    status: String,
    priority: String,
    assignee: String,
    due: String,
    /// Time of day of the due date; empty for the whole day.
    due_time: String,
    parent: String,
    model: String,
    thinking: String,
    /// A stream's id or name.
    stream: String,
    /// Names separated by commas.
    labels: String,
    start: String,
    #[serde(flatten)]
    pub(super) repeat: Repeat,
    /// The task that the recurring series replaces; may be empty.
    pub(super) replaces: String,
    /// Set by the quick-add line: address of the list.
    quick: String,
    /// Set by the form in a dialog; the page below it stays.
    layer: String,
}

impl NewTaskForm {
    pub(super) fn label_names(&self) -> Vec<String> {
        label_names(&self.labels)
    }
}

/// Splits label names at commas.
pub(super) fn label_names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[derive(Template)]
#[template(path = "tasks/new.html")]
struct NewPage {
    shell: Shell,
    url: String,
    list_url: String,
    /// Name under which the script stores the draft.
    draft: String,
    typed: NewTaskForm,
    wrong: Vec<(String, String)>,
    summary: String,
    statuses: Vec<Choice>,
    priorities: Vec<Choice>,
    assignees: Vec<Choice>,
    thinkings: Vec<Choice>,
    streams: Vec<Choice>,
    repeat: RepeatView,
}

web::region!(NewPage, as_form, NewForm, "tasks/new-form.html");

impl NewPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }
}

/// The form as a dialog.
#[derive(Template)]
#[template(path = "tasks/layer.html")]
struct Layer {
    form: String,
}

/// `GET /tasks/new`: the form, as a dialog or a page, prefilled from the address.
pub async fn form(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(mut form): Query<NewTaskForm>,
) -> Result<Response, PageError> {
    if !form.replaces.is_empty() {
        form = ws.read(|snap| {
            recurring_form(&ViewContext::new(&ws, &who, snap)?, snap, &form.replaces)
        })?;
    }
    let over = hx.wants("layer");
    form.layer = if over { "1".to_owned() } else { String::new() };
    let page = page(&ws, &who, shell, form)?;
    match over {
        true => html::fragment(&Layer { form: region(&page)? }),
        false => html::page(&page),
    }
}

/// The form alone. In a dialog its fields get other ids, because the page below may use the same names.
fn region(page: &NewPage) -> Result<String, PageError> {
    let form = html::render(&page.as_form())?;
    // Typed text cannot match: its quotation marks are escaped.
    Ok(if page.typed.layer.is_empty() { form } else { form.replace("\"f-", "\"layer-") })
}

/// The form that makes a non-recurring task recurring.
fn recurring_form(
    scene: &ViewContext,
    read: &dyn Read,
    text: &str,
) -> Result<NewTaskForm, TaskError> {
    let task = queries::resolve(read, text)?;
    let mut repeat = Repeat::weekdays();
    if let Some(due) = due::Deadline::of(&task) {
        repeat.due_at_time = due.time(&due::zone(&repeat::zone(read)?));
    }
    Ok(NewTaskForm {
        replaces: scene.name(&task),
        title: task.title,
        description: task.description,
        priority: task.priority.word().to_owned(),
        assignee: task.assignee.map(|who| scene.people.handle(who)).unwrap_or_default(),
        model: task.model.unwrap_or_default(),
        thinking: task.thinking.map(|level| level.word().to_owned()).unwrap_or_default(),
        stream: task.stream.map(|stream| stream.to_string()).unwrap_or_default(),
        repeat,
        ..NewTaskForm::default()
    })
}

fn page(ws: &Ws, who: &Person, shell: Shell, form: NewTaskForm) -> Result<NewPage, PageError> {
    let (scene, zone, streams) = ws.read(|snap| {
        let streams = stream_choices(snap, &form.stream)?;
        Ok::<_, TaskError>((ViewContext::new(ws, who, snap)?, repeat::zone(snap)?, streams))
    })?;
    // ok: an unknown name selects nobody; submitting reports the error.
    let assignee = scene.people.find(&form.assignee, scene.myself()).ok().flatten();
    let status = form.status.parse().unwrap_or(TaskStatus::Todo);
    let priority = form.priority.parse().unwrap_or(Priority::Medium);
    Ok(NewPage {
        shell,
        url: ws.url("tasks"),
        list_url: ws.url("tasks"),
        draft: match form.replaces.as_str() {
            "" => format!("{}:new-task", who.account),
            task => format!("{}:new-task-{task}", who.account),
        },
        statuses: TaskStatus::ALL
            .iter()
            .map(|s| Choice::new(s.word(), s.label(), *s == status))
            .collect(),
        priorities: priority_choices(priority),
        assignees: scene.people.choices(assignee, scene.me),
        thinkings: thinking_choices(form.thinking.parse().ok()),
        streams,
        wrong: Vec::new(),
        summary: String::new(),
        repeat: form.repeat.clone().view(ws, &zone, true),
        typed: form,
    })
}

/// The streams in use, plus the selected one by name or id.
pub(super) fn stream_choices(read: &dyn Read, now: &str) -> Result<Vec<Choice>, TaskError> {
    // ok: an unknown stream selects none; submitting reports the error.
    let now = queries::stream(read, now).ok().flatten();
    let mut list = vec![Choice::new("", "No stream", now.is_none())];
    for stream in streams::all(read)? {
        let chosen = now == Some(stream.id);
        // A selected stream that was archived since stays listed, so that saving other fields does not lose it.
        if chosen || stream.archived_at.is_none() {
            list.push(Choice::new(stream.id.to_string(), stream.name, chosen));
        }
    }
    Ok(list)
}

/// The priorities, the most urgent first.
pub fn priority_choices(now: Priority) -> Vec<Choice> {
    let all = Priority::ALL.iter().rev();
    all.map(|p| Choice::new(p.word(), p.label(), *p == now)).collect()
}

/// The thinking levels, the agent's default first.
pub fn thinking_choices(now: Option<Thinking>) -> Vec<Choice> {
    let mut list = vec![Choice::new("", "Agent default", now.is_none())];
    let all = Thinking::ALL.iter();
    list.extend(all.map(|level| Choice::new(level.word(), level.label(), now == Some(*level))));
    list
}

/// Creates a task; an invalid form is shown again with its input.
pub async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<NewTaskForm>,
) -> Result<Response, PageError> {
    if form.quick.is_empty() && form.repeat.repeats() {
        return recurring::create(app, (ws, who), (hx, shell), (form, once)).await;
    }
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let made = match ws.read(|snap| new_task(&scene, snap, &form)) {
        Ok(new) => {
            let names = form.label_names();
            let make = move |tx: &mut WriteTx<'_>| {
                let task = rules::create(tx, new)?;
                let marked = rules::labels::ask(tx, task.id, labels::LabelFilter::Exactly(names));
                marked.map_err(|error| match error {
                    TaskError::Store(_) => error,
                    other => TaskError::field("labels", other.to_string()),
                })
            };
            ws.write(&who, once.run(make)).await
        }
        Err(error) => Err(error),
    };
    let task = match made {
        Ok(task) => task,
        Err(error) if error.kind() == ProblemKind::Invalid => {
            return refused(&ws, &who, (hx, shell), form, &error);
        }
        Err(error) => return Err(error.into()),
    };
    let words = format!("Created {}", scene.name(&task));
    if form.quick.is_empty() {
        let made = Made { table: "tasks", id: task.id.to_string(), href: scene.href(&task), words };
        return Ok(made.answer(&app, &hx, &form));
    }
    if hx.is_partial() {
        let ask = Ask::new().changed("tasks", task.id).toast(Tone::Ok, &words);
        let line = html::fragment::<_, PageError>(&quick(&ws, &form))?;
        return Ok((ask, line).into_response());
    }
    let back = if form.quick.starts_with(&ws.url("tasks")) { form.quick } else { ws.url("tasks") };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&back)))
}

/// The created task or series.
pub(super) struct Made {
    pub(super) table: &'static str,
    pub(super) id: String,
    pub(super) href: String,
    pub(super) words: String,
}

impl Made {
    /// Redirects to the created record. A page below a dialog stays, refreshes and links to the record, unless the
    /// record replaces the page's task.
    pub(super) fn answer(self, app: &App, hx: &Hx, form: &NewTaskForm) -> Response {
        let stays = !form.layer.is_empty() && form.replaces.is_empty();
        if !stays || !hx.is_partial() {
            return flash::say(app, Flash::ok(self.words), hx.go_to(&self.href));
        }
        let ask = Ask::new().changed(self.table, &self.id).close_dialog_on(&self.id);
        (ask.toast_with_link(&self.words, &self.href).reswap("none"), "").into_response()
    }
}

/// The quick-add line, empty again.
fn quick(ws: &Ws, form: &NewTaskForm) -> Quick {
    if !form.parent.is_empty() {
        return part_line(ws, &form.parent, form.quick.clone());
    }
    Quick {
        action: ws.url("tasks"),
        back: form.quick.clone(),
        assignee: form.assignee.clone(),
        ..Quick::default()
    }
}

/// The quick-add line for a part of a task.
pub(super) fn part_line(ws: &Ws, parent: &str, back: String) -> Quick {
    let name: String = url::form_urlencoded::byte_serialize(parent.as_bytes()).collect();
    Quick {
        action: ws.url("tasks"),
        back,
        parent: parent.to_owned(),
        full: ws.url(&format!("tasks/new?parent={name}")),
        ..Quick::default()
    }
}

/// Parses the form and collects all errors.
pub(super) fn new_task(
    scene: &ViewContext,
    read: &dyn Read,
    form: &NewTaskForm,
) -> Result<NewTask, TaskError> {
    let mut wrong = Vec::new();
    let assignee = scene.people.find(&form.assignee, scene.myself());
    let (zone, now) = (&scene.today.zone, scene.today.now);
    let due = due::parse_timed(&form.due, &form.due_time, zone, now);
    rules::title(&form.title, &mut wrong);
    let parent = match form.parent.trim() {
        "" => None,
        text => match queries::resolve(read, text) {
            Ok(task) => Some(task.id),
            Err(error) => {
                wrong.extend(TaskError::field("parent", error.to_string()).fields());
                None
            }
        },
    };
    let start_at = due::parse_start(&form.start, zone, now);
    let stream = queries::stream(read, &form.stream);
    let errors = [
        assignee.as_ref().err(),
        due.as_ref().err(),
        start_at.as_ref().err(),
        stream.as_ref().err(),
    ];
    for error in errors.into_iter().flatten() {
        wrong.extend(error.fields());
    }
    if !wrong.is_empty() {
        return Err(TaskError::Invalid(wrong));
    }
    let due = due?;
    Ok(NewTask {
        description: form.description.clone(),
        status: word("status", &form.status, TaskStatus::Todo)?,
        priority: word("priority", &form.priority, Priority::Medium)?,
        assignee: assignee?,
        due_at: due.map(|due| due.at),
        due_has_time: due.is_some_and(|due| due.has_time),
        start_at: start_at?,
        stream: stream?,
        parent,
        model: Some(form.model.clone()),
        thinking: match form.thinking.as_str() {
            "" => None,
            text => Some(word("thinking", text, Thinking::Low)?),
        },
        ..NewTask::titled(form.title.clone())
    })
}

/// Parses a word of a closed list; the default if empty.
pub fn word<T>(field: &str, text: &str, default: T) -> Result<T, TaskError>
where
    T: std::str::FromStr<Err = kernel::vocab::UnknownWord>,
{
    match text {
        "" => Ok(default),
        text => text.parse().map_err(|e: T::Err| TaskError::field(field, e.to_string())),
    }
}

/// The form with its input and errors.
pub(super) fn refused(
    ws: &Ws,
    who: &Person,
    (hx, shell): (Hx, Shell),
    form: NewTaskForm,
    error: &TaskError,
) -> Result<Response, PageError> {
    if !form.quick.is_empty() {
        if hx.is_partial() {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let line =
                Quick { wrong: error.to_string(), typed: form.title.clone(), ..quick(ws, &form) };
            return html::fragment_with(status, &line);
        }
        let query = form.quick.split_once('?').map_or("", |(_, query)| query);
        // ok: an unreadable address means the unfiltered list.
        let params: TasksPageParams = serde_urlencoded::from_str(query).unwrap_or_default();
        return list::refused(ws, who, shell, &params, (form.title, error.to_string()));
    }
    let mut page = page(ws, who, shell, form)?;
    page.wrong = error.fields().into_iter().map(|f| (f.field, f.message)).collect();
    if page.wrong.is_empty() {
        page.summary = error.to_string();
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    match hx.is_partial() {
        true => Ok(html::answer(status, region(&page)?)),
        false => html::document(status, &page),
    }
}
