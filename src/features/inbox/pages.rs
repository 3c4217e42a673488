//! The inbox of an agent: what waits, what is over, what can be tried again.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::agents::model::Agent;
use crate::features::agents::queries as agents;
use crate::features::agents::queries::head::{self, Head, Place};
use crate::features::runs::queries::questions::{self, Card, Reader};
use crate::kernel::cursor::DEFAULT_LIMIT;
use crate::kernel::{Can, ItemId};
use crate::store::{ReadExt, Snap, cursor_key, key_cursor};
use crate::web::error::PageError;
use crate::web::extract::{Path, Query};
use crate::web::flash;
use crate::web::html;
use crate::web::hx::Hx;
use crate::web::live::Live;
use crate::web::parts::Tab;
use crate::web::routes::{Needs, Routes};
use crate::web::session::Person;
use crate::web::shell::{Flash, Shell};

use super::model::Item;
use super::queries::view::ItemView;
use super::{queries, rules};

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/agents/{slug}/inbox", show.needs(Can::Read))
        .post("/inbox/{item}/retry", retry.needs(Can::Write))
        .post("/inbox/{item}/cancel", cancel.needs(Can::Write))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    show: String,
    after: String,
}

struct View {
    live: Live,
    views: Vec<Tab>,
    over: bool,
    /// What its work asks people.
    questions: Vec<Card>,
    items: Vec<ItemView>,
    next: String,
    may_change: bool,
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
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let now = ws.app.clock.now();
    let (head, view) = ws.read(|snap| {
        let agent = agents::by_name(snap, &slug)?;
        let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
        let head = head::head(&ws, snap, &agent, Place::Inbox, who.access, now)?;
        let view = view(&ws, &who, snap, &agent, &head, &asked)?;
        Ok::<_, PageError>((head, view))
    })?;
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
    asked: &Asked,
) -> Result<View, PageError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let over = asked.show == "over";
    let after = cursor_key(&asked.after);
    let mut hits = queries::of_agent(snap, agent.id, over, after.as_deref(), DEFAULT_LIMIT + 1)?;
    let more = hits.len() > DEFAULT_LIMIT;
    hits.truncate(DEFAULT_LIMIT);
    let base = format!("{}/inbox", head.base);
    let over_base = format!("{base}?show=over");
    let here = if over { &over_base } else { &base };
    let next = match hits.last().filter(|_| more) {
        Some(hit) => {
            let mark = if over { '&' } else { '?' };
            format!("{here}{mark}after={}", key_cursor(&hit.key))
        }
        None => String::new(),
    };
    let reader = Reader { ws, now, zone: &zone, may: who.access.may(Can::Chat), me: who.account };
    let questions = match over || after.is_some() {
        true => Vec::new(),
        false => {
            questions::all(snap, &reader, &|run| Ok(run.agent == agent.id && run.item.is_some()))?
        }
    };
    let items = hits.iter().map(|hit| ItemView::new(ws, snap, now, &zone, &hit.record));
    Ok(View {
        live: Live::new(here.clone()).table("inbox").table("parks"),
        views: vec![
            Tab::new("Open", base.clone(), !over).count(head.activity.open as u64),
            Tab::new("Over", over_base.clone(), over),
        ],
        over,
        questions,
        items: items.collect::<Result<_, _>>()?,
        next,
        may_change: who.access.may(Can::Write),
    })
}

/// Where a change of an item leads back to.
fn back(ws: &Ws, id: ItemId) -> Result<String, PageError> {
    ws.read(|snap| {
        let item = snap.get::<Item>(id)?.ok_or_else(|| PageError::not_found("This item"))?;
        let agent = snap.get::<Agent>(item.agent)?;
        let slug = agent.map_or_else(String::new, |agent| agent.slug);
        Ok(ws.url(&format!("agents/{slug}/inbox")))
    })
}

async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
) -> Result<Response, PageError> {
    let back = back(&ws, id)?;
    ws.write(&who, move |tx| rules::retry(tx, id)).await?;
    Ok(flash::say(&app, Flash::ok("It is tried again now."), hx.go_to(&back)))
}

async fn cancel(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ItemId>,
) -> Result<Response, PageError> {
    let back = back(&ws, id)?;
    let was_open = ws.write(&who, move |tx| rules::cancel(tx, id, "a person cancelled it")).await?;
    let said = match was_open {
        true => Flash::ok("The item is cancelled."),
        false => Flash::danger("A run has this item, or it is over. Stop the run in its place."),
    };
    Ok(flash::say(&app, said, hx.go_to(&back)))
}
