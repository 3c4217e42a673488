//! The list of open tabs in a file of the browser's folder, so that they come back after a restart of HQ.
//!
//! The file is beside the profile, where nothing in the jail can write, and is not part of backups. It never lists
//! pages into which a credential was typed, or addresses that may contain one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::launch::unless_missing;
use crate::page::address;
use crate::setup::Setup;
use crate::tabs::{Known, MAX_TABS};

/// Maximum length of a stored address in bytes.
const MAX_URL: usize = 4096;
/// Maximum number of stored runs; those of the newest tabs are kept.
const MAX_RUNS: usize = 200;
/// A larger file was not written by HQ.
const MAX_FILE: u64 = 64 * 1024;

/// The last known tabs of a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tabs {
    /// Number and address of each tab.
    pub tabs: Vec<(u32, String)>,
    pub next_tab: u32,
    /// The tab in front.
    pub front: Option<u32>,
    /// The last run of each tab, also of closed ones: it determines who may see the tab.
    pub runs: BTreeMap<u32, Uuid>,
}

impl Default for Tabs {
    fn default() -> Self {
        Self { tabs: Vec::new(), next_tab: 1, front: None, runs: BTreeMap::new() }
    }
}

impl Tabs {
    /// The part of the open tabs that may be stored; `None` while a credential is typed.
    pub(crate) fn kept_of(known: &Known, mut runs: BTreeMap<u32, Uuid>) -> Option<Self> {
        if known.is_dark {
            return None;
        }
        let kept = known.tabs.iter().filter_map(|tab| {
            let main = tab.main().filter(|main| !main.is_private && !main.leaves_private)?;
            let is_kept = !tab.knows_secret() && main.url.len() <= MAX_URL && is_web(&main.url);
            is_kept.then(|| (tab.number, main.url.clone()))
        });
        let tabs: Vec<_> = kept.collect();
        while MAX_RUNS < runs.len() {
            runs.pop_first();
        }
        Some(Self { tabs, next_tab: known.next_tab, front: known.front, runs })
    }

    /// Loads the stored tabs; none if HQ did not write the file.
    pub(crate) fn load(setup: &Setup) -> Self {
        let path = place(setup);
        let is_ours = |found: &fs::Metadata| found.is_file() && found.len() <= MAX_FILE;
        if !fs::symlink_metadata(&path).is_ok_and(|found| is_ours(&found)) {
            return Self::default();
        }
        let read = fs::read(&path).ok(); // ok: then no tab comes back
        let read = read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok()); // ok: as before
        let mut read = read.unwrap_or_default();
        read.tabs.retain(|(_, url)| is_web(url));
        read.tabs.truncate(MAX_TABS);
        let newest = read.tabs.iter().map(|(number, _)| *number).max().unwrap_or_default();
        read.next_tab = read.next_tab.max(newest.saturating_add(1));
        read
    }

    pub(crate) fn save(&self, setup: &Setup) -> io::Result<()> {
        let path = place(setup);
        let new = path.with_extension("new");
        unless_missing(fs::remove_file(&new))?;
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&new)?;
        serde_json::to_writer(&file, self).map_err(io::Error::other)?;
        fs::rename(new, path)
    }

    pub(crate) fn forget(setup: &Setup) -> io::Result<()> {
        unless_missing(fs::remove_file(place(setup)))
    }
}

fn is_web(url: &str) -> bool {
    url != "about:blank" && address(url).is_ok()
}

fn place(setup: &Setup) -> PathBuf {
    let folder: &Path = &setup.folder;
    folder.join("tabs.json")
}
