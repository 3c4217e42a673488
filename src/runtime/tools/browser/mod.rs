//! The `browser` tool: a real browser, available if a person has enabled it for the agent. Pages are described as lines
//! with refs; actions name elements by ref and return what changed.
//!
//! The browser reaches exactly what the agent may reach, through its own port of the egress proxy. If the kernel cannot
//! confine it to that port, the browser is refused. Page text is marked as untrusted content.

mod args;
mod batch;
mod files;
mod going;
mod keep;
mod plan;
mod reading;
mod save;
mod secret;
mod shots;
mod answer;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use browser::BrowserError;
use browser::act::{Click, Point, Spot, Wait};
use browser::fleet::{Key, Last};
use browser::hang;
use browser::launch::Browser;
use browser::live_view::{Handed, Stage};
use browser::page::{self, Page};
use browser::refs;
use browser::snapshot::escape::Quoted;
use browser::tabs::TabInfo;
use features::agents::model::Agent;
use features::agents::queries::reach;
use features::browsers::queries as browsers;
use features::runs::queries::egress::Known;
use kernel::{Can, TypedId};
use net::guard;
use parking_lot::Mutex;
use store::{ReadExt, StoreError};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tool::{ActTool, Aliases, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec, leaks};

use super::fetch::hosts_of;
use answer::{Told, Trouble, count, hidden, left_by, listed, missing, refusal, with_news};
use args::{Action, Args};
use files::{Given, Source};
pub(crate) use keep::AtSite;
use plan::Act;
pub(crate) use save::Save;
pub(crate) use shots::keep_asked;

/// Default and maximum duration of `wait`, in seconds.
const SECONDS: u64 = 10;
const MAX_SECONDS: u64 = 60;
/// Default distance of `scroll`, in pixels.
const SCROLL: f64 = 600.0;

/// Longest element name shown to viewers, in characters.
const MAX_NAME: usize = 60;
/// How long viewers see the highlighted element before the action.
const SHOWN_FIRST: Duration = Duration::from_millis(200);
/// Time limit for finding that element.
const SHOWN_WITHIN: Duration = Duration::from_millis(800);
/// Additional time for the snapshot after an action with its own time limit.
const BEHIND: Duration = Duration::from_secs(4);
/// How long the tool waits while a person is in control.
const PATIENCE: Duration = Duration::from_mins(10);
pub(crate) struct Browse;

impl ActTool for Browse {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("browser"),
        group: Group::Web,
        needs: Can::Write,
        effect: Effect::External,
        about: Cow::Borrowed(
            "Use a web browser: open pages, read them as lines with refs, click, type and fill \
            by ref. Results say what changed. To have a person sign in or solve something there: \
            ask_person with in_browser.",
        ),
    };
    const ALIASES: Aliases = &[
        ("element", "ref"),
        ("element_ref", "ref"),
        ("toRef", "to_ref"),
        ("tab_id", "tab"),
        ("tabId", "tab"),
        ("paths", "options"),
        ("script", "text"),
        ("timeout", "seconds"),
        ("actions", "acts"),
    ];

    async fn act(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let slug = allowed(cx)?;
        no_secrets(cx, &args)?;
        scripted(cx, &args)?;
        let url = address_of(cx, &args)?;
        let failed = |error: std::io::Error| {
            let message = format!("the browser's proxy couldn't be started: {error}");
            ToolError::Failed { code: "way_out_failed", message }
        };
        let browser = cx.ws.browser(cx.agent, &slug).await.map_err(failed)?;
        let key = cx.ws.browser_of(cx.agent);
        let gone = || ToolError::refused("browser_ended", "the browser was stopped; try again");
        let stage = cx.ws.app.browsers.stage(key).ok_or_else(gone)?;
        let action = BrowserAction::new(cx, (browser, stage, key), args, url);
        let result = tokio::select! {
            result = action.in_turn() => result,
            () = cx.cancel.cancelled() => {
                let text = "stopped; the current action may or may not have happened";
                return Err(ToolError::refused("aborted", text));
            }
        };
        let output = match result {
            Ok(result) => result.output(cx),
            Err(Trouble::Refused(error)) => return Err(error),
            // The error message may contain text of the page.
            Err(Trouble::Browser(error)) if action.stage.is_dark() => hidden(&error),
            Err(Trouble::Browser(error)) => refusal(cx, &error),
        };
        Ok(with_news(output, &action.browser.take_news()))
    }
}

/// The name of the browser folder that a run may use, or the reason why it may use none.
fn allowed(cx: &ToolCx) -> Result<String, ToolError> {
    let denied = |why: &str| ToolError::refused("denied", why);
    if cx.child.as_ref().is_some_and(|child| !child.may_network) {
        return Err(denied("a sub-agent without network access has no browser"));
    }
    let (agent, whose, is_on) = cx.ws.read(|snap| {
        let whose = reach::agents_of(snap, cx.agent, cx.run)?;
        let is_on = browsers::is_on(snap, &[cx.agent])?;
        Ok::<_, StoreError>((snap.get::<Agent>(cx.agent)?, whose, is_on))
    })?;
    let Some(agent) = agent else { return Err(denied("the agent no longer exists")) };
    // The browser has the reach of its own agent, which the acting agent may not have.
    if 1 < whose.len() {
        return Err(denied("a sub-agent that works for another agent has no browser"));
    }
    if !is_on {
        return Err(denied(
            "the browser is off; a person can turn it on under Browser on the \
            agent's page",
        ));
    }
    Ok(agent.slug)
}

/// Refuses arguments that contain a secret, because the page's owner would receive it.
fn no_secrets(cx: &ToolCx, args: &Args) -> Result<(), ToolError> {
    let texts = [&args.url, &args.text].into_iter().flatten();
    for text in texts.chain(args.options.iter().flatten()) {
        if let Some(why) = leaks::of(&cx.ws.app.redactor, text) {
            let text = format!("nothing was sent: {why}; continue without it");
            return Err(ToolError::refused("denied", text));
        }
    }
    Ok(())
}

/// Refuses scripts where they are not allowed, and scripts that are too long to review.
fn scripted(cx: &ToolCx, args: &Args) -> Result<(), ToolError> {
    if args.action != Action::Evaluate {
        return Ok(());
    }
    if !cx.ws.read(|snap| browsers::policy(snap, cx.agent))?.scripts {
        let text = "scripts are off; an owner or admin can allow them under Browser on the agent's \
            page";
        return Err(ToolError::refused("evaluate_off", text));
    }
    let script = args.text.as_deref().unwrap_or_default();
    if plan::MAX_SCRIPT < script.chars().count() {
        return Err(missing("text", "use at most 4000 characters, so that people can review it"));
    }
    Ok(())
}

fn address_of(cx: &ToolCx, args: &Args) -> Result<Option<String>, ToolError> {
    let opens = matches!(args.action, Action::Open | Action::Navigate);
    args.url.as_deref().filter(|_| opens).map(|url| address(cx, url)).transpose()
}

/// The normalised address, if the agent may open it. The egress proxy checks every request anyway; this check gives a
/// readable refusal.
fn address(cx: &ToolCx, text: &str) -> Result<String, ToolError> {
    let address = page::address(text)?;
    if address == "about:blank" {
        return Ok(address);
    }
    let denied = |why: String| ToolError::refused("denied", format!("not opened: {why}"));
    let url = guard::parse(&address).map_err(|error| denied(error.to_string()))?;
    hosts_of(cx)?.check(&url).map_err(|error| denied(error.to_string()))?;
    let closed = cx.ws.read(|snap| browsers::closes(snap, &[cx.agent], &url))?;
    if let Some(why) = closed {
        return Err(denied(why.to_owned()));
    }
    let opened = cx.ws.read(|snap| reach::opened(snap))?;
    let guard = cx.ws.app.http.guard();
    let guard = if opened.has(&url) { guard.opening(opened) } else { guard.clone() };
    guard.check_url(&url).map_err(|error| denied(error.to_string()))?;
    Ok(address)
}

/// One action of the tool.
struct BrowserAction<'c> {
    cx: &'c ToolCx,
    browser: Browser,
    stage: Arc<Stage>,
    key: Key,
    args: Args,
    /// The checked address that is opened.
    url: Option<String>,
    /// The name of the element that is acted on, once known.
    name: OnceLock<String>,
    /// The file field and the files for it, once checked.
    given: Mutex<Option<(Option<u32>, Vec<Given>)>>,
    /// The action is one of several in a call, which reports the changes at its end.
    is_in_batch: bool,
    /// The hosts and links known to the conversation, loaded when the first action of a batch was checked.
    known: Arc<OnceCell<Option<Arc<Known>>>>,
}

impl<'c> BrowserAction<'c> {
    fn new(
        cx: &'c ToolCx,
        (browser, stage, key): (Browser, Arc<Stage>, Key),
        args: Args,
        url: Option<String>,
    ) -> Self {
        let (name, given) = (OnceLock::new(), Mutex::default());
        let known = Arc::default();
        Self { cx, browser, stage, key, args, url, name, given, is_in_batch: false, known }
    }
}

impl BrowserAction<'_> {
    /// Acts once no other action runs. Waits while a person is in control.
    async fn in_turn(&self) -> Result<Told, Trouble> {
        let all = &self.cx.ws.app.browsers;
        let Ok(_turn) = tokio::time::timeout(PATIENCE, all.turn(self.key)).await else {
            let driver = self.stage.standing().driver;
            let name = driver.map_or_else(|| "somebody".to_owned(), |driver| driver.name);
            return Err(BrowserError::HumanInControl(name).into());
        };
        self.light().await?;
        all.make_room(self.key).await;
        let handed = self.stage.take_handed();
        if let Some(handed) = handed.as_ref().filter(|_| self.args.action.is_blind()) {
            return self.after_wheel(handed).await;
        }
        let newest = self.newest_download();
        let result = match self.args.action {
            Action::Batch => self.batch().await?,
            _ => self.one().await?,
        };
        let mut result = self.with_downloads(newest.as_deref(), result);
        if self.args.action.is_pictured() {
            self.keep_picture().await;
        }
        if let Some(handed) = handed {
            result.ours = format!("{}\n{}", left_by(&handed), result.ours);
        }
        Ok(result)
    }

    /// Performs one action, until a person takes control.
    async fn one(&self) -> Result<Told, Trouble> {
        let shown = timeout(SHOWN_WITHIN, async { (self.spot().await, self.words().await) });
        // If the page does not answer in time, act without a highlight.
        let (spot, words) =
            shown.await.unwrap_or_else(|_| (None, self.args.action.verb().to_owned()));
        let _doing = self.stage.doing(&words, spot);
        tokio::select! {
            result = hang::in_time(self.budget(), self.act_as_weighed(spot.is_some())) => result,
            () = self.stage.interrupted() => {
                let text = "a person took control; the current action may or may not have \
                    happened, so check first";
                Err(ToolError::refused("human_in_control", text).into())
            }
        }
    }

    /// The result after a person was in control, in place of an action on a page that the agent no longer knows.
    async fn after_wheel(&self, handed: &Handed) -> Result<Told, Trouble> {
        let ours = format!(
            "{}. This call did nothing. Changes since your last \
            call:",
            left_by(handed)
        );
        let last = self.last().await?;
        let Some(page) = last.filter(|_| !self.stage.is_dark()) else {
            return Ok(Told { ours, ..Told::default() });
        };
        let mut words = self.listed(self.browser.tabs().await?);
        words.push('\n');
        let changes = hang::in_time(hang::ACT_WITHIN, page.after()).await?;
        words.push_str(&changes.text());
        Ok(Told { ours, words, ..Told::default() })
    }

    /// Acts only on what the access check saw.
    async fn act_as_weighed(&self, is_shown: bool) -> Result<Told, Trouble> {
        if is_shown {
            tokio::time::sleep(SHOWN_FIRST).await;
        }
        if self.is_in_batch {
            return self.act_if_free().await;
        }
        if self.args.action.acts() {
            let of = (self.cx.run.uuid(), self.cx.step);
            let expected = self.stage.take_expected(of);
            let mut act = self.looked_at().await?;
            let expected = expected.ok_or_else(plan::changed)?;
            if !act.is_as(&expected).await {
                return Err(plan::changed());
            }
            let (downloads, newest) = (act.downloads().cloned(), self.newest_download());
            self.take(act);
            let result = self.act().await;
            if let Some(site) = downloads {
                self.agree_to_downloads(newest.as_deref(), &site);
            }
            return result;
        }
        self.act().await
    }

    /// The target of the action at this moment.
    async fn looked_at(&self) -> Result<Act, Trouble> {
        let mut act = Act::of(&self.stage, self.page().await?, self.args.clone()).await?;
        let from = Source { folder: self.cx.folder.clone(), task: self.cx.task };
        act.take_files(&self.cx.ws, from).await?;
        Ok(act)
    }

    /// Keeps what the action needs of the checked target.
    fn take(&self, act: Act) {
        // ok: a call acts once
        self.name.set(act.name().to_owned()).ok();
        *self.given.lock() = Some(act.into_uploads());
    }

    /// The position of the element to highlight. `None` while there are no viewers or capture is paused.
    async fn spot(&self) -> Option<Spot> {
        if self.stage.watchers() == 0 || self.stage.is_dark() || !self.args.action.acts() {
            return None;
        }
        // ok: an invalid ref is reported by the action itself
        let number = refs::parse(self.args.part.as_deref()?).ok()?;
        self.browser.open_page(self.tab())?.spot(number).await.ok()
    }

    /// Describes the coming action for viewers.
    async fn words(&self) -> String {
        let args = &self.args;
        let verb = args.action.verb();
        let Some(part) = args.part.as_deref() else {
            let rest = self.url.as_deref().or(args.key.as_deref()).unwrap_or_default();
            return format!("{verb} {rest}").trim_end().to_owned();
        };
        let name = match (refs::parse(part), self.browser.open_page(self.tab())) {
            (Ok(number), Some(page)) if 0 < self.stage.watchers() && !self.stage.is_dark() => {
                // ok: the element is then shown by its ref alone
                page.part(number).await.ok().map(|part| part.name)
            }
            _ => None,
        };
        match name.filter(|name| !name.is_empty()) {
            Some(name) => format!("{verb} {} {part}", Quoted(&name, MAX_NAME)),
            None => format!("{verb} {part}"),
        }
    }

    /// The target tab, as far as it is known without a request to the browser.
    fn tab(&self) -> u32 {
        let last = self.cx.ws.app.browsers.last(self.key);
        self.args.tab.or(last.map(|last| last.tab)).unwrap_or_default()
    }

    async fn act(&self) -> Result<Told, Trouble> {
        match self.args.action {
            Action::Open => self.open().await,
            Action::Tabs => {
                let tabs = self.browser.tabs().await?;
                Ok(Told { ours: count(&tabs), words: self.listed(tabs), ..Told::default() })
            }
            Action::Navigate if self.args.tab.is_none() => match self.last().await? {
                Some(page) => self.on(&page).await,
                None => self.open().await,
            },
            _ => self.on(&self.page().await?).await,
        }
    }

    /// Performs the action in a tab.
    async fn on(&self, page: &Page) -> Result<Told, Trouble> {
        self.note(page);
        page.acts_for(self.cx.run.uuid());
        let args = &self.args;
        let dialogs = page.dialog_count()?;
        let needs_no_answer = matches!(args.action, Action::Close | Action::Dialog | Action::Wait);
        if !args.action.brings_a_page() && !needs_no_answer {
            page.ready().await?;
        }
        match args.action {
            Action::Open | Action::Navigate => return self.go(page).await,
            Action::Back => return self.came(page, page.back().await?, dialogs).await,
            Action::Forward => return self.came(page, page.forward().await?, dialogs).await,
            Action::Reload => return self.came(page, page.reload().await?, dialogs).await,
            Action::Tabs | Action::Snapshot | Action::Batch => {
                return self.read_page(page, "as it is now".to_owned()).await;
            }
            Action::Screenshot => return self.picture(page).await,
            Action::Close => {
                page.close().await?;
                let tabs = self.browser.open_tabs();
                let ours = format!("t{} is closed; {}", page.number(), count(&tabs));
                return Ok(Told { ours, words: self.listed(tabs), ..Told::default() });
            }
            Action::Dialog => return self.dialog(page),
            Action::Click => match (&args.part, args.x, args.y) {
                (None, Some(x), Some(y)) => {
                    page.click_at(Point { x, y }, Click::default()).await?;
                }
                _ => page.click(self.part()?, Click::default()).await?,
            },
            Action::Hover => page.hover(self.part()?).await?,
            Action::Type => page.type_text(self.part()?, self.text()?).await?,
            Action::Fill => match &args.secret {
                Some(key) => return self.fill_secret(page, key).await,
                None => page.fill(self.part()?, self.text()?).await?,
            },
            Action::Select => {
                let options = args.options.as_deref();
                let options = options.ok_or_else(|| {
                    missing(
                        "options",
                        "name the options to \
                    choose",
                    )
                })?;
                page.select(self.part()?, options).await?;
            }
            Action::Press => {
                let key = args.key.as_deref().ok_or_else(|| missing("key", "such as Enter"))?;
                match &args.part {
                    Some(_) => page.press_in(self.part()?, key).await?,
                    None => page.press(key).await?,
                }
            }
            Action::Scroll => {
                let part = args.part.as_deref().map(refs::parse).transpose()?;
                let usual = if args.x.is_some() { 0.0 } else { SCROLL };
                page.scroll(part, args.x.unwrap_or(0.0), args.y.unwrap_or(usual)).await?;
            }
            Action::Drag => {
                let to = args.to_ref.as_deref();
                let to = to.ok_or_else(|| missing("to_ref", "give the ref to drag it to"))?;
                page.drag(self.part()?, refs::parse(to)?).await?;
            }
            Action::Wait => page.wait(&self.wait(), self.seconds()).await?,
            Action::Upload => self.upload(page).await?,
            Action::Evaluate => return self.evaluate(page).await,
        }
        self.after(page).await
    }

    /// Uploads the files that the access check saw.
    async fn upload(&self, page: &Page) -> Result<(), Trouble> {
        let given = self.given.lock().take();
        let (number, files) = given.ok_or_else(plan::changed)?;
        let number = number.ok_or_else(|| missing("ref", "name the file field"))?;
        let uploads = files.into_iter().map(|one| one.upload).collect();
        Ok(page.upload(number, uploads).await?)
    }

    /// Runs a script and returns its value, unless capture was paused meanwhile.
    async fn evaluate(&self, page: &Page) -> Result<Told, Trouble> {
        let light = self.stage.light();
        let part = self.args.part.as_deref().map(refs::parse).transpose()?;
        let value = page.run_script(part, self.text()?, self.seconds()).await;
        self.stage.settle(&self.browser).await;
        if self.stage.is_dark() || self.stage.light() != light {
            return Err(BrowserError::Hidden.into());
        }
        let value = value?;
        let result = self.after(page).await?;
        let ours = "done; its value as JSON, then what changed on the page:".to_owned();
        Ok(Told { ours, words: format!("{value}\n{}", result.words), ..result })
    }

    /// The target tab.
    async fn page(&self) -> Result<Page, Trouble> {
        if let Some(number) = self.args.tab {
            return Ok(self.browser.page(number).await?);
        }
        let last = self.last().await?;
        Ok(last.ok_or_else(|| ToolError::refused("no_tab", "no tab is open; open an address"))?)
    }

    /// The tab that was used last, else the front tab, else the newest.
    async fn last(&self) -> Result<Option<Page>, Trouble> {
        let tabs = self.browser.tabs().await?;
        let is_open = |number: &u32| tabs.iter().any(|tab| tab.number == *number);
        let last = self.cx.ws.app.browsers.last(self.key).map(|last| last.tab).filter(is_open);
        let last = last.or_else(|| self.browser.front());
        match last.or_else(|| tabs.last().map(|tab| tab.number)) {
            Some(number) => Ok(Some(self.browser.page(number).await?)),
            None => Ok(None),
        }
    }

    fn note(&self, page: &Page) {
        let last = Last { tab: page.number(), run: self.cx.run.uuid() };
        self.cx.ws.app.browsers.note(self.key, last);
    }

    /// The list of tabs, without what must stay hidden while a credential is typed.
    fn listed(&self, tabs: Vec<TabInfo>) -> String {
        listed(&self.stage.withhold(None, tabs))
    }

    /// Time limit for the whole action.
    fn budget(&self) -> Duration {
        match self.args.action {
            Action::Wait | Action::Evaluate => self.seconds() + BEHIND,
            Action::Open | Action::Navigate if self.browser.open_tabs().is_empty() => {
                hang::OPEN_WITHIN + hang::ACT_WITHIN
            }
            _ => hang::ACT_WITHIN,
        }
    }

    /// What the action changed on the page.
    async fn after(&self, page: &Page) -> Result<Told, Trouble> {
        if !self.is_sent().await {
            let ours = "done; hidden until the form is submitted and its fields are \
                empty"
                .to_owned();
            return Ok(Told { ours, ..Told::default() });
        }
        if self.is_in_batch {
            return match page.settle().await {
                Ok(()) | Err(BrowserError::TabClosed) => Ok(Told::default()),
                Err(error) => Err(error.into()),
            };
        }
        let words = match page.after().await {
            Err(BrowserError::TabClosed) => {
                let ours = format!("done; t{} is closed", page.number());
                let words = self.listed(self.browser.open_tabs());
                return Ok(Told { ours, words, ..Told::default() });
            }
            changes => changes?.text(),
        };
        let ours = match (page.chooser().is_some(), words.is_empty()) {
            (true, _) => "done; the page asks for a file, so use upload; what changed:",
            (false, true) => "done; nothing changed",
            (false, false) => "done; what changed:",
        };
        Ok(Told { ours: ours.to_owned(), words, ..Told::default() })
    }

    fn part(&self) -> Result<u32, Trouble> {
        let part = self.args.part.as_deref();
        let part = part.ok_or_else(|| {
            missing(
                "ref",
                "give a ref from the last snapshot, such as \
            e12",
            )
        })?;
        Ok(refs::parse(part)?)
    }

    fn text(&self) -> Result<&str, Trouble> {
        self.args.text.as_deref().ok_or_else(|| missing("text", "give the text to type").into())
    }

    fn wait(&self) -> Wait {
        match (&self.args.text, &self.args.url) {
            (Some(text), _) => Wait::Text(text.clone()),
            (None, Some(url)) => Wait::Url(url.clone()),
            (None, None) => Wait::Idle,
        }
    }

    fn seconds(&self) -> Duration {
        Duration::from_secs(self.args.seconds.unwrap_or(SECONDS).clamp(1, MAX_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use tool::Registry;

    use super::Browse;

    #[test]
    fn its_schema_is_small_and_names_all_actions() {
        let all = Registry::new().act(Browse);
        let schema = all.get("browser").expect("it is there").schema.to_string();
        assert!(schema.len() < 2_500, "{}: {schema}", schema.len());
        for action in ["open", "navigate", "select", "dialog", "upload", "evaluate", "batch"] {
            assert!(schema.contains(&format!("\"{action}\"")), "{schema}");
        }
    }
}
