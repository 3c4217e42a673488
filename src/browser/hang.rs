//! Pages that do not answer: endless scripts, endless dialogs, stuck processes. They are detected by a trivial request
//! and freed by terminating the script or else the process.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::BrowserError;
use crate::launch::{FIRST_TAB_WITHIN, READY_WITHIN, STALLED_AFTER};
use crate::page::Page;
use crate::protocol::{Crash, Evaluate, StopLoading, Terminate};

/// Maximum duration of an act, unless it waits explicitly.
pub const ACT_WITHIN: Duration = Duration::from_secs(11);
/// Maximum time to open the first tab: the browser may be started twice for it.
pub const OPEN_WITHIN: Duration =
    STALLED_AFTER.saturating_add(READY_WITHIN).saturating_add(FIRST_TAB_WITHIN);
/// Timeout for a trivial request.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Timeout for a trivial request after the script was terminated.
const CALMS_WITHIN: Duration = Duration::from_secs(1);

/// Runs an act with a timeout.
///
/// # Errors
/// [`BrowserError::Late`] after the timeout; the act may or may not have happened.
pub async fn in_time<T, E: From<BrowserError>>(
    within: Duration,
    act: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match timeout(within, act).await {
        Ok(done) => done,
        Err(_elapsed) => Err(BrowserError::Late(within).into()),
    }
}

impl Page {
    /// Sets the acting caller: drops dialog answers that others have prepared in any tab.
    pub fn acts_for(&self, who: Uuid) {
        let mut known = self.running.tabs.lock();
        for tab in &mut known.tabs {
            tab.next_answer.take_if(|(of, _)| *of != who);
        }
        if let Some(tab) = known.tab_mut(self.number) {
            tab.dialogs_in_a_row = 0;
        }
    }

    /// Ensures that the page will accept the next act.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn ready(&self) -> Result<(), BrowserError> {
        match self.answers(ANSWERS_WITHIN).await {
            true => Ok(()),
            false => Err(self.hangs()),
        }
    }

    /// Whether the page answers. A crashed page counts as answering; calls on it return their own error.
    pub(crate) async fn answers(&self, within: Duration) -> bool {
        let ask = Evaluate {
            expression: "1",
            await_promise: false,
            return_by_value: true,
            user_gesture: false,
        };
        let answer = self.running.link.call(Some(&self.session), &ask, within).await;
        !matches!(answer, Err(BrowserError::TimedOut { .. }))
    }

    /// The error for a page that does not answer, with its last dialogs.
    pub(crate) fn hangs(&self) -> BrowserError {
        // ok: a closed tab has none
        let dialogs = self.dialogs_since(0).unwrap_or_default();
        BrowserError::Hangs { dialogs: dialogs.join("\n") }
    }

    /// Frees the tab of a page that does not answer, so that it can navigate.
    pub(crate) async fn free(&self) -> Result<(), BrowserError> {
        if self.answers(ANSWERS_WITHIN).await {
            return Ok(());
        }
        self.tell(&StopLoading {});
        self.tell(&Terminate {});
        if self.answers(CALMS_WITHIN).await {
            return Ok(());
        }
        self.kill().await
    }

    /// Ends the process of the page. The tab stays.
    pub(crate) async fn kill(&self) -> Result<(), BrowserError> {
        self.tell(&Crash {});
        self.until(CALMS_WITHIN, |tab| tab.has_crashed.then_some(())).await?;
        self.forget_crash()
    }

    /// Returns when the page does not answer: it may run a script when it is left.
    pub(crate) async fn stuck(&self) {
        loop {
            sleep(ANSWERS_WITHIN).await;
            if !self.answers(ANSWERS_WITHIN).await {
                return;
            }
        }
    }
}
