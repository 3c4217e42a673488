//! Side effects of a browser action: dialogs, tabs, downloads, file choosers.

use std::collections::HashSet;

use browser::page::Page;
use browser::snapshot::escape::{self, Quoted};
use browser::tabs::TabInfo;
use web::error::ApiError;

use super::super::downloads;
use super::acts::{Turn, open_tabs};

/// Maximum length of an address or a name, in characters.
const MAX_URL: usize = 300;

/// The state before an action, for finding its side effects.
pub(super) struct Before {
    tabs: HashSet<u32>,
    dialogs: u64,
    /// The downloaded files.
    downloads: HashSet<String>,
    /// Whether the new page is still loading.
    pub(super) loads: bool,
}

impl Before {
    pub(super) fn of(turn: &Turn<'_>, page: &Page) -> Result<Self, ApiError> {
        let tabs = open_tabs(turn.ws, turn.who, turn.agent)?;
        let downloads = downloads(turn.ws, turn.who, turn.agent.id)?;
        Ok(Self {
            tabs: tabs.into_iter().map(|tab| tab.number).collect(),
            dialogs: page.dialog_count()?,
            downloads: downloads.into_iter().map(|one| one.file).collect(),
            loads: false,
        })
    }

    /// The side effects, worded as in the agents' tool. `open` are the current tabs.
    pub(super) fn news(
        &self,
        turn: &Turn<'_>,
        page: &Page,
        open: &[TabInfo],
    ) -> Result<Vec<String>, ApiError> {
        // ok: a closed tab has no dialogs
        let mut news = page.dialogs_since(self.dialogs).unwrap_or_default();
        for tab in open.iter().filter(|tab| !self.tabs.contains(&tab.number)) {
            news.push(format!("new tab t{} {}", tab.number, escape::plain(&tab.url, MAX_URL)));
        }
        for gone in self.tabs.iter().filter(|gone| !open.iter().any(|tab| tab.number == **gone)) {
            news.push(format!("tab t{gone} is closed"));
        }
        let came = downloads(turn.ws, turn.who, turn.agent.id)?;
        for one in came.iter().filter(|one| !self.downloads.contains(&one.file)) {
            news.push(format!("download {}", Quoted(&one.name, MAX_URL)));
        }
        if page.chooser().is_some() {
            news.push("the page asks for a file: send one with POST upload".to_owned());
        }
        if self.loads {
            news.push("the page is still loading".to_owned());
        }
        Ok(news)
    }
}
