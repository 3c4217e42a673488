//! State of the tabs of a running browser: updated by events, read by everything else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::value::RawValue;
use tokio::sync::watch;
use uuid::Uuid;

use crate::BrowserError;
use crate::chooser::Chooser;
use crate::downloads::Downloads;
use crate::heard::Heard;
use crate::refs::Refs;
use crate::screencast::Frames;
use crate::snapshot::Seen;

/// Maximum number of open tabs; further ones that a page opens are closed.
pub const MAX_TABS: usize = 8;
/// Number of remembered dialogs per tab.
const KEPT_DIALOGS: usize = 5;

/// One tab, for people and models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabInfo {
    /// Shown as `t1`.
    pub number: u32,
    pub title: String,
    pub url: String,
    /// The tab whose page opened this one.
    pub opened_by: Option<u32>,
    pub has_crashed: bool,
}

/// A dialog of a page with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// `alert`, `confirm`, `prompt` or `beforeunload`.
    pub kind: String,
    pub message: String,
    pub accepted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialogAnswer {
    /// OK, with this text for a prompt.
    Accept(String),
    /// Cancel.
    Dismiss,
}

/// State of all tabs with a change notification.
pub(crate) struct Tabs {
    state: Mutex<Known>,
    bell: watch::Sender<u64>,
}

pub(crate) struct Known {
    pub tabs: Vec<Tab>,
    pub next_tab: u32,
    /// Tab number by session.
    pub sessions: HashMap<Arc<str>, u32>,
    pub downloads: Downloads,
    /// Number of pages closed because there were too many.
    pub refused_popups: u32,
    /// The tab in front; pages behind it are not drawn.
    pub front: Option<u32>,
    /// Tabs that the acting caller knows of.
    pub reported: HashSet<u32>,
    /// Whether capture is paused: a credential is being typed, and new addresses may contain it.
    pub is_dark: bool,
    pub has_ended: bool,
}

pub(crate) struct Tab {
    pub number: u32,
    pub target: String,
    pub session: Arc<str>,
    pub title: String,
    pub url: String,
    pub opened_by: Option<u32>,
    pub has_crashed: bool,
    /// Whether the initial frames are known.
    pub is_ready: bool,
    pub frames: HashMap<String, Frame>,
    pub is_loading: bool,
    /// Number of loads, and how many of them acts have waited for.
    pub loads: u64,
    pub waited_loads: u64,
    /// Addresses seen while a credential was typed. Their query is never shown, even when they occur again.
    pub private_urls: HashSet<String>,
    /// Number of documents of the main frame so far.
    pub documents: u64,
    pub refs: Refs,
    /// Parts whose value is never shown.
    pub hidden: HashSet<u32>,
    /// What the acting caller has last seen.
    pub seen: Option<Seen>,
    pub dialogs: Vec<Dialog>,
    /// Number of dialogs so far.
    pub dialogs_seen: u64,
    /// Number of dialogs since the last act.
    pub dialogs_in_a_row: u32,
    /// The prepared answer for the next question, and its author.
    pub next_answer: Option<(Uuid, DialogAnswer)>,
    pub drag: Option<Box<RawValue>>,
    /// The open file chooser.
    pub chooser: Option<Chooser>,
    /// Whether a script of an agent has run in the document.
    pub is_scripted: bool,
    /// Recorded console lines and requests, once requested.
    pub heard: Heard,
    pub cast: Option<Frames>,
}

pub(crate) struct Frame {
    pub parent: Option<String>,
    /// The session of its process.
    pub session: Arc<str>,
    /// The document.
    pub loader: String,
    pub url: String,
    /// Whether the address may contain a credential, and whether the next one may.
    pub is_private: bool,
    pub leaves_private: bool,
    pub is_loaded: bool,
    pub is_idle: bool,
    /// Isolated world for scripts of the driver in this document.
    pub world: Option<i64>,
}

impl Tabs {
    pub(crate) fn new(next_tab: u32, downloads: Downloads) -> Self {
        Self {
            state: Mutex::new(Known {
                tabs: Vec::new(),
                next_tab,
                sessions: HashMap::new(),
                downloads,
                refused_popups: 0,
                front: None,
                reported: HashSet::new(),
                is_dark: false,
                has_ended: false,
            }),
            bell: watch::Sender::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.state.lock()
    }

    pub(crate) fn ring(&self) {
        self.bell.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until `find` returns a value, at most for `within`.
    pub(crate) async fn until<T>(
        &self,
        within: Duration,
        find: impl Fn(&Known) -> Option<T>,
    ) -> Result<Option<T>, BrowserError> {
        let mut bell = self.bell.subscribe();
        let waits = async {
            loop {
                bell.borrow_and_update();
                {
                    let known = self.lock();
                    if let Some(found) = find(&known) {
                        return Ok(found);
                    }
                    if known.has_ended {
                        return Err(BrowserError::Ended);
                    }
                }
                // `self` keeps the sender alive while somebody waits.
                bell.changed().await.map_err(|_gone| BrowserError::Ended)?;
            }
        };
        match tokio::time::timeout(within, waits).await {
            Ok(found) => found.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }
}

impl Known {
    pub(crate) fn tab(&self, number: u32) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.number == number)
    }

    pub(crate) fn tab_mut(&mut self, number: u32) -> Option<&mut Tab> {
        self.tabs.iter_mut().find(|tab| tab.number == number)
    }

    pub(crate) fn of_session(&mut self, session: &str) -> Option<&mut Tab> {
        let number = *self.sessions.get(session)?;
        self.tab_mut(number)
    }

    pub(crate) fn infos(&self) -> Vec<TabInfo> {
        self.tabs.iter().map(Tab::info).collect()
    }
}

impl Tab {
    pub(crate) fn new(number: u32, target: String, session: Arc<str>) -> Self {
        Self {
            number,
            target,
            session,
            title: String::new(),
            url: String::new(),
            opened_by: None,
            has_crashed: false,
            is_ready: false,
            frames: HashMap::new(),
            is_loading: false,
            loads: 0,
            waited_loads: 0,
            private_urls: HashSet::new(),
            documents: 0,
            refs: Refs::default(),
            hidden: HashSet::new(),
            seen: None,
            dialogs: Vec::new(),
            dialogs_seen: 0,
            dialogs_in_a_row: 0,
            next_answer: None,
            drag: None,
            chooser: None,
            is_scripted: false,
            heard: Heard::default(),
            cast: None,
        }
    }

    pub(crate) fn info(&self) -> TabInfo {
        TabInfo {
            number: self.number,
            title: self.title.clone(),
            url: self.main().map_or_else(|| self.url.clone(), Frame::shown_url),
            opened_by: self.opened_by,
            has_crashed: self.has_crashed,
        }
    }

    /// The main frame; its id equals the target id.
    pub(crate) fn main(&self) -> Option<&Frame> {
        self.frames.get(&self.target)
    }

    /// Whether a credential was typed into a document that still exists.
    pub(crate) fn knows_secret(&self) -> bool {
        self.hidden.iter().any(|number| self.refs.node(*number).is_some())
    }

    /// Sets the title unless it may contain a credential: the page may copy it there, and a page without a title shows
    /// its address.
    pub(crate) fn set_title(&mut self, title: String) {
        let private = self.main().filter(|frame| frame.is_private && !frame.url.is_empty());
        let names_address = private.is_some_and(|frame| {
            let shown = frame.shown_url();
            title.contains(shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest))
        });
        if names_address {
            self.title.clear();
        } else if !self.knows_secret() {
            self.title = title;
        }
    }

    pub(crate) fn note(&mut self, dialog: Dialog) {
        self.dialogs_seen += 1;
        self.dialogs_in_a_row += 1;
        if self.dialogs.len() == KEPT_DIALOGS {
            self.dialogs.remove(0);
        }
        self.dialogs.push(dialog);
    }
}

impl Frame {
    /// The address to show; a private one without its query.
    pub(crate) fn shown_url(&self) -> String {
        if self.is_private { without_query(&self.url) } else { self.url.clone() }
    }
}

/// Removes query and fragment, which may contain form values.
pub(crate) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}
