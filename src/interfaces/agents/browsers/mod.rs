//! Access of people and API clients to agents' browsers. The agents' own tool is in the runtime.
//!
//! A tab belongs to the run that used it last. A person who may not see that run sees neither the tab nor a picture of
//! it.

pub mod api;
mod asks;
pub mod pages;
mod side;
mod view;

use std::collections::HashSet;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;

use app::Ws;
use browser::BrowserError;
use browser::act::Shot;
use browser::doctor::{self, Need};
use browser::downloads::{Download, DownloadState};
use browser::hang;
use browser::launch::Browser;
use browser::page::{self, Page};
use browser::tabs::TabInfo;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::browsers::queries;
use features::runs::model::Run;
use features::runs::queries::talk;
use kernel::{AgentId, Can, Problem, ProblemKind, Role, RunId, TypedId as _};
use store::{ReadExt, StoreError};
use web::error::PageError;
use web::file::{self, Show};
use web::session::Person;

/// How long opening an address waits before responding.
const COMES_WITHIN: Duration = Duration::from_secs(5);

/// The state of an agent's browser, as a person may see it.
struct State {
    is_on: bool,
    is_running: bool,
    /// The person in control; `None` while the agent acts.
    driver: Option<String>,
    /// Whether capture is paused because a credential is being typed.
    is_dark: bool,
    tabs: Vec<TabInfo>,
    /// Number of tabs that the person may not see.
    hidden: usize,
    /// What this machine lacks for a browser.
    needs: Vec<Need>,
}

fn found(ws: &Ws, name: &str) -> Result<Option<Agent>, StoreError> {
    ws.read(|snap| agents::by_name(snap, name))
}

async fn state(ws: &Ws, who: &Person, agent: &Agent) -> Result<State, StoreError> {
    let is_on = ws.read(|snap| queries::is_switched_on(snap, agent.id))?;
    let browser = ws.app.browsers.get(ws.browser_of(agent.id));
    let open = browser.as_ref().map_or_else(Vec::new, Browser::open_tabs);
    let all = open.len();
    let tabs = seen(ws, who, agent.id, open)?;
    let mut setup = ws.browser_setup(&agent.slug);
    // The doctor creates the folder, so check with the parent of all browsers' folders.
    setup.folder.pop();
    let needs = ws.read_blocking(move |_| Ok::<_, StoreError>(doctor::inspect(&setup))).await?;
    let standing = ws.app.browsers.stage(ws.browser_of(agent.id)).map(|stage| stage.standing());
    let standing = standing.unwrap_or_default();
    Ok(State {
        is_on,
        is_running: browser.is_some_and(|browser| browser.is_running()),
        driver: standing.driver.map(|driver| driver.name),
        is_dark: standing.dark.is_some(),
        hidden: all - tabs.len(),
        tabs,
        needs: needs.into_iter().filter(|need| !need.is_met).collect(),
    })
}

/// The tabs that a person may see. A tab that no run has used, such as a pop-up, is visible to those who see all
/// others.
struct Sight {
    used: HashSet<u32>,
    hidden: HashSet<u32>,
}

impl Sight {
    fn of(ws: &Ws, who: &Person, agent: AgentId) -> Result<Self, StoreError> {
        let runs = ws.app.browsers.runs(ws.browser_of(agent));
        let mut hidden = HashSet::new();
        ws.read(|snap| {
            for (tab, run) in &runs {
                let may = match snap.get::<Run>(RunId::from_uuid(*run))? {
                    Some(run) => talk::may_see_run(snap, &run, who.account, who.role)?,
                    None => matches!(who.role, Role::Owner | Role::Admin),
                };
                if !may {
                    hidden.insert(*tab);
                }
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(Self { used: runs.into_keys().collect(), hidden })
    }

    fn has(&self, tab: Option<u32>) -> bool {
        match tab.filter(|tab| self.used.contains(tab)) {
            Some(tab) => !self.hidden.contains(&tab),
            None => self.hidden.is_empty(),
        }
    }
}

/// The open tabs that this person may see, with hidden details while a credential is being typed.
fn seen(
    ws: &Ws,
    who: &Person,
    agent: AgentId,
    mut open: Vec<TabInfo>,
) -> Result<Vec<TabInfo>, StoreError> {
    let sight = Sight::of(ws, who, agent)?;
    open.retain(|tab| sight.has(Some(tab.number)));
    let stage = ws.app.browsers.stage(ws.browser_of(agent));
    Ok(match stage {
        Some(stage) => stage.withhold(Some(who.account.uuid()), open),
        None => open,
    })
}

/// Downloads since the start of HQ, from tabs that this person may see.
fn downloads(ws: &Ws, who: &Person, agent: AgentId) -> Result<Vec<Download>, StoreError> {
    let browser = ws.app.browsers.get(ws.browser_of(agent));
    let mut all = browser.as_ref().map_or_else(Vec::new, Browser::downloads);
    let sight = Sight::of(ws, who, agent)?;
    all.retain(|one| sight.has(one.tab));
    Ok(all)
}

/// Serves a completed download.
async fn download(
    (ws, who): (&Ws, &Person),
    agent: AgentId,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let gone = || PageError::not_found("This download");
    let is_it = |one: &Download| one.file == id && one.state == DownloadState::Done;
    let one = downloads(ws, who, agent)?.into_iter().find(is_it).ok_or_else(gone)?;
    let browser = ws.app.browsers.get(ws.browser_of(agent)).ok_or_else(gone)?;
    // The file name comes from the browser, never from the request.
    let path = browser.setup().downloads().join(&one.file);
    let file = tokio::fs::File::open(path).await.map_err(|_missing| gone())?;
    file::serve_open(&one.name, file, Show::Download, headers).await
}

/// The active tab, or the front tab, or the newest one, if this person may see it.
fn shown(ws: &Ws, who: &Person, agent: AgentId) -> Result<Option<Page>, StoreError> {
    let key = ws.browser_of(agent);
    let Some(browser) = ws.app.browsers.get(key) else { return Ok(None) };
    let open = browser.open_tabs();
    let last = ws.app.browsers.stage(key).and_then(|stage| stage.standing().tab);
    let last = last.filter(|number| open.iter().any(|tab| tab.number == *number));
    let last = last.or_else(|| browser.front());
    let Some(number) = last.or_else(|| open.last().map(|tab| tab.number)) else { return Ok(None) };
    let is_seen = seen(ws, who, agent, open)?.iter().any(|tab| tab.number == number);
    Ok(if is_seen { browser.open_page(number) } else { None })
}

/// A screenshot of a tab, unless capture is paused.
async fn picture(
    ws: &Ws,
    agent: AgentId,
    page: &Page,
    shot: Shot,
) -> Result<Vec<u8>, BrowserError> {
    let key = ws.browser_of(agent);
    let stage = ws.app.browsers.stage(key).ok_or(BrowserError::Ended)?;
    let light = stage.light();
    if stage.is_dark() {
        return Err(BrowserError::Hidden);
    }
    let picture = hang::in_time(hang::ACT_WITHIN, page.screenshot(shot)).await;
    // Capture may have been paused in the meantime.
    if stage.light() == light { picture } else { Err(BrowserError::Hidden) }
}

/// Refuses to end the browser while another person is in control.
fn not_driven(ws: &Ws, who: &Person, agent: AgentId) -> Result<(), BrowserError> {
    let stage = ws.app.browsers.stage(ws.browser_of(agent));
    match stage.and_then(|stage| stage.standing().driver) {
        Some(driver) if driver.who != who.account.uuid() && !who.access.may(Can::Admin) => {
            Err(BrowserError::HumanInControl(driver.name))
        }
        _ => Ok(()),
    }
}

/// Starts the browser and opens an address in a new tab.
async fn open(ws: &Ws, agent: &Agent, url: &str) -> Result<(), OpenError> {
    if !ws.read(|snap| queries::is_on(snap, &[agent.id]))? {
        return Err(OpenError::Off);
    }
    let url = match url.trim() {
        "" => None,
        url => Some(page::address(url)?),
    };
    let browser = ws.browser(agent.id, &agent.slug).await.map_err(OpenError::NoWay)?;
    ws.app.browsers.make_room(ws.browser_of(agent.id)).await;
    browser.start().await?;
    let Some(url) = url else { return Ok(()) };
    let page = browser.open_blank().await?;
    if let Some(stage) = ws.app.browsers.stage(ws.browser_of(agent.id)) {
        stage.work_in(page.number());
    }
    // The picture shows whether the page loads.
    if let Err(error) = page.navigate_within(&url, COMES_WITHIN).await {
        tracing::debug!(code = error.code(), "an address did not come");
    }
    Ok(())
}

/// Why a browser cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    /// The browser is switched off.
    #[error("this agent's browser is off; turn it on first")]
    Off,
    /// The browser has no network access.
    #[error("couldn't start the browser's proxy: {0}")]
    NoWay(#[source] std::io::Error),
    #[error(transparent)]
    Browser(#[from] BrowserError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Off => "browser_off",
            Self::NoWay(_) => "way_out_failed",
            Self::Browser(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Off => ProblemKind::Conflict,
            Self::NoWay(_) => ProblemKind::Unavailable,
            Self::Browser(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}

/// Stops the browser. Its tabs are restored on the next use.
async fn stop(ws: &Ws, agent: AgentId) {
    if let Some(browser) = ws.app.browsers.get(ws.browser_of(agent)) {
        browser.stop().await;
    }
}

/// Stops the browser and deletes all its data.
async fn reset(ws: &Ws, agent: &Agent) -> Result<(), BrowserError> {
    let browser = ws.app.browsers.get(ws.browser_of(agent.id));
    browser.unwrap_or_else(|| Browser::new(ws.browser_setup(&agent.slug))).reset().await
}
