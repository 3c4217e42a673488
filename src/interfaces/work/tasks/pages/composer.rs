//! The composer: the form for a new task, as a page or over another page.

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::create::{priority_choices, stream_choices, thinking_choices};
use super::repeat::{self, Repeat, RepeatView};
use app::Ws;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{self, due, labels, view_context::ViewContext};
use kernel::{Priority, Problem as _, TaskStatus, day};
use store::Read;
use url::form_urlencoded::{Serializer, parse};
use web::error::PageError;
use web::extract::Query;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::Shell;
use web::{assets, html};

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NewTaskForm {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) status: String,
    pub(super) priority: String,
    pub(super) assignee: String,
    pub(super) due: String,
    /// Time of day of the due date; empty for the whole day.
    pub(super) due_time: String,
    pub(super) parent: String,
    pub(super) model: String,
    pub(super) thinking: String,
    /// A stream's id or name.
    pub(super) stream: String,
    /// Names separated by commas, existing and new ones.
    pub(super) labels: String,
    pub(super) start: String,
    #[serde(flatten)]
    pub(super) repeat: Repeat,
    /// The task that the recurring series replaces; may be empty.
    pub(super) replaces: String,
    /// Set by the quick-add line: address of the list.
    pub(super) quick: String,
    /// Set by the form in a dialog; the page below it stays.
    pub(super) layer: String,
    /// Set if the form stays open for another task.
    pub(super) another: String,
}

impl NewTaskForm {
    pub(super) fn label_names(&self) -> Vec<String> {
        label_names(&self.labels)
    }

    /// Whether the form stays open for another task.
    pub(super) fn wants_another(&self) -> bool {
        !self.another.is_empty() && self.replaces.is_empty()
    }

    /// The form for the next task: the same properties, without the text.
    pub(super) fn next(self) -> Self {
        Self { title: String::new(), description: String::new(), ..self }
    }

    /// The query of the address that opens the form with these values.
    pub(super) fn query(&self) -> String {
        // ok: a form of strings can always be written.
        let all = serde_urlencoded::to_string(self).unwrap_or_default();
        let set = parse(all.as_bytes()).filter(|(_, value)| !value.is_empty());
        Serializer::new(String::new()).extend_pairs(set).finish()
    }

    /// Whether a field below "More" differs from its default.
    fn has_more(&self) -> bool {
        let more = [
            &self.due_time,
            &self.start,
            &self.parent,
            &self.model,
            &self.thinking,
            &self.repeat.cadence_type,
        ];
        more.into_iter().any(|value| !value.is_empty())
    }
}

/// Splits label names at commas.
pub(super) fn label_names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[derive(Template)]
#[template(path = "tasks/new.html")]
pub(super) struct ComposerPage {
    shell: Shell,
    url: String,
    list_url: String,
    /// Name under which the script stores the draft.
    draft: String,
    editor: EditorLinks,
    typed: NewTaskForm,
    wrong: Vec<(String, String)>,
    summary: String,
    statuses: Vec<Choice>,
    priorities: Vec<Choice>,
    assignees: Vec<Choice>,
    thinkings: Vec<Choice>,
    streams: Vec<Choice>,
    labels: Vec<Choice>,
    /// Typed names without a label, separated by commas.
    new_labels: String,
    repeat: RepeatView,
}

/// Addresses of the rich editor and of what it asks for.
struct EditorLinks {
    script: &'static str,
    sheet: &'static str,
    /// Splits a text into blocks.
    parse: String,
    /// Completes names of people, agents and tasks.
    names: String,
}

web::region!(ComposerPage, as_form, Composer, "tasks/composer.html");

impl ComposerPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }

    /// The due date in words, as people write it; an invalid one stays as typed.
    fn due_words(&self) -> String {
        self.typed.due.parse().map_or_else(|_| self.typed.due.clone(), day::written)
    }

    /// The chosen labels in words.
    fn label_words(&self) -> String {
        match self.typed.label_names() {
            names if names.is_empty() => "Labels".to_owned(),
            names => names.join(", "),
        }
    }

    /// Whether the fields below "More" are shown: one is set, or invalid.
    fn shows_more(&self) -> bool {
        const CHIPS: &[&str] = &[
            "title",
            "description",
            "status",
            "priority",
            "assignee",
            "labels",
            "due",
            "stream",
            "files",
        ];
        let wrong = |(field, _): &(String, String)| !CHIPS.contains(&field.as_str());
        self.typed.has_more() || self.wrong.iter().any(wrong)
    }

    /// Marks what is wrong with the input.
    pub(super) fn refused(&mut self, error: &TaskError) {
        self.wrong = error.fields().into_iter().map(|f| (f.field, f.message)).collect();
        if self.wrong.is_empty() {
            self.summary = error.to_string();
        }
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
    Query(mut input): Query<NewTaskForm>,
) -> Result<Response, PageError> {
    if !input.replaces.is_empty() {
        input =
            ws.read(|snap| replacing(&ViewContext::new(&ws, &who, snap)?, snap, &input.replaces))?;
    }
    let over = hx.wants("layer");
    input.layer = if over { "1".to_owned() } else { String::new() };
    let page = page(&ws, &who, shell, input)?;
    match over {
        true => html::fragment(&Layer { form: region(&page)? }),
        false => html::page(&page),
    }
}

/// The form alone. In a dialog its fields get other ids, because the page below may use the same names.
pub(super) fn region(page: &ComposerPage) -> Result<String, PageError> {
    let form = html::render(&page.as_form())?;
    // Typed text cannot match: its quotation marks are escaped.
    Ok(if page.typed.layer.is_empty() { form } else { form.replace("\"f-", "\"layer-") })
}

/// The form that makes a non-recurring task recurring.
fn replacing(scene: &ViewContext, read: &dyn Read, text: &str) -> Result<NewTaskForm, TaskError> {
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

pub(super) fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    typed: NewTaskForm,
) -> Result<ComposerPage, PageError> {
    let (scene, zone, streams, (labels, new_labels)) = ws.read(|snap| {
        let streams = stream_choices(snap, &typed.stream)?;
        let labels = label_choices(snap, &typed.label_names())?;
        let scene = ViewContext::new(ws, who, snap)?;
        Ok::<_, TaskError>((scene, repeat::zone(snap)?, streams, labels))
    })?;
    // ok: an unknown name selects nobody; submitting reports the error.
    let assignee = scene.people.find(&typed.assignee, scene.myself()).ok().flatten();
    let status = typed.status.parse().unwrap_or(TaskStatus::Todo);
    let priority = typed.priority.parse().unwrap_or(Priority::Medium);
    Ok(ComposerPage {
        shell,
        url: ws.url("tasks"),
        list_url: ws.url("tasks"),
        draft: match typed.replaces.as_str() {
            "" => format!("{}:new-task", who.account),
            task => format!("{}:new-task-{task}", who.account),
        },
        editor: EditorLinks {
            script: assets::more("rich.js"),
            sheet: assets::more("rich.css"),
            parse: ws.url("knowledge/parse"),
            names: ws.url("names"),
        },
        statuses: TaskStatus::ALL
            .iter()
            .map(|s| Choice::new(s.word(), s.label(), *s == status))
            .collect(),
        priorities: priority_choices(priority),
        assignees: scene.people.choices(assignee, scene.me),
        thinkings: thinking_choices(typed.thinking.parse().ok()),
        streams,
        labels,
        new_labels,
        wrong: Vec::new(),
        summary: String::new(),
        repeat: typed.repeat.clone().view(ws, &zone, true),
        typed,
    })
}

/// All labels, and the typed names that are not among them.
fn label_choices(read: &dyn Read, typed: &[String]) -> Result<(Vec<Choice>, String), TaskError> {
    let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    let all = labels::all(read)?;
    let new = typed.iter().filter(|name| !all.iter().any(|label| same(&label.name, name)));
    let new: Vec<&str> = new.map(String::as_str).collect();
    let new = new.join(", ");
    let choices = all.into_iter().map(|label| {
        let chosen = typed.iter().any(|name| same(&label.name, name));
        Choice::new(label.name.clone(), label.name, chosen)
    });
    Ok((choices.collect(), new))
}

#[cfg(test)]
mod tests {
    use super::NewTaskForm;

    #[test]
    fn the_form_for_the_next_task_has_the_same_properties_and_no_text() {
        let form = NewTaskForm {
            title: "Oil the chains".to_owned(),
            description: "All of them.".to_owned(),
            priority: "high".to_owned(),
            labels: "Yard, Bikes & more".to_owned(),
            another: "on".to_owned(),
            ..NewTaskForm::default()
        };
        let query = form.next().query();
        assert_eq!(query, "priority=high&labels=Yard%2C+Bikes+%26+more&another=on");
    }
}
