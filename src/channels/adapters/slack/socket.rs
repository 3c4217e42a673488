//! Slack's Socket Mode: one socket, or two while one replaces the other. Messages missed during downtime are fetched.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::time::Duration;

use net::error::NetError;
use net::ws::{self, Frame, Socket};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::super::api::{list, net_fault, text};
use super::super::{Batch, Fault, FaultKind, Inbox, Incoming, Place};
use super::{Me, NAME, Slack, events, pause, revoked};

/// Rooms and threads whose newest message is remembered.
const MAX_PLACES: usize = 200;
/// Messages fetched of a place after downtime.
const MAX_MISSED: &str = "200";
const MAX_BATCH: usize = 50;
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an old socket is read beside its successor.
const OVERLAP: Duration = Duration::from_secs(10);

type Received = Option<Result<Frame, NetError>>;

/// Newest messages by place: `channel`, or `channel/thread`.
#[derive(Debug, Default)]
struct Cursor {
    last: BTreeMap<String, String>,
    /// Places with missed messages, which start after this one.
    gaps: BTreeMap<String, String>,
}

impl Cursor {
    /// All messages since the cursor was stored may have been missed.
    fn parse(text: &str) -> Cursor {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let times = |name: &str| {
            let map = value.get(name).and_then(Value::as_object).into_iter().flatten();
            map.filter_map(|(place, ts)| Some((place.clone(), ts.as_str()?.to_owned())))
        };
        let last: BTreeMap<String, String> = times("last").collect();
        let gaps = last.clone().into_iter().chain(times("gaps")).collect();
        Cursor { last, gaps }
    }

    fn write(&self) -> String {
        let times = |map: &BTreeMap<String, String>| -> Map<String, Value> {
            map.iter().map(|(place, ts)| (place.clone(), ts.as_str().into())).collect()
        };
        json!({"last": times(&self.last), "gaps": times(&self.gaps)}).to_string()
    }

    /// Time stamps have the same length, so their order is that of the text.
    fn saw(&mut self, place: String, ts: &str) {
        let last = self.last.entry(place).or_default();
        if last.as_str() < ts {
            ts.clone_into(last);
        }
        if MAX_PLACES < self.last.len() {
            let oldest = self.last.iter().min_by_key(|(_, ts)| *ts).map(|(place, _)| place.clone());
            self.last.remove(&oldest.unwrap_or_default());
        }
    }
}

pub(super) async fn listen(bot: &Slack, inbox: &dyn Inbox, cursor: String) -> Result<(), Fault> {
    let me = bot.me().await?.clone();
    let socket = connect(bot).await?;
    inbox.online();
    let session = Session {
        bot,
        inbox,
        me,
        cursor: Cursor::parse(&cursor),
        socket,
        old: None,
        events: Vec::new(),
        acks: Vec::new(),
        is_moved: false,
        fill_at: Instant::now(),
    };
    session.run().await
}

/// Opens a socket and waits until Slack uses it.
async fn connect(bot: &Slack) -> Result<Socket, Fault> {
    let url = bot.socket_url().await?;
    let socket = ws::connect(&bot.client, &url, ws::MAX_MESSAGE).await;
    let mut socket = socket.map_err(|err| net_fault(&err, NAME, false))?;
    match timeout(HELLO_TIMEOUT, socket.next()).await {
        Ok(Some(Ok(Frame::Text(hello)))) if kind(&hello) == "hello" => Ok(socket),
        Ok(_) | Err(_) => Err(lost()),
    }
}

struct Session<'a> {
    bot: &'a Slack,
    inbox: &'a dyn Inbox,
    me: Me,
    cursor: Cursor,
    socket: Socket,
    /// A socket that Slack is about to close, and until when it is read.
    old: Option<(Socket, Instant)>,
    events: Vec<Incoming>,
    /// Envelopes that are acknowledged once they are stored, and whether they came by the old socket.
    acks: Vec<(String, bool)>,
    is_moved: bool,
    fill_at: Instant,
}

impl Session<'_> {
    async fn run(mut self) -> Result<(), Fault> {
        loop {
            if MAX_BATCH <= self.acks.len().max(self.events.len()) {
                self.flush().await?;
            }
            let has_work = !self.acks.is_empty() || !self.events.is_empty() || self.is_moved;
            let has_gaps = !self.cursor.gaps.is_empty();
            let (received, is_old) = tokio::select! {
                biased;
                received = self.socket.next() => (received, false),
                received = next_of(&mut self.old) => (received, true),
                () = ready(()), if has_work => {
                    self.flush().await?;
                    continue;
                }
                () = sleep_until(self.fill_at), if has_gaps => {
                    self.fill_newest().await?;
                    continue;
                }
            };
            match received {
                Some(Ok(Frame::Text(frame))) => self.frame(&frame, is_old).await?,
                Some(Ok(Frame::Close { .. }) | Err(_)) | None => {
                    self.flush().await?;
                    if !is_old {
                        return Err(lost());
                    }
                    self.old = None;
                }
            }
        }
    }

    async fn frame(&mut self, frame: &str, is_old: bool) -> Result<(), Fault> {
        let frame: Value = serde_json::from_str(frame).unwrap_or_default();
        let payload = frame.get("payload").unwrap_or(&Value::Null);
        match text(&frame, "/type") {
            "disconnect" if text(&frame, "/reason") == "link_disabled" => {
                self.flush().await?;
                let detail = "Socket Mode is off; turn it on in the app's settings on Slack";
                return Err(Fault::new(FaultKind::Permanent, detail));
            }
            "disconnect" if !is_old => {
                self.flush().await?;
                let next = connect(self.bot).await?;
                let old = std::mem::replace(&mut self.socket, next);
                self.old = Some((old, Instant::now() + OVERLAP));
                self.inbox.online();
            }
            "events_api" => {
                let event = payload.get("event").unwrap_or(&Value::Null);
                if matches!(text(event, "/type"), "app_uninstalled" | "tokens_revoked") {
                    return Err(revoked());
                }
                self.event(event).await?;
            }
            "interactive" if text(payload, "/type") == "block_actions" => {
                self.events.extend(events::press(self.bot, payload));
            }
            "slash_commands" => self.events.push(events::command(self.bot, payload).await),
            _ => {}
        }
        let envelope = text(&frame, "/envelope_id");
        if !envelope.is_empty() {
            self.acks.push((envelope.to_owned(), is_old));
        }
        Ok(())
    }

    async fn event(&mut self, event: &Value) -> Result<(), Fault> {
        let channel = text(event, "/channel");
        let is_me = text(event, "/user") == self.me.user;
        match (text(event, "/type"), text(event, "/subtype")) {
            ("message", "message_changed") => {
                // Previews of links are changes as well.
                let (new, old) = (event.get("message"), text(event, "/previous_message/text"));
                let Some(new) = new.filter(|new| text(new, "/text") != old) else { return Ok(()) };
                let mut new = new.clone();
                new["channel_type"] = text(event, "/channel_type").into();
                let edit = events::message(self.bot, &self.me, channel, &new).await;
                self.events.extend(edit.map(Incoming::Edit));
            }
            ("message" | "app_mention", _) => {
                // Earlier messages first. If that fails now, they follow later.
                let place = place(channel, events::thread(event));
                if self.cursor.gaps.contains_key(&place) {
                    self.fill(&place).await?;
                }
                self.push(channel, event).await;
            }
            ("member_joined_channel", _) if is_me => self.membership(channel, true),
            ("member_left_channel", _) if is_me => self.membership(channel, false),
            ("channel_left" | "group_left", _) => self.membership(channel, false),
            _ => {}
        }
        Ok(())
    }

    async fn push(&mut self, channel: &str, event: &Value) {
        // The app's own message may be the first of a chat in which something is missed next.
        let ts = text(event, "/ts");
        if !ts.is_empty() {
            self.cursor.saw(place(channel, events::thread(event)), ts);
            self.is_moved = true;
        }
        let message = events::message(self.bot, &self.me, channel, event).await;
        self.events.extend(message.map(Incoming::Message));
    }

    fn membership(&mut self, channel: &str, is_member: bool) {
        let place = Place { chat: channel.to_owned(), thread: None };
        self.events.push(Incoming::Membership { place, is_member });
    }

    /// Stores the received events, then acknowledges them.
    async fn flush(&mut self) -> Result<(), Fault> {
        if !self.events.is_empty() || self.is_moved {
            let events = std::mem::take(&mut self.events);
            self.inbox.receive(Batch { events, cursor: Some(self.cursor.write()) }).await?;
            self.is_moved = false;
        }
        for (envelope, is_old) in std::mem::take(&mut self.acks) {
            let ack = json!({"envelope_id": envelope}).to_string();
            match (&mut self.old, is_old) {
                // ok: Slack repeats unacknowledged envelopes on the new socket.
                (Some((old, _)), true) => drop(old.send_text(ack).await),
                (None, true) => {}
                (_, false) => self.socket.send_text(ack).await.map_err(|_| lost())?,
            }
        }
        Ok(())
    }

    /// Fills the gap of the most recently used place.
    async fn fill_newest(&mut self) -> Result<(), Fault> {
        let newest = self.cursor.gaps.iter().max_by_key(|(_, ts)| *ts);
        match newest.map(|(place, _)| place.clone()) {
            Some(place) => self.fill(&place).await,
            None => Ok(()),
        }
    }

    async fn fill(&mut self, place: &str) -> Result<(), Fault> {
        let since = self.cursor.gaps.get(place).cloned().unwrap_or_default();
        let (channel, thread) = match place.split_once('/') {
            Some((channel, thread)) => (channel, Some(thread)),
            None => (place, None),
        };
        let mut params = vec![("channel", channel), ("oldest", &since), ("limit", MAX_MISSED)];
        params.extend(thread.map(|thread| ("ts", thread)));
        let method =
            if thread.is_some() { "conversations.replies" } else { "conversations.history" };
        let found = match self.bot.form(method, &params).await {
            Ok(reply) => reply.body,
            Err(fault) if fault.kind == FaultKind::Permanent => Value::Null,
            Err(fault) => match pause(&fault) {
                Some(wait) => {
                    self.fill_at = Instant::now() + wait;
                    return Ok(());
                }
                None => return Err(fault),
            },
        };
        let mut messages: Vec<&Value> = list(&found, "/messages").iter().collect();
        messages.retain(|message| since.as_str() < text(message, "/ts"));
        messages.sort_by_key(|message| text(message, "/ts"));
        for message in messages {
            self.push(channel, message).await;
        }
        self.cursor.gaps.remove(place);
        self.is_moved = true;
        self.flush().await
    }
}

async fn next_of(old: &mut Option<(Socket, Instant)>) -> Received {
    match old {
        // ok: after this time the old socket is dropped.
        Some((socket, until)) => timeout_at(*until, socket.next()).await.unwrap_or(None),
        None => pending().await,
    }
}

fn place(channel: &str, thread: Option<String>) -> String {
    match thread {
        Some(thread) => format!("{channel}/{thread}"),
        None => channel.to_owned(),
    }
}

fn kind(frame: &str) -> String {
    let frame: Value = serde_json::from_str(frame).unwrap_or_default();
    text(&frame, "/type").to_owned()
}

fn lost() -> Fault {
    Fault::new(FaultKind::Transient, "the connection to Slack was lost; HQ connects again")
}
