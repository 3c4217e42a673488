//! Applies events of the browser to the known state of the tabs. Runs on the reading thread: a new target is set up
//! here before its first script runs, and dialogs are answered here, so that they block nothing.

use std::sync::Arc;

use serde::Deserialize;

use crate::protocol::{
    AckFrame, AnswerDialog, Attached, AutoAttach, CancelDownload, CastFrame, ClearCache,
    CloseTarget, Detached, DialogOpening, DownloadBegins, DownloadProgress, DragIntercepted,
    FrameAttached, FrameEvent, FrameInfo, FrameNavigated, FrameNode, FrameTree, Frames, GoOn,
    InspectorEnable, InterceptChooser, Lifecycle, PageEnable, StopCast, TargetChanged,
    TargetCrashed, TargetFilter, Terminate,
};
use crate::screencast::Picture;
use crate::tabs::{Dialog, DialogAnswer, Frame, Known, MAX_TABS, Tab, Tabs, without_query};
use crate::transport::{Event, Link, Listener};

/// After this many dialogs without an act between them the script is terminated.
const FLOOD: u32 = 50;
/// Maximum number of remembered private addresses per tab.
const MAX_PRIVATE: usize = 64;
/// Maximum number of remembered characters of a dialog.
const MAX_WORDS: usize = 2_000;

/// Updates [`Tabs`] from events.
pub(crate) struct Fold(pub(crate) Arc<Tabs>);

impl Listener for Fold {
    fn heard(&self, link: &Link, event: &Event<'_>) {
        let done = match event.session {
            None => self.of_browser(link, event),
            Some(session) => self.of_session(link, session, event),
        };
        if let Err(error) = done {
            tracing::debug!("{} of the browser is not understood: {error}", event.method);
        }
    }

    fn ended(&self) {
        let mut known = self.0.lock();
        known.has_ended = true;
        for tab in &mut known.tabs {
            tab.cast = None;
        }
        drop(known);
        self.0.ring();
    }
}

/// Events that announce the navigation of a frame.
const LEAVES: [&str; 2] = ["Page.frameStartedNavigating", "Page.frameRequestedNavigation"];

impl Fold {
    fn of_browser(&self, link: &Link, event: &Event<'_>) -> serde_json::Result<()> {
        match event.method {
            "Target.attachedToTarget" => self.page_attached(link, read(event)?),
            "Target.detachedFromTarget" => self.detached(link, &read::<Detached>(event)?),
            "Target.targetInfoChanged" => {
                let info = read::<TargetChanged>(event)?.target_info;
                let mut known = self.0.lock();
                let is_dark = known.is_dark;
                let tab = known.tabs.iter_mut().find(|tab| tab.target == info.target_id);
                if let Some(tab) = tab {
                    tab.url = if is_dark { without_query(&info.url) } else { info.url };
                    tab.set_title(info.title);
                }
            }
            "Target.targetCrashed" => {
                let target = read::<TargetCrashed>(event)?.target_id;
                let mut known = self.0.lock();
                if let Some(tab) = known.tabs.iter_mut().find(|tab| tab.target == target) {
                    crashed(link, tab);
                }
            }
            "Browser.downloadWillBegin" => {
                let mut begins: DownloadBegins = read(event)?;
                let mut known = self.0.lock();
                if known.is_dark {
                    begins.url = without_query(&begins.url);
                }
                let tab = known.tabs.iter().find(|tab| tab.frames.contains_key(&begins.frame_id));
                let tab = tab.map(|tab| tab.number);
                known.downloads.begin(begins, tab);
            }
            "Browser.downloadProgress" => {
                let progress: DownloadProgress = read(event)?;
                if self.0.lock().downloads.progress(&progress) {
                    link.tell(None, &CancelDownload { guid: &progress.guid });
                }
            }
            _ => return Ok(()),
        }
        self.0.ring();
        Ok(())
    }

    fn of_session(&self, link: &Link, name: &str, event: &Event<'_>) -> serde_json::Result<()> {
        if event.method == "Target.attachedToTarget" {
            self.frame_attached(link, name, read(event)?);
            return Ok(());
        }
        if event.method == "Target.detachedFromTarget" {
            self.detached(link, &read::<Detached>(event)?);
            return Ok(());
        }
        let mut known = self.0.lock();
        let Some(session) = known.sessions.get_key_value(name).map(|(key, _)| Arc::clone(key))
        else {
            return Ok(());
        };
        let is_dark = known.is_dark;
        let Some(tab) = known.of_session(name) else { return Ok(()) };
        match event.method {
            "Page.frameAttached" => {
                let FrameAttached { frame_id, parent_frame_id } = read(event)?;
                let frame = Frame::new(Some(parent_frame_id), Arc::clone(&session));
                tab.frames.entry(frame_id).or_insert(frame);
            }
            "Page.frameNavigated" => {
                tab.navigated(read::<FrameNavigated>(event)?.frame, &session, is_dark);
                link.revive(name);
            }
            "Page.frameDetached" => {
                let frame: FrameEvent = read(event)?;
                if frame.reason.as_deref() != Some("swap") {
                    tab.frames.remove(&frame.frame_id);
                    tab.refs.forget(&frame.frame_id);
                }
            }
            // The crash of the page itself is reported once, as `Target.targetCrashed`.
            "Inspector.targetCrashed" if session != tab.session => link.crash(&session),
            "Page.javascriptDialogOpening" => answer(link, &session, tab, read(event)?),
            "Page.fileChooserOpened" => tab.opens_chooser(read(event)?, &session),
            "Runtime.consoleAPICalled" => tab.heard.record_console(read(event)?),
            "Runtime.exceptionThrown" => tab.heard.threw(read(event)?),
            "Network.requestWillBeSent" => tab.heard.sent(read(event)?),
            "Network.responseReceived" => tab.heard.came(&read(event)?),
            "Network.loadingFailed" => tab.heard.failed(read(event)?),
            "Input.dragIntercepted" => tab.drag = Some(read::<DragIntercepted>(event)?.data),
            "Page.screencastFrame" => {
                let frame: CastFrame = read(event)?;
                let number = frame.session_id;
                match &tab.cast {
                    Some(cast) if cast.put(Picture::from(frame)) => {}
                    Some(cast) if cast.is_wanted() => {
                        link.tell(Some(&session), &AckFrame { session_id: number });
                    }
                    // The receiver of the screencast is gone.
                    Some(_) | None => {
                        tab.cast = None;
                        link.tell(Some(&session), &StopCast {});
                    }
                }
            }
            "Page.navigatedWithinDocument"
            | "Page.lifecycleEvent"
            | "Page.frameStartedNavigating"
            | "Page.frameRequestedNavigation"
            | "Page.frameStartedLoading"
            | "Page.frameStoppedLoading" => {
                tab.frame_event(event.method, read(event)?, is_dark);
                // Clears the cache when a private address has loaded, also later.
                let is_private = tab.main().is_some_and(|frame| frame.is_private);
                if is_private && !is_dark && event.method == "Page.frameStoppedLoading" {
                    link.tell(Some(&session), &ClearCache {});
                }
            }
            _ => return Ok(()),
        }
        drop(known);
        self.0.ring();
        Ok(())
    }

    /// Handles a new tab, opened by the driver or by a page.
    fn page_attached(&self, link: &Link, attached: Attached) {
        let session: Arc<str> = attached.session_id.into();
        let info = attached.target_info;
        let mut known = self.0.lock();
        if info.kind != "page" || MAX_TABS <= known.tabs.len() {
            known.refused_popups += u32::from(info.kind == "page");
            // First, because the opening page waits for it.
            link.tell(Some(&session), &GoOn {});
            link.tell(None, &CloseTarget { target_id: &info.target_id });
            return;
        }
        let number = known.next_tab;
        known.next_tab += 1;
        let opener = info.opener_id.as_deref();
        let opened_by = known
            .tabs
            .iter()
            .find(|tab| opener.is_some_and(|opener| tab.target == opener))
            .map(|tab| tab.number);
        let mut tab = Tab::new(number, info.target_id, Arc::clone(&session));
        tab.url = if known.is_dark { without_query(&info.url) } else { info.url };
        tab.opened_by = opened_by;
        if !known.is_dark {
            tab.set_title(info.title);
        }
        known.tabs.push(tab);
        known.front = None;
        known.sessions.insert(Arc::clone(&session), number);
        drop(known);
        self.set_up(link, &session);
    }

    /// Handles a frame that moved to its own process.
    fn frame_attached(&self, link: &Link, parent: &str, attached: Attached) {
        let session: Arc<str> = attached.session_id.into();
        {
            let mut known = self.0.lock();
            let Some(number) = known.sessions.get(parent).copied() else { return };
            known.sessions.insert(Arc::clone(&session), number);
        }
        self.set_up(link, &session);
    }

    fn set_up(&self, link: &Link, session: &Arc<str>) {
        let to = Some(session);
        link.tell(to, &InspectorEnable {});
        link.tell(to, &PageEnable {});
        link.tell(to, &Lifecycle { enabled: true });
        link.tell(to, &InterceptChooser { enabled: true });
        link.tell(
            to,
            &AutoAttach {
                auto_attach: true,
                wait_for_debugger_on_start: true,
                flatten: true,
                filter: vec![
                    TargetFilter { kind: Some("iframe"), exclude: false },
                    TargetFilter { kind: None, exclude: true },
                ],
            },
        );
        let (tabs, of) = (Arc::clone(&self.0), Arc::clone(session));
        link.tell_then(to, &FrameTree {}, move |answer| {
            let Ok(frames) = serde_json::from_str::<Frames>(answer) else { return };
            let mut known = tabs.lock();
            let is_dark = known.is_dark;
            if let Some(tab) = known.of_session(&of) {
                tab.add(frames.frame_tree, &of, is_dark);
                tab.is_ready = true;
            }
            drop(known);
            tabs.ring();
        });
        link.tell(to, &GoOn {});
    }

    fn detached(&self, link: &Link, detached: &Detached) {
        let mut known = self.0.lock();
        let Some((session, number)) = known.sessions.remove_entry(detached.session_id.as_str())
        else {
            return;
        };
        link.close(&session);
        if known.tab(number).is_some_and(|tab| tab.session == session) {
            known.tabs.retain(|tab| tab.number != number);
            known.front = None;
            known.sessions.retain(|_, of| *of != number);
        } else if let Some(tab) = known.tab_mut(number) {
            tab.lose(&session);
        }
        drop(known);
        self.0.ring();
    }
}

fn read<'a, T: Deserialize<'a>>(event: &Event<'a>) -> serde_json::Result<T> {
    serde_json::from_str(event.params)
}

fn crashed(link: &Link, tab: &mut Tab) {
    tab.has_crashed = true;
    tab.is_loading = false;
    link.crash(&tab.session);
}

/// Answers a dialog as the caller has prepared; otherwise questions get Cancel.
fn answer(link: &Link, session: &Arc<str>, tab: &mut Tab, opening: DialogOpening) {
    let asks = matches!(opening.kind.as_str(), "confirm" | "prompt");
    let answer = match asks.then(|| tab.next_answer.take()).flatten() {
        Some((_, answer)) => answer,
        None if asks => DialogAnswer::Dismiss,
        None => DialogAnswer::Accept(String::new()),
    };
    let (accept, text) = match &answer {
        DialogAnswer::Accept(text) => (true, text.as_str()),
        DialogAnswer::Dismiss => (false, ""),
    };
    link.tell(Some(session), &AnswerDialog { accept, prompt_text: text });
    let message = opening.message.chars().take(MAX_WORDS).collect();
    tab.note(Dialog { kind: opening.kind, message, accepted: accept });
    if tab.dialogs_in_a_row.is_multiple_of(FLOOD) {
        link.tell(Some(session), &Terminate {});
    }
}

impl Frame {
    fn new(parent: Option<String>, session: Arc<str>) -> Self {
        Self {
            parent,
            session,
            loader: String::new(),
            url: String::new(),
            is_private: false,
            leaves_private: false,
            is_loaded: false,
            is_idle: false,
            world: None,
        }
    }
}

impl Tab {
    fn navigated(&mut self, info: FrameInfo, session: &Arc<str>, is_dark: bool) {
        let is_main = info.id == self.target;
        self.refs.forget(&info.id);
        if is_main {
            self.documents += 1;
            (self.has_crashed, self.is_scripted) = (false, false);
            self.heard.forget_words();
            self.is_loading = true;
            // A prepared answer was meant for the previous page.
            self.next_answer = None;
        }
        let known = self.frames.remove(&info.id);
        let leaves_private = known.as_ref().is_some_and(|frame| frame.leaves_private);
        let parent = info.parent_id.or_else(|| known.and_then(|frame| frame.parent));
        let mut frame = Frame::new(parent, Arc::clone(session));
        (frame.loader, frame.url) = (info.loader_id, info.unreachable_url.unwrap_or(info.url));
        frame.is_private = self.is_private(&frame.url, is_dark || leaves_private);
        self.frames.insert(info.id, frame);
    }

    /// Adds the frames of a new session; data from events is newer.
    fn add(&mut self, node: FrameNode, session: &Arc<str>, is_dark: bool) {
        let info = node.frame;
        let parent = info.parent_id.clone();
        let is_private = self.is_private(&info.url, is_dark);
        let frame = self
            .frames
            .entry(info.id.clone())
            .or_insert_with(|| Frame::new(parent, Arc::clone(session)));
        if frame.loader.is_empty() || frame.session != *session {
            frame.session = Arc::clone(session);
            (frame.loader, frame.url) = (info.loader_id, info.url);
            frame.is_private = is_private;
            (frame.world, frame.is_loaded) = (None, true);
            self.refs.forget(&info.id);
        }
        for child in node.child_frames {
            self.add(child, session, is_dark);
        }
    }

    /// Removes the frames of a session that no other session has taken over.
    fn lose(&mut self, session: &Arc<str>) {
        let gone: Vec<String> = self
            .frames
            .iter()
            .filter(|(_, frame)| frame.session == *session)
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.refs.forget(&id);
            self.frames.remove(&id);
        }
    }

    /// Whether an address may contain a credential, because it occurred while one was typed.
    fn is_private(&mut self, url: &str, is_dark: bool) -> bool {
        if is_dark && url.contains(['?', '#']) && self.private_urls.len() < MAX_PRIVATE {
            self.private_urls.insert(url.to_owned());
        }
        is_dark || self.private_urls.contains(url)
    }

    fn frame_event(&mut self, method: &str, event: FrameEvent, is_dark: bool) {
        if event.frame_id == self.target {
            match method {
                "Page.frameStartedNavigating" | "Page.frameStartedLoading" => {
                    self.is_loading = true;
                    self.loads += 1;
                }
                "Page.frameStoppedLoading" => self.is_loading = false,
                _ => {}
            }
        }
        let within = method == "Page.navigatedWithinDocument";
        let url = event.url.as_deref().filter(|_| within);
        let is_private = url.is_some_and(|url| self.is_private(url, is_dark));
        let Some(frame) = self.frames.get_mut(&event.frame_id) else { return };
        // The navigation may finish after the typing has ended.
        frame.leaves_private |= is_dark && LEAVES.contains(&method);
        match (method, event.name.as_deref()) {
            ("Page.navigatedWithinDocument", _) => {
                frame.url = event.url.unwrap_or_default();
                frame.is_private = is_private;
            }
            ("Page.lifecycleEvent", Some(name))
                if event.loader_id.as_deref() == Some(frame.loader.as_str()) =>
            {
                frame.is_loaded |= name == "load";
                frame.is_idle |= name == "networkIdle";
            }
            _ => {}
        }
    }
}

impl Known {
    /// Whether the page of a tab has arrived and finished loading.
    pub(crate) fn is_settled(&self, number: u32) -> bool {
        self.tab(number).is_none_or(|tab| {
            tab.has_crashed || (!tab.is_loading && tab.main().is_some_and(|frame| frame.is_loaded))
        })
    }
}
