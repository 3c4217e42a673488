//! One tab: navigation and script evaluation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use crate::BrowserError;
use crate::launch::Running;
use crate::protocol::{
    Argument, BringToFront, CallOn, CloseTarget, Crash, Evaluate, EvaluateIn, Evaluated, GetTarget,
    History, IsolatedWorld, Navigate, ReleaseObject, Reload, Resolve, ToHistory,
};
use crate::refs::Node;
use crate::tabs::{Dialog, DialogAnswer, Tab, TabInfo};
use crate::transport::{Command, USUAL};

/// How long a page may take to arrive; an act ends soon after that.
pub const OPENS_WITHIN: Duration = Duration::from_secs(8);

/// How long a page may take to leave for a history entry that loads nothing.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);
/// How long an arrived page may take to return its title.
const TITLE_WITHIN: Duration = Duration::from_secs(1);
/// How long a tab may take to close before its process is crashed.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);
/// Maximum size of a script's result in bytes.
pub(crate) const MAX_VALUE: usize = 64 * 1024;
/// Chromium's error for a navigation that another one replaced.
const ABORTED: &str = "net::ERR_ABORTED";
const WORLD: &str = "hq";
/// The browser reports a title later than the page has it.
const TITLE_AND_STATUS: &str =
    "[document.title, performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0]";

/// Reads at most two million characters.
const HTML: &str = "document.documentElement?.outerHTML.slice(0, 2_000_000) ?? ''";

/// One tab of a running browser. Clones share it.
#[derive(Clone)]
pub struct Page {
    pub(crate) running: Arc<Running>,
    pub(crate) number: u32,
    pub(crate) session: Arc<str>,
    pub(crate) target: Arc<str>,
}

/// The result of a navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Current address of the page.
    pub url: String,
    pub title: String,
    /// HTTP status; 0 if there is none.
    pub status: u16,
    /// Whether loading has finished.
    pub is_loaded: bool,
    /// Whether the address is a download; the page is then unchanged.
    pub is_download: bool,
}

impl Page {
    pub(crate) fn of(running: Arc<Running>, number: u32) -> Result<Self, BrowserError> {
        let (session, target) = {
            let known = running.tabs.lock();
            let tab = known.tab(number).ok_or(BrowserError::NoTab(number))?;
            (Arc::clone(&tab.session), tab.target.as_str().into())
        };
        Ok(Self { running, number, session, target })
    }

    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn info(&self) -> Result<TabInfo, BrowserError> {
        self.with_tab(|tab| tab.info())
    }

    /// The last dialogs of its pages, with the answers.
    pub fn dialogs(&self) -> Result<Vec<Dialog>, BrowserError> {
        self.with_tab(|tab| tab.dialogs.clone())
    }

    /// Sets the answer for the next question of a page; the default is Cancel. Applies to acts of the same caller in
    /// the current document only.
    pub fn answer_next_dialog(&self, who: Uuid, answer: DialogAnswer) -> Result<(), BrowserError> {
        self.with_tab(|tab| tab.next_answer = Some((who, answer)))
    }

    /// Number of dialogs shown so far.
    pub fn dialog_count(&self) -> Result<u64, BrowserError> {
        self.with_tab(|tab| tab.dialogs_seen)
    }

    /// Opens an address and waits until the page has arrived.
    pub async fn navigate(&self, url: &str) -> Result<Opened, BrowserError> {
        self.navigate_within(url, OPENS_WITHIN).await
    }

    /// Opens an address and waits for it, at most for `within`. A page that arrived and is still loading is no error.
    pub async fn navigate_within(
        &self,
        url: &str,
        within: Duration,
    ) -> Result<Opened, BrowserError> {
        let url = address(url)?;
        let end = Instant::now() + within;
        let failed = |reason| BrowserError::Navigation { url: url.clone(), reason };
        self.forget_crash()?;
        self.free().await?;
        self.bring_to_front().await?;
        let navigate = Navigate { url: &url };
        let came = tokio::select! {
            came = self.call(&navigate, within) => came,
            () = self.stuck() => {
                self.kill().await?;
                self.call(&navigate, left(end)).await
            }
        };
        let came = match came {
            Err(BrowserError::TimedOut { .. }) => {
                return Err(BrowserError::NotCome { url: url.clone(), within });
            }
            came => came?,
        };
        if came.is_download {
            return self.opened(true, true).await;
        }
        if let Some(reason) = came.error_text.filter(|text| !text.is_empty()) {
            // The tab was already loading this address.
            if reason == ABORTED && self.is_at(&url, left(end)).await? {
                return self.opened(true, false).await;
            }
            return Err(failed(reason));
        }
        // Without a loader the navigation stayed within the same document.
        let is_loaded = match came.loader_id {
            None => true,
            Some(loader) => self.loaded(Some(&loader), left(end)).await?,
        };
        self.opened(is_loaded, false).await
    }

    /// Waits until the tab has finished loading; returns whether it shows this address.
    async fn is_at(&self, url: &str, within: Duration) -> Result<bool, BrowserError> {
        let number = self.number;
        self.running.tabs.until(within, |known| known.is_settled(number).then_some(())).await?;
        self.with_tab(|tab| tab.main().is_some_and(|frame| frame.url == url))
    }

    pub async fn reload(&self) -> Result<Opened, BrowserError> {
        self.forget_crash()?;
        self.free().await?;
        let before = self.with_tab(|tab| place(tab))?;
        self.call(&Reload {}, USUAL).await?;
        self.arrived(&before).await
    }

    pub async fn back(&self) -> Result<Opened, BrowserError> {
        let history = self.call(&History {}, USUAL).await?;
        let before = history.current_index.checked_sub(1).ok_or(BrowserError::NoHistory)?;
        let entry = history.entries.get(before).ok_or(BrowserError::NoHistory)?;
        if before == 0 && entry.url == "about:blank" {
            return Err(BrowserError::NoHistory);
        }
        self.to_history(entry.id).await
    }

    pub async fn forward(&self) -> Result<Opened, BrowserError> {
        let history = self.call(&History {}, USUAL).await?;
        let next = history.entries.get(history.current_index + 1);
        let entry = next.ok_or(BrowserError::NoFuture)?;
        self.to_history(entry.id).await
    }

    async fn to_history(&self, entry_id: i64) -> Result<Opened, BrowserError> {
        self.forget_crash()?;
        self.free().await?;
        let from = self.with_tab(|tab| place(tab))?;
        self.call(&ToHistory { entry_id }, USUAL).await?;
        self.arrived(&from).await
    }

    /// A crashed page can only be reloaded.
    pub(crate) fn forget_crash(&self) -> Result<(), BrowserError> {
        self.with_tab(|tab| tab.has_crashed = false)?;
        self.running.link.revive(&self.session);
        Ok(())
    }

    /// Waits until the tab has left `from` and has loaded.
    async fn arrived(&self, from: &(u64, String)) -> Result<Opened, BrowserError> {
        let end = Instant::now() + OPENS_WITHIN;
        let is_elsewhere = |tab: &Tab| (place(tab) != *from).then_some(());
        let mut has_left = self.until(LEAVES_WITHIN, is_elsewhere).await?;
        // A navigation without a page, such as a download, is not loading anything by now.
        if has_left.is_none() && self.with_tab(|tab| tab.is_loading)? {
            has_left = self.until(left(end), is_elsewhere).await?;
            if has_left.is_none() {
                let url = self.info()?.url;
                return Err(BrowserError::NotCome { url, within: OPENS_WITHIN });
            }
        }
        let is_loaded = self.loaded(None, left(end)).await?;
        self.opened(is_loaded, false).await
    }

    /// Waits until the page of this loader, or another page instead, has loaded.
    async fn loaded(&self, loader: Option<&str>, within: Duration) -> Result<bool, BrowserError> {
        let came = self
            .until(within, |tab| {
                if tab.has_crashed {
                    return Some(Err(BrowserError::Crashed));
                }
                let main = tab.main()?;
                let is_this = loader.is_none_or(|loader| main.loader == loader);
                (main.is_loaded && (is_this || !tab.is_loading)).then_some(Ok(()))
            })
            .await?;
        // Later acts need not wait for this load again.
        self.with_tab(|tab| tab.waited_loads = tab.loads)?;
        came.transpose().map(|came| came.is_some())
    }

    async fn opened(&self, is_loaded: bool, is_download: bool) -> Result<Opened, BrowserError> {
        let answer = timeout(TITLE_WITHIN, self.evaluate_own(TITLE_AND_STATUS)).await;
        // ok: the page is about to leave, or does not answer
        let answer = answer.map(Result::unwrap_or_default).unwrap_or_default();
        let info = self.with_tab(|tab| {
            if let Some(title) = answer[0].as_str() {
                tab.set_title(title.to_owned());
            }
            tab.info()
        })?;
        let status = answer[1].as_u64().and_then(|status| u16::try_from(status).ok());
        Ok(Opened {
            url: info.url,
            title: info.title,
            status: status.unwrap_or(0),
            is_loaded,
            is_download,
        })
    }

    /// Starts to treat addresses as private, because a credential is being typed.
    pub(crate) fn pause_capture(&self) {
        self.running.tabs.lock().is_dark = true;
    }

    /// Starts to open an address without waiting for it.
    pub(crate) fn begin_navigation(&self, url: &str) {
        if let Ok(url) = address(url) {
            self.tell(&Navigate { url: &url });
        }
    }

    /// Reads the title, which the browser reports only for new pages. Does not count as a use, and works even if the
    /// page does not answer.
    pub(crate) async fn learn_title(&self) -> Result<(), BrowserError> {
        let command = GetTarget { target_id: &self.target };
        let title = self.running.link.call(None, &command, USUAL).await?.target_info.title;
        if let Some(tab) = self.running.tabs.lock().tab_mut(self.number) {
            tab.set_title(title);
        }
        Ok(())
    }

    /// Brings this tab to the front, as every act does.
    pub async fn bring_to_front(&self) -> Result<(), BrowserError> {
        if self.running.tabs.lock().front == Some(self.number) {
            return Ok(());
        }
        self.call(&BringToFront {}, USUAL).await?;
        self.running.tabs.lock().front = Some(self.number);
        Ok(())
    }

    /// Closes the tab, even if its page does not answer.
    pub async fn close(&self) -> Result<(), BrowserError> {
        let close = CloseTarget { target_id: &self.target };
        let number = self.number;
        let gone = |known: &crate::tabs::Known| known.tab(number).is_none().then_some(());
        for is_last in [false, true] {
            match self.running.link.call(None, &close, CLOSES_WITHIN).await {
                Err(BrowserError::TimedOut { .. }) => {}
                // The first attempt has closed it.
                Err(BrowserError::Refused { .. }) if is_last => {}
                Err(error) => return Err(error),
                Ok(_done) => {}
            }
            if self.running.tabs.until(CLOSES_WITHIN, gone).await?.is_some() {
                return Ok(());
            }
            if !is_last {
                self.tell(&Crash {});
            }
        }
        Err(BrowserError::TimedOut { method: "Target.closeTarget", within: CLOSES_WITHIN })
    }

    /// Runs a script of the caller in the page and returns its value as JSON.
    pub async fn evaluate(&self, script: &str, within: Duration) -> Result<String, BrowserError> {
        let evaluate = Evaluate {
            expression: script,
            await_promise: true,
            return_by_value: true,
            user_gesture: false,
        };
        let value = value_of(self.call(&evaluate, within).await?)?;
        let text = value.to_string();
        if MAX_VALUE < text.len() {
            return Err(BrowserError::Script(format!(
                "its value has {} bytes, and the limit is {MAX_VALUE}",
                text.len()
            )));
        }
        Ok(text)
    }

    /// Runs a script of the driver in an isolated world of the main frame.
    pub(crate) async fn evaluate_own(&self, script: &str) -> Result<Value, BrowserError> {
        let context_id = self.world(&self.target).await?;
        let evaluate = EvaluateIn {
            expression: script,
            context_id,
            await_promise: true,
            return_by_value: true,
        };
        value_of(self.call(&evaluate, USUAL).await?)
    }

    /// The current HTML of the main frame, cut at two million characters. Fails for a page into which a credential was
    /// typed, because the HTML may contain it.
    pub async fn html(&self) -> Result<String, BrowserError> {
        let refused = || match self.with_tab(|tab| tab.knows_secret())? {
            true => Err(BrowserError::KnowsSecret),
            false => Ok(()),
        };
        refused()?;
        let html = self.evaluate_own(HTML).await?;
        refused()?;
        Ok(html.as_str().unwrap_or_default().to_owned())
    }

    /// Calls a function of the driver on a node.
    pub(crate) async fn call_on(
        &self,
        node: &Node,
        function: &str,
        arguments: Vec<Value>,
    ) -> Result<Value, BrowserError> {
        let link = &self.running.link;
        let session = Some(&node.session);
        let world = self.world(&node.frame).await?;
        let resolve = Resolve { backend_node_id: node.backend, execution_context_id: world };
        let object = link.call(session, &resolve, USUAL).await?.object;
        let object_id = object.object_id.unwrap_or_default();
        let call = CallOn {
            function_declaration: function,
            object_id: &object_id,
            arguments: arguments.into_iter().map(|value| Argument { value }).collect(),
            await_promise: true,
            return_by_value: true,
        };
        let answer = link.call(session, &call, USUAL).await;
        link.tell(session, &ReleaseObject { object_id: &object_id });
        value_of(answer?)
    }

    /// The isolated world of the driver in a frame's document.
    pub(crate) async fn world(&self, frame: &str) -> Result<i64, BrowserError> {
        let (session, loader, world) = self
            .with_tab(|tab| {
                let frame = tab.frames.get(frame)?;
                Some((Arc::clone(&frame.session), frame.loader.clone(), frame.world))
            })?
            .ok_or_else(gone)?;
        if let Some(world) = world {
            return Ok(world);
        }
        let isolated = IsolatedWorld { frame_id: frame, world_name: WORLD };
        let made = self.running.link.call(Some(&session), &isolated, USUAL).await?;
        let world = made.execution_context_id;
        self.with_tab(|tab| {
            if let Some(frame) = tab.frames.get_mut(frame).filter(|frame| frame.loader == loader) {
                frame.world = Some(world);
            }
        })?;
        Ok(world)
    }

    pub(crate) async fn call<C: Command>(
        &self,
        command: &C,
        within: Duration,
    ) -> Result<C::Answer, BrowserError> {
        self.running.touch();
        self.running.link.call(Some(&self.session), command, within).await
    }

    pub(crate) fn tell<C: Command>(&self, command: &C) {
        self.running.link.tell(Some(&self.session), command);
    }

    pub(crate) fn with_tab<T>(&self, with: impl FnOnce(&mut Tab) -> T) -> Result<T, BrowserError> {
        self.running.touch();
        let mut known = self.running.tabs.lock();
        let has_ended = known.has_ended;
        match known.tab_mut(self.number) {
            _ if has_ended => Err(BrowserError::Ended),
            Some(tab) => Ok(with(tab)),
            None => Err(BrowserError::TabClosed),
        }
    }

    /// Waits until `find` returns a value for the tab, at most for `within`.
    pub(crate) async fn until<T>(
        &self,
        within: Duration,
        find: impl Fn(&Tab) -> Option<T>,
    ) -> Result<Option<T>, BrowserError> {
        let found = self.running.tabs.until(within, |known| match known.tab(self.number) {
            Some(tab) => find(tab).map(Ok),
            None => Some(Err(BrowserError::TabClosed)),
        });
        found.await?.transpose()
    }
}

/// Identifies the document of a tab and its address.
fn place(tab: &Tab) -> (u64, String) {
    (tab.documents, tab.main().map(|frame| frame.url.clone()).unwrap_or_default())
}

/// The error for a missing node or document, in Chromium's words.
pub(crate) fn gone() -> BrowserError {
    BrowserError::Refused {
        method: "DOM.resolveNode",
        message: "No node with given id found".to_owned(),
    }
}

pub(crate) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

pub(crate) fn value_of(evaluated: Evaluated) -> Result<Value, BrowserError> {
    let Some(exception) = evaluated.exception_details else { return Ok(evaluated.result.value) };
    let description = exception.exception.and_then(|exception| exception.description);
    Err(BrowserError::Script(description.unwrap_or(exception.text).chars().take(500).collect()))
}

/// Normalises a web address; an address without a scheme gets `https`.
///
/// # Errors
/// For other schemes: files, pages of the browser, scripts.
pub fn address(text: &str) -> Result<String, BrowserError> {
    let text = text.trim();
    if text == "about:blank" {
        return Ok(text.to_owned());
    }
    let url = match Url::parse(text) {
        Err(url::ParseError::RelativeUrlWithoutBase) => Url::parse(&format!("https://{text}")),
        url => url,
    };
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url.into()),
        _ => Err(BrowserError::Address(text.chars().take(60).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_opened() {
        for (text, url) in [
            ("http://a.test", "http://a.test/"),
            ("a.test/x", "https://a.test/x"),
            (" about:blank ", "about:blank"),
        ] {
            assert_eq!(address(text).unwrap(), url);
        }
        for text in [
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            "chrome://settings",
            "devtools://devtools",
            "view-source:http://a.test",
            "data:text/html,x",
            "javascript:alert(1)",
            "about:version",
            "blob:http://a.test/1",
            "filesystem:http://a.test/x",
            "\tjava\nscript:alert(1)",
            "http://",
            "",
        ] {
            assert!(matches!(address(text), Err(BrowserError::Address(_))), "{text}");
        }
    }
}
