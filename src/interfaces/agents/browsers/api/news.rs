//! What an act brings about beside the text of its page: dialogs, tabs, downloads, a page that asks for files.

use std::collections::HashSet;

use browser::page::Page;
use browser::snapshot::escape::{self, Quoted};
use browser::tabs::TabInfo;
use web::error::ApiError;

use super::super::downloads;
use super::acts::{Turn, open_tabs};

/// The longest address and name that are told, in characters.
const MAX_URL: usize = 300;

/// What there was before an act, to tell what came of it beside the text of its page.
pub(super) struct Before {
    tabs: HashSet<u32>,
    dialogs: u64,
    /// The files of downloads.
    downloads: HashSet<String>,
    /// Whether the page that it brings still loads.
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

    /// What happened since, in the words of the agents' tool. `open` are the tabs now.
    pub(super) fn news(
        &self,
        turn: &Turn<'_>,
        page: &Page,
        open: &[TabInfo],
    ) -> Result<Vec<String>, ApiError> {
        // ok: a tab that is closed shows none any more
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
            news.push("the page asks for a file: POST upload gives it one".to_owned());
        }
        if self.loads {
            news.push("the page still loads".to_owned());
        }
        Ok(news)
    }
}
