//! One screencast for all viewers. It has no task: one of the waiting viewers receives pictures for all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch as channel;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{Cast, Stage, State};
use crate::launch::Browser;
use crate::screencast::{Look, Picture};

/// Minimum time between two pictures.
const PACE: Duration = Duration::from_millis(100);
/// Idle time after which the source of pictures is checked again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Maximum age of a title: a page may change it without a visible change, and the browser sends no event.
const TITLE_AGE: Duration = Duration::from_secs(1);
/// Delay after a tab could not be drawn.
const REST: Duration = Duration::from_secs(1);

/// What is drawn: a tab and the number of capture changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    tab: u32,
    light: u64,
}

/// The running screencast.
pub(super) struct Running {
    cast: Cast,
    source: Source,
    /// When the next picture may be taken.
    next: Instant,
    /// Since when the page has changed without a query of its title.
    unread: Option<Instant>,
    /// Last query of the title.
    titled: Instant,
}

/// A picture for authorised viewers.
#[derive(Debug)]
pub struct Shown {
    pub picture: Picture,
    pub tab: u32,
    light: u64,
}

/// A viewer of a browser.
pub struct Watcher {
    stage: Arc<Stage>,
    browser: Browser,
    pictures: channel::Receiver<Option<Arc<Shown>>>,
    who: Uuid,
}

impl Watcher {
    pub(crate) fn new(stage: Arc<Stage>, browser: Browser, who: Uuid) -> Self {
        stage.watchers.fetch_add(1, Ordering::SeqCst);
        let mut pictures = stage.pictures.subscribe();
        // Show the latest shared picture at once.
        pictures.mark_changed();
        Self { stage, browser, pictures, who }
    }

    /// The next picture that this viewer may see.
    pub async fn next(&mut self) -> Arc<Shown> {
        loop {
            tokio::select! {
                biased;
                // The sender is part of the stage, which is held here.
                _ = self.pictures.changed() => {}
                () = self.stage.draw(&self.browser) => {}
            }
            let shown = self.pictures.borrow_and_update().clone();
            if let Some(shown) = shown.filter(|shown| self.may_see(shown)) {
                return shown;
            }
        }
    }

    /// Whether a picture may still be shown to this viewer.
    #[must_use]
    pub fn may_see(&self, shown: &Shown) -> bool {
        self.stage.state.lock().shows(shown.light, self.who)
    }

    /// The state shared by all viewers.
    #[must_use]
    pub fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }

    #[must_use]
    pub fn browser(&self) -> &Browser {
        &self.browser
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.stage.watchers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stage.pictures.send_replace(None);
            // Otherwise another viewer has started meanwhile.
            if let Ok(mut running) = self.stage.cast.try_lock() {
                *running = None;
            }
        }
    }
}

impl State {
    fn shows(&self, light: u64, who: Uuid) -> bool {
        let may = self.dark.as_ref().is_none_or(|dark| dark.by == Some(who));
        may && light == self.light
    }
}

impl Stage {
    /// Number of viewers.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.watchers.load(Ordering::SeqCst)
    }

    /// Waits until something in [`Stage::standing`] has changed.
    pub async fn changed(&self) {
        // ok: the sender is held here
        self.bell.subscribe().changed().await.ok();
    }

    /// Receives pictures for all viewers until dropped.
    async fn draw(&self, browser: &Browser) {
        let mut running = self.cast.lock().await;
        loop {
            let mut bell = self.bell.subscribe();
            let source = self.source(browser);
            if running.as_ref().map(|running| running.source) != source {
                *running = None;
            }
            let Some(source) = source else {
                tokio::select! {
                    _ = bell.changed() => {}
                    () = sleep(LOOK_AGAIN) => {}
                }
                continue;
            };
            let Some(now) = running.as_mut() else {
                match begin(browser, source).await {
                    Some(begun) => *running = Some(begun),
                    None => sleep(REST).await,
                }
                continue;
            };
            now.read_title().await;
            let picture = tokio::select! {
                picture = now.picture() => picture,
                _ = bell.changed() => continue,
                () = sleep(LOOK_AGAIN) => continue,
            };
            match picture {
                Some(picture) => {
                    now.next = Instant::now() + PACE;
                    now.unread.get_or_insert_with(Instant::now);
                    let shown = Shown { picture, tab: source.tab, light: source.light };
                    self.pictures.send_replace(Some(Arc::new(shown)));
                }
                None => *running = None,
            }
        }
    }

    /// The agent's tab, else the one in front, else the newest.
    fn source(&self, browser: &Browser) -> Option<Source> {
        let (open, front) = (browser.open_tabs(), browser.front());
        let state = self.state.lock();
        let tab = state.tab.filter(|tab| open.iter().any(|one| one.number == *tab));
        let tab = tab.or(front).or_else(|| open.last().map(|one| one.number))?;
        Some(Source { tab, light: state.light })
    }
}

impl Running {
    async fn picture(&mut self) -> Option<Picture> {
        sleep_until(self.next).await;
        self.cast.next().await
    }

    /// Reads the title some time after the page has changed, and periodically.
    async fn read_title(&mut self) {
        let has_settled = self.unread.is_some_and(|since| LOOK_AGAIN <= since.elapsed());
        if !has_settled && self.titled.elapsed() < TITLE_AGE {
            return;
        }
        (self.unread, self.titled) = (None, Instant::now());
        if let Err(error) = self.cast.page().learn_title().await {
            tracing::debug!("the title of a tab is not known: {error}");
        }
    }
}

async fn begin(browser: &Browser, source: Source) -> Option<Running> {
    let page = browser.open_page(source.tab)?;
    match page.cast(Look::default()).await {
        Ok(cast) => Some(Running {
            cast,
            source,
            next: Instant::now(),
            unread: None,
            titled: Instant::now(),
        }),
        Err(error) => {
            tracing::debug!("a tab is not drawn: {error}");
            None
        }
    }
}
