//! Pages that do not answer: a script without an end, dialogs without an end, a process that is stuck. Each is found by
//! a question that any other page answers at once, and left by ending its script, or else its process.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{Crash, Evaluate, StopLoading, Terminate};

/// How long an act may take with all that belongs to it, unless it waits for something by its own words.
pub const ACT_WITHIN: Duration = Duration::from_secs(11);
/// How long it may take to open a tab where none is: the browser may be started twice for it.
pub const OPEN_WITHIN: Duration = Duration::from_secs(45);
/// How long a page may take for a question that costs nothing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// The same for one whose script was ended.
const CALMS_WITHIN: Duration = Duration::from_secs(1);

/// Does something within this time.
///
/// # Errors
/// [`BrowserError::Late`] when it takes longer: it may or may not have happened then.
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
    /// Says who acts next: answers to dialogs that others have prepared, in whatever tab, are dropped.
    pub fn acts_for(&self, who: Uuid) {
        let mut known = self.running.tabs.lock();
        for tab in &mut known.tabs {
            tab.next_answer.take_if(|(of, _)| *of != who);
        }
        if let Some(tab) = known.tab_mut(self.number) {
            tab.dialogs_in_a_row = 0;
        }
    }

    /// Makes sure that the page takes what is done next.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ready(&self) -> Result<(), BrowserError> {
        match self.answers(ANSWERS_WITHIN).await {
            true => Ok(()),
            false => Err(self.hangs()),
        }
    }

    /// Whether scripts of the page leave time for others. One that has crashed says so in its own way.
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

    /// That it does not answer, with the dialogs that it has shown last.
    pub(crate) fn hangs(&self) -> BrowserError {
        // ok: a tab that is gone has shown none
        let dialogs = self.dialogs_since(0).unwrap_or_default();
        BrowserError::Hangs { dialogs: dialogs.join("\n") }
    }

    /// Frees the tab of a page that does not answer, so that it can go elsewhere.
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

    /// Ends when the page does not answer: one that is to be left may run a script about that.
    pub(crate) async fn stuck(&self) {
        loop {
            sleep(ANSWERS_WITHIN).await;
            if !self.answers(ANSWERS_WITHIN).await {
                return;
            }
        }
    }
}
