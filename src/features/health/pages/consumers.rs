//! The consumers and what they gave up, on the health page.

use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::audit::queries::told_or_why;
use crate::features::finder::queries::standing as index;
use crate::kernel::Problem;
use crate::store::StoreError;
use crate::store::consumer::{Rebuilding, Standing};
use crate::web::error::PageError;
use crate::web::extract::{Form, Path2};
use crate::web::flash;
use crate::web::form::sentence;
use crate::web::format;
use crate::web::hx::Hx;
use crate::web::parts::Dot;
use crate::web::session::Person;
use crate::web::shell::Flash;
use crate::web::time::RelTime;

use super::super::api::{giving_up, named};
use super::super::queries;
use super::super::rules::{self, Act, HealthError};

/// How many dead letters the page shows.
const MAX_LETTERS: usize = 50;

/// A consumer as a row of the page.
pub(super) struct ConsumerRow {
    pub name: &'static str,
    pub dot: Dot,
    pub lag: String,
    pub place: String,
    pub error: String,
    pub paused: bool,
    pub is_behind: bool,
    pub can_rebuild: bool,
    pub can_rewind: bool,
    pub can_pause: bool,
    pub cursor: u64,
    pub url: String,
}

/// An entry that was given up, as a row of the page.
pub(super) struct LetterRow {
    pub consumer: &'static str,
    pub seq: u64,
    pub said: String,
    pub error: String,
    pub at: RelTime,
    pub url: String,
    pub audit: String,
}

/// All rows, and how many dead letters are not shown.
pub(super) fn rows(
    app: &App,
    ws: &Ws,
    zone: &TimeZone,
) -> Result<(Vec<ConsumerRow>, Vec<LetterRow>, usize), StoreError> {
    let now = app.clock.now();
    let (mut rows, mut letters, mut all) = (Vec::new(), Vec::new(), 0);
    for one in queries::consumers(ws)? {
        all += one.dead.len();
        for (seq, letter) in &one.dead {
            if letters.len() < MAX_LETTERS {
                letters.push(LetterRow {
                    consumer: one.name,
                    seq: *seq,
                    said: told_or_why(ws, *seq),
                    error: sentence(&letter.error),
                    at: RelTime::new(crate::kernel::time::from_ms(letter.at), now, zone),
                    url: ws.url(&format!("settings/health/dead-letters/{}/{seq}", one.name)),
                    audit: ws.url(&format!("settings/audit?before={}", before(ws, *seq))),
                });
            }
        }
        rows.push(row(ws, one, now.as_millisecond()));
    }
    let more = all - letters.len();
    Ok((rows, letters, more))
}

/// The cursor whose page begins with this entry.
fn before(ws: &Ws, seq: u64) -> crate::store::Cursor {
    crate::store::Cursor { incarnation: ws.store.incarnation(), seq: seq + 1 }
}

fn row(ws: &Ws, one: Standing, now: i64) -> ConsumerRow {
    let dot = if one.state.paused {
        Dot::new("paused", "Stands still")
    } else if one.state.tries > 0 {
        Dot::new("waiting", format!("Tries again, {} of 5", one.state.tries))
    } else if let Some(rebuilding) = &one.rebuilding {
        Dot::new("working", rebuilding_words(rebuilding))
    } else if one.behind > 0 {
        Dot::new("working", "Catching up")
    } else {
        Dot::new("healthy", "Follows")
    };
    let age = one.behind_since.filter(|_| one.behind > 0);
    let age = age.map(|at| std::time::Duration::from_millis((now - at).max(0).unsigned_abs()));
    let lag = match age {
        Some(age) => {
            let n = format::count(one.behind, "entry", "entries");
            format!("{n}, {}", format::duration(age))
        }
        None => "none".to_owned(),
    };
    ConsumerRow {
        name: one.name,
        dot,
        lag,
        place: format!("{} of {}", one.state.cursor, one.head),
        error: one.state.last_error.map(|error| sentence(&error)).unwrap_or_default(),
        paused: one.state.paused,
        is_behind: one.can_pause && one.behind > 0,
        can_rebuild: one.can_rebuild,
        can_rewind: one.can_rewind,
        can_pause: one.can_pause,
        cursor: one.state.cursor,
        url: ws.url(&format!("settings/health/consumers/{}", one.name)),
    }
}

fn rebuilding_words(rebuilding: &Rebuilding) -> String {
    match rebuilding {
        Rebuilding::Clearing => "Rebuilding: clearing".to_owned(),
        Rebuilding::Reading { rows, .. } => {
            format!("Rebuilding: {} rows read", format::grouped(*rows))
        }
    }
}

/// With what.
#[derive(Deserialize)]
pub(super) struct ActForm {
    /// For a rewind.
    #[serde(default)]
    to: String,
}

pub(super) async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, word): Path2<String, String>,
    Form(form): Form<ActForm>,
) -> Result<Response, PageError> {
    let done = async {
        let to = match form.to.trim() {
            "" => None,
            text => {
                let message = "write the number of an entry".to_owned();
                let wrong = |_| HealthError::Field { field: "to", message };
                Some(text.parse().map_err(wrong)?)
            }
        };
        let act = Act::from_word(&word, to)?;
        if name == index::NAME {
            ws.write(&who, move |tx| rules::rebuild_index(tx, act)).await?;
            ws.finding.begin_anew();
            return Ok("The search index is made anew.".to_owned());
        }
        let consumer = named(&app, &name)?;
        ws.write(&who, move |tx| rules::act(tx, &*consumer, act)).await?;
        app.consumers.nudge();
        Ok::<_, HealthError>(format!("You {} the {name}.", act.done()))
    };
    back(&app, &ws, &hx, done.await)
}

pub(super) async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, seq): Path2<String, u64>,
) -> Result<Response, PageError> {
    let done = async {
        let consumer = giving_up(&app, &name)?;
        let tried = ws.write(&who, move |tx| rules::retry(tx, &*consumer, seq)).await?;
        tried.map_err(HealthError::Refused)?;
        if name == index::NAME {
            ws.finding.begin_anew();
        }
        Ok::<_, HealthError>(format!("The {name} has taken entry {seq}."))
    };
    back(&app, &ws, &hx, done.await)
}

pub(super) async fn forget(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, seq): Path2<String, u64>,
) -> Result<Response, PageError> {
    let done = async {
        let consumer = giving_up(&app, &name)?;
        ws.write(&who, move |tx| rules::drop_letter(tx, &*consumer, seq)).await?;
        Ok::<_, HealthError>(format!("Entry {seq} is dropped."))
    };
    back(&app, &ws, &hx, done.await)
}

/// Back to the page, with what was done or why it was not.
fn back(
    app: &App,
    ws: &Ws,
    hx: &Hx,
    done: Result<String, HealthError>,
) -> Result<Response, PageError> {
    let page = ws.url("settings/health");
    match done {
        Ok(text) => Ok(flash::say(app, Flash::ok(text), hx.go_to(&page))),
        Err(error @ (HealthError::Refused(_) | HealthError::Field { .. })) => {
            let text = format!("That did not work: {}", sentence(&error.to_string()));
            Ok(flash::say(app, Flash::danger(text), hx.go_to(&page)))
        }
        Err(error) => Err(PageError(crate::web::error::Failure::of(&error as &dyn Problem))),
    }
}
