//! The pane beside the browser view: recent actions of the run that used the browser last, and downloads.

use askama::Template;
use jiff::tz::TimeZone;

use app::Ws;
use browser::downloads::{Download, DownloadState};
use features::agents::model::Agent;
use features::browsers::model::BROWSER_SHOTS;
use features::browsers::queries as browsers;
use features::runs::model::{RUNS, Run};
use features::runs::queries::doing::doing;
use features::runs::queries::steps::{self, Steps, What};
use features::runs::queries::talk;
use features::trust::model::BROWSER;
use kernel::{Can, RunId, TypedId as _};
use store::{Read, ReadExt, StoreError};
use web::format;
use web::live::Live;
use web::session::Person;
use web::time::RelTime;

/// Id of the region.
pub(super) const REGION: &str = "browser-side";
/// Number of the newest actions shown.
const ACTS: usize = 12;

/// An action.
struct Done {
    glyph: &'static str,
    told: String,
    at: RelTime,
    /// Address of the step on the run's page.
    href: String,
}

/// A downloaded file.
struct Came {
    name: String,
    /// The size, or the state of the download.
    says: String,
    /// Address of the file; empty until complete.
    href: String,
}

/// The region.
#[derive(Template)]
#[template(path = "agents/_browser_side.html")]
pub(super) struct Side {
    region: &'static str,
    live: Live,
    /// Name and address of the run that used the browser last; empty if none is visible.
    run: (String, String),
    acts: Vec<Done>,
    downloads: Vec<Came>,
}

/// Reads what this person may see.
pub(super) async fn read(ws: &Ws, who: &Person, agent: &Agent) -> Result<Side, StoreError> {
    let page = ws.url(&format!("agents/{}/browser", agent.slug));
    let last = ws.app.browsers.last(ws.browser_of(agent.id)).map(|last| last.run);
    let (run, acts) = match last {
        Some(run) => {
            let by = who.clone();
            let acts = move |ws: &Ws| ws.read(|snap| acts(snap, ws, &by, RunId::from_uuid(run)));
            ws.read_blocking(acts).await?
        }
        None => Default::default(),
    };
    // Downloads require the right to take control.
    let downloads = match who.access.may(Can::Agents) {
        true => super::downloads(ws, who, agent.id)?,
        false => Vec::new(),
    };
    let came = downloads.into_iter().rev().map(|one| came(&page, one));
    Ok(Side {
        region: REGION,
        run,
        acts,
        downloads: came.collect(),
        live: Live::new(page.clone()).table(RUNS.name).table(BROWSER_SHOTS.name).debounced(),
    })
}

/// The newest actions of a run in the browser, newest first, worded as on the run's page.
fn acts(
    tx: &dyn Read,
    ws: &Ws,
    who: &Person,
    run: RunId,
) -> Result<((String, String), Vec<Done>), StoreError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(Default::default()) };
    if !talk::may_see_run(tx, &run, who.account, who.role)? {
        return Ok(Default::default());
    }
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let href = ws.url(&format!("runs/{}", run.name()));
    let shots = browsers::shots(tx, run.id)?;
    let events = steps::events_of(tx, &run)?;
    let steps = Steps::fold(run.first_event, events, &|_| None);
    let calls = steps.all.iter().rev().filter_map(|step| match &step.what {
        What::Tool(call) if call.name == BROWSER => Some((step, call)),
        _ => None,
    });
    let acts = calls.take(ACTS).map(|(step, call)| {
        let action = doing(call);
        let shot = shots.iter().find(|shot| shot.step == call.step && !shot.name.is_empty());
        let what = shot.map_or(action.what, |shot| format!("“{}”", shot.name));
        Done {
            glyph: action.icon,
            told: format!("{} {what}", action.verb).trim_end().to_owned(),
            at: RelTime::new(step.at, now, &zone),
            href: format!("{href}#s-{}", step.key),
        }
    });
    let acts = acts.collect();
    Ok(((run.name(), href), acts))
}

fn came(page: &str, one: Download) -> Came {
    let size = format::size(one.bytes);
    let (says, is_there) = match one.state {
        DownloadState::Done => (size, true),
        DownloadState::Running => (format!("{size} so far"), false),
        DownloadState::Failed => ("Interrupted".to_owned(), false),
        DownloadState::TooLarge => ("Too large".to_owned(), false),
    };
    let href = if is_there { format!("{page}/downloads/{}", one.file) } else { String::new() };
    Came { name: one.name, says, href }
}
