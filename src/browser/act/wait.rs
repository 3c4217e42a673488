//! Waiting: for the page to settle after an act, and for conditions of the caller.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::BrowserError;
use crate::page::{Page, left};
use crate::snapshot::Changes;
use crate::tabs::Tab;

/// A page without changes for this long has settled.
const QUIET_MS: u32 = 60;
/// Maximum wait for a page that never settles.
const MOST_MS: u32 = 800;
/// How long the script may take to answer: several times its own maximum wait.
const SAYS_WITHIN: Duration = Duration::from_secs(3);
/// Maximum wait for a load. Later acts do not wait for the same load again.
const LOADS_WITHIN: Duration = Duration::from_secs(4);
/// Interval of checks for frames of other processes.
const LOOK_MS: u32 = 250;

const QUIET: &str = include_str!("quiet.js");
const CHANGE: &str = include_str!("change.js");

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The page contains these words.
    Text(String),
    /// The page no longer contains these words.
    Gone(String),
    /// The address contains these characters.
    Url(String),
    /// The page has loaded.
    Load,
    /// The network is idle.
    Idle,
}

impl Page {
    /// Waits until the page has settled; returns the changes since the last look.
    pub async fn after(&self) -> Result<Changes, BrowserError> {
        self.settle().await?;
        self.changes().await
    }

    /// Waits until the page has settled, at most some seconds.
    pub async fn settle(&self) -> Result<(), BrowserError> {
        let quiet = format!("({QUIET})({QUIET_MS}, {MOST_MS})");
        match timeout(SAYS_WITHIN, self.evaluate_own(&quiet)).await {
            // The document is gone, because another one is loading.
            Ok(Ok(_) | Err(BrowserError::Refused { .. })) => {}
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => self.ready().await?,
        }
        if self.with_tab(|tab| tab.is_loading && tab.waited_loads < tab.loads)? {
            let number = self.number;
            let settled = |known: &crate::tabs::Known| known.is_settled(number).then_some(());
            self.running.tabs.until(LOADS_WITHIN, settled).await?;
            self.with_tab(|tab| tab.waited_loads = tab.loads)?;
        }
        Ok(())
    }

    /// Waits for a condition, at most for `within`.
    pub async fn wait(&self, wait: &Wait, within: Duration) -> Result<(), BrowserError> {
        let seen = match wait {
            Wait::Text(words) => self.words(words, true, within).await?,
            Wait::Gone(words) => self.words(words, false, within).await?,
            Wait::Url(part) => {
                self.until(within, |tab| tab.info().url.contains(part).then_some(())).await?
            }
            Wait::Load => self.until(within, |tab| main(tab, |frame| frame.is_loaded)).await?,
            Wait::Idle => self.until(within, |tab| main(tab, |frame| frame.is_idle)).await?,
        };
        seen.ok_or_else(|| BrowserError::NotSeen { what: wait.words(), within })
    }

    async fn words(
        &self,
        words: &str,
        wanted: bool,
        within: Duration,
    ) -> Result<Option<()>, BrowserError> {
        let end = Instant::now() + within;
        let change = format!("({CHANGE})({LOOK_MS})");
        loop {
            match self.has_words(words).await {
                Ok(found) if found == wanted => return Ok(Some(())),
                // Between two documents there is nothing to inspect.
                Ok(_) | Err(BrowserError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
            if left(end).is_zero() {
                return Ok(None);
            }
            match timeout(left(end), self.evaluate_own(&change)).await {
                Ok(Err(BrowserError::Refused { .. })) | Err(_) | Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

fn main(tab: &Tab, is_so: impl Fn(&crate::tabs::Frame) -> bool) -> Option<()> {
    tab.main().filter(|frame| is_so(frame)).map(|_frame| ())
}

impl Wait {
    fn words(&self) -> String {
        match self {
            Self::Text(words) => format!("the text {words:?}"),
            Self::Gone(words) => format!("the end of the text {words:?}"),
            Self::Url(part) => format!("an address with {part:?}"),
            Self::Load => "the end of loading".to_owned(),
            Self::Idle => "the end of all fetching".to_owned(),
        }
    }
}
