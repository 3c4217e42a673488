//! The surroundings of every task layout: views, query box, filter chips, menus.

use list::complete::{self, Offer, Typing};
use list::frame::{Chip, Saved, Tabs, asked_of, choices, written};

use super::bar::BulkBar;
use super::state::{State, TasksPageParams, WHOLE};
use super::tabs;
use app::Ws;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::filter::{Asker, Understood};
use features::tasks::queries::grouping::GroupBy;
use features::tasks::queries::keys::KEYS;
use features::tasks::queries::list::Sort;
use features::tasks::queries::looks::{self, COLUMNS, Columns, Layout, NOUN};
use features::tasks::queries::standing;
use features::tasks::queries::view_context::ViewContext;
use features::views::model::Look;
use features::views::queries as saved_views;
use kernel::filter::{self, Kind, Query, Term};
use kernel::text::capitalized;
use kernel::{AccountId, Priority, TaskStatus};
use store::{Read, StoreError};
use web::emoji;
use web::error::PageError;
use web::extract::{Json, Query as Params};
use web::hx::Hx;
use web::parts::{Choice, Tab};
use web::session::Person;

/// Tables that lists, boards and calendars subscribe to: tasks, comments, deliverables, pending questions, and names.
pub(super) const SHOWN: &[&str] = &[
    "tasks",
    "task_labels",
    "task_relations",
    "comments",
    "deliverables",
    "inbox",
    "parks",
    "streams",
    "labels",
];

/// The surroundings of a layout.
pub struct Frame {
    /// The part that all lists share.
    pub list: list::frame::Frame,
    /// Address of the form for a new task.
    pub new_url: String,
    /// Statuses of the menu.
    pub statuses: Vec<Choice>,
    /// Assignees of the menu.
    pub assignees: Vec<Choice>,
    /// Priorities of the menu.
    pub priorities: Vec<Choice>,
    /// Dates of the menu.
    pub dues: Vec<Choice>,
    /// Streams of the menu; empty if there are none.
    pub streams: Vec<Choice>,
    /// Labels of the menu; empty if there are none.
    pub labels: Vec<Choice>,
    /// Groupings.
    pub groups: Vec<Tab>,
    /// The current grouping.
    pub group_label: &'static str,
    /// Sort orders.
    pub sorts: Vec<Tab>,
    /// The current sort order.
    pub sort_label: &'static str,
    /// Columns to show or hide; lists only.
    pub columns: Vec<Tab>,
    /// Swimlanes; boards only.
    pub lanes: Vec<Tab>,
    /// The current swimlanes.
    pub lanes_label: String,
    /// The limits of a board's columns.
    pub wip: String,
    /// Address of bulk changes.
    pub bulk_url: String,
    /// The bulk changes.
    pub bulk: BulkBar,
}

/// Whether the views show their numbers of tasks.
#[derive(Clone, Copy)]
pub enum Counts {
    /// The numbers are shown.
    Shown,
    /// Only a region without the numbers is drawn.
    Left,
}

impl Counts {
    /// Selects what the response needs.
    #[must_use]
    pub fn of(hx: &Hx) -> Self {
        if hx.is_partial() { Self::Left } else { Self::Shown }
    }
}

/// Resolves a query from the reader's point of view.
pub fn understand(
    scene: &ViewContext,
    read: &dyn Read,
    query: &Query,
) -> Result<Understood, TaskError> {
    asker(scene, read).understand(query)
}

/// The query resolver for the reader.
pub(super) fn asker<'a>(scene: &'a ViewContext, read: &'a dyn Read) -> Asker<'a> {
    Asker { read, people: &scene.people, me: scene.myself(), today: &scene.today }
}

/// The state of the requested list. Starts from the named view, or from the first view if the name is unknown.
pub fn state(
    read: &dyn Read,
    who: AccountId,
    query: &TasksPageParams,
) -> Result<State, StoreError> {
    let mut views = looks::all(read, who)?;
    let at = views.iter().position(|view| view.slug == query.view);
    let view = views.swap_remove(at.unwrap_or(0));
    let missing = if at.is_none() { query.view.clone() } else { String::new() };
    Ok(State { missing, ..State::of(query, view) })
}

impl Frame {
    /// Builds everything around a layout.
    pub fn new(
        scene: &ViewContext,
        read: &dyn Read,
        state: &State,
        (query, counts): (&Understood, Counts),
    ) -> Result<Self, TaskError> {
        let ws = &scene.ws;
        let (group, sort, lanes) = (state.group(), state.sort(), state.lanes());
        let layout = state.layout();
        let look = |change: &dyn Fn(&mut Look)| {
            let mut look = state.look.clone();
            change(&mut look);
            state.url_of(ws, &look)
        };
        let by = |now: GroupBy, put: &dyn Fn(&mut Look, &str)| -> Vec<Tab> {
            let tab = |(one, word, label): &(GroupBy, &str, &str)| {
                Tab::new(*label, look(&|look| put(look, word)), *one == now)
            };
            GroupBy::ALL.iter().map(tab).collect()
        };
        let shown = Columns::of(&state.look.columns);
        let column = |(word, label): &(&'static str, &'static str)| {
            let href = look(&|look| look.columns = shown.toggled(word));
            Tab::new(*label, href, shown.has(word))
        };
        let is = |wanted: Layout| layout == wanted;
        let groups = by(group, &|look, word| look.group = word.to_owned());
        let views = tabs::new(scene, read, state, counts)?;
        let (left, right) = views.room();
        Ok(Self {
            list: list::frame::Frame {
                many: "tasks",
                hint: "Search or filter: assignee:me due:<7d",
                list_url: ws.url("tasks"),
                complete_url: ws.url("tasks/complete"),
                views,
                layouts: layouts(ws, state, Some(layout)),
                q: state.look.q.clone(),
                others: state.others(),
                chips: chips(scene, state, query),
                clear: state.url_of(ws, &Look { q: String::new(), ..state.look.clone() }),
                may_write: scene.may_write,
                back: state.url(ws),
                missing: state.missing.clone(),
                save_url: ws.url("views"),
                icons: list::frame::icons(),
                look: list::frame::look_fields(NOUN, &state.look.fields()),
                saved: saved(scene, read, state, (left, right))?,
                changed: state.is_changed(),
                moved: state.is_laid_out_anew(),
            },
            new_url: ws.url("tasks/new"),
            statuses: status_choices(&state.query),
            assignees: assignee_choices(scene, &state.query),
            priorities: priority_choices(&state.query),
            dues: due_choices(&state.query),
            streams: name_choices(scene, read, &state.query, ("stream", "No stream"))?,
            labels: name_choices(scene, read, &state.query, ("label", "No label"))?,
            groups: if is(Layout::List) || is(Layout::Board) { groups } else { Vec::new() },
            group_label: group.label(),
            sorts: match is(Layout::Calendar) {
                true => Vec::new(),
                false => Sort::ALL
                    .iter()
                    .map(|(one, word, label)| {
                        let href = look(&|look| look.sort = (*word).to_owned());
                        Tab::new(*label, href, *one == sort)
                    })
                    .collect(),
            },
            sort_label: sort.label(),
            columns: match is(Layout::List) {
                true => COLUMNS.iter().map(column).collect(),
                false => Vec::new(),
            },
            lanes: match is(Layout::Board) {
                true => by(lanes, &|look, word| look.lanes = word.to_owned()),
                false => Vec::new(),
            },
            lanes_label: format!("Swimlanes: {}", lanes.label()),
            wip: state.look.wip.clone(),
            bulk_url: ws.url("tasks/bulk"),
            bulk: BulkBar::new(scene, read)?,
        })
    }
}

/// The views and layouts above recurring tasks, where no layout is selected.
pub struct Top {
    pub views: Tabs,
    pub layouts: Vec<Tab>,
}

impl Top {
    /// The frame of recurring tasks. Each layout links back to the requested tasks.
    pub fn new(
        scene: &ViewContext,
        read: &dyn Read,
        state: &State,
        counts: Counts,
    ) -> Result<Self, TaskError> {
        let views = tabs::new(scene, read, state, counts)?;
        Ok(Self { views, layouts: layouts(&scene.ws, state, None) })
    }
}

/// The saved view that is shown, for a person who may change it.
fn saved(
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
    (left, right): (bool, bool),
) -> Result<Option<Saved>, StoreError> {
    let Some(id) = state.view.id.filter(|_| scene.may_write) else { return Ok(None) };
    Ok(Some(Saved {
        rev: saved_views::rev(read, id)?,
        url: scene.ws.url(&format!("views/{id}")),
        history: scene.ws.url(&format!("history/views/{id}")),
        name: state.view.name.clone(),
        icons: emoji::or_none(&state.view.icon),
        left,
        right,
        shared: state.view.shared,
    }))
}

/// The layouts and recurring tasks; `now` is `None` on the page of recurring tasks.
fn layouts(ws: &Ws, state: &State, now: Option<Layout>) -> Vec<Tab> {
    let mut tabs: Vec<Tab> = Layout::ALL
        .iter()
        .map(|(one, word, label, icon)| {
            // Each layout has its own order unless one was selected.
            let look = Look { layout: (*word).to_owned(), ..state.look.clone() };
            Tab::new(*label, state.url_laid_out(ws, &look), now == Some(*one)).icon(icon)
        })
        .collect();
    tabs.push(Tab::new("Recurring", state.recurring_url(ws), now.is_none()).icon("repeat"));
    tabs
}

fn chips(scene: &ViewContext, state: &State, query: &Understood) -> Vec<Chip> {
    let chip = |(term, wrong): &(Term, String)| {
        let key = filter::key(KEYS, &term.key);
        let label = match (key, term.is_words()) {
            (_, true) => "Words".to_owned(),
            (Some(_), _) => capitalized(&term.key.replace('-', " ")),
            (None, _) => term.key.clone(),
        };
        let word = |value: &String| match key.map(|key| &key.kind) {
            Some(Kind::Words(words) | Kind::Names(words)) => {
                let known = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
                match (known, term.key.as_str()) {
                    (Some((_, label)), _) => (*label).to_owned(),
                    (None, "assignee" | "creator" | "waiting" | "watcher") => {
                        // ok: an unknown name is shown as typed.
                        let who = scene.people.find(value, scene.myself()).ok().flatten();
                        who.map_or_else(|| value.clone(), |who| scene.people.name(who))
                    }
                    _ => value.clone(),
                }
            }
            _ => value.clone(),
        };
        let values: Vec<String> = term.values.iter().map(word).collect();
        Chip {
            label,
            value: values.join(", "),
            not: term.not,
            wrong: wrong.clone(),
            without: state.url_asking(&scene.ws, &state.query.without(term)),
        }
    };
    query.checked.iter().map(chip).collect()
}

fn status_choices(query: &Query) -> Vec<Choice> {
    let (status, is) = (asked_of(query, "status"), asked_of(query, "is"));
    let has = |list: &[String], word: &str| list.iter().any(|one| one == word);
    let none = status.is_empty() && !is.iter().any(|one| WHOLE.contains(&one.as_str()));
    let mut list = vec![Choice::new("open", "Open", has(is, "open"))];
    for one in TaskStatus::ALL {
        let chosen = has(status, one.word()) && status.len() == 1;
        list.push(Choice::new(one.word(), one.label(), chosen));
        if *one == TaskStatus::InProgress {
            let (word, label) = standing::review();
            let chosen = has(is, "in-review") || (has(status, word) && status.len() == 1);
            list.push(Choice::new(word, label, chosen));
        }
    }
    if 1 < status.len() {
        list.push(Choice::new(status.join(","), status.join(", "), true));
    }
    list.push(Choice::new("closed", "Closed", has(is, "closed")));
    list.push(Choice::new("archived", "Archived", has(is, "archived")));
    list.push(Choice::new("all", "All", none));
    list
}

/// The menu of a query key whose values are names; empty if no names exist and the query does not use the key.
fn name_choices(
    scene: &ViewContext,
    read: &dyn Read,
    query: &Query,
    (key, none): (&str, &str),
) -> Result<Vec<Choice>, StoreError> {
    let names = asker(scene, read).names(key)?;
    if names.is_empty() && asked_of(query, key).is_empty() {
        return Ok(Vec::new());
    }
    let mut list = vec![Choice::new("", "Any", false), Choice::new("none", none, false)];
    list.extend(names.into_iter().map(|(name, label)| {
        let value = written(key, &[name]);
        Choice::new(value, label, false)
    }));
    Ok(choices(query, key, list))
}

fn assignee_choices(scene: &ViewContext, query: &Query) -> Vec<Choice> {
    let mut list = vec![
        Choice::new("", "Anyone", false),
        Choice::new("none", "Unassigned", false),
        Choice::new("me", "Me", false),
    ];
    let all = scene.people.choices(None, scene.me);
    list.extend(all.into_iter().filter(|choice| !choice.value.is_empty()));
    list.push(Choice::new("hq", "HQ itself", false));
    choices(query, "assignee", list)
}

fn priority_choices(query: &Query) -> Vec<Choice> {
    let mut list = vec![Choice::new("", "Any", false)];
    list.extend(Priority::ALL.iter().rev().map(|p| Choice::new(p.word(), p.label(), false)));
    choices(query, "priority", list)
}

fn due_choices(query: &Query) -> Vec<Choice> {
    let list = [
        ("", "Any time"),
        ("<today", "Before today"),
        ("<=today", "Today or earlier"),
        ("<7d", "Within a week"),
        ("none", "No date"),
    ];
    choices(query, "due", list.map(|(word, label)| Choice::new(word, label, false)).to_vec())
}

/// Completions of the text being typed in the query box.
pub async fn complete(
    ws: Ws,
    who: Person,
    Params(typing): Params<Typing>,
) -> Result<Json<Vec<Offer>>, PageError> {
    let offers = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        complete::offers(&typing, KEYS, |key| {
            asker(&scene, snap).names(key).map_err(TaskError::from)
        })
    })?;
    Ok(Json(offers))
}
