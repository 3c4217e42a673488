//! Typing: direct chats show it while a run works on their answer. It is not a delivery, and failures do not matter.

use std::collections::HashMap;

use app::Ws;
use channel_adapters::{self as adapters, OutBody, Outgoing, Place};
use features::runs::model::{INPUTS, RUNS};
use futures_util::future::join_all;
use jiff::SignedDuration;
use kernel::Timestamp;
use store::Table;
use tokio_util::sync::CancellationToken;

use crate::model::{Channel, Kind, MESSAGES};
use crate::{feed, queries};

/// Tables whose rows determine which chats are being answered.
const ANSWERING: [Table; 3] = [MESSAGES, INPUTS, RUNS];

/// Shows typing until stopped.
pub(super) async fn run(
    ws: &Ws,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let pace = match channel.kind {
        Kind::Telegram => SignedDuration::from_secs(5),
        Kind::Discord | Kind::Webhook => SignedDuration::from_secs(8),
        // Bots cannot show typing on Slack.
        Kind::Slack => return,
    };
    // Subscribed before the first read, so that no change is missed.
    let mut feed = ws.store.subscribe();
    let mut shown: HashMap<Place, Timestamp> = HashMap::new();
    while !stop.is_cancelled() {
        let now = ws.app.clock.now();
        let Ok(mut places) = ws.read(|snap| queries::answered(snap, channel.id)) else { return };
        shown.retain(|place, until| now < *until && places.contains(place));
        places.retain(|place| !shown.contains_key(place));
        join_all(places.iter().map(|place| show(adapter, place, now))).await;
        shown.extend(places.into_iter().map(|place| (place, now + pace)));
        let next = shown.values().min().copied();
        let again = async {
            match next {
                Some(next) => ws.app.sleep_from(now, next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = again => {}
            is_open = feed::changed(&mut feed, &ANSWERING) => if !is_open { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn show(adapter: &dyn adapters::Channel, place: &Place, since: Timestamp) {
    let (body, reply_to) = (OutBody::Typing, None);
    let out = Outgoing { key: String::new(), place: place.clone(), body, reply_to, since };
    if let Err(fault) = adapter.send(&out).await {
        tracing::debug!(%fault, "typing was not shown");
    }
}
