//! One request, as the transports see it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::elicit::Elicit;
use crate::wire::{Id, Message};

/// Maximum size of a message, in bytes.
pub(super) const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// A request and everything that may happen while it runs.
pub(super) struct Ask<'a> {
    pub id: u64,
    pub method: &'a str,
    /// Parameters, with `_meta`.
    pub params: Map<String, Value>,
    /// Protocol headers of the modern era, without version and method.
    pub headers: Vec<(String, String)>,
    /// Time limit without progress.
    pub limit: Duration,
    /// Time limit with progress.
    pub longest: Duration,
    pub cancel: &'a CancellationToken,
    /// Answers questions that arrive during the request; `None` for requests that are no calls.
    pub elicit: Option<&'a dyn Elicit>,
}

impl Ask<'_> {
    pub fn message(&self) -> Message {
        Message::Request {
            id: Id::from(self.id),
            method: self.method.to_owned(),
            params: self.params.clone(),
        }
    }
}

/// When a request times out.
pub(super) struct Patience {
    limit: Duration,
    next: Instant,
    last: Instant,
}

impl Patience {
    pub fn new(ask: &Ask<'_>) -> Patience {
        let now = Instant::now();
        Patience { limit: ask.limit, next: now + ask.limit, last: now + ask.longest }
    }

    pub fn end(&self) -> Instant {
        self.next.min(self.last)
    }

    /// The server reported progress.
    pub fn extend(&mut self) {
        self.next = Instant::now() + self.limit;
    }

    /// A person needed time for an answer.
    pub fn add(&mut self, time: Duration) {
        self.next += time;
        self.last += time;
    }
}

/// Notices of a server that belong to no request.
#[derive(Debug, Default)]
pub(super) struct Notices {
    is_stale: AtomicBool,
    skipped: AtomicU64,
}

impl Notices {
    /// Handles a notification that belongs to no request.
    pub fn notified(&self, method: &str) {
        if method == "notifications/tools/list_changed" {
            self.set_stale(true);
        }
    }

    pub fn set_stale(&self, is_stale: bool) {
        self.is_stale.store(is_stale, Ordering::Relaxed);
    }

    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// Counts a line that is no message.
    pub fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}
