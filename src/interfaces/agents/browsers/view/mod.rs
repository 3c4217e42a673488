//! The live view of a browser: streams pictures and state to a viewer, and carries out the viewer's actions while in
//! control.
//!
//! ```text
//! to the page    bytes: width and height of the page (u16 each), then JPEG
//!                {"state": …}      the state, after a change
//!                {"problem": "…"}  why an action failed
//! from the page  {"do": "ack"}     a picture was drawn; two may be in flight
//!                {"do": "take"}, {"do": "hand", "note": "…"}, {"do": "hide"}, …   see `orders.rs`
//! ```
//!
//! A view requires a ticket, which our pages get through a form, and ends when its viewer loses access. A viewer who
//! may not see the run of a tab gets no pictures of that tab.

mod files;
mod hands;
mod orders;

use std::collections::HashSet;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use app::Ws;
use app::tickets::Ticket;
use browser::BrowserError;
use browser::live_view::{Shown, Standing, Watcher, Why};
use browser::tabs::TabInfo;
use features::agents::model::Agent;
use kernel::{Can, ProblemKind, TypedId as _};
use store::StoreError;
use web::error::{Failure, PageError};
use web::extract::{Path, Query};
use web::headers;
use web::session::{Alive, Person};
use web::sse;

use super::pages::named;
pub(super) use files::{arrived, give};
use hands::Hands;
use orders::Order;

/// Size limit of a message from the page, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Maximum number of unacknowledged pictures.
const MOST: u8 = 2;
/// Maximum number of queued actions.
const QUEUE: usize = 128;
/// Interval at which the state is polled.
const LOOK: Duration = Duration::from_millis(250);
/// Access is re-checked every this many polls.
const ASK: u32 = 4;
/// Time limit for sending a message.
const SENT_WITHIN: Duration = Duration::from_secs(10);

/// `POST /agents/{slug}/browser/ticket`
pub(super) async fn ticket(
    ws: Ws,
    who: Person,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let agent = super::found(&ws, &slug)?.ok_or_else(|| PageError::not_found("This agent"))?;
    let word = ws.app.tickets.issue(ticket_of(&ws, &who, &agent));
    Ok(axum::Json(json!({ "ticket": word })).into_response())
}

fn ticket_of(ws: &Ws, who: &Person, agent: &Agent) -> Ticket {
    Ticket { account: who.account, workspace: ws.id, agent: agent.id }
}

#[derive(Deserialize)]
pub(super) struct Given {
    #[serde(default)]
    ticket: String,
}

/// `GET /agents/{slug}/browser/view`
pub(super) async fn watch(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(slug): Path<String>,
    Query(given): Query<Given>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, PageError> {
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let public = ws.app.config.public_url.as_deref();
    let refused = |text: &str| PageError(Failure::new(ProblemKind::Forbidden, "no_view", text));
    if !headers::is_own_origin(public, word(HOST), word(ORIGIN)) {
        return Err(refused("this request came from another site"));
    }
    let agent = super::found(&ws, &slug)?.ok_or_else(|| PageError::not_found("This agent"))?;
    if !ws.app.tickets.take(&given.ticket, ticket_of(&ws, &who, &agent)) {
        return Err(refused("the ticket has expired; reload the page"));
    }
    let places = sse::places(&ws, &who)?;
    let watcher = ws.app.browsers.watch(ws.browser_of(agent.id), who.account.uuid());
    let watcher = watcher.ok_or_else(|| PageError::not_found("A running browser"))?;
    let view = View { ws, who, agent, alive };
    Ok(upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(
        move |socket| async move {
            view.serve(socket, watcher).await;
            drop(places);
        },
    ))
}

/// The state as sent to the page.
#[derive(Serialize)]
struct State {
    running: bool,
    tabs: Vec<Tab>,
    /// The displayed tab; `None` if none is visible to the viewer.
    tab: Option<u32>,
    /// Name of the person in control; empty for the agent.
    driver: String,
    mine: bool,
    /// Whether this person may take control.
    may: bool,
    /// Whether this person may take control from another person.
    over: bool,
    /// Why capture is paused; empty if it is active.
    dark: String,
    /// Whether this person sees the page nevertheless.
    sees: bool,
    /// Whether this person paused the capture.
    asked: bool,
    doing: String,
    /// Target of the agent's next action in the picture: left, top, width and height in ten-thousandths.
    aim: Option<[u16; 4]>,
    /// The open file chooser, for the person in control: `one`, `many`, or empty.
    chooser: &'static str,
    /// Number of completed downloads.
    came: usize,
}

#[derive(Serialize)]
struct Tab {
    number: u32,
    title: String,
    url: String,
    crashed: bool,
}

impl From<TabInfo> for Tab {
    fn from(tab: TabInfo) -> Self {
        let TabInfo { number, title, url, has_crashed, .. } = tab;
        Self { number, title: named(&title, &url), url, crashed: has_crashed }
    }
}

/// A viewer of an agent's browser.
#[derive(Clone)]
struct View {
    ws: Ws,
    who: Person,
    agent: Agent,
    alive: Alive,
}

impl View {
    /// Streams and carries out actions until either side ends.
    async fn serve(&self, mut socket: WebSocket, watcher: Watcher) {
        let (order, orders) = mpsc::channel(QUEUE);
        let (say, messages) = mpsc::channel(QUEUE);
        let hands = Hands::new(self.clone(), &watcher);
        tokio::select! {
            () = hands.work(orders, say) => {}
            ended = self.show(&mut socket, watcher, (order, messages)) => {
                if let Err(error) = ended {
                    tracing::debug!("a view of a browser has ended: {error}");
                }
            }
        }
        // ok: the viewer may already be gone
        socket.send(Message::Close(None)).await.ok();
    }

    async fn show(
        &self,
        socket: &mut WebSocket,
        mut watcher: Watcher,
        (order, mut messages): (mpsc::Sender<Order>, mpsc::Receiver<String>),
    ) -> Result<(), axum::Error> {
        let (stage, browser) = (watcher.stage().clone(), watcher.browser().clone());
        let mut look = tokio::time::interval(LOOK);
        let (mut looks, mut on_their_way, mut last_sent) = (0_u32, 0_u8, String::new());
        loop {
            let Ok(state) = self.state(&browser, stage.standing()) else { return Ok(()) };
            let seen: HashSet<u32> = state.tabs.iter().map(|tab| tab.number).collect();
            let now = json!({ "state": state }).to_string();
            if now != last_sent {
                last_sent.clone_from(&now);
                send(socket, Message::Text(now.into())).await?;
            }
            tokio::select! {
                () = self.ws.app.stopping.cancelled() => return Ok(()),
                shown = watcher.next(), if on_their_way < MOST => {
                    if seen.contains(&shown.tab) && watcher.may_see(&shown) {
                        send(socket, Message::Binary(framed(&shown).into())).await?;
                        on_their_way += 1;
                    }
                }
                message = socket.recv() => match message.transpose()? {
                    None | Some(Message::Close(_)) => return Ok(()),
                    Some(Message::Text(text)) => match serde_json::from_str(text.as_str()) {
                        Ok(Order::Ack) => on_their_way = on_their_way.saturating_sub(1),
                        Ok(one) => if order.try_send(one).is_err() {
                            // A client that sends faster than actions complete is disconnected.
                            return Ok(());
                        },
                        Err(error) => {
                            tracing::debug!("a view says what is not understood: {error}");
                            return Ok(());
                        }
                    },
                    Some(_) => {}
                },
                Some(words) = messages.recv() => send(socket, Message::Text(words.into())).await?,
                () = stage.changed() => {}
                _ = look.tick() => {
                    looks = looks.wrapping_add(1);
                    if looks % ASK == 1 && !(self.alive.0)() {
                        return Ok(());
                    }
                    stage.settle(&browser).await;
                }
            }
        }
    }

    fn state(
        &self,
        browser: &browser::launch::Browser,
        standing: Standing,
    ) -> Result<State, StoreError> {
        let Standing { tab, driver, dark, typed_by, doing, aim } = standing;
        let open = browser.open_tabs();
        let tab = tab.filter(|tab| open.iter().any(|one| one.number == *tab));
        let tab = tab.or(browser.front()).or_else(|| open.last().map(|tab| tab.number));
        let tabs = super::seen(&self.ws, &self.who, self.agent.id, open)?;
        let tab = tab.filter(|tab| tabs.iter().any(|one| one.number == *tab));
        let (own, is_light) = (self.who.account.uuid(), dark.is_none());
        let mine = driver.as_ref().is_some_and(|driver| driver.who == own);
        let page = tab.filter(|_| mine).and_then(|tab| browser.open_page(tab));
        Ok(State {
            came: browser.has_downloaded(),
            running: browser.is_running(),
            chooser: match page.and_then(|page| page.chooser()) {
                Some(chooser) if chooser.takes_many => "many",
                Some(_) => "one",
                None => "",
            },
            mine,
            driver: driver.map(|driver| driver.name).unwrap_or_default(),
            may: self.who.access.may(Can::Agents),
            over: self.who.access.may(Can::Admin),
            sees: typed_by == Some(own),
            asked: typed_by == Some(own) && dark == Some(Why::Asked),
            dark: dark.map(|why| said_of(&why)).unwrap_or_default(),
            // Actions in a tab that the viewer may not see are not shown either.
            aim: aim
                .filter(|_| tab.is_some() && is_light)
                .map(|spot| [spot.left, spot.top, spot.width, spot.height]),
            doing: if tab.is_some() { doing } else { String::new() },
            tab,
            tabs: tabs.into_iter().map(Tab::from).collect(),
        })
    }

    /// Whether this person may see a tab.
    fn may_see(&self, open: Vec<TabInfo>, tab: u32) -> Result<bool, StoreError> {
        let tabs = super::seen(&self.ws, &self.who, self.agent.id, open)?;
        Ok(tabs.iter().any(|one| one.number == tab))
    }
}

/// Why capture is paused, in words.
fn said_of(why: &Why) -> String {
    match why {
        Why::Typed => "A credential is being typed".to_owned(),
        Why::Asked => "The person in control has hidden the page".to_owned(),
        Why::Secret(key) => format!("Filling in {key} from Secrets"),
    }
}

/// Prefixes a picture with the size of the page.
fn framed(shown: &Shown) -> Vec<u8> {
    let picture = &shown.picture;
    let mut bytes = Vec::with_capacity(picture.bytes.len() + 4);
    for length in [picture.page_width, picture.page_height] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
    }
    bytes.extend_from_slice(&picture.bytes);
    bytes
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), axum::Error> {
    match tokio::time::timeout(SENT_WITHIN, socket.send(message)).await {
        Ok(sent) => sent,
        Err(elapsed) => Err(axum::Error::new(elapsed)),
    }
}

/// An error message for the page.
fn problem(error: &BrowserError) -> String {
    json!({ "problem": web::form::sentence(&error.to_string()) }).to_string()
}
