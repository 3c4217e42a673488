//! Sending: chats are independent of each other, and each has at most one message under way, so that its order is kept.

use std::collections::HashSet;
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
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::SignedDuration;
use kernel::{ChannelId, Error, Timestamp, TypedId as _};
use store::{Lane, ReadExt as _, StoreError};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;
use web::format::query_value;

use crate::model::{
    Card, CardId, Channel, DELIVERIES, Delivery, DeliveryId, DeliveryState, Kind, Payload,
};
use crate::{feed, queries, rules};

use super::{BY, notice, write};

/// Most messages under way.
const AT_ONCE: usize = 8;
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_mins(10);
const PERMANENT_AFTER: u32 = 12;
/// Pause after a refused read or write.
const REFUSED: Duration = Duration::from_secs(1);
/// Longest pause before the platform is asked again what arrived.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a send under way may take once the worker is stopped.
const STOPS_WITHIN: Duration = Duration::from_secs(4);

/// Sends until stopped, and completes what is under way then.
pub(super) async fn run(
    ws: &Ws,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let id = channel.id;
    let sender = Sender { ws, id, adapter, most: largest_file(channel.kind) };
    // Subscribed before the first read, so that no change is missed.
    let mut feed = ws.store.subscribe();
    let (mut busy, mut under_way) = (HashSet::new(), FuturesUnordered::new());
    let mut last_chat = String::new();
    loop {
        let now = ws.app.clock.now();
        let (mut next, mut is_refused) = (now + LONGEST_SLEEP, false);
        match ws.read(|snap| queries::open(snap, id)) {
            Ok(open) => {
                let (ready, due) = plan(&open, &busy, now);
                next = due.map_or(next, |due| due.min(next));
                for one in in_turn(ready, &last_chat).into_iter().take(AT_ONCE - busy.len()) {
                    last_chat.clone_from(&one.chat);
                    busy.insert(one.id);
                    under_way.push(sender.process(one.clone()));
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "the outbox of the channel {id} has to wait");
                is_refused = true;
            }
        }
        let sleep = async {
            match is_refused {
                true => tokio::time::sleep(REFUSED).await,
                false => ws.app.sleep_from(now, next).await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = under_way.next(), if !under_way.is_empty() => drop(busy.remove(&done)),
            is_open = feed::changed(&mut feed, &[DELIVERIES]) => if !is_open { return },
            () = sleep => {}
        }
    }
    if !ws.halt().is_cancelled() {
        // ok: what is not sent by then is looked up by the next worker.
        let rest = async { while under_way.next().await.is_some() {} };
        let _ = tokio::time::timeout(STOPS_WITHIN, rest).await;
    }
}

/// The deliveries to process now, at most one per chat and sorted by chat, and when the next one is due. A chat with a
/// delivery under way (`busy`) has to wait. `open` is sorted by chat and in order.
fn plan<'o>(
    open: &'o [Delivery],
    busy: &HashSet<DeliveryId>,
    now: Timestamp,
) -> (Vec<&'o Delivery>, Option<Timestamp>) {
    let (mut ready, mut next) = (Vec::new(), None::<Timestamp>);
    for chat in open.chunk_by(|one, other| one.chat == other.chat) {
        if chat.iter().any(|one| busy.contains(&one.id)) {
            continue;
        }
        // Not sent by this loop: a crash, a restart or a refused write cut it off.
        let cut = chat.iter().find(|one| one.state == DeliveryState::Sending);
        let Some(one) = cut.or(chat.first()) else { continue };
        if cut.is_some() || one.due_at <= now {
            ready.push(one);
        } else {
            next = Some(next.map_or(one.due_at, |next| next.min(one.due_at)));
        }
    }
    (ready, next)
}

/// Starts after the chat that was served last, so that chats with many messages do not keep the others waiting.
fn in_turn<'o>(mut ready: Vec<&'o Delivery>, last_chat: &str) -> Vec<&'o Delivery> {
    let after = ready.partition_point(|one| one.chat.as_str() <= last_chat);
    ready.rotate_left(after);
    ready
}

/// The largest file that the platform accepts, in bytes.
fn largest_file(kind: Kind) -> u64 {
    match kind {
        Kind::Telegram => 45_000_000,
        Kind::Discord | Kind::Webhook => 10_000_000,
        Kind::Slack => 100_000_000,
    }
}

struct Sender<'a> {
    ws: &'a Ws,
    id: ChannelId,
    adapter: &'a dyn adapters::Channel,
    /// Size of the largest file in bytes.
    most: u64,
}

impl Sender<'_> {
    /// Sends a delivery, or determines the outcome of one that was cut off. Returns its id.
    async fn process(&self, one: Delivery) -> DeliveryId {
        let is_stored = match one.state {
            DeliveryState::Sending => self.recover(&one).await,
            _ => self.deliver(one.id).await,
        };
        if !is_stored {
            tokio::time::sleep(REFUSED).await;
        }
        one.id
    }

    /// Determines the outcome of a send that was cut off. Returns `false` if it is still open.
    async fn recover(&self, one: &Delivery) -> bool {
        match outgoing(self.ws, one, self.most).await {
            Some(out) => self.look_up(one, &out).await,
            None => self.settle_found(one.id, Found::Unknown).await,
        }
    }

    /// Asks the platform whether a message arrived. Returns `false` if the outcome is still open: nothing is settled
    /// while the platform cannot be reached.
    async fn look_up(&self, one: &Delivery, out: &Outgoing) -> bool {
        let found = match self.adapter.find(out).await {
            Ok(found) => found,
            Err(fault)
                if fault.kind == FaultKind::Transient
                    && self.ws.app.clock.now() < one.expires_at =>
            {
                tokio::time::sleep(fault.retry_after.unwrap_or_default().min(LONGEST_WAIT)).await;
                return false;
            }
            Err(_) => Found::Unknown,
        };
        self.settle_found(one.id, found).await
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

    /// Returns `false` if the store refuses writes, or the outcome has to be looked up later.
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
            Err(fault) if fault.kind == FaultKind::UnknownAfterSend => {
                return self.look_up(&one, &out).await;
            }
            Err(fault) => self.failed(&one, fault).await,
        }
        true
    }

    /// The outcome must be stored, or the message would be sent twice.
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

    async fn failed(&self, one: &Delivery, fault: Fault) {
        let (id, detail) = (one.id, web::form::sentence(&fault.detail));
        let wait = fault.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
        match fault.kind {
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

/// The request of a delivery; `None` if there is nothing left to send.
async fn outgoing(ws: &Ws, one: &Delivery, most: u64) -> Option<Outgoing> {
    let mark = if one.is_repeat { "↻ " } else { "" };
    let body = match &one.payload {
        Payload::Text(text) | Payload::Said(text) => {
            OutBody::Text { markdown: format!("{mark}{text}"), buttons: Vec::new() }
        }
        Payload::Pressed { press, note } => {
            OutBody::Pressed { press: press.clone(), text: note.clone() }
        }
        Payload::Card(id) => {
            let card = card(ws, *id).filter(|card| card.outcome.is_none())?;
            let link = format!("{}{}", letters::origin(&ws.app), ws.url(&card.path));
            let markdown = format!("{mark}{}\n\n[Open in HQ]({link})", card.text);
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
        Payload::Preview(text) => OutBody::Preview { markdown: text.clone() },
        Payload::Removal(id) => {
            let shown = ws.read(|snap| snap.get::<Delivery>(*id)).ok().flatten()?;
            OutBody::Delete { message: Some(shown.provider_id).filter(|id| !id.is_empty())? }
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
        let mark = if one.is_repeat { "↻ " } else { "" };
        let markdown = format!("{mark}I can’t send `{name}` here. [Open it in HQ]({link})");
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
