//! Screenshots of an agent's browser at the calls of a run, and the page to browse them.

use std::collections::HashMap;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use axum::response::Response;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::runs::looking;
use app::Ws;
use features::browsers::model::{BrowserShot, Picture};
use features::browsers::queries as browsers;
use features::runs::model::{CallStatus, Run};
use features::runs::queries::doing::{arguments, doing};
use features::runs::queries::steps::{self, CallState, Step, Steps, ToolCall, What};
use features::trust::model::BROWSER;
use kernel::{RunId, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Path, Path2, Query};
use web::file::{self, Show as InPlace};
use web::html;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::display::Look;
use super::show::find;

/// Text in place of a picture while capture was paused.
pub(super) const DARK: &str = "Hidden while a password was typed.";
/// Text in place of an expired picture.
pub(super) const GONE: &str = "This screenshot is gone. Screenshots are kept for 14 days.";

/// Browser actions after which no screenshot is taken.
const NONE: [&str; 5] = ["tabs", "close", "snapshot", "screenshot", "dialog"];

/// The screenshots of a run, by call number.
pub(super) fn of_run(tx: &dyn Read, run: RunId) -> Result<HashMap<u32, BrowserShot>, StoreError> {
    Ok(browsers::shots(tx, run)?.into_iter().map(|shot| (shot.step, shot)).collect())
}

/// Whether a call's screenshot has expired.
pub(super) fn is_gone(now: Timestamp, at: Timestamp, call: &ToolCall) -> bool {
    let age = SignedDuration::from_hours(24 * browsers::SHOT_DAYS);
    let args = arguments(call);
    let has_none = args.get("action").is_none_or(|action| NONE.iter().any(|one| action == one));
    !has_none && call.state == CallState::Ended(CallStatus::Ok) && age <= now.duration_since(at)
}

/// `GET /runs/{name}/calls/{n}/page`: the page after a call.
pub(in crate::runs) async fn after(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    picture(&ws, &who, (&name, n), &headers, |shot| shot.after).await
}

/// `GET /runs/{name}/calls/{n}/asked`: the page when approval of a call was requested.
pub(in crate::runs) async fn requested(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    picture(&ws, &who, (&name, n), &headers, |shot| shot.asked).await
}

async fn picture(
    ws: &Ws,
    who: &Person,
    (name, n): (&str, u32),
    headers: &HeaderMap,
    which: fn(BrowserShot) -> Option<Picture>,
) -> Result<Response, PageError> {
    let run = find(ws, who, name)?;
    looking::note(ws, who, run.session).await?;
    let shot = ws.read(|snap| snap.get::<BrowserShot>((run.id, n)))?;
    let picture = shot.and_then(which).ok_or_else(|| PageError::not_found("This picture"))?;
    let name = format!("{}-call-{n}", run.name());
    let mut response = file::serve(ws, (&name, picture.id), InPlace::InPlace, headers).await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The selected picture.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct At {
    at: Option<u32>,
}

/// A screenshot after a call.
struct Leaf {
    /// Number of the call.
    n: u32,
    /// The action in words.
    told: String,
    at: RelTime,
    took: String,
    /// Address of this picture's page.
    href: String,
    /// Address of the picture; empty if there is none.
    picture: String,
    /// Address of the step on the run's page.
    step: String,
}

#[derive(Template)]
#[template(path = "runs/pages.html")]
struct Leaves {
    shell: Shell,
    name: String,
    href: String,
    /// Style and script of the browser pages.
    files: (&'static str, &'static str),
    dark: &'static str,
    leaves: Vec<Leaf>,
    shown: usize,
}

impl Leaves {
    /// The selected picture.
    fn leaf(&self) -> Option<&Leaf> {
        self.leaves.get(self.shown)
    }

    fn before(&self) -> Option<&Leaf> {
        self.shown.checked_sub(1).and_then(|at| self.leaves.get(at))
    }

    fn next(&self) -> Option<&Leaf> {
        self.leaves.get(self.shown + 1)
    }
}

/// `GET /runs/{name}/pages`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    Query(wanted): Query<At>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let href = ws.url(&format!("runs/{}", run.name()));
    let leaves = ws.read(|snap| leaves(snap, &Look::new(snap, &ws, &who)?, &run, &href))?;
    let last = leaves.len().saturating_sub(1);
    let shown = leaves.iter().position(|leaf| Some(leaf.n) == wanted.at).unwrap_or(last);
    html::page(&Leaves {
        shell,
        name: run.name(),
        href,
        files: (web::assets::more("browser.css"), web::assets::more("browser.js")),
        dark: DARK,
        leaves,
        shown,
    })
}

fn leaves(tx: &dyn Read, look: &Look<'_>, run: &Run, href: &str) -> Result<Vec<Leaf>, StoreError> {
    let shots = of_run(tx, run.id)?;
    let events = steps::events_of(tx, run)?;
    let all = Steps::fold(run.first_event, events, &|body| look.whole(body)).all;
    Ok(all.iter().filter_map(|step| leaf(look, step, &shots, href)).collect())
}

/// A step with a picture, or with capture paused.
fn leaf(
    look: &Look<'_>,
    step: &Step,
    shots: &HashMap<u32, BrowserShot>,
    href: &str,
) -> Option<Leaf> {
    let What::Tool(call) = &step.what else { return None };
    let shot = shots.get(&call.step).filter(|_| call.name == BROWSER)?;
    if shot.after.is_none() && !shot.is_dark {
        return None;
    }
    let action = doing(call);
    let what = match shot.name.as_str() {
        "" => action.what,
        name => format!("“{name}”"),
    };
    let took = step.millis.map(std::time::Duration::from_millis).map(web::format::duration);
    Some(Leaf {
        n: call.step,
        told: format!("{} {what}", action.verb).trim_end().to_owned(),
        at: look.time(step.at),
        took: took.unwrap_or_default(),
        href: format!("{href}/pages?at={}", call.step),
        picture: match shot.after {
            Some(_) => format!("{href}/calls/{}/page", call.step),
            None => String::new(),
        },
        step: format!("{href}#s-{}", step.key),
    })
}
