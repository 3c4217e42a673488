//! Messages over two pipes: JSON terminated by a zero byte, numbered, for the browser or one of its sessions.
//!
//! Two dedicated threads read and write, so callers need no particular runtime. Every call ends: with its response, a
//! crash of its session, the end of the pipe, or a timeout.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::BrowserError;

/// Maximum size of a message in bytes.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Default timeout of a call.
pub const USUAL: Duration = Duration::from_secs(15);

const STACK: usize = 256 * 1024;
/// Maximum number of messages queued for the browser; further callers wait.
const QUEUE: usize = 256;
/// Capacity in bytes down to which the read buffer shrinks after a large message.
const KEPT_BUFFER: usize = 1 << 20;

/// A command of the protocol with its response type.
pub trait Command: Serialize + Sync {
    const METHOD: &'static str;
    /// The used part of the response.
    type Answer: DeserializeOwned;
}

/// An event of the browser.
pub struct Event<'a> {
    /// The session of the event; `None` for the browser itself.
    pub session: Option<&'a str>,
    pub method: &'a str,
    /// Parameters as JSON.
    pub params: &'a str,
}

/// Handles events on the reading thread. Must be quick and must not wait for a response.
pub trait Listener: Send + Sync + 'static {
    fn heard(&self, link: &Link, event: &Event<'_>);
    /// Called when the pipe has ended; no more events follow.
    fn ended(&self);
}

/// One end of the pipes. Clones share it; the browser ends when the last one is dropped.
#[derive(Clone)]
pub struct Link(Arc<Wire>);

struct Wire {
    next: AtomicU64,
    orders: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    crashed: HashSet<Arc<str>>,
    has_ended: bool,
}

struct Waiting {
    session: Option<Arc<str>>,
    then: Then,
}

type Reply = oneshot::Sender<Result<Box<RawValue>, Fault>>;

enum Then {
    Answer(Reply),
    Run(Box<dyn FnOnce(&str) + Send>),
}

enum Fault {
    Ended,
    Crashed,
    Closed,
    TooLarge,
    Refused(String),
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<u64>,
    #[serde(borrow, rename = "sessionId")]
    session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    data: Option<String>,
}

#[derive(Serialize)]
struct Order<'a, P> {
    id: u64,
    method: &'a str,
    #[serde(rename = "sessionId", skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    params: P,
}

impl Link {
    /// Starts the two threads on the pipes of a browser.
    ///
    /// # Errors
    /// When the host cannot start another thread.
    pub fn open(
        write: impl Write + Send + 'static,
        read: impl Read + Send + 'static,
        listener: Arc<impl Listener>,
    ) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let wire = Arc::new(Wire { next: AtomicU64::new(1), orders, shared: Arc::clone(&shared) });
        let weak = Arc::downgrade(&wire);
        named("hq-browser-out").spawn(move || send_all(write, queue))?;
        named("hq-browser-in").spawn(move || {
            let hear = |event: &Event<'_>| {
                if let Some(wire) = weak.upgrade() {
                    listener.heard(&Link(wire), event);
                }
            };
            read_all(BufReader::with_capacity(1 << 16, read), &shared, hear);
            shared.end();
            listener.ended();
        })?;
        Ok(Self(wire))
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.shared.0.lock().has_ended
    }

    /// Sends a command to the browser or one of its sessions and waits for the response.
    pub async fn call<C: Command>(
        &self,
        session: Option<&Arc<str>>,
        command: &C,
        within: Duration,
    ) -> Result<C::Answer, BrowserError> {
        let answer = self.call_unread(session, command, within).await?;
        serde_json::from_str(answer.get())
            .map_err(|source| BrowserError::Unclear { method: C::METHOD, source })
    }

    /// Like [`call`](Self::call), but returns the raw response, so that megabytes are not parsed twice.
    pub(crate) async fn call_unread<C: Command>(
        &self,
        session: Option<&Arc<str>>,
        command: &C,
        within: Duration,
    ) -> Result<Box<RawValue>, BrowserError> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let order = bytes(id, session, command)
            .map_err(|source| BrowserError::Unclear { method: C::METHOD, source })?;
        let waits = |reply| Waiting { session: session.cloned(), then: Then::Answer(reply) };
        match tokio::time::timeout(within, self.ask(id, order, waits)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(fault.into_error(C::METHOD)),
            Err(_elapsed) => Err(BrowserError::TimedOut { method: C::METHOD, within }),
        }
    }

    async fn ask(
        &self,
        id: u64,
        order: Vec<u8>,
        waits: impl FnOnce(Reply) -> Waiting,
    ) -> Result<Box<RawValue>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.0.shared.wait(id, waits(reply))?;
        // Remove the call when nobody waits for it any more.
        let _forget = Forget { shared: &self.0.shared, id };
        // Both fail only when the browser has ended.
        self.0.orders.send(order).await.map_err(|_ended| Fault::Ended)?;
        answer.await.map_err(|_ended| Fault::Ended)?
    }

    /// Sends a command without waiting for the response. For the reading thread.
    pub(crate) fn tell<C: Command>(&self, session: Option<&Arc<str>>, command: &C) {
        self.tell_then(session, command, |_answer| {});
    }

    /// Sends a command; the response is passed to `then` on the reading thread.
    pub(crate) fn tell_then<C: Command>(
        &self,
        session: Option<&Arc<str>>,
        command: &C,
        then: impl FnOnce(&str) + Send + 'static,
    ) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let waits = Waiting { session: session.cloned(), then: Then::Run(Box::new(then)) };
        let sent = bytes(id, session, command).is_ok_and(|order| {
            self.0.shared.wait(id, waits).is_ok() && self.0.orders.try_send(order).is_ok()
        });
        if !sent {
            self.0.shared.0.lock().waiting.remove(&id);
            tracing::debug!("the browser does not hear {}", C::METHOD);
        }
    }

    /// Fails all present and future calls of a session whose process crashed.
    pub(crate) fn crash(&self, session: &Arc<str>) {
        self.0.shared.0.lock().crashed.insert(Arc::clone(session));
        self.0.shared.fail(Some(session), || Fault::Crashed);
    }

    /// Fails all calls of a closed session.
    pub(crate) fn close(&self, session: &Arc<str>) {
        self.0.shared.0.lock().crashed.remove(session);
        self.0.shared.fail(Some(session), || Fault::Closed);
    }

    /// Allows calls of a crashed session again, once its page is being reloaded.
    pub(crate) fn revive(&self, session: &str) {
        self.0.shared.0.lock().crashed.remove(session);
    }
}

fn bytes<C: Command>(
    id: u64,
    session: Option<&Arc<str>>,
    command: &C,
) -> serde_json::Result<Vec<u8>> {
    let session = session.map(AsRef::as_ref);
    let mut order = serde_json::to_vec(&Order { id, method: C::METHOD, session, params: command })?;
    order.push(0);
    Ok(order)
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into()).stack_size(STACK)
}

struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.0.lock().waiting.remove(&self.id);
    }
}

impl Fault {
    fn into_error(self, method: &'static str) -> BrowserError {
        match self {
            Self::Ended => BrowserError::Ended,
            Self::Crashed => BrowserError::Crashed,
            Self::Closed => BrowserError::TabClosed,
            Self::TooLarge => BrowserError::TooLarge,
            Self::Refused(message) => BrowserError::Refused { method, message },
        }
    }
}

impl Shared {
    fn wait(&self, id: u64, waits: Waiting) -> Result<(), Fault> {
        let mut state = self.0.lock();
        if state.has_ended {
            return Err(Fault::Ended);
        }
        if waits.session.as_ref().is_some_and(|session| state.crashed.contains(session)) {
            return Err(Fault::Crashed);
        }
        state.waiting.insert(id, waits);
        Ok(())
    }

    fn answer(&self, id: u64, answer: Result<&RawValue, Fault>) {
        let Some(waits) = self.0.lock().waiting.remove(&id) else { return };
        match (waits.then, answer) {
            (Then::Answer(reply), answer) => {
                reply.send(answer.map(ToOwned::to_owned)).ok(); // ok: nobody waits any more
            }
            (Then::Run(then), Ok(answer)) => then(answer.get()),
            (Then::Run(_), Err(_)) => {}
        }
    }

    fn fail(&self, session: Option<&Arc<str>>, fault: impl Fn() -> Fault) {
        let mut state = self.0.lock();
        let of = |waits: &Waiting| session.is_none() || waits.session.as_ref() == session;
        let ids: Vec<u64> =
            state.waiting.iter().filter(|(_, waits)| of(waits)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(Waiting { then: Then::Answer(reply), .. }) = state.waiting.remove(&id) {
                reply.send(Err(fault())).ok(); // ok: nobody waits any more
            }
        }
    }

    fn end(&self) {
        self.0.lock().has_ended = true;
        self.fail(None, || Fault::Ended);
    }
}

fn send_all(mut write: impl Write, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(order) = queue.blocking_recv() {
        if write.write_all(&order).and_then(|()| write.flush()).is_err() {
            return; // the reading end tells everybody
        }
    }
}

fn read_all(mut read: impl BufRead, shared: &Shared, hear: impl Fn(&Event<'_>)) {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        buffer.shrink_to(KEPT_BUFFER);
        match read.by_ref().take(MAX_MESSAGE as u64).read_until(0, &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if buffer.pop_if(|last| *last == 0).is_some() {
            take(&buffer, shared, &hear);
            continue;
        }
        if buffer.len() < MAX_MESSAGE || read.skip_until(0).is_err() {
            return; // the pipe ended within a message
        }
        tracing::warn!("a message of the browser is larger than {MAX_MESSAGE} bytes");
        if let Some(id) = number_of(&buffer) {
            shared.answer(id, Err(Fault::TooLarge));
        }
    }
}

fn take(bytes: &[u8], shared: &Shared, hear: &impl Fn(&Event<'_>)) {
    let message: Message<'_> = match serde_json::from_slice(bytes) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!("a message of the browser is not understood: {error}");
            return;
        }
    };
    match (message.id, message.method, message.result, message.error) {
        (Some(id), _, Some(result), _) => shared.answer(id, Ok(result)),
        (Some(id), _, None, refusal) => {
            let words = refusal.map_or_else(String::new, |refusal| match refusal.data {
                Some(data) => format!("{}: {data}", refusal.message),
                None => refusal.message,
            });
            shared.answer(id, Err(Fault::Refused(words)));
        }
        (None, Some(method), ..) => hear(&Event {
            session: message.session.as_deref(),
            method: &method,
            params: message.params.map_or("{}", RawValue::get),
        }),
        (None, None, ..) => {}
    }
}

/// Extracts the number of a response that is too large to read. Chromium writes it first.
fn number_of(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.strip_prefix(b"{\"id\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
