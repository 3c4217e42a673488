//! The adapters against stand-ins of their platforms.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use channel_adapters::{Batch, BoxFuture, Fault, FaultKind, Inbox};
use net::client::{ClientParts, HttpClient};
use net::guard::Opened;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

mod telegram;

/// A client that may reach a stand-in.
pub(crate) fn client(url: &str) -> HttpClient {
    let host = url.trim_start_matches("http://").to_owned();
    HttpClient::new(ClientParts::default()).opening(Opened::of(&[host]))
}

/// Passes batches to the test.
pub(crate) struct TestInbox {
    to_test: Sender<Batch>,
    batches: Mutex<Receiver<Batch>>,
    /// Whether the store refuses.
    pub is_full: AtomicBool,
    pub online: AtomicUsize,
}

impl TestInbox {
    pub fn new() -> TestInbox {
        let (to_test, batches) = channel(100);
        TestInbox {
            to_test,
            batches: Mutex::new(batches),
            is_full: AtomicBool::new(false),
            online: AtomicUsize::new(0),
        }
    }

    pub async fn next(&self) -> Batch {
        self.batches.lock().await.recv().await.unwrap()
    }
}

impl Inbox for TestInbox {
    fn receive(&self, batch: Batch) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.to_test.send(batch).await.unwrap();
            match self.is_full.load(Ordering::SeqCst) {
                true => Err(Fault::new(FaultKind::Transient, "the disk is full")),
                false => Ok(()),
            }
        })
    }

    fn online(&self) {
        self.online.fetch_add(1, Ordering::SeqCst);
    }
}
