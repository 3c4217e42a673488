//! Everything around the content of a page: the sidebar with its numbers, the person, the place in the
//! feed from which the page's live stream goes on.

use axum::http::request::Parts;

use crate::app::Ws;
use crate::kernel::Can;
use crate::web::error::PageError;
use crate::web::flash;
use crate::web::live::Live;
use crate::web::parts::Face;
use crate::web::session::Person;
use crate::web::shell::{NavGroup, NavItem, Place, Shell, Theme};

use super::super::queries;

/// The shell of a page of this workspace for this person.
///
/// # Errors
/// When the disk fails.
pub fn shell(ws: &Ws, who: &Person, parts: &Parts) -> Result<Shell, PageError> {
    // The place in the feed first: what changes while the page is made is heard again.
    let cursor = ws.store.head().to_string();
    let settings = ws.read(|snap| queries::settings(snap))?;
    let place = match settings {
        Some(settings) => {
            Place { slug: ws.slug.clone(), name: settings.name, emoji: settings.emoji }
        }
        None => Place { slug: ws.slug.clone(), ..Place::default() },
    };
    let shell = Shell {
        place,
        person: Face::person(&who.name),
        email: who.email.clone(),
        nav: nav(ws, who),
        nav_live: Some(Live::new(ws.url("nav")).table("tasks").table("agents").table("runs")),
        tabs: tabs(ws),
        theme: Theme::from_headers(&parts.headers),
        flash: flash::read(&ws.app, &parts.headers).into_iter().collect(),
        cursor,
        ..Shell::default()
    };
    Ok(shell.at(parts.uri.path()))
}

fn nav(ws: &Ws, who: &Person) -> Vec<NavGroup> {
    let places = vec![
        NavItem::new("Dashboard", ws.url(""), "home").key("g d"),
        NavItem::new("Review", ws.url("review"), "inbox").loud().key("g r"),
        NavItem::new("Activity", ws.url("activity"), "pulse").key("g l"),
    ];
    let work = vec![NavItem::new("Tasks", ws.url("tasks"), "tasks").key("g t")];
    let agents = vec![
        NavItem::new("Agents", ws.url("agents"), "agent").key("g a"),
        NavItem::new("Runs", ws.url("runs"), "play").key("g u"),
    ];
    let mut fleet = NavGroup::new("Agents", agents);
    if who.access.may(Can::Agents) {
        fleet = fleet.add("New agent", ws.url("agents/new"));
    }
    vec![NavGroup::new("", places), NavGroup::new("Work", work), fleet]
}

fn tabs(ws: &Ws) -> Vec<NavItem> {
    vec![
        NavItem::new("Home", ws.url(""), "home"),
        NavItem::new("Review", ws.url("review"), "inbox"),
        NavItem::new("Tasks", ws.url("tasks"), "tasks"),
        NavItem::new("Agents", ws.url("agents"), "agent"),
    ]
}
