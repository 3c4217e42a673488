//! Lifecycle of a browser: started at first use, monitored, stopped when idle, restarted after a crash with the tabs
//! that were open.
//!
//! The browser ends when its pipe is closed. Processes that an earlier run of HQ left behind are ended before the next
//! start.

mod tabs;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future;
use parking_lot::Mutex;
use sandbox::job::{Job, StopReason};
use sandbox::left_over;
use sandbox::spawn::Started;
use uuid::Uuid;

use crate::BrowserError;
use crate::downloads::{Download, DownloadState, Downloads};
use crate::events::Fold;
use crate::page::Page;
use crate::protocol::{
    AutoAttach, ClearCache, CloseBrowser, CreateTarget, Discover, GetVersion, SetDownloads,
    TargetFilter,
};
use crate::reopen;
use crate::setup::Setup;
use crate::tabs::{MAX_TABS, TabInfo, Tabs};
use crate::transport::{Link, USUAL};
use crate::visits;

/// Address of a new tab.
const BLANK: &str = "about:blank";
/// Maximum duration of a start.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(20);
/// Maximum time for the first tab: a program that has just started loads its parts from a cold disk.
pub(crate) const FIRST_TAB_WITHIN: Duration = Duration::from_secs(20);
/// A start that makes no first tab within this time is tried again.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(5);
/// How long the browser may take to exit by itself.
const END_WITHIN: Duration = Duration::from_secs(2);
/// After this many consecutive failures the browser is not restarted automatically.
const MAX_FAILURES: u32 = 5;
/// A failure after this running time does not count as consecutive.
const RAN_WELL: Duration = Duration::from_mins(1);
/// A browser that does not answer for this long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// A profile folder and, while in use, a running Chromium. Clones share it.
#[derive(Clone)]
pub struct Browser(Arc<Keeper>);

struct Keeper {
    setup: Setup,
    /// Held while the browser is started or stopped.
    life: tokio::sync::Mutex<Life>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Life {
    failures: u32,
    /// Tabs to reopen at the next start; `None` before they were loaded.
    tabs: Option<reopen::Tabs>,
}

#[derive(Default)]
struct Now {
    running: Option<Arc<Running>>,
    news: Vec<String>,
    /// Finished downloads of earlier processes, while the browser is not running.
    downloads: Vec<Download>,
    /// The last run that used each tab.
    runs: BTreeMap<u32, Uuid>,
    /// The tabs as they were last saved.
    saved: Option<reopen::Tabs>,
}

/// One running Chromium. Ends when the last holder is dropped.
pub(crate) struct Running {
    pub(crate) link: Link,
    pub(crate) tabs: Arc<Tabs>,
    pub(crate) uploads: PathBuf,
    job: Job,
    version: String,
    started: Instant,
    used: Mutex<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Name and version.
    pub version: String,
    pub processes: usize,
    /// In bytes.
    pub memory: u64,
    /// The first process.
    pub pid: i32,
    pub runs_for: Duration,
}

/// Result of [`Browser::tend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tended {
    /// The browser is not running.
    Stopped,
    /// The browser runs normally.
    Fine(Health),
    /// Stopped because nobody used it.
    Idle,
    /// Ended for this reason; the next use restarts it.
    Ended(String),
}

impl Browser {
    /// Creates a browser that starts at its first use.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self(Arc::new(Keeper { setup, life: tokio::sync::Mutex::default(), now: Mutex::default() }))
    }

    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.0.setup
    }

    /// Opens an address in a new tab.
    pub async fn open(&self, url: &str) -> Result<Page, BrowserError> {
        let page = self.open_blank().await?;
        page.navigate(url).await?;
        Ok(page)
    }

    pub async fn page(&self, number: u32) -> Result<Page, BrowserError> {
        let running = self.running().await?;
        Page::of(running, number)
    }

    /// The open tabs. Starts the browser if needed.
    pub async fn tabs(&self) -> Result<Vec<TabInfo>, BrowserError> {
        let running = self.running().await?;
        let tabs = running.tabs.lock().infos();
        Ok(tabs)
    }

    /// The open tabs, or none if the browser is not running. Does not start the browser or count as a use.
    #[must_use]
    pub fn open_tabs(&self) -> Vec<TabInfo> {
        let running = self.current().filter(|running| !running.link.has_ended());
        running.map_or_else(Vec::new, |running| running.tabs.lock().infos())
    }

    /// The tab in front, if known, while the browser is running.
    #[must_use]
    pub fn front(&self) -> Option<u32> {
        let running = self.current().filter(|running| !running.link.has_ended())?;
        let known = running.tabs.lock();
        known.front.filter(|number| known.tab(*number).is_some())
    }

    /// An open tab while the browser is running. Does not count as a use, like [`Browser::open_tabs`].
    #[must_use]
    pub fn open_page(&self, number: u32) -> Option<Page> {
        let running = self.current().filter(|running| !running.link.has_ended())?;
        Page::of(running, number).ok() // ok: a closed tab is none
    }

    /// Clears recorded console lines and requests of all pages.
    pub(crate) fn forget_heard(&self) {
        if let Some(running) = self.current() {
            for tab in &mut running.tabs.lock().tabs {
                tab.heard.forget();
            }
        }
    }

    /// Starts to treat addresses as private, because a credential is being typed.
    pub(crate) fn pause_capture(&self) {
        if let Some(running) = self.current() {
            running.tabs.lock().is_dark = true;
        }
    }

    /// Ends that. Clears the cache, because its addresses may contain the credential.
    pub(crate) fn resume_capture(&self) {
        let Some(running) = self.current() else { return };
        let mut known = running.tabs.lock();
        known.is_dark = false;
        if let Some(tab) = known.tabs.first() {
            running.link.tell(Some(&tab.session), &ClearCache {});
        }
    }

    /// Downloads since HQ was started.
    #[must_use]
    pub fn downloads(&self) -> Vec<Download> {
        match self.current() {
            Some(running) => running.tabs.lock().downloads.list().to_vec(),
            None => self.0.now.lock().downloads.clone(),
        }
    }

    /// Number of finished downloads.
    #[must_use]
    pub fn has_downloaded(&self) -> usize {
        let done =
            |all: &[Download]| all.iter().filter(|one| one.state == DownloadState::Done).count();
        match self.current() {
            Some(running) => done(running.tabs.lock().downloads.list()),
            None => done(&self.0.now.lock().downloads),
        }
    }

    /// The last run that used each tab, also before HQ was started.
    #[must_use]
    pub fn runs(&self) -> BTreeMap<u32, Uuid> {
        self.0.now.lock().runs.clone()
    }

    pub(crate) fn note_run(&self, tab: u32, run: Uuid) {
        self.0.now.lock().runs.insert(tab, run);
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.current().is_some_and(|running| !running.link.has_ended())
    }

    /// Messages about unexpected events; each is returned once.
    #[must_use]
    pub fn take_news(&self) -> Vec<String> {
        std::mem::take(&mut self.0.now.lock().news)
    }

    /// Starts the browser if it is not running.
    pub async fn start(&self) -> Result<(), BrowserError> {
        self.running().await.map(drop)
    }

    /// Ends the browser if it is idle, hangs or uses too much memory. Call this every few seconds.
    pub async fn tend(&self) -> Tended {
        let Some(running) = self.current() else { return Tended::Stopped };
        if running.link.has_ended() {
            return Tended::Stopped;
        }
        if self.0.setup.idle <= running.used.lock().elapsed() {
            self.stop().await;
            return Tended::Idle;
        }
        let health = running.health();
        let why = if self.0.setup.max_memory < health.memory {
            Some(format!("it used {} MB of memory", health.memory >> 20))
        } else {
            let answer = running.link.call(None, &GetVersion {}, HANGS_AFTER).await;
            answer.is_err().then(|| "it stopped responding".to_owned())
        };
        let Some(why) = why else {
            self.save_tabs(&running).await;
            return Tended::Fine(health);
        };
        let mut life = self.0.life.lock().await;
        // Another task may have handled this meanwhile.
        if self.current().is_some_and(|now| Arc::ptr_eq(&now, &running)) {
            self.put_down(&mut life, &running, &why);
            running.end().await;
        }
        Tended::Ended(why)
    }

    /// Stops the browser. The next use starts it with the same tabs and a failure count of zero.
    pub async fn stop(&self) {
        let mut life = self.0.life.lock().await;
        life.failures = 0;
        let running = self.0.now.lock().running.take();
        if let Some(running) = running {
            life.tabs = Some(running.open_tabs());
            self.save_tabs(&running).await;
            self.0.now.lock().downloads = running.downloaded();
            running.end().await;
        }
    }

    /// Stops the browser and deletes sign-ins, tabs and downloads.
    pub async fn reset(&self) -> Result<(), BrowserError> {
        self.stop().await;
        let mut life = self.0.life.lock().await;
        let next_tab = life.tabs.take().map_or(1, |tabs| tabs.next_tab);
        let none = reopen::Tabs { next_tab, ..reopen::Tabs::default() };
        *life = Life { tabs: Some(none), ..Life::default() };
        {
            let mut now = self.0.now.lock();
            now.downloads.clear();
            now.saved = None;
        }
        let setup = self.0.setup.clone();
        blocking(move || {
            reopen::Tabs::forget(&setup)?;
            let all = [setup.profile(), setup.downloads(), setup.uploads(), setup.scratch()];
            all.iter().try_for_each(|folder| unless_missing(fs::remove_dir_all(folder)))
        })
        .await
    }

    /// Time of the last use, while the browser is running.
    pub(crate) fn used(&self) -> Option<Instant> {
        self.current().map(|running| *running.used.lock())
    }

    fn current(&self) -> Option<Arc<Running>> {
        self.0.now.lock().running.clone()
    }

    pub(crate) async fn running(&self) -> Result<Arc<Running>, BrowserError> {
        let mut life = self.0.life.lock().await;
        if let Some(running) = self.current() {
            if !running.link.has_ended() {
                running.touch();
                return Ok(running);
            }
            self.put_down(&mut life, &running, "it crashed");
            running.end().await;
        }
        if MAX_FAILURES <= life.failures {
            return Err(BrowserError::GaveUp(life.failures));
        }
        let tabs = match life.tabs.take() {
            Some(tabs) => tabs,
            None => {
                let setup = self.0.setup.clone();
                let tabs = blocking(move || Ok(reopen::Tabs::load(&setup))).await?;
                self.0.now.lock().runs.extend(&tabs.runs);
                tabs
            }
        };
        let kept = self.0.now.lock().downloads.clone();
        let begun = Running::start(&self.0.setup, tabs.next_tab, kept).await;
        let running = match begun {
            Ok(running) => Arc::new(running),
            Err(error) => {
                life.failures += 1;
                life.tabs = Some(tabs);
                return Err(error);
            }
        };
        running.reopen(tabs).await;
        self.0.now.lock().running = Some(Arc::clone(&running));
        Ok(running)
    }

    /// Records the failure of a browser.
    fn put_down(&self, life: &mut Life, running: &Running, why: &str) {
        life.failures = if RAN_WELL <= running.started.elapsed() { 1 } else { life.failures + 1 };
        life.tabs = Some(running.open_tabs());
        let downloads = running.downloaded();
        let mut now = self.0.now.lock();
        now.running = None;
        now.downloads = downloads;
        now.news.push(format!(
            "the browser was restarted because {why}; the open tabs were reloaded, and the last \
             action might have happened, so check first"
        ));
    }
}

impl Running {
    async fn start(
        setup: &Setup,
        next_tab: u32,
        kept: Vec<Download>,
    ) -> Result<Self, BrowserError> {
        let of = setup.clone();
        let files: HashSet<String> = kept.iter().map(|one| one.file.clone()).collect();
        let work = move || {
            let errors = prepare(&of)?;
            tidy(&of.downloads(), &files)?;
            Ok::<_, io::Error>((errors, size_of(&of.downloads())))
        };
        let (errors, before) = blocking(work).await?;
        let started = setup.spawner.spawn(setup.command(errors)).await?;
        let Started { job, stdin: Some(write), stdout: Some(read), way_out, .. } = started else {
            return Err(BrowserError::NotReady("it has no pipes".to_owned()));
        };
        if let Some(serve) = &setup.serve_way {
            serve(way_out, &job);
        }
        let tabs =
            Arc::new(Tabs::new(next_tab, Downloads::new(setup.max_downloads, before).with(kept)));
        let noted = left_over::note(&setup.runs().join("own"), job.mark());
        let link = noted.and_then(|()| Link::open(write, read, Arc::new(Fold(Arc::clone(&tabs)))));
        let link = link.map_err(|error| {
            job.stop(StopReason::Stopped);
            BrowserError::Folder(error)
        })?;
        let version = get_ready(&link, setup).await;
        let running = |version| Self {
            link,
            tabs,
            uploads: setup.uploads(),
            job: job.clone(),
            version,
            started: Instant::now(),
            used: Mutex::new(Instant::now()),
        };
        match version {
            Ok(version) => Ok(running(version)),
            Err(error) => {
                running(String::new()).end().await;
                Err(why_not(&job, &error))
            }
        }
    }

    pub(crate) async fn new_tab(self: &Arc<Self>) -> Result<Page, BrowserError> {
        self.tab_within(FIRST_TAB_WITHIN).await
    }

    /// Opens an empty tab. `first` limits how long the first tab may take.
    async fn tab_within(self: &Arc<Self>, first: Duration) -> Result<Page, BrowserError> {
        let within = match self.tabs.lock().tabs.len() {
            0 => first,
            open if MAX_TABS <= open => return Err(BrowserError::TooManyTabs(MAX_TABS)),
            _ => USUAL,
        };
        let made = self.link.call(None, &CreateTarget { url: BLANK }, within).await?;
        let number = self
            .tabs
            .until(within, |known| {
                let tab = known.tabs.iter().find(|tab| tab.target == made.target_id)?;
                tab.is_ready.then_some(tab.number)
            })
            .await?;
        let late = || BrowserError::TimedOut { method: "Target.createTarget", within };
        Page::of(Arc::clone(self), number.ok_or_else(late)?)
    }

    /// Records a use.
    pub(crate) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    fn health(&self) -> Health {
        let members = self.job.mark().members();
        Health {
            version: self.version.clone(),
            processes: members.len(),
            memory: members.iter().map(|process| memory_of(process.pid)).sum(),
            pid: self.job.pid(),
            runs_for: self.started.elapsed(),
        }
    }

    /// The finished downloads.
    fn downloaded(&self) -> Vec<Download> {
        let known = self.tabs.lock();
        let all = known.downloads.list().iter();
        all.filter(|one| one.state == DownloadState::Done).cloned().collect()
    }

    /// Lets the browser save its state, then ends what is left.
    async fn end(&self) {
        if !self.link.has_ended() {
            // ok: the browser is ended either way
            self.link.call(None, &CloseBrowser {}, END_WITHIN).await.ok();
            self.job.wait_for(END_WITHIN).await;
        }
        self.job.stop(StopReason::Stopped);
        self.job.wait_for(END_WITHIN).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.job.stop(StopReason::Stopped);
    }
}

async fn get_ready(link: &Link, setup: &Setup) -> Result<String, BrowserError> {
    let downloads = setup.downloads();
    let filter = vec![
        TargetFilter { kind: Some("page"), exclude: false },
        TargetFilter { kind: None, exclude: true },
    ];
    let attach =
        AutoAttach { auto_attach: true, wait_for_debugger_on_start: true, flatten: true, filter };
    let download_path = downloads.to_string_lossy();
    let downloads = SetDownloads {
        behavior: "allowAndName",
        download_path: &download_path,
        events_enabled: true,
    };
    let (version, discover, attach, downloads) = future::join4(
        link.call(None, &GetVersion {}, READY_WITHIN),
        link.call(None, &Discover { discover: true }, READY_WITHIN),
        link.call(None, &attach, READY_WITHIN),
        link.call(None, &downloads, READY_WITHIN),
    )
    .await;
    discover?;
    attach?;
    downloads?;
    Ok(version?.product)
}

/// Creates the folders and ends processes that an earlier run of HQ left behind. Returns the path for error output.
fn prepare(setup: &Setup) -> io::Result<PathBuf> {
    let runs = setup.runs();
    fs::create_dir_all(&runs)?;
    let ended = left_over::end_all(&runs);
    if 0 < ended {
        tracing::info!("ended {ended} processes that a browser had left behind");
    }
    let own = runs.join("own");
    left_over::make(&own)?;
    // Delete uploads and temporary files of the previous browser.
    for folder in [setup.uploads(), setup.scratch()] {
        unless_missing(fs::remove_dir_all(folder))?;
    }
    for folder in [setup.profile(), setup.downloads(), setup.uploads(), setup.scratch()] {
        fs::create_dir_all(folder)?;
    }
    visits::forget(&setup.profile().join("Default"))?;
    // Nothing else uses the profile: a lock is left from a crash, perhaps under another host name.
    for lock in ["SingletonLock", "SingletonCookie", "SingletonSocket"] {
        unless_missing(fs::remove_file(setup.profile().join(lock)))?;
    }
    Ok(own.join("errors.txt"))
}

pub(crate) fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Runs blocking file operations on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BrowserError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten().map_err(BrowserError::Folder)
}

/// Why a browser did not start, from its own output or from the jail.
fn why_not(job: &Job, error: &BrowserError) -> BrowserError {
    let reason = job.end().and_then(|end| end.not_started);
    let reason = reason.or_else(|| {
        let excerpt = job.excerpt(0, 600).ok()?; // ok: then the error itself is used
        let text = excerpt.text();
        let last = text.lines().rfind(|line| !line.trim().is_empty())?;
        Some(last.trim().to_owned())
    });
    BrowserError::NotReady(reason.unwrap_or_else(|| error.to_string()))
}

/// Deletes files that the list of downloads does not name.
fn tidy(folder: &Path, known: &HashSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !known.contains(&*entry.file_name().to_string_lossy()) && entry.file_type()?.is_file() {
            unless_missing(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Private memory of a process in bytes, without shared pages of programs and files.
fn memory_of(pid: i32) -> u64 {
    // The process may have ended.
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    (of("RssAnon:").unwrap_or(0) + of("RssShmem:").unwrap_or(0)) << 10
}
