//! What somebody does in the browser of an agent through the API: tabs, looks and acts.
//!
//! An act waits until nobody else acts, is refused while somebody has the wheel, and is written down before it is done.
//! The agent hears of it when it acts next; what it has seen of a page stays what it is.

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
use browser::act::{Click, Point, Wait};
use browser::fields::FieldKind;
use browser::launch::Browser;
use browser::page::Page;
use browser::refs;
use browser::snapshot::Want;
use browser::stage::Stage;
use browser::tabs::{DialogAnswer, TabInfo};
use features::agents::model::Agent;
use features::browsers::{queries, rules};
use kernel::{Can, TypedId as _, WheelAct};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path, Path2, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::{OpenError, picture, seen, shown};
use super::{BrowserTab, BrowserView, found, view};

/// How long an act waits until nobody else acts.
const WAITS: Duration = Duration::from_secs(10);
/// How long `wait` waits unless asked, in seconds, and at most.
const SECONDS: u64 = 10;
const MAX_SECONDS: u64 = 60;
/// How far `scroll` goes unless asked, in pixels.
const SCROLL: f64 = 600.0;
/// Why no repeat of an act is known by a key.
const ONCE: &str = "an act that was sent is never done again by itself; look first";

/// Routes below `/api/v1`.
pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/agents/{agent}/browser/start",
            start.needs(Can::Browser).doc(|| {
                Doc::new("Start it, with the tabs that it had")
                    .no_key("a repeat finds it started")
                    .returns::<BrowserView>()
            }),
        )
        .get(
            "/agents/{agent}/browser/tabs",
            tabs.needs(Can::Read).doc(|| {
                Doc::new("Its open tabs, those that you may see").returns::<BrowserTabs>()
            }),
        )
        .post(
            "/agents/{agent}/browser/tabs",
            open.needs(Can::Browser).doc(|| {
                Doc::new("Open a tab, with an address")
                    .body::<OpenBody>()
                    .no_key(ONCE)
                    .returns::<ActView>()
                    .status(201)
            }),
        )
        .post(
            "/agents/{agent}/browser/tabs/{tab}/focus",
            focus.needs(Can::Browser).doc(|| {
                Doc::new("Show a tab to those who watch, and act there unless told otherwise")
                    .no_key("a repeat shows the same")
                    .returns::<BrowserTabs>()
            }),
        )
        .delete(
            "/agents/{agent}/browser/tabs/{tab}",
            close.needs(Can::Browser).doc(|| {
                Doc::new("Close a tab")
                    .no_key("a tab has its number once")
                    .returns::<BrowserTabs>()
            }),
        )
        .get(
            "/agents/{agent}/browser/snapshot",
            snapshot.needs(Can::Browser).doc(|| {
                Doc::new("What a page shows, a line a part with its ref; the words are those of the page")
                    .query::<LookAsked>()
                    .returns::<LookView>()
            }),
        )
        .get(
            "/agents/{agent}/browser/screenshot",
            screenshot.needs(Can::Browser).doc(|| {
                Doc::new("A picture of what a page shows").query::<TabAsked>().media("image/jpeg")
            }),
        )
        .post(
            "/agents/{agent}/browser/act",
            act.needs(Can::Browser).doc(|| {
                Doc::new("Act in a page; 409 human_in_control while somebody has the wheel")
                    .body::<ActBody>()
                    .no_key(ONCE)
                    .returns::<ActView>()
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
struct TabAsked {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LookAsked {
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
struct ActView {
    tab: u32,
    /// What changed in the page, or all of one that has come; empty when nothing changed.
    text: String,
    /// Whether the page is not told until a form with a credential was sent.
    hidden: bool,
    tabs: Vec<BrowserTab>,
}

/// What is done.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Navigate,
    Back,
    Reload,
    Click,
    Hover,
    Type,
    Fill,
    Select,
    Press,
    Scroll,
    Drag,
    Wait,
    Dialog,
}

/// An act, with the arguments of the agents' tool `browser`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BrowserAct")]
struct ActBody {
    kind: Kind,
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    /// A part of the page, such as e12 in a snapshot.
    #[serde(rename = "ref")]
    part: Option<String>,
    /// For drag: where to.
    to_ref: Option<String>,
    /// For navigate; for wait: a part of the address.
    url: Option<String>,
    /// For type, fill, dialog; for wait: words that come.
    text: Option<String>,
    /// For select: words or values.
    options: Option<Vec<String>>,
    /// For press: Enter, ArrowDown, Control+A. For dialog: Escape for Cancel.
    key: Option<String>,
    /// For click without ref, and for scroll: pixels.
    x: Option<f64>,
    /// As x; scroll goes 600 down.
    y: Option<f64>,
    /// For wait (10).
    seconds: Option<u64>,
}

impl Kind {
    /// Whether another page comes by it.
    fn brings_a_page(self) -> bool {
        matches!(self, Self::Navigate | Self::Back | Self::Reload)
    }
}

impl ActBody {
    fn part(&self) -> Result<u32, ApiError> {
        let part = self.part.as_deref();
        Ok(refs::parse(part.ok_or_else(|| ApiError::invalid("ref", "name a part: e12"))?)?)
    }

    fn text(&self) -> Result<&str, ApiError> {
        self.text.as_deref().ok_or_else(|| ApiError::invalid("text", "say what is written"))
    }

    fn wait(&self) -> Wait {
        match (&self.text, &self.url) {
            (Some(text), _) => Wait::Text(text.clone()),
            (None, Some(url)) => Wait::Url(url.clone()),
            (None, None) => Wait::Idle,
        }
    }
}

fn listed(tabs: Vec<TabInfo>) -> Vec<BrowserTab> {
    tabs.into_iter().map(BrowserTab::from).collect()
}

/// The open tabs that this person may see.
fn open_tabs(ws: &Ws, who: &Person, agent: &Agent) -> Result<Vec<TabInfo>, StoreError> {
    let browser = ws.app.browsers.get(ws.browser_of(agent.id));
    seen(ws, who, agent.id, browser.as_ref().map_or_else(Vec::new, Browser::open_tabs))
}

/// A tab that is open and that this person may see; without a number the one at work.
fn page(ws: &Ws, who: &Person, agent: &Agent, tab: Option<u32>) -> Result<Page, ApiError> {
    let Some(number) = tab else {
        let page = shown(ws, who, agent.id)?;
        return page.ok_or_else(|| ApiError::not_found("An open tab"));
    };
    let gone = || BrowserError::NoTab(number);
    let is_seen = open_tabs(ws, who, agent)?.iter().any(|one| one.number == number);
    let browser = ws.app.browsers.get(ws.browser_of(agent.id)).filter(|_| is_seen);
    Ok(browser.and_then(|browser| browser.open_page(number)).ok_or_else(gone)?)
}

/// Refuses what acts while somebody has the wheel.
fn free(stage: &Stage) -> Result<(), BrowserError> {
    match stage.standing().driver {
        Some(driver) => Err(BrowserError::HumanInControl(driver.name)),
        None => Ok(()),
    }
}

/// Somebody acts, and nobody else does.
struct Turn<'a> {
    ws: &'a Ws,
    who: &'a Person,
    agent: &'a Agent,
    browser: Browser,
    stage: Arc<Stage>,
    /// Keeps others from acting.
    _held: OwnedMutexGuard<()>,
}

impl<'a> Turn<'a> {
    /// Waits until nobody else acts, and writes down who does now.
    async fn take(ws: &'a Ws, who: &'a Person, agent: &'a Agent) -> Result<Self, ApiError> {
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
        // Whoever has typed a credential may send the form.
        if stage.is_dark() && stage.standing().typed_by != Some(who.account.uuid()) {
            return Err(BrowserError::Hidden.into());
        }
        let id = agent.id;
        ws.write(who, move |tx| rules::note_wheel(tx, id, WheelAct::Acted)).await?;
        ws.app.browsers.make_room(key).await;
        browser.start().await?;
        Ok(Self { ws, who, agent, browser, stage, _held: held })
    }

    /// Does something, unless somebody wants the wheel meanwhile. The agent hears that it was done.
    async fn does<T>(
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

    fn page(&self, tab: Option<u32>) -> Result<Page, ApiError> {
        let page = page(self.ws, self.who, self.agent, tab)?;
        self.stage.work_in(page.number());
        Ok(page)
    }

    async fn open(&self, url: &str) -> Result<ActView, ApiError> {
        let page = self.browser.open_blank().await?;
        self.stage.work_in(page.number());
        if !url.is_empty()
            && let Err(error) = page.navigate(url).await
        {
            // ok: an empty tab is in nobody's way
            page.close().await.ok();
            return Err(error.into());
        }
        let text = page.glance(&Want::default()).await?.text;
        self.acted(page.number(), text)
    }

    async fn act(&self, body: &ActBody) -> Result<ActView, ApiError> {
        let page = self.page(body.tab)?;
        let before = match body.kind.brings_a_page() || self.stage.is_dark() {
            true => None,
            false => Some(page.seen().await?),
        };
        if let Some(number) = credential(&page, body).await? {
            self.stage.conceal_for(&page, number, self.who.account.uuid())?;
        }
        perform(&page, body).await?;
        page.settle().await.or_else(closed)?;
        self.stage.settle(&self.browser).await;
        if self.stage.is_dark() {
            return self.acted(page.number(), String::new());
        }
        let told = match before {
            Some(before) => page.changes_since(before).await.map(|changes| changes.text()),
            None => page.glance(&Want::default()).await.map(|look| look.text),
        };
        match told {
            Err(BrowserError::TabClosed) => {
                self.acted(page.number(), "the tab is closed".to_owned())
            }
            told => self.acted(page.number(), told?),
        }
    }

    fn acted(&self, tab: u32, text: String) -> Result<ActView, ApiError> {
        let hidden = self.stage.is_dark();
        let text = if hidden { String::new() } else { text };
        Ok(ActView { tab, text, hidden, tabs: listed(open_tabs(self.ws, self.who, self.agent)?) })
    }
}

/// A page may close its own tab when it is acted on.
fn closed(error: BrowserError) -> Result<(), BrowserError> {
    match error {
        BrowserError::TabClosed => Ok(()),
        error => Err(error),
    }
}

/// The field that an act writes to, if it takes a credential: nobody sees it from then on.
async fn credential(page: &Page, body: &ActBody) -> Result<Option<u32>, ApiError> {
    let field = match (body.kind, &body.part) {
        (Kind::Type | Kind::Fill | Kind::Press, Some(_)) => page.field(body.part()?).await?,
        (Kind::Press, None) => page.focused_field().await?,
        _ => None,
    };
    let takes = |kind| matches!(kind, FieldKind::Password | FieldKind::Code);
    Ok(field.filter(|field| takes(field.kind)).map(|field| field.number))
}

async fn perform(page: &Page, body: &ActBody) -> Result<(), ApiError> {
    match body.kind {
        Kind::Navigate => {
            let url = body.url.as_deref();
            let url = url.ok_or_else(|| ApiError::invalid("url", "say which address to open"))?;
            page.navigate(url).await.map(drop)?;
        }
        Kind::Back => page.back().await.map(drop)?,
        Kind::Reload => page.reload().await.map(drop)?,
        Kind::Click => match (&body.part, body.x, body.y) {
            (None, Some(x), Some(y)) => page.click_at(Point { x, y }, Click::default()).await?,
            _ => page.click(body.part()?, Click::default()).await?,
        },
        Kind::Hover => page.hover(body.part()?).await?,
        Kind::Type => page.type_text(body.part()?, body.text()?).await?,
        Kind::Fill => page.fill(body.part()?, body.text()?).await?,
        Kind::Select => {
            let options = body.options.as_deref();
            let options =
                options.ok_or_else(|| ApiError::invalid("options", "name what is chosen"))?;
            page.select(body.part()?, options).await?;
        }
        Kind::Press => {
            let key = body.key.as_deref();
            let key = key.ok_or_else(|| ApiError::invalid("key", "name a key, such as Enter"))?;
            match &body.part {
                Some(_) => page.press_in(body.part()?, key).await?,
                None => page.press(key).await?,
            }
        }
        Kind::Scroll => {
            let part = body.part.as_deref().map(refs::parse).transpose()?;
            let usual = if body.x.is_some() { 0.0 } else { SCROLL };
            page.scroll(part, body.x.unwrap_or(0.0), body.y.unwrap_or(usual)).await?;
        }
        Kind::Drag => {
            let to = body.to_ref.as_deref();
            let to =
                to.ok_or_else(|| ApiError::invalid("to_ref", "name the part to drag it to"))?;
            page.drag(body.part()?, refs::parse(to)?).await?;
        }
        Kind::Wait => {
            let seconds = body.seconds.unwrap_or(SECONDS).clamp(1, MAX_SECONDS);
            page.wait(&body.wait(), Duration::from_secs(seconds)).await?;
        }
        Kind::Dialog => page.answer_next_dialog(match body.key.as_deref() {
            Some("Escape") => DialogAnswer::Dismiss,
            _ => DialogAnswer::Accept(body.text.clone().unwrap_or_default()),
        })?,
    }
    Ok(())
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

/// What becomes of a tab.
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
            OfTab::Show => page.bring_to_front().await,
            OfTab::Close => page.close().await,
        };
        done.map_err(ApiError::from)
    };
    turn.does(work).await?;
    Ok(Json(BrowserTabs { items: listed(open_tabs(ws, who, &agent)?) }))
}

async fn act(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<ActBody>,
) -> Result<Json<ActView>, ApiError> {
    let agent = found(&ws, &name)?;
    let turn = Turn::take(&ws, &who, &agent).await?;
    Ok(Json(turn.does(turn.act(&body)).await?))
}

async fn snapshot(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(asked): Query<LookAsked>,
) -> Result<Json<LookView>, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, asked.tab)?;
    let stage = ws.app.browsers.stage(ws.browser_of(agent.id)).ok_or(BrowserError::Ended)?;
    let light = stage.light();
    let want = Want {
        interactive: asked.interactive.unwrap_or(false),
        depth: asked.depth,
        within: asked.within.as_deref().map(refs::parse).transpose()?,
        find: asked.find,
    };
    let look = page.glance(&want).await?;
    // It may have become dark meanwhile.
    if stage.is_dark() || stage.light() != light {
        return Err(BrowserError::Hidden.into());
    }
    Ok(Json(LookView { tab: page.number(), text: look.text, parts: look.parts, shown: look.shown }))
}

async fn screenshot(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(asked): Query<TabAsked>,
) -> Result<Response, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, asked.tab)?;
    let bytes = picture(&ws, agent.id, &page).await?;
    let head = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "no-store")];
    Ok((head, bytes).into_response())
}
