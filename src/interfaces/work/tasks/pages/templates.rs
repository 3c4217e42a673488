//! Task templates: list and form in the settings, and the page that creates tasks from a template.

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::response::Response;

use super::create::priority_choices;
use app::{App, Ws};
use features::history::queries::meanwhile;
use features::streams::queries as streams;
use features::tasks::model::template::{Template, TemplateItem};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::templates as reads;
use features::tasks::queries::view_context::ViewContext;
use features::tasks::rules::templates::{self as rules, NewTemplate, Spawn};
use kernel::{Can, Priority, Problem as _, ProblemKind, TemplateId};
use store::{Read, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::EditConflict;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::live::Live;
use web::parts::{Choice, Tone};
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, format, html};

/// Key of the settings menu item.
const MENU: &str = "task-templates";
/// Number of empty rows at the end of the form.
const SPARE: usize = 3;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/settings/task-templates", list.needs(Can::Read))
        .get("/settings/task-templates/new", blank.needs(Can::Write))
        .post("/settings/task-templates", create.needs(Can::Write))
        .get("/settings/task-templates/{id}", edit.needs(Can::Read))
        .post("/settings/task-templates/{id}", save.needs(Can::Write))
        .post("/settings/task-templates/{id}/delete", delete.needs(Can::Write))
        .get("/tasks/from-template", choose.needs(Can::Write))
        .get("/tasks/from-template/{id}", preview.needs(Can::Write))
        .post("/tasks/from-template/{id}", spawn.needs(Can::Write))
}

struct Line {
    name: String,
    description: String,
    href: String,
    use_href: String,
    size: String,
}

fn line(ws: &Ws, template: &Template) -> Line {
    let waits = template.items.iter().any(|item| !item.blocked_by.is_empty());
    let tasks = format::count(template.items.len() as u64, "task", "tasks");
    Line {
        name: template.name.clone(),
        description: template.description.clone(),
        href: ws.url(&format!("settings/task-templates/{}", template.id)),
        use_href: ws.url(&format!("tasks/from-template/{}", template.id)),
        size: if waits { format!("{tasks} with dependencies") } else { tasks },
    }
}

#[derive(askama::Template)]
#[template(path = "tasks/templates.html")]
struct ListPage {
    shell: Shell,
    here: &'static str,
    live: Live,
    lines: Vec<Line>,
    new_url: String,
    may_write: bool,
}

web::region!(ListPage, as_rows, ListRows, "tasks/templates-rows.html");

async fn list(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let all = ws.read(|snap| reads::all(snap))?;
    let page = ListPage {
        shell,
        here: MENU,
        live: Live::new(ws.url("settings/task-templates")).table("task_templates"),
        lines: all.iter().map(|template| line(&ws, template)).collect(),
        new_url: ws.url("settings/task-templates/new"),
        may_write: who.access.may(Can::Write),
    };
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// A task row of the template form.
struct Row {
    /// Counted from 1.
    n: usize,
    key: String,
    title: String,
    description: String,
    priorities: Vec<Choice>,
    role: String,
    labels: String,
    /// Numbers of the rows that this row waits for.
    after: String,
    /// Field errors: field and message.
    wrong: Vec<(String, String)>,
}

impl Row {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }
}

#[derive(askama::Template)]
#[template(path = "tasks/template.html")]
struct EditPage {
    shell: Shell,
    here: &'static str,
    /// Address of the form.
    action: String,
    /// Address of "delete"; empty for a new template.
    remove: String,
    list_url: String,
    use_href: String,
    /// Address of the history; empty for a new template.
    history: String,
    heading: String,
    may_write: bool,
    /// The revision that was read; empty for a new template.
    rev: String,
    /// Name under which the script stores the draft.
    draft: String,
    name: String,
    description: String,
    rows: Vec<Row>,
    wrong: Vec<(String, String)>,
    summary: String,
    since: EditConflict,
}

impl EditPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }

    /// Shows errors at the form and at its rows.
    fn refuse(&mut self, error: &TaskError) {
        let all: Vec<_> = error.fields().into_iter().map(|f| (f.field, f.message)).collect();
        for row in &mut self.rows {
            let of = format!("items[{}].", row.n - 1);
            let own = all.iter().filter_map(|(field, message)| {
                Some((field.strip_prefix(&of)?.to_owned(), message.clone()))
            });
            row.wrong = own.collect();
        }
        self.wrong = all;
        self.summary = match self.error("items") {
            "" if self.wrong.is_empty() => error.to_string(),
            text => text.to_owned(),
        };
    }
}

/// The form with a stored or submitted template.
fn form(ws: &Ws, who: &Person, shell: Shell, id: Option<TemplateId>, of: &NewTemplate) -> EditPage {
    let numbers: HashMap<&str, usize> =
        of.items.iter().enumerate().map(|(n, item)| (item.key.as_str(), n + 1)).collect();
    let after = |item: &TemplateItem| {
        let known = item.blocked_by.iter().map(|key| match numbers.get(key.as_str()) {
            Some(n) => n.to_string(),
            None => key.clone(),
        });
        known.collect::<Vec<_>>().join(", ")
    };
    let rows = of.items.iter().enumerate().map(|(n, item)| Row {
        n: n + 1,
        key: item.key.clone(),
        title: item.title.clone(),
        description: item.description.clone(),
        priorities: priority_choices(item.priority),
        role: item.role.clone(),
        labels: item.labels.join(", "),
        after: after(item),
        wrong: Vec::new(),
    });
    let there = of.items.len();
    let spare = (there..there + SPARE).map(|n| Row {
        n: n + 1,
        key: String::new(),
        title: String::new(),
        description: String::new(),
        priorities: priority_choices(Priority::Medium),
        role: String::new(),
        labels: String::new(),
        after: String::new(),
        wrong: Vec::new(),
    });
    let here = |id: TemplateId| ws.url(&format!("settings/task-templates/{id}"));
    EditPage {
        shell,
        here: MENU,
        action: id.map_or_else(|| ws.url("settings/task-templates"), here),
        remove: id.map(|id| format!("{}/delete", here(id))).unwrap_or_default(),
        list_url: ws.url("settings/task-templates"),
        use_href: id.map(|id| ws.url(&format!("tasks/from-template/{id}"))).unwrap_or_default(),
        history: id.map(|id| ws.url(&format!("history/task_templates/{id}"))).unwrap_or_default(),
        heading: if id.is_some() { of.name.clone() } else { "New template".to_owned() },
        may_write: who.access.may(Can::Write),
        rev: String::new(),
        draft: match id {
            Some(id) => format!("{}:template-{id}", who.account),
            None => format!("{}:new-template", who.account),
        },
        name: of.name.clone(),
        description: of.description.clone(),
        rows: rows.chain(spare).collect(),
        wrong: Vec::new(),
        summary: String::new(),
        since: EditConflict::default(),
    }
}

async fn blank(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&form(&ws, &who, shell, None, &NewTemplate::default()))
}

async fn edit(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(id): Path<TemplateId>,
) -> Result<Response, PageError> {
    let (template, rev) = ws.read(|snap| reads::get_rev(snap, id))?;
    let Template { name, description, items, .. } = template;
    let page = form(&ws, &who, shell, Some(id), &NewTemplate { name, description, items });
    html::page(&EditPage { rev: rev.to_string(), ..page })
}

/// Parses the form. Drops rows without a title, and dependencies on them.
fn parse_form(pairs: Vec<(String, String)>) -> NewTemplate {
    let all: HashMap<String, String> = pairs.into_iter().collect();
    let get = |name: &str| all.get(name).cloned().unwrap_or_default();
    let count = all.keys().filter(|name| name.starts_with("title_")).count();
    let kept: Vec<usize> =
        (1..=count).filter(|n| !get(&format!("title_{n}")).trim().is_empty()).collect();
    // New rows get a unique key.
    let key = |n: usize| match get(&format!("ref_{n}")) {
        key if key.trim().is_empty() => format!("task-{n}"),
        key => key,
    };
    let words = |text: String| -> Vec<String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let after = |text: String| -> Vec<String> {
        let named = words(text).into_iter().filter_map(|word| match word.parse::<usize>() {
            Ok(n) if kept.contains(&n) => Some(key(n)),
            // A row that is now empty or never existed.
            Ok(n) if (1..=count).contains(&n) => None,
            _ => Some(word),
        });
        named.collect()
    };
    let items = kept.iter().map(|n| TemplateItem {
        key: key(*n),
        title: get(&format!("title_{n}")),
        description: get(&format!("description_{n}")),
        priority: get(&format!("priority_{n}")).parse().unwrap_or(Priority::Medium),
        role: get(&format!("role_{n}")),
        labels: words(get(&format!("labels_{n}"))),
        blocked_by: after(get(&format!("after_{n}"))),
    });
    let items = items.collect();
    NewTemplate { name: get("name"), description: get("template_description"), items }
}

async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(pairs, once): FormOnce<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    keep(app, (ws, who), (hx, shell), None, (parse_form(pairs), once)).await
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<TemplateId>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let rev = pairs.iter().find(|(name, _)| name == "rev");
    let rev = rev.map(|(_, rev)| rev.clone()).unwrap_or_default();
    keep(app, (ws, who), (hx, shell), Some((id, rev)), (parse_form(pairs), Once::without_key()))
        .await
}

/// Saves a template; an invalid form is shown again with its input.
async fn keep(
    app: App,
    (ws, who): (Ws, Person),
    (hx, shell): (Hx, Shell),
    of: Option<(TemplateId, String)>,
    (new, once): (NewTemplate, Once),
) -> Result<Response, PageError> {
    let kept = new.clone();
    let done = match &of {
        Some((id, rev)) => {
            let (id, rev) = (*id, rev.parse().ok());
            ws.write(&who, move |tx| {
                rules::check_rev(tx, id, rev)?;
                rules::update(tx, id, kept)
            })
            .await
        }
        None => ws.write(&who, once.run(move |tx| rules::create(tx, kept))).await,
    };
    match done {
        Ok(template) => {
            let to = ws.url(&format!("settings/task-templates/{}", template.id));
            let words = format!("Saved “{}”", template.name);
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&to)))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Stale) => {
            let mut page = form(&ws, &who, shell, of.as_ref().map(|(id, _)| *id), &new);
            if let Some((id, rev)) = of {
                page.since = ws.read(|snap| {
                    meanwhile::after::<Template>(&ws, &who, snap, (id, &rev), &error)
                })?;
                page.rev = rev;
                page.since.renew(&mut page.rev);
            }
            if !page.since.is_told() {
                page.refuse(&error);
            }
            html::document(page.since.status(), &page)
        }
        Err(error) => Err(error.into()),
    }
}

async fn delete(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<TemplateId>,
) -> Result<Response, PageError> {
    let template = ws.write(&who, move |tx| rules::delete(tx, id)).await?;
    let words = format!("Deleted “{}”. Tasks created from it are kept.", template.name);
    let to = hx.go_to(&ws.url("settings/task-templates"));
    Ok(flash::say(&app, Flash::ok(words), to))
}

#[derive(askama::Template)]
#[template(path = "tasks/from_template.html")]
struct ChoosePage {
    shell: Shell,
    lines: Vec<Line>,
    tasks_url: String,
    new_url: String,
}

async fn choose(ws: Ws, shell: Shell) -> Result<Response, PageError> {
    let all = ws.read(|snap| reads::all(snap))?;
    html::page(&ChoosePage {
        shell,
        lines: all.iter().map(|template| line(&ws, template)).collect(),
        tasks_url: ws.url("tasks"),
        new_url: ws.url("settings/task-templates/new"),
    })
}

/// A task in the preview.
struct Planned {
    title: String,
    priority: (&'static str, &'static str),
    role: String,
    /// The titles of the tasks that it waits for.
    after: String,
}

/// Tasks that can start at the same time.
struct Step {
    n: usize,
    tasks: Vec<Planned>,
}

/// A role with its candidates.
struct Role {
    field: String,
    name: String,
    choices: Vec<Choice>,
}

#[derive(askama::Template)]
#[template(path = "tasks/template_preview.html")]
struct PreviewPage {
    shell: Shell,
    name: String,
    description: String,
    action: String,
    tasks_url: String,
    choose_url: String,
    button: String,
    steps: Vec<Step>,
    roles: Vec<Role>,
    streams: Vec<Choice>,
    wrong: Vec<(String, String)>,
}

impl PreviewPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|(name, _)| name == field).map_or("", |(_, message)| message)
    }
}

async fn preview(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(id): Path<TemplateId>,
) -> Result<Response, PageError> {
    html::page(&ws.read(|snap| plan(&ws, &who, snap, id, shell))?)
}

fn plan(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    id: TemplateId,
    shell: Shell,
) -> Result<PreviewPage, TaskError> {
    let (scene, template) = (ViewContext::new(ws, who, read)?, reads::get_rev(read, id)?.0);
    let at = reads::steps(&template.items).unwrap_or_else(|_| vec![0; template.items.len()]);
    let title = |key: &String| {
        let item = template.items.iter().find(|item| item.key == *key);
        item.map_or_else(|| key.clone(), |item| item.title.clone())
    };
    let mut steps: Vec<Step> = Vec::new();
    for (item, step) in template.items.iter().zip(at) {
        while steps.len() <= step {
            steps.push(Step { n: steps.len() + 1, tasks: Vec::new() });
        }
        let after: Vec<String> = item.blocked_by.iter().map(title).collect();
        steps[step].tasks.push(Planned {
            title: item.title.clone(),
            priority: (item.priority.word(), item.priority.label()),
            role: item.role.clone(),
            after: after.join(", "),
        });
    }
    let roles = reads::roles(&template.items).into_iter().enumerate().map(|(n, name)| {
        let agent = scene.people.agent_called(&name);
        let usual = agent.map(|agent| kernel::Assignee::Agent(agent.id));
        Role { field: format!("role_{n}"), choices: scene.people.choices(usual, scene.me), name }
    });
    let streams = streams::in_use(read)?.into_iter();
    let streams = streams.map(|one| Choice::new(one.id.to_string(), one.name, false));
    Ok(PreviewPage {
        shell,
        action: ws.url(&format!("tasks/from-template/{id}")),
        tasks_url: ws.url("tasks"),
        choose_url: ws.url("tasks/from-template"),
        button: format!("Create {}", format::count(template.items.len() as u64, "task", "tasks")),
        roles: roles.collect(),
        streams: [Choice::new("", "No stream", true)].into_iter().chain(streams).collect(),
        wrong: Vec::new(),
        steps,
        description: template.description.clone(),
        name: template.name.clone(),
    })
}

async fn spawn(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<TemplateId>,
    FormOnce(pairs, once): FormOnce<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let how = ws.read(|snap| wish(&ws, &who, snap, id, &pairs));
    let made = match how {
        Ok(how) => {
            let spawn = move |tx: &mut WriteTx<'_>| {
                rules::spawn(tx, id, &how).map(|made| (made.tasks.len(), made.warnings))
            };
            ws.write(&who, once.run(spawn)).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok((made, warnings)) => {
            let count = format::count(made as u64, "task", "tasks");
            let flash = match warnings.is_empty() {
                true => Flash::ok(format!("Created {count}")),
                false => {
                    let text = format!("Created {count}. {}.", warnings.join(". "));
                    Flash::new(Tone::Warn, text)
                }
            };
            Ok(flash::say(&app, flash, hx.go_to(&ws.url("tasks"))))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let mut page = ws.read(|snap| plan(&ws, &who, snap, id, shell))?;
            page.wrong = error.fields().into_iter().map(|f| (f.field, f.message)).collect();
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Parses the preview form.
fn wish(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    id: TemplateId,
    pairs: &[(String, String)],
) -> Result<Spawn, TaskError> {
    let (scene, template) = (ViewContext::new(ws, who, read)?, reads::get_rev(read, id)?.0);
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, text)| text);
    let mut how = Spawn::default();
    if let Some(text) = get("stream").filter(|text| !text.is_empty()) {
        let wrong = |e: streams::StreamError| TaskError::field("stream", e.to_string());
        how.stream = Some(streams::resolve(read, text).map_err(wrong)?.id);
    }
    for (n, role) in reads::roles(&template.items).into_iter().enumerate() {
        if let Some(text) = get(&format!("role_{n}")) {
            how.roles.insert(role, scene.people.find(text, scene.myself())?);
        }
    }
    Ok(how)
}
