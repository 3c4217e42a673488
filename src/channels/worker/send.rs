//! Sending: the first open delivery of each chat, so that order is kept and one slow chat does not delay another.

use std::time::Duration;

use app::Ws;
use channel_adapters::{
    self as adapters, Button, ButtonStyle, Fault, FaultKind, Found, OutBody, Outgoing, Place,
    Receipt,
};
use features::agents::files::{self, FilesError};
use features::agents::model::Agent;
use features::notifications::sending::letters;
use features::runs::model::{Run, media_type};
use futures_util::{StreamExt as _, stream};
use jiff::SignedDuration;
use kernel::{ChannelId, Error, TypedId as _};
use store::{Lane, ReadExt as _, StoreError};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;
use web::format::query_value;

use crate::model::{Card, CardId, Channel, Delivery, DeliveryId, DeliveryState, Kind, Payload};
use crate::{queries, rules};

use super::{BY, notice, write};

/// Chats that are served at the same time.
const AT_ONCE: usize = 8;
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_mins(10);
const PERMANENT_AFTER: u32 = 12;
/// Pause after a refused write.
const REFUSED: Duration = Duration::from_secs(1);

/// Sends until stopped.
pub(super) async fn run(
    ws: &Ws,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let id = channel.id;
    let most = largest_file(channel.kind);
    let sender = Sender { ws, id, adapter, most };
    let mut feed = ws.store.watch();
    while !stop.is_cancelled() {
        feed.borrow_and_update();
        let now = ws.app.clock.now();
        let open = match ws.read(|snap| queries::open(snap, id)) {
            Ok(open) => open,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "the outbox of the channel {id} has to wait");
                tokio::time::sleep(REFUSED).await;
                continue;
            }
        };
        // No send is under way here: these were cut off by a crash, a restart or a refused write.
        let cut: Vec<Delivery> =
            open.iter().filter(|one| one.state == DeliveryState::Sending).cloned().collect();
        if !cut.is_empty() {
            if !sender.recover(cut).await {
                tokio::time::sleep(REFUSED).await;
            }
            continue;
        }
        let due: Vec<DeliveryId> = heads(&open)
            .filter(|one| one.state == DeliveryState::Queued && one.due_at <= now)
            .map(|one| one.id)
            .collect();
        if !due.is_empty() {
            let sent = stream::iter(due).map(|one| sender.deliver(one));
            let sent = sent.buffer_unordered(AT_ONCE).collect::<Vec<bool>>().await;
            if sent.contains(&false) {
                tokio::time::sleep(REFUSED).await;
            }
            continue;
        }
        let heads: Vec<Delivery> = heads(&open).cloned().collect();
        let next = rules::next_due(&heads).unwrap_or(now + LONGEST_SLEEP);
        tokio::select! {
            () = ws.app.sleep_from(now, next.min(now + LONGEST_SLEEP)) => {}
            changed = feed.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// What the platform takes, in bytes.
fn largest_file(kind: Kind) -> u64 {
    match kind {
        Kind::Telegram => 45_000_000,
        Kind::Discord | Kind::Webhook => 10_000_000,
        Kind::Slack => 100_000_000,
    }
}

/// The first open delivery of each chat. They are sorted by chat.
fn heads(open: &[Delivery]) -> impl Iterator<Item = &Delivery> {
    let first = |(at, one): (usize, &Delivery)| at == 0 || open[at - 1].chat != one.chat;
    open.iter().enumerate().filter(move |(at, one)| first((*at, one))).map(|(_, one)| one)
}

struct Sender<'a> {
    ws: &'a Ws,
    id: ChannelId,
    adapter: &'a dyn adapters::Channel,
    /// Size of the largest file in bytes.
    most: u64,
}

impl Sender<'_> {
    /// What was being sent when the program ended: the platform is asked, or the outcome is unknown.
    /// Returns `false` if an outcome could not be stored.
    async fn recover(&self, cut: Vec<Delivery>) -> bool {
        let mut is_stored = true;
        for one in cut {
            let found = match outgoing(self.ws, &one, self.most).await {
                Some(out) => self.adapter.find(&out).await.unwrap_or(Found::Unknown),
                None => Found::Unknown,
            };
            is_stored &= self.settle_found(one.id, found).await;
        }
        is_stored
    }

    async fn settle_found(&self, id: DeliveryId, found: Found) -> bool {
        match found {
            Found::Sent(receipt) => {
                write(self.ws, move |tx| rules::settle_sent(tx, id, &receipt.message)).await
            }
            Found::Absent => {
                let again = ("It wasn’t sent before HQ stopped.", Some(SignedDuration::ZERO), true);
                write(self.ws, move |tx| rules::postpone(tx, id, again)).await
            }
            Found::Unknown => write(self.ws, move |tx| rules::settle_unknown(tx, id)).await,
        }
    }

    /// Returns `false` if the store refuses writes.
    async fn deliver(&self, id: DeliveryId) -> bool {
        let claim = self.ws.store.write_in(Lane::First, BY.0, BY.1, move |tx| rules::claim(tx, id));
        let claimed: Result<Option<Delivery>, Error> = claim.await;
        let one = match claimed {
            Ok(Some(one)) => one,
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(%error, "a delivery of the channel {} has to wait", self.id);
                return false;
            }
        };
        let Some(out) = outgoing(self.ws, &one, self.most).await else {
            return write(self.ws, move |tx| rules::settle_needless(tx, id)).await;
        };
        match self.adapter.send(&out).await {
            Ok(receipt) => self.sent(id, receipt).await,
            Err(fault) => self.failed(&one, &out, fault).await,
        }
        true
    }

    /// The outcome must be stored: without it, the message would go twice.
    async fn sent(&self, id: DeliveryId, receipt: Receipt) {
        let mut tries = 0;
        loop {
            let message = receipt.message.clone();
            if write(self.ws, move |tx| rules::settle_sent(tx, id, &message)).await || 20 < tries {
                return;
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn failed(&self, one: &Delivery, out: &Outgoing, fault: Fault) {
        let (id, detail) = (one.id, web::form::sentence(&fault.detail));
        let wait = fault.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
        match fault.kind {
            FaultKind::UnknownAfterSend => {
                let found = self.adapter.find(out).await.unwrap_or(Found::Unknown);
                self.settle_found(id, found).await;
            }
            FaultKind::Permanent => {
                write(self.ws, move |tx| rules::settle_failed(tx, id, &detail)).await;
            }
            FaultKind::Transient if PERMANENT_AFTER <= one.attempts => {
                write(self.ws, move |tx| rules::settle_failed(tx, id, &detail)).await;
            }
            kind => {
                let is_counted = kind == FaultKind::Transient && wait.is_none();
                let again = (detail, wait, is_counted);
                write(self.ws, move |tx| rules::postpone(tx, id, (&again.0, again.1, again.2)))
                    .await;
            }
        }
    }
}

/// The request of a delivery; `None` if there is nothing to send any more.
async fn outgoing(ws: &Ws, one: &Delivery, most: u64) -> Option<Outgoing> {
    let body = match &one.payload {
        Payload::Text(text) | Payload::Said(text) => {
            let mark = if one.is_repeat { "↻ " } else { "" };
            OutBody::Text { markdown: format!("{mark}{text}"), buttons: Vec::new() }
        }
        Payload::Pressed { press, note } => {
            OutBody::Pressed { press: press.clone(), text: note.clone() }
        }
        Payload::Card(id) => {
            let card = card(ws, *id).filter(|card| card.outcome.is_none())?;
            let link = format!("{}{}", letters::origin(&ws.app), ws.url(&card.path));
            let markdown = format!("{}\n\n[Open in HQ]({link})", card.text);
            OutBody::Text { markdown, buttons: buttons(&card) }
        }
        Payload::Update(id) => {
            let card = card(ws, *id)?;
            let shown = ws.read(|snap| snap.get::<Delivery>(card.delivery)).ok().flatten()?;
            let message = Some(shown.provider_id).filter(|message| !message.is_empty())?;
            let outcome = card.outcome.unwrap_or_default();
            let markdown = format!("{}\n\n**{outcome}**", card.text);
            OutBody::Edit { message, markdown, buttons: Vec::new() }
        }
        Payload::File { path } => file(ws, one, path, most).await?,
        Payload::Notice { account, notification, text } => {
            let markdown = notice::markdown(ws, one, (*account, *notification), text)?;
            OutBody::Text { markdown, buttons: Vec::new() }
        }
    };
    Some(Outgoing {
        key: one.id.uuid().simple().to_string(),
        place: Place { chat: one.chat.clone(), thread: one.thread.clone() },
        body,
        reply_to: one.reply_to.clone(),
        since: one.created_at,
    })
}

/// A file of the run's agent, or a link to its page if it cannot be sent. `None` if there is no such file.
async fn file(ws: &Ws, one: &Delivery, path: &str, most: u64) -> Option<OutBody> {
    let agent: Result<_, StoreError> = ws.read(|snap| {
        let run = one.run.map_or(Ok(None), |run| snap.get::<Run>(run))?;
        run.map_or(Ok(None), |run| snap.get::<Agent>(run.agent))
    });
    // ok: without a readable agent there is no file.
    let agent = agent.ok().flatten()?;
    let (name, mut bytes) = (web::file::clean_name(path), Vec::new());
    let is_read = match files::open(ws, &agent, path).await {
        Ok(mut opened) => {
            let fits = opened.metadata().await.is_ok_and(|about| about.len() <= most);
            fits && opened.read_to_end(&mut bytes).await.is_ok()
        }
        Err(FilesError::NotFound(_) | FilesError::NoFolder | FilesError::Git(_)) => return None,
        Err(_) => false,
    };
    if !is_read {
        let page = format!("agents/{}/files?path={}", agent.slug, query_value(path));
        let link = format!("{}{}", letters::origin(&ws.app), ws.url(&page));
        let name = name.replace('`', "");
        let markdown = format!("I can’t send `{name}` here. [Open it in HQ]({link})");
        return Some(OutBody::Text { markdown, buttons: Vec::new() });
    }
    let media_type = media_type(&name, &bytes).to_owned();
    let caption = if one.is_repeat { "↻".to_owned() } else { String::new() };
    Some(OutBody::File { name, media_type, bytes: bytes.into(), caption })
}

fn card(ws: &Ws, id: CardId) -> Option<Card> {
    // ok: an unreadable card is not sent; its delivery is dropped.
    ws.read(|snap| snap.get::<Card>(id)).ok().flatten()
}

fn buttons(card: &Card) -> Vec<Button> {
    let style = |label: &str, n: usize| match (label, n) {
        ("Deny", _) => ButtonStyle::Danger,
        (_, 0) => ButtonStyle::Primary,
        _ => ButtonStyle::Plain,
    };
    let button = |(n, label): (usize, &String)| Button {
        label: label.clone(),
        data: rules::button(card.id, n),
        style: style(label, n),
    };
    card.choices.iter().enumerate().map(button).collect()
}
