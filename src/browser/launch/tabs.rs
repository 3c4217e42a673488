//! The tabs that a browser reopens after a crash, a stop or a restart of HQ.

use std::sync::Arc;
use std::time::Duration;

use super::{BLANK, Browser, Running, STALLED_AFTER, blocking};
use crate::BrowserError;
use crate::page::Page;
use crate::protocol::BringToFront;
use crate::reopen;
use crate::tabs::{Known, Tab};

/// How long a start waits for the tab in front to load.
const BACK_WITHIN: Duration = Duration::from_secs(3);

impl Browser {
    /// Opens an empty tab.
    pub async fn open_blank(&self) -> Result<Page, BrowserError> {
        let running = self.running().await?;
        match running.tab_within(STALLED_AFTER).await {
            // A few in a thousand starts of Chromium on a busy machine never create a tab, although all other calls
            // work.
            Err(BrowserError::TimedOut { .. }) if !running.has_tab() => {
                let mut life = self.0.life.lock().await;
                if self.current().is_some_and(|now| Arc::ptr_eq(&now, &running)) {
                    tracing::warn!("a browser opened no tab after its start and is restarted");
                    self.0.now.lock().running = None;
                    life.tabs = Some(running.open_tabs());
                    running.end().await;
                }
                drop(life);
                self.running().await?.new_tab().await
            }
            made => made,
        }
    }

    /// Saves the list of open tabs if it has changed. Saves nothing while a credential is typed.
    pub(super) async fn save_tabs(&self, running: &Running) {
        let runs = self.runs();
        let kept = reopen::Tabs::kept_of(&running.tabs.lock(), runs);
        let Some(tabs) = kept.filter(|tabs| self.0.now.lock().saved.as_ref() != Some(tabs)) else {
            return;
        };
        let (setup, new) = (self.0.setup.clone(), tabs.clone());
        match blocking(move || new.save(&setup)).await {
            Ok(()) => self.0.now.lock().saved = Some(tabs),
            Err(error) => tracing::warn!("the open tabs are not written down: {error}"),
        }
    }
}

impl Running {
    fn has_tab(&self) -> bool {
        self.tabs.lock().tabs.iter().any(|tab| tab.is_ready)
    }

    /// Reopens tabs and waits for the one in front.
    pub(super) async fn reopen(self: &Arc<Self>, tabs: reopen::Tabs) {
        let front = tabs.front.or(tabs.tabs.last().map(|(number, _)| *number));
        let mut comes = None;
        for (number, url) in tabs.tabs {
            self.tabs.lock().next_tab = number;
            match self.new_tab().await {
                Ok(page) => {
                    page.begin_navigation(&url);
                    comes = comes.or((front == Some(number) && url != BLANK).then_some(number));
                }
                Err(error) => tracing::warn!("a tab is not opened again: {error}"),
            }
        }
        {
            let mut known = self.tabs.lock();
            known.next_tab = tabs.next_tab;
            let front = tabs.front.and_then(|number| known.tab(number));
            let front = front.map(|tab| (tab.number, Arc::clone(&tab.session)));
            if let Some((number, session)) = front {
                self.link.tell(Some(&session), &BringToFront {});
                known.front = Some(number);
            }
        }
        if let Some(number) = comes {
            let has_come = |known: &Known| {
                let main = known.tab(number).and_then(Tab::main);
                main.is_none_or(|main| main.url != BLANK && main.is_loaded).then_some(())
            };
            // ok: acts wait for a slower page themselves
            self.tabs.until(BACK_WITHIN, has_come).await.ok();
        }
    }

    /// Its tabs for the next start, without private parts of addresses.
    pub(super) fn open_tabs(&self) -> reopen::Tabs {
        let known = self.tabs.lock();
        let tabs = known.infos().into_iter().map(|tab| (tab.number, tab.url)).collect();
        let (next_tab, front) = (known.next_tab, known.front);
        reopen::Tabs { tabs, next_tab, front, ..reopen::Tabs::default() }
    }
}
