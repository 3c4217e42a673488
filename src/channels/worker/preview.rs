//! Previews: people see an answer while the model writes it. In direct chats of Telegram it is a draft, which disappears
//! after 30 seconds. Elsewhere it is a message that is edited, and removed once the answer was sent. The answer is always
//! a separate delivery, so a lost or outdated preview loses nothing.

use std::collections::HashSet;
use std::time::Duration;

use app::Ws;
use app::live::BlockKind;
use channel_adapters::{self as adapters, Fault, FaultKind, OutBody, Outgoing};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kernel::{Error, RunId, TypedId as _};
use store::ReadExt as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::model::{Channel, DeliveryState, Kind, Previews};
use crate::rules::Place;
use crate::{platform, queries, rules};

use super::write;

/// Answers that are written faster have no preview.
const FIRST_AFTER: Duration = Duration::from_secs(1);
/// Steps in direct chats and in rooms, within what the platforms allow.
const DIRECT_PACE: Duration = Duration::from_millis(1200);
const ROOM_PACE: Duration = Duration::from_secs(4);
/// A draft disappears after 30 seconds without a change.
const DRAFT_LASTS: Duration = Duration::from_secs(20);

/// Shows previews until stopped.
pub(super) async fn run(
    ws: &Ws,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    // Bridges get finished texts only.
    if channel.kind == Kind::Webhook {
        return;
    }
    let writer = Writer { ws, channel, adapter };
    let mut pieces = ws.live.subscribe();
    let mut followed: HashSet<RunId> = HashSet::new();
    let mut writing = FuturesUnordered::new();
    loop {
        tokio::select! {
            piece = pieces.recv() => {
                let runs = match piece {
                    Ok(piece) => vec![(piece.run, piece.kind)],
                    Err(RecvError::Lagged(_)) => {
                        ws.live.blocks().into_iter().map(|one| (one.run, one.kind)).collect()
                    }
                    Err(RecvError::Closed) => return,
                };
                for (run, _) in runs.into_iter().filter(|(_, kind)| *kind == BlockKind::Text) {
                    if followed.insert(run) {
                        writing.push(writer.follow(run));
                    }
                }
            }
            Some(run) = writing.next(), if !writing.is_empty() => {
                followed.remove(&run);
            }
            () = stop.cancelled() => return,
        }
    }
}

struct Writer<'a> {
    ws: &'a Ws,
    channel: &'a Channel,
    adapter: &'a dyn adapters::Channel,
}

impl Writer<'_> {
    /// Shows the present block of a run to its audience until the block ends.
    async fn follow(&self, run: RunId) -> RunId {
        let id = self.channel.id;
        let found = self.ws.read(|snap| {
            let stream = snap.get::<Channel>(id)?.map_or(Previews::Off, |channel| channel.stream);
            let places = match stream {
                Previews::Off => Vec::new(),
                Previews::Edit | Previews::Block => rules::audience(snap, id, run)?,
            };
            Ok::<_, Error>((stream, places))
        });
        let Ok((stream, places)) = found else { return run };
        if places.is_empty() {
            // Waits for the end of the block, so that its next piece does not ask again.
            while self.text(run).is_some() {
                sleep(ROOM_PACE).await;
            }
            return run;
        }
        let shown: FuturesUnordered<_> =
            places.iter().map(|to| self.show(run, to, stream)).collect();
        shown.collect::<Vec<()>>().await;
        run
    }

    /// The text that the model is writing.
    fn text(&self, run: RunId) -> Option<String> {
        self.ws.live.block(run).filter(|block| block.kind == BlockKind::Text).map(|one| one.text)
    }

    /// Whether the answer will go to this place. Access may end while the answer is written.
    fn is_heard(&self, run: RunId, to: &Place) -> bool {
        let audience = self.ws.read(|snap| rules::audience(snap, self.channel.id, run));
        let same = |one: &Place| one.chat == to.chat && one.thread == to.thread;
        audience.unwrap_or_default().iter().any(same)
    }

    async fn show(&self, run: RunId, to: &Place, stream: Previews) {
        let pace = if to.is_direct { DIRECT_PACE } else { ROOM_PACE };
        let is_draft = to.is_direct && self.channel.kind == Kind::Telegram;
        let (mut last, mut sent_at) = (String::new(), Instant::now());
        sleep(FIRST_AFTER).await;
        while let Some(text) = self.text(run).filter(|_| self.is_heard(run, to)) {
            let part = self.part(&text, stream);
            let is_due = part != last || (is_draft && DRAFT_LASTS <= sent_at.elapsed());
            if !part.is_empty() && is_due {
                let shown = match is_draft {
                    true => self.draft(run, to, &part).await,
                    false => self.message(run, to, &part).await,
                };
                match shown {
                    Ok(()) => (last, sent_at) = (part, Instant::now()),
                    Err(Fault { kind: FaultKind::Transient, retry_after, .. }) => {
                        sleep(retry_after.unwrap_or(ROOM_PACE)).await;
                    }
                    Err(fault) => {
                        tracing::debug!(%fault, "a preview was not shown");
                        // The rest of the block is not tried.
                        while self.text(run).is_some() {
                            sleep(pace).await;
                        }
                        return;
                    }
                }
            }
            sleep(pace).await;
        }
    }

    /// The part of a text that is shown: its end, if it is too long for one message.
    fn part(&self, text: &str, stream: Previews) -> String {
        let trimmed = text.trim();
        let could_be = |word: &str| {
            trimmed.len() <= word.len()
                && word.get(..trimmed.len()).is_some_and(|head| head.eq_ignore_ascii_case(trimmed))
        };
        if could_be(rules::NO_REPLY) {
            return String::new();
        }
        let complete = match stream {
            Previews::Block => text.rfind("\n\n").map_or("", |end| &text[..end]),
            Previews::Edit | Previews::Off => text,
        };
        channel_format::chunks(complete, platform(self.channel.kind)).pop().unwrap_or_default()
    }

    async fn draft(&self, run: RunId, to: &Place, text: &str) -> Result<(), Fault> {
        let bytes = run.uuid().as_bytes().last_chunk().copied().unwrap_or_default();
        let body = OutBody::Draft { id: draft_id(bytes), markdown: text.to_owned() };
        self.send(to, body).await
    }

    /// Queues the message of a preview, or edits it.
    async fn message(&self, run: RunId, to: &Place, text: &str) -> Result<(), Fault> {
        let previews = self.ws.read(|snap| queries::previews(snap, run)).unwrap_or_default();
        let here = |one: &&crate::model::Delivery| {
            one.channel == to.channel && one.chat == to.chat && one.thread == to.thread
        };
        let (own, first) = (to.clone(), text.to_owned());
        match previews.iter().find(here) {
            None => {
                let body = move |tx: &mut store::WriteTx<'_>| -> Result<(), Error> {
                    rules::preview(tx, &own, run, &first)
                };
                write(self.ws, body).await;
                Ok(())
            }
            Some(one) if one.state == DeliveryState::Sent && !one.provider_id.is_empty() => {
                let (message, markdown) = (one.provider_id.clone(), text.to_owned());
                self.send(to, OutBody::Edit { message, markdown, buttons: Vec::new() }).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn send(&self, to: &Place, body: OutBody) -> Result<(), Fault> {
        let place = adapters::Place { chat: to.chat.clone(), thread: to.thread.clone() };
        let since = self.ws.app.clock.now();
        let out = Outgoing { key: String::new(), place, body, reply_to: None, since };
        self.adapter.send(&out).await.map(drop)
    }
}

/// Telegram's ids of drafts are positive numbers of 31 bits.
fn draft_id(bytes: [u8; 4]) -> u32 {
    (u32::from_be_bytes(bytes) & 0x7fff_ffff).max(1)
}
