//! What is known of the tabs of a running browser: kept up by its events, read by everybody else.

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

/// As many tabs are open at once; what a page opens beyond that is closed again.
pub const MAX_TABS: usize = 8;
/// Dialogs of a tab that are remembered.
const KEPT_DIALOGS: usize = 5;

/// One tab, as people and models see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabInfo {
    /// Its number; it is called `t1`.
    pub number: u32,
    /// The title of its page.
    pub title: String,
    /// The address of its page.
    pub url: String,
    /// The tab whose page opened it.
    pub opened_by: Option<u32>,
    /// Whether its page has crashed.
    pub has_crashed: bool,
}

/// A dialog of a page, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// `alert`, `confirm`, `prompt` or `beforeunload`.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// How the next dialog of a page is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialogAnswer {
    /// OK, with this text if it asks for one.
    Accept(String),
    /// Cancel.
    Dismiss,
}

/// What is known of all tabs, and a bell that rings when it changes.
pub(crate) struct Tabs {
    state: Mutex<Known>,
    bell: watch::Sender<u64>,
}

pub(crate) struct Known {
    pub tabs: Vec<Tab>,
    pub next_tab: u32,
    /// Which tab a session belongs to.
    pub sessions: HashMap<Arc<str>, u32>,
    pub downloads: Downloads,
    /// Pages that were closed because there were too many.
    pub refused_popups: u32,
    /// The tab in front; pages behind it draw nothing.
    pub front: Option<u32>,
    /// Tabs that whoever acts knows of.
    pub told: HashSet<u32>,
    /// Whether capture is paused: a credential is being typed. Addresses that come meanwhile may hold it.
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
    /// Whether its first frames are known.
    pub is_ready: bool,
    pub frames: HashMap<String, Frame>,
    pub is_loading: bool,
    /// How often something began to load, and up to which of these loads acts have waited.
    pub loads: u64,
    pub waited_loads: u64,
    /// Addresses that came while a credential was typed: nobody is told their query, whenever they come again.
    pub private_urls: HashSet<String>,
    /// How many documents its main frame has had.
    pub documents: u64,
    pub refs: Refs,
    /// Parts whose value nobody is told.
    pub hidden: HashSet<u32>,
    /// What whoever acts has seen of it.
    pub seen: Option<Seen>,
    pub dialogs: Vec<Dialog>,
    /// How many there were.
    pub dialogs_seen: u64,
    /// How many there were since somebody acted last.
    pub dialogs_in_a_row: u32,
    /// How the next question is answered, and who has said so.
    pub next_answer: Option<(Uuid, DialogAnswer)>,
    pub drag: Option<Box<RawValue>>,
    /// The chooser of files that its page has opened.
    pub chooser: Option<Chooser>,
    /// Whether a script of somebody else than the page and the driver has run in its document.
    pub is_scripted: bool,
    /// What its pages say and fetch, once somebody asked for that.
    pub heard: Heard,
    pub cast: Option<Frames>,
}

pub(crate) struct Frame {
    pub parent: Option<String>,
    /// The session that speaks for its process.
    pub session: Arc<str>,
    /// Its document.
    pub loader: String,
    pub url: String,
    /// Whether its address may hold a credential, and whether the one that it is on its way to may.
    pub is_private: bool,
    pub leaves_private: bool,
    pub is_loaded: bool,
    pub is_idle: bool,
    /// Where scripts of the driver run in this document, apart from those of the page.
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
                told: HashSet::new(),
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

    /// Waits until `look` finds something, for at most this long.
    pub(crate) async fn until<T>(
        &self,
        within: Duration,
        look: impl Fn(&Known) -> Option<T>,
    ) -> Result<Option<T>, BrowserError> {
        let mut bell = self.bell.subscribe();
        let waits = async {
            loop {
                bell.borrow_and_update();
                {
                    let known = self.lock();
                    if let Some(found) = look(&known) {
                        return Ok(found);
                    }
                    if known.has_ended {
                        return Err(BrowserError::Ended);
                    }
                }
                // The bell hangs here as long as somebody waits for it.
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

    /// The frame of the page itself; its name is that of the target.
    pub(crate) fn main(&self) -> Option<&Frame> {
        self.frames.get(&self.target)
    }

    /// Whether a credential was typed into a document that is still there.
    pub(crate) fn knows_secret(&self) -> bool {
        self.hidden.iter().any(|number| self.refs.node(*number).is_some())
    }

    /// Takes a title, unless it may hold what was typed: a page may write that there, and where it has no title of its
    /// own the browser takes its address.
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
    /// Its address for those who look: one that may hold a credential without its query.
    pub(crate) fn shown_url(&self) -> String {
        if self.is_private { without_query(&self.url) } else { self.url.clone() }
    }
}

/// An address without what forms write into it.
pub(crate) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}
