//! Receiving: stores each event before the adapter acknowledges it, and connects again after a fault.

use std::time::Duration;

use channel_adapters::{
    self as adapters, Batch, BoxFuture, Fault, FaultKind, Inbox, Incoming, Press,
};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use kernel::{Cause, ChannelId, Error};
use store::{Lane, StoreError, WriteTx};
use tokio_util::sync::CancellationToken;
use web::form::sentence;

use crate::model::{Channel, State};
use crate::{codes, queries, rules};

use super::{BY, write};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long another connection with the same token counts as our own previous one.
const OWN_POLL: SignedDuration = SignedDuration::from_secs(60);

/// Receives until stopped.
pub(super) async fn run(
    cx: &rules::Context,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let ws = &cx.ws;
    let (id, started) = (channel.id, ws.app.clock.now());
    let inbox = Store { cx: cx.clone(), channel: id };
    write(ws, move |tx| rules::set_state(tx, id, State::Starting, "")).await;
    let mut pause = FIRST_PAUSE;
    loop {
        let now = ws.app.clock.now();
        let Ok(state) = ws.read(|snap| queries::state(snap, id, now)) else { return };
        let before = ws.app.clock.now();
        let Err(fault) = adapter.listen(&inbox, state.cursor).await else { continue };
        if before + SignedDuration::from_secs(60) < ws.app.clock.now() {
            pause = FIRST_PAUSE;
        }
        tracing::debug!("the channel {id} is not connected: {fault}");
        let (shown, detail) = state_after(&fault, started, ws.app.clock.now());
        write(ws, move |tx| rules::set_state(tx, id, shown, &detail)).await;
        let wait = fault.retry_after.unwrap_or(pause).min(Duration::from_mins(15));
        let now = ws.app.clock.now();
        let until = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_mins(1));
        tokio::select! {
            () = ws.app.sleep_from(now, until) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn state_after(fault: &Fault, started: Timestamp, now: Timestamp) -> (State, String) {
    match fault.kind {
        FaultKind::Revoked => (State::Revoked, sentence(&fault.detail)),
        // The previous poll of this program may still be open at the platform.
        FaultKind::Conflict if now < started + OWN_POLL => (State::Starting, String::new()),
        _ => (State::Error, sentence(&fault.detail)),
    }
}

/// Stores what an adapter receives.
pub(crate) struct Store {
    pub cx: rules::Context,
    pub channel: ChannelId,
}

impl Inbox for Store {
    fn receive(&self, batch: Batch) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // All are submitted at once, so that they share commits; the writer keeps their order.
            let events = batch.events.into_iter().map(|event| self.store(event));
            try_join_all(events).await.map_err(fault)?;
            if let Some(cursor) = batch.cursor {
                let id = self.channel;
                self.submit(BY.0, move |tx| rules::cursor(tx, id, &cursor)).await.map_err(fault)?;
            }
            Ok(())
        })
    }

    fn online(&self) {
        let (ws, id) = (self.cx.ws.clone(), self.channel);
        let is_online = ws.read(|snap| {
            let state = queries::state(snap, id, Timestamp::UNIX_EPOCH)?;
            Ok::<_, StoreError>(state.state == State::Online)
        });
        if !is_online.unwrap_or(false) {
            let own = ws.clone();
            ws.spawn("channel online", async move {
                write(&own, move |tx| rules::connected(tx, id)).await;
            });
        }
    }
}

fn fault(error: Error) -> Fault {
    Fault::new(FaultKind::Transient, format!("A message couldn’t be stored: {error}."))
}

impl Store {
    pub async fn store(&self, event: Incoming) -> Result<(), Error> {
        let id = self.channel;
        match event {
            Incoming::Message(message) => self.message(message).await,
            Incoming::Edit(message) => {
                self.submit(BY.0, move |tx| rules::edited(tx, id, &message)).await
            }
            Incoming::Press(press) => self.press(press).await,
            Incoming::Moved { from, to } => {
                self.submit(BY.0, move |tx| rules::moved(tx, id, &from, &to)).await
            }
            Incoming::Membership { place, is_member } => {
                let presence =
                    move |tx: &mut WriteTx<'_>| rules::presence(tx, id, &place.chat, is_member);
                self.submit(BY.0, presence).await
            }
        }
    }

    /// Stores a message as its sender. If the sender's access changes meanwhile, it is read again.
    async fn message(&self, message: adapters::Message) -> Result<(), Error> {
        const TRIES: usize = 5;
        let id = self.channel;
        let mut tries = 0;
        loop {
            let sender = message.sender.id.clone();
            let actor = self.cx.ws.read(|snap| queries::actor(snap, id, &sender))?;
            let (one, code) = (message.clone(), codes::random());
            let done = self
                .submit(actor, {
                    let cx = self.cx.clone();
                    move |tx: &mut WriteTx<'_>| rules::message(tx, &cx, (id, &code), &one)
                })
                .await;
            tries += 1;
            match done {
                Err(error) if error.is("sender_changed") && tries < TRIES => {}
                done => return done,
            }
        }
    }

    async fn press(&self, press: Press) -> Result<(), Error> {
        let id = self.channel;
        let sender = press.sender.id.clone();
        let actor = self.cx.ws.read(|snap| queries::actor(snap, id, &sender))?;
        let cx = self.cx.clone();
        self.submit(actor, move |tx| rules::pressed(tx, &cx, id, &press)).await
    }

    async fn submit(
        &self,
        actor: kernel::Actor,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        self.cx.ws.store.write_in(Lane::First, actor, Cause::Timer, body).await
    }
}
