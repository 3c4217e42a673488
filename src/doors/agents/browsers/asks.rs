//! What runs of an agent ask people to do in its browser: a region of the browser's page.

use askama::Template;
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{PARKS, RUNS, Run};
use features::runs::queries::questions::{self, Card, Reader};
use features::runs::queries::{park, talk};
use store::{ReadExt, StoreError};
use web::live::Live;
use web::session::Person;

/// The id of the region.
pub(super) const REGION: &str = "browser-asks";

/// The region.
#[derive(Template)]
#[template(path = "agents/_browser_asks.html")]
pub(super) struct Asks {
    region: &'static str,
    live: Live,
    questions: Vec<Card>,
}

/// Reads what this person may see of it.
pub(super) fn read(
    tx: &impl ReadExt,
    ws: &Ws,
    who: &Person,
    agent: &Agent,
) -> Result<Asks, StoreError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let reader = Reader { ws, now, zone: &zone, access: who.access, me: who.account };
    let sees = |run: &Run| match run.agent == agent.id && park::is_at_browser(run) {
        true => talk::may_see_run(tx, run, who.account, who.role),
        false => Ok(false),
    };
    let mut questions = questions::all(tx, &reader, &sees)?;
    // They lead to this very page.
    questions.iter_mut().for_each(|card| card.browser.clear());
    let page = ws.url(&format!("agents/{}/browser", agent.slug));
    let live = Live::new(page).table(PARKS.name).table(RUNS.name);
    Ok(Asks { region: REGION, live, questions })
}
