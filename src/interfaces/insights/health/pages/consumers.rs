//! Consumers and their dead letters on the health page.

use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Ws};
use features::global_search::queries::standing as index;
use kernel::Problem;
use store::StoreError;
use store::consumer::{Rebuilding, Standing};
use web::error::PageError;
use web::extract::{Form, Path2};
use web::flash;
use web::form::sentence;
use web::format;
use web::hx::Hx;
use web::parts::Dot;
use web::session::Person;
use web::shell::Flash;
use web::time::RelTime;

use super::super::api::{giving_up, named};
use features::health::queries::{self, letters::Teller};
use features::health::rules::{self, Act, HealthError};

/// Maximum number of dead letters on the page.
const MAX_LETTERS: usize = 50;

/// A consumer as a row.
pub(super) struct ConsumerRow {
    pub name: &'static str,
    pub dot: Dot,
    pub lag: String,
    pub place: String,
    pub error: String,
    /// Whether the error needs attention.
    pub is_troubled: bool,
    pub paused: bool,
    pub is_behind: bool,
    pub can_rebuild: bool,
    pub can_rewind: bool,
    pub can_pause: bool,
    pub cursor: u64,
    /// The next entry, which a skip refers to.
    pub next: u64,
    pub url: String,
}

/// A dead letter as a row.
pub(super) struct LetterRow {
    pub consumer: &'static str,
    pub seq: u64,
    pub said: String,
    pub error: String,
    pub at: RelTime,
    pub url: String,
    pub audit: String,
}

/// Cursor of the dead letters; from the first if no consumer is named.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    consumer: String,
    after: u64,
}

impl Place {
    /// The query of this position; empty for the first page.
    pub(super) fn query(&self) -> String {
        match self.consumer.is_empty() {
            true => String::new(),
            false => query(&self.consumer, self.after),
        }
    }
}

fn query(consumer: &str, after: u64) -> String {
    format!("?consumer={}&after={after}", format::query_value(consumer))
}

/// Consumers and a page of dead letters.
pub(super) struct Rows {
    pub consumers: Vec<ConsumerRow>,
    pub letters: Vec<LetterRow>,
    /// Total number of dead letters.
    pub all_letters: usize,
    /// Address of the first page; empty if it is shown.
    pub first: String,
    /// Address of the next page; empty at the end.
    pub next: String,
}

/// All consumers, and the dead letters after a position.
pub(super) fn rows(app: &App, ws: &Ws, zone: &TimeZone, place: &Place) -> Result<Rows, StoreError> {
    let (now, all) = (app.clock.now(), queries::consumers(ws)?);
    let at = all.iter().position(|one| one.name == place.consumer);
    let passed = |n: usize, seq: u64| at.is_some_and(|at| (n, seq) <= (at, place.after));
    let mut shown = Vec::new();
    for (n, one) in all.iter().enumerate() {
        let dead = one.dead.iter().filter(|(seq, _)| !passed(n, *seq));
        shown.extend(dead.map(|(seq, letter)| (one.name, *seq, letter)));
    }
    let is_more = MAX_LETTERS < shown.len();
    shown.truncate(MAX_LETTERS);
    let link = |behind: &str| format!("{}{behind}#dead", ws.url("settings/health"));
    let last = shown.last().filter(|_| is_more);
    let next = last.map(|(name, seq, _)| link(&query(name, *seq))).unwrap_or_default();
    let letters = ws.read(|snap| {
        let teller = Teller::new(snap, ws.store.schema());
        let letters = shown.iter().map(|&(consumer, seq, letter)| LetterRow {
            consumer,
            seq,
            said: teller.describe(seq),
            error: sentence(&letter.error),
            at: RelTime::new(kernel::time::from_ms(letter.at), now, zone),
            url: ws.url(&format!("settings/health/dead-letters/{consumer}/{seq}")),
            audit: ws.url(&format!("settings/audit?before={}", before(ws, seq))),
        });
        Ok::<_, StoreError>(letters.collect())
    })?;
    Ok(Rows {
        letters,
        all_letters: all.iter().map(|one| one.dead.len()).sum(),
        first: at.map(|_| link("")).unwrap_or_default(),
        next,
        consumers: all.into_iter().map(|one| row(ws, one, now.as_millisecond())).collect(),
    })
}

/// The cursor whose page begins with this entry.
fn before(ws: &Ws, seq: u64) -> store::Cursor {
    store::Cursor { incarnation: ws.store.incarnation(), seq: seq + 1 }
}

fn row(ws: &Ws, one: Standing, now: i64) -> ConsumerRow {
    let dot = if one.state.paused {
        Dot::new("paused", "Stopped")
    } else if one.state.tries > 0 {
        Dot::new("waiting", format!("Retrying, {} of 5", one.state.tries))
    } else if let Some(rebuilding) = &one.rebuilding {
        Dot::new("working", rebuilding_words(rebuilding))
    } else if one.behind > 0 {
        Dot::new("working", "Catching up")
    } else {
        Dot::new("healthy", "Up to date")
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
    let is_troubled = one.is_troubled();
    ConsumerRow {
        name: one.name,
        dot,
        lag,
        place: format!("{} of {}", one.state.cursor, one.head),
        error: one.state.last_error.map(|error| sentence(&error)).unwrap_or_default(),
        is_troubled,
        paused: one.state.paused,
        is_behind: one.can_pause && one.behind > 0,
        can_rebuild: one.can_rebuild,
        can_rewind: one.can_rewind,
        can_pause: one.can_pause,
        cursor: one.state.cursor,
        next: one.state.cursor + 1,
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

#[derive(Deserialize)]
pub(super) struct ActForm {
    /// For a rewind.
    #[serde(default)]
    to: String,
    /// For a skip: the entry that the page showed as the next one.
    #[serde(default)]
    entry: String,
}

impl ActForm {
    /// The entry that the action concerns.
    fn about(&self, word: &str) -> Result<Option<u64>, HealthError> {
        let (field, text) = match word {
            "skip" => ("entry", self.entry.trim()),
            _ => ("to", self.to.trim()),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let message = "enter an entry number".to_owned();
        text.parse().map(Some).map_err(|_| HealthError::Field { field, message })
    }
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
        let act = Act::from_word(&word, form.about(&word)?)?;
        if name == index::NAME {
            let at = rules::index_stands(&ws).await?;
            ws.write(&who, move |tx| rules::steer_index(tx, act, at)).await?;
            ws.finding.tell();
            return Ok(format!("You {} the search index.", act.done()));
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
            ws.finding.tell();
        }
        Ok::<_, HealthError>(format!("The {name} processed entry {seq}."))
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
        Ok::<_, HealthError>(format!("Entry {seq} dropped."))
    };
    back(&app, &ws, &hx, done.await)
}

/// Redirects to the page with the result or the reason of a refusal.
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
            let text = format!("That didn’t work: {}", sentence(&error.to_string()));
            Ok(flash::say(app, Flash::danger(text), hx.go_to(&page)))
        }
        Err(error) => Err(PageError(web::error::Failure::of(&error as &dyn Problem))),
    }
}
