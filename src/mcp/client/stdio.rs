//! Requests over the output and input of a program, or over streams that look the same.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::poll_fn;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

use super::ask::{Ask, MAX_MESSAGE, Notices, Patience};
use super::elicit::{Answer, Elicit, Progress, Question};
use super::error::McpError;
use super::pipe::{End, Pipe, Wakers};
use crate::wire::{Id, METHOD_NOT_FOUND, Message, RpcError};

/// Questions of a server that may wait in one call.
const MAX_QUESTIONS: usize = 16;
/// Time in which a server should read the last lines.
const CLOSING: Duration = Duration::from_secs(1);
/// Time for the delivery of a message without an answer.
const DELIVERY: Duration = Duration::from_secs(5);

/// Requests that could not be delivered, noted by a writer that knows more than an end of the connection.
pub(super) type Failures = Arc<Mutex<Vec<(u64, McpError)>>>;

/// Event of a request.
enum Event {
    Reply(Result<Value, RpcError>),
    Failed(McpError),
    Question(Id, Question),
    Progress(Progress),
}

#[derive(Default)]
struct Slot {
    events: VecDeque<Event>,
    /// The request is a call, so questions and progress may belong to it.
    is_call: bool,
    /// Questions without an answer.
    unanswered: Vec<Id>,
}

struct Inner {
    pipe: Pipe,
    slots: HashMap<u64, Slot>,
}

/// A connection over two streams. All waiting requests drive it together.
pub(super) struct Stdio {
    inner: Mutex<Inner>,
    wakers: Arc<Wakers>,
    notices: Arc<Notices>,
    failures: Failures,
}

impl Stdio {
    pub fn new(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        notices: Arc<Notices>,
    ) -> Stdio {
        let inner = Inner { pipe: Pipe::new(reader, writer), slots: HashMap::new() };
        let failures = Failures::default();
        Stdio { inner: Mutex::new(inner), wakers: Arc::default(), notices, failures }
    }

    /// The same with failures that its writer notes.
    pub fn with_failures(self, failures: Failures) -> Stdio {
        Stdio { failures, ..self }
    }

    pub async fn request(&self, ask: &Ask<'_>) -> Result<Value, McpError> {
        let mut held = self.open(ask)?;
        let mut patience = Patience::new(ask);
        loop {
            match self.next(&mut held, ask, &patience).await? {
                Event::Reply(outcome) => {
                    held.release(true);
                    return outcome.map_err(McpError::Rpc);
                }
                Event::Failed(err) => {
                    held.release(true);
                    return Err(err);
                }
                Event::Progress(progress) => {
                    patience.extend();
                    if let Some(elicit) = ask.elicit {
                        elicit.progress(&progress);
                    }
                }
                Event::Question(id, question) => {
                    let asked = Instant::now();
                    let Some(elicit) = ask.elicit else { continue };
                    if let Some(outcome) =
                        self.answer(&mut held, ask, elicit, (id, question)).await?
                    {
                        held.release(true);
                        return outcome.map_err(McpError::Rpc);
                    }
                    patience.add(asked.elapsed());
                }
            }
        }
    }

    /// Queues a message without an answer. It is written by the next request at the latest.
    pub fn send(&self, message: &Message) {
        let mut inner = self.inner.lock();
        inner.pipe.queue(None, text(message));
        inner.pipe.write(&mut Context::from_waker(&Waker::from(Arc::clone(&self.wakers))));
    }

    /// Drives the connection until everything queued is delivered, for a while.
    pub async fn delivered(&self, id: u64) {
        let _waiting = Waiting { id, wakers: &self.wakers };
        let written = poll_fn(|cx| {
            self.wakers.set(id, cx.waker());
            let mut inner = self.inner.lock();
            self.pump(&mut inner, id);
            match inner.pipe.is_written() || inner.pipe.end().is_some() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // ok: the next request shows what is wrong
        let _ = timeout(DELIVERY, written).await;
    }

    /// Drives the connection until it ends.
    pub async fn ended(&self, id: u64) -> McpError {
        let _waiting = Waiting { id, wakers: &self.wakers };
        poll_fn(|cx| {
            self.wakers.set(id, cx.waker());
            let mut inner = self.inner.lock();
            self.pump(&mut inner, id);
            match inner.pipe.end() {
                Some(end) => Poll::Ready(ended(end, false)),
                None => Poll::Pending,
            }
        })
        .await
    }

    pub fn is_ended(&self) -> bool {
        self.inner.lock().pipe.end().is_some()
    }

    /// Ends the server's input and drops both streams.
    pub async fn close(&self, id: u64) {
        let waiting = Waiting { id, wakers: &self.wakers };
        let written = poll_fn(|cx| {
            self.wakers.set(id, cx.waker());
            let shared = Waker::from(Arc::clone(&self.wakers));
            self.inner.lock().pipe.shut_down(&mut Context::from_waker(&shared))
        });
        // ok: a server that does not read is ended by whoever started it
        let _ = timeout(CLOSING, written).await;
        drop(waiting);
        self.inner.lock().pipe.finish(End::Closed("the connection was closed here".to_owned()));
        self.wakers.wake_all();
    }

    fn open(&self, ask: &Ask<'_>) -> Result<Held<'_>, McpError> {
        let line = text(&ask.message());
        if MAX_MESSAGE < line.len() {
            let detail = "the arguments are too large".to_owned();
            return Err(McpError::Unsendable { detail });
        }
        let mut inner = self.inner.lock();
        if let Some(end) = inner.pipe.end() {
            return Err(match end {
                End::Closed(detail) => McpError::Closed { was_sent: false, detail: detail.clone() },
                End::TooLarge => McpError::Closed {
                    was_sent: false,
                    detail: "one of its messages was too large".to_owned(),
                },
            });
        }
        if !inner.pipe.queue(Some(ask.id), line) {
            let detail = "the server doesn't read its input".to_owned();
            return Err(McpError::Unsendable { detail });
        }
        let slot = Slot { is_call: ask.elicit.is_some(), ..Slot::default() };
        inner.slots.insert(ask.id, slot);
        let may_cancel = ask.method != "initialize";
        Ok(Held { stdio: self, id: ask.id, may_cancel, is_open: true })
    }

    async fn next(
        &self,
        held: &mut Held<'_>,
        ask: &Ask<'_>,
        patience: &Patience,
    ) -> Result<Event, McpError> {
        tokio::select! {
            biased;
            () = ask.cancel.cancelled() => Err(McpError::Cancelled { was_sent: held.give_up() }),
            event = poll_fn(|cx| self.poll(cx, ask.id, true)) => event,
            () = sleep_until(patience.end()) => {
                Err(McpError::Timeout { was_sent: held.give_up(), limit: ask.limit })
            }
        }
    }

    /// Asks a person. Returns the reply if the server answers the request without waiting for the person.
    async fn answer(
        &self,
        held: &mut Held<'_>,
        ask: &Ask<'_>,
        elicit: &dyn Elicit,
        (id, question): (Id, Question),
    ) -> Result<Option<Result<Value, RpcError>>, McpError> {
        let mut answering = elicit.answer(&question);
        let answer = loop {
            tokio::select! {
                biased;
                () = ask.cancel.cancelled() => {
                    return Err(McpError::Cancelled { was_sent: held.give_up() });
                }
                answer = &mut answering => break answer,
                event = poll_fn(|cx| self.poll(cx, ask.id, false)) => match event? {
                    Event::Reply(outcome) => return Ok(Some(outcome)),
                    Event::Failed(err) => {
                        held.release(true);
                        return Err(err);
                    }
                    Event::Progress(progress) => elicit.progress(&progress),
                    Event::Question(..) => {}
                },
                // The server no longer wants an answer.
                () = self.withdrawn(ask.id, &id) => return Ok(None),
            }
        };
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.slots.get_mut(&ask.id) {
            slot.unanswered.retain(|other| *other != id);
        }
        inner.pipe.queue(None, answer_text(id, answer.result(&question)));
        Ok(None)
    }

    /// Waits until the server has withdrawn a question. Polled beside [`Stdio::poll`], which reads.
    async fn withdrawn(&self, request: u64, question: &Id) {
        poll_fn(|_| {
            let inner = self.inner.lock();
            let slot = inner.slots.get(&request);
            match slot.is_none_or(|slot| slot.unanswered.contains(question)) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        id: u64,
        with_questions: bool,
    ) -> Poll<Result<Event, McpError>> {
        self.wakers.set(id, cx.waker());
        let mut inner = self.inner.lock();
        self.pump(&mut inner, id);
        let inner = &mut *inner;
        if let Some(slot) = inner.slots.get_mut(&id) {
            let is_due = |event: &Event| with_questions || !matches!(event, Event::Question(..));
            let due = slot.events.iter().position(is_due);
            if let Some(event) = due.and_then(|at| slot.events.remove(at)) {
                return Poll::Ready(Ok(event));
            }
        }
        match inner.pipe.end() {
            Some(end) => Poll::Ready(Err(ended(end, !inner.pipe.is_waiting(id)))),
            None => Poll::Pending,
        }
    }

    /// Writes and reads what is possible, and wakes those who got something.
    fn pump(&self, inner: &mut Inner, by: u64) {
        if inner.pipe.end().is_some() {
            return;
        }
        let shared = Waker::from(Arc::clone(&self.wakers));
        let cx = &mut Context::from_waker(&shared);
        inner.pipe.write(cx);
        let mut woken = Vec::new();
        for _ in 0..2 {
            for line in inner.pipe.read(cx) {
                self.line(inner, &line, &mut woken);
            }
            // Answers to the server's requests. A failure shows in the second round.
            inner.pipe.write(cx);
        }
        let failed = std::mem::take(&mut *self.failures.lock());
        for (id, err) in failed {
            if let Some(slot) = inner.slots.get_mut(&id) {
                slot.events.push_back(Event::Failed(err));
                woken.push(id);
            }
        }
        if inner.pipe.end().is_some() {
            woken.extend(inner.slots.keys().copied());
        }
        for id in woken {
            if id != by {
                self.wakers.wake_one(id);
            }
        }
    }

    fn line(&self, inner: &mut Inner, line: &[u8], woken: &mut Vec<u64>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let messages = Message::parse_all(line).unwrap_or_default();
        if messages.is_empty() {
            self.notices.skip();
        }
        for message in messages {
            match message {
                Message::Response { id, outcome } => {
                    // Responses with wrong ids are ignored.
                    let Some(id) = id.and_then(|id| id.number()) else { continue };
                    if let Some(slot) = inner.slots.get_mut(&id) {
                        slot.events.push_back(Event::Reply(outcome));
                        woken.push(id);
                    }
                }
                Message::Request { id, method, params } => {
                    requested(inner, id, &method, &params, woken);
                }
                Message::Notification { method, params } => {
                    self.notified(inner, &method, &params, woken);
                }
            }
        }
    }

    fn notified(
        &self,
        inner: &mut Inner,
        method: &str,
        params: &Map<String, Value>,
        woken: &mut Vec<u64>,
    ) {
        match method {
            "notifications/progress" => {
                let token = params.get("progressToken").and_then(Value::as_u64);
                let slot = token.and_then(|id| Some((id, inner.slots.get_mut(&id)?)));
                let Some((id, slot)) = slot.filter(|(_, slot)| slot.is_call) else { return };
                // Only the latest progress counts.
                slot.events.retain(|event| !matches!(event, Event::Progress(_)));
                slot.events.push_back(Event::Progress(Progress::from_params(params)));
                woken.push(id);
            }
            "notifications/cancelled" => {
                // ok: an id of a wrong type names no question
                let id = params.get("requestId").cloned();
                let Some(id) = id.and_then(|id| serde_json::from_value::<Id>(id).ok()) else {
                    return;
                };
                for (request, slot) in &mut inner.slots {
                    if slot.unanswered.contains(&id) {
                        slot.unanswered.retain(|other| *other != id);
                        slot.events.retain(
                            |event| !matches!(event, Event::Question(other, _) if *other == id),
                        );
                        woken.push(*request);
                    }
                }
            }
            other => self.notices.notified(other),
        }
    }
}

/// A request of the server.
fn requested(
    inner: &mut Inner,
    id: Id,
    method: &str,
    params: &Map<String, Value>,
    woken: &mut Vec<u64>,
) {
    let outcome = match method {
        "ping" => Ok(json!({})),
        "elicitation/create" => {
            // The protocol does not say which call a question belongs to. With several calls it is not put to the person
            // of another call.
            let mut calls = inner.slots.iter_mut().filter(|(_, slot)| slot.is_call);
            match (calls.next(), calls.next()) {
                (Some((call, slot)), None) if slot.unanswered.len() < MAX_QUESTIONS => {
                    let question = Question::from_params(params, false);
                    slot.unanswered.push(id.clone());
                    slot.events.push_back(Event::Question(id, question));
                    woken.push(*call);
                    return;
                }
                _ => Ok(Answer::Cancel.action()),
            }
        }
        other => Err(RpcError::new(METHOD_NOT_FOUND, format!("{other} isn't supported"))),
    };
    inner.pipe.queue(None, text(&Message::Response { id: Some(id), outcome }));
}

fn ended(end: &End, was_sent: bool) -> McpError {
    match end {
        End::Closed(detail) => McpError::Closed { was_sent, detail: detail.clone() },
        End::TooLarge => McpError::TooLarge { limit: MAX_MESSAGE },
    }
}

fn text(message: &Message) -> Vec<u8> {
    message.to_value().to_string().into_bytes()
}

fn answer_text(id: Id, result: Value) -> Vec<u8> {
    text(&Message::Response { id: Some(id), outcome: Ok(result) })
}

/// Removes the waker of one who no longer waits.
struct Waiting<'a> {
    id: u64,
    wakers: &'a Wakers,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.wakers.remove(self.id);
    }
}

/// A request that waits for its reply. Cancels the request when dropped without one.
struct Held<'a> {
    stdio: &'a Stdio,
    id: u64,
    may_cancel: bool,
    is_open: bool,
}

impl Held<'_> {
    /// Ends the request here and at the server. Returns whether the server may have got it.
    fn give_up(&mut self) -> bool {
        self.release(false)
    }

    fn release(&mut self, is_answered: bool) -> bool {
        if !std::mem::take(&mut self.is_open) {
            return true;
        }
        let mut inner = self.stdio.inner.lock();
        let inner = &mut *inner;
        let slot = inner.slots.remove(&self.id).unwrap_or_default();
        if !is_answered && inner.pipe.take_back(self.id) {
            return false;
        }
        for id in slot.unanswered {
            inner.pipe.queue(None, answer_text(id, Answer::Cancel.action()));
        }
        let is_end = |event: &Event| matches!(event, Event::Reply(_) | Event::Failed(_));
        let is_answered = is_answered || slot.events.iter().any(is_end);
        if self.may_cancel && !is_answered {
            let mut params = Map::new();
            params.insert("requestId".to_owned(), self.id.into());
            params.insert("reason".to_owned(), "cancelled by the client".into());
            let method = "notifications/cancelled".to_owned();
            inner.pipe.queue(None, text(&Message::Notification { method, params }));
        }
        // Possibly no request is waiting that would write this.
        let shared = Waker::from(Arc::clone(&self.stdio.wakers));
        inner.pipe.write(&mut Context::from_waker(&shared));
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.give_up();
        self.stdio.wakers.remove(self.id);
    }
}
