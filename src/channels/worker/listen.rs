//! Receiving: stores each event before the adapter acknowledges it, and connects again after a fault.

use std::collections::HashSet;
use std::time::Duration;

use channel_adapters::{
    self as adapters, Batch, BoxFuture, Fault, FaultKind, FileRef, Inbox, Incoming, Press,
};
use features::runs::model::{Attachment, MAX_ATTACHED, MAX_ATTACHED_BYTES};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use kernel::{Cause, ChannelId, Error};
use store::{Lane, StoreError, WriteTx};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use web::form::sentence;

use crate::model::{Channel, State};
use crate::rules::Files;
use crate::{codes, queries, rules};

use super::{BY, write};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long another connection with the same token counts as our own previous one.
const OWN_POLL: SignedDuration = SignedDuration::from_secs(60);
/// How long the files of a batch may delay its messages, and Discord's heartbeat with them.
const FILES_WITHIN: Duration = Duration::from_secs(15);

/// Receives until stopped.
pub(super) async fn run(
    cx: &rules::Context,
    channel: &Channel,
    adapter: &dyn adapters::Channel,
    stop: &CancellationToken,
) {
    let ws = &cx.ws;
    let (id, started) = (channel.id, ws.app.clock.now());
    let inbox = Store { intake: Intake { cx: cx.clone(), channel: id }, adapter };
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
        FaultKind::WebhookSet => (State::Webhook, sentence(&fault.detail)),
        // The previous poll of this program may still be open at the platform.
        FaultKind::Conflict if now < started + OWN_POLL => (State::Starting, String::new()),
        _ => (State::Error, sentence(&fault.detail)),
    }
}

/// Stores what was received.
pub(crate) struct Intake {
    pub cx: rules::Context,
    pub channel: ChannelId,
}

/// Downloads and stores what an adapter receives.
struct Store<'a> {
    intake: Intake,
    adapter: &'a dyn adapters::Channel,
}

impl Inbox for Store<'_> {
    fn receive(&self, batch: Batch) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A file delays only the messages behind it in its chat.
            let mut chats = HashSet::new();
            let mut waits = |event: &Incoming| {
                let Incoming::Message(message) = event else { return false };
                let chat = &message.place.chat;
                (!message.files.is_empty() && chats.insert(chat.clone())) || chats.contains(chat)
            };
            let (later, now): (Vec<_>, Vec<_>) = batch.events.into_iter().partition(|e| waits(e));
            self.store_all(now, Vec::new()).await?;
            let until = Instant::now() + FILES_WITHIN;
            let mut files = Vec::new();
            for event in &later {
                files.push(self.files(event, until).await);
            }
            self.store_all(later, files).await?;
            if let Some(cursor) = batch.cursor {
                let id = self.intake.channel;
                let cursor = move |tx: &mut WriteTx<'_>| rules::cursor(tx, id, &cursor);
                self.intake.submit(BY.0, cursor).await.map_err(fault)?;
            }
            Ok(())
        })
    }

    fn online(&self) {
        let (ws, id) = (self.intake.cx.ws.clone(), self.intake.channel);
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

impl Store<'_> {
    /// Stores events with their files; none if `files` is shorter. All are submitted at once, so that they share commits;
    /// the writer keeps their order.
    async fn store_all(&self, events: Vec<Incoming>, files: Vec<Files>) -> Result<(), Fault> {
        let files = files.into_iter().chain(std::iter::repeat_with(Files::default));
        let events = events.into_iter().zip(files);
        let events = events.map(|(event, files)| self.intake.store(event, files));
        try_join_all(events).await.map_err(fault)?;
        Ok(())
    }

    /// Downloads the files of a message that will be accepted.
    async fn files(&self, event: &Incoming, until: Instant) -> Files {
        let mut files = Files::default();
        let Incoming::Message(message) = event else { return files };
        let (ws, id) = (&self.intake.cx.ws, self.intake.channel);
        let now = ws.app.clock.now();
        // ok: without an answer, nothing is downloaded.
        let is_taken = ws.read(|snap| rules::takes_files(snap, id, message, now)).unwrap_or(false);
        for file in &message.files {
            let received = match is_taken && files.attached.len() < MAX_ATTACHED {
                true => self.file(file, MAX_ATTACHED_BYTES - files.bytes(), until).await,
                false => Err("was not received".to_owned()),
            };
            files.add(file, received);
        }
        files
    }

    /// Downloads a file of at most `most` bytes, or says why not.
    async fn file(&self, file: &FileRef, most: u64, until: Instant) -> Result<Attachment, String> {
        if let Some(len) = file.len.filter(|len| most < *len) {
            return Err(format!("{} MB, was too large to receive", len.div_ceil(1_000_000)));
        }
        let slow = |_| "was not received in time".to_owned();
        let bytes = timeout_at(until, self.adapter.download(file, most)).await.map_err(slow)?;
        let bytes = bytes.map_err(|fault| format!("was not received: {}", fault.detail))?;
        self.intake.put(file, bytes.into()).await
    }
}

impl Intake {
    /// Stores the content of a received file, or says why not.
    pub async fn put(&self, file: &FileRef, bytes: Vec<u8>) -> Result<Attachment, String> {
        let (ws, name) = (self.cx.ws.clone(), web::file::clean_name(&file.name));
        let put = tokio::task::spawn_blocking(move || Attachment::put(&ws.blobs, name, &bytes));
        match put.await {
            Ok(Ok(attachment)) => Ok(attachment),
            failed => {
                tracing::warn!("a file of a message was not stored: {failed:?}");
                Err("was not received: the disk refused it".to_owned())
            }
        }
    }

    pub async fn store(&self, event: Incoming, files: Files) -> Result<(), Error> {
        let id = self.channel;
        match event {
            Incoming::Message(message) => self.message(message, files).await,
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

    /// Stores a message as its sender. If the sender's access has just changed, stores it with the new access.
    async fn message(&self, message: adapters::Message, files: Files) -> Result<(), Error> {
        const TRIES: usize = 5;
        let id = self.channel;
        let mut tries = 0;
        loop {
            let sender = message.sender.id.clone();
            let actor = self.cx.ws.read(|snap| queries::actor(snap, id, &sender))?;
            let (one, files, code) = (message.clone(), files.clone(), codes::random());
            let done = self
                .submit(actor, {
                    let cx = self.cx.clone();
                    move |tx: &mut WriteTx<'_>| rules::message(tx, &cx, (id, &code), &one, &files)
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
