//! What needs the person's attention, what of it was snoozed or dismissed, and restoring it.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::dashboard::putting;
use app::{App, Ws};
use features::dashboard::model::NEEDS_AWAY;
use features::dashboard::queries::DashboardContext;
use features::dashboard::queries::away;
use features::dashboard::queries::needs::{self, Row};
use features::dashboard::queries::requests;
use features::dashboard::queries::tally::{self, More};
use features::dashboard::rules::NeedError;
use features::notifications::queries::snooze;
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::hx::{Ask, Hx};
use web::live::Live;
use web::session::Person;
use web::shell::Flash;
use web::time::RelTime;

/// A snoozed entry.
struct Later {
    title: String,
    until: RelTime,
    /// Address of "restore".
    back: String,
}

#[derive(Template)]
#[template(path = "dashboard/_needs.html")]
pub(super) struct Needs {
    live: Live,
    rows: Vec<Row>,
    count: String,
    /// Notice of entries without a row; may be empty.
    hidden: String,
    more: Vec<More>,
    /// Snoozed entries.
    later: Vec<Later>,
    review: String,
    /// Base address of the actions.
    base: String,
    /// Address of the dashboard.
    home: String,
}

pub(super) fn draw(
    read: &dyn Read,
    scene: &DashboardContext<'_>,
    found: tally::Needs,
) -> Result<Needs, StoreError> {
    let base = scene.ws.url("needs");
    let later = away::put_off(read, scene.who.account, scene.now)?.into_iter();
    let later = later.map(|(row, until)| Later {
        back: format!("{base}/{}/restore", row.need),
        title: row.title,
        until: scene.time(until),
    });
    Ok(Needs {
        live: live(scene),
        count: found.count.short(),
        hidden: found.hidden.short(),
        more: found.more,
        rows: found.rows,
        later: later.collect(),
        review: scene.ws.url("review"),
        base,
        home: scene.ws.url(""),
    })
}

/// The subscription of the list and its count.
pub(super) fn live(scene: &DashboardContext<'_>) -> Live {
    let live = Live::new(scene.ws.url("")).record(NEEDS_AWAY.name, scene.who.account);
    let live = live.table(requests::TABLE);
    needs::TABLES.iter().fold(live, |live, table| live.table(table.name))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Until {
    /// `hour`, `tomorrow` or `week`.
    until: String,
}

/// `POST /needs/{id}/snooze`
pub(super) async fn put_off(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<String>,
    Form(Until { until }): Form<Until>,
) -> Result<Response, PageError> {
    let until = snooze::until(&until, ws.app.clock.now(), &who.time_zone());
    let until = until.ok_or(NeedError::BadTime)?;
    putting::put_away(&ws, &who, &id, Some(until)).await?;
    Ok(done(&app, (&ws, &who, &hx), &id, "Snoozed."))
}

/// `POST /needs/{id}/dismiss`
pub(super) async fn dismiss(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    putting::put_away(&ws, &who, &id, None).await?;
    Ok(done(&app, (&ws, &who, &hx), &id, "Dismissed."))
}

/// `POST /needs/{id}/restore`
pub(super) async fn restore(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    putting::restore(&ws, &who, id).await?;
    if hx.is_partial() {
        return Ok((Ask::new().changed(NEEDS_AWAY.name, who.account), "").into_response());
    }
    Ok(hx.go_to(&ws.url("")))
}

/// The confirmation of a snooze or dismissal, with undo.
fn done(app: &App, (ws, who, hx): (&Ws, &Person, &Hx), id: &str, words: &str) -> Response {
    if hx.is_partial() {
        let undo = ws.url(&format!("needs/{id}/restore"));
        let ask = Ask::new().toast_with_undo(words, &undo);
        return (ask.changed(NEEDS_AWAY.name, who.account), "").into_response();
    }
    flash::say(app, Flash::ok(words), hx.go_to(&ws.url("")))
}
