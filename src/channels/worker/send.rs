//! Sending: the first open delivery of each chat, so that order is kept and one slow chat does not delay another.

use std::time::Duration;

use app::Ws;
use channel_adapters::{
    self as adapters, Button, ButtonStyle, Fault, FaultKind, Found, OutBody, Outgoing, Place,
    Receipt,
};
use features::notifications::sending::letters;
use futures_util::{StreamExt as _, stream};
use jiff::SignedDuration;
use kernel::{ChannelId, Error, TypedId as _};
use store::{Lane, ReadExt as _};
use tokio_util::sync::CancellationToken;

use crate::model::{Card, CardId, Channel, Delivery, DeliveryId, DeliveryState, Payload};
use crate::{queries, rules};

use super::{BY, write};

/// Chats that are served at the same time.
const AT_ONCE: usize = 8;
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_mins(10);
const PERMANENT_AFTER: u32 = 12;

/// Sends until stopped.
pub(super) async fn run(
    ws: &Ws,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let id = channel.id;
    let sender = Sender { ws, id, adapter };
    sender.recover().await;
    let mut feed = ws.store.watch();
    while !stop.is_cancelled() {
        feed.borrow_and_update();
        let now = ws.app.clock.now();
        let Ok(open) = ws.read(|snap| queries::open(snap, id)) else { return };
        let due: Vec<DeliveryId> = heads(&open)
            .filter(|one| one.state == DeliveryState::Queued && one.due_at <= now)
            .map(|one| one.id)
            .collect();
        if !due.is_empty() {
            let sent = stream::iter(due).map(|one| sender.deliver(one));
            sent.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
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

/// The first open delivery of each chat. They are sorted by chat.
fn heads(open: &[Delivery]) -> impl Iterator<Item = &Delivery> {
    let first = |(at, one): (usize, &Delivery)| at == 0 || open[at - 1].chat != one.chat;
    open.iter().enumerate().filter(move |(at, one)| first((*at, one))).map(|(_, one)| one)
}

struct Sender<'a> {
    ws: &'a Ws,
    id: ChannelId,
    adapter: &'a dyn adapters::Channel,
}

impl Sender<'_> {
    /// What was being sent when the program ended: the platform is asked, or the outcome is unknown.
    async fn recover(&self) {
        let Ok(open) = self.ws.read(|snap| queries::open(snap, self.id)) else { return };
        for one in open.into_iter().filter(|one| one.state == DeliveryState::Sending) {
            let found = match outgoing(self.ws, &one) {
                Some(out) => self.adapter.find(&out).await.unwrap_or(Found::Unknown),
                None => Found::Unknown,
            };
            self.settle_found(one.id, found).await;
        }
    }

    async fn settle_found(&self, id: DeliveryId, found: Found) {
        match found {
            Found::Sent(receipt) => {
                write(self.ws, move |tx| rules::settle_sent(tx, id, &receipt.message)).await
            }
            Found::Absent => {
                let again = ("It wasn’t sent before HQ stopped.", Some(SignedDuration::ZERO), true);
                write(self.ws, move |tx| rules::postpone(tx, id, again)).await
            }
            Found::Unknown => write(self.ws, move |tx| rules::settle_unknown(tx, id)).await,
        };
    }

    async fn deliver(&self, id: DeliveryId) {
        let claim = self.ws.store.write_in(Lane::First, BY.0, BY.1, move |tx| rules::claim(tx, id));
        let claimed: Result<Option<Delivery>, Error> = claim.await;
        let Ok(Some(one)) = claimed else { return };
        let Some(out) = outgoing(self.ws, &one) else {
            write(self.ws, move |tx| rules::settle_needless(tx, id)).await;
            return;
        };
        match self.adapter.send(&out).await {
            Ok(receipt) => self.sent(id, receipt).await,
            Err(fault) => self.failed(&one, &out, fault).await,
        }
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
fn outgoing(ws: &Ws, one: &Delivery) -> Option<Outgoing> {
    let body = match &one.payload {
        Payload::Text(text) => {
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
    };
    Some(Outgoing {
        key: one.id.uuid().simple().to_string(),
        place: Place { chat: one.chat.clone(), thread: one.thread.clone() },
        body,
        reply_to: one.reply_to.clone(),
        since: one.created_at,
    })
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
