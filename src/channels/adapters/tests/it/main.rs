//! The adapters against stand-ins of their platforms.

use std::sync::Arc;
use std::time::Duration;

use channel_adapters::{
    Batch, BoxFuture, Button, ButtonStyle, Channel, Fault, FaultKind, Inbox, Incoming, Message,
    OutBody, Outgoing, Place,
};
use kernel::Timestamp;
use net::client::{ClientParts, HttpClient};
use net::guard::Opened;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod discord;
mod matrix;
mod slack;
mod telegram;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Keeps what an adapter receives.
#[derive(Default)]
struct Memory {
    stored: Mutex<Stored>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Stored {
    events: Vec<Incoming>,
    cursor: String,
    online: u32,
    /// Fails this many batches with events.
    refusals: u32,
}

impl Inbox for Memory {
    fn receive(&self, batch: Batch) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.change(|stored| {
                if 0 < stored.refusals && !batch.events.is_empty() {
                    stored.refusals -= 1;
                    return Err(Fault::new(FaultKind::Transient, "the disk is full"));
                }
                stored.events.extend(batch.events);
                stored.cursor = batch.cursor.unwrap_or(std::mem::take(&mut stored.cursor));
                Ok(())
            })
        })
    }

    fn online(&self) {
        self.change(|stored| stored.online += 1);
    }
}

impl Memory {
    fn new() -> Arc<Memory> {
        Arc::default()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Stored) -> T) -> T {
        let result = change(&mut self.stored.lock());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    fn cursor(&self) -> String {
        self.stored.lock().cursor.clone()
    }

    async fn wait<T>(&self, mut found: impl FnMut(&Stored) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                if let Some(found) = found(&self.stored.lock()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        timeout(Duration::from_secs(20), wait).await.unwrap()
    }

    async fn wait_online(&self, count: u32) {
        self.wait(|stored| (count <= stored.online).then_some(())).await;
    }

    /// Waits for this many messages, edits and presses.
    async fn wait_events(&self, count: usize) -> Vec<Incoming> {
        self.wait(|stored| {
            let is_said = |event: &&Incoming| !matches!(event, Incoming::Membership { .. });
            let said: Vec<Incoming> = stored.events.iter().filter(is_said).cloned().collect();
            (count <= said.len()).then_some(said)
        })
        .await
    }

    async fn wait_texts(&self, count: usize) -> Vec<String> {
        self.wait_events(count).await.iter().map(|event| message(event).text.clone()).collect()
    }
}

fn message(event: &Incoming) -> &Message {
    match event {
        Incoming::Message(message) | Incoming::Edit(message) => message,
        other => panic!("no message: {other:?}"),
    }
}

/// A client that may reach the stand-in.
fn client(url: &str) -> HttpClient {
    let host = url.trim_start_matches("http://").to_owned();
    HttpClient::new(ClientParts::default()).opening(Opened::of(&[host]))
}

/// Listens like HQ: again after each transient fault. Ends with the first other fault.
fn listen(channel: &Arc<impl Channel + 'static>, inbox: &Arc<Memory>) -> JoinHandle<Fault> {
    let (channel, inbox) = (Arc::clone(channel), Arc::clone(inbox));
    tokio::spawn(async move {
        loop {
            let fault = channel.listen(&*inbox, inbox.cursor()).await.unwrap_err();
            if fault.kind != FaultKind::Transient {
                return fault;
            }
        }
    })
}

fn out(chat: &str, body: OutBody) -> Outgoing {
    let place = Place { chat: chat.to_owned(), thread: None };
    Outgoing { key: KEY.to_owned(), place, body, reply_to: None, since: Timestamp::UNIX_EPOCH }
}

fn words(markdown: &str) -> OutBody {
    OutBody::Text { markdown: markdown.to_owned(), buttons: Vec::new() }
}

fn buttons() -> Vec<Button> {
    [("Approve", "yes", ButtonStyle::Primary), ("Deny", "no", ButtonStyle::Danger)]
        .map(|(label, data, style)| Button {
            label: label.to_owned(),
            data: data.to_owned(),
            style,
        })
        .to_vec()
}
