//! Browser control through the API: tabs, snapshots and actions.
//!
//! An action waits until no other action is in progress, is refused while a person is in control, and is recorded
//! before it executes. The agent is notified at its next action; its last snapshot is unaffected.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use app::Ws;
use browser::BrowserError;
use browser::act::Shot;
use browser::hang;
use browser::launch::Browser;
use browser::live_view::Stage;
use browser::page::Page;
use browser::refs;
use browser::snapshot::Want;
use browser::tabs::TabInfo;
use features::agents::model::Agent;
use features::browsers::{queries, rules};
use kernel::{Can, TypedId as _, WheelAct};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path, Path2, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::{OpenError, picture, seen, shown};
use super::body::{self, ActBody, Kind};
use super::looks::in_light;
use super::news::Before;
use super::{BrowserTab, BrowserView, found, view};

/// How long an action waits for another one to finish.
const WAITS: Duration = Duration::from_secs(10);
/// Maximum number of actions in one request.
const AT_ONCE: usize = 20;
/// Why actions take no `Idempotency-Key`.
pub(super) const ONCE: &str = "an action that was sent is never repeated automatically; check \
    first";

pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/agents/{agent}/browser/start",
            start.needs(Can::Browser).doc(|| {
                Doc::new("Start it with its previous tabs")
                    .no_key("a repeat finds it started")
                    .returns::<BrowserView>()
            }),
        )
        .get(
            "/agents/{agent}/browser/tabs",
            tabs.needs(Can::Browser)
                .doc(|| Doc::new("The open tabs you can see").returns::<BrowserTabs>()),
        )
        .post(
            "/agents/{agent}/browser/tabs",
            open.needs(Can::Browser).doc(|| {
                Doc::new("Open a tab with a URL")
                    .body::<OpenBody>()
                    .no_key(ONCE)
                    .returns::<ActView>()
                    .status(201)
            }),
        )
        .post(
            "/agents/{agent}/browser/tabs/{tab}/focus",
            focus.needs(Can::Browser).doc(|| {
                Doc::new("Make a tab active for viewers and actions")
                    .no_key("a repeat shows the same")
                    .returns::<BrowserTabs>()
            }),
        )
        .delete(
            "/agents/{agent}/browser/tabs/{tab}",
            close.needs(Can::Browser).doc(|| {
                Doc::new("Close a tab").no_key("a tab has its number once").returns::<BrowserTabs>()
            }),
        )
        .get(
            "/agents/{agent}/browser/snapshot",
            snapshot.needs(Can::Browser).doc(|| {
                Doc::new(
                    "A page's contents, one line per element with its ref; texts are the \
                    page's",
                )
                .query::<SnapshotParams>()
                .returns::<LookView>()
            }),
        )
        .get(
            "/agents/{agent}/browser/screenshot",
            screenshot.needs(Can::Browser).doc(|| {
                Doc::new("A screenshot of a page").query::<ScreenshotParams>().media("image/jpeg")
            }),
        )
        .post(
            "/agents/{agent}/browser/act",
            act.needs(Can::Browser).doc(|| {
                Doc::new("Act in a page; 409 human_in_control while a person is in control")
                    .body::<ActBody>()
                    .no_key(ONCE)
                    .returns::<ActView>()
            }),
        )
        .post(
            "/agents/{agent}/browser/act/batch",
            batch.needs(Can::Browser).doc(|| {
                Doc::new("Perform several actions; stops at a refusal or a page change")
                    .body::<BatchBody>()
                    .no_key(ONCE)
                    .returns::<BatchView>()
            }),
        )
}

/// The open tabs of a browser.
#[derive(Serialize, JsonSchema)]
struct BrowserTabs {
    items: Vec<BrowserTab>,
}

/// A tab that is to be opened.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OpenBody {
    /// Empty for an empty tab.
    url: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TabBody {
    /// The number of the tab; without it the one at work.
    pub(super) tab: Option<u32>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SnapshotParams {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    /// Only parts with these words.
    find: Option<String>,
    /// Only what lies in this ref.
    within: Option<String>,
    /// Only parts that can be acted on.
    interactive: Option<bool>,
    /// Only so many levels.
    depth: Option<usize>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ScreenshotParams {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    /// The whole page instead of what is in view, down to 8,000 pixels.
    full: Option<bool>,
    /// Only what is around this ref.
    #[serde(rename = "ref")]
    part: Option<String>,
}

/// What a page shows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserSnapshot")]
struct LookView {
    tab: u32,
    /// A line a part, at most 10 KB.
    text: String,
    /// How many parts there are.
    parts: usize,
    /// How many of them `text` has.
    shown: usize,
}

/// What came of an act.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserActed")]
pub(super) struct ActView {
    tab: u32,
    /// What changed in the page, or all of one that has come; empty when nothing changed.
    text: String,
    /// What happened besides, a line each: dialogs with their answers, tabs, downloads, a page that asks for files or
    /// still loads.
    news: Vec<String>,
    /// Of evaluate: the value, as JSON.
    value: Option<String>,
    /// Whether the page is not told until a form with a credential was sent.
    hidden: bool,
    tabs: Vec<BrowserTab>,
}

/// Acts in their order.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BrowserActs")]
struct BatchBody {
    /// At most 20.
    acts: Vec<ActBody>,
}

/// What came of several acts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserBatch")]
struct BatchView {
    /// Of each act that was done.
    results: Vec<ActView>,
    /// Why the others were not; null when all were done.
    aborted: Option<String>,
}

pub(super) fn listed(tabs: Vec<TabInfo>) -> Vec<BrowserTab> {
    tabs.into_iter().map(BrowserTab::from).collect()
}

/// The open tabs that this person may see.
pub(super) fn open_tabs(ws: &Ws, who: &Person, agent: &Agent) -> Result<Vec<TabInfo>, StoreError> {
    let browser = ws.app.browsers.get(ws.browser_of(agent.id));
    seen(ws, who, agent.id, browser.as_ref().map_or_else(Vec::new, Browser::open_tabs))
}

/// An open tab that this person may see; without a number the active one.
pub(super) fn page(
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    tab: Option<u32>,
) -> Result<Page, ApiError> {
    let Some(number) = tab else {
        let page = shown(ws, who, agent.id)?;
        return page.ok_or_else(|| ApiError::not_found("An open tab"));
    };
    let gone = || BrowserError::NoTab(number);
    let is_seen = open_tabs(ws, who, agent)?.iter().any(|one| one.number == number);
    let browser = ws.app.browsers.get(ws.browser_of(agent.id)).filter(|_| is_seen);
    Ok(browser.and_then(|browser| browser.open_page(number)).ok_or_else(gone)?)
}

/// Refuses an action while a person is in control.
fn free(stage: &Stage) -> Result<(), BrowserError> {
    match stage.standing().driver {
        Some(driver) => Err(BrowserError::HumanInControl(driver.name)),
        None => Ok(()),
    }
}

/// Exclusive use of an agent's browser by one person.
pub(super) struct Turn<'a> {
    pub(super) ws: &'a Ws,
    pub(super) who: &'a Person,
    pub(super) agent: &'a Agent,
    pub(super) browser: Browser,
    pub(super) stage: Arc<Stage>,
    /// Keeps others from acting.
    _held: OwnedMutexGuard<()>,
}

impl<'a> Turn<'a> {
    /// Waits for exclusive use and records who acts.
    pub(super) async fn take(
        ws: &'a Ws,
        who: &'a Person,
        agent: &'a Agent,
    ) -> Result<Self, ApiError> {
        if !ws.read(|snap| queries::is_on(snap, &[agent.id]))? {
            return Err(OpenError::Off.into());
        }
        let browser = ws.browser(agent.id, &agent.slug).await.map_err(OpenError::NoWay)?;
        let key = ws.browser_of(agent.id);
        let stage = ws.app.browsers.stage(key).ok_or(BrowserError::Ended)?;
        free(&stage)?;
        let Ok(turn) = tokio::time::timeout(WAITS, ws.app.browsers.turn(key)).await else {
            free(&stage)?;
            return Err(BrowserError::Busy.into());
        };
        let held = turn.ok_or(BrowserError::Ended)?;
        stage.settle(&browser).await;
        // A person who has typed a credential may submit the form.
        if stage.is_dark() && stage.standing().typed_by != Some(who.account.uuid()) {
            return Err(BrowserError::Hidden.into());
        }
        let id = agent.id;
        ws.write(who, move |tx| rules::note_wheel(tx, id, WheelAct::Acted)).await?;
        ws.app.browsers.make_room(key).await;
        browser.start().await?;
        Ok(Self { ws, who, agent, browser, stage, _held: held })
    }

    /// Carries out an action and notifies the agent. The action is aborted if a person takes control.
    pub(super) async fn does<T>(
        &self,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        self.stage.leave_word(&self.who.name);
        tokio::select! {
            done = work => done,
            () = self.stage.interrupted() => {
                Err(BrowserError::HumanInControl("somebody".to_owned()).into())
            }
        }
    }

    pub(super) fn page(&self, tab: Option<u32>) -> Result<Page, ApiError> {
        let page = page(self.ws, self.who, self.agent, tab)?;
        self.stage.work_in(page.number());
        page.acts_for(self.who.account.uuid());
        Ok(page)
    }

    async fn open(&self, url: &str) -> Result<ActView, ApiError> {
        body::may_open(self.ws, self.agent, url)?;
        let page = self.browser.open_blank().await?;
        self.stage.work_in(page.number());
        page.acts_for(self.who.account.uuid());
        hang::in_time(hang::ACT_WITHIN, self.load(&page, url)).await
    }

    /// Loads an address in a new tab. Closes the tab if the address cannot be loaded.
    async fn load(&self, page: &Page, url: &str) -> Result<ActView, ApiError> {
        let mut before = Before::of(self, page)?;
        if !url.is_empty() {
            match page.navigate(url).await {
                Ok(opened) => before.loads = !opened.is_loaded,
                // The page may still load.
                Err(error @ BrowserError::NotCome { .. }) => return Err(error.into()),
                Err(error) => {
                    // ok: an empty tab is harmless
                    page.close().await.ok();
                    return Err(error.into());
                }
            }
        }
        let text = page.glance(&Want::default()).await?.text;
        self.acted(page, before, text, None)
    }

    async fn act(&self, body: &ActBody) -> Result<ActView, ApiError> {
        hang::in_time(body.budget(), self.act_in(self.page(body.tab)?, body)).await
    }

    async fn act_in(&self, page: Page, body: &ActBody) -> Result<ActView, ApiError> {
        if !body.kind.brings_a_page() && body.kind != Kind::Wait {
            page.ready().await?;
        }
        let came = Before::of(self, &page)?;
        body::let_through(self.ws, self.agent, &page, body).await?;
        let light = self.stage.light();
        let before = match body.kind.brings_a_page() || self.stage.is_dark() {
            true => None,
            false => Some(page.seen().await?),
        };
        if let Some(number) = body::credential(&page, body).await? {
            self.stage.conceal_for(&page, number, self.who.account.uuid())?;
        }
        let value = body::perform(&page, self.who, body).await?;
        page.settle().await.or_else(closed)?;
        self.stage.settle(&self.browser).await;
        if self.stage.is_dark() {
            return self.acted(&page, came, String::new(), None);
        }
        let value = value.filter(|_| self.stage.light() == light);
        let seen = match before {
            Some(before) => page.changes_since(before).await.map(|changes| changes.text()),
            None => page.glance(&Want::default()).await.map(|look| look.text),
        };
        match seen {
            Err(BrowserError::TabClosed) => {
                self.acted(&page, came, "the tab is closed".to_owned(), value)
            }
            seen => self.acted(&page, came, seen?, value),
        }
    }

    /// Carries out actions in order. Stops at the first failure or change of page.
    async fn acts(&self, all: &[ActBody]) -> Result<BatchView, ApiError> {
        let mut results = Vec::new();
        for (at, one) in all.iter().enumerate() {
            let page = self.page(one.tab)?;
            let before = page.document()?;
            match self.act(one).await {
                Ok(done) => results.push(done),
                Err(error) => {
                    let why = format!("action {}: {}", at + 1, error.0.detail);
                    return Ok(BatchView { results, aborted: Some(why) });
                }
            }
            // ok: a closed tab counts as a changed document
            if at + 1 < all.len() && page.document().ok().flatten() != before {
                let why = format!("action {} loaded another page", at + 1);
                return Ok(BatchView { results, aborted: Some(why) });
            }
        }
        Ok(BatchView { results, aborted: None })
    }

    fn acted(
        &self,
        page: &Page,
        before: Before,
        text: String,
        value: Option<String>,
    ) -> Result<ActView, ApiError> {
        let hidden = self.stage.is_dark();
        let (text, value) = if hidden { (String::new(), None) } else { (text, value) };
        let redactor = &self.ws.app.redactor;
        let value = value.map(|value| redactor.text(&value).into_owned());
        let open = open_tabs(self.ws, self.who, self.agent)?;
        let news = if hidden { Vec::new() } else { before.news(self, page, &open)? };
        Ok(ActView { tab: page.number(), text, news, value, hidden, tabs: listed(open) })
    }
}

/// Accepts a closed tab: a page may close its own tab in response to an action.
fn closed(error: BrowserError) -> Result<(), BrowserError> {
    match error {
        BrowserError::TabClosed => Ok(()),
        error => Err(error),
    }
}

async fn start(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<BrowserView>, ApiError> {
    let agent = found(&ws, &name)?;
    drop(Turn::take(&ws, &who, &agent).await?);
    view(&ws, &who, &agent).await
}

async fn tabs(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<BrowserTabs>, ApiError> {
    let agent = found(&ws, &name)?;
    Ok(Json(BrowserTabs { items: listed(open_tabs(&ws, &who, &agent)?) }))
}

async fn open(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<OpenBody>,
) -> Result<Response, ApiError> {
    let agent = found(&ws, &name)?;
    let turn = Turn::take(&ws, &who, &agent).await?;
    let done = turn.does(turn.open(body.url.trim())).await?;
    Ok((StatusCode::CREATED, Json(done)).into_response())
}

async fn focus(
    ws: Ws,
    who: Person,
    Path2(name, tab): Path2<String, u32>,
) -> Result<Json<BrowserTabs>, ApiError> {
    with_tab((&ws, &who, &name), tab, OfTab::Show).await
}

async fn close(
    ws: Ws,
    who: Person,
    Path2(name, tab): Path2<String, u32>,
) -> Result<Json<BrowserTabs>, ApiError> {
    with_tab((&ws, &who, &name), tab, OfTab::Close).await
}

/// An action on a tab.
#[derive(Clone, Copy)]
enum OfTab {
    Show,
    Close,
}

async fn with_tab(
    (ws, who, name): (&Ws, &Person, &str),
    tab: u32,
    what: OfTab,
) -> Result<Json<BrowserTabs>, ApiError> {
    let agent = found(ws, name)?;
    let turn = Turn::take(ws, who, &agent).await?;
    let page = turn.page(Some(tab))?;
    let work = async {
        let done = match what {
            OfTab::Show => hang::in_time(hang::ACT_WITHIN, page.bring_to_front()).await,
            OfTab::Close => page.close().await,
        };
        done.map_err(ApiError::from)
    };
    turn.does(work).await?;
    Ok(Json(BrowserTabs { items: listed(open_tabs(ws, who, &agent)?) }))
}

pub(super) async fn act(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<ActBody>,
) -> Result<Json<ActView>, ApiError> {
    let agent = found(&ws, &name)?;
    let turn = Turn::take(&ws, &who, &agent).await?;
    Ok(Json(turn.does(turn.act(&body)).await?))
}

async fn batch(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<BatchBody>,
) -> Result<Json<BatchView>, ApiError> {
    let agent = found(&ws, &name)?;
    if body.acts.is_empty() || AT_ONCE < body.acts.len() {
        return Err(ApiError::invalid("acts", format!("give 1 to {AT_ONCE} actions")));
    }
    let turn = Turn::take(&ws, &who, &agent).await?;
    Ok(Json(turn.does(turn.acts(&body.acts)).await?))
}

async fn snapshot(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<SnapshotParams>,
) -> Result<Json<LookView>, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, params.tab)?;
    let want = Want {
        interactive: params.interactive.unwrap_or(false),
        depth: params.depth,
        within: params.within.as_deref().map(refs::parse).transpose()?,
        find: params.find,
    };
    let look = async {
        page.ready().await?;
        page.glance(&want).await
    };
    let look = in_light(&ws, &agent, look).await?;
    Ok(Json(LookView { tab: page.number(), text: look.text, parts: look.parts, shown: look.shown }))
}

async fn screenshot(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<ScreenshotParams>,
) -> Result<Response, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, params.tab)?;
    let shot = Shot {
        whole: params.full.unwrap_or(false),
        around: params.part.as_deref().map(refs::parse).transpose()?,
        ..Shot::default()
    };
    let bytes = picture(&ws, agent.id, &page, shot).await?;
    let head = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "no-store")];
    Ok((head, bytes).into_response())
}
