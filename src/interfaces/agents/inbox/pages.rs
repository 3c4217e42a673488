//! The inbox of one agent and of all agents: open, finished and failed items, with retry and cancel.

mod all;
mod pace;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::agents::queries::head::{self, Head, Place};
use features::runs::queries::questions::{self, Card, Reader};
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use kernel::cursor::DEFAULT_LIMIT;
use kernel::{AgentId, Can, ItemId, ItemState, Timestamp};
use store::{ReadExt, Snap, StoreError, WriteTx, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::form::sentence;
use web::html;
use web::hx::{Ask, Hx};
use web::live::Live;
use web::parts::Tab;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use features::inbox::model::Item;
use features::inbox::queries::broken;
use features::inbox::queries::list::{self, Filter};
use features::inbox::queries::pace as paces;
use features::inbox::queries::view::ItemView;
use features::inbox::rules::{self, InboxError};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/inbox", all::index.needs(Can::Read))
        .get("/agents/{slug}/inbox", show.needs(Can::Read))
        .post("/agents/{slug}/pace", pace::save.needs(Can::Agents))
        .post("/inbox/{item}/retry", retry.needs(Can::Write))
        .post("/inbox/{item}/cancel", cancel.needs(Can::Write))
        .post("/inbox/{item}/front", to_front.needs(Can::Write))
        .post("/inbox/{item}/drop", discard.needs(Can::Write))
}

#[derive(Clone, Debug, Deserialize, Default)]
#[serde(default)]
struct InboxPageParams {
    agent: String,
    show: String,
    after: String,
}

/// Failed items that nobody has handled since, as the dashboard counts them.
const NEEDS_YOU: &str = "needs_you";
/// The filters: query word, label, text for an empty list.
const SHOWS: [(&str, &str, &str); 6] = [
    ("", "Open", "Nothing is waiting"),
    (NEEDS_YOU, "Needs you", "No failures need you"),
    ("over", "Closed", "Nothing is closed yet"),
    ("done", "Done", "Nothing is done yet"),
    ("failed", "Failed", "Nothing has failed"),
    ("cancelled", "Cancelled", "Nothing was cancelled"),
];

impl InboxPageParams {
    fn shown(&self) -> (&'static str, &'static str, &'static str) {
        SHOWS.into_iter().find(|(word, ..)| *word == self.show).unwrap_or(SHOWS[0])
    }

    /// The address below `base` with other parameters.
    fn address(&self, base: &str, show: &str, after: &str) -> String {
        let pairs = [("agent", self.agent.as_str()), ("show", show), ("after", after)];
        let given: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        match serde_urlencoded::to_string(given).unwrap_or_default() {
            query if query.is_empty() => base.to_owned(),
            query => format!("{base}?{query}"),
        }
    }

    /// The subscription of the list.
    fn live(&self, base: &str) -> Live {
        let show = self.shown().0;
        let live = Live::new(self.address(base, show, &self.after)).table("inbox");
        // A closed task no longer needs attention.
        if show == NEEDS_YOU { live.table("tasks") } else { live }
    }

    fn tabs(&self, base: &str, open: u64) -> Vec<Tab> {
        let now = self.shown().0;
        let tab = |(word, label, _): (&'static str, &'static str, &'static str)| {
            let tab = Tab::new(label, self.address(base, word, ""), word == now);
            if word.is_empty() { tab.count(open) } else { tab }
        };
        SHOWS.into_iter().map(tab).collect()
    }

    /// The matching items of one agent or of all, and the address of the next page.
    fn items(
        &self,
        snap: &Snap<'_>,
        agent: Option<AgentId>,
        base: &str,
        now: Timestamp,
    ) -> Result<(Vec<Item>, String), StoreError> {
        let show = self.shown().0;
        if show.is_empty() {
            return Ok((list::open(snap, agent, now)?, String::new()));
        }
        if show == NEEDS_YOU {
            let mut agents = agents::all(snap)?;
            agents.retain(|one| agent.is_none_or(|id| id == one.id));
            let found = broken::of(snap, &agents, now)?;
            return Ok((found.into_iter().map(|one| one.item).collect(), String::new()));
        }
        let state = show.parse::<ItemState>().ok();
        let filter = Filter { agent, over: Some(true), state };
        let (items, next) = list::page(snap, &filter, cursor_key(&self.after), DEFAULT_LIMIT)?;
        let next = next.map(|key| self.address(base, show, &key_cursor(&key)));
        Ok((items, next.unwrap_or_default()))
    }
}

/// A list of items; refreshes itself.
struct View {
    live: Live,
    views: Vec<Tab>,
    /// Text for an empty list.
    none: &'static str,
    open: bool,
    /// Pending questions of the agent's runs.
    questions: Vec<Card>,
    items: Vec<ItemView>,
    next: String,
    may_change: bool,
    /// When the agent starts work and how much, if set.
    pace: String,
    /// Address of that setting; empty if the person may not change it.
    settings: String,
}

#[derive(Template)]
#[template(path = "inbox/agent.html")]
struct InboxPage {
    shell: Shell,
    head: Head,
    view: View,
}

#[derive(Template)]
#[template(path = "inbox/list.html")]
struct ListPart {
    view: View,
}

async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(params): Query<InboxPageParams>,
) -> Result<Response, PageError> {
    let now = ws.app.clock.now();
    let read = move |ws: &Ws| {
        ws.read(|snap| {
            let agent = agents::by_name(snap, &slug)?;
            let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
            let head = head::head(ws, snap, &agent, Place::Inbox, who.access, now)?;
            let view = view(ws, &who, snap, &agent, &head, &params)?;
            Ok::<_, PageError>((head, view))
        })
    };
    let (head, view) = ws.read_blocking(read).await?;
    if hx.wants("inbox") {
        return html::fragment(&ListPart { view });
    }
    html::page(&InboxPage { shell, head, view })
}

fn view(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    agent: &Agent,
    head: &Head,
    params: &InboxPageParams,
) -> Result<View, PageError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    // The path already names the agent.
    let params = InboxPageParams { agent: String::new(), ..params.clone() };
    let base = format!("{}/inbox", head.base);
    let (items, next) = params.items(snap, Some(agent.id), &base, now)?;
    let (show, _, none) = params.shown();
    let reader = Reader { ws, now, zone: &zone, access: who.access, me: who.account };
    let questions = match show {
        "" => {
            questions::all(snap, &reader, &|run| Ok(run.agent == agent.id && run.item.is_some()))?
        }
        _ => Vec::new(),
    };
    let items = items.iter().map(|item| ItemView::new(ws, snap, now, &zone, item));
    let may_set = who.access.may(Can::Agents);
    Ok(View {
        live: params.live(&base).tables(&["parks", "approvals", "inbox_paces"]),
        views: params.tabs(&base, head.activity.open as u64),
        none,
        open: show.is_empty(),
        questions,
        items: items.collect::<Result<_, _>>()?,
        next,
        may_change: who.access.may(Can::Write),
        pace: paces::words(snap, &paces::of(snap, agent.id)?)?,
        settings: if may_set { format!("{}/settings#pace", head.base) } else { String::new() },
    })
}

/// The page of the request, for the redirect.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    /// `all` for the list of all agents, `task` for the task's page, `dashboard` for the dashboard.
    from: String,
}

/// Where an action on an item redirects to.
fn back(ws: &Ws, id: ItemId, from: &From) -> Result<String, PageError> {
    if from.from == "all" {
        return Ok(ws.url("inbox"));
    }
    if from.from == "dashboard" {
        return Ok(ws.url(""));
    }
    ws.read(|snap| {
        let item = snap.get::<Item>(id)?.ok_or_else(|| PageError::not_found("This item"))?;
        if from.from == "task"
            && let Some(task) = item.task
            && let Some(task) = snap.get::<Task>(task)?
        {
            return Ok(ws.url(&format!("tasks/{}", tasks::name(snap, task.number)?)));
        }
        let agent = snap.get::<Agent>(item.agent)?;
        let slug = agent.map_or_else(String::new, |agent| agent.slug);
        Ok(ws.url(&format!("agents/{slug}/inbox")))
    })
}

/// Carries out an action on an item and confirms it. An action that the item's state forbids becomes a notice.
async fn act(
    (app, ws, who, hx): (&App, &Ws, &Person, &Hx),
    (id, from): (ItemId, &From),
    done: &'static str,
    rule: fn(&mut WriteTx<'_>, ItemId) -> Result<(), InboxError>,
) -> Result<Response, PageError> {
    let back = back(ws, id, from)?;
    let flash = match ws.write(who, move |tx| rule(tx, id)).await {
        Ok(()) => Flash::ok(done),
        Err(error @ InboxError::WrongState { .. }) => Flash::danger(sentence(&error.to_string())),
        Err(error) => return Err(error.into()),
    };
    if matches!(from.from.as_str(), "task" | "dashboard") && hx.is_partial() {
        // On a task's page or the dashboard, the page stays.
        let ask = Ask::new().toast(flash.tone, &flash.text).changed("inbox", id);
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(app, flash, hx.go_to(&back)))
}

async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
    Form(from): Form<From>,
) -> Result<Response, PageError> {
    act(
        (&app, &ws, &who, &hx),
        (id, &from),
        "It starts as soon as the agent is free.",
        rules::retry,
    )
    .await
}

async fn to_front(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
    Form(from): Form<From>,
) -> Result<Response, PageError> {
    act((&app, &ws, &who, &hx), (id, &from), "It’s next in line.", rules::to_front).await
}

async fn discard(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
    Form(from): Form<From>,
) -> Result<Response, PageError> {
    act((&app, &ws, &who, &hx), (id, &from), "The item is dropped.", rules::discard).await
}

async fn cancel(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
    Form(from): Form<From>,
) -> Result<Response, PageError> {
    act((&app, &ws, &who, &hx), (id, &from), "The item is cancelled.", rules::call_off).await
}
