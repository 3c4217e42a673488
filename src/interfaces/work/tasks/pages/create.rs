//! Creating tasks: from the composer, from the quick-add line of lists, and from the dashboard.

use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::composer::{self, NewTaskForm};
use super::list::{self, Quick};
use super::recurring;
use super::state::TasksPageParams;
use app::{App, Ws};
use features::files::queries::FileError;
use features::streams::queries as streams;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{self, due, labels, view_context::ViewContext};
use features::tasks::rules::{self, NewTask};
use kernel::{Priority, Problem as _, ProblemKind, TaskStatus, Thinking};
use store::{Read, WriteTx};
use url::form_urlencoded::Serializer;
use web::error::PageError;
use web::extract::{self, Form};
use web::hx::{Ask, Hx};
use web::idempotency::Once;
use web::parts::{Choice, Tone};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload::{self, Arrived};
use web::{flash, html};

/// Why a recurring task is refused files.
const RECURRING_FILES: &str =
    "a recurring task can't have files; remove them here and add them to its tasks";

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
    request: Request,
) -> Result<Response, PageError> {
    let Sent { form, once, files } = sent(&app, &ws, &who, request).await?;
    if form.quick.is_empty() && form.repeat.repeats() {
        if !files.is_empty() {
            let error = TaskError::field("files", RECURRING_FILES);
            return refused(&ws, &who, (hx, shell), form, &error);
        }
        return recurring::create(app, (ws, who), (hx, shell), (form, once)).await;
    }
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let made = match ws.read(|snap| new_task(&scene, snap, &form)) {
        Ok(new) => {
            let names = form.label_names();
            let make = move |tx: &mut WriteTx<'_>| {
                let task = rules::create(tx, new)?;
                crate::attach_files(tx, task.id, files).map_err(of_files)?;
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
        return made.answer(&app, (&ws, &who), (hx, shell), form);
    }
    if hx.is_partial() {
        let ask = Ask::new().changed("tasks", task.id).toast(Tone::Ok, &words);
        let line = html::fragment::<_, PageError>(&quick(&ws, &form))?;
        return Ok((ask, line).into_response());
    }
    let back = if form.quick.starts_with(&ws.url("tasks")) { form.quick } else { ws.url("tasks") };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&back)))
}

/// A submitted form with its files.
struct Sent {
    form: NewTaskForm,
    once: Once,
    files: Vec<Arrived>,
}

/// Parses the form. The composer sends files with it, other forms do not.
async fn sent(app: &App, ws: &Ws, who: &Person, request: Request) -> Result<Sent, PageError> {
    let place = request.uri().path().to_owned();
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let (fields, files) = if kind.is_some_and(|kind| kind.starts_with("multipart/")) {
        let (parts, body) = request.into_parts();
        let limit = app.config.limits.upload_bytes();
        upload::form_with_fields(ws, (&parts.headers, body), crate::MAX_FILES, limit).await?
    } else {
        let Form(fields) = Form::<upload::Fields>::from_request(request, &()).await?;
        (fields, Vec::new())
    };
    let blobs = files.iter().map(|file: &Arrived| format!("{} {}", file.blob, file.name));
    let content: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={value}")).chain(blobs).collect();
    let content: Vec<&str> = content.iter().map(String::as_str).collect();
    let key = fields.iter().find(|(name, _)| name == "once").map_or("", |(_, key)| key);
    let once = Once::of_form(who, &place, key, &content);
    Ok(Sent { form: read_form(fields)?, once, files })
}

/// Reads the fields. Each ticked label is a field of its own; the typed ones follow.
fn read_form(fields: upload::Fields) -> Result<NewTaskForm, PageError> {
    let (ticked, mut fields): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(name, _)| name == "label");
    let ticked: Vec<String> = ticked.into_iter().map(|(_, label)| label).collect();
    if !ticked.is_empty() {
        let ticked = ticked.join(",");
        match fields.iter_mut().find(|(name, _)| name == "labels") {
            Some((_, typed)) if typed.trim().is_empty() => *typed = ticked,
            Some((_, typed)) => *typed = format!("{ticked},{typed}"),
            None => fields.push(("labels".to_owned(), ticked)),
        }
    }
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    extract::form(body.as_bytes())
}

/// Reports what is wrong with the files beside them.
fn of_files(error: FileError) -> TaskError {
    match error {
        FileError::Store(error) => error.into(),
        FileError::Task(error) => error,
        other => TaskError::field("files", other.to_string()),
    }
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
    /// record replaces the page's task. A form for another task stays, too, with its properties.
    pub(super) fn answer(
        self,
        app: &App,
        (ws, who): (&Ws, &Person),
        (hx, shell): (Hx, Shell),
        form: NewTaskForm,
    ) -> Result<Response, PageError> {
        if form.wants_another() {
            let next = form.next();
            if !hx.is_partial() {
                let form = ws.url(&format!("tasks/new?{}", next.query()));
                return Ok(flash::say(app, Flash::ok(self.words), hx.go_to(&form)));
            }
            let ask = Ask::new().changed(self.table, &self.id);
            // Nothing of the form that was sent remains.
            let ask = ask.toast_with_link(&self.words, &self.href).reswap("outerHTML");
            let form = composer::region(&composer::page(ws, who, shell, next)?)?;
            return Ok((ask, html::answer(StatusCode::OK, form)).into_response());
        }
        let stays = !form.layer.is_empty() && form.replaces.is_empty();
        if !stays || !hx.is_partial() {
            return Ok(flash::say(app, Flash::ok(self.words), hx.go_to(&self.href)));
        }
        let ask = Ask::new().changed(self.table, &self.id).close_dialog_on(&self.id);
        Ok((ask.toast_with_link(&self.words, &self.href).reswap("none"), "").into_response())
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
    let mut page = composer::page(ws, who, shell, form)?;
    page.refused(error);
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    match hx.is_partial() {
        true => Ok(html::answer(status, composer::region(&page)?)),
        false => html::document(status, &page),
    }
}

#[cfg(test)]
mod tests {
    use super::read_form;

    #[test]
    fn ticked_and_typed_labels_are_one_list() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let ticked = [field("label", "Yard"), field("label", "Bikes")];
        let form =
            read_form([field("labels", "New one")].into_iter().chain(ticked.clone()).collect());
        assert_eq!(form.expect("a form").label_names(), ["Yard", "Bikes", "New one"]);
        let form = read_form(ticked.to_vec()).expect("a form");
        assert_eq!(form.label_names(), ["Yard", "Bikes"]);
    }
}
