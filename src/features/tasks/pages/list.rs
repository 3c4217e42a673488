//! The list of tasks. The address is the state: words, filters, order.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::rows::Row;
use crate::app::Ws;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::list::{self, Cut, DueIn, Filter, Sort, Whose};
use crate::features::tasks::queries::scene::Scene;
use crate::kernel::{Priority, TaskStatus};
use crate::store::Read;
use crate::web::error::PageError;
use crate::web::extract::Query;
use crate::web::html;
use crate::web::hx::Hx;
use crate::web::live::Live;
use crate::web::parts::{Choice, Tab};
use crate::web::session::Person;
use crate::web::shell::Shell;

/// How many tasks of a group are shown at once.
const GROUP: usize = 50;

/// What stands behind the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Words.
    pub q: String,
    /// `open` (when empty), `closed`, `all`, or words with commas.
    pub status: String,
    /// `me`, `none`, a slug or a handle.
    pub assignee: String,
    /// Words with commas.
    pub priority: String,
    /// `overdue`, `today`, `week`, `none`.
    pub due: String,
    /// The order.
    pub sort: String,
    /// Whether the archived ones are shown.
    pub archived: String,
    /// The cursor of the page before (with one status).
    pub after: String,
    /// The region that is asked for.
    pub part: String,
}

impl Asked {
    /// The filters with their names, as they stand in the address.
    fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("q", self.q.trim()),
            ("status", &self.status),
            ("assignee", &self.assignee),
            ("priority", &self.priority),
            ("due", &self.due),
            ("sort", &self.sort),
            ("archived", &self.archived),
        ]
    }

    /// The filters in force beside the words.
    fn others(&self) -> Vec<(&'static str, String)> {
        let all = self.pairs().into_iter().filter(|(name, v)| *name != "q" && !v.is_empty());
        all.map(|(name, value)| (name, value.to_owned())).collect()
    }

    /// The address of this list with some filters changed.
    pub fn url(&self, ws: &Ws, changes: &[(&str, &str)]) -> String {
        let changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let kept = self.pairs().into_iter().filter(|(name, _)| !changed(name));
        let all: Vec<_> =
            kept.chain(changes.iter().copied()).filter(|(_, v)| !v.is_empty()).collect();
        let query = serde_urlencoded::to_string(&all).unwrap_or_default();
        let mark = if query.is_empty() { "" } else { "?" };
        ws.url(&format!("tasks{mark}{query}"))
    }
}

/// A filter that is in force, with its way out.
struct Active {
    glyph: &'static str,
    label: &'static str,
    value: String,
    /// Why it does not count, or empty.
    wrong: String,
    without: String,
}

struct Group {
    word: &'static str,
    label: &'static str,
    total: usize,
    rows: Vec<Row>,
    more: String,
    add: String,
}

/// The line that makes a task by its title alone.
#[derive(Default, Template)]
#[template(path = "tasks/_quick.html")]
pub(super) struct Quick {
    pub(super) action: String,
    /// The list that it stands in.
    pub(super) back: String,
    /// Who gets the task, or empty.
    pub(super) assignee: String,
    pub(super) typed: String,
    /// Why it was refused, or empty.
    pub(super) wrong: String,
}

#[derive(Template)]
#[template(path = "tasks/list.html", blocks = ["rows"])]
struct ListPage {
    shell: Shell,
    new_url: String,
    list_url: String,
    quick: Option<Quick>,
    live: Live,
    views: Vec<Tab>,
    asked: Asked,
    /// The filters beside the words, for the form of the words.
    others: Vec<(&'static str, String)>,
    active: Vec<Active>,
    clear: String,
    statuses: Vec<Choice>,
    assignees: Vec<Choice>,
    priorities: Vec<Choice>,
    dues: Vec<Choice>,
    sorts: Vec<Tab>,
    sort_label: &'static str,
    groups: Vec<Group>,
    total: usize,
    untouched: bool,
    may_write: bool,
    back: String,
}

#[derive(Template)]
#[template(path = "tasks/_rows.html")]
struct MoreRows {
    rows: Vec<Row>,
    more: String,
    back: String,
}

/// Lists tasks.
pub async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    if !asked.after.is_empty() && hx.is_partial() {
        return more(&ws, &who, &asked);
    }
    let mut page = ws.read(|snap| view(&ws, &who, snap, asked))?;
    if hx.is_partial() {
        return html::fragment(&page.as_rows());
    }
    page.shell = shell;
    html::page(&page)
}

/// The list again with a quick entry that was refused.
pub fn refused(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    asked: Asked,
    (typed, wrong): (String, String),
) -> Result<Response, PageError> {
    let mut page = ws.read(|snap| view(ws, who, snap, asked))?;
    page.shell = shell;
    if let Some(quick) = &mut page.quick {
        (quick.typed, quick.wrong) = (typed, wrong);
    }
    html::document(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// The further rows of one group.
fn more(ws: &Ws, who: &Person, asked: &Asked) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let scene = Scene::new(ws, who, snap)?;
        let (filter, sort, _) = read_filter(&scene, asked);
        let cut = Cut { after: Some(asked.after.clone()), limit: GROUP };
        let page = list::page(snap, &filter, sort, &scene.today, &cut)?;
        let more = page.next.map(|after| more_url(ws, asked, &asked.status, &after));
        let rows = rows(&scene, snap, page.items)?;
        let back = asked.url(ws, &[]);
        Ok::<_, TaskError>(MoreRows { rows, more: more.unwrap_or_default(), back })
    })?;
    html::fragment(&page)
}

fn more_url(ws: &Ws, asked: &Asked, status: &str, after: &str) -> String {
    asked.url(ws, &[("status", status), ("after", after)])
}

fn rows(scene: &Scene, read: &dyn Read, tasks: Vec<Task>) -> Result<Vec<Row>, TaskError> {
    let summaries = list::summaries(read, tasks, scene.today.now)?;
    summaries.into_iter().map(|summary| Row::new(scene, read, summary)).collect()
}

fn view(ws: &Ws, who: &Person, read: &dyn Read, asked: Asked) -> Result<ListPage, TaskError> {
    let scene = Scene::new(ws, who, read)?;
    let (filter, sort, active) = read_filter(&scene, &asked);
    // Without script "show more" leads to the whole group.
    let limit = if asked.after.is_empty() { GROUP } else { GROUP * 20 };
    let found = list::groups(read, &filter, sort, &scene.today, limit)?;
    let total = found.iter().map(|group| group.total).sum();
    let mut groups = Vec::with_capacity(found.len());
    for group in found {
        let word = group.status.word();
        let next = group.page.next.as_deref();
        groups.push(Group {
            word,
            label: group.status.label(),
            total: group.total,
            more: next.map(|after| more_url(ws, &asked, word, after)).unwrap_or_default(),
            rows: rows(&scene, read, group.page.items)?,
            add: ws.url(&format!("tasks/new?status={word}")),
        });
    }
    let url = asked.url(ws, &[]);
    let live = Live::new(url.clone()).table("tasks").table("inbox");
    let untouched = total == 0
        && active.is_empty()
        && list::counts(read)?.iter().all(|(_, n)| *n == 0)
        && asked.archived.is_empty();
    let sort_word = |value: Sort| {
        Sort::ALL.iter().find(|(one, ..)| *one == value).map_or("Priority", |(_, _, label)| label)
    };
    Ok(ListPage {
        shell: Shell::default(),
        new_url: ws.url("tasks/new"),
        list_url: ws.url("tasks"),
        quick: (scene.may_write && asked.archived.is_empty()).then(|| Quick {
            action: ws.url("tasks"),
            back: url.clone(),
            assignee: if asked.assignee == "none" { String::new() } else { asked.assignee.clone() },
            ..Quick::default()
        }),
        views: views(&scene, read, &asked)?,
        clear: Asked { sort: asked.sort.clone(), ..Asked::default() }.url(ws, &[]),
        statuses: status_choices(&asked),
        assignees: assignee_choices(&scene, &asked),
        priorities: priority_choices(&asked),
        dues: due_choices(&asked),
        sorts: Sort::ALL
            .iter()
            .map(|(value, word, label)| {
                Tab::new(*label, asked.url(ws, &[("sort", word)]), *value == sort)
            })
            .collect(),
        sort_label: sort_word(sort),
        back: url,
        live,
        active,
        groups,
        total,
        untouched,
        may_write: scene.may_write,
        others: asked.others(),
        asked,
    })
}

/// The saved views that are built in.
fn views(scene: &Scene, read: &dyn Read, asked: &Asked) -> Result<Vec<Tab>, TaskError> {
    let ws = &scene.ws;
    let here = Asked { sort: String::new(), ..asked.clone() }.url(ws, &[]);
    let tab = |label: &str, pairs: &[(&str, &str)]| {
        let href = Asked::default().url(ws, pairs);
        let current = href == here;
        Tab::new(label, href, current)
    };
    Ok(vec![
        tab("All open", &[]).count(list::open_count(read)?),
        tab("My work", &[("assignee", "me")]).count(list::open_count_of(read, scene.myself())?),
        tab("Due this week", &[("due", "week")]),
        tab("Unassigned", &[("assignee", "none")]),
        Tab::new("Recurring", ws.url("tasks/recurring"), false),
        tab("Closed", &[("status", "closed")]),
        tab("Archived", &[("status", "all"), ("archived", "1")]),
    ])
}

/// Reads the filters; what is not known is shown as such and does not count.
fn read_filter(scene: &Scene, asked: &Asked) -> (Filter, Sort, Vec<Active>) {
    let ws = &scene.ws;
    let mut filter = Filter { q: asked.q.trim().to_owned(), ..Filter::default() };
    let mut active = Vec::new();
    let mut add = |glyph, label, name: &str, value: String, wrong: Option<String>| {
        let (wrong, without) = (wrong.unwrap_or_default(), asked.url(ws, &[(name, "")]));
        active.push(Active { glyph, label, value, wrong, without });
    };
    if !filter.q.is_empty() {
        add("search", "Words", "q", filter.q.clone(), None);
    }
    match asked.status.as_str() {
        "" | "open" => filter.status = list::OPEN.to_vec(),
        "all" => {}
        "closed" => {
            filter.status =
                TaskStatus::ALL.iter().copied().filter(|status| !status.is_open()).collect();
        }
        words => {
            let (values, wrong) = read_words::<TaskStatus>(words);
            let labels: Vec<_> = values.iter().map(|status| status.label()).collect();
            let shown = if labels.is_empty() { words.to_owned() } else { labels.join(", ") };
            add("todo", "Status", "status", shown, wrong);
            filter.status = if values.is_empty() { list::OPEN.to_vec() } else { values };
        }
    }
    if !asked.assignee.is_empty() {
        let found = scene.people.find(&asked.assignee, scene.myself());
        let (value, wrong) = match &found {
            Ok(Some(who)) => (scene.people.name(*who), None),
            Ok(None) => ("Nobody".to_owned(), None),
            Err(error) => (asked.assignee.clone(), Some(error.to_string())),
        };
        add("user", "Assignee", "assignee", value, wrong);
        filter.assignee = match found {
            Ok(Some(who)) => Whose::One(who),
            Ok(None) => Whose::Nobody,
            Err(_) => Whose::Any,
        };
    }
    if !asked.priority.is_empty() {
        let (values, wrong) = read_words::<Priority>(&asked.priority);
        let labels: Vec<_> = values.iter().map(|priority| priority.label()).collect();
        let shown = if labels.is_empty() { asked.priority.clone() } else { labels.join(", ") };
        add("high", "Priority", "priority", shown, wrong);
        filter.priority = values;
    }
    if !asked.due.is_empty() {
        filter.due = DueIn::from_word(&asked.due);
        let known = DueIn::ALL.iter().find(|(value, ..)| Some(*value) == filter.due);
        let wrong = known.is_none().then(|| "use overdue, today, week or none".to_owned());
        let value = known.map_or(asked.due.clone(), |(_, _, label)| (*label).to_owned());
        add("calendar", "Due", "due", value, wrong);
    }
    filter.archived = !asked.archived.is_empty();
    let sort = Sort::from_word(&asked.sort).unwrap_or_default();
    (filter, sort, active)
}

/// The known words of a list with commas, and what is wrong with the others.
fn read_words<T>(words: &str) -> (Vec<T>, Option<String>)
where
    T: std::str::FromStr<Err = crate::kernel::vocab::UnknownWord>,
{
    let mut wrong = None;
    let mut values = Vec::new();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.parse::<T>() {
            Ok(value) => values.push(value),
            Err(error) => wrong = Some(error.to_string()),
        }
    }
    (values, wrong)
}

fn status_choices(asked: &Asked) -> Vec<Choice> {
    let is = |word: &str| asked.status == word;
    let mut list = vec![Choice::new("", "Open", is("") || is("open"))];
    list.extend(TaskStatus::ALL.iter().map(|s| Choice::new(s.word(), s.label(), is(s.word()))));
    list.push(Choice::new("closed", "Closed", is("closed")));
    list.push(Choice::new("all", "All", is("all")));
    list
}

fn assignee_choices(scene: &Scene, asked: &Asked) -> Vec<Choice> {
    let is = |word: &str| asked.assignee == word;
    let mut list =
        vec![Choice::new("", "Anybody", is("")), Choice::new("none", "Nobody", is("none"))];
    list.push(Choice::new("me", "Me", is("me")));
    for choice in scene.people.choices(None, scene.me) {
        if !choice.value.is_empty() {
            let chosen = is(&choice.value);
            list.push(Choice { chosen, ..choice });
        }
    }
    list
}

fn priority_choices(asked: &Asked) -> Vec<Choice> {
    let is = |word: &str| asked.priority == word;
    let mut list = vec![Choice::new("", "Any", is(""))];
    let all = Priority::ALL.iter().rev();
    list.extend(all.map(|p| Choice::new(p.word(), p.label(), is(p.word()))));
    list
}

fn due_choices(asked: &Asked) -> Vec<Choice> {
    let mut list = vec![Choice::new("", "Any time", asked.due.is_empty())];
    let all = DueIn::ALL.iter();
    list.extend(all.map(|(_, word, label)| Choice::new(*word, *label, asked.due == *word)));
    list
}
