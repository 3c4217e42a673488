//! Settings, Health: state of each part, the consumers, the store.

mod consumers;
mod store;

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use kernel::Can;
use web::error::PageError;
use web::extract::Query;
use web::html;
use web::parts::Dot;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Shell;

use features::health::queries::{self, How};

use consumers::{Place, Rows};
use store::{SizesView, WorkView};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/health", show.needs(Can::Admin))
        .get("/settings/health/now", now.needs(Can::Admin))
        .post("/settings/health/consumers/{name}/{act}", consumers::act.needs(Can::Admin))
        .post("/settings/health/dead-letters/{name}/{n}/retry", consumers::retry.needs(Can::Admin))
        .post("/settings/health/dead-letters/{name}/{n}/drop", consumers::forget.needs(Can::Admin))
        .get("/settings/health/store", store::show.needs(Can::Admin))
        .post("/settings/health/store/{work}", store::begin.needs(Can::Admin))
}

struct PartRow {
    title: &'static str,
    dot: Dot,
    said: String,
}

/// The current state.
struct Now {
    url: String,
    how: &'static str,
    tone: &'static str,
    parts: Vec<PartRow>,
    rows: Rows,
}

/// The region that refreshes.
#[derive(Template)]
#[template(path = "health/_now.html")]
struct Region {
    now: Now,
}

#[derive(Template)]
#[template(path = "health/show.html")]
struct Show {
    shell: Shell,
    here: &'static str,
    now: Now,
    works: Vec<WorkView>,
    sizes: SizesView,
}

fn state_now(app: &App, ws: &Ws, who: &Person, place: &Place) -> Result<Now, PageError> {
    let parts = queries::parts(app, ws, who.account)?;
    let (how, tone) = match queries::worst(&parts) {
        How::Ok => ("Everything is working", "ok"),
        How::Degraded => ("Something needs attention", "warn"),
        How::Down => ("Something is down", "danger"),
    };
    let row = |part: queries::Part| PartRow {
        title: part.title,
        dot: Dot::new(part.how.state(), part.how.label()),
        said: web::form::sentence(&part.said),
    };
    Ok(Now {
        url: ws.url(&format!("settings/health/now{}", place.query())),
        how,
        tone,
        parts: parts.into_iter().map(row).collect(),
        rows: consumers::rows(app, ws, &who.time_zone(), place)?,
    })
}

async fn now(
    app: App,
    ws: Ws,
    who: Person,
    Query(place): Query<Place>,
) -> Result<Response, PageError> {
    let now = ws.read_blocking(move |ws| state_now(&app, ws, &who, &place)).await?;
    html::fragment(&Region { now })
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(place): Query<Place>,
) -> Result<Response, PageError> {
    let shown = ws.read_blocking(move |ws| {
        let (now, works) = (state_now(&app, ws, &who, &place)?, store::works(&app, ws, &who)?);
        Ok::<_, PageError>(Show {
            here: "health",
            now,
            works,
            sizes: store::sizes(&app, ws),
            shell,
        })
    });
    html::page(&shown.await?)
}
