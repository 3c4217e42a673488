//! Carries out a person's actions in order. Actions that change something require control.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use app::Ws;
use browser::BrowserError;
use browser::fleet::Key;
use browser::launch::Browser;
use browser::live_view::{Driver, Stage, Take, Watcher};
use browser::page::{self, Page};
use browser::screencast::Input;
use features::browsers::{queries, rules};
use kernel::text::cut;
use kernel::{Can, TypedId as _, WheelAct};
use store::StoreError;

use super::orders::Order;
use super::{View, problem};

/// Maximum length of a note to the agent, in characters.
const MAX_NOTE: usize = 2_000;

/// After this time, an input that the page does not accept is abandoned as soon as the person wants to leave the page.
const CALM: Duration = Duration::from_secs(1);
/// Time limit for an input.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Number of actions read while an input is pending.
const MOST_WAITING: usize = 64;

/// The input of one person to a browser.
pub(super) struct Hands {
    view: View,
    key: Key,
    stage: Arc<Stage>,
    browser: Browser,
}

impl Hands {
    pub(super) fn new(view: View, watcher: &Watcher) -> Self {
        let key = view.ws.browser_of(view.agent.id);
        Self { key, stage: Arc::clone(watcher.stage()), browser: watcher.browser().clone(), view }
    }

    /// Carries out actions until the channel closes.
    pub(super) async fn work(self, mut orders: mpsc::Receiver<Order>, say: mpsc::Sender<String>) {
        let mut waiting = VecDeque::new();
        while let Some(order) = match waiting.pop_front() {
            Some(order) => Some(order),
            None => orders.recv().await,
        } {
            let done = match order.input() {
                None => self.carry_out(order).await,
                Some(input) => self.put_in(&input, &mut orders, &mut waiting).await,
            };
            if let Err(error) = done
                && say.send(problem(&error)).await.is_err()
            {
                return;
            }
        }
    }

    /// Sends input to the page. If the page does not accept it, actions that leave the page are not delayed, nor by
    /// input queued after it.
    async fn put_in(
        &self,
        input: &Input,
        orders: &mut mpsc::Receiver<Order>,
        waiting: &mut VecDeque<Order>,
    ) -> Result<(), BrowserError> {
        let who = self.view.who.account.uuid();
        // Input that arrives after control was released is dropped.
        if !self.stage.drives(who) {
            return Ok(());
        }
        let page = self.page()?;
        let work = self.stage.input(&page, who, input);
        tokio::pin!(work);
        let calm = tokio::time::sleep(CALM);
        let (mut is_stuck, mut leaves) = (false, false);
        tokio::pin!(calm);
        let given_up = tokio::time::sleep(TAKEN_WITHIN);
        tokio::pin!(given_up);
        while !leaves {
            tokio::select! {
                biased;
                done = &mut work => match done {
                    Err(BrowserError::TimedOut { .. }) => break,
                    done => return done,
                },
                () = &mut given_up => break,
                () = &mut calm, if !is_stuck => {
                    is_stuck = true;
                    leaves = waiting.iter().any(Order::leaves);
                }
                Some(order) = orders.recv(), if waiting.len() < MOST_WAITING => {
                    leaves = is_stuck && order.leaves();
                    waiting.push_back(order);
                }
            }
        }
        waiting.retain(|order| order.input().is_none());
        if leaves { Ok(()) } else { Err(BrowserError::Hangs { dialogs: String::new() }) }
    }

    async fn carry_out(&self, order: Order) -> Result<(), BrowserError> {
        let who = self.view.who.account.uuid();
        match order {
            Order::Take { over } => return self.take(over).await,
            Order::Hand { note } => return self.hand_back(&note).await,
            Order::Unhide => {
                self.stage.unhide(who);
                return Ok(());
            }
            _ => self.stage.steer(who)?,
        }
        match order {
            Order::Hide => self.stage.hide(&self.browser, who)?,
            Order::Tab { tab } => {
                self.may_see(tab)?;
                self.stage.work_in(tab);
            }
            Order::Open => {
                let page = self.browser.open_blank().await?;
                self.stage.work_in(page.number());
            }
            Order::Close { tab } => {
                self.may_see(tab)?;
                self.browser.page(tab).await?.close().await?;
            }
            Order::Go { url } => {
                let url = page::address(&url)?;
                match self.page() {
                    Ok(page) => page.navigate(&url).await.map(drop)?,
                    Err(_) => self.open(&url).await?,
                }
            }
            Order::Back => self.page()?.back().await.map(drop)?,
            Order::Reload => self.page()?.reload().await.map(drop)?,
            Order::NoFile => self.page()?.close_chooser()?,
            _ => {}
        }
        Ok(())
    }

    async fn open(&self, url: &str) -> Result<(), BrowserError> {
        let page = self.browser.open_blank().await?;
        self.stage.work_in(page.number());
        page.navigate(url).await.map(drop)
    }

    /// The active tab, if this person may see it.
    fn page(&self) -> Result<Page, BrowserError> {
        let open = self.browser.open_tabs();
        let tab = self.stage.standing().tab.filter(|tab| open.iter().any(|one| one.number == *tab));
        let tab = tab
            .or(self.browser.front())
            .or_else(|| open.last().map(|tab| tab.number))
            .unwrap_or_default();
        self.browser.open_page(tab).ok_or(BrowserError::NoTab(tab))
    }

    fn may_see(&self, tab: u32) -> Result<(), BrowserError> {
        match self.view.may_see(self.browser.open_tabs(), tab) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BrowserError::NoTab(tab)),
            Err(error) => Err(unread(&error)),
        }
    }

    async fn take(&self, over: bool) -> Result<(), BrowserError> {
        let View { ws, who, agent, .. } = &self.view;
        if !who.access.may(Can::Agents) || !self.is_on(ws)? {
            return Err(BrowserError::NotDriving);
        }
        // Control requires a tab that the person may see.
        if let Ok(page) = self.page() {
            self.may_see(page.number())?;
        }
        let before = self.stage.standing().driver;
        let how = if over && who.access.may(Can::Admin) { Take::Over } else { Take::Free };
        let driver = Driver { who: who.account.uuid(), name: who.name.clone() };
        ws.app.browsers.take_wheel(self.key, driver, how).await?;
        let act = match before {
            Some(driver) if driver.who == who.account.uuid() => return Ok(()),
            Some(_) => WheelAct::TakenOver,
            None => WheelAct::Taken,
        };
        let agent = agent.id;
        let noted = ws.write(who, move |tx| rules::note_wheel(tx, agent, act)).await;
        if let Err(error) = noted {
            // Control without a record is not allowed.
            self.stage.hand_back(Some(who.account.uuid()), "");
            return Err(unread(&error));
        }
        Ok(())
    }

    async fn hand_back(&self, note: &str) -> Result<(), BrowserError> {
        let View { ws, who, agent, .. } = &self.view;
        let note = ws.app.redactor.text(cut(note, MAX_NOTE)).into_owned();
        if self.stage.hand_back(Some(who.account.uuid()), &note).is_none() {
            return Ok(());
        }
        let agent = agent.id;
        let noted =
            ws.write(who, move |tx| rules::note_wheel(tx, agent, WheelAct::HandedBack)).await;
        noted.map_err(|error| unread(&error))
    }

    fn is_on(&self, ws: &Ws) -> Result<bool, BrowserError> {
        let agent = self.view.agent.id;
        ws.read(|snap| queries::is_on(snap, &[agent])).map_err(|error: StoreError| unread(&error))
    }
}

/// A store error. The details go to the log.
fn unread(error: &StoreError) -> BrowserError {
    tracing::warn!(%error, "the wheel of a browser cannot be given");
    BrowserError::Ended
}
